"""Packed datasets that lie: by their manifest, by their rows, by their files. Each lie is done to a copy of a good one.

Where only rows lie, the manifest is made to fit them, so that nothing but the rows can tell.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.layouts import png
from tests.lying import BEYOND, DEEP, raw
from tests.packed import write_manifest
from toolkit.demo.rows import demo_rows
from toolkit.packing.rows import pack_rows
from toolkit.packing.stage import PackOptions
from toolkit.schema import ARROW_SCHEMA, EncodedImage, parquet_schema
from toolkit.sources.manifest import MANIFEST

Lie = Callable[[Path], object]
TASKS = ("cot_collection", "image_editing", "mm_internet")
NO_COMPRESSION = {"compression": "none", "use_dictionary": False, "write_page_checksum": True}
DROPPED = object()
FALSE_VALUES: dict[str, Any] = {
    "nothing": DROPPED, "null": None, "-1": -1, "0": 0, "2^31": 2**31, "2^63": 2**63, "10^400": 10**400, "1.5": 1.5,
    "NaN": float("nan"), "infinity": float("inf"), "true": True, "no text": "", "a number as text": "7",
    "NUL": "a\0b", "half a pair": "\ud800", "a list": [1], "an empty list": [], "an object": {"a": 1},
    "an empty object": {}, "nested": json.loads("[" * 90 + "]" * 90), "up": "../../x", "absolute": "/etc/passwd",
    "terminal": "\x1b[31mred", "10 kB": "a" * 10_000,
}  # fmt: skip


def write_good(folder: Path) -> Path:
    """Three tasks, of which two have two shards, of two row groups."""
    rows = [
        replace(row, images=tuple(EncodedImage(png(f"{row.id}{each.path}"), each.path) for each in row.images))
        for task in TASKS
        for row in demo_rows(task, 8)
    ]
    pack_rows(rows, folder, PackOptions(shard_bytes=2_500, row_group_bytes=1_200))
    return folder


def says(folder: Path) -> Any:
    return json.loads((folder / MANIFEST).read_bytes())


def say(folder: Path, content: Any) -> None:
    write_manifest(folder, content)


def shards_of(folder: Path) -> list[Path]:
    """Those with pictures first."""
    return sorted(folder.glob("data/*/*.parquet"), key=lambda path: (path.parent.name == "cot_collection", path))


# A manifest that lies.


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Of everything a manifest says; of a list, in its first."""
    if path:
        yield path
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*path, key))
    elif isinstance(value, list) and value:
        yield from places(value[0], (*path, 0))


def put(content: Any, path: tuple[Any, ...], value: Any) -> None:
    for key in path[:-1]:
        content = content[key]
    if value is DROPPED:
        content.pop(path[-1], None)
    else:
        content[path[-1]] = value


def tell(path: tuple[Any, ...], value: Any, folder: Path) -> None:
    content = says(folder)
    put(content, path, value)
    say(folder, content)


def of_shard(change: Callable[[dict[str, Any]], object], folder: Path) -> None:
    """Change what is said of the first shard with pictures."""
    content, path = says(folder), shards_of(folder)[0].relative_to(folder).as_posix()
    change(next(shard for shard in content["shards"] if shard["path"] == path))
    say(folder, content)


def of_all(change: Callable[[dict[str, Any]], object], folder: Path) -> None:
    content = says(folder)
    change(content)
    say(folder, content)


def exchange(shards: list[dict[str, Any]], *names: str) -> None:
    """The first two shards say of each other what is true of themselves."""
    one, other = shards[1], shards[2]
    for name in names:
        one[name], other[name] = other[name], one[name]


CONTRADICTIONS: dict[str, Lie] = {
    "a row more": partial(of_shard, lambda shard: shard.update(rows=shard["rows"] + 1)),
    "a row and a group more": partial(
        of_shard, lambda shard: shard.update(rows=shard["rows"] + 1, row_groups=[*shard["row_groups"], 1])
    ),
    "a row less": partial(
        of_shard, lambda shard: shard.update(rows=shard["rows"] - 1, row_groups=[shard["rows"] - 1])
    ),
    "no rows": partial(of_shard, lambda shard: shard.update(rows=0, row_groups=[], quadrants={})),
    "groups in one": partial(of_shard, lambda shard: shard.update(row_groups=[shard["rows"]])),
    "empty groups between": partial(
        of_shard, lambda shard: shard.update(row_groups=[0, *shard["row_groups"], 0])
    ),
    "ten thousand empty groups": partial(
        of_shard, lambda shard: shard.update(row_groups=[*shard["row_groups"], *[0] * 10_000])
    ),
    "as many rows as bytes": partial(
        of_shard, lambda shard: shard.update(rows=shard["bytes"], row_groups=[shard["bytes"]])
    ),
    "other quadrants": partial(of_shard, lambda shard: shard.update(quadrants={"text-text": shard["rows"]})),
    "no quadrants": partial(of_shard, lambda shard: shard.update(quadrants={})),
    "an image more": partial(of_shard, lambda shard: shard.update(images=shard["images"] + 1)),
    "a byte of images more": partial(of_shard, lambda shard: shard.update(image_bytes=shard["image_bytes"] + 1)),
    "another hash": partial(of_shard, lambda shard: shard.update(sha256="0" * 64)),
    "a hash in capitals": partial(of_shard, lambda shard: shard.update(sha256=shard["sha256"].upper())),
    "another size": partial(of_shard, lambda shard: shard.update(bytes=shard["bytes"] + 1)),
    "no page checksums, it says": partial(of_shard, lambda shard: shard.update(page_checksums=False)),
    "a field more": partial(of_shard, lambda shard: shard.update(extra=1)),
    "another task": partial(of_shard, lambda shard: shard.update(task="llava_cot")),
    "a task that is not defined": partial(
        of_shard, lambda shard: shard.update(task="mine", path="data/mine/train-00000-of-00001.parquet")
    ),
    "a shard of another name": partial(
        of_shard, lambda shard: shard.update(path=shard["path"].replace("train", "validation"))
    ),
    "paths exchanged": partial(of_all, lambda content: exchange(content["shards"], "path")),
    "paths and tasks exchanged": partial(of_all, lambda content: exchange(content["shards"], "path", "task")),
    "hashes exchanged": partial(of_all, lambda content: exchange(content["shards"], "sha256")),
    "rows exchanged": partial(of_all, lambda content: exchange(content["shards"], "rows", "row_groups")),
    "all but path and task exchanged": partial(
        of_all, lambda content: exchange(content["shards"], *content["shards"][0].keys() - {"path", "task"})
    ),
    "a shard twice": partial(of_all, lambda content: content["shards"].append(content["shards"][0])),
    "a shard left out": partial(of_all, lambda content: content["shards"].pop()),
    "shards in another order": partial(of_all, lambda content: content["shards"].reverse()),
    "a key more": partial(of_all, lambda content: content.update(extra=1)),
    "a format to come": partial(of_all, lambda content: content.update(format=2)),
    "skipped rows of tasks that are not there": partial(
        of_all, lambda content: content.update(skipped={"mine": {"bad_text": 7}, "llava_cot": {"": 2**62}})
    ),
    "rows drawn that are not there": partial(
        of_all, lambda content: content.update(drawn_from={"image_editing": [["x|y\n", "<b>", 2**62]], "mine": []})
    ),
    "a vocabulary of one of the nine": partial(
        of_all, lambda content: content.update(vocabulary={"image_editing": {"name": "image_editing"}})
    ),
    "a vocabulary that is not used": partial(
        of_all,
        lambda content: content.update(
            vocabulary={"mine": {"name": "mine", "family": "understanding", "description": "|\n<b>"}}
        ),
    ),
    "a vocabulary of other types": partial(
        of_all, lambda content: content.update(vocabulary={"mine": {"name": "mine", "description": 7, "outputs": []}})
    ),
}  # fmt: skip


def _of_manifest() -> Iterator[tuple[str, Lie]]:
    for path in places(_good_says()):
        for name, value in FALSE_VALUES.items():
            if not (isinstance(path[-1], int) and value is DROPPED):
                yield f"{'.'.join(map(str, path))} is {name}", partial(tell, path, value)


@cache
def _good_says() -> Any:
    """What a good manifest says, without the values: these are put in its place later."""
    shard = dict.fromkeys(
        ("path", "task", "bytes", "sha256", "rows", "images", "image_bytes", "page_checksums"), 0
    ) | {"row_groups": [0], "quadrants": {}}  # fmt: skip
    return {
        "format": 1, "options": {}, "skipped": {}, "source": {"repository": ""}, "shards": [shard],
        "vocabulary": {}, "drawn_from": {},
    }  # fmt: skip


# Rows that lie, of which the manifest tells as they are.

Change = Callable[[pa.Table], pa.Table]


def rewrite(change: Change, folder: Path, shard: int = 0, **options: Any) -> None:
    path = shards_of(folder)[shard]
    table = change(pq.read_table(path, schema=None))
    pq.write_table(table, path, **{"row_group_size": 2, **NO_COMPRESSION, **options})
    fit(folder, path)


def fit(folder: Path, path: Path) -> None:
    """The manifest tells of a shard what is so, as far as it can be counted."""
    content, data, metadata = says(folder), path.read_bytes(), pq.read_metadata(path)
    shard = next(each for each in content["shards"] if each["path"] == path.relative_to(folder).as_posix())
    groups = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    told = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "footer_crc32": None}
    told |= {"rows": sum(groups), "row_groups": groups}
    try:
        table = pq.read_table(path, columns=["images", "quadrant"])
        images = [image or {} for row in table["images"].to_pylist() for image in row or []]
        quadrants = table["quadrant"].to_pylist()
        told |= {
            "images": len(images),
            "image_bytes": sum(len(image.get("bytes") or b"") for image in images),
            "quadrants": {each: quadrants.count(each) for each in sorted({*quadrants})},
        }
    except (KeyError, TypeError, ValueError, AttributeError, pa.ArrowException):
        pass  # then it tells of the rows that were there
    shard.update(told)
    say(folder, content)


def with_column(name: str, values: Any, table: pa.Table) -> pa.Table:
    """Other values of one column; of its type if it can be."""
    place = table.column_names.index(name)
    if not isinstance(values, pa.Array):
        values = pa.array(values, table.schema.field(place).type)
    return table.set_column(place, pa.field(name, values.type), values)


def second(name: str, value: Any, table: pa.Table) -> pa.Table:
    """Another value in the second row."""
    values = table[name].to_pylist()
    values[1] = value(values[1]) if callable(value) else value
    return with_column(name, values, table)


def cast(name: str, kind: pa.DataType, table: pa.Table) -> pa.Table:
    return with_column(name, table[name].combine_chunks().cast(kind), table)


def of_bytes(name: str, table: pa.Table) -> pa.Table:
    return with_column(name, raw([b"\xff\xfe"] * len(table)), table)


def numbers(name: str, table: pa.Table) -> pa.Table:
    return with_column(name, pa.array(range(len(table))), table)


def dates(table: pa.Table) -> pa.Table:
    return with_column("source", pa.array([BEYOND] * len(table), pa.int64()).cast(pa.timestamp("s")), table)


def each_image(**changed: Any) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    return lambda images: [{**image, **changed} for image in images]


def messages(*roles: str, part: str = "text", text: str | None = "a") -> list[dict[str, Any]]:
    return [{"role": role, "content": [{"type": part, "text": text}]} for role in roles]


def box(*sides: float, image: int | None = 0, label: str | None = "") -> list[dict[str, Any]]:
    return [{"image": image, "box": list(sides), "label": label}]


TEXTS = tuple(field.name for field in ARROW_SCHEMA if field.type == pa.string())
SECOND: dict[str, tuple[str, Any]] = {
    **{f"{name} null": (name, None) for name in ARROW_SCHEMA.names},
    **{f"{name} empty": (name, "") for name in TEXTS},
    **{f"{name} of 100 kB": (name, "a" * 100_000) for name in TEXTS},
    **{f"{name} with control characters": (name, "a\0b\x1b[31m\u202e") for name in TEXTS},
    **{f"{name} of deep JSON": (name, DEEP) for name in ("provenance", "answer")},
    "provenance an array": ("provenance", "[]"),
    "provenance NaN": ("provenance", '{"a": NaN}'),
    "provenance a number of 5,000 digits": ("provenance", '{"a": ' + "9" * 5_000 + "}"),
    "provenance with a key twice": ("provenance", '{"a": 1, "a": [2]}'),
    "provenance of other kinds": ("provenance", '{"archive": 7, "models": "x", "seed": {}, "prompts": null}'),
    "an id that leads out": ("id", "../../x"),
    "an id of a device": ("id", "con"),
    "an id of markup": ("id", "<script>"),
    "the id of another": ("id", "ie-0000"),
    "another task": ("task", "llava_cot"),
    "another quadrant": ("quadrant", "text-text"),
    "an unknown origin": ("origin", "stolen"),
    "no messages": ("messages", []),
    "messages of unknown roles": ("messages", messages("tool", "assistant")),
    "messages that begin with an answer": ("messages", messages("assistant", "user")),
    "messages that end with a question": ("messages", messages("user")),
    "two questions": ("messages", messages("user", "user", "assistant")),
    "a message that is null": ("messages", [None, None]),
    "a role that is null": ("messages", [{"role": None, "content": []}] * 2),
    "parts that are null": ("messages", [{"role": "user", "content": None}, {"role": "assistant", "content": [None]}]),
    "parts of unknown type": ("messages", messages("user", "assistant", part="video")),
    "a part that is null": ("messages", messages("user", "assistant", text=None)),
    "image parts with text": ("messages", messages("user", "assistant", part="image")),
    "a placeholder in a text": ("messages", lambda value: [*messages("system", text="<image> <|image|>"), *value]),
    "no images": ("images", []),
    "images null": ("images", [None, None]),
    "images of no bytes": ("images", each_image(bytes=b"")),
    "images of null": ("images", each_image(bytes=None)),
    "images that are text": ("images", each_image(bytes=b"not an image")),
    "images that are cut off": ("images", lambda images: [{**image, "bytes": image["bytes"][:60]} for image in images]),
    "images of SVG": ("images", each_image(bytes=b"<svg xmlns='http://www.w3.org/2000/svg'/>", path="a.svg")),
    "an image more": ("images", lambda images: [*images, images[0]]),
    "paths of images null": ("images", each_image(path=None)),
    "paths of images that lead out": ("images", each_image(path="../../../etc/passwd")),
    "paths of images with NUL": ("images", each_image(path="a\0.png")),
    "roles that are null": ("image_roles", [None, None]),
    "unknown roles": ("image_roles", ["mask", "mask"]),
    "a role less": ("image_roles", ["input"]),
    "roles the other way round": ("image_roles", ["output", "input"]),
    "a caption more": ("image_captions", lambda captions: [*captions, "one more"]),
    "no captions": ("image_captions", []),
    "captions that are null": ("image_captions", [None, None]),
    "a region of no image": ("regions", box(0, 0, 1, 1, image=7)),
    "a region of a negative image": ("regions", box(0, 0, 1, 1, image=-1)),
    "a region of the null image": ("regions", box(0, 0, 1, 1, image=None)),
    "a region the wrong way round": ("regions", box(1, 1, 0, 0)),
    "a region of NaN": ("regions", box(*[float("nan")] * 4)),
    "a region without end": ("regions", box(0, 0, float("inf"), 1)),
    "a region of null": ("regions", [{"image": 0, "box": None, "label": "x"}]),
    "a region whose sides are null": ("regions", [{"image": 0, "box": [None] * 4, "label": "x"}]),
    "a region that is null": ("regions", [None]),
    "a region without label": ("regions", box(0, 0, 1, 1, label=None)),
    "ten thousand regions": ("regions", box(0, 0, 1, 1) * 10_000),
}  # fmt: skip
DICTIONARY = pa.dictionary(pa.int32(), pa.string())
TABLES: dict[str, Change] = {
    "nothing wrong": lambda table: table,
    **{name: partial(second, column, value) for name, (column, value) in SECOND.items()},
    **{f"{name} not UTF-8": partial(of_bytes, name) for name in TEXTS},
    **{f"{name} a number": partial(numbers, name) for name in ARROW_SCHEMA.names},
    **{f"no {name}": lambda table, name=name: table.drop_columns([name]) for name in ARROW_SCHEMA.names},  # type: ignore[misc]
    **{f"{name} of large text": partial(cast, name, pa.large_string()) for name in ("id", "answer")},
    **{f"{name} in a dictionary": partial(cast, name, DICTIONARY) for name in ("id", "task")},
    "answer of bytes": partial(cast, "answer", pa.binary()),
    "images of large bytes": partial(
        cast, "images", pa.list_(pa.struct([("bytes", pa.large_binary()), ("path", pa.string())]))
    ),
    "images in large lists": partial(cast, "images", pa.large_list(ARROW_SCHEMA.field("images").type.value_type)),
    "boxes in lists of any length": partial(
        cast,
        "regions",
        pa.list_(pa.struct([("image", pa.int32()), ("box", pa.list_(pa.float32())), ("label", pa.string())])),
    ),
    "images that are paths": lambda table: with_column("images", pa.array([["a.png", "b.png"]] * len(table)), table),
    "images without path": lambda table: with_column("images", pa.array([[{"bytes": b"x"}]] * len(table)), table),
    "images with more": lambda table: with_column(
        "images", pa.array([[{"bytes": b"x", "path": "", "size": 1}]] * len(table)), table
    ),
    "dates beyond the calendar": dates,
    "all null": lambda table: pa.table(
        {field.name: pa.nulls(len(table), field.type) for field in ARROW_SCHEMA}, schema=table.schema
    ),
    "columns in another order": lambda table: table.select(table.column_names[::-1]),
    "a column more": lambda table: table.append_column("extra", pa.array([DEEP] * len(table))),
    "a column twice": lambda table: table.append_column("id", table["id"]),
    "columns in capitals": lambda table: table.rename_columns([name.upper() for name in table.column_names]),
    "other features": lambda table: table.replace_schema_metadata({"huggingface": '{"info": {"features": [7]}}'}),
    "features that are no JSON": lambda table: table.replace_schema_metadata({"huggingface": DEEP}),
    "no metadata": lambda table: table.replace_schema_metadata(None),
    "fields that may not be null": lambda table: table.cast(
        pa.schema([field.with_nullable(False) for field in table.schema])
    ),
    "no rows": lambda table: table.slice(0, 0),
    "rows twice": lambda table: pa.concat_tables([table, table]),
    "rows of another task": lambda table: _other_rows(table),
}  # fmt: skip


def _other_rows(table: pa.Table) -> pa.Table:
    rows = [row.to_dict() for row in demo_rows("llava_cot", len(table))]
    return pa.Table.from_pylist(rows, schema=parquet_schema())


WAYS: dict[str, dict[str, Any]] = {
    "compressed by snappy": {"compression": "snappy"},
    "compressed by brotli": {"compression": "brotli"},
    "in dictionaries": {"use_dictionary": True},
    "in pages of the second kind": {"data_page_version": "2.0"},
    "in small pages": {"data_page_size": 1},
    "without statistics": {"write_statistics": False},
    "without checksums": {"write_page_checksum": False},
    "in one row group": {"row_group_size": 100},
    "of format 1.0": {"version": "1.0"},
    "with nested names of old": {"use_compliant_nested_type": False},
    "delta encoded": {"column_encoding": dict.fromkeys(TEXTS, "DELTA_BYTE_ARRAY")},
    "without its Arrow schema": {"store_schema": False},
    "with a page index": {"write_page_index": True},
}


def _many_groups(folder: Path) -> None:
    """A thousand row groups, most without rows."""
    path = shards_of(folder)[0]
    table = pq.read_table(path)
    with pq.ParquetWriter(path, table.schema, **NO_COMPRESSION) as writer:
        for _ in range(500):
            writer.write_table(table.slice(0, 0))
        writer.write_table(table)
        for _ in range(500):
            writer.write_table(table.slice(0, 0))
    fit(folder, path)


# Files that lie.


def replace_by(make: Callable[[Path], object], folder: Path, shard: int | None = 0, *, fits: bool = False) -> None:
    path = folder / MANIFEST if shard is None else shards_of(folder)[shard]
    name = path.relative_to(folder).as_posix()
    path.unlink()
    make(path)
    if fits:
        data, content = path.read_bytes(), says(folder)
        for each in content["shards"]:
            if each["path"] == name:
                each.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        say(folder, content)


def changed_file(change: Callable[[bytes], bytes], folder: Path, shard: int | None = 0, *, fits: bool = False) -> None:
    path = folder / MANIFEST if shard is None else shards_of(folder)[shard]
    data = path.read_bytes()
    replace_by(lambda path: path.write_bytes(change(data)), folder, shard, fits=fits)


def _flip_middle(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0x55]) + data[middle + 1 :]


def swap(folder: Path, *, fits: bool) -> None:
    """Two shards, each in the place of the other."""
    one, other = shards_of(folder)[0], shards_of(folder)[-1]
    data = one.read_bytes(), other.read_bytes()
    one.write_bytes(data[1])
    other.write_bytes(data[0])
    if fits:
        fit(folder, one)
        fit(folder, other)


YAML_BOMB = (
    "---\na0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    + "---\n"
)
CONTENTS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "a byte": lambda data: b"P",
    "nothing but its mark": lambda data: b"PAR1",
    "its mark twice": lambda data: b"PAR1PAR1",
    "cut in half": lambda data: data[: len(data) // 2],
    "cut by a byte": lambda data: data[:-1],
    "longer by a byte": lambda data: data + b"\0",
    "twice": lambda data: data + data,
    "zeros": lambda data: bytes(len(data)),
    "without its end": lambda data: data[:-8] + bytes(8),
    "with a footer of 2^31": lambda data: data[:-8] + b"\xff\xff\xff\x7fPAR1",
    "with a footer of nothing": lambda data: data[:-8] + b"\0\0\0\0PAR1",
    "encrypted, it says": lambda data: b"PARE" + data[4:-4] + b"PARE",
    "with a byte changed": _flip_middle,
    "JSON": lambda data: b'{"id": 1}\n',
    "HTML": lambda data: b"<!DOCTYPE html><title>404</title>",
    "a Git LFS pointer": lambda data: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123\n",
}
KINDS: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "a FIFO": lambda path: os.mkfifo(path),
    "a folder": lambda path: path.mkdir(),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to its folder": lambda path: path.symlink_to("."),
}
MANIFESTS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut in half": lambda data: data[: len(data) // 2],
    "of another encoding": lambda data: data.decode().encode("utf-16"),
    "with a byte order mark": lambda data: b"\xef\xbb\xbf" + data,
    "not UTF-8": lambda data: data.replace(b"image_editing", b"image\xff\xfeediting"),
    "deep": lambda data: b"[" * 100_000,
    "deep in options": lambda data: data.replace(b'"options": {', b'"options": {"a": ' + DEEP.encode() + b",", 1),
    "a list": lambda data: b"[]",
    "a number": lambda data: b"7",
    "null": lambda data: b"null",
    "a text": lambda data: b'"shards"',
    "with 1 MB of blanks": lambda data: data + b" " * 1_000_000,
    "twice": lambda data: data + data,
    "with a key twice": lambda data: data.replace(b'"format": 2', b'"format": 1, "format": 2', 1),
    "HTML": CONTENTS["HTML"],
}


def _piped_card(folder: Path) -> None:
    (folder / "README.md").unlink(missing_ok=True)
    os.mkfifo(folder / "README.md")


FILES: dict[str, Lie] = {
    **{f"a shard {name}": partial(changed_file, change) for name, change in CONTENTS.items()},
    **{f"a shard {name}, as told": partial(changed_file, change, fits=True) for name, change in CONTENTS.items()},
    **{f"a shard is {name}": partial(replace_by, make) for name, make in KINDS.items()},
    **{f"the manifest is {name}": partial(replace_by, make, shard=None) for name, make in KINDS.items()},
    **{f"the manifest {name}": partial(changed_file, change, shard=None) for name, change in MANIFESTS.items()},
    "shards swapped": partial(swap, fits=False),
    "shards swapped, as told": partial(swap, fits=True),
    "a shard more": lambda folder: shutil.copy(
        shards_of(folder)[0], shards_of(folder)[0].with_name("train-00007-of-00008.parquet")
    ),
    "a shard of another split": lambda folder: shutil.copy(
        shards_of(folder)[0], shards_of(folder)[0].with_name("test-00000-of-00001.parquet")
    ),
    "a folder that holds itself": lambda folder: (folder / "data/again").symlink_to(".."),
    "a FIFO beside the shards": lambda folder: os.mkfifo(shards_of(folder)[0].with_name("pipe.parquet")),
    "a card that is no card": lambda folder: (folder / "README.md").write_bytes(b"---\n\xff: [\n---\n"),
    "a card that is a FIFO": _piped_card,
    "a card of YAML bombs": lambda folder: (folder / "README.md").write_text(YAML_BOMB),
    "a card of other configs": lambda folder: (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: all\n  data_files: /etc/*\n---\n"
    ),
}  # fmt: skip
OF_ROWS: dict[str, Lie] = {
    **{f"row: {name}": partial(rewrite, change) for name, change in TABLES.items()},
    **{f"written {name}": partial(rewrite, lambda table: table, **options) for name, options in WAYS.items()},
    "written in a thousand row groups": _many_groups,
}
LIES: dict[str, Lie] = {
    **{f"manifest: {name}": lie for name, lie in (*_of_manifest(), *CONTRADICTIONS.items())},
    **OF_ROWS,
    **{f"file: {name}": lie for name, lie in FILES.items()},
}
