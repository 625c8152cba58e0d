"""Edits for trainers of diffusion models: input pictures, an instruction, the edited picture.

    omnigen2              omnigen2.jsonl and omnigen2.yml; also text to image
    diffsynth-qwen        metadata.json with `edit_image`, one name          (Qwen-Image-Edit)
    diffsynth-qwen-2509   metadata.json with `edit_image`, a list            (Qwen-Image-Edit-2509 and -2511, FLUX.2)
    diffsynth-flux        metadata.json with `kontext_images`, a list        (FLUX.1 Kontext)
    musubi                musubi.jsonl and musubi.toml
    ai-toolkit            folders target, control_1 to control_3 with files of the same names, and ai-toolkit.yaml

Source: https://github.com/VectorSpaceLab/OmniGen2@0f72fa9 omnigen2/dataset/omnigen2_train_dataset.py#L14;
https://github.com/modelscope/DiffSynth-Studio@fed7b18 diffsynth/core/data/unified_dataset.py#L5,
diffsynth/pipelines/qwen_image.py#L390; https://github.com/kohya-ss/musubi-tuner@30c658c
src/musubi_tuner/dataset/datasources.py#L276, image_video_dataset.py#L313; https://github.com/ostris/ai-toolkit@27a03a9
toolkit/dataloader_mixins.py#L1087, toolkit/data_loader.py#L424
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import yaml

from conversion.ai_toolkit import SUFFIXES, AiToolkitWriter, read_folders
from conversion.formats import Format, Holds, Shard, Writer, check_options
from conversion.importing import ReadOptions
from conversion.pairs import Edit
from conversion.report import Report
from conversion.shard import Notes, ShardFolder
from conversion.triples import Keys, TripleWriter, num_inputs, reader
from toolkit.schema import Row
from toolkit.staging.files import write_whole

KEYS = {
    "omnigen2": Keys(
        "omnigen2.jsonl", "instruction", "output_image", "input_images", "list", fewest=0, most=4, kind="task_type"
    ),
    "diffsynth-qwen": Keys("metadata.json", "prompt", "image", "edit_image", "one", most=1),
    "diffsynth-qwen-2509": Keys("metadata.json", "prompt", "image", "edit_image", "list"),
    "diffsynth-flux": Keys("metadata.json", "prompt", "image", "kontext_images", "list"),
    "musubi": Keys("musubi.jsonl", "caption", "image_path", "control_path", "numbered"),
}
# Deleted from half of the text-to-image prompts. Source: omnigen2_train_dataset.py#L94
DELETED_BY_OMNIGEN2 = (
    "The image portrays ",
    "The image depicts ",
    "The image captures ",
    "The image highlights ",
    "The image shows ",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """
    Attributes:
        profile: "omnigen2", "diffsynth-qwen", "diffsynth-qwen-2509", "diffsynth-flux", "musubi" or "ai-toolkit".
        root: put before paths, which OmniGen2, musubi-tuner and ai-toolkit open as they stand: run from the output
            folder, or name that folder here.
    """

    ONLY: ClassVar = {"root": ("omnigen2", "musubi", "ai-toolkit")}
    profile: str = "omnigen2"
    root: str = ""

    def __post_init__(self) -> None:
        check_options(self, PROFILES)


_HOLDS: dict[str, Any] = {
    "trained": "the edited picture; not its text, not the pictures before",
    "answer_images": "one output a turn",
    "trains_output_images": True,
    "columns": ("id", "task", "instruction", "images"),
}
_CHAIN = "a chain of edits becomes one record per edit"
_ROOT = "paths are relative to OUT: run there, or pass root"
_DIFFSYNTH = (
    "`--dataset_base_path OUT --dataset_metadata_path OUT/metadata.json --data_file_keys image,{0} --extra_inputs {0}`"
)
PROFILES = {
    "omnigen2": Holds(
        consumers="OmniGen2",
        use="`data_path: OUT/omnigen2.yml` under data in options/ft.yml",
        prompt_images="up to 4, beside the text; none for text to image",
        notes=(
            _CHAIN,
            _ROOT,
            "more than 4 input pictures are refused: its options have no size for more, and its reader takes another "
            "row in silence",
            "the reader deletes `The image shows` and the like from half of the text-to-image prompts; counted under "
            "warned",
        ),
        **_HOLDS,
    ),
    "diffsynth-qwen": Holds(
        consumers="DiffSynth-Studio, Qwen-Image-Edit",
        use=_DIFFSYNTH.format("edit_image"),
        prompt_images="exactly one, in the first turn",
        notes=(_CHAIN,),
        **_HOLDS,
    ),
    "diffsynth-qwen-2509": Holds(
        consumers="DiffSynth-Studio, Qwen-Image-Edit-2509 and -2511, FLUX.2",
        use=_DIFFSYNTH.format("edit_image"),
        prompt_images="one or more, beside the text",
        notes=(_CHAIN, "`edit_image` is a list, also of one: that is what these models' prompts are made of"),
        **_HOLDS,
    ),
    "diffsynth-flux": Holds(
        consumers="DiffSynth-Studio, FLUX.1 Kontext",
        use=_DIFFSYNTH.format("kontext_images"),
        prompt_images="one or more, beside the text",
        notes=(_CHAIN,),
        **_HOLDS,
    ),
    "musubi": Holds(
        consumers="musubi-tuner: Qwen-Image-Edit, FLUX.2, FLUX.1 Kontext",
        use="`--dataset_config OUT/musubi.toml`",
        prompt_images="one or more, beside the text",
        notes=(
            _CHAIN,
            _ROOT,
            "FLUX.1 Kontext reads the first input picture only; records with more are counted under warned",
        ),
        **_HOLDS,
    ),
    "ai-toolkit": Holds(
        consumers="ai-toolkit: Qwen-Image-Edit, FLUX.1 Kontext",
        use="put the entry of `OUT/ai-toolkit.yaml` under datasets in the configuration",
        prompt_images="up to 3, beside the text",
        notes=(
            _CHAIN,
            _ROOT,
            f"files that are not {', '.join(SUFFIXES)} are refused: the reader does not find them, and trains without",
            "the reader puts a second blank after each comma of a text",
        ),
        **_HOLDS,
    ),
}


def check_omnigen2(shard: ShardFolder, row: Row, steps: list[Edit]) -> None:
    is_deleted = any(not step.before and any(map(step.instruction.count, DELETED_BY_OMNIGEN2)) for step in steps)
    shard.tally.count("warned", "text_deleted_by_reader", row.id, is_deleted)


def check_musubi(shard: ShardFolder, row: Row, steps: list[Edit]) -> None:
    shard.tally.count("warned", "several_inputs", row.id, any(count > 1 for count in num_inputs(steps)))


CHECKS = {"omnigen2": check_omnigen2, "musubi": check_musubi}


def writer(shard: ShardFolder, options: Options) -> Writer:
    if options.profile == "ai-toolkit":
        return AiToolkitWriter(shard)
    check = {"check": CHECKS[options.profile]} if options.profile in CHECKS else {}
    return TripleWriter(shard, KEYS[options.profile], root=options.root, **check)


def wraps(options: Options) -> dict[str, tuple[str, str]]:
    return {"metadata.json": ("[\n", "\n]\n")} if options.profile.startswith("diffsynth") else {}


def finish(out: Path, notes: Sequence[Notes], options: Options, report: Report) -> None:
    def place(name: str) -> str:
        return str(Path(options.root, name))

    if options.profile == "omnigen2":
        data = [{"path": place("omnigen2.jsonl"), "type": "edit", "ratio": 1.0}]
        write_whole(out / "omnigen2.yml", yaml.safe_dump({"data": data}, sort_keys=False))
    elif options.profile == "musubi":
        write_whole(out / "musubi.toml", musubi_toml(place("musubi.jsonl"), place("cache")))
    elif options.profile == "ai-toolkit":
        folders = sorted({name for note in notes for name in note["controls"]})
        entry = {
            "folder_path": place("target"),
            "control_path": [place(name) for name in folders],
            "caption_ext": "txt",
            "resolution": [512, 768, 1024],
        }
        write_whole(out / "ai-toolkit.yaml", yaml.safe_dump({"datasets": [entry]}, sort_keys=False))


def musubi_toml(records: str, cache: str) -> str:
    """A string of JSON is one of TOML too."""
    return (
        "[general]\nresolution = [1024, 1024]\nbatch_size = 1\nenable_bucket = true\nbucket_no_upscale = false\n\n"
        f"[[datasets]]\nimage_jsonl_file = {json.dumps(records)}\ncache_directory = {json.dumps(cache)}\n"
    )


_read_records = reader("edit-triples", *KEYS.values())


def read(src: Path, options: ReadOptions) -> list[Shard]:
    return read_folders(src, options) if (src / "target").is_dir() else _read_records(src, options)


FORMAT = Format(
    name="edit-triples",
    options=Options,
    profiles=PROFILES,
    writer=writer,
    wraps=wraps,
    finish=finish,
    read=read,
    read_options=ReadOptions,
)
