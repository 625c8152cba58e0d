"""The scene engine behind the protocol of models: no key, no network, exact answers."""

import asyncio
import json
from dataclasses import replace
from functools import cache
from typing import Any, Literal

from pydantic import Field

from toolkit.errors import UsageError, shown
from toolkit.generation.core.options import Options, read_options
from toolkit.generation.core.protocol import Backend, Fatal, Reply, Request, Usage
from toolkit.generation.procedural.script import Script
from toolkit.registry import load_named
from toolkit.scene.difficulty import USUAL


class EngineOptions(Options):
    """
    Attributes:
        difficulty: more things in a picture and questions of more steps; "mixed" draws one for each sample.
    """

    difficulty: Literal["easy", "medium", "hard", "mixed"] = Field(default="medium")


class Procedural(Backend):
    is_free = is_local = True
    options = EngineOptions

    def __init__(self, difficulty: str = USUAL) -> None:
        self._difficulty = difficulty

    @classmethod
    def from_options(cls, options: dict[str, Any]) -> "Procedural":
        return cls(read_options(EngineOptions, options, "backends: 'procedural'").difficulty)

    async def send(self, request: Request) -> Reply:
        request = replace(request, origin=replace(request.origin, difficulty=self._difficulty))
        return await asyncio.to_thread(answer, request)


@cache
def script_of(target: str) -> Script:
    """
    Args:
        target: of `Recipe.script`; "" = the recipe has none.

    Raises:
        UsageError: it cannot be loaded, or is no Script.
    """
    script = load_named(f"script {target!r}", target) if target else Script()
    if not isinstance(script, Script):
        raise UsageError(
            f"script {target!r} is {shown(script)}; expected a toolkit.generation.procedural.script.Script"
        )
    return script


def answer(request: Request) -> Reply:
    """
    Raises:
        Fatal: the recipe's script has no answer to the prompt.
    """
    answers = script_of(request.origin.script).answers
    if request.step not in answers:
        detail = f"the scene engine has no answer to {request.step!r} of {request.origin.recipe!r}"
        raise Fatal("no_script", detail=detail)
    found = answers[request.step](request)
    if isinstance(found, list):
        return Reply(raw="", pictures=tuple(found), usage=Usage(images=len(found)))
    return Reply(raw="", text=json.dumps(found, ensure_ascii=False))
