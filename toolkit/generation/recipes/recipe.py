"""What a recipe is written in: a context that asks, draws and looks; pieces of a row; and a word for no.

A recipe is one async function, Context -> Made, whose steps are its lines. It never calls a model but through the
context, and draws nothing at random but from its streams, so that a sample is a pure function of its index and the
answers it got.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from toolkit.errors import UsageError
from toolkit.generation.calls.calls import Answer, CallSite
from toolkit.generation.calls.seats import CallFailed, Seat
from toolkit.generation.core.blobs import Blob, Blobs
from toolkit.generation.core.keys import digest, number_of
from toolkit.generation.core.options import Options
from toolkit.generation.core.prompting import Prompt
from toolkit.generation.core.protocol import Origin, Request
from toolkit.generation.core.records import Record, RecordModel, Rejected, reject
from toolkit.scene.streams import Stream
from toolkit.schema import Region
from toolkit.tasks import Task, find_task

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
        task: of its rows, by name; or one of its own.
        version: raise it when rows change for the same answers.
        folder: where it is; its own prompts are in `prompts` there.
        prompts: it may ask, of its own or of those that recipes share; a test holds this list and the calls together.
        make: one sample.
        script: "module:SCRIPT" or "path/to/file.py:SCRIPT", how the scene engine plays it; "" = it cannot.
        record: it starts from; None = from nothing. The scene engine makes one where it plays every role.
        needs_record: False = where the spec has no source, samples start from what they start from without records.
        starting: prompts, of those it may ask, that are asked only of samples without a record.
        options: of a spec, typed, in `context.options`.
        calls: prompts that a sample may ask more than once, and how often.
        topics: it starts from topics, so samples repeat where there are more of them.
        imports: rows are from an existing dataset, so they are neither "generated" nor "procedural".
    """

    name: str
    task: str | Task
    version: int
    folder: Path
    prompts: tuple[str, ...]
    make: Callable[["Context"], Awaitable[Made]]
    script: str = ""
    record: type[RecordModel] | None = None
    needs_record: bool = True
    starting: tuple[str, ...] = ()
    options: type[Options] = Options
    calls: Mapping[str, int] = field(default_factory=dict)
    topics: bool = False
    imports: bool = False

    @property
    def row_task(self) -> Task:
        """
        Raises:
            UnknownName: no such task.
        """
        return self.task if isinstance(self.task, Task) else find_task(self.task)

    @property
    def prompt_folders(self) -> tuple[Path, ...]:
        return self.folder / "prompts", SHARED_PROMPTS

    def with_records(self) -> "Recipe":
        """What it is where all samples have a record: of what it could start from without, nothing is asked."""
        if self.needs_record:
            return self
        return replace(self, prompts=tuple(each for each in self.prompts if each not in self.starting), topics=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What a sample starts from besides its record.

    Attributes:
        topic: `topic` and `scene`.
        columns: of the spec.
        scene: what the scene engine knows of the sample, JSON-ready, for provenance.
    """

    topic: dict[str, str] = field(default_factory=dict)
    columns: Mapping[str, Any] = field(default_factory=dict)
    scene: Mapping[str, Any] = field(default_factory=dict)


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
        drawn: Drawn,
        calls: CallSite,
        seats: Mapping[str, Seat],
        blobs: Blobs,
    ) -> None:
        self.recipe, self.sample, self.index, self.seed = recipe, sample, index, seed
        self.record, self._drawn = record, drawn
        self.options: Any = options  # of the class that the recipe declares
        self._prompts, self._calls, self._seats, self._blobs = prompts, calls, seats, blobs
        self._held: dict[Blob, bytes] = {}  # pictures of this sample, as long as it is under way
        self._asked: Counter[str] = Counter()
        self.trail: list[dict[str, Any]] = []  # for provenance: step, prompt, model, key
        self.verdicts: list[dict[str, Any]] = []  # and what judges said

    def stream(self, *purpose: str | int) -> Stream:
        """Random numbers of this sample."""
        return Stream("recipe", self.recipe.name, self.seed, self.index, *purpose)

    @property
    def columns(self) -> Mapping[str, Any]:
        """Of the spec, as drawn for this sample."""
        return self._drawn.columns

    @property
    def scene(self) -> Mapping[str, Any]:
        """What the scene engine knows of this sample; empty where models play."""
        return self._drawn.scene

    def topic(self) -> dict[str, str]:
        """`topic` and `scene` of this sample; where the scene engine plays, of what it draws."""
        return self._drawn.topic

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
        blob = await asyncio.to_thread(self._blobs.put, content)
        self._held[blob] = content
        return blob

    def bytes_of(self, blob: Blob) -> bytes:
        if blob not in self._held:
            self._held[blob] = self._blobs.read(blob)
        return self._held[blob]

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
        if asked.role == "judge" and asked.kind == "chat":
            self.verdicts.append({"step": name, **answer.value})
        return answer

    def _request(self, asked: Prompt, images: tuple[Blob, ...], values: dict[str, Any]) -> Request:
        recipe, ordinal = self.recipe, self._asked[asked.name]
        user = asked.fill({**self.columns, **values})
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
            images=tuple(map(self.bytes_of, images)),
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


__all__ = ["Context", "Made", "Recipe", "Record", "Rejected", "Shown", "StepFailed", "Turn", "reject"]
