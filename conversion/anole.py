"""Anole: JSON Lines that become one token sequence per line.

    raw     anole.jsonl of {"text", "image"} for chameleon's sft_tokenization: a text, then one picture
    tokens  anole.jsonl with "text_tokens" holding the whole interleaved row and "image_tokens" []; the trainer only
            joins the two

The trainer masks nothing: prompt, answer and pictures all carry loss. It pads inputs with -100, so train with batch
size 1.
Source: https://github.com/GAIR-NLP/anole@af563fa training/train.py#L15 (TokenizedDataset),
chameleon/inference/chameleon.py#L676
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from conversion.formats import Format, Holds
from conversion.pairs import check_pair_options, count_pairs, output_pairs
from conversion.shard import Notes, ShardFolder
from conversion.stored import stored_tokens
from toolkit.errors import UsageError
from toolkit.registry import Registry
from toolkit.schema import Row

# Functions without arguments that return a `Tokenizer`.
TOKENIZERS = Registry("row_tokenizers", {})


class Tokenizer(Protocol):
    """Chameleon's tokenizer and VQ model, as a caller brings them."""

    def row(self, parts: Sequence[tuple[str, str | bytes | list[int]]], /) -> Sequence[int]:
        """Token ids of a row: parts are (role, text) or (role, encoded picture) in reading order, with the option
        `stored` (role, ids of the picture); template and end tokens are the caller's.
        """


@dataclass(frozen=True, kw_only=True)
class Options:
    """
    Attributes:
        profile: "raw" or "tokens".
        text: profile raw: "instruction" or "caption".
        input_images: profile raw: "error" or "drop", for pictures in the prompt.
        root: profile raw: put before paths, which Anole opens as they stand: run from the output folder, or name that
            folder here.
        tokenizer: profile tokens: "module:factory" or "file.py:factory" of a `Tokenizer`.
        stored: profile tokens: the folder that `unifiedvisual tokenize` wrote for Chameleon or Anole; the tokenizer
            gets its ids in place of pictures.
    """

    ONLY: ClassVar = {
        "text": ("raw",),
        "input_images": ("raw",),
        "root": ("raw",),
        "tokenizer": ("tokens",),
        "stored": ("tokens",),
    }
    profile: str = "raw"
    text: str = "instruction"
    input_images: str = "error"
    root: str = ""
    tokenizer: str = ""
    stored: str = ""

    def __post_init__(self) -> None:
        check_pair_options(self, PROFILES)
        if (self.profile == "tokens") != bool(self.tokenizer):
            raise UsageError(
                f"profile 'tokens' needs tokenizer='module:factory', and only it; profile is {self.profile!r}, "
                f"tokenizer {self.tokenizer!r}"
            )


_NOTES = ("the trainer pads inputs with -100: keep batch size 1",)
PROFILES = {
    "raw": Holds(
        consumers="Anole, sft_tokenization",
        use="set `DATASET_RAW_PATH` in training/constants_training.py to `OUT/anole.jsonl`, tokenize, then train",
        trained="every token of the text and of the picture, the prompt's too",
        prompt_images="none",
        answer_images="one a line",
        trains_output_images=True,
        columns=("id", "instruction", "images"),
        notes=_NOTES,
    ),
    "tokens": Holds(
        consumers="Anole, training/train.py",
        use="set `DATASET_TOKENIZED_PATH` in training/constants_training.py to `OUT/anole.jsonl`",
        trained="every token of prompts, answers and pictures",
        prompt_images="any number, as tokens",
        answer_images="any number, as tokens",
        trains_output_images=True,
        columns=("id", "messages", "images"),
        notes=(
            *_NOTES,
            "`stored=FOLDER` gives the tokenizer the ids that `unifiedvisual tokenize` wrote, so that no picture is "
            "encoded again",
        ),
    ),
}


class AnoleWriter:
    def __init__(self, shard: ShardFolder, options: Options) -> None:
        self.shard, self.options = shard, options
        self.tokenizer: Tokenizer | None = TOKENIZERS.make(options.tokenizer) if options.tokenizer else None
        self.ids = stored_tokens(options.stored) if options.stored else None

    def write(self, row: Row) -> None:
        if self.tokenizer:
            self._tokens(row, self.tokenizer)
            return
        pairs = output_pairs(row, text=self.options.text, input_images=self.options.input_images)
        count_pairs(self.shard.tally, row, pairs)
        for pair in pairs:
            image = str(Path(self.options.root, self.shard.image(row, pair.image)))
            self.shard.line("anole.jsonl", {"id": f"{row.id}-{pair.image}", "text": pair.text, "image": image})

    def close(self) -> Notes:
        return {}

    def _tokens(self, row: Row, tokenizer: Tokenizer) -> None:
        images = (self._picture(row, image.bytes) for image in row.images)
        parts = [
            (m.role, part.text if part.type == "text" else next(images)) for m in row.messages for part in m.content
        ]
        tokens = [int(token) for token in tokenizer.row(parts)]
        if not tokens or min(tokens) < 0:  # -100 is padding to the trainer
            raise UsageError(f"the tokenizer gave {tokens[:5]} for row {row.id!r}; expected token ids of 0 and more")
        self.shard.line("anole.jsonl", {"id": row.id, "text_tokens": tokens, "image_tokens": []})
        self.shard.tally.images_out += len(row.images)

    def _picture(self, row: Row, image: bytes) -> bytes | list[int]:
        if self.ids is None:
            return image
        ids: list[int] = self.ids.find({"bytes": image}, row_id=row.id).tolist()
        return ids


FORMAT = Format(name="anole", options=Options, profiles=PROFILES, writer=AnoleWriter)
