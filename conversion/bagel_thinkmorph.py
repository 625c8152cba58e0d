"""ThinkMorph's reader of interleaved answers: the prompt's picture, its text, then text, picture, text, picture ...

Texts and pictures of the answer are trained; a picture beyond the texts is ignored, so none is written.
Source: https://github.com/ThinkMorph/ThinkMorph@c1a48ad data/interleave_datasets/edit_dataset.py#L21 (parse_row),
inferencer.py#L272, README.md#L132
"""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from conversion.bagel_config import EDIT_TRANSFORMS, MAX_EDIT_PIXELS, num_tokens
from conversion.bagel_interleaved_import import ANSWER, DRAW, DRAWN, THINK
from conversion.one_turn import count_turn, one_turn, split_answer, texts_between
from conversion.pairs import picture_size, refuse
from conversion.parquet import ParquetShard
from conversion.shard import Notes, ShardFolder
from toolkit.schema import Part, Row

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("task", pa.string()),
        ("image_list", pa.list_(pa.binary())),
        ("instruction_list", pa.list_(pa.string())),
        ("output_text_list", pa.list_(pa.string())),
    ]
)
MAX_TOKENS = 16_384  # of a sample, else it is skipped. Source: train/pretrain_unified_navit.py#L131, both


class ThinkMorphWriter:
    def __init__(self, shard: ShardFolder, *, has_markers: bool) -> None:
        self.shard, self.has_markers = shard, has_markers
        self.parquet = ParquetShard(shard, "thinkmorph", SCHEMA)

    def write(self, row: Row) -> None:
        question, answer = one_turn(row)
        texts = _checked(row, answer)
        tokens = sum(_tokens(row, number) for number in range(len(row.images)))
        count_turn(self.shard.tally, row)
        self.shard.tally.count("warned", "skipped_as_too_long", row.id, tokens > MAX_TOKENS)
        if self.has_markers:
            is_marked = any(marker in text for text in texts for marker in (*THINK, *ANSWER, DRAW, DRAWN))
            self.shard.tally.count("warned", "marker_in_text", row.id, is_marked)
            texts = list(marked(row, texts, len(row.images) - 1))
        record = {
            "id": row.id,
            "task": row.task,
            "image_list": [image.bytes for image in row.images],
            "instruction_list": ["\n".join(part.text for part in question if part.type == "text")],
            "output_text_list": texts,
        }
        self.parquet.write(record, sum(len(image.bytes) for image in row.images))
        self.shard.tally.images_out += len(row.images)

    def close(self) -> Notes:
        self.parquet.close()
        return {"file": self.parquet.name, "row_groups": self.parquet.row_groups}


def _checked(row: Row, answer: Sequence[Part]) -> list[str]:
    """The texts of the answer, each before a picture but for the last.

    Raises:
        RowError: kinds "input_images", "no_text", "picture_format", "picture_too_large".
    """
    asked = [part.type for part in row.messages[-2].content]
    if asked.count("image") != 1 or asked[0] != "image":
        raise refuse(row, "input_images", f"its question is {asked}; the reader shows one picture, before all text")
    texts = texts_between(answer)
    if len(texts) > 1 and texts[-1] is None:
        texts.pop()  # it ends with a picture
    if any(text is None for text in texts):
        raise refuse(
            row,
            "no_text",
            "its answer opens with a picture, or has two side by side; the reader puts a text before each",
        )
    return [text for text in texts if text is not None]


def _tokens(row: Row, number: int) -> int:
    """As BAGEL counts them: a picture of a prompt is seen by VAE and ViT, one of an answer is drawn and then seen."""
    size = picture_size(row, number, max_pixels=MAX_EDIT_PIXELS)
    vae, vit = (num_tokens(size, **transform) for transform in EDIT_TRANSFORMS.values())
    return vit + vae * (1 if row.image_roles[number] == "input" else 2)


def marked(row: Row, texts: Sequence[str], num_drawn: int) -> Iterator[str]:
    """Texts of an answer with `num_drawn` pictures, as ThinkMorph's data marks them."""
    for number, text in enumerate(texts):
        before = DRAWN if number else ""
        if number < num_drawn:
            yield f"{before}{_in(THINK, text)}{DRAW}"
        else:
            reason, answer = split_answer(row, text)
            yield f"{before}{_in(THINK, reason) if reason else ''}{_in(ANSWER, answer)}"


def _in(tags: tuple[str, str], text: str) -> str:
    return f"{tags[0]}{text}{tags[1]}"
