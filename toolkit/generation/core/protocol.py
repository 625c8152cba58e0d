"""What a backend is sent and what comes back; and the ways a call can go wrong.

CallError
|-- Transient       429, 5xx, timeout, reset, a body that cannot be read: sent again, after `retry_after_s` if the
|                   server says so
|-- Adapted         the server does not know a part of the request; it is sent again without, and so are all others
|-- Refused         the model will not answer: the sample is rejected, never sent again
|   `-- BadRequest  the server does not accept the request: the sample's fault if it accepted others, else the spec's
`-- Fatal           no key, no such model, no credit: the run stops
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from toolkit.errors import UsageError
from toolkit.generation.core.options import Options
from toolkit.scene.difficulty import LEVELS, MIXED, USUAL
from toolkit.scene.streams import Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a call used; None = the server did not say.

    Attributes:
        input_tokens: image tokens among them.
        input_image_tokens: of the pictures that were sent.
        images: pictures made.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    input_image_tokens: int | None = None
    images: int | None = None


@dataclass(frozen=True, slots=True)
class Draw:
    """Which of the scene engine's drawings a sample is; `level` is one of `difficulty.LEVELS`."""

    seed: int
    index: int
    level: str = USUAL

    @property
    def key(self) -> tuple[int | str, ...]:
        """For streams."""
        return self.seed, self.index, self.level

    @classmethod
    def of(cls, seed: int, index: int, difficulty: str) -> "Draw":
        """
        Args:
            difficulty: a level, or "mixed".
        """
        mixed = difficulty == MIXED
        return cls(seed, index, Stream("difficulty", seed, index).pick(tuple(LEVELS)) if mixed else difficulty)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where in a run a request comes from; only backends in this process read it, servers never see it.

    Attributes:
        recipe: as the spec calls it.
        ordinal: how often the sample asked this prompt before.
        values: that the prompt was filled with.
        script: of the recipe, for the scene engine.
        difficulty: of what it draws.
    """

    recipe: str
    seed: int
    index: int
    ordinal: int = 0
    values: dict[str, Any] = field(default_factory=dict)
    script: str = ""
    difficulty: str = USUAL

    @property
    def draw(self) -> Draw:
        return Draw.of(self.seed, self.index, self.difficulty)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call.

    Attributes:
        kind: "chat" -> text by a schema; "generate", "edit" -> a picture; "retrieve" -> pictures and their captions.
        step: name of the prompt.
        system, user: the rendered prompt; `user` is the prompt of a picture, or the words looked for.
        images: encoded pictures that go with it; images_sha256: of each, where they are known.
        schema: JSON schema of the reply.
        history: earlier (role, text) turns, for a repair.
        max_output_tokens: of the reply; None = the backend's own.
        seed: of this call.
        prompt_sha256: of the prompt's file.
        key: by which the journal knows it; set where it is sent.
    """

    kind: Literal["chat", "generate", "edit", "retrieve"]
    step: str
    system: str = ""
    user: str
    images: tuple[bytes, ...] = ()
    images_sha256: tuple[str, ...] = ()
    schema: dict[str, Any] | None = None
    history: tuple[tuple[str, str], ...] = ()
    max_output_tokens: int | None = None
    seed: int
    origin: Origin
    prompt_sha256: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer.

    Attributes:
        raw: the body as received, pictures taken out; bytes if it is no text.
        text: of the answer.
        is_cut: the text ends where `max_output_tokens` did.
        pictures: encoded.
    """

    raw: str | bytes
    text: str = ""
    is_cut: bool = False
    pictures: tuple[bytes, ...] = ()
    usage: Usage = Usage()


class Backend(ABC):
    """Answers calls. A kind of backend is one class; an instance serves every role with the same options.

    Attributes:
        is_free: its calls cost nothing.
        is_local: it answers in this process, one call after another, so that waiting says nothing.
        takes_batches: its calls can also be sent as batches.
        options: of it, as a spec may set them; None = `from_options` knows.
        learned: what its server does not know, JSON-ready; kept in the journal, and given back when it is opened again.
            Replaced as a whole where it changes.
    """

    is_free: ClassVar[bool] = False
    is_local: ClassVar[bool] = False
    takes_batches: ClassVar[bool] = False
    options: ClassVar[type[Options] | None] = None
    learned: Mapping[str, Any] = MappingProxyType({})

    @classmethod
    def from_options(cls, options: dict[str, Any]) -> "Backend":
        """
        Raises:
            UsageError: options it does not take. MissingExtra: a package is not installed.
        """
        raise UsageError(f"{cls.__name__} is not a backend that a spec can name")

    @classmethod
    def takes(cls, kind: str, step: str, options: Mapping[str, Any]) -> bool:
        """Whether requests of a kind and a step are answered with these options; asked before anything is sent."""
        return True

    @abstractmethod
    async def send(self, request: Request) -> Reply:
        """
        Raises:
            CallError: as drawn at the top of this module.
        """

    def holds(self, key: str) -> bool:
        """Whether an earlier process sent this call, and its answer is still to be had."""
        return False

    async def close(self) -> None:  # noqa: B027
        """Nothing is sent any more."""


class CallError(Exception):
    """A call without a usable answer.

    Args:
        problem: one word or two, under which it is counted.
        raw: body as received.
        may_cost: it may be billed although `usage` is unknown.
    """

    def __init__(
        self,
        problem: str,
        *,
        detail: str = "",
        raw: str | bytes = "",
        status: int = 0,
        usage: Usage | None = None,
        may_cost: bool | None = None,
    ) -> None:
        super().__init__(f"{problem}: {detail}" if detail else problem)
        self.problem, self.detail, self.raw, self.status, self.usage = problem, detail, raw, status, usage
        self.may_cost = status == 200 if may_cost is None else may_cost

    @property
    def is_heard(self) -> bool:
        """Whether an answer came."""
        return self.status == 200


class Transient(CallError):
    def __init__(self, problem: str, *, retry_after_s: float | None = None, **rest: Any) -> None:
        super().__init__(problem, **rest)
        self.retry_after_s = retry_after_s


class Adapted(CallError):
    pass


class Refused(CallError):
    pass


class BadRequest(Refused):
    pass


class Fatal(CallError):
    pass
