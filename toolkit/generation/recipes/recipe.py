"""What a recipe is written in: a context that asks, draws and looks; pieces of a row; and a word for no.

A recipe is one async function, Context -> Made, whose steps are its lines. It never calls a model but through the
context, and draws nothing at random but from its streams, so that a sample is a pure function of its index and the
answers it got.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from toolkit.errors import UsageError
from toolkit.generation.calls.calls import Answer, CallFailed, CallSite, Seat
from toolkit.generation.core.blobs import Blob, Blobs
from toolkit.generation.core.keys import canonical, digest, number_of
from toolkit.generation.core.prompting import prompt
from toolkit.generation.core.protocol import Origin, Request
from toolkit.generation.core.spec import RunSpec
from toolkit.scene.names import LICENSE, SOURCE
from toolkit.scene.streams import Stream
from toolkit.schema import IMAGE_PART, EncodedImage, Message, Part, Region, Row, check_row, quadrant_of, text_of
from toolkit.tasks import find_task

SAFETY_PROMPT = "safety@1"


class Rejected(Exception):
    """This sample is no good, and why.

    Args:
        step: where it was seen; reason: one word or two, counted; detail: for whoever looks.
    """

    def __init__(self, step: str, reason: str, detail: str = "") -> None:
        super().__init__(f"{step}: {reason}: {detail}")
        self.step, self.reason, self.detail = step, reason, detail


def reject(step: str, reason: str, detail: object = "") -> NoReturn:
    raise Rejected(step, reason, str(detail)[:500])


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A picture in a row."""

    blob: Blob
    role: str
    caption: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A row before it is one: turns of texts and pictures in reading order, and the plain texts.

    Attributes:
        instruction: "" = the user's texts.
        facts: what else is known of it, JSON-ready, for provenance.
        system: of the conversation; "" = none.
    """

    user: tuple[str | Shown, ...]
    assistant: tuple[str | Shown, ...]
    instruction: str = ""
    rationale: str = ""
    answer: str
    regions: tuple[Region, ...] = ()
    source: str = ""
    license: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    system: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a sample starts from: named values, and encoded pictures by name."""

    sha256: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    images: Mapping[str, bytes] = field(default_factory=dict)

    def text(self, name: str, default: str = "") -> str:
        return str(self.values.get(name) or default)

    def image(self, name: str) -> bytes:
        if name not in self.images:
            reject(
                "source",
                "no_image",
                f"the record has no picture {name!r}; it has: {', '.join(sorted(self.images)) or 'none'}",
            )
        return self.images[name]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """
    Attributes:
        name: a key of `recipes.RECIPES`.
        task: of its rows.
        version: raise it when rows change for the same answers.
        prompts: it may ask; a test holds this list and the calls together.
        make: one sample.
        record: it starts from: "" = from nothing, "drawn" = the scene engine or a file, "file" = a file only.
        imports: rows are somebody else's, so they say neither "generated" nor "procedural".
    """

    name: str
    task: str
    version: int
    prompts: tuple[str, ...]
    make: Callable[["Context"], Awaitable[Made]]
    record: str = ""
    imports: bool = False

    def seats(self, spec: RunSpec) -> tuple[str, ...]:
        """Who is asked, by the names of the spec's backends."""
        safety = {"safety"} if "safety" in spec.backends else set()
        return tuple(sorted({spec.seat(prompt(name).role, prompt(name).step) for name in self.prompts} | safety))


class Context:
    """One sample under way."""

    def __init__(
        self,
        *,
        recipe: Recipe,
        sample: str,
        index: int,
        seed: int,
        record: Record,
        options: Mapping[str, Any],
        calls: CallSite,
        seats: Mapping[str, Seat],
        blobs: Blobs,
    ) -> None:
        self.recipe, self.sample, self.index, self.seed, self.record, self.options = (
            recipe,
            sample,
            index,
            seed,
            record,
            options,
        )
        self._calls, self._seats, self._blobs = calls, seats, blobs
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
            reject(prompt(name).step, "no_picture")
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
        asked = prompt(name)
        return self._seats.get(f"{asked.role}.{asked.step}") or self._seats.get(asked.role)

    async def _call(self, name: str, images: tuple[Blob, ...], values: dict[str, Any]) -> Answer:
        asked = prompt(name)
        ordinal = self._asked[name]
        self._asked[name] += 1
        seat = self._seat(name)
        if seat is None:
            raise UsageError(
                f"backends: nobody answers {asked.role!r}, and {self.recipe.name} asks {name}; add {asked.role!r} or "
                "'all' to the spec"
            )
        request = Request(
            kind=asked.kind,
            step=asked.step,
            system=asked.system,
            user=asked.fill(values),
            images=tuple(self._blobs.read(image) for image in images),
            schema=asked.schema,
            seed=number_of(digest([self.recipe.name, self.seed, self.index, name, ordinal]), 2**31),
            origin=Origin(recipe=self.recipe.name, seed=self.seed, index=self.index, ordinal=ordinal, values=values),
        )
        try:
            answer = await self._calls.call(seat, request, prompt_sha256=asked.sha256, sample=self.sample)
        except CallFailed as error:
            if error.state == "rejected":
                raise Rejected(asked.step, error.reason, error.detail) from error
            raise StepFailed(asked.step, error) from error
        self.trail.append(
            {"step": name, "prompt_sha256": asked.sha256, "model": seat.model, "seed": request.seed, "call": answer.key}
        )
        return answer


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
    turns = [("user", made.user), ("assistant", made.assistant)]
    messages = (
        *([Message("system", (Part("text", made.system),))] if made.system else []),
        *(_message(role, parts) for role, parts in turns),
    )
    shown = [part for _, parts in turns for part in parts if isinstance(part, Shown)]
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
