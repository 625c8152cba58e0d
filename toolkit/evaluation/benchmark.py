"""The benchmark as a packed dataset, and as prompts for a model to answer."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from toolkit.errors import UsageError
from toolkit.evaluation.geneval import metadata
from toolkit.evaluation.items import Item, row_of
from toolkit.evaluation.scoring import SIZE, item_ids, make_item, names_of
from toolkit.packing.rows import pack_rows
from toolkit.scene.render import encode
from toolkit.schema import Row
from toolkit.staging.files import write_whole


def write_benchmark(
    out: Path, *, wanted: Sequence[str] = (), size: int = SIZE, on_row: Callable[[], None] = lambda: None
) -> int:
    """Write `out`/packed, rows with right answers; `out`/prompts.jsonl, each with an id, the prompt's parts and the
    paths of its pictures under `out`/pictures; and `out`/geneval.jsonl, what GenEval's terms can say of them.

    Args:
        wanted: names of parts; none = all.
        size: items of each part.
        on_row: called after each item.

    Returns:
        How many items there are.

    Raises:
        UnknownName: there is no such part. UsageError: the folder holds something else.
    """
    asked = item_ids(names_of(wanted), size)
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; expected a folder to write")
    (out / "pictures").mkdir(parents=True, exist_ok=True)
    lines: list[dict[str, Any]] = []

    def rows() -> Iterator[Row]:
        for each in asked:
            item = make_item(*each)
            lines.append(_prompt(item, out))
            on_row()
            yield row_of(item)

    pack_rows(rows(), out / "packed")
    _write(out / "prompts.jsonl", lines)
    told = (metadata(each["part"], each["prompt"][0].get("text", ""), each.get("wanted", ())) for each in lines)
    _write(out / "geneval.jsonl", [each for each in told if each is not None])
    return len(asked)


def _write(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    write_whole(path, "".join(f"{json.dumps(line)}\n" for line in lines))


def _prompt(item: Item, out: Path) -> dict[str, Any]:
    """A line of prompts.jsonl; `wanted` tells detectors and judges of others what the picture must show."""
    content: list[dict[str, str]] = []
    for number, part in enumerate(item.prompt):
        if isinstance(part, str):
            content.append({"type": "text", "text": part})
        else:
            path = out / "pictures" / f"{item.id}-{number}.png"
            write_whole(path, encode(part))
            content.append({"type": "image", "image": str(path.relative_to(out))})
    return {"id": item.id, "part": item.part, "prompt": content, **item.facts}
