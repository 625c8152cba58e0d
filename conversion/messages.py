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
from typing import Any, ClassVar

import yaml

from conversion.formats import ALL_COLUMNS, Format, Holds, LeftOut, Writer, check_options, choose
from conversion.importing import ReadOptions
from conversion.messages_import import read
from conversion.parquet import ParquetShard
from conversion.report import Report
from conversion.shard import Notes, ShardFolder
from conversion.text import TAGS, count_strings, has_literal, has_special_token, turn_text
from toolkit.schema import ARROW_SCHEMA, Message, Row, features
from toolkit.staging.files import write_whole


@dataclass(frozen=True, kw_only=True)
class Options:
    """
    Attributes:
        profile: "openai", "trl", "ms-swift", "llama-factory" or "lmms-engine".
        root: put before picture names where the trainer opens them as they stand (ms-swift, lmms-engine).
        literal_tags: profile trl: rows whose text holds what a processor takes for a picture of its own: "keep" writes
            and counts them, "drop" leaves them out and counts them.
    """

    ONLY: ClassVar = {"root": ("ms-swift", "lmms-engine"), "literal_tags": ("trl",)}
    profile: str = "openai"
    root: str = ""
    literal_tags: str = "keep"

    def __post_init__(self) -> None:
        check_options(self, PROFILES)
        choose("literal_tags", self.literal_tags, ("keep", "drop"))


_THIN = ("id", "messages", "images")
_ANY = "any number, anywhere"
_SPECIAL = "special tokens in a text, such as `<|image_pad|>`, are read as such; counted under warned"
PROFILES = {
    "openai": Holds(
        consumers="this toolkit, and whatever reads OpenAI blocks",
        use="`unifiedvisual import OUT PACKED`",
        trained="whatever the reader chooses",
        lossless=True,
        prompt_images=_ANY,
        answer_images=_ANY,
        trains_output_images=False,
        columns=ALL_COLUMNS,
    ),
    "trl": Holds(
        consumers="TRL (SFT of vision models)",
        use='`SFTTrainer(train_dataset=datasets.load_dataset("OUT", split="train"), ...)`',
        trained="all tokens but padding, only answers with `assistant_only_loss`; of pictures placeholder ids, never "
        "what they show",
        lossless=True,
        prompt_images=_ANY,
        answer_images=_ANY,
        trains_output_images=False,
        columns=ALL_COLUMNS,
        notes=(
            "a literal `<image>` or special token in a text stops processors whose placeholder it is; counted under "
            "warned, left out with `literal_tags=drop`",
            "chat templates of Qwen3-VL and LLaVA-NeXT drop pictures in answers",
        ),
    ),
    "ms-swift": Holds(
        consumers="ms-swift",
        use="`--dataset OUT/messages.jsonl`",
        trained="the text of answers; not prompts, not pictures",
        prompt_images=_ANY,
        answer_images="any number, as context",
        trains_output_images=False,
        columns=_THIN,
        notes=("picture paths are relative to OUT: run there, or pass root", _SPECIAL),
    ),
    "llama-factory": Holds(
        consumers="LLaMA-Factory",
        use="`dataset: unifiedvisual`, `dataset_dir: OUT`, `media_dir: OUT`",
        trained="the text of answers, and the placeholder ids of their pictures, never what these show; not prompts",
        prompt_images=_ANY,
        answer_images="any number, as context",
        trains_output_images=False,
        columns=_THIN,
        notes=(_SPECIAL,),
    ),
    "lmms-engine": Holds(
        consumers="lmms-engine (BAGEL and others)",
        use="`dataset_format: yaml`, `dataset_path: OUT/lmms-engine.yaml`",
        trained="the text and the pictures of answers; not prompts",
        prompt_images=_ANY,
        answer_images="any number; what follows the first does not see it",
        trains_output_images=True,
        columns=_THIN,
        notes=(
            "its BAGEL reader shows a picture of an answer as noise only, hidden from all that follows; such rows are "
            "counted under warned: use the format `bagel-interleaved` for them",
            "paths in lmms-engine.yaml are relative to OUT: run there, or pass root",
        ),
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
        record = self._strings(row, names) if self.profile in TAGS else self._blocks(row, names)
        self.shard.line("messages.jsonl", record)

    def _blocks(self, row: Row, names: list[str]) -> dict[str, Any]:
        columns: dict[str, Any] = row.to_dict() if self.profile == "openai" else {"id": row.id}
        if self.profile == "openai":
            columns["image_names"] = [image["path"] for image in columns.pop("images")]
        count_without_loss(self.shard, row, self.profile)
        if self.profile == "lmms-engine":
            self.shard.tally.count("warned", "hidden_from_later", row.id, hides_pictures(row))
        return {**columns, "messages": [blocks(message, names) for message in row.messages]}

    def _strings(self, row: Row, names: list[str]) -> dict[str, Any]:
        tally, tags = self.shard.tally, TAGS[self.profile]
        count_strings(tally, row, tags)
        tally.count("warned", "special_token", row.id, has_special_token(row))
        count_without_loss(self.shard, row, self.profile)
        messages = [{"role": message.role, "content": turn_text(message.content, tags)} for message in row.messages]
        root = self.root if self.profile == "ms-swift" else ""
        return {"id": row.id, "messages": messages, "images": [str(Path(root, name)) for name in names]}

    def close(self) -> Notes:
        return {}


class TrlWriter:
    def __init__(self, shard: ShardFolder, options: Options) -> None:
        self.shard, self.literal_tags = shard, options.literal_tags
        metadata = {"huggingface": json.dumps({"info": {"features": features().to_dict()}})}
        self.parquet = ParquetShard(shard, "train", ARROW_SCHEMA.with_metadata(metadata))

    def write(self, row: Row) -> None:
        # Rows stay as they are; a processor whose placeholder stands in a text counts one picture too many, and stops.
        found = {"literal_tag": has_literal(row), "special_token": has_special_token(row)}
        if self.literal_tags == "drop" and any(found.values()):
            raise LeftOut(f"row {row.id!r}", kind=next(kind for kind, is_there in found.items() if is_there))
        count_without_loss(self.shard, row, "trl")
        for kind, is_there in found.items():
            self.shard.tally.count("warned", kind, row.id, is_there)
        self.parquet.write(row.to_dict(), sum(len(image.bytes) for image in row.images))
        self.shard.tally.images_out += len(row.images)

    def close(self) -> Notes:
        self.parquet.close()
        return {}


def count_without_loss(shard: ShardFolder, row: Row, profile: str) -> None:
    if not PROFILES[profile].trains_output_images:
        shard.tally.count("images_without_loss", "context", row.id, len(row.images) - row.image_roles.count("input"))


def hides_pictures(row: Row) -> bool:
    """Whether anything follows the first picture of an answer: BAGEL as lmms-engine trains it sees an answer's picture
    as noise to be removed, with an attention that hides it from all that follows.
    """
    roles = [(message.role, part.type) for message in row.messages for part in message.content]
    return ("assistant", "image") in roles[:-1]


def writer(shard: ShardFolder, options: Options) -> Writer:
    return TrlWriter(shard, options) if options.profile == "trl" else JsonWriter(shard, options)


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


def front_matter(notes: Sequence[Notes], options: Options) -> dict[str, Any] | None:
    if options.profile != "trl":
        return None
    return {"configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "train-*.parquet"}]}]}


FORMAT = Format(
    name="messages",
    options=Options,
    profiles=PROFILES,
    writer=writer,
    finish=finish,
    front_matter=front_matter,
    read=read,
    read_options=ReadOptions,
)
