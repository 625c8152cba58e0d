"""One sample: a record and a recipe -> a row; and the row as the journal holds it."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

from toolkit.errors import RunStopped
from toolkit.generation.calls.budget import Budget
from toolkit.generation.calls.calls import CallSite
from toolkit.generation.calls.seats import Seat
from toolkit.generation.core.blobs import Blob, Blobs
from toolkit.generation.core.columns import draw_columns
from toolkit.generation.core.keys import canonical, digest, number_of
from toolkit.generation.core.protocol import Draw
from toolkit.generation.core.spec import RunSpec
from toolkit.generation.journal import Journal
from toolkit.generation.journal.reading import redraws
from toolkit.generation.procedural.procedural import script_of
from toolkit.generation.recipes.recipe import Context, Drawn, Made, Rejected, StepFailed
from toolkit.generation.recipes.rows import to_row
from toolkit.generation.recipes.safety import safety_of
from toolkit.generation.runs.plans import Planned, columns_named, player_of
from toolkit.generation.runs.seats import open_seats
from toolkit.scene.names import ENGINE
from toolkit.scene.streams import Stream
from toolkit.schema import Row


async def make_row(
    spec: RunSpec,
    planned: Planned,
    index: int,
    id: str,
    *,
    redraw: int,
    calls: CallSite,
    seats: Mapping[str, Seat],
    blobs: Blobs,
) -> Row:
    """
    Args:
        redraw: how often the sample was put back to be made anew; each time it has a seed of its own, and so scenes,
            prompts and calls of its own.

    Raises:
        Rejected, RowError: the sample is no good. StepFailed: it could not be finished.
    """
    seed = number_of(digest([spec.seed, "redraw", redraw]), 2**31) if redraw else spec.seed
    read, is_instant = planned.records.read, planned.records.is_instant
    record = read(index, seed) if is_instant else await asyncio.to_thread(read, index, seed)
    context = Context(
        recipe=planned.recipe,
        prompts=planned.prompts,
        sample=id,
        index=index,
        seed=seed,
        record=record,
        options=planned.options,
        drawn=_drawn(spec, planned, index, seed),
        calls=calls,
        seats=_players(spec, planned, index, seats),
        blobs=blobs,
    )
    made: Made = await planned.recipe.make(context)
    return to_row(context, made, is_procedural=spec.is_procedural, safety=await safety_of(context, made))


def _drawn(spec: RunSpec, planned: Planned, index: int, seed: int) -> Drawn:
    named = columns_named(spec, planned.prompts.values()) if spec.columns else set()
    columns = {name: each for name, each in spec.columns.items() if name in named}
    drawn = draw_columns(columns, Stream("columns", planned.recipe.name, seed, index))
    topic = planned.topics.pair(index, seed)
    if not spec.is_procedural:
        return Drawn(topic=topic, columns=drawn)
    script, draw = script_of(planned.recipe.script), Draw.of(seed, index, spec.difficulty)
    known = script.facts if not planned.records.is_given else None
    return Drawn(
        topic=script.topic(draw) if script.topic else topic,
        columns=drawn,
        scene={"engine": ENGINE, "difficulty": draw.level, **known(draw)} if known else {},
    )


def _players(spec: RunSpec, planned: Planned, index: int, seats: Mapping[str, Seat]) -> dict[str, Seat]:
    return {role: seats[player_of(spec, planned.recipe.name, role, index)] for role in planned.roles}


def run_one(spec: RunSpec, planned: Planned, index: int, folder: Path, *, replay: Path) -> Row:
    """One sample, made from the journals of a run, in a folder of its own.

    Raises:
        RunStopped: an answer it needs is not there.
    """

    async def one() -> Row:
        seats = open_seats(spec, [planned], folder, replay)
        journal, blobs = Journal(folder / "journal.sqlite3"), Blobs(folder / "blobs")
        calls = CallSite(journal, blobs, Budget(None), attempts=1)
        id = planned.id(index)
        try:
            return await make_row(
                spec,
                planned,
                index,
                id,
                redraw=redraws(replay).get(id, 0),
                calls=calls,
                seats=seats.by_name,
                blobs=blobs,
            )
        except (Rejected, StepFailed) as error:
            raise RunStopped(f"{planned.recipe.name}: sample {index}: {error}") from error
        finally:
            journal.close()
            await seats.close()

    return asyncio.run(one())


def row_to_json(row: Row) -> str:
    """A row as the journal holds it: pictures by their hash, in `provenance`."""
    return canonical({**row.to_dict(), "images": [image.path for image in row.images]})


def row_from_json(text: str, blobs: Blobs) -> Row:
    columns = json.loads(text)
    shas = json.loads(columns["provenance"])["images_sha256"]
    images = []
    for path, sha256 in zip(columns["images"], shas, strict=True):
        suffix = path.rpartition(".")[2]
        images.append({"path": path, "bytes": blobs.read(Blob(sha256, "" if suffix == "bin" else suffix))})
    return Row.from_dict({**columns, "images": images})
