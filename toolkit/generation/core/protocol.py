"""What a backend is sent and what comes back; and the ways a call can go wrong.

CallError
|-- Transient     429, 5xx, timeout, reset, a body that cannot be read: sent again, after `retry_after_s` if the server
says so
|-- Refused       the model will not, or the request is not accepted: the sample is rejected, never sent again
`-- Fatal         no key, no such model: the run stops
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from toolkit.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a call used; None = the server did not say."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    images: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where in a run a request comes from; only backends in this process read it, servers never see it.

    Attributes:
        recipe: as the spec calls it.
        ordinal: how often the sample asked this prompt before.
        values: that the prompt was filled with.
        script: of the recipe, for the scene engine.
    """

    recipe: str
    seed: int
    index: int
    ordinal: int = 0
    values: dict[str, Any] = field(default_factory=dict)
    script: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call.

    Attributes:
        kind: "chat" -> text by a schema; "generate", "edit" -> a picture; "retrieve" -> pictures and their captions.
        step: name of the prompt.
        system, user: the rendered prompt; `user` is the prompt of a picture, or the words looked for.
        images: encoded pictures that go with it.
        schema: JSON schema of the reply.
        history: earlier (role, text) turns, for a repair.
        seed: of this call.
        prompt_sha256: of the prompt's file.
        key: by which the journal knows it; set where it is sent.
    """

    kind: Literal["chat", "generate", "edit", "retrieve"]
    step: str
    system: str = ""
    user: str
    images: tuple[bytes, ...] = ()
    schema: dict[str, Any] | None = None
    history: tuple[tuple[str, str], ...] = ()
    seed: int
    origin: Origin
    prompt_sha256: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer.

    Attributes:
        raw: the body as received, pictures taken out.
        text: of the answer.
        pictures: encoded.
    """

    raw: str
    text: str = ""
    pictures: tuple[bytes, ...] = ()
    usage: Usage = Usage()


class Backend(ABC):
    """Answers calls. A kind of backend is one class; an instance serves every role with the same options.

    Attributes:
        is_free: its calls cost nothing.
        takes_batches: its calls can also be sent as batches.
    """

    is_free: ClassVar[bool] = False
    takes_batches: ClassVar[bool] = False

    @classmethod
    def from_options(cls, options: dict[str, Any]) -> "Backend":
        """
        Raises:
            UsageError: options it does not take. MissingExtra: a package is not installed.
        """
        raise UsageError(f"{cls.__name__} is not a backend that a spec can name")

    @abstractmethod
    async def send(self, request: Request) -> Reply:
        """
        Raises:
            CallError: Transient, Refused or Fatal.
        """

    async def close(self) -> None:  # noqa: B027
        """Nothing is sent any more."""


class CallError(Exception):
    """A call without a usable answer.

    Args:
        problem: one word or two, under which it is counted.
        raw: body as received.
    """

    def __init__(
        self, problem: str, *, detail: str = "", raw: str = "", status: int = 0, usage: Usage | None = None
    ) -> None:
        super().__init__(f"{problem}: {detail}" if detail else problem)
        self.problem, self.detail, self.raw, self.status, self.usage = problem, detail, raw, status, usage


class Transient(CallError):
    def __init__(self, problem: str, *, retry_after_s: float | None = None, **rest: Any) -> None:
        super().__init__(problem, **rest)
        self.retry_after_s = retry_after_s


class Refused(CallError):
    pass


class Fatal(CallError):
    pass
