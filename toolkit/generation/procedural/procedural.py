"""The scene engine behind the protocol of models: no key, no network, exact answers."""

import asyncio
import json
from typing import Any

from toolkit.errors import UsageError
from toolkit.generation.core.protocol import Fatal, Reply, Request, Usage
from toolkit.generation.procedural.judges import JUDGES
from toolkit.generation.procedural.scripts import DRAWINGS, SCRIPTS


class Procedural:
    @classmethod
    def from_options(cls, options: dict[str, Any]) -> "Procedural":
        if options:
            raise UsageError(f"backends: 'procedural' takes no options; found {sorted(options)}")
        return cls()

    async def send(self, request: Request) -> Reply:
        return await asyncio.to_thread(answer, request)

    async def close(self) -> None:
        pass


def answer(request: Request) -> Reply:
    """
    Raises:
        Fatal: the engine knows no such prompt of that recipe.
    """
    known = (request.origin.recipe, request.step)
    if known in DRAWINGS:
        pictures = tuple(DRAWINGS[known](request.origin))
        return Reply(raw="", pictures=pictures, usage=Usage(images=len(pictures)))
    if known in SCRIPTS:
        text = json.dumps(SCRIPTS[known](request.origin), ensure_ascii=False)
    elif request.step in JUDGES:
        text = json.dumps(JUDGES[request.step](request), ensure_ascii=False)
    else:
        raise Fatal(
            "no_script", detail=f"the scene engine has no answer to {request.step!r} of {request.origin.recipe!r}"
        )
    return Reply(raw="", text=text)
