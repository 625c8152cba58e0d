"""Pictures from any text-to-image or image-to-image pipeline of diffusers, in this process.

    image: {kind: diffusers, model: stabilityai/sdxl-turbo, dtype: float16, params: {num_inference_steps: 4,
        guidance_scale: 0.0}}

`model` is a folder or a repository of the Hub, with `revision` if one is meant. A pipeline of the other sort is turned
where diffusers can: the one that draws from words also edits, from the same weights. `params` go to the pipeline as
they are; `edit_params` (strength, ...) are added where a picture is edited, which has the size of what it was made of,
cut to what pipelines can do, unless they say otherwise. The noise is drawn on the CPU from the seed of the call, so
that the same call on the same device and versions gives the same bytes.
"""

import inspect
import io
from collections.abc import Mapping
from typing import Any

from PIL import Image
from pydantic import Field

from toolkit.generation.backends.local import LocalModel, LocalOptions, device_of, require
from toolkit.generation.core.options import read_options
from toolkit.generation.core.protocol import Backend, Fatal, Refused, Reply, Request, Usage
from toolkit.images import decode_image

SIZE = ("width", "height")
STEP_PX = 16  # sides that every pipeline of diffusers can do are multiples of it


class DiffusersOptions(LocalOptions):
    """
    Attributes:
        params: of the pipeline; edit_params: more of them, where a picture is edited.
    """

    params: dict[str, Any] = Field(default_factory=dict)
    edit_params: dict[str, Any] = Field(default_factory=dict)


class Diffusers(Backend):
    is_free = is_local = True
    options = DiffusersOptions

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._model = LocalModel(options["model"], lambda: _Pipelines(options))

    @classmethod
    def takes(cls, kind: str, step: str, options: Mapping[str, Any]) -> bool:
        return kind in ("generate", "edit")

    @classmethod
    def from_options(cls, options: dict[str, Any]) -> "Diffusers":
        given = read_options(DiffusersOptions, options, "backends: 'diffusers'")
        require("diffusers", "transformers")
        return cls(given.model_dump())

    async def send(self, request: Request) -> Reply:
        if request.kind not in ("generate", "edit"):
            raise Fatal(
                "wrong_kind",
                detail=f"'diffusers' draws; {request.step!r} wants {request.kind}; set the role's own backend",
            )
        picture = await self._model.run(lambda pipelines: pipelines.draw(request))
        return Reply(raw="", pictures=(picture,), usage=Usage(images=1))

    async def close(self) -> None:
        self._model.close()


class _Pipelines:
    """The loaded pipeline, and the one made of its parts for the other kind of request."""

    def __init__(self, options: dict[str, Any]) -> None:
        import torch
        from diffusers import DiffusionPipeline

        dtype = getattr(torch, options.get("dtype", "float32"))
        drawing, editing = options["params"], options["edit_params"]
        without_size = {name: value for name, value in drawing.items() if name not in SIZE}
        self._params = {"generate": drawing, "edit": {**without_size, **editing}}
        pipeline: Any = DiffusionPipeline  # not typed
        self._loaded = pipeline.from_pretrained(options["model"], revision=options.get("revision"), dtype=dtype).to(
            device_of(options)
        )
        self._of: dict[str, Any] = {}

    def draw(self, request: Request) -> bytes:
        """PNG.

        Raises:
            Fatal: no such pipeline can be had, or it does not take the params. Refused: its safety checker blacked the
                picture out.
        """
        import torch

        pipeline = self._of.get(request.kind) or self._of.setdefault(request.kind, self._turned(request.kind))
        given = {
            "prompt": request.user,
            "generator": torch.Generator("cpu").manual_seed(request.seed),
            **self._params[request.kind],
        }
        takes = set(inspect.signature(pipeline.__call__).parameters)
        if request.kind == "edit":
            given["image"] = decode_image(request.images[0], request.step)
            if set(SIZE) <= takes and not set(SIZE) & set(given):
                given |= _size_of(given["image"])
        unknown = sorted(set(given) - takes)
        if unknown:
            raise Fatal("unknown_params", detail=f"{type(pipeline).__name__} does not take {unknown}")
        made = pipeline(**given)
        if any(getattr(made, "nsfw_content_detected", None) or ()):
            raise Refused("content_filter", detail="the safety checker of the pipeline")
        buffer = io.BytesIO()
        made.images[0].save(buffer, format="PNG")
        return buffer.getvalue()

    def _turned(self, kind: str) -> Any:
        from diffusers import AutoPipelineForImage2Image, AutoPipelineForText2Image

        takes_pictures = "image" in inspect.signature(self._loaded.__call__).parameters
        pipeline = self._loaded
        if takes_pictures != (kind == "edit"):
            try:
                pipeline = (AutoPipelineForImage2Image if kind == "edit" else AutoPipelineForText2Image).from_pipe(
                    self._loaded
                )
            except ValueError as error:  # some do both
                if not takes_pictures:
                    raise Fatal(
                        "wrong_kind", detail=f"{type(self._loaded).__name__} cannot start from a picture: {error}"
                    ) from error
        pipeline.set_progress_bar_config(disable=True)
        return pipeline


def _size_of(image: Image.Image) -> dict[str, int]:
    return {name: max(STEP_PX, side // STEP_PX * STEP_PX) for name, side in zip(SIZE, image.size, strict=True)}
