"""A packed dataset: bytes of its shard, its manifest, and states of readers."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.fuzzing.mutations import changed_bytes, changed_value
from tests.fuzzing.surface import as_json, scratch, surface
from tests.packed import manifest_of
from toolkit.demo.rows import demo_rows
from toolkit.packing.rows import pack_rows
from toolkit.rules import check_row
from toolkit.schema import Row
from toolkit.sources.layout import open_source
from toolkit.sources.manifest import MANIFEST
from toolkit.streaming.dataset import StreamingDataset


@cache
def demo() -> list[Row]:
    return [row for task in ("image_editing", "mm_internet", "llava_cot") for row in demo_rows(task, 1)]


@cache
def packed() -> SimpleNamespace:
    """A packed dataset: its manifest's bytes and those of its first shard."""
    folder = scratch() / "packed"
    pack_rows(demo(), folder)
    shard, manifest = min(folder.rglob("*.parquet")), folder / MANIFEST
    return SimpleNamespace(
        folder=folder, shard=shard, data=shard.read_bytes(), manifest=manifest, says=json.loads(manifest.read_bytes())
    )


def streamed(folder: Path | str, **options: Any) -> Iterator[str]:
    options = {"decode": None, "shuffle": False, "rank": 0, "world_size": 1, **options}
    return (repr(row) for row in StreamingDataset(str(folder), **options))


@cache
def truth() -> list[str]:
    return list(streamed(packed().folder))


@contextmanager
def changed(path: Path, data: bytes) -> Iterator[Path]:
    """The folder of the packed dataset while a file of it is another."""
    before = path.read_bytes()
    path.write_bytes(data)
    try:
        yield packed().folder
    finally:
        path.write_bytes(before)


@surface(lambda dice: changed_bytes(packed().data, dice))
def shard(data: bytes) -> str:
    """As a loader streams it; the manifest says of another size what it says."""
    with changed(packed().shard, data) as folder:
        return "equal" if list(streamed(folder)) == truth() else "other bytes"


@surface(lambda dice: changed_bytes(packed().data, dice))
def shard_verified(data: bytes) -> str:
    """As `shard`, of the size that the manifest says, and with page checksums: other rows are a fault."""
    data = (data + bytes(len(packed().data)))[: len(packed().data)]
    with changed(packed().shard, data) as folder:
        found = list(streamed(folder, verify=True))
    assert found == truth(), "other rows, though checksums were compared"
    return "equal"


@surface(lambda dice: changed_bytes(packed().data, dice))
def shard_read_whole(data: bytes) -> str:
    """As commands read it."""
    with changed(packed().shard, data) as folder:
        source = open_source(folder)
        for task in source.tasks:
            for row in source.read(task):
                check_row(row)
    return "rows"


def fitting_manifest(data: bytes, **of_shard: Any) -> bytes:
    """The manifest for another first shard."""
    says = packed().says
    path = packed().shard.relative_to(packed().folder).as_posix()
    more = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "footer_crc32": None, **of_shard}
    shards = [{**each, **more} if each["path"] == path else each for each in says["shards"]]
    return manifest_of({**says, "shards": shards})


@surface(lambda dice: changed_bytes(packed().data, dice))
def shard_fitting(data: bytes) -> str:
    """As a loader streams a shard that the manifest speaks of as it is."""
    with changed(packed().manifest, fitting_manifest(data)), changed(packed().shard, data) as folder:
        return "equal" if list(streamed(folder)) == truth() else "other bytes"


@surface(lambda dice: changed_value(packed().says, dice), of_values=True)
def manifest(value: Any) -> str:
    """As it comes from a bad disk or network: other rows are a fault."""
    with changed(packed().manifest, as_json(value)) as folder:
        found = list(streamed(folder))
    assert found == truth(), "other rows, though the manifest has a checksum"
    return "equal"


@surface(lambda dice: changed_value(packed().says, dice), of_values=True)
def manifest_written(value: Any) -> str:
    """As someone writes it, with the checksum that it needs."""
    data = as_json(value)
    with suppress(RecursionError, AttributeError):  # of what is deep, or no object
        data = manifest_of(json.loads(data))
    with changed(packed().manifest, data) as folder:
        return "equal" if list(streamed(folder)) == truth() else "other rows"


@cache
def reader() -> StreamingDataset:
    return StreamingDataset(str(packed().folder), decode=None, rank=0, world_size=1)


@cache
def state_value() -> Any:
    rows = iter(reader())
    next(rows)
    next(rows)
    return reader().state_dict()


@surface(lambda dice: changed_value(state_value(), dice), of_values=True)
def state(value: Any) -> str:
    reader().load_state_dict(value)
    for left, _ in enumerate(reader()):
        assert left < len(truth()), f"more than {len(truth())} rows"
    return "rows left"
