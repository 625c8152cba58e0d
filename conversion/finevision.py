"""FineVision and The Cauldron: Parquet of `images` and `texts`, questions and answers about pictures.

The reader puts all pictures in front of the first question. Rows whose answers have pictures are refused: it trains
text.
Source: https://github.com/huggingface/nanoVLM@4e0c096 data/datasets.py#L28 (_get_messages), train.py#L143
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from conversion.formats import Format, Holds, Shard, check_options
from conversion.importing import ReadOptions, foreign_row, record_shards
from conversion.pairs import picture_size, refuse
from conversion.parquet import ParquetShard
from conversion.shard import Notes, ShardFolder
from conversion.text import fold_system, has_neighbours, texts_of
from toolkit.schema import IMAGE_PART, EncodedImage, Message, Part, Row

IMAGE_TOKEN = "<|image|>"  # taken out of texts. Source: models/config.py, vlm_extra_tokens
_TEXT, _TEXT_FEATURE = pa.string(), {"dtype": "string", "_type": "Value"}
_FEATURES = {
    "id": _TEXT_FEATURE,
    "task": _TEXT_FEATURE,
    "source": _TEXT_FEATURE,
    "images": [{"_type": "Image"}],
    "texts": [{"user": _TEXT_FEATURE, "assistant": _TEXT_FEATURE}],
}
SCHEMA = pa.schema(
    [
        ("id", _TEXT),
        ("task", _TEXT),
        ("source", _TEXT),
        ("images", pa.list_(pa.struct([("bytes", pa.binary()), ("path", _TEXT)]))),
        ("texts", pa.list_(pa.struct([("user", _TEXT), ("assistant", _TEXT)]))),
    ],
    metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}})},
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """
    Attributes:
        profile: "vqa".
    """

    profile: str = "vqa"

    def __post_init__(self) -> None:
        check_options(self, PROFILES)


PROFILES = {
    "vqa": Holds(
        consumers="nanoVLM, and what reads FineVision or The Cauldron",
        use='`train_dataset_path = "OUT"` and `train_dataset_name = ("default",)` in nanoVLM\'s models/config.py',
        trained="the text of answers; not questions, not pictures",
        prompt_images="any number, in front of the first question",
        answer_images="none",
        trains_output_images=False,
        columns=("id", "task", "source", "messages", "images"),
        notes=(
            "pictures that stand elsewhere are counted as `images_moved`",
            "a system message is put in front of the first question",
            f"the reader deletes `{IMAGE_TOKEN}` from any text; counted under warned",
        ),
    )
}


class FineVisionWriter:
    def __init__(self, shard: ShardFolder, options: Options) -> None:
        self.shard = shard
        self.parquet = ParquetShard(shard, "train", SCHEMA)

    def write(self, row: Row) -> None:
        if set(row.image_roles) - {"input"}:
            raise refuse(row, "output_image", "its answer has pictures; the reader trains answers of text only")
        for number in range(len(row.images)):
            picture_size(row, number)
        turns = [_text(message) for message in fold_system(row)]
        self._count(row)
        record = {
            "id": row.id,
            "task": row.task,
            "source": row.source,
            "images": [image._asdict() for image in row.images],
            "texts": [
                {"user": user, "assistant": answer} for user, answer in zip(turns[::2], turns[1::2], strict=True)
            ],
        }
        self.parquet.write(record, sum(len(image.bytes) for image in row.images))
        self.shard.tally.images_out += len(row.images)

    def _count(self, row: Row) -> None:
        tally = self.shard.tally
        tally.count("images_moved", "to_front", row.id, len(row.images) - _leading(row))
        tally.count("flattened", "system_message", row.id, row.messages[0].role == "system")
        tally.count("flattened", "neighbouring_texts", row.id, has_neighbours(row))
        tally.count("flattened", "empty_text", row.id, "" in texts_of(row))
        tally.count("warned", "text_deleted_by_reader", row.id, any(IMAGE_TOKEN in text for text in texts_of(row)))

    def close(self) -> Notes:
        self.parquet.close()
        return {}


def _text(message: Message) -> str:
    return "\n".join(part.text for part in message.content if part.type == "text")


def _leading(row: Row) -> int:
    """Pictures with which the first question begins."""
    first = next(message for message in row.messages if message.role == "user")
    kinds = [part.type for part in first.content]
    return kinds.index("text") if "text" in kinds else len(kinds)


def front_matter(notes: Sequence[Notes], options: Options) -> dict[str, Any]:
    return {"configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "train-*.parquet"}]}]}


def record_to_row(record: dict[str, Any], folder: Path, name: str, *, options: ReadOptions) -> Row:
    """
    Raises:
        RowError: kinds "bad_record", "no_task".
    """
    images = [EncodedImage(image["bytes"], image["path"] or "") for image in record["images"] or []]
    messages: list[Message] = []
    for number, text in enumerate(record["texts"]):
        pictures = [IMAGE_PART] * (0 if number else len(images))
        for role, before, said in (("user", pictures, text["user"]), ("assistant", [], text["assistant"])):
            messages.append(Message(role, (*before, *([Part("text", said)] if said else ()))))
    row = foreign_row(record, messages, images, options, name, "finevision")
    return replace(row, source=str(record.get("source") or ""))


def read(src: Path, options: ReadOptions) -> list[Shard]:
    return record_shards(src, options, ("*.parquet",), partial(record_to_row, options=options))


FORMAT = Format(
    name="finevision",
    options=Options,
    profiles=PROFILES,
    writer=FineVisionWriter,
    front_matter=front_matter,
    read=read,
    read_options=ReadOptions,
)
