"""What BAGEL's trainer, and those made of it, have in common: the two files by which they find data, and what they do
with a picture.

    bagel_dataset_info.json   the entry for DATASET_INFO in data/dataset_info.py
    bagel.yaml                for --dataset_config_file: the mixture, with num_used_data

num_used_data counts lines of JSON Lines, and files of Parquet. Fewer than there are leaves the rest out; more repeats
files.
Source: https://github.com/ByteDance-Seed/Bagel@056b5fd data/dataset_base.py#L91, data/parquet_utils.py#L15,
data/vlm_dataset.py#L63, data/transforms.py#L14
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from conversion.shard import Notes
from toolkit.staging.files import write_whole

NAME = "unifiedvisual"
# Twice what readers set Image.MAX_IMAGE_PIXELS to: Pillow refuses more, and the reader then skips the row.
# Source: data/t2i_dataset.py#L15; data/interleave_datasets/edit_dataset.py#L12, data/vlm_dataset.py#L17
MAX_T2I_PIXELS, MAX_EDIT_PIXELS = 40_000_000, 400_000_000
# Sizes and strides. Source: data/configs/example.yaml
VAE = {"image_stride": 16, "max_image_size": 1024, "min_image_size": 512}
VIT = {"image_stride": 14, "max_image_size": 518, "min_image_size": 224}
EDIT_TRANSFORMS = {"image_transform_args": VAE, "vit_image_transform_args": VIT}
USE = (
    "put the entry of `OUT/bagel_dataset_info.json` into `DATASET_INFO` of data/dataset_info.py, and pass "
    "`--dataset_config_file OUT/bagel.yaml`"
)
# What to know of num_used_data.
_ALL = "`num_used_data` counts files, not rows: bagel.yaml names all; fewer leaves files out, a multiple repeats them"
_DEALT = "{} are dealt out whole to GPUs x workers: with fewer the reader waits forever; give a multiple of the files"
USES_FILES, USES_GROUPS = ((_ALL, _DEALT.format(what)) for what in ("files", "row groups"))
USES_LINES = ("`num_used_data` counts lines: bagel.yaml says all of them; fewer leaves the rest out",)


def write_config(out: Path, group: str, entry: Mapping[str, Any], reader: Mapping[str, Any]) -> None:
    """
    Args:
        group: name of the reader in the trainer's registry.
        entry: of DATASET_INFO; has num_total_samples, and num_files where the reader counts files.
        reader: other arguments of the reader.
    """
    used = entry.get("num_files", entry["num_total_samples"])
    mixture = {group: {"dataset_names": [NAME], **reader, "is_mandatory": True, "num_used_data": [used], "weight": 1}}
    write_whole(out / "bagel_dataset_info.json", _json({group: {NAME: entry}}))
    write_whole(out / "bagel.yaml", yaml.safe_dump(mixture, sort_keys=False))


def write_parquet_info(out: Path, root: Path, notes: Sequence[Notes]) -> None:
    """parquet_info.json: row groups of each file. Keys must equal os.path.join(data_dir, name) exactly; a file without
    an entry is skipped in silence.
    """
    info = {str(root / note["file"]): {"num_row_groups": note["row_groups"]} for note in notes if note["row_groups"]}
    write_whole(out / "parquet_info.json", _json(info))


def num_tokens(size: tuple[int, int], *, image_stride: int, max_image_size: int, min_image_size: int) -> int:
    """Tokens of a picture of this width and height, as the trainer's transform sizes it."""
    scale = max(min(max_image_size / max(size), 1.0), min_image_size / min(size))
    sides = [_divisible(round(side * scale), image_stride) for side in size]
    if max(sides) > max_image_size:
        sides = [_divisible(round(side * max_image_size / max(sides)), image_stride) for side in sides]
    return sides[0] * sides[1] // image_stride**2


def _divisible(side: int, stride: int) -> int:
    return max(stride, round(side / stride) * stride)


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"
