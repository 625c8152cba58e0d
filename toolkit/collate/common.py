"""What every collator shares: decoding, splicing pictures into text, padding, the length budget, counted skips."""

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from toolkit.collate.template import SHORT_ROW, ChatEncoder, Encoded
from toolkit.errors import ImageTokenMismatch, RowError, UsageError
from toolkit.images import decode_image
from toolkit.images.modes import to_rgb
from toolkit.sources.skips import OnBad, Skips
from toolkit.streaming.counts import SharedCounts
from toolkit.streaming.token_batches import PackedRows

IGNORE_INDEX = -100  # what torch's cross entropy leaves out
POSITIONS = "position_ids"  # of packed rows

# Per-token values of a row by name: "input_ids", "labels" and what a family adds; all of one length.
Columns = dict[str, list[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One row, ready to be padded.

    Attributes:
        columns: per-token values.
        tensors: per-picture values, each (pictures, ...).
    """

    columns: Columns
    tensors: dict[str, Tensor] = field(default_factory=dict)

    @property
    def num_tokens(self) -> int:
        return len(self.columns["input_ids"])


class Collator(ABC):
    """Rows in, tensors out; the state is the count of rows left out.

    Attributes:
        encoder: the chat template and tokenizer of the family.
        packs: whether several rows may make one sequence; see `pack`.
    """

    encoder: ChatEncoder
    packs = False

    def __init__(self, *, pad_id: int, max_length: int | None, on_bad_row: OnBad) -> None:
        self.pad_id, self.max_length = pad_id, max_length
        self._skips, self._counts = Skips(on_bad_row=on_bad_row), SharedCounts()

    @property
    def skipped(self) -> Counter[str]:
        """Rows left out so far, by kind of error, in this process and in the workers of its loaders."""
        return self._counts.total()

    @cached_property
    def revision(self) -> str:
        """sha256 of what decides how many tokens a row has: the family, template, tokenizer and image processor, and
        the ids of pictures.
        """
        processor, tokenizer = self.encoder.processor, self.encoder.tokenizer
        image_processor = getattr(processor, "image_processor", None)
        parts = (
            f"{type(self).__module__}:{type(self).__qualname__}",
            self.encoder.chat_template or processor.chat_template,
            tokenizer.backend_tokenizer.to_str(),
            image_processor and image_processor.to_json_string(),
            getattr(self, "processor_kwargs", None),
            *(["thoughts"] if self.encoder.thoughts else []),
            getattr(getattr(self, "image_tokens", None), "revision", None),
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    @abstractmethod
    def encode(self, row: Mapping[str, Any]) -> Sample:
        """One row as tokens and picture tensors. Pure: rows do not see one another, so a batch cannot change them."""

    def encode_prompt(self, row: Mapping[str, Any]) -> Sample:
        """The tokens after which the model writes the last answer of a row, encoded as in training.

        The last answer, where there is one, is left out with its pictures.
        """
        return self.encode(without_answer(row))

    def fits(self, row: Mapping[str, Any]) -> bool:
        """Whether the row can be collated: `rows.filter(collator.fits)` leaves bad and long rows out before batching,
        counted.
        """
        return self._encode(row) is not None

    def __call__(self, rows: Sequence[Any]) -> dict[str, Tensor]:
        """A batch. Where none of its rows is left, a short row of which nothing is asked: its loss is 0 in a LossModel
        and nan in a stock model, its gradient 0 in both, and no rank has a step less than others.

        Args:
            rows: dicts; or what StreamingDataset gives with `max_tokens`: a list of them in a list of one, as a loader
                with batches of one hands it on, or PackedRows, each of which becomes one sequence.
        """
        sequences = [rows] if isinstance(rows, PackedRows) else rows
        if sequences and all(isinstance(sequence, PackedRows) for sequence in sequences):
            return self._packed(sequences)
        if rows and isinstance(rows[0], list):
            if len(rows) > 1:
                raise UsageError(
                    f"{len(rows)} batches at once, from a dataset that makes its own by max_tokens=: give the loader "
                    "batch_size=None, or Trainer per_device_train_batch_size=1 and per_device_eval_batch_size=1"
                )
            return self(rows[0])
        samples = [sample for row in rows if (sample := self._encode(row)) is not None]
        return self.batch(samples or [self._nothing()])

    def batch(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        padded = pad([sample.columns for sample in samples], {"input_ids": self.pad_id, "labels": IGNORE_INDEX})
        if POSITIONS in padded:  # packed
            del padded["attention_mask"]
            padded["use_cache"] = torch.tensor(False)
        return {**padded, **join([sample.tensors for sample in samples])}

    def _packed(self, sequences: Sequence[PackedRows]) -> dict[str, Tensor]:
        if not self.packs:
            raise UsageError(
                f"{type(self).__name__} does not know whether its model keeps packed rows apart; call "
                "check_packing(model, collate, rows) of toolkit.collate.packing once, or leave packing=True out"
            )
        encoded = ([self._encode(row) for row in rows] for rows in sequences)
        kept = ([sample for sample in samples if sample is not None] for samples in encoded)
        samples = [pack(samples) for samples in kept if samples]
        return self.batch(samples or [pack([self._nothing()])])

    def _nothing(self) -> Sample:
        """A short row of which nothing is asked."""
        sample = self.encode(SHORT_ROW)
        return replace(sample, columns={**sample.columns, "labels": [IGNORE_INDEX] * sample.num_tokens})

    def _encode(self, row: Mapping[str, Any]) -> Sample | None:
        try:
            sample = self.encode(row)
            if sample.num_tokens > row.get("num_tokens", sample.num_tokens):
                raise UsageError(
                    f"row {row['id']!r}: {sample.num_tokens} tokens, but lengths= says {row['num_tokens']}; measure "
                    "them with this very collator"
                )
            if self.max_length is not None and sample.num_tokens > self.max_length:
                raise RowError(
                    f"row {row['id']!r}: {sample.num_tokens} tokens, more than max_length={self.max_length}; rows are "
                    "never cut, "
                    "because a cut inside a picture breaks it: raise max_length",
                    kind="too_long",
                )
        except RowError as error:
            self._skips.bad(error)
            self._counts.add(error.kind)
            return None
        self._skips.good()
        return sample


def pack(samples: Sequence[Sample]) -> Sample:
    """Rows as one sequence: tokens in sequence, positions that begin anew with each row.

    From such positions, where there is neither an attention mask nor a cache, transformers makes a mask that lets each
    row attend to itself alone, whatever the implementation of attention. The first token of a row is not supervised,
    for what comes before it is another row.

    Source: transformers 5.24, masking_utils.py, find_packed_sequence_indices.
    """
    columns: Columns = {name: [] for name in sorted({name for sample in samples for name in sample.columns})}
    for sample in samples:
        for name, values in columns.items():
            own = sample.columns.get(name, [0] * sample.num_tokens)
            values += [IGNORE_INDEX, *own[1:]] if name == "labels" else own
    columns[POSITIONS] = [position for sample in samples for position in range(sample.num_tokens)]
    return Sample(columns=columns, tensors=join([sample.tensors for sample in samples]))


def open_image(image: Any, *, row_id: str = "") -> Image.Image:
    """A picture of a row as RGB, transparent parts on white: `{"bytes", "path"}`, turned upright, or an already decoded
    one.

    Raises:
        ImageError: the bytes are no picture; `kind` says why.
    """
    return (
        to_rgb(image)
        if isinstance(image, Image.Image)
        else decode_image(image["bytes"] or b"", f"row {row_id!r}: {image['path'] or 'picture'}")
    )


def without_answer(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row up to its last answer, and the pictures up to there; a row that ends with a prompt as it is."""
    messages = row["messages"]
    if messages[-1]["role"] != "assistant":
        return row
    num_images = sum(part["type"] == "image" for message in messages[:-1] for part in message["content"])
    return {**row, "messages": messages[:-1], "images": list(row["images"] or ())[:num_images]}


def image_flags(encoded: Encoded, image_id: int) -> list[bool]:
    """For each picture, in reading order, whether it is part of an answer."""
    return [
        is_answer for token_id, is_answer in zip(encoded.ids, encoded.is_answer, strict=True) if token_id == image_id
    ]


def splice(encoded: Encoded, image_id: int, pictures: Sequence[Columns], *, row_id: str) -> Columns:
    """Puts each picture's tokens in the place of its image token, and masks everything that is not answer.

    Args:
        encoded: a row with one image token per picture.
        image_id: id of that token.
        pictures: per picture its per-token values, "input_ids" and "labels" among them; other names are 0 on text.
        row_id: for the error.

    Returns:
        input_ids: token ids, pictures spliced in.
        labels: `input_ids` where the token is answer text, the picture's own labels where it is an answer picture, else
            IGNORE_INDEX.

    Raises:
        ImageTokenMismatch: the row has more or fewer image tokens than `pictures`.
    """
    if (num_tokens := encoded.ids.count(image_id)) != len(pictures):
        raise ImageTokenMismatch(
            f"row {row_id!r}: {num_tokens} image tokens and {len(pictures)} images; expected equal",
            kind="image_token_mismatch",
        )
    names = {"input_ids", "labels"}.union(*pictures)
    columns: Columns = {name: [] for name in sorted(names)}
    remaining = iter(pictures)
    for token_id, is_answer in zip(encoded.ids, encoded.is_answer, strict=True):
        picture = next(remaining) if token_id == image_id else {"input_ids": [token_id], "labels": [token_id]}
        length = len(picture["input_ids"])
        for name, values in columns.items():
            hidden = name == "labels" and not is_answer
            values.extend([IGNORE_INDEX] * length if hidden else picture.get(name, [0] * length))
    return columns


def pad(rows: Sequence[Columns], fill: Mapping[str, int]) -> dict[str, Tensor]:
    """Pads on the right to the longest row.

    Returns:
        attention_mask: int64 (B, L); 1 on tokens, 0 on padding.
        every name of a row: int64 (B, L); padding holds `fill[name]`, else 0. A row that lacks a name has 0 throughout.
    """
    longest = max(len(row["input_ids"]) for row in rows)
    columns = [{**row, "attention_mask": [1] * len(row["input_ids"])} for row in rows]
    names = sorted({name for row in columns for name in row})
    return {
        name: torch.tensor(
            [row.get(name, []) + [fill.get(name, 0)] * (longest - len(row.get(name, []))) for row in columns]
        )
        for name in names
    }


def join(rows: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Concatenates the picture tensors of all rows, (pictures of the batch, ...); smaller ones are padded with
    zeros at the end.
    """
    rows = list(rows)
    joined = {}
    for name in sorted({name for row in rows for name in row}):
        tensors = [row[name] for row in rows if name in row]
        sizes = [max(sizes) for sizes in zip(*(tensor.shape[1:] for tensor in tensors), strict=True)]
        joined[name] = torch.cat([_grow(tensor, sizes) for tensor in tensors])
    return joined


def _grow(tensor: Tensor, sizes: Sequence[int]) -> Tensor:
    missing = [size - have for size, have in zip(sizes, tensor.shape[1:], strict=True)]
    return (
        torch.nn.functional.pad(tensor, [n for size in reversed(missing) for n in (0, size)])
        if any(missing)
        else tensor
    )


def pad_id_of(tokenizer: Any) -> int:
    """Id that fills rows up; any will do, since padding is neither attended to nor supervised."""
    known = [token_id for token_id in (tokenizer.pad_token_id, tokenizer.eos_token_id) if token_id is not None]
    return int(known[0]) if known else 0
