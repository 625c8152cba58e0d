"""Pictures as VQ ids: from the model's own frozen tokenizer, or computed beforehand and kept in Parquet.

    images -> VQTokenizer -> ids                     in the training loop
    rows -> tokenize() -> folder -> StoredTokens     once, then no VQ model and no decoding while training

Ids are kept under the sha256 of the encoded picture and the revision of the tokenizer, so one folder serves any order,
mixture or subset of rows, and ids of another checkpoint are never taken by mistake.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import get_worker_info

from toolkit.collate.common import open_image
from toolkit.collate.pixels import refusals
from toolkit.errors import ImageError, RowError, ShardError, SourceError, UsageError, reason_of, shorten

SCHEMA = pa.schema([("sha256", pa.string()), ("tokenizer", pa.string()), ("ids", pa.list_(pa.int32()))])
ROW_GROUP = 64  # pictures; what one look-up has to read
_BEFOREHAND = "compute their ids beforehand: run tokenize, and pass StoredTokens as image_tokens="


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

    def as_seen(self, image: Image.Image) -> Image.Image:
        """A picture as the encoder sees it, resized and cropped."""
        return image_of(self._pixels_of(image)[0], self._image_processor)

    def __getstate__(self) -> dict[str, Any]:
        raise UsageError(
            "a model's own tokenizer is not sent to worker processes that are spawned (multiprocessing_context= "
            f"'spawn' or 'forkserver', the default of Python 3.14); {_BEFOREHAND}, or let the loop's process collate "
            "(num_workers=0)"
        )

    def encode(self, images: list[Image.Image]) -> list[Tensor]:
        if get_worker_info() is not None and next(self.module.parameters()).is_cuda:
            raise UsageError(f"a model on a GPU cannot encode pictures in a forked worker process; {_BEFOREHAND}")
        if hasattr(next(self.module.parameters()), "full_tensor"):
            raise UsageError(
                f"the VQ encoder is sharded over ranks and cannot encode pictures by itself; {_BEFOREHAND}"
            )
        self.module.eval()
        pixels = []
        for image in images:
            with refusals([image]):
                pixels.append(self._pixels_of(image))
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
        places = {
            (tokenizer, sha256): _Place(str(path), group, row)
            for path in stored_files(self.folder)
            for sha256, tokenizer, group, row in read_keys(path)
        }
        found = {tokenizer for tokenizer, _ in places}
        if not found or (revision is None and len(found) > 1) or (revision is not None and revision not in found):
            raise SourceError(
                f"{self.folder}: holds ids of tokenizers {shorten(found)}; expected {revision or 'exactly one'!r}; "
                "run tokenize first"
            )
        self.revision = revision or found.pop()
        self._places = {sha256: place for (tokenizer, sha256), place in places.items() if tokenizer == self.revision}

    def __len__(self) -> int:
        return len(self._places)

    def find(self, image: Any, *, row_id: str = "") -> Tensor:
        """The ids of an encoded picture, int64 (N,).

        Raises:
            UsageError: the picture is already decoded.
            RowError: it was never tokenized. ShardError: the file of its ids is damaged.
        """
        sha256 = hashlib.sha256(bytes_of(image)).hexdigest()
        if sha256 not in self._places:
            raise RowError(
                f"row {row_id!r}: picture sha256={sha256} is not in {self.folder}; run tokenize on these rows",
                kind="missing_tokens",
            )
        place = self._places[sha256]
        with _readable(place.path):
            found = _open(place.path).read_row_group(place.row_group, columns=["ids"], use_threads=False)
            return torch.tensor(found["ids"][place.row].as_py(), dtype=torch.int64)


def image_ids(images: Sequence[Any], source: ImageTokenizer | StoredTokens, *, row_id: str = "") -> list[Tensor]:
    """Per picture its ids, int64 (N,), looked up or computed."""
    if isinstance(source, StoredTokens):
        return [source.find(image, row_id=row_id) for image in images]
    opened = [open_image(image, row_id=row_id) for image in images]
    try:
        return source.encode(opened)
    except ImageError as error:
        raise ImageError(f"row {row_id!r}: {error}", kind=error.kind) from error


def bytes_of(image: Any) -> bytes:
    if not isinstance(image, Mapping) or not image.get("bytes"):
        raise UsageError(
            f"ids are kept by the bytes of a picture, found a decoded {type(image).__name__}; "
            "read rows with decode=False (datasets: cast_column('images', List(Image(decode=False))))"
        )
    content: bytes = image["bytes"]
    return content


def stored_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("tokens-*.parquet"))


def read_keys(path: Path) -> Iterator[tuple[str, str, int, int]]:
    """(sha256, tokenizer, row group, row in it) of every picture in a file of ids.

    Raises:
        ShardError: it cannot be read.
    """
    with _readable(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        for group in range(file.num_row_groups):
            keys = file.read_row_group(group, columns=["sha256", "tokenizer"], use_threads=False)
            pairs = zip(keys["sha256"].to_pylist(), keys["tokenizer"].to_pylist(), strict=True)
            for row, (sha256, tokenizer) in enumerate(pairs):
                yield sha256, tokenizer, group, row


@contextmanager
def _readable(path: str | Path) -> Iterator[None]:
    try:
        yield
    except (OSError, LookupError, TypeError, ValueError, pa.ArrowException) as error:
        raise ShardError(
            f"{path}: cannot be read as stored ids: {reason_of(error)}; delete the file and run tokenize again"
        ) from error


@lru_cache(maxsize=16)
def _open(path: str) -> pq.ParquetFile:
    """Not mapped into memory: a file that is cut meanwhile would end the process."""
    return pq.ParquetFile(path, pre_buffer=False, page_checksum_verification=True)
