"""Safety by two classifiers of transformers in this process, one of pictures and one of texts.

    safety: {kind: safety_classifier, model: Falconsai/nsfw_image_detection, text_model: unitary/toxic-bert, unsafe:
        [nsfw, toxic], threshold: 0.5}

Flagged is what has a label of `unsafe` with a score of at least `threshold`. Texts are read as far as the model can;
the rest is cut off.
"""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from toolkit.generation.backends.local import LocalModel, LocalOptions, device_of, require
from toolkit.generation.core.options import read_options
from toolkit.generation.core.protocol import Backend, Fatal, Reply, Request
from toolkit.images import decode_image


class SafetyClassifierOptions(LocalOptions):
    """
    Attributes:
        model: of pictures; text_model: of texts.
        unsafe: labels that are flagged from `threshold` on.
    """

    text_model: str = Field(min_length=1)
    unsafe: list[str] = Field(min_length=1)
    threshold: float = Field(0.5, ge=0, le=1)


class SafetyClassifier(Backend):
    is_free = is_local = True
    options = SafetyClassifierOptions

    def __init__(self, options: dict[str, Any]) -> None:
        self._unsafe, self._threshold = set(options["unsafe"]), float(options["threshold"])
        self._model = LocalModel(options["model"], lambda: _pipelines(options))

    @classmethod
    def takes(cls, kind: str, step: str, options: Mapping[str, Any]) -> bool:
        return step == "safety"

    @classmethod
    def from_options(cls, options: dict[str, Any]) -> "SafetyClassifier":
        given = read_options(SafetyClassifierOptions, options, "backends: 'safety_classifier'")
        require("transformers")
        return cls(given.model_dump())

    async def send(self, request: Request) -> Reply:
        if request.step != "safety":
            raise Fatal(
                "wrong_kind", detail=f"'safety_classifier' only plays safety; {request.step!r} wants {request.kind}"
            )
        return await self._model.run(lambda pipelines: self._classify(pipelines, request))

    def _classify(self, pipelines: tuple[Any, Any], request: Request) -> Reply:
        of_pictures, of_texts = pipelines
        scores = [of_texts([str(request.origin.values["text"])], top_k=None, truncation=True)[0]]
        scores += (
            of_pictures([decode_image(image, "safety") for image in request.images], top_k=None)
            if request.images
            else []
        )
        found = sorted(
            {
                each["label"]
                for labels in scores
                for each in labels
                if each["label"] in self._unsafe and each["score"] >= self._threshold
            }
        )
        return Reply(raw=json.dumps(scores), text=json.dumps({"categories": found, "flagged": bool(found)}))

    async def close(self) -> None:
        self._model.close()


def _pipelines(options: dict[str, Any]) -> tuple[Any, Any]:
    """
    Raises:
        ValueError: a label of `unsafe` that neither model has.
    """
    import transformers

    load: Any = transformers  # not typed
    device, revision = device_of(options), options.get("revision")
    processor = load.AutoImageProcessor.from_pretrained(options["model"], revision=revision or "main", backend="pil")
    of_pictures = load.pipeline(
        "image-classification", model=options["model"], revision=revision, image_processor=processor, device=device
    )
    of_texts = load.pipeline("text-classification", model=options["text_model"], device=device)
    known = {label for pipeline in (of_pictures, of_texts) for label in pipeline.model.config.id2label.values()}
    if unknown := sorted(set(options["unsafe"]) - known):
        raise ValueError(f"unsafe: no model has the labels {unknown}; they have: {', '.join(sorted(known))}")
    return of_pictures, of_texts
