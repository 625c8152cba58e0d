"""Seats of a run: each role with the backend that plays it, opened once, with what is known of its server."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from toolkit.generation.backends import common_options, get_backend, open_backend
from toolkit.generation.calls.limits import Lane
from toolkit.generation.calls.prices import Asked, Price
from toolkit.generation.calls.seats import Seat
from toolkit.generation.calls.sending import BATCH_TIMEOUT_S, CALL_TIMEOUT_S
from toolkit.generation.core.keys import canonical, digest
from toolkit.generation.core.protocol import Backend
from toolkit.generation.core.spec import BackendSpec, RunSpec
from toolkit.generation.journal.reading import learned
from toolkit.generation.runs.plans import Planned, price_for


@dataclass(kw_only=True)
class Seats:
    """All of a run, by the names of the spec's backends."""

    by_name: dict[str, Seat] = field(default_factory=dict)
    _opened: dict[str, tuple[Backend, Lane]] = field(default_factory=dict)

    def stop(self) -> None:
        """Nobody waits for a turn any longer."""
        for _, lane in self._opened.values():
            lane.stop()

    async def close(self) -> None:
        await asyncio.gather(*(backend.close() for backend, _ in self._opened.values()))


def open_seats(spec: RunSpec, planned: list[Planned], folder: Path, replay: Path | None) -> Seats:
    """Those of the recipes of a run. What is replayed costs nothing.

    Args:
        folder: of the part of the run.
    """
    return open_named(spec, sorted({name for each in planned for name in each.seats}), folder, replay)


def open_named(spec: RunSpec, names: Iterable[str], folder: Path, replay: Path | None) -> Seats:
    """Those of these names of the spec's backends; one that plays several roles is opened once."""
    open_with, seats = _opener(spec, folder, replay), Seats()
    journal = folder / "journal.sqlite3"
    known = learned(journal) if journal.exists() else {}
    for name in names:
        backend = spec.backend(name)
        options = canonical([backend.kind, dict(backend.options)])
        if options not in seats._opened:
            opened = open_with(name)
            if facts := known.get(digest(backend.identity())):
                opened.learned = facts
            seats._opened[options] = opened, _lane(spec, backend, is_replayed=replay is not None)
        opened, lane = seats._opened[options]
        seats.by_name[name] = Seat(
            role=name,
            identity=backend.identity(),
            model=backend.model,
            backend=opened,
            price=Price() if replay else price_for(backend, spec.prices),
            lane=lane,
            asked=Asked.by(backend.options.get("params") or {}),
        )
    return seats


def _lane(spec: RunSpec, backend: BackendSpec, *, is_replayed: bool) -> Lane:
    """Models of this process and batches take what they are given; servers are tried out."""
    common = common_options(backend)
    if is_replayed or get_backend(backend).is_local:
        return Lane(name=backend.model, most=common.max_parallel, adapts=False)
    if backend.is_batch:
        return Lane(name=backend.model, adapts=False, timeout_s=BATCH_TIMEOUT_S)
    return Lane(
        name=backend.model,
        most=min(spec.concurrency, common.max_parallel or spec.concurrency),
        per_minute=common.requests_per_minute,
        timeout_s=common.timeout_s or CALL_TIMEOUT_S,
    )


def _opener(spec: RunSpec, folder: Path, replay: Path | None) -> Callable[[str], Backend]:
    if replay is None:
        return lambda role: open_backend(spec.backend(role), folder)
    from toolkit.generation.calls.replay import Replay

    return lambda role: Replay(replay, spec.backend(role).identity())
