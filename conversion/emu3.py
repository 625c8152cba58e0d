"""Emu3: a text, then the one picture to draw. Emu1 and Emu2 published no training code and no training format; Emu3 is
the first that did.

    raw     emu3.json, the list that emu3/train/prepare_data.py tokenises: {"name", "text", "image"}; one entry per
            output picture
    tokens  feature/<name>.pth and list/train.json, what prepare_data.py would write: from the ids that `tokenize`
            wrote, or by an encoder the caller brings

Its reader adds no template: the text is the whole prompt, and is tokenised with special tokens on.
Source: https://github.com/baaivision/Emu3@f6ea9aa emu3/train/prepare_data.py#L51, emu3/train/datasets.py#L15
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from conversion.formats import Format, Holds
from conversion.pairs import check_pair_options, count_pairs, output_pairs, refuse
from conversion.shard import Notes, ShardFolder
from conversion.stored import stored_tokens
from toolkit.errors import MissingExtra, UsageError
from toolkit.registry import Registry
from toolkit.schema import Row

SPECIAL_TOKEN = re.compile(r"<\|[^|<>]+\|>")
# Functions without arguments that return an `Encoder`.
ENCODERS = Registry("image_encoders", {})
CODEBOOK_SIZE = 32768  # Source: emu3/train/train.py, visual tokens 0..32767
FIRST_CODE = 184_622 - CODEBOOK_SIZE  # the vocabulary ends with them. Source: transformers Emu3TextConfig, vocab_size


class Encoder(Protocol):
    """A VQ model that turns a picture into codes."""

    def __call__(self, image: bytes, /) -> Any:
        """Codes of an encoded picture: integers (H/8, W/8), each 0..32767; anything numpy.asarray takes."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """
    Attributes:
        profile: "raw" or "tokens".
        text: "instruction" or "caption".
        input_images: "error" or "drop", for pictures in the prompt.
        root: put before paths, which Emu3 opens as they stand: run from the output folder, or name that folder here.
        encoder: profile tokens: "module:factory" or "file.py:factory" of an `Encoder`.
        stored: profile tokens, in place of an encoder: the folder that `unifiedvisual tokenize` wrote for Emu3.
        first_code: profile tokens: the id of <|visual token 000000|> in the vocabulary of the stored ids.
    """

    ONLY: ClassVar = {"encoder": ("tokens",), "stored": ("tokens",), "first_code": ("tokens",)}
    profile: str = "raw"
    text: str = "instruction"
    input_images: str = "error"
    root: str = ""
    encoder: str = ""
    stored: str = ""
    first_code: int = FIRST_CODE

    def __post_init__(self) -> None:
        check_pair_options(self, PROFILES)
        if self.profile == "tokens" and bool(self.encoder) == bool(self.stored):
            raise UsageError(
                "profile 'tokens' needs stored=, a folder that tokenize wrote, or encoder='module:factory', not both; "
                f"stored is {self.stored!r}, encoder {self.encoder!r}"
            )


_HOLDS: dict[str, Any] = {
    "trained": "the picture; not its text (with `--apply_loss_on_only_vision True`, as scripts/t2i_sft.sh has it)",
    "prompt_images": "none",
    "answer_images": "one an entry",
    "trains_output_images": True,
    "columns": ("id", "instruction", "images"),
}
PROFILES = {
    "raw": Holds(
        consumers="Emu3, emu3/train/prepare_data.py",
        use="`python emu3/train/prepare_data.py --model-path TOKENIZER --data-path OUT/emu3.json "
        "--output-path TOKENS`, then `DATAPATH=TOKENS/list/train.json` in scripts/t2i_sft.sh",
        notes=("paths are relative to OUT: run there, or pass root",),
        **_HOLDS,
    ),
    "tokens": Holds(
        consumers="Emu3, emu3/train/train.py",
        use="`DATAPATH=OUT/list/train.json` in scripts/t2i_sft.sh",
        notes=(
            "`stored=FOLDER` takes the ids that `unifiedvisual tokenize` wrote, so that no picture is encoded again",
        ),
        **_HOLDS,
    ),
}


class Emu3Writer:
    def __init__(self, shard: ShardFolder, options: Options) -> None:
        self.shard, self.options = shard, options
        self.encoder: Encoder | None = ENCODERS.make(options.encoder) if options.encoder else None
        if options.stored:
            self.encoder = StoredCodes(options.stored, options.first_code)

    def write(self, row: Row) -> None:
        pairs = output_pairs(row, text=self.options.text, input_images=self.options.input_images)
        for pair in pairs:
            if found := SPECIAL_TOKEN.search(pair.text):
                raise refuse(
                    row, "special_token", f"its text holds {found[0]!r}, which Emu3 would read as a special token"
                )
        codes = [codes_of(self.encoder, row, pair.image) for pair in pairs] if self.encoder else []
        count_pairs(self.shard.tally, row, pairs)
        for number, pair in enumerate(pairs):
            name = f"{row.id}-{pair.image}"
            if self.encoder:
                self._save(name, pair.text, codes[number])
            else:
                image = str(Path(self.options.root, self.shard.image(row, pair.image)))
                self.shard.line("emu3.json", {"name": name, "text": pair.text, "image": image})

    def close(self) -> Notes:
        return {}

    def _save(self, name: str, text: str, codes: Any) -> None:
        try:
            import torch
        except ImportError as error:
            raise MissingExtra("torch", "train") from error
        file = f"{self.shard.number:05d}/{name}.pth"
        # A tensor: torch.load refuses the numpy array that prepare_data.py writes since it reads weights only (torch
        # 2.6).
        entry = {"name": name, "images": torch.tensor(codes, dtype=torch.int64), "texts": text}
        torch.save(entry, self.shard.path(f"feature/{file}"))
        self.shard.line("list/train.json", file)
        self.shard.tally.images_out += 1


class StoredCodes:
    """An `Encoder` that looks up what `tokenize` wrote: rows of ids of the text vocabulary, with an end of line after
    each.
    """

    def __init__(self, folder: str, first_code: int) -> None:
        self.ids, self.first_code = stored_tokens(folder), first_code

    def __call__(self, image: bytes, /) -> "np.ndarray[Any, Any]":
        """
        Raises:
            RowError: kind "missing_tokens". UsageError: the ids are not of Emu3, or of another vocabulary.
        """
        ids = self.ids.find({"bytes": image}).numpy()
        codes = ids - self.first_code
        ends = np.flatnonzero((codes < 0) | (codes >= CODEBOOK_SIZE))
        width = int(ends[0]) + 1 if ends.size else 0
        if width < 2 or len(ids) % width or (ends != np.arange(width - 1, len(ids), width)).any():
            raise UsageError(
                f"{self.ids.folder}: {len(ids)} ids from {ids.min()} to {ids.max()} are not rows of Emu3's codes, an "
                f"end of line after each; expected codes from first_code={self.first_code}"
            )
        return codes.reshape(-1, width)[:, :-1]


def codes_of(encoder: Encoder, row: Row, number: int) -> "np.ndarray[Any, Any]":
    """Codes of `row.images[number]`. Raises UsageError when the encoder gives anything but codes."""
    codes = np.asarray(encoder(row.images[number].bytes))
    if (
        codes.ndim != 2
        or not np.issubdtype(codes.dtype, np.integer)
        or codes.size == 0
        or codes.min() < 0
        or codes.max() >= CODEBOOK_SIZE
    ):
        found = f"{codes.dtype} {codes.shape}"
        raise UsageError(
            f"the encoder gave {found} for picture {number} of row {row.id!r}; expected integers (h, w) from 0 to "
            f"{CODEBOOK_SIZE - 1}"
        )
    return codes


def wraps(options: Options) -> dict[str, tuple[str, str]]:
    if options.profile == "raw":
        return {"emu3.json": ("[\n", "\n]\n")}
    prefix = json.dumps(str(Path(options.root, "feature")))
    return {"list/train.json": (f'{{"prefix": {prefix}, "path_list": [\n', "\n]}\n")}


FORMAT = Format(name="emu3", options=Options, profiles=PROFILES, writer=Emu3Writer, wraps=wraps)
