"""Safety by any server that speaks OpenAI's /moderations; it costs nothing at OpenAI.

    safety: {kind: openai_moderation, model: omni-moderation-latest, base_url: https://api.openai.com/v1, api_key_env:
        OPENAI_API_KEY}

The text and each picture are sent on their own, and flagged as one if any is. Source:
platform.openai.com/docs/api-reference/moderations.
"""

import json
from collections.abc import Mapping
from typing import Any

from toolkit.generation.backends.http import Server, ServerOptions
from toolkit.generation.backends.openai_chat import data_uri
from toolkit.generation.core.options import read_options
from toolkit.generation.core.protocol import Backend, Fatal, Reply, Request, Transient


class OpenAIModeration(Backend):
    is_free = True
    options = ServerOptions

    def __init__(self, given: ServerOptions) -> None:
        self._server, self._model = Server(given.base_url, api_key_env=given.api_key_env), given.model

    @classmethod
    def takes(cls, kind: str, step: str, options: Mapping[str, Any]) -> bool:
        return step == "safety"

    @classmethod
    def from_options(cls, options: dict[str, Any]) -> "OpenAIModeration":
        return cls(read_options(ServerOptions, options, "backends: 'openai_moderation'"))

    async def send(self, request: Request) -> Reply:
        if request.step != "safety":
            raise Fatal(
                "wrong_kind", detail=f"'openai_moderation' only plays safety; {request.step!r} wants {request.kind}"
            )
        inputs: list[dict[str, Any]] = [{"type": "text", "text": str(request.origin.values["text"])}]
        inputs += [{"type": "image_url", "image_url": {"url": data_uri(image)}} for image in request.images]
        bodies = [await self._server.post("moderations", {"model": self._model, "input": [each]}) for each in inputs]
        raw = json.dumps([body for body, _ in bodies])
        try:
            results = [result for body, _ in bodies for result in body["results"]]
            categories = sorted(
                {name for result in results for name, is_flagged in result["categories"].items() if is_flagged}
            )
            flagged = any(result["flagged"] for result in results)
        except (KeyError, TypeError, AttributeError) as error:
            raise Transient("broken_body", detail=f"no results: {error!r}", raw=raw, status=200) from error
        if len(results) != len(inputs):
            raise Transient(
                "broken_body", detail=f"{len(results)} results for {len(inputs)} inputs", raw=raw, status=200
            )
        return Reply(raw=raw, text=json.dumps({"categories": categories, "flagged": flagged}))

    async def close(self) -> None:
        await self._server.close()
