"""What a recipe is written in: a context that asks, draws and looks; pieces of a row; and a word for no.

A recipe is one async function, Context -> Made, whose steps are its lines. It never calls a model but through the
context, and draws nothing at random but from its streams, so that a sample is a pure function of its index and the
answers it got.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit.errors import UsageError
from toolkit.generation.calls.calls import Answer, CallSite
from toolkit.generation.calls.seats import CallFailed, Seat
from toolkit.generation.core.blobs import Blob, Blobs
from toolkit.generation.core.keys import canonical, digest, number_of
from toolkit.generation.core.options import Options
from toolkit.generation.core.prompting import Prompt
from toolkit.generation.core.protocol import Origin, Request
from toolkit.generation.core.records import Record, RecordModel, Rejected, reject
from toolkit.rules import check_row
from toolkit.scene.names import LICENSE, SOURCE
from toolkit.scene.streams import Stream
from toolkit.schema import IMAGE_PART, EncodedImage, Message, Part, Region, Row, quadrant_of, text_of
from toolkit.tasks import find_task

SAFETY_PROMPT = "safety@1"
SHARED_PROMPTS = Path(__file__).parent / "prompts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A picture in a row."""

    blob: Blob
    role: str
    caption: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A request and its reply: texts and pictures in reading order."""

    user: tuple[str | Shown, ...]
    assistant: tuple[str | Shown, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A row before it is one.

    Attributes:
        turns: one or more.
        instruction: "" = the user's texts.
        facts: what else is known of it, JSON-ready, for provenance.
        system: of the conversation; "" = none.
    """

    turns: tuple[Turn, ...]
    instruction: str = ""
    rationale: str = ""
    answer: str
    regions: tuple[Region, ...] = ()
    source: str = ""
    license: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    system: str = ""

    @property
    def parts(self) -> tuple[str | Shown, ...]:
        """Of all turns, in reading order."""
        return tuple(part for turn in self.turns for part in (*turn.user, *turn.assistant))


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """
    Attributes:
        name: in a run that of the spec, by default a key of `recipes.RECIPES`.
        task: of its rows.
        version: raise it when rows change for the same answers.
        folder: where it is; its own prompts are in `prompts` there.
        prompts: it may ask, of its own or of those that recipes share; a test holds this list and the calls together.
        make: one sample.
        script: "module:SCRIPT" or "path/to/file.py:SCRIPT", how the scene engine plays it; "" = it cannot.
        record: it starts from; None = from nothing. The scene engine makes one where it plays every role.
        options: of a spec, typed, in `context.options`.
        calls: prompts that a sample may ask more than once, and how often.
        distinct: samples after which what it starts from comes again; 0 = never.
        imports: rows are from an existing dataset, so they are neither "generated" nor "procedural".
    """

    name: str
    task: str
    version: int
    folder: Path
    prompts: tuple[str, ...]
    make: Callable[["Context"], Awaitable[Made]]
    script: str = ""
    record: type[RecordModel] | None = None
    options: type[Options] = Options
    calls: Mapping[str, int] = field(default_factory=dict)
    distinct: int = 0
    imports: bool = False

    @property
    def prompt_folders(self) -> tuple[Path, ...]:
        return self.folder / "prompts", SHARED_PROMPTS


class Context:
    """One sample under way."""

    def __init__(
        self,
        *,
        recipe: Recipe,
        prompts: Mapping[str, Prompt],
        sample: str,
        index: int,
        seed: int,
        record: Record,
        options: Options,
        calls: CallSite,
        seats: Mapping[str, Seat],
        blobs: Blobs,
    ) -> None:
        self.recipe, self.sample, self.index, self.seed = recipe, sample, index, seed
        self.record, self.options = record, options
        self._prompts, self._calls, self._seats, self._blobs = prompts, calls, seats, blobs
        self._asked: Counter[str] = Counter()
        self.trail: list[dict[str, Any]] = []  # for provenance: step, prompt, model, key

    def stream(self, *purpose: str | int) -> Stream:
        """Random numbers of this sample."""
        return Stream("recipe", self.recipe.name, self.seed, self.index, *purpose)

    async def ask(self, name: str, *images: Blob, **values: Any) -> dict[str, Any]:
        """A chat prompt filled with values, with pictures -> the reply by the prompt's schema."""
        return (await self._call(name, images, values)).value

    async def draw(self, name: str, *images: Blob, **values: Any) -> Blob:
        """A picture, from words or from words and a picture."""
        made = await self._call(name, images, values)
        if not made.pictures:
            reject(self._prompts[name].step, "no_picture")
        return made.pictures[0]

    async def retrieve(self, name: str, *images: Blob, **values: Any) -> tuple[Blob, ...]:
        """Pictures that may fit, best first."""
        return (await self._call(name, images, values)).pictures

    async def keep(self, content: bytes) -> Blob:
        """A picture that no model made, written down."""
        return await asyncio.to_thread(self._blobs.put, content)

    def bytes_of(self, blob: Blob) -> bytes:
        return self._blobs.read(blob)

    def model_of(self, name: str) -> str | None:
        """Who answers a prompt; None = nobody."""
        seat = self._seat(name)
        return seat.model if seat else None

    def _seat(self, name: str) -> Seat | None:
        asked = self._prompts.get(name)
        return (self._seats.get(f"{asked.role}.{asked.step}") or self._seats.get(asked.role)) if asked else None

    async def _call(self, name: str, images: tuple[Blob, ...], values: dict[str, Any]) -> Answer:
        asked, seat = self._prompts.get(name), self._seat(name)
        if asked is None or seat is None:
            raise UsageError(f"{self.recipe.name} asks {name}, which is not among its prompts")
        request = self._request(asked, images, values)
        try:
            answer = await self._calls.call(seat, request, sample=self.sample)
        except CallFailed as error:
            if error.state == "rejected":
                raise Rejected(asked.step, error.reason, error.detail) from error
            raise StepFailed(asked.step, error) from error
        self.trail.append(
            {"step": name, "prompt_sha256": asked.sha256, "model": seat.model, "seed": request.seed, "call": answer.key}
        )
        return answer

    def _request(self, asked: Prompt, images: tuple[Blob, ...], values: dict[str, Any]) -> Request:
        recipe, ordinal, user = self.recipe, self._asked[asked.name], asked.fill(values)
        self._asked[asked.name] += 1
        if self._asked[asked.name] > recipe.calls.get(asked.name, 1):
            raise UsageError(f"{recipe.name} asks {asked.name} more often than its `calls` say")
        if not user:
            reject(asked.step, "empty_prompt")
        return Request(
            kind=asked.kind,
            step=asked.step,
            system=asked.system,
            user=user,
            images=tuple(self._blobs.read(image) for image in images),
            images_sha256=tuple(image.sha256 for image in images),
            schema=asked.schema,
            seed=number_of(digest([recipe.name, self.seed, self.index, asked.name, ordinal]), 2**31),
            origin=Origin(
                recipe=recipe.name,
                seed=self.seed,
                index=self.index,
                ordinal=ordinal,
                values=values,
                script=recipe.script,
            ),
            prompt_sha256=asked.sha256,
        )


class StepFailed(Exception):
    """An answer could not be had; the sample may be tried again."""

    def __init__(self, step: str, error: CallFailed) -> None:
        super().__init__(f"{step}: {error}")
        self.step, self.error = step, error


def to_row(context: Context, made: Made, *, is_procedural: bool, safety: Mapping[str, Any]) -> Row:
    """The finished, checked row. Args: safety: verdict, for provenance."""
    recipe, task = context.recipe, find_task(context.recipe.task)
    origin = "upstream" if recipe.imports else "procedural" if is_procedural else "generated"
    id = f"{task.prefix}-{origin[:4]}-{context.sample[:20]}"
    turns = [
        (role, parts) for turn in made.turns for role, parts in (("user", turn.user), ("assistant", turn.assistant))
    ]
    messages = (
        *([Message("system", (Part("text", made.system),))] if made.system else []),
        *(_message(role, parts) for role, parts in turns),
    )
    shown = [part for part in made.parts if isinstance(part, Shown)]
    provenance = {
        "recipe": recipe.name,
        "version": recipe.version,
        "seed": context.seed,
        "index": context.index,
        "safety": dict(safety),
        **made.facts,
    }
    if context.record.sha256:
        provenance["record_sha256"] = context.record.sha256
    row = Row(
        id=id,
        task=task.name,
        quadrant=quadrant_of(messages),
        source=made.source or (SOURCE if is_procedural else ""),
        license=made.license or (LICENSE if is_procedural else ""),
        origin=origin,
        messages=messages,
        images=tuple(
            EncodedImage(context.bytes_of(each.blob), f"{id}-{number}.{each.blob.suffix or 'bin'}")
            for number, each in enumerate(shown)
        ),
        image_roles=tuple(each.role for each in shown),
        image_captions=tuple(each.caption for each in shown),
        instruction=made.instruction or text_of(messages, "user"),
        rationale=made.rationale,
        answer=made.answer,
        regions=made.regions,
        provenance=canonical(
            {**provenance, "images_sha256": [each.blob.sha256 for each in shown], "calls": context.trail}
        ),
    )
    check_row(row)
    return row


def _message(role: str, parts: tuple[str | Shown, ...]) -> Message:
    return Message(
        role,
        tuple(
            Part("text", part) if isinstance(part, str) else IMAGE_PART
            for part in parts
            if not isinstance(part, str) or part.strip()
        ),
    )


__all__ = ["Context", "Made", "Recipe", "Record", "Rejected", "Shown", "StepFailed", "Turn", "reject", "to_row"]
