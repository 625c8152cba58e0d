"""Chat with any server that speaks OpenAI's /chat/completions: pictures go in as data URIs, JSON by a schema comes out.

    text: {kind: openai_chat, model: gpt-6-luna, base_url: https://api.openai.com/v1, api_key_env: OPENAI_API_KEY,
        params: {temperature: 0.7}}

With `mode: batch` calls are gathered into batches; see `batch`. Servers differ in what they know; see `dialect`. Those
that take a schema and ignore it (transformers serve) work too: it is checked here, and in the prompt if
`schema_in_prompt` is set. Source: developers.openai.com/api/docs/api-reference/chat/create.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

from toolkit.generation.backends.answers import usage_of
from toolkit.generation.backends.dialect import chat_lesson, plain_schema
from toolkit.generation.backends.http import Server, ServerOptions
from toolkit.generation.calls.prices import LIMITS, MAX_OUTPUT_TOKENS
from toolkit.generation.core.options import read_options
from toolkit.generation.core.protocol import (
    Adapted,
    Backend,
    BadRequest,
    Fatal,
    Refused,
    Reply,
    Request,
    Transient,
)
from toolkit.images import image_format

MIME = {"jpg": "jpeg"}


class ChatOptions(ServerOptions):
    """
    Attributes:
        schema_in_prompt: the schema is in the prompt too.
        max_tokens_name: of the limit of output, where it is known beforehand.
    """

    schema_in_prompt: bool = False
    max_tokens_name: str = ""


class OpenAIChat(Backend):
    takes_batches = True
    options = ChatOptions

    def __init__(self, given: ChatOptions) -> None:
        self.server = Server(given.base_url, api_key_env=given.api_key_env)
        self._given = given

    @classmethod
    def takes(cls, kind: str, step: str, options: Mapping[str, Any]) -> bool:
        return kind == "chat"

    @classmethod
    def from_options(cls, options: dict[str, Any]) -> "OpenAIChat":
        return cls(read_options(ChatOptions, options, "backends: 'openai_chat'"))

    async def send(self, request: Request) -> Reply:
        endpoint, content = self.line(request)
        known = self.learned
        try:
            return self.read(*await self.server.post(endpoint, content))
        except BadRequest as error:
            raise self.lesson(error, content, known) or error from None

    def line(self, request: Request) -> tuple[str, dict[str, Any]]:
        """Endpoint and body."""
        if request.kind != "chat":
            raise Fatal(
                "wrong_kind",
                detail=(
                    f"'openai_chat' answers in words; {request.step!r} wants {request.kind}; set the role's own backend"
                ),
            )
        return "chat/completions", self.body(request)

    def read(self, body: dict[str, Any], raw: str | bytes) -> Reply:
        return read_chat(body, raw)

    def lesson(self, error: BadRequest, sent: Mapping[str, Any], known: Mapping[str, Any]) -> Adapted | None:
        """The request as it is to be sent from now on, if it can be said otherwise.

        Args:
            sent: what was not accepted; known: of the server, when it was sent.
        """
        if self.learned is known:
            facts = chat_lesson(known, sent, error)
            if facts is None:
                return None
            self.learned = facts
        return Adapted(error.problem, detail=error.detail, raw=error.raw, status=error.status)

    def body(self, request: Request) -> dict[str, Any]:
        """What is sent."""
        given, known = self._given, self.learned
        level = known.get("schema", "full") if request.schema else "full"
        system, user = request.system, request.user
        if request.schema and (given.schema_in_prompt or level in ("object", "none")):
            wanted = f"Reply with JSON that fits this schema, and nothing else: {json.dumps(request.schema)}"
            system = f"{system}\n{wanted}".strip()
        if known.get("system") is False:
            system, user = "", f"{system}\n\n{user}".strip()
        messages = [{"role": "system", "content": system}] if system else []
        content = [{"type": "image_url", "image_url": {"url": data_uri(image)}} for image in request.images]
        asked: Any = [*content, {"type": "text", "text": user}] if content else user
        messages.append({"role": "user", "content": asked})
        messages += [{"role": role, "content": text} for role, text in request.history]
        body: dict[str, Any] = {"model": given.model, "messages": messages, "seed": request.seed, **given.params}
        if known.get("seed") is False:
            body.pop("seed", None)
        body |= self._limit(request)
        if request.schema and level != "none":
            body["response_format"] = _response_format(request, level)
        return {name: value for name, value in body.items() if value is not None}

    def _limit(self, request: Request) -> dict[str, Any]:
        """The limit of output under the name the server knows, and None under others."""
        params = self._given.params
        if any(name in params and params[name] is None for name in LIMITS):
            return {}
        own = next((params[name] for name in LIMITS if name in params), MAX_OUTPUT_TOKENS)
        name = self.learned.get("limit") or self._given.max_tokens_name
        name = name or next((name for name in LIMITS if name in params), LIMITS[0])
        return {**dict.fromkeys(LIMITS), name: request.max_output_tokens or own}

    async def close(self) -> None:
        await self.server.close()


def _response_format(request: Request, level: str) -> dict[str, Any]:
    if level == "object":
        return {"type": "json_object"}
    schema = request.schema or {}
    schema = plain_schema(schema) if level == "plain" else schema
    return {"type": "json_schema", "json_schema": {"name": request.step, "strict": True, "schema": schema}}


def read_chat(body: dict[str, Any], raw: str | bytes) -> Reply:
    """
    Raises:
        Refused: the model refused, or its text was filtered. Transient: no choice, or no text.
    """
    usage = usage_of(body, images=0)
    given: dict[str, Any] = {"raw": raw, "status": 200, "usage": usage}
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise Transient("empty_choices", **given)
    found, finish = choices[0].get("message"), choices[0].get("finish_reason")
    message: Mapping[str, Any] = found if isinstance(found, dict) else {}
    if message.get("refusal"):
        raise Refused("refusal", detail=str(message["refusal"])[:300], **given)
    if finish == "content_filter":
        raise Refused("content_filter", **given)
    if finish == "error" or isinstance(choices[0].get("error"), dict):
        raise Transient("error_in_body", detail=str(choices[0].get("error"))[:300], **given)
    text = text_of_content(message.get("content"))
    if not text.strip() and finish != "length":
        text = text_of_content(message.get("reasoning_content") or message.get("reasoning"))
    if not text.strip() and finish != "length":
        raise Transient("empty_text", **given)
    return Reply(raw=raw, text=text, is_cut=finish == "length", usage=usage)


def text_of_content(content: Any) -> str:
    """A text, or that of the parts that are texts, without thoughts."""
    if isinstance(content, list):
        parts = [each for each in content if isinstance(each, dict) and each.get("type") in ("text", "output_text")]
        return "".join(str(each["text"]) for each in parts if isinstance(each.get("text"), str))
    return content if isinstance(content, str) else ""


def data_uri(image: bytes) -> str:
    suffix = image_format(image) or "png"
    return f"data:image/{MIME.get(suffix, suffix)};base64,{base64.b64encode(image).decode()}"
