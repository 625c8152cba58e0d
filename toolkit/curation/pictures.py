"""Pictures that look alike: pHashes that differ in few bits, confirmed by the thumbnails' pixels.

Cut into MAX_BITS + 2 blocks, two hashes that differ in at most MAX_BITS bits have two blocks in common. So for each
choice of two blocks all hashes are sorted by these, and neighbours compared. A unit of the job is a choice and a part
of its values. Of very many pictures three blocks of MAX_BITS + 3 are taken, so that few have them by chance.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from toolkit.curation.database import LEAST_GROUP_ROWS, database, files, keep, literal, write
from toolkit.curation.features import PICTURES
from toolkit.curation.look import TableWriter
from toolkit.executors import Tell
from toolkit.images.hash import differences
from toolkit.staging.files import whole_file

if TYPE_CHECKING:
    import duckdb

MAX_BITS = 4
MANY_PICTURES = 20_000_000
MOST_NEIGHBOURS = 64  # compared of hashes that share two blocks; more are so plain that their order by tint tells
MAX_MEAN, MAX_CELL = 4.0, 24  # differences of thumbnails, of 255: of all, and of one of the 256 cells
UNIT_PICTURES = 1_000_000  # in memory of a unit
COMPARED_PAIRS = 1_000  # at a time
NUMBERED, NEAR = "numbered.parquet", "near.parquet"
Hashes = NDArray[np.uint64]


def number_pictures(described: Sequence[Path], unit: int, folder: Path, tell: Tell) -> int:
    """Write `numbered.parquet`: each picture once, by its number; returns how many there are."""
    with database(folder) as db:
        listed = files([each / PICTURES for each in described])
        once = (
            "SELECT sha256, min(piece) AS piece, any_value(phash) AS phash, any_value(tint) AS tint FROM "
            f"read_parquet({listed}) GROUP BY sha256"
        )
        numbered = f"SELECT row_number() OVER (ORDER BY sha256) - 1 AS number, * FROM ({once}) ORDER BY number"
        write(db, numbered, folder / NUMBERED)
        [(count,)] = db.execute(f"SELECT count(*) FROM read_parquet({literal(str(folder / NUMBERED))})").fetchall()
    return int(count)


def units_of(pictures: int) -> int:
    return len(masks_of(pictures)) * _parts(pictures)


def _parts(pictures: int) -> int:
    return 1 + pictures // UNIT_PICTURES


def find_near(numbered: Path, pictures: int, unit: int, folder: Path, tell: Tell) -> dict[str, int]:
    """Write `near.parquet`: pairs of pictures (`one`, `other`, numbers; `bits`) that look alike, of a unit; returns how
    many hashes have more neighbours than are compared.
    """
    masks = masks_of(pictures)
    part, choice = divmod(unit, len(masks))
    mask = masks[choice]
    numbers, hashes, tints = _read(numbered, mask, part, _parts(pictures))
    ordered = np.lexsort((numbers, tints, hashes, hashes & mask))
    numbers, hashes = numbers[ordered], hashes[ordered]
    keys = hashes & mask
    table = pa.concat_tables([NEAR_SCHEMA.empty_table(), *_neighbours(numbers, hashes, keys)])
    with whole_file(folder / NEAR) as file:
        pq.write_table(table, file)
    more = len(keys) - MOST_NEIGHBOURS - 1
    return {"crowded": int(np.count_nonzero(keys[:more] == keys[MOST_NEIGHBOURS + 1 :])) if more > 0 else 0}


NEAR_SCHEMA = pa.schema([("one", pa.int64()), ("other", pa.int64()), ("bits", pa.int32())])


def masks_of(pictures: int) -> list[np.uint64]:
    """Bits of the blocks of each choice."""
    common = 2 if pictures < MANY_PICTURES else 3
    edges = [64 * number // (MAX_BITS + common) for number in range(MAX_BITS + common + 1)]
    blocks = [(1 << end) - (1 << start) for start, end in pairwise(edges)]
    return [np.uint64(sum(chosen)) for chosen in combinations(blocks, common)]


def _read(
    numbered: Path, mask: np.uint64, part: int, parts: int
) -> tuple[NDArray[np.int64], Hashes, NDArray[np.int32]]:
    """Numbers, hashes and tints of a part of the pictures that can be decoded."""
    numbers, hashes, tints = [np.empty(0, np.int64)], [np.empty(0, np.uint64)], [np.empty(0, np.int32)]
    with pq.ParquetFile(numbered, pre_buffer=False) as parquet:
        for batch in parquet.iter_batches(columns=["number", "phash", "tint"], use_threads=False):
            batch = batch.filter(batch["phash"].is_valid())
            found = batch["phash"].to_numpy(zero_copy_only=False).astype(np.uint64)
            spread = (found & mask) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(40)  # Fibonacci hashing
            mine = spread % np.uint64(parts) == part
            numbers.append(batch["number"].to_numpy()[mine])
            hashes.append(found[mine])
            tints.append(batch["tint"].to_numpy()[mine])
    return np.concatenate(numbers), np.concatenate(hashes), np.concatenate(tints)


def _neighbours(numbers: NDArray[np.int64], hashes: Hashes, keys: Hashes) -> Iterator[pa.Table]:
    """Pairs of those with the same key that differ in few bits."""
    for apart in range(1, MOST_NEIGHBOURS + 1):
        same = keys[:-apart] == keys[apart:]
        if not same.any():
            return
        places = np.flatnonzero(same)
        bits = np.bitwise_count(hashes[places] ^ hashes[places + apart])
        near = places[bits <= MAX_BITS]
        columns = [numbers[near], numbers[near + apart], bits[bits <= MAX_BITS].astype(np.int32)]
        yield pa.table([pa.array(column) for column in columns], schema=NEAR_SCHEMA)


def confirm_near(db: "duckdb.DuckDBPyConnection", described: Sequence[Path], found: Sequence[Path], path: Path) -> None:
    """Write pairs of numbers (`one`, `other`) of pictures that look alike and whose thumbnails do too.

    Args:
        db: has a view `numbered`, see `number_pictures`.
        found: see `find_near`.
    """
    folder = path.parent
    keep(db, "near", f"SELECT DISTINCT one, other FROM read_parquet({files([each / NEAR for each in found])})", folder)
    shown = (
        "SELECT number, thumbnail FROM numbered JOIN (SELECT piece, sha256, thumbnail FROM "
        f"read_parquet({files([each / PICTURES for each in described])})) USING (piece, sha256) WHERE number IN "
        "(SELECT one FROM near UNION SELECT other FROM near)"
    )
    keep(db, "shown", shown, folder, group_rows=LEAST_GROUP_ROWS)
    compared = db.sql(
        "SELECT one, other, a.thumbnail AS before, b.thumbnail AS after FROM near JOIN shown AS a ON one = a.number "
        "JOIN shown AS b ON other = b.number"
    )
    with whole_file(path) as file, TableWriter(file) as writer:
        writer.write(CONFIRMED_SCHEMA.empty_table())
        for batch in compared.to_arrow_reader(COMPARED_PAIRS):
            mean, largest = differences(_pixels(batch["before"]), _pixels(batch["after"]))
            is_like = pa.array((mean <= MAX_MEAN) & (largest <= MAX_CELL))
            writer.write(pa.Table.from_batches([batch.select(["one", "other"]).filter(is_like)], CONFIRMED_SCHEMA))


CONFIRMED_SCHEMA = pa.schema([("one", pa.int64()), ("other", pa.int64())])


def _pixels(thumbnails: Any) -> NDArray[np.uint8]:
    joined = b"".join(thumbnails.to_pylist())
    return np.frombuffer(joined, np.uint8).reshape(len(thumbnails), -1)
