"""Messages of blocks, as OpenAI writes them, and the thin variants of four trainers.

    openai         messages.jsonl: every column of the row; pictures as {"type": "image_url", "image_url": {"url":
                   file}}; lossless
    lmms-engine    messages.jsonl of id and the same messages, and lmms-engine.yaml
    trl            train-*.parquet: rows as they are, for `datasets` and TRL's vision collator; lossless
    ms-swift       messages.jsonl of strings with <image> and a list `images`
    llama-factory  the same, and dataset_info.json

Source: trl 1.16 data_utils.py#L32; llamafactory 0.9.5 data/converter.py#L135, data/mm_plugin.py#L189; ms-swift 4.6
template/base.py#L58, #L1184; lmms-engine 0.1.4 datasets/naive/vision_dataset.py#L59, utils/data_utils.py#L129
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from conversion.formats import ALL_COLUMNS, Format, Holds, Writer, belongs_to, choose
from conversion.importing import ReadOptions
from conversion.messages_import import read
from conversion.parquet import ParquetShard
from conversion.report import Report
from conversion.shard import Notes, ShardFolder
from conversion.text import has_literal, has_neighbours, turn_text
from toolkit.schema import ARROW_SCHEMA, Message, Row, features
from toolkit.staging.files import write_whole

STRINGS = ("llama-factory", "ms-swift")


@dataclass(frozen=True, kw_only=True)
class Options:
    """
    Attributes:
        profile: "openai", "trl", "ms-swift", "llama-factory" or "lmms-engine".
        root: put before picture names where the trainer opens them as they stand (ms-swift, lmms-engine).
    """

    profile: str = "openai"
    root: str = ""

    def __post_init__(self) -> None:
        choose("profile", self.profile, PROFILES)
        belongs_to(self, "root", "ms-swift", "lmms-engine")


_THIN = ("id", "messages", "images")
_ANY = "any number, anywhere"
PROFILES = {
    "openai": Holds(
        consumers="this toolkit, and whoever reads OpenAI blocks",
        lossless=True,
        prompt_images=_ANY,
        answer_images=_ANY,
        trains_output_images=False,
        columns=ALL_COLUMNS,
        notes=("OpenAI's own fine-tuning refuses pictures in answers",),
    ),
    "trl": Holds(
        consumers="TRL (SFT of vision models)",
        lossless=True,
        prompt_images=_ANY,
        answer_images=_ANY,
        trains_output_images=False,
        columns=ALL_COLUMNS,
        notes=(
            "load with datasets.load_dataset('parquet'); loss falls on placeholder ids, never on picture content",
            "a literal <image> in text breaks processors whose placeholder it is (LLaVA); counted under warned",
            "chat templates of Qwen3-VL and LLaVA-NeXT drop pictures in answers",
        ),
    ),
    "ms-swift": Holds(
        consumers="ms-swift",
        prompt_images=_ANY,
        answer_images="any number, as context",
        trains_output_images=False,
        columns=_THIN,
        notes=("picture paths are relative to the output folder: run there, or pass root",),
    ),
    "llama-factory": Holds(
        consumers="LLaMA-Factory",
        prompt_images=_ANY,
        answer_images="any number, as context",
        trains_output_images=False,
        columns=_THIN,
        notes=("set dataset_dir and media_dir to the output folder",),
    ),
    "lmms-engine": Holds(
        consumers="lmms-engine (BAGEL and others)",
        prompt_images=_ANY,
        answer_images=_ANY,
        trains_output_images=True,
        columns=_THIN,
        notes=("paths in lmms-engine.yaml are relative to the output folder: run there, or pass root",),
    ),
}


def blocks(message: Message, names: list[str]) -> dict[str, Any]:
    """A message as OpenAI blocks; takes the names of its pictures from the front of `names`."""
    content = [
        {"type": "text", "text": part.text}
        if part.type == "text"
        else {"type": "image_url", "image_url": {"url": names.pop(0)}}
        for part in message.content
    ]
    return {"role": message.role, "content": content}


class JsonWriter:
    def __init__(self, shard: ShardFolder, options: Options) -> None:
        self.shard, self.profile, self.root = shard, options.profile, options.root

    def write(self, row: Row) -> None:
        names = [self.shard.image(row, number) for number in range(len(row.images))]
        record = self._strings(row, names) if self.profile in STRINGS else self._blocks(row, names)
        self.shard.line("messages.jsonl", record)

    def _blocks(self, row: Row, names: list[str]) -> dict[str, Any]:
        columns: dict[str, Any] = row.to_dict() if self.profile == "openai" else {"id": row.id}
        if self.profile == "openai":
            columns["image_names"] = [image["path"] for image in columns.pop("images")]
        count_without_loss(self.shard, row, self.profile)
        return {**columns, "messages": [blocks(message, names) for message in row.messages]}

    def _strings(self, row: Row, names: list[str]) -> dict[str, Any]:
        tally = self.shard.tally
        tally.count("flattened", "literal_tag", row.id, has_literal(row))
        tally.count("flattened", "neighbouring_texts", row.id, has_neighbours(row))
        count_without_loss(self.shard, row, self.profile)
        messages = [{"role": message.role, "content": turn_text(message.content)} for message in row.messages]
        root = self.root if self.profile == "ms-swift" else ""
        return {"id": row.id, "messages": messages, "images": [str(Path(root, name)) for name in names]}

    def close(self) -> Notes:
        return {}


class TrlWriter:
    def __init__(self, shard: ShardFolder) -> None:
        self.shard = shard
        metadata = {"huggingface": json.dumps({"info": {"features": features().to_dict()}})}
        self.parquet = ParquetShard(shard, "train", ARROW_SCHEMA.with_metadata(metadata))

    def write(self, row: Row) -> None:
        count_without_loss(self.shard, row, "trl")
        # Rows stay as they are; processors whose placeholder is "<image>" count one picture too many.
        self.shard.tally.count("warned", "literal_tag", row.id, has_literal(row))
        self.parquet.write(row.to_dict(), sum(len(image.bytes) for image in row.images))
        self.shard.tally.images_out += len(row.images)

    def close(self) -> Notes:
        self.parquet.close()
        return {}


def count_without_loss(shard: ShardFolder, row: Row, profile: str) -> None:
    if not PROFILES[profile].trains_output_images:
        shard.tally.count("images_without_loss", "context", row.id, len(row.images) - row.image_roles.count("input"))


def writer(shard: ShardFolder, options: Options) -> Writer:
    return TrlWriter(shard) if options.profile == "trl" else JsonWriter(shard, options)


def finish(out: Path, notes: Sequence[Notes], options: Options, report: Report) -> None:
    if options.profile == "llama-factory":
        entry: dict[str, Any] = {
            "file_name": "messages.jsonl",
            "formatting": "sharegpt",
            "columns": {"messages": "messages", "images": "images"},
            "tags": {
                "role_tag": "role",
                "content_tag": "content",
                "user_tag": "user",
                "assistant_tag": "assistant",
                "system_tag": "system",
            },
        }
        write_whole(out / "dataset_info.json", [json.dumps({"unifiedvisual": entry}, indent=2).encode() + b"\n"])
    if options.profile == "lmms-engine":
        entry = {
            "path": str(Path(options.root, "messages.jsonl")),
            "data_folder": options.root or ".",
            "data_type": "jsonl",
        }
        write_whole(out / "lmms-engine.yaml", [yaml.safe_dump({"datasets": [entry]}, sort_keys=False).encode()])


FORMAT = Format(
    name="messages",
    options=Options,
    profiles=PROFILES,
    writer=writer,
    finish=finish,
    read=read,
    read_options=ReadOptions,
)
