"""Input pictures, an instruction and the picture to make of them: what formats of edits have in common.

edit_triples.py, janus.py    the formats; they differ in keys, in how many inputs they take, in where paths start
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from conversion.formats import Shard
from conversion.importing import ReadOptions, foreign_row, read_image, record_shards
from conversion.pairs import Edit, count_steps, edit_steps, picture_size, refuse
from conversion.shard import Notes, ShardFolder, suffix_of
from toolkit.schema import IMAGE_PART, Message, Part, Row


class Keys(NamedTuple):
    """How one trainer names the parts of a record.

    Attributes:
        file: the file of records; JSON Lines, or one JSON list where the format wraps it.
        text, output, inputs: keys of the instruction, the picture to make, the pictures to make it of.
        shape: of the inputs: "one" name, a "list" (left out where it is empty), or "numbered" keys, inputs_0 and so on.
        fewest, most: input pictures of a record; None = any number.
        kind: key that says "t2i" or "edit"; "" = none.
    """

    file: str
    text: str
    output: str
    inputs: str
    shape: str
    fewest: int = 1
    most: int | None = None
    kind: str = ""

    def record(self, text: str, inputs: Sequence[str], output: str) -> dict[str, Any]:
        kind = {self.kind: "edit" if inputs else "t2i"} if self.kind else {}
        return {**kind, self.text: text, **self._inputs(inputs), self.output: output}

    def _inputs(self, names: Sequence[str]) -> dict[str, Any]:
        if self.shape == "numbered":
            return {f"{self.inputs}_{number}": name for number, name in enumerate(names)}
        if self.shape == "one":
            return {self.inputs: names[0]}
        return {self.inputs: list(names)} if names else {}

    def names(self, record: dict[str, Any]) -> list[str]:
        """The input pictures of a record; the inverse of `_inputs`."""
        if self.shape == "numbered":
            found = [record[self.inputs]] if self.inputs in record else []
            numbered = [key for key in record if key.startswith(f"{self.inputs}_")]
            return found + [record[key] for key in sorted(numbered, key=lambda key: int(key.rsplit("_", 1)[1]))]
        names = record.get(self.inputs) or []
        return [names] if isinstance(names, str) else list(names)


def steps_of(row: Row, *, fewest: int, most: int | None, suffixes: Sequence[str] = ()) -> list[Edit]:
    """The edits of a row, all of whose pictures can be opened.

    Args:
        suffixes: formats that the reader finds; () = all.

    Raises:
        RowError: as `edit_steps`; or kind "picture_format".
    """
    steps = edit_steps(row, fewest=fewest, most=most)
    for number in sorted({number for step in steps for number in (*step.before, step.after)}):
        picture_size(row, number)
        if suffixes and suffix_of(row.images[number]) not in suffixes:
            found = suffix_of(row.images[number])
            raise refuse(
                row, "picture_format", f"images[{number}] is {found!r}; the reader finds {', '.join(suffixes)}"
            )
    return steps


class TripleWriter:
    """A record per edit.

    Args:
        root: put before the names of pictures.
        check: raises RowError for a row that this reader cannot take, and counts what it would change.
    """

    def __init__(
        self,
        shard: ShardFolder,
        keys: Keys,
        *,
        root: str = "",
        check: Callable[[ShardFolder, Row, list[Edit]], None] = lambda shard, row, steps: None,
    ) -> None:
        self.shard, self.keys, self.root, self.check = shard, keys, root, check

    def write(self, row: Row) -> None:
        steps = steps_of(row, fewest=self.keys.fewest, most=self.keys.most)
        self.check(self.shard, row, steps)
        count_steps(self.shard.tally, row, steps)
        used = sorted({number for step in steps for number in (*step.before, step.after)})
        names = {number: self._named(self.shard.image(row, number)) for number in used}
        for step in steps:
            record = self.keys.record(step.instruction, [names[number] for number in step.before], names[step.after])
            self.shard.line(self.keys.file, {"id": f"{row.id}-{step.after}", "task": row.task, **record})

    def _named(self, name: str) -> str:
        return str(Path(self.root, name)) if self.root else name

    def close(self) -> Notes:
        return {}


def reader(kind: str, *keys: Keys) -> Callable[[Path, ReadOptions], list[Shard]]:
    """`Format.read` for records of any of these keys. Every record becomes a row of its own, its pictures in front of
    its text.
    """

    def read(src: Path, options: ReadOptions) -> list[Shard]:
        patterns = sorted({each.file for each in keys if each.file})
        return record_shards(src, options, patterns, partial(record_to_row, options=options, keys=keys, kind=kind))

    return read


def record_to_row(
    record: dict[str, Any], folder: Path, name: str, *, options: ReadOptions, keys: Sequence[Keys], kind: str
) -> Row:
    """
    Raises:
        RowError: kinds "bad_record", "no_task", and those of `read_image`.
    """
    fits = [each for each in keys if each.text in record and each.output in record]
    of = next((each for each in fits if each.names(record)), next(iter(fits), keys[0]))
    return edit_row(record, record[of.text], [*of.names(record), record[of.output]], folder, name, options, kind)


def edit_row(
    record: dict[str, Any],
    text: str,
    names: Sequence[str],
    folder: Path,
    name: str,
    options: ReadOptions,
    kind: str,
) -> Row:
    """A row of one edit, the last of the named pictures being the one that was made."""
    messages = (
        Message("user", (*[IMAGE_PART] * (len(names) - 1), Part("text", text))),
        Message("assistant", (IMAGE_PART,)),
    )
    images = [read_image(folder, each) for each in names]
    return foreign_row(record, messages, images, options, name, kind)


def num_inputs(steps: Sequence[Edit]) -> Iterator[int]:
    return (len(step.before) for step in steps)
