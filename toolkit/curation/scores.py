"""Tables of scores, as `align` writes them."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from toolkit.errors import UsageError

SCORES = "alignment.parquet"
SCORES_SCHEMA = pa.schema(
    [
        ("id", pa.string()),  # of the row
        ("image", pa.int32()),  # place of the picture in the row; of an edit its result
        ("kind", pa.string()),  # caption, text or edit
        ("score", pa.float32()),
        ("detail", pa.string()),  # what the scorer says of it; "" = nothing
    ]
)


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Tables of scores, and what tells them from others."""

    tables: tuple[Path, ...]
    fingerprint: list[str]

    @property
    def described(self) -> list[str]:
        return [digest[:16] for digest in self.fingerprint]


def scored_by(folders: Sequence[str | os.PathLike[str]]) -> Scored:
    """
    Raises:
        UsageError: one holds no finished scores.
    """
    tables = tuple(Path(folder) / SCORES for folder in folders)
    for table in tables:
        if not table.is_file():
            raise UsageError(f"{table.parent} holds no {SCORES}; run: unifiedvisual align SRC {table.parent}")
    return Scored(tables=tables, fingerprint=[_digest(table) for table in tables])


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            digest.update(data)
    return digest.hexdigest()
