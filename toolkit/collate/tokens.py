"""Pictures as VQ ids: from the model's own frozen tokenizer, or computed beforehand and kept in Parquet.

    images -> VQTokenizer -> ids                     in the training loop
    rows -> tokenize() -> folder -> StoredTokens     once, then no VQ model and no decoding while training

Ids are kept under the sha256 of the encoded picture and the revision of the tokenizer, so one folder serves any order,
mixture or subset of rows, and ids of another checkpoint are never taken by mistake.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import Tensor

from toolkit.collate.common import open_image
from toolkit.errors import ImageError, ImageTokenMismatch, RowError, ShardError, SourceError, UsageError, shorten
from toolkit.sources.skips import Skips
from toolkit.staging.files import whole_file

SCHEMA = pa.schema([("sha256", pa.string()), ("tokenizer", pa.string()), ("ids", pa.list_(pa.int32()))])
ROW_GROUP = 64  # pictures; what one look-up has to read
IMAGES_PER_FILE = 4096


class ImageTokenizer(Protocol):
    """Turns pictures into ids. `revision` changes whenever the ids of the same picture may."""

    @property
    def revision(self) -> str: ...

    def encode(self, images: list[Image.Image]) -> list[Tensor]:
        """Per picture its ids, int64 (N,)."""
        ...


@runtime_checkable
class ImageDecoder(Protocol):
    """Turns ids back into pictures."""

    @property
    def can_decode(self) -> bool: ...

    def decode(self, ids: Sequence[Tensor]) -> list[Image.Image]:
        """Per picture, from its ids as `ImageTokenizer.encode` gives them, an RGB picture."""
        ...


class VQTokenizer:
    """The VQ encoder of a model: frozen, always in eval mode.

    Trainers call `model.train()` on every step. Emu3's encoder has batch norms: in train mode its ids depend on the
    batch and its statistics drift for good. So `encode` sets eval mode itself, whatever was set before. Only pictures
    of one size share a batch, because a smaller one would be padded and the padding changes ids near the edge.

    Args:
        module: the VQ part of the model; its parameters are frozen.
        pixels_of: one RGB picture -> float (1, 3, H, W).
        ids_of: float (B, 3, H, W) on the device of `module` -> ids, B equal runs of them.
        image_processor: makes the pixels; its class and configuration are part of the revision. The class too, because
            the Pillow and the torchvision one of a family give other pixels under the same configuration.
        pixels_from: the inverse of `ids_of` for one picture: int64 (N,) on the device of `module` -> float (3, H, W) as
            `pixels_of` gives them; None where the checkpoint holds no decoder.
        cropped: a word for what is done to pictures before.
        answers_only: whether the family needs ids of pictures in answers only.

    Attributes:
        batch_size: pictures encoded at once. More is faster on a GPU, whose rounding then may move a picture between
            two equally near codes.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        pixels_of: Callable[[Image.Image], Tensor],
        ids_of: Callable[[Tensor], Tensor],
        *,
        image_processor: Any,
        pixels_from: Callable[[Tensor], Tensor] | None = None,
        cropped: str = "",
        answers_only: bool = False,
    ) -> None:
        self.module, self._pixels_of, self._ids_of, self._pixels_from = module, pixels_of, ids_of, pixels_from
        self._image_processor, self._cropped = image_processor, cropped
        self.answers_only = answers_only
        self.batch_size = 1
        module.eval().requires_grad_(False)

    @cached_property
    def revision(self) -> str:
        """sha256 over the weights, the statistics and the image processor's settings."""
        settings = f"{type(self._image_processor).__name__} {self._image_processor.to_json_string()} {self._cropped}"
        digest = hashlib.sha256(settings.encode())
        for name, tensor in sorted(self.module.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    @property
    def can_decode(self) -> bool:
        return self._pixels_from is not None

    @torch.no_grad()
    def decode(self, ids: Sequence[Tensor]) -> list[Image.Image]:
        """Pictures of ids, as `encode` gives them or a model has written them.

        Raises:
            UsageError: the checkpoint holds no decoder.
        """
        if self._pixels_from is None:
            raise UsageError(
                "this checkpoint turns pictures into ids, but not back: transformers keeps no VQ decoder of "
                "Chameleon; pass decoder= to chameleon_tokenizer, a file vqgan.ckpt of Chameleon or Anole"
            )
        self.module.eval()
        device = next(self.module.parameters()).device
        return [image_of(self._pixels_from(each.to(device)), self._image_processor) for each in ids]

    def encode(self, images: list[Image.Image]) -> list[Tensor]:
        self.module.eval()
        pixels = [self._pixels_of(image) for image in images]
        by_shape: dict[torch.Size, list[int]] = {}
        for number, each in enumerate(pixels):
            by_shape.setdefault(each.shape, []).append(number)
        batches = [
            alike[start : start + self.batch_size]
            for alike in by_shape.values()
            for start in range(0, len(alike), self.batch_size)
        ]
        found = {
            number: ids
            for batch in batches
            for number, ids in zip(batch, self._encode_alike([pixels[n] for n in batch]), strict=True)
        }
        return [found[number] for number in range(len(images))]

    def _encode_alike(self, pixels: list[Tensor]) -> Tensor:
        """Pictures of one size -> int64 (B, N)."""
        weight = next(self.module.parameters())
        with torch.no_grad():
            return (
                self._ids_of(torch.cat(pixels).to(weight.device, weight.dtype))
                .reshape(len(pixels), -1)
                .to("cpu", torch.int64)
            )


def image_of(pixels: Tensor, image_processor: Any) -> Image.Image:
    """The picture whose pixel values, float (3, H, W), an image processor would make: its scale and mean undone."""
    values = pixels.detach().float().cpu()
    if image_processor.do_normalize:
        mean, std = (
            torch.tensor(each)[:, None, None] for each in (image_processor.image_mean, image_processor.image_std)
        )
        values = values * std + mean
    if image_processor.do_rescale:
        values = values / image_processor.rescale_factor
    array = values.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    return Image.fromarray(array)


class _Place(NamedTuple):
    path: str
    row_group: int
    row: int


class StoredTokens:
    """Ids that `tokenize` wrote, found by the bytes of a picture. Only keys are held in memory (about 200 bytes a
    picture).

    Args:
        folder: what `tokenize` wrote to.
        revision: whose ids to take; None = the only one there. Passing `VQTokenizer.revision` of the model makes sure
            they are its own.

    Raises:
        SourceError: nothing there, or ids of several tokenizers and no `revision`.
    """

    def __init__(self, folder: str | Path, *, revision: str | None = None) -> None:
        self.folder = Path(folder)
        places = dict(_keys(self.folder))
        found = {key[1] for key in places}
        if not found or (revision is None and len(found) > 1) or (revision is not None and revision not in found):
            raise SourceError(
                f"{self.folder}: holds ids of tokenizers {shorten(found)}; expected {revision or 'exactly one'!r}; "
                "run tokenize first"
            )
        self.revision = revision or found.pop()
        self._places = {sha256: place for (sha256, tokenizer), place in places.items() if tokenizer == self.revision}

    def __len__(self) -> int:
        return len(self._places)

    def find(self, image: Any, *, row_id: str = "") -> Tensor:
        """The ids of an encoded picture, int64 (N,).

        Raises:
            UsageError: the picture is already decoded.
            RowError: it was never tokenized.
        """
        sha256 = hashlib.sha256(_bytes_of(image)).hexdigest()
        if sha256 not in self._places:
            raise RowError(
                f"row {row_id!r}: picture sha256={sha256} is not in {self.folder}; run tokenize on these rows",
                kind="missing_tokens",
            )
        place = self._places[sha256]
        ids = _open(place.path).read_row_group(place.row_group, columns=["ids"], use_threads=False)["ids"][place.row]
        return torch.tensor(ids.as_py(), dtype=torch.int64)


def image_ids(images: Sequence[Any], source: ImageTokenizer | StoredTokens, *, row_id: str = "") -> list[Tensor]:
    """Per picture its ids, int64 (N,), looked up or computed."""
    if isinstance(source, StoredTokens):
        return [source.find(image, row_id=row_id) for image in images]
    return source.encode([open_image(image, row_id=row_id) for image in images])


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
        a stop, it goes on with the pictures that are not there yet. Each distinct picture is encoded once. Several
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
    skips = skips or Skips()
    done = {sha256 for (sha256, revision), _ in _keys(folder) if revision == tokenizer.revision}
    counts: Counter[str] = Counter(encoded=0, known=0)
    pending: dict[str, Image.Image] = {}
    with _writer(folder, tokenizer.revision, images_per_file) as write:

        def encode() -> None:
            for sha256, ids in zip(pending, tokenizer.encode(list(pending.values())), strict=True):
                write(sha256, ids.tolist())
                counts["encoded"] += 1
            pending.clear()

        for row in rows:
            try:
                for sha256, image in _pictures(row, answers_only=answers_only):
                    if sha256 in done:
                        counts["known"] += 1
                        continue
                    pending[sha256] = open_image(image, row_id=row["id"])
                    done.add(sha256)
                    if len(pending) >= batch_size:
                        encode()
                skips.good()
            except ImageError as error:
                skips.bad(RowError(str(error), kind="bad_image"))
            except RowError as error:
                skips.bad(error)
        encode()
    return counts


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
            yield hashlib.sha256(_bytes_of(image)).hexdigest(), image


def _bytes_of(image: Any) -> bytes:
    if not isinstance(image, Mapping) or not image.get("bytes"):
        raise UsageError(
            f"ids are kept by the bytes of a picture, found a decoded {type(image).__name__}; "
            "read rows with decode=False (datasets: cast_column('images', List(Image(decode=False))))"
        )
    content: bytes = image["bytes"]
    return content


@contextmanager
def _writer(folder: Path, revision: str, images_per_file: int) -> Iterator[Callable[[str, list[int]], None]]:
    """To be called with key and ids; what is left is written at the end, also when that is an error."""
    ready: list[dict[str, Any]] = []

    def write() -> None:
        # Named by content: processes that share a folder cannot overwrite one another.
        name = hashlib.sha256("".join(entry["tokenizer"] + entry["sha256"] for entry in ready).encode()).hexdigest()[
            :16
        ]
        with whole_file(folder / f"tokens-{name}.parquet") as file:
            pq.write_table(
                pa.Table.from_pylist(ready, schema=SCHEMA), file, row_group_size=ROW_GROUP, compression="zstd"
            )
        ready.clear()

    def add(sha256: str, ids: list[int]) -> None:
        ready.append({"sha256": sha256, "tokenizer": revision, "ids": ids})
        if len(ready) >= images_per_file:
            write()

    try:
        yield add
    finally:
        if ready:
            write()


def _keys(folder: Path) -> Iterator[tuple[tuple[str, str], _Place]]:
    for path in sorted(folder.glob("tokens-*.parquet")):
        try:
            file = pq.ParquetFile(path)
            for group in range(file.num_row_groups):
                keys = file.read_row_group(group, columns=["sha256", "tokenizer"], use_threads=False)
                for row, key in enumerate(zip(keys["sha256"].to_pylist(), keys["tokenizer"].to_pylist(), strict=True)):
                    yield key, _Place(str(path), group, row)
        except (OSError, KeyError, pa.ArrowInvalid) as error:
            raise ShardError(
                f"{path}: cannot be read as stored ids: {error}; delete the file and run tokenize again"
            ) from error


@lru_cache(maxsize=16)
def _open(path: str) -> pq.ParquetFile:
    return pq.ParquetFile(path, memory_map=True)
