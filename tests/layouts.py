"""Layouts of small published datasets that know their own truth: rows of all tasks, written in many ways."""

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from tests.layout_writers import WRITERS, tarred, zipped
from toolkit.published import PUBLISHED
from toolkit.tasks import TASKS

# What a row of each task is made of: "i" is a picture, any other letter a text; prompt, then answer.
PIECES = {
    "image_generation": ("t", "ti"),
    "image_editing": ("it", "ti"),
    "image_correction": ("it", "ti"),
    "mm_reasoning_o": ("it", "tit"),
    "mm_reasoning_mm": ("it", "titi"),
    "mm_reasoning_t": ("t", "tit"),
    "mm_internet": ("t", "titi"),
    "llava_cot": ("iit", "t"),
    "cot_collection": ("t", "t"),
}
ROWS = 2  # of each task


class Sample(NamedTuple):
    """One row: pieces are texts, or (file name, bytes)."""

    task: str
    id: str
    prompt: tuple[Any, ...]
    answer: tuple[Any, ...]

    @property
    def pictures(self) -> list[tuple[str, bytes]]:
        return [piece for piece in (*self.prompt, *self.answer) if isinstance(piece, tuple)]

    def essence(self) -> dict[str, Any]:
        """What must be read, by the columns of a row."""
        messages = [
            (role, [None if isinstance(piece, tuple) else piece for piece in pieces])
            for role, pieces in (("user", self.prompt), ("assistant", self.answer))
        ]
        return {"task": self.task, "messages": messages, "images": [data for _, data in self.pictures]}


def essence(row: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a row that was read, pictures not decoded."""
    messages = [
        (message["role"], [None if part["type"] == "image" else part["text"] for part in message["content"]])
        for message in row["messages"]
    ]
    return {"task": row["task"], "messages": messages, "images": [image["bytes"] for image in row["images"]]}


@cache
def samples(rows: int = ROWS) -> tuple[Sample, ...]:
    """Rows of all tasks, task by task; ids begin anew in each."""
    return tuple(_sample(task, number) for task in TASKS for number in range(rows))


def _sample(task: str, number: int) -> Sample:
    count = 0

    def piece(kind: str, side: str) -> Any:
        nonlocal count
        count += 1
        name = f"{TASKS[task].prefix}-{number:04d}_{count}"
        return (f"{name}.png", png(name)) if kind == "i" else f"{side} {count} of {task} {number}."

    prompt, answer = (
        tuple(piece(kind, side) for kind in kinds)
        for side, kinds in zip(("Question", "Answer"), PIECES[task], strict=True)
    )
    return Sample(task, f"{number:04d}", prompt, answer)


def png(text: str) -> bytes:
    """A picture that differs for every text."""
    buffer = io.BytesIO()
    color = hashlib.sha256(text.encode()).digest()
    Image.frombytes("RGB", (2, 2), color[:12]).save(buffer, "PNG")
    return buffer.getvalue()


def stem(task: str) -> str:
    return PUBLISHED[task].archive.partition(".")[0] or task


# How a row names a picture, and what the archive calls it: task, file name -> path.
Name = Callable[[str, str], str]
PATHS: dict[str, tuple[Name, Name]] = {
    "archive": (lambda task, name: f"{stem(task)}/{name}", lambda task, name: f"./{stem(task)}/{name}"),
    "bare": (lambda task, name: name, lambda task, name: f"{stem(task)}/{name}"),
    "hashed": (lambda task, name: hashed(name), lambda task, name: hashed(name)),
}


def hashed(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:24] + ".jpg"


def tagged(pieces: Iterable[Any], tag: str = "<image>") -> str:
    return "".join(tag if isinstance(piece, tuple) else piece for piece in pieces)


def turns(sample: Sample, paths: list[str], tag: str = "<image>") -> dict[str, Any]:
    conversation = [("human", sample.prompt), ("gpt", sample.answer)]
    return {
        "id": sample.id,
        "image": paths,
        "conversations": [{"from": role, "value": tagged(pieces, tag)} for role, pieces in conversation],
    }


def messages(sample: Sample, paths: list[str]) -> dict[str, Any]:
    coming = iter(paths)

    def part(piece: Any) -> dict[str, Any]:
        is_picture = isinstance(piece, tuple)
        return {
            "type": "image" if is_picture else "text",
            "text": None if is_picture else piece,
            "image": next(coming) if is_picture else None,
        }

    roles = [("user", sample.prompt), ("assistant", sample.answer)]
    return {
        "id": sample.id,
        "messages": [{"role": role, "content": [part(piece) for piece in pieces]} for role, pieces in roles],
    }


def columns(sample: Sample, paths: list[str], tag: str = "<image>") -> dict[str, Any]:
    return {
        "id": sample.id,
        "question": tagged(sample.prompt, tag),
        "answer": tagged(sample.answer, tag),
        "images": paths,
    }


def nested(sample: Sample, paths: list[str]) -> dict[str, Any]:
    record = columns(sample, paths)
    return {"id": record.pop("id"), "sample": record}


def in_json(sample: Sample, paths: list[str]) -> dict[str, Any]:
    record = turns(sample, paths)
    return {"id": record.pop("id"), "data": json.dumps(record)}


RECORDS: dict[str, Callable[[Sample, list[str]], dict[str, Any]]] = {
    "turns": turns,
    "messages": messages,
    "columns": columns,
    "nested": nested,
    "json": in_json,
}


@dataclass
class Layout:
    """Files of a dataset, before they are written: they may be changed in any way until then.

    Attributes:
        tables: path -> records.
        archives: path -> members; a path that ends with "/" is that of a folder.
        writer: a key of WRITERS.
        tells_sides: pictures of answers have a column of their own.
        pieces, suffix: path of an archive -> into how many it is cut, and how each is called: its number or letter.
    """

    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    archives: dict[str, list[tuple[str, bytes]]] = field(default_factory=dict)
    writer: str = "arrow"
    tells_sides: bool = False
    pieces: dict[str, int] = field(default_factory=dict)
    suffix: str = ".part-a{1}"

    def write(self, folder: Path) -> Path:
        for path, records in self.tables.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            WRITERS[self.writer](records, folder / path)
        for path, members in self.archives.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            if path.endswith("/"):
                for name, data in dict(reversed(members)).items():
                    (folder / path / name).parent.mkdir(parents=True, exist_ok=True)
                    (folder / path / name).write_bytes(data)
                continue
            data = zipped(members) if path.endswith(".zip") else tarred(members, is_plain=path.endswith(".tar"))
            count = self.pieces.get(path, 1)
            size = -(-len(data) // count)
            for number in range(count):
                name = path if count == 1 else f"{path}{self.suffix.format(number, chr(97 + number))}"
                (folder / name).write_bytes(data[number * size :][:size])
        return folder


def layout(
    files: str = "one", *, has_task: bool = True, paths: str = "archive", records: str = "turns", rows: int = ROWS
) -> Layout:
    """All rows in one of the ways in which they are likely to be published.

    Args:
        files: "one", "split per task" or "shards".
        has_task: whether a column says the task.
        paths: a key of PATHS. records: a key of RECORDS.
    """
    made = Layout()
    given, called = PATHS[paths]
    mixed = sorted(samples(rows), key=lambda each: (each.id, hashlib.sha256(each.task.encode()).digest()))
    for number, sample in enumerate(samples(rows) if files == "split per task" else mixed):
        record = RECORDS[records](sample, [given(sample.task, name) for name, _ in sample.pictures])
        if has_task:
            record["task"] = stem(sample.task)
        file = {"one": "train-00000-of-00001", "shards": f"train-{number % 3:05d}-of-00003"}.get(files)
        path = f"data/{file or f'{sample.task}-00000-of-00001'}.parquet"
        made.tables.setdefault(path, []).append(record)
        if sample.pictures:
            archive = made.archives.setdefault(f"images/{PUBLISHED[sample.task].archive}", [])
            archive += [(called(sample.task, name), data) for name, data in sample.pictures]
    return made


def truth(rows: int = ROWS) -> dict[str, dict[str, Any]]:
    """Id of each row -> what it is."""
    return {f"{TASKS[each.task].prefix}-{each.id}": each.essence() for each in samples(rows)}
