"""Chat with any server that speaks OpenAI's /chat/completions: pictures go in as data URIs, JSON by a schema comes out.

    text: {kind: openai_chat, model: gpt-4o, base_url: https://api.openai.com/v1, api_key_env: OPENAI_API_KEY, params:
        {temperature: 0.7}}

With `mode: batch` calls are gathered into batches; see `batch`. Servers that take `response_format` and ignore it
(transformers serve) work too: the schema is checked here, and in the prompt if `schema_in_prompt` is set.
Source: platform.openai.com/docs/api-reference/chat/create.
"""

import base64
import json
from typing import Any

from toolkit.errors import UsageError
from toolkit.generation.backends.http import Server, usage_of
from toolkit.generation.calls.budget import MAX_OUTPUT_TOKENS
from toolkit.generation.core.protocol import Backend, Fatal, Refused, Reply, Request, Transient
from toolkit.images import image_format

OPTIONS = {"model", "base_url", "api_key_env", "params", "timeout_s", "schema_in_prompt", "max_tokens_name"}
MIME = {"jpg": "jpeg"}


class OpenAIChat(Backend):
    takes_batches = True

    def __init__(
        self,
        server: Server,
        model: str,
        params: dict[str, Any],
        *,
        schema_in_prompt: bool = False,
        max_tokens_name: str = "max_tokens",
    ) -> None:
        self.server, self._model, self._schema_in_prompt = server, model, schema_in_prompt
        self._params = {max_tokens_name: MAX_OUTPUT_TOKENS, **params}

    @classmethod
    def from_options(cls, options: dict[str, Any]) -> "OpenAIChat":
        check_options("openai_chat", options, OPTIONS)
        server = Server(
            options["base_url"],
            api_key_env=options.get("api_key_env", ""),
            timeout_s=float(options.get("timeout_s", 120)),
        )
        extra = {name: options[name] for name in ("schema_in_prompt", "max_tokens_name") if name in options}
        return cls(server, options["model"], dict(options.get("params") or {}), **extra)

    async def send(self, request: Request) -> Reply:
        endpoint, content = self.line(request)
        return self.read(*await self.server.post(endpoint, json=content))

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

    def read(self, body: dict[str, Any], raw: str) -> Reply:
        return read_chat(body, raw)

    def body(self, request: Request) -> dict[str, Any]:
        """What is sent."""
        system = request.system
        if self._schema_in_prompt and request.schema:
            wanted = f"Reply with JSON that fits this schema, and nothing else: {json.dumps(request.schema)}"
            system = f"{system}\n{wanted}".strip()
        messages = [{"role": "system", "content": system}] if system else []
        content = [{"type": "image_url", "image_url": {"url": data_uri(image)}} for image in request.images]
        asked: Any = [*content, {"type": "text", "text": request.user}] if content else request.user
        messages.append({"role": "user", "content": asked})
        messages += [{"role": role, "content": text} for role, text in request.history]
        body: dict[str, Any] = {"model": self._model, "messages": messages, "seed": request.seed, **self._params}
        if request.schema:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": request.step, "strict": True, "schema": request.schema},
            }
        return body

    async def close(self) -> None:
        await self.server.close()


def read_chat(body: dict[str, Any], raw: str) -> Reply:
    """
    Raises:
        Refused: the model refused, or its text was filtered. Transient: no choice, or no text.
    """
    usage = usage_of(body)
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        raise Transient("empty_choices", raw=raw, status=200, usage=usage)
    message, finish = choices[0].get("message") or {}, choices[0].get("finish_reason")
    if message.get("refusal"):
        raise Refused("refusal", detail=str(message["refusal"])[:300], raw=raw, status=200, usage=usage)
    if finish == "content_filter":
        raise Refused("content_filter", raw=raw, status=200, usage=usage)
    text = message.get("content")
    if not isinstance(text, str) or not text.strip():
        raise Transient("empty_text", raw=raw, status=200, usage=usage)
    return Reply(raw=raw, text=text, usage=usage)


def data_uri(image: bytes) -> str:
    suffix = image_format(image) or "png"
    return f"data:image/{MIME.get(suffix, suffix)};base64,{base64.b64encode(image).decode()}"


def check_options(kind: str, options: dict[str, Any], known: set[str]) -> None:
    """
    Raises:
        UsageError: an option it does not take, or no model or base_url.
    """
    unknown, missing = sorted(set(options) - known), [name for name in ("model", "base_url") if not options.get(name)]
    if unknown or missing:
        raise UsageError(
            f"backends: {kind!r} does not take {unknown} and needs {missing}; it knows: {', '.join(sorted(known))}"
        )
