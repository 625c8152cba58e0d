"""Who is asked what: a role with its backend, the key by which a call is known, and how one fails."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from toolkit.generation.calls.limits import Lane
from toolkit.generation.calls.prices import Asked, Price
from toolkit.generation.core.keys import canonical, digest
from toolkit.generation.core.protocol import Backend, Request


class CallFailed(Exception):
    """A call has no answer, after everything that may be tried.

    Args:
        state: "rejected" if the model answered but the answer is of no use, "failed" if it could not be had, "unproven"
            if the server did not accept it, and no other of its step either so far.
        reason: one word or two.
        key: of the call; step: as `Seat.step` has it.
        message: that stops the run if no other call of the step is accepted.
    """

    def __init__(
        self,
        state: str,
        reason: str,
        detail: str,
        key: str = "",
        *,
        step: tuple[str, str] = ("", ""),
        message: str = "",
    ) -> None:
        super().__init__(f"{reason}: {detail}")
        self.state, self.reason, self.detail, self.key, self.step = state, reason, detail, key, step
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A role with the backend that plays it."""

    role: str
    identity: Mapping[str, Any]
    model: str
    backend: Backend
    price: Price | None
    lane: Lane
    asked: Asked = field(default_factory=Asked)
    identity_sha256: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "identity_sha256", digest(self.identity))

    def step(self, request: Request) -> tuple[str, str]:
        """Calls that a server accepts, or does not, as one: those of a step to a backend."""
        return self.identity_sha256, request.step


def call_key(identity: Mapping[str, Any], request: Request) -> str:
    """Hash of everything an answer depends on."""
    return digest(
        [
            dict(identity),
            request.kind,
            request.step,
            request.prompt_sha256,
            request.system,
            request.user,
            [list(turn) for turn in request.history],
            list(image_hashes(request)),
            request.seed,
            *([request.max_output_tokens] if request.max_output_tokens else []),
        ]
    )


def image_hashes(request: Request) -> tuple[str, ...]:
    """sha256 of each image."""
    return request.images_sha256 or tuple(hashlib.sha256(image).hexdigest() for image in request.images)


def journaled(request: Request, identity: Mapping[str, Any]) -> str:
    """A request as `explain` shows it; pictures by their hash."""
    return canonical(
        {
            "backend": dict(identity),
            "kind": request.kind,
            "system": request.system,
            "user": request.user,
            "history": [list(turn) for turn in request.history],
            "images": list(image_hashes(request)),
            "schema": request.schema,
            "seed": request.seed,
        }
    )
