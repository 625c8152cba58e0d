"""What `convert` wrote, in every format that is read again: files with bytes changed, lines with values changed."""

import json
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

from conversion import convert
from conversion.formats import FORMATS, get_format
from conversion.importing import ReadOptions
from tests.fuzzing.mutations import changed_bytes, changed_value
from tests.fuzzing.packed import packed
from tests.fuzzing.surface import SURFACES, Surface, as_json, outcome_of, scratch
from toolkit.errors import UnifiedVisualError
from toolkit.rules import check_row

Change = tuple[Path, bytes]  # a file of the folder, and other content of it


@cache
def converted(name: str) -> Path:
    out = scratch() / "converted" / name
    convert(packed().folder, name, out, on_unfit="drop")
    return out


@cache
def files_of(name: str) -> dict[Path, bytes]:
    found = (path for path in sorted(converted(name).rglob("*")) if path.is_file())
    return {path: path.read_bytes() for path in found if path.name not in ("README.md", "conversion_report.json")}


@cache
def lines_of(path: Path, data: bytes) -> list[Any]:
    if path.suffix not in (".json", ".jsonl"):
        return []
    try:
        whole = json.loads(data)
    except ValueError:
        return [json.loads(line) for line in data.splitlines()]
    return whole if isinstance(whole, list) else [whole]


def changed_file(dice: Random, name: str) -> Change:
    texts = [path for path, data in files_of(name).items() if lines_of(path, data)]
    path = dice.choice(texts if texts and dice.random() < 0.8 else list(files_of(name)))
    data = files_of(name)[path]
    lines = lines_of(path, data)
    if not lines or dice.random() < 0.3:
        return path, changed_bytes(data, dice)
    number = dice.randrange(len(lines))
    changed = [as_json(changed_value(line, dice) if at == number else line) for at, line in enumerate(lines)]
    return path, b"[" + b",".join(changed) + b"]" if path.suffix == ".json" else b"\n".join(changed)


def read(change: Change, name: str) -> str:
    path, data = change
    kinds = []
    path.write_bytes(data)
    try:
        options = ReadOptions(task="image_editing")
        for shard in get_format(name).read(converted(name), options):  # type: ignore[misc]
            for found in shard():
                if isinstance(found, UnifiedVisualError):
                    kinds.append(outcome_of(found))
                else:
                    check_row(found)
                    kinds.append("a row")
    finally:
        path.write_bytes(files_of(name)[path])
    return next((kind for kind in kinds if kind != "a row"), "rows" if kinds else "nothing")


def _add(name: str) -> None:
    SURFACES[f"import of {name}"] = Surface(partial(changed_file, name=name), partial(read, name=name))


for each in FORMATS.own:
    if get_format(each).read:
        _add(each)
