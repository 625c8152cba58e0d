"""Pictures from any server that speaks OpenAI's /images/generations and /images/edits; they come back as base64.

    image: {kind: openai_images, model: dall-e-3, base_url: https://api.openai.com/v1, api_key_env: OPENAI_API_KEY,
        params: {size: 1024x1024}}

`params` are sent as they are: dall-e-3 wants `response_format: b64_json` there, gpt-image-1 refuses it. Seeds are not
part of this protocol.
Source: platform.openai.com/docs/api-reference/images.
"""

import base64
import binascii
import json
from typing import Any

from toolkit.generation.backends.http import Server, usage_of
from toolkit.generation.backends.openai_chat import MIME, check_options
from toolkit.generation.core.protocol import Backend, Fatal, Reply, Request, Transient
from toolkit.images import image_format

OPTIONS = {"model", "base_url", "api_key_env", "params", "timeout_s"}


class OpenAIImages(Backend):
    takes_batches = True

    def __init__(self, server: Server, model: str, params: dict[str, Any]) -> None:
        self.server, self._model, self._params = server, model, params

    @classmethod
    def from_options(cls, options: dict[str, Any]) -> "OpenAIImages":
        check_options("openai_images", options, OPTIONS)
        server = Server(
            options["base_url"],
            api_key_env=options.get("api_key_env", ""),
            timeout_s=float(options.get("timeout_s", 180)),
        )
        return cls(server, options["model"], dict(options.get("params") or {}))

    async def send(self, request: Request) -> Reply:
        if request.kind == "edit":
            forms = {name: str(value) for name, value in self._fields(request).items()}
            files = [_file(image, number) for number, image in enumerate(request.images)]
            return self.read(*await self.server.post("images/edits", data=forms, files=files))
        endpoint, content = self.line(request)
        return self.read(*await self.server.post(endpoint, json=content))

    def line(self, request: Request) -> tuple[str, dict[str, Any]]:
        """Endpoint and body, of what goes as JSON; edits go as forms with files, which a batch cannot hold."""
        if request.kind != "generate":
            raise Fatal(
                "wrong_kind",
                detail=(
                    f"'openai_images' draws, in batches from words only; {request.step!r} wants "
                    f"{request.kind}; set its own backend"
                ),
            )
        return "images/generations", self._fields(request)

    def read(self, body: dict[str, Any], raw: str) -> Reply:
        return read_images(body, raw)

    def _fields(self, request: Request) -> dict[str, Any]:
        return {"model": self._model, "prompt": request.user, "n": 1, **self._params}

    async def close(self) -> None:
        await self.server.close()


def _file(image: bytes, number: int) -> tuple[str, tuple[str, bytes, str]]:
    suffix = image_format(image) or "png"
    return "image", (f"image-{number}.{suffix}", image, f"image/{MIME.get(suffix, suffix)}")


def read_images(body: dict[str, Any], raw: str) -> Reply:
    """
    Raises:
        Transient: no picture, or one that cannot be decoded from base64.
    """
    items = body.get("data")
    if not isinstance(items, list) or not items:
        raise Transient("no_image", raw=raw, status=200, usage=usage_of(body))
    try:
        pictures = tuple(base64.b64decode(item["b64_json"], validate=True) for item in items)
    except (KeyError, TypeError, binascii.Error) as error:
        raise Transient(
            "no_image",
            detail=f"no base64 picture: {error}; set params.response_format to b64_json if the server has it",
            raw=raw,
            status=200,
        ) from error
    if not all(map(image_format, pictures)):
        raise Transient("not_an_image", raw=raw, status=200, usage=usage_of(body, images=len(pictures)))
    rest = {**body, "data": [{name: value for name, value in item.items() if name != "b64_json"} for item in items]}
    return Reply(
        raw=json.dumps(rest),
        text=str(items[0].get("revised_prompt") or ""),
        pictures=pictures,
        usage=usage_of(body, images=len(pictures)),
    )
