"""Pictures -> VQ ids -> a folder of Parquet files, for `StoredTokens` to look up.

Here of rows that a program reads; token_jobs.py does a whole dataset with several workers.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from torch import Tensor

from toolkit.collate.common import open_image
from toolkit.collate.tokens import (
    ROW_GROUP,
    SCHEMA,
    ImageTokenizer,
    bytes_of,
    read_keys,
    stored_files,
)
from toolkit.errors import ImageError, ImageTokenMismatch, RowError
from toolkit.sources.skips import Skips
from toolkit.staging.files import whole_file

IMAGES_PER_FILE = 1024  # also what a kill can lose of a unit: some minutes on a CPU, seconds on a GPU


def tokenize(
    rows: Iterable[Mapping[str, Any]],
    tokenizer: ImageTokenizer,
    folder: str | Path,
    *,
    answers_only: bool = False,
    batch_size: int = 1,
    images_per_file: int = IMAGES_PER_FILE,
    skips: Skips | None = None,
) -> Counter[str]:
    """Writes the ids of all pictures of some rows to a folder of Parquet files.

    Streams: at most `images_per_file` pictures' ids are in memory. A file appears whole or not at all; run again after
        a stop, it resumes with the pictures that are not there yet. Each distinct picture is encoded once. Several
        processes may write to one folder, each with its share of the rows.

    Args:
        rows: with undecoded images.
        tokenizer: computes the ids.
        folder: made if need be; may hold ids of other tokenizers too.
        answers_only: only pictures in assistant turns (all that Janus needs).
        batch_size: pictures handed to the tokenizer at once.
        images_per_file: pictures per file; what a kill can lose. An error or Ctrl-C loses none.
        skips: what to do with bad rows, and their counts; default: they raise. A bad row is left from its first bad
            picture on.

    Returns:
        encoded: pictures that are new; known: pictures that were there or came before.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = TokenFiles(tokenizer.revision, images_per_file, lambda name: folder / name)
    try:
        return encode_rows(
            rows,
            tokenizer,
            files,
            done=keys_of(tuple(stored_files(folder)), tokenizer.revision),
            answers_only=answers_only,
            batch_size=batch_size,
            skips=skips or Skips(),
        )
    finally:
        files.write()


@lru_cache(maxsize=1)
def keys_of(files: tuple[Path, ...], revision: str) -> frozenset[str]:
    """Pictures in some files."""
    return frozenset(key for path in files for key, tokenizer, *_ in read_keys(path) if tokenizer == revision)


class TokenFiles:
    """Files of ids, written one after another.

    Args:
        revision: of the tokenizer.
        path_of: a name made of the content, which no other content has -> path of the next file.
        on_file: called with every file that is written.
    """

    def __init__(
        self,
        revision: str,
        images_per_file: int,
        path_of: Callable[[str], Path],
        on_file: Callable[[Path], None] = lambda path: None,
    ) -> None:
        self._revision, self._images_per_file = revision, images_per_file
        self._path_of, self._on_file = path_of, on_file
        self._ready: list[dict[str, Any]] = []

    @property
    def room(self) -> int:
        """Pictures that the current file still takes."""
        return self._images_per_file - len(self._ready)

    def add(self, sha256: str, ids: list[int]) -> None:
        self._ready.append({"sha256": sha256, "tokenizer": self._revision, "ids": ids})
        if not self.room:
            self.write()

    def write(self) -> None:
        """Write what is there, if anything."""
        if not self._ready:
            return
        keys = "".join(entry["tokenizer"] + entry["sha256"] for entry in self._ready)
        path = self._path_of(f"tokens-{hashlib.sha256(keys.encode()).hexdigest()[:16]}.parquet")
        with whole_file(path) as file:
            table = pa.Table.from_pylist(self._ready, schema=SCHEMA)
            pq.write_table(table, file, row_group_size=ROW_GROUP, compression="zstd", write_page_checksum=True)
        self._on_file(path)
        self._ready.clear()


def encode_rows(
    rows: Iterable[Mapping[str, Any]],
    tokenizer: ImageTokenizer,
    files: TokenFiles,
    *,
    done: Iterable[str],
    answers_only: bool,
    batch_size: int,
    skips: Skips,
    on_encoded: Callable[[int], None] = lambda more: None,
) -> Counter[str]:
    """Encode pictures that are not among `done`, each once; a batch ends with its file, so that one who goes on behind
    a whole file has the same batches. See `tokenize`.
    """
    seen, counts, faults = set(done), Counter(encoded=0, known=0), list[RowError]()
    pending: dict[str, tuple[Image.Image, str]] = {}

    def encode() -> None:
        for sha256, ids in _encoded(pending, tokenizer, faults):
            files.add(sha256, ids.tolist())
            counts["encoded"] += 1
            on_encoded(1)
        pending.clear()

    for row in rows:
        try:
            for sha256, image in _pictures(row, answers_only=answers_only):
                if sha256 in seen:
                    counts["known"] += 1
                    continue
                pending[sha256] = open_image(image, row_id=row["id"]), row["id"]
                seen.add(sha256)
                if len(pending) >= min(batch_size, files.room):
                    encode()
            skips.good()
        except ImageError as error:
            faults.append(RowError(str(error), kind="bad_image"))
        except RowError as error:
            faults.append(error)
        _count(faults, skips)
    encode()
    _count(faults, skips)
    return counts


def _count(faults: list[RowError], skips: Skips) -> None:
    while faults:
        skips.bad(faults.pop(0))


def _encoded(
    pending: Mapping[str, tuple[Image.Image, str]], tokenizer: ImageTokenizer, faults: list[RowError]
) -> Iterator[tuple[str, Tensor]]:
    """Key and ids of pictures, given with the ids of their rows; one that is refused does not take others along."""
    images = [image for image, _ in pending.values()]
    try:
        yield from zip(pending, tokenizer.encode(images) if images else (), strict=True)
    except ImageError:
        for sha256, (image, row_id) in pending.items():
            try:
                yield sha256, tokenizer.encode([image])[0]
            except ImageError as error:
                faults.append(RowError(f"row {row_id!r}: {error}", kind="bad_image"))


def _pictures(row: Mapping[str, Any], *, answers_only: bool) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Key and encoded picture of those that need ids."""
    roles = [message["role"] for message in row["messages"] for part in message["content"] if part["type"] == "image"]
    images = row["images"] or ()
    if len(roles) != len(images):
        raise ImageTokenMismatch(
            f"row {row['id']!r}: {len(roles)} image parts and {len(images)} images; expected equal",
            kind="image_token_mismatch",
        )
    for role, image in zip(roles, images, strict=True):
        if role == "assistant" or not answers_only:
            yield hashlib.sha256(bytes_of(image)).hexdigest(), image
