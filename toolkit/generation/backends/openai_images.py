"""Pictures by any server that speaks OpenAI's /images/generations and /images/edits.

    image: {kind: openai_images, model: gpt-image-2, base_url: https://api.openai.com/v1, api_key_env: OPENAI_API_KEY,
        params: {size: 1024x1024, quality: medium}}

With `mode: batch` what is drawn from words is gathered into batches; see `batch`. `params` are sent as they are, null
leaves one out. Pictures are asked for as base64 where the server knows that, and fetched where it gives an address.
Seeds are not part of this protocol. Source: developers.openai.com/api/docs/api-reference/images.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from toolkit.generation.backends.answers import usage_of
from toolkit.generation.backends.dialect import images_lesson
from toolkit.generation.backends.http import File, Server, ServerOptions
from toolkit.generation.backends.openai_chat import MIME
from toolkit.generation.core.options import read_options
from toolkit.generation.core.protocol import Adapted, Backend, BadRequest, CallError, Fatal, Reply, Request, Transient
from toolkit.images import image_format

MOST_BYTES = 64 * 2**20  # of a picture that is fetched
FETCHES = 3
_DATA_URI = re.compile(r"data:[^,]*,")


class OpenAIImages(Backend):
    takes_batches = True
    options = ServerOptions

    def __init__(self, given: ServerOptions) -> None:
        self.server = Server(given.base_url, api_key_env=given.api_key_env)
        self._given = given

    @classmethod
    def takes(cls, kind: str, step: str, options: Mapping[str, Any]) -> bool:
        return kind == "generate" or (kind == "edit" and options.get("mode") != "batch")

    @classmethod
    def from_options(cls, options: dict[str, Any]) -> "OpenAIImages":
        return cls(read_options(ServerOptions, options, "backends: 'openai_images'"))

    async def send(self, request: Request) -> Reply:
        known, fields = self.learned, self._fields(request, with_format=True)
        try:
            if request.kind == "edit":
                forms = {name: _form_value(value) for name, value in fields.items()}
                files = [_file(image, number, len(request.images)) for number, image in enumerate(request.images)]
                body, raw = await self.server.upload("images/edits", forms, files)
            else:
                endpoint, _ = self.line(request)
                body, raw = await self.server.post(endpoint, fields)
        except BadRequest as error:
            raise self.lesson(error, fields, known) or error from None
        return await self._fetched(self.read(body, raw), body)

    def line(self, request: Request) -> tuple[str, dict[str, Any]]:
        """Endpoint and body of a line in a batch, where edits, which are forms with files, cannot be. Models that have
        batches give base64, and most do not know `response_format`.
        """
        if request.kind != "generate":
            raise Fatal(
                "wrong_kind",
                detail=(
                    f"'openai_images' draws, in batches from words only; {request.step!r} wants "
                    f"{request.kind}; set its own backend"
                ),
            )
        return "images/generations", self._fields(request, with_format=False)

    def lesson(self, error: BadRequest, sent: Mapping[str, Any], known: Mapping[str, Any]) -> Adapted | None:
        """As for chat."""
        if self.learned is known:
            facts = images_lesson(known, sent, error)
            if facts is None:
                return None
            self.learned = facts
        return Adapted(error.problem, detail=error.detail, raw=error.raw, status=error.status)

    def read(self, body: dict[str, Any], raw: str | bytes) -> Reply:
        reply = read_images(body, raw)
        if any(map(self.server.is_told_by, reply.pictures)):
            given: dict[str, Any] = {"raw": reply.raw, "status": 200, "usage": reply.usage}
            raise Transient("key_in_image", detail="the server wrote the key of the spec into an image", **given)
        return reply

    async def _fetched(self, reply: Reply, body: dict[str, Any]) -> Reply:
        """With the pictures of which the server gave an address.

        Raises:
            Fatal: one cannot be had, so that none of those that are paid for could.
        """
        addresses = [str(item["url"]) for item in body["data"] if not item.get("b64_json")]
        if not addresses:
            return reply
        try:
            pictures = [await self._fetch(address) for address in addresses]
        except CallError as error:
            hint = "set params: {response_format: b64_json} if the server knows it"
            given: dict[str, Any] = {"raw": reply.raw, "status": 200, "usage": reply.usage}
            raise Fatal("no_image", detail=f"{error.detail}; {hint}", **given) from error
        return replace(reply, pictures=(*reply.pictures, *pictures))

    async def _fetch(self, address: str) -> bytes:
        if _DATA_URI.match(address):
            try:
                return decoded(address)
            except ValueError as error:
                raise Transient("no_image", detail=f"no base64 picture: {error}") from error
        for _ in range(FETCHES - 1):
            try:
                return await self.server.download(address, most_bytes=MOST_BYTES)
            except CallError:
                continue
        return await self.server.download(address, most_bytes=MOST_BYTES)

    def _fields(self, request: Request, *, with_format: bool) -> dict[str, Any]:
        asks = with_format and self.learned.get("format") is not False
        asked = {"response_format": "b64_json"} if asks else {}
        fields = {"model": self._given.model, "prompt": request.user, "n": 1, **asked, **self._given.params}
        return {name: value for name, value in fields.items() if value is not None}

    async def close(self) -> None:
        await self.server.close()


def _form_value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _file(image: bytes, number: int, count: int) -> File:
    suffix = image_format(image) or "png"
    name = "image" if count == 1 else "image[]"
    return name, f"image-{number}.{suffix}", image, f"image/{MIME.get(suffix, suffix)}"


def read_images(body: dict[str, Any], raw: str | bytes) -> Reply:
    """Pictures that came with the answer; those of which only the address came are not among them.

    Raises:
        Transient: no picture, or one that is not base64.
    """
    items = body.get("data")
    count = len(items) if isinstance(items, list) and items else None
    given: dict[str, Any] = {"raw": raw, "status": 200, "usage": usage_of(body, images=count)}
    if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
        raise Transient("no_image", **given)
    if not all(item.get("b64_json") or item.get("url") for item in items):
        raise Transient("no_image", detail="neither b64_json nor url", **given)
    try:
        pictures = tuple(decoded(str(item["b64_json"])) for item in items if item.get("b64_json"))
    except ValueError as error:
        raise Transient("no_image", detail=f"no base64 picture: {error}", **given) from error
    rest = {**body, "data": [{name: value for name, value in item.items() if name != "b64_json"} for item in items]}
    try:
        without_pictures = json.dumps(rest)
    except RecursionError:  # deeper than it was when it was read, by the frames since
        raise Transient("broken_body", detail="nested too deeply", **given) from None
    return Reply(
        raw=without_pictures,
        text=str(items[0].get("revised_prompt") or ""),
        pictures=pictures,
        usage=usage_of(body, images=count),
    )


def decoded(text: str) -> bytes:
    """Bytes of base64 as servers write it: in a data URI, with line breaks, without padding, or safe for URLs.

    Raises:
        ValueError: it is not base64.
    """
    plain = "".join(_DATA_URI.sub("", text, count=1).split()).rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
