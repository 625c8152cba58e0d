"""Samples that are near-duplicates of an earlier one of their recipe: by their pictures, by the words of their
instruction. Pictures of one sample are never compared: an edit is meant to look like its source.

Compared are `input` with `input` and `output` with `output`, in the order of the samples, so that which one stays
depends on nothing else. A pHash finds candidates; only pixels say that two show the same, as drawings that mean
different things may differ in few bits.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from toolkit.generation.core.blobs import Blob, Blobs
from toolkit.generation.core.spec import Duplicates
from toolkit.generation.journal import Finished
from toolkit.images import decode_image
from toolkit.images.hash import phash
from toolkit.minhash import bands

COMPARED = ("input", "output")
MAX_BITS = 6  # of 64, up to which two pictures are compared by pixels
MAX_BLOCK = 20.0  # levels of 255: mean difference of a block of pixels, up to which two pictures show the same there
WORDS = 3  # in a run
_SEEN, _BLOCK = 256, 8  # sides in pixels of what is compared, and of a block of it


@dataclass(frozen=True, kw_only=True)
class Duplicate:
    """A sample that is left out.

    Attributes:
        role: of the picture, or "instruction".
        of: id of the earlier sample.
        alike: of 64 bits of pHash those that are equal, or of the runs of words those in common, as a share.
    """

    id: str
    index: int
    role: str
    of: str
    alike: float


class _Picture(NamedTuple):
    role: str
    blob: Blob
    hash: int


def show_the_same(one: bytes, other: bytes) -> bool:
    """Whether no part of two pictures differs by more than scaling and compression do."""
    gap = np.abs(_small(one) - _small(other)).mean(axis=2)
    blocks = gap.reshape(_SEEN // _BLOCK, _BLOCK, _SEEN // _BLOCK, _BLOCK).mean(axis=(1, 3))
    return float(blocks.max()) <= MAX_BLOCK


def _small(picture: bytes) -> NDArray[np.float32]:
    shown = decode_image(picture, "picture").convert("RGB")
    return np.asarray(shown.resize((_SEEN, _SEEN), Image.Resampling.BOX), dtype=np.float32)


def duplicates(samples: Iterable[Finished], blobs: Blobs, wanted: Duplicates) -> Iterator[Duplicate]:
    """
    Args:
        samples: accepted, of one recipe, by index, with rows.
    """
    pictures, texts = {role: _Seen(blobs) for role in COMPARED}, _Texts(wanted.text)
    for sample in samples:
        columns = json.loads(sample.row or "{}")
        shown = list(_pictures(columns, blobs)) if wanted.images else []
        found = next(filter(None, (pictures[each.role].like(each, sample) for each in shown)), None)
        found = found or texts.like(columns["instruction"], sample)
        if found:
            yield found
            continue
        for each in shown:
            pictures[each.role].add(each, sample.id)
        texts.add(columns["instruction"], sample.id)


def _pictures(columns: dict[str, Any], blobs: Blobs) -> Iterator[_Picture]:
    shas = json.loads(columns["provenance"])["images_sha256"]
    for role, path, sha256 in zip(columns["image_roles"], columns["images"], shas, strict=True):
        if role in COMPARED:
            suffix = path.rpartition(".")[2]
            blob = Blob(sha256, "" if suffix == "bin" else suffix)
            yield _Picture(role, blob, phash(blobs.read(blob)))


class _Seen:
    """Pictures of one role, their hashes in an array that grows by doubling."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._kept: list[tuple[str, Blob]] = []
        self._hashes: NDArray[np.uint64] = np.zeros(64, dtype=np.uint64)

    def add(self, picture: _Picture, id: str) -> None:
        if len(self._kept) == len(self._hashes):
            self._hashes = np.concatenate([self._hashes, np.zeros_like(self._hashes)])
        self._hashes[len(self._kept)] = picture.hash
        self._kept.append((id, picture.blob))

    def like(self, picture: _Picture, sample: Finished) -> Duplicate | None:
        """The nearest of the earlier ones that show the same."""
        bits = np.bitwise_count(self._hashes[: len(self._kept)] ^ np.uint64(picture.hash))
        near = np.flatnonzero(bits <= MAX_BITS)
        for number in near[np.argsort(bits[near], kind="stable")]:
            id, blob = self._kept[number]
            if blob == picture.blob or show_the_same(self._blobs.read(blob), self._blobs.read(picture.blob)):
                alike = 64 - int(bits[number])
                return Duplicate(id=sample.id, index=sample.idx, role=picture.role, of=id, alike=alike)
        return None


class _Texts:
    """Instructions as runs of words, found by MinHash and compared exactly.

    Args:
        least: share of runs in common (Jaccard) from which on two are the same; None = none are.
    """

    def __init__(self, least: float | None) -> None:
        self._least, self._runs = least, dict[str, frozenset[str]]()
        self._ids = defaultdict[int, list[str]](list)  # of the texts that have a band

    def add(self, text: str, id: str) -> None:
        if self._least is not None:
            self._runs[id] = runs_of(text)
            for band in bands(self._runs[id], self._least):
                self._ids[band].append(id)

    def like(self, text: str, sample: Finished) -> Duplicate | None:
        if self._least is None:
            return None
        mine = runs_of(text)
        near = {id for band in bands(mine, self._least) for id in self._ids.get(band, ())}
        shares = [(len(mine & self._runs[id]) / len(mine | self._runs[id]), id) for id in near]
        share, of = max(shares, key=lambda each: (each[0], each[1]), default=(0.0, ""))
        if share < self._least:
            return None
        return Duplicate(id=sample.id, index=sample.idx, role="instruction", of=of, alike=round(share, 3))


def runs_of(text: str) -> frozenset[str]:
    """Runs of 3 words; of shorter texts the text."""
    words = re.findall(r"\w+", text.lower())
    return frozenset(" ".join(words[at : at + WORDS]) for at in range(max(1, len(words) - WORDS + 1)))
