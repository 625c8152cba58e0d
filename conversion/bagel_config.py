"""The two files by which BAGEL's trainer, and those made of it, find data.

    bagel_dataset_info.json   the entry for DATASET_INFO in data/dataset_info.py
    bagel.yaml                for --dataset_config_file: the mixture, with num_used_data

num_used_data counts lines of JSON Lines, and files of Parquet. Fewer than there are leaves the rest out; more repeats
files.
Source: https://github.com/ByteDance-Seed/Bagel@056b5fd data/dataset_base.py#L91, data/parquet_utils.py#L15,
data/vlm_dataset.py#L63
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from conversion.shard import Notes
from toolkit.staging.files import write_whole

NAME = "unifiedvisual"
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


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"
