"""A tree of topics, grown by the text model and kept in a file: what is there is never asked for again, so the tree
only grows, and rows that start from it stay what they are as long as the file does.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from toolkit.errors import RunStopped
from toolkit.generation.calls.budget import Budget
from toolkit.generation.calls.calls import CallSite
from toolkit.generation.calls.seats import CallFailed, Seat
from toolkit.generation.core.blobs import Blobs
from toolkit.generation.core.keys import digest, number_of
from toolkit.generation.core.prompting import Prompt, find_own, find_prompts
from toolkit.generation.core.protocol import Origin, Request
from toolkit.generation.core.spec import RunSpec
from toolkit.generation.core.topics import TOPICS, WAY, leaves, read_tree
from toolkit.generation.journal import Journal
from toolkit.generation.journal.reading import spent
from toolkit.generation.recipes.recipe import SHARED_PROMPTS
from toolkit.generation.runs.seats import open_named
from toolkit.staging.files import write_whole
from toolkit.staging.locks import hold

PROMPT = "expand_topic@1"
FOLDER = "topics"  # in that of the run, with a journal of its own


def expand(spec: RunSpec, folder: Path, out: Path, to: int) -> int:
    """Ask for narrower topics of every leaf, level by level, until there are so many; returns how many there are.

    Args:
        folder: of the run; the cap of the spec holds for these calls by themselves.
        out: the tree; if it is there it grows, else that of the spec, or ours, is where it begins.

    Raises:
        RunStopped: the model gave nothing new.
    """
    with hold(folder / FOLDER / "LOCK", busy=f"{folder}: another process grows topics there; wait for it"):
        begun = read_tree(out if out.exists() else Path(spec.topics)) if out.exists() or spec.topics else list(TOPICS)
        content = begun if isinstance(begun, dict) and begun.keys() <= {"topics", "scenes"} else {"topics": begun}
        return asyncio.run(_expand(spec, folder / FOLDER, out, to, content, _as_mapping(content["topics"], out)))


async def _expand(
    spec: RunSpec, folder: Path, out: Path, to: int, content: dict[str, Any], tree: dict[str, Any]
) -> int:
    own = find_own(Path(spec.prompts), [PROMPT]) if spec.prompts else {}
    prompt = (find_prompts([PROMPT], [SHARED_PROMPTS]) | own)[PROMPT]
    names = [name for _, name in spec.players(spec.seat(prompt.role, prompt.step))][:1]
    path = folder / "journal.sqlite3"
    seats, journal = open_named(spec, names, folder, None), Journal(path)
    calls = CallSite(journal, Blobs(folder / "blobs"), Budget(spec.max_usd, spent=spent(path)), attempts=spec.attempts)
    try:
        while (count := len(list(leaves(tree, out)))) < to:
            ways = list(_ways(tree))[: to - count]
            turn = asyncio.Semaphore(spec.concurrency)
            asked = [_ask(spec, calls, seats.by_name[names[0]], prompt, way, turn) for way in ways]
            known = {_plain(way[-1]) for way in _ways(tree)}
            for way, found in zip(ways, await all_of(asked), strict=True):
                fresh = [each for each in dict.fromkeys(found) if _plain(each) not in known]
                known |= set(map(_plain, fresh))
                _at(tree, way[:-1])[way[-1]] = dict.fromkeys(fresh) or None
            write_whole(out, yaml.safe_dump({**content, "topics": tree}, sort_keys=False, allow_unicode=True))
            if len(list(leaves(tree, out))) <= count:
                raise RunStopped(f"{out}: {count:,} topics; the model gives no narrower ones; begin with other topics")
    finally:
        journal.close()
        await seats.close()
    return count


async def all_of(asked: Iterable[Coroutine[Any, Any, list[str]]]) -> list[list[str]]:
    """What they return; none goes on where one fails, as what they ask is closed then."""
    tasks = [asyncio.create_task(each) for each in asked]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _ask(
    spec: RunSpec, calls: CallSite, seat: Seat, prompt: Prompt, way: tuple[str, ...], turn: asyncio.Semaphore
) -> list[str]:
    request = Request(
        kind="chat",
        step=prompt.step,
        system=prompt.system,
        user=prompt.fill({"topic": WAY.join(way)}),
        schema=prompt.schema,
        seed=number_of(digest([spec.seed, *way]), 2**31),
        origin=Origin(recipe=FOLDER, seed=spec.seed, index=0),
        prompt_sha256=prompt.sha256,
    )
    async with turn:
        try:
            answer = await calls.call(seat, request, sample=WAY.join(way))
        except CallFailed as error:
            if error.state != "rejected":
                raise RunStopped(f"{WAY.join(way)}: {error}") from error
            return []
    return [each.strip() for each in answer.value["topics"] if each.strip()]


def _as_mapping(tree: Any, out: Path) -> dict[str, Any]:
    """Lists and leaves as mappings, so that each may grow."""
    if isinstance(tree, dict):
        return {str(name): _as_mapping(below, out) if below else None for name, below in tree.items()}
    if isinstance(tree, list):
        joined: dict[str, Any] = {}
        for each in tree:
            joined |= _as_mapping(each, out)
        return joined
    return dict.fromkeys(leaves(tree, out))


def _ways(tree: dict[str, Any], way: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """To every leaf."""
    for name, below in tree.items():
        if below:
            yield from _ways(below, (*way, name))
        else:
            yield (*way, name)


def _at(tree: dict[str, Any], way: tuple[str, ...]) -> dict[str, Any]:
    for name in way:
        tree = tree[name]
    return tree


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
