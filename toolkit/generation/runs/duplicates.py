"""Samples whose pictures look like those of an earlier sample, by pHash. Pictures of one sample are never compared: an
edit is meant to look like its source.

Compared are `input` with `input` and `output` with `output`, inside a recipe, in the order of the samples, so that
which one stays depends on nothing else.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.generation.core.blobs import Blob, Blobs
from toolkit.generation.journal import Finished
from toolkit.image_hash import phash

COMPARED = ("input", "output")


@dataclass(frozen=True, kw_only=True)
class Duplicate:
    """A sample that is left out.

    Attributes:
        of: id of the sample it looks like; bits: how many of 64 differ.
    """

    id: str
    index: int
    role: str
    of: str
    bits: int


def duplicates(samples: Iterable[Finished], blobs: Blobs, max_bits: int) -> Iterator[Duplicate]:
    """Samples with a picture that differs in at most `max_bits` from that of an earlier one that stays.

    Args:
        samples: accepted, of one recipe, by index, with rows.
    """
    seen = {role: _Seen() for role in COMPARED}
    for sample in samples:
        hashes = list(_hashes(sample, blobs))
        found = next(
            (hit for role, hash in hashes if (hit := seen[role].near(hash, max_bits, role, sample)) is not None), None
        )
        if found:
            yield found
            continue
        for role, hash in hashes:
            seen[role].add(hash, sample.id)


def _hashes(sample: Finished, blobs: Blobs) -> Iterator[tuple[str, int]]:
    columns = json.loads(sample.row or "{}")
    shas = json.loads(columns["provenance"])["images_sha256"]
    for role, path, sha256 in zip(columns["image_roles"], columns["images"], shas, strict=True):
        if role in COMPARED:
            suffix = path.rpartition(".")[2]
            yield role, phash(blobs.read(Blob(sha256, "" if suffix == "bin" else suffix)))


class _Seen:
    """Hashes of one role, in an array that grows by doubling."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._hashes: NDArray[np.uint64] = np.zeros(64, dtype=np.uint64)

    def add(self, hash: int, id: str) -> None:
        if len(self._ids) == len(self._hashes):
            self._hashes = np.concatenate([self._hashes, np.zeros_like(self._hashes)])
        self._hashes[len(self._ids)] = hash
        self._ids.append(id)

    def near(self, hash: int, max_bits: int, role: str, sample: Finished) -> Duplicate | None:
        if not self._ids:
            return None
        bits = np.bitwise_count(self._hashes[: len(self._ids)] ^ np.uint64(hash))
        nearest = int(bits.argmin())
        if bits[nearest] > max_bits:
            return None
        return Duplicate(id=sample.id, index=sample.idx, role=role, of=self._ids[nearest], bits=int(bits[nearest]))
