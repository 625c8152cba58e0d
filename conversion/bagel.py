"""BAGEL's three stock readers. None of them trains interleaved answers; for those use the format bagel-interleaved.

    t2i   t2i-*.parquet: `image` bytes and `captions`, a JSON object as a string; one record per output picture
    edit  edit-*.parquet: `image_list` and `instruction_list` (a list of paraphrases per step), and parquet_info.json
    vlm   vlm.jsonl: a LLaVA row with pictures in the user's turns only

`bagel_config.py` writes what points the trainer here.
Source: https://github.com/ByteDance-Seed/Bagel@056b5fd data/t2i_dataset.py#L69,
data/interleave_datasets/edit_dataset.py#L20, data/vlm_dataset.py#L67
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from conversion.bagel_config import (
    EDIT_TRANSFORMS,
    MAX_EDIT_PIXELS,
    MAX_T2I_PIXELS,
    USE,
    USES_FILES,
    USES_GROUPS,
    USES_LINES,
    VAE,
    write_config,
    write_parquet_info,
)
from conversion.formats import Format, Holds, Writer
from conversion.pairs import (
    check_pair_options,
    count_pairs,
    count_steps,
    edit_steps,
    output_pairs,
    picture_size,
    refuse,
)
from conversion.parquet import ParquetShard
from conversion.report import Report
from conversion.shard import Notes, ShardFolder
from conversion.text import count_strings, fold_system, turn_text
from toolkit.schema import Row

SCHEMAS = {
    "t2i": pa.schema([("id", pa.string()), ("image", pa.binary()), ("captions", pa.string())]),
    "edit": pa.schema(
        [
            ("id", pa.string()),
            ("image_list", pa.list_(pa.binary())),
            ("instruction_list", pa.list_(pa.list_(pa.string()))),
        ]
    ),
}
TRANSFORMS: dict[str, dict[str, Any]] = {
    "t2i": {"image_transform_args": VAE},
    "edit": EDIT_TRANSFORMS,
    "vlm": {
        "image_transform_args": {
            "image_stride": 14,
            "max_image_size": 980,
            "min_image_size": 378,
            "max_pixels": 2_007_040,
        },
        "frame_sampler_args": {"max_num_frames": 12, "min_num_frames": 8},
        "shuffle_lines": True,
        "shuffle_seed": 0,
    },
}
REGISTRY = {"t2i": "t2i_pretrain", "edit": "unified_edit", "vlm": "vlm_sft"}  # Source: data/dataset_info.py#L9


@dataclass(frozen=True, kw_only=True)
class Options:
    """
    Attributes:
        profile: "t2i", "edit" or "vlm".
        text: profile t2i: "instruction" or "caption".
        input_images: profile t2i: "error" or "drop", for pictures in the prompt.
        root: the folder as the trainer will see it; "" = where it is written. BAGEL compares paths letter by letter.
    """

    ONLY: ClassVar = {"text": ("t2i",), "input_images": ("t2i",)}
    profile: str = "t2i"
    text: str = "instruction"
    input_images: str = "error"
    root: str = ""

    def __post_init__(self) -> None:
        check_pair_options(self, PROFILES)


PROFILES = {
    "t2i": Holds(
        consumers="BAGEL t2i_pretrain",
        use=USE,
        trained="the picture; not its text",
        prompt_images="none",
        answer_images="one a record",
        trains_output_images=True,
        columns=("id", "instruction", "images"),
        notes=(*USES_FILES, "pictures above 40 million pixels are skipped by the reader, so refused here"),
    ),
    "edit": Holds(
        consumers="BAGEL unified_edit",
        use=USE,
        trained="the pictures after an instruction; not its text, not the picture before",
        prompt_images="exactly one, in the first turn",
        answer_images="one output a turn",
        trains_output_images=True,
        columns=("id", "instruction", "images"),
        notes=(*USES_GROUPS, "the reader trains on random pieces of a chain, two steps at most"),
    ),
    "vlm": Holds(
        consumers="BAGEL vlm_sft",
        use=USE,
        trained="the text of answers; not prompts, not pictures",
        prompt_images="any number, in user turns",
        answer_images="none",
        trains_output_images=False,
        columns=("id", "messages", "images"),
        notes=USES_LINES,
    ),
}


class ParquetWriter:
    def __init__(self, shard: ShardFolder, options: Options) -> None:
        self.shard, self.options = shard, options
        self.parquet = ParquetShard(shard, options.profile, SCHEMAS[options.profile])

    def write(self, row: Row) -> None:
        records = self._pairs(row) if self.options.profile == "t2i" else [self._edit(row)]
        for record, num_bytes in records:
            self.parquet.write(record, num_bytes)

    def close(self) -> Notes:
        self.parquet.close()
        return {"file": self.parquet.name, "row_groups": self.parquet.row_groups}

    def _pairs(self, row: Row) -> list[tuple[dict[str, Any], int]]:
        pairs = output_pairs(row, text=self.options.text, input_images=self.options.input_images)
        for pair in pairs:
            picture_size(row, pair.image, max_pixels=MAX_T2I_PIXELS)
        count_pairs(self.shard.tally, row, pairs)
        self.shard.tally.images_out += len(pairs)
        images = [row.images[pair.image].bytes for pair in pairs]
        captions = [json.dumps({self.options.text: pair.text}) for pair in pairs]
        return [
            ({"id": f"{row.id}-{pair.image}", "image": image, "captions": caption}, len(image))
            for pair, image, caption in zip(pairs, images, captions, strict=True)
        ]

    def _edit(self, row: Row) -> tuple[dict[str, Any], int]:
        steps = edit_steps(row)
        used = [*steps[0].before, *(step.after for step in steps)]
        for number in used:
            picture_size(row, number, max_pixels=MAX_EDIT_PIXELS)
        count_steps(self.shard.tally, row, steps, together=True)
        self.shard.tally.images_out += len(used)
        images = [row.images[number].bytes for number in used]
        # Lists of paraphrases: from a plain list of strings the reader would train on one random character.
        return {"id": row.id, "image_list": images, "instruction_list": [[step.instruction] for step in steps]}, sum(
            map(len, images)
        )


class VlmWriter:
    def __init__(self, shard: ShardFolder, options: Options) -> None:
        self.shard = shard

    def write(self, row: Row) -> None:
        if set(row.image_roles) - {"input"}:
            raise refuse(
                row, "output_image", "its answer has pictures; BAGEL's vlm reader loads them but gives them no place"
            )
        if not any(part.text for m in row.messages if m.role == "assistant" for part in m.content):
            raise refuse(row, "no_text", "its answers are empty; BAGEL's vlm reader skips rows without a loss")
        for number in range(len(row.images)):
            picture_size(row, number, max_pixels=MAX_EDIT_PIXELS)
        messages = fold_system(row)
        self.shard.tally.count("flattened", "system_message", row.id, row.messages[0].role == "system")
        count_strings(self.shard.tally, row)
        record: dict[str, Any] = {"id": row.id}
        if names := [self.shard.image(row, number) for number in range(len(row.images))]:
            record["image"] = names
        record["conversations"] = [
            {"from": "human" if m.role == "user" else "gpt", "value": turn_text(m.content)} for m in messages
        ]
        self.shard.line("vlm.jsonl", record)

    def close(self) -> Notes:
        return {}


def writer(shard: ShardFolder, options: Options) -> Writer:
    return VlmWriter(shard, options) if options.profile == "vlm" else ParquetWriter(shard, options)


def finish(out: Path, notes: Sequence[Notes], options: Options, report: Report) -> None:
    root = Path(options.root) if options.root else out.absolute()
    entry: dict[str, Any] = {"data_dir": str(root), "num_total_samples": report.records_out}
    if options.profile == "vlm":
        entry["jsonl_path"] = str(root / "vlm.jsonl")
    else:
        entry["num_files"] = sum(note["row_groups"] > 0 for note in notes)
    if options.profile == "edit":
        entry["parquet_info_path"] = str(root / "parquet_info.json")
        write_parquet_info(out, root, notes)
    write_config(out, REGISTRY[options.profile], entry, TRANSFORMS[options.profile])


FORMAT = Format(name="bagel", options=Options, profiles=PROFILES, writer=writer, finish=finish)
