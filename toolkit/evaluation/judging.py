"""A model that looks at answers and says yes or no: for pictures that the exact verifier cannot read, as photographs.

What it says is an opinion, not a measurement. The command prints the exact score beside it, so that one sees on
pictures in the engine's styles how far to trust it.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.evaluation.answers import Answers, Fault
from toolkit.evaluation.asking import Model, Prompt
from toolkit.evaluation.items import Item
from toolkit.evaluation.scoring import SIZE, item_ids, make_item, names_of
from toolkit.evaluation.statistics import Share, share
from toolkit.scene.render import encode

QUESTION = "Does the answer do everything that the request asks for, and nothing that it rules out? Reply yes or no."


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """
    Attributes:
        says: None = neither yes nor no, or no reply.
    """

    id: str
    part: str
    says: bool | None


def judge(
    path: Path,
    model: Model,
    *,
    wanted: Sequence[str] = (),
    size: int = SIZE,
    on_done: Callable[[int], None] = lambda more: None,
) -> list[Judged]:
    """Show a model each prompt with the answer to it.

    Args:
        path: answers, see `answers`; what cannot be read is left to the exact score.
        wanted: names of parts; none = all.
        size: items of each part.

    Raises:
        SourceError: there are no answers. UnknownName: there is no such part.
    """
    asked = item_ids(names_of(wanted), size)
    answers = Answers(path)
    parts = {id: part for id, part, _ in asked}
    shown = [each for each in (_shown(make_item(*one), answers) for one in asked) if each is not None]
    on_done(len(asked) - len(shown))
    found = []
    for id, written in model(shown):
        text = "" if isinstance(written, Exception) else " ".join(part for part in written if isinstance(part, str))
        found.append(Judged(id=id, part=parts[id], says=verdict_of(text)))
        on_done(1)
    order = {id: number for number, id in enumerate(parts)}
    return sorted(found, key=lambda each: order[each.id])


def verdict_of(text: str) -> bool | None:
    """Yes or no, if a reply says one of them and not the other."""
    words = {word.lower() for word in re.findall(r"[A-Za-z]+", text)} & {"yes", "no"}
    return words == {"yes"} if len(words) == 1 else None


def shares(judged: Sequence[Judged]) -> dict[str, Share]:
    """Part -> share of yes, over the answers that were judged; what was neither counts as no."""
    found: dict[str, list[float]] = {}
    for each in judged:
        found.setdefault(each.part, []).append(each.says is True)
    return {part: share(values) for part, values in found.items()}


def _shown(item: Item, answers: Answers) -> Prompt | None:
    try:
        reply = answers.read(item.id)
    except Fault:
        return None
    asked = [part if isinstance(part, str) else encode(part) for part in item.prompt]
    said: list[str | bytes] = [*([reply.text] if reply.text else []), *map(encode, reply.pictures)]
    return Prompt(id=item.id, content=["The request:", *asked, "The answer:", *said, QUESTION])
