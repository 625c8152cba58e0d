"""What "Use" says of each format: the names are the trainers' own, told anew here from the sources named at each; the
files and keys it names are in what is written.
"""

import json
import re
from functools import cache
from typing import NamedTuple

import datasets
import pytest
import tomllib
import yaml

from conversion import convert_shards, describe
from tests.conversion_plugins import options_for
from tests.conversion_rows import ROWS, RowShard
from tests.test_conversion_claims import PROFILES

ENTRIES = {(entry["format"], entry["profile"]): entry for entry in describe()}


class Use(NamedTuple):
    """
    Attributes:
        source: where the trainer has the names.
        names: its flags, variables, keys and files.
        made: what is in a converted folder, "FILE" or "FILE: KEY", the key of the first record where there are many.
        free: for the reader to choose, and patterns.
    """

    source: str
    names: tuple[str, ...]
    made: tuple[str, ...] = ()
    free: tuple[str, ...] = ()


def bagel(repository, *made):
    return Use(
        f"{repository} data/dataset_info.py (DATASET_INFO), train/pretrain_unified_navit.py (DataArguments)",
        ("DATASET_INFO", "data/dataset_info.py", "--dataset_config_file"),
        ("bagel_dataset_info.json", "bagel.yaml", *made),
    )


def diffsynth(script, key):
    return Use(
        f"modelscope/DiffSynth-Studio@fed7b18 examples/{script}",
        ("--dataset_base_path", "--dataset_metadata_path", "--data_file_keys", "--extra_inputs"),
        ("metadata.json", "metadata.json: image", f"metadata.json: {key}"),
    )


ANOLE = "GAIR-NLP/anole@af563fa training/constants_training.py"
EMU3 = "baaivision/Emu3@f6ea9aa emu3/train/prepare_data.py (prepare_args), scripts/t2i_sft.sh"
EDITING_QWEN = "qwen_image/model_training/lora/Qwen-Image-Edit.sh"
USES = {
    ("anole", "raw"): Use(ANOLE, ("DATASET_RAW_PATH", "training/constants_training.py"), ("anole.jsonl",)),
    ("anole", "tokens"): Use(ANOLE, ("DATASET_TOKENIZED_PATH", "training/constants_training.py"), ("anole.jsonl",)),
    ("bagel", "t2i"): bagel("ByteDance-Seed/Bagel@056b5fd", "bagel.yaml: t2i_pretrain"),
    ("bagel", "edit"): bagel("ByteDance-Seed/Bagel@056b5fd", "bagel.yaml: unified_edit"),
    ("bagel", "vlm"): bagel("ByteDance-Seed/Bagel@056b5fd", "bagel.yaml: vlm_sft"),
    ("bagel-interleaved", "thinkmorph"): bagel("ThinkMorph/ThinkMorph@c1a48ad", "bagel.yaml: unified_edit"),
    ("bagel-interleaved", "zebra-cot"): bagel(
        "multimodal-reasoning-lab/Bagel-Zebra-CoT@bbf53c3", "bagel.yaml: think_trace"
    ),
    ("diffusers", "text-to-image"): Use(
        "huggingface/diffusers examples/text_to_image/train_text_to_image.py (parse_args)",
        ("train_text_to_image.py", "--train_data_dir", "--image_column", "--caption_column"),
        ("(datasets): image", "(datasets): text"),
    ),
    ("diffusers", "edit"): Use(
        "huggingface/diffusers examples/instruct_pix2pix/train_instruct_pix2pix.py (parse_args)",
        (
            *("train_instruct_pix2pix.py", "--train_data_dir", "--original_image_column"),
            *("--edit_prompt_column", "--edited_image_column"),
        ),
        ("(datasets): input_image", "(datasets): edit_prompt", "(datasets): edited_image"),
    ),
    ("edit-triples", "omnigen2"): Use(
        "VectorSpaceLab/OmniGen2@0f72fa9 train.py (args.data.data_path), options/ft.yml",
        ("data_path", "options/ft.yml"),
        ("omnigen2.yml",),
    ),
    ("edit-triples", "diffsynth-qwen"): diffsynth(EDITING_QWEN, "edit_image"),
    ("edit-triples", "diffsynth-qwen-2509"): diffsynth(EDITING_QWEN, "edit_image"),
    ("edit-triples", "diffsynth-flux"): diffsynth("flux/model_training/lora/FLUX.1-Kontext-dev.sh", "kontext_images"),
    ("edit-triples", "musubi"): Use(
        "kohya-ss/musubi-tuner@30c658c docs/qwen_image.md",
        ("--dataset_config",),
        ("musubi.toml", "musubi.toml: datasets"),
    ),
    ("edit-triples", "ai-toolkit"): Use(
        "ostris/ai-toolkit@27a03a9 config/examples/train_lora_qwen_image_edit_2509_32gb.yaml",
        ("datasets",),
        ("ai-toolkit.yaml", "ai-toolkit.yaml: datasets"),
    ),
    ("emu3", "raw"): Use(
        EMU3,
        (
            *("emu3/train/prepare_data.py", "--model-path", "--data-path", "--output-path", "list/train.json"),
            *("DATAPATH", "scripts/t2i_sft.sh"),
        ),
        ("emu3.json",),
        ("TOKENIZER", "TOKENS"),
    ),
    ("emu3", "tokens"): Use(EMU3, ("DATAPATH", "scripts/t2i_sft.sh"), ("list/train.json",)),
    ("emu35", "story"): Use(
        "baaivision/Emu3.5@8fcf1da src/utils/vis_proto.py",
        ("src/utils/vis_proto.py", "--input", "--output"),
        ("stories/00000/cc-00000001.pb",),
        ("stories/00000/ID.pb", "FOLDER"),
    ),
    ("finevision", "vqa"): Use(
        "huggingface/nanoVLM@4e0c096 models/config.py (TrainConfig)",
        ("train_dataset_path", "train_dataset_name", "models/config.py"),
        ("(config): default",),
    ),
    ("janus", "sft"): Use(
        "FreedomIntelligence/ShareGPT-4o-Image@19ac7d7 train_janus.py (argparse)", ("--data_path",), ("janus.json",)
    ),
    ("llava", "v15"): Use(
        "haotian-liu/LLaVA@c121f04 scripts/v1_5/finetune.sh", ("--data_path", "--image_folder"), ("llava.json",)
    ),
    ("llava", "next"): Use(
        "LLaVA-VL/LLaVA-NeXT@df17966 llava/train/train.py (DataArguments)",
        ("--data_path", "--image_folder"),
        ("mixture.yaml", "mixture.yaml: datasets"),
    ),
    ("messages", "openai"): Use("of ours", ("unifiedvisual import",), (), ("PACKED",)),
    ("messages", "trl"): Use(
        "trl 1.16 SFTTrainer", ("SFTTrainer(train_dataset", "datasets.load_dataset"), ("(datasets): messages",)
    ),
    ("messages", "ms-swift"): Use("ms-swift 4.6 docs, Custom-dataset", ("--dataset",), ("messages.jsonl",)),
    ("messages", "llama-factory"): Use(
        "llamafactory 0.9.5 hparams/data_args.py",
        ("dataset", "dataset_dir", "media_dir"),
        ("dataset_info.json: unifiedvisual",),
    ),
    ("messages", "lmms-engine"): Use(
        "EvolvingLMMs-Lab/lmms-engine src/lmms_engine/datasets/config.py (DatasetConfig)",
        ("dataset_format: yaml", "dataset_path"),
        ("lmms-engine.yaml", "lmms-engine.yaml: datasets"),
    ),
    ("sensenova", "u1"): Use(
        "OpenSenseNova/SenseNova-U1@0029177 training/shell/train_u1/8B.sh",
        ("mm_data_path", "training/shell/train_u1/8B.sh", "A3B.sh"),
        ("sensenova.json",),
    ),
    ("webdataset", "rows"): Use(
        "webdataset, datasets and megatron-energon 7.4.1, which read it in test_conversion_energon.py",
        (
            *("webdataset.WebDataset", "datasets.load_dataset", "energon prepare", "--non-interactive"),
            *("--split-ratio", "--skip-dataset-yaml"),
        ),
        ("train-00000-000.tar", "cooker.py", "cooker.py: COOKERS"),
        ("*.tar",),
    ),
    ("webdataset", "pairs"): Use(
        "showlab/Show-o@45a5a2d training/train.py (dataset.params), JiuhaiChen/BLIP3o blip3o/data/dataset.py",
        ("train_t2i_shards_path_or_url", "data_files", "blip3o/data/dataset.py"),
        ("train-00000-000.tar",),
    ),
}
# What a trainer may call its own: flags, paths and files, names in capitals or of several words.
NAMED = re.compile(
    r"--[\w-]+|[\w.-]+/[\w./-]+|\b\w+_\w+\b|\b[A-Z][A-Z]+\b|[\w*-]+\.(?:py|json|jsonl|ya?ml|toml|sh|tar|pb)\b"
)


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """Format and profile -> a folder with all rows that fit; made once."""

    @cache
    def folder(name, profile):
        out = tmp_path_factory.mktemp("use") / "out"
        options = options_for(name, profile)
        convert_shards([RowShard(*ROWS)], out, to=name, options=options, on_unfit="drop")
        return out

    return folder


def test_every_profile_says_how_it_is_used():
    assert list(USES) == PROFILES


@pytest.mark.parametrize("key", PROFILES, ids="-".join)
def test_what_use_names_is_the_trainers_own_and_nothing_else(key):
    use, line = USES[key], ENTRIES[key]["use"]
    assert [name for name in use.names if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", line)] == []
    rest = line
    ours = {part for made in use.made for part in made.split(": ")}
    for known in sorted({*use.names, *use.free, *(f"OUT/{each}" for each in ours), *ours, "OUT"}, key=len)[::-1]:
        rest = re.sub(rf"(?<![\w-]){re.escape(known)}(?![\w-])", " ", rest)
    assert NAMED.findall(rest) == []


@pytest.mark.parametrize("key", PROFILES, ids="-".join)
def test_what_use_names_is_in_a_converted_folder_and_in_its_readme(key, converted):
    out, line = converted(*key), ENTRIES[key]["use"]
    assert f"\n- Use: {line}.\n" in (out / "README.md").read_text(encoding="utf-8")
    for made in USES[key].made:
        file, _, wanted = made.partition(": ")
        assert file.startswith("(") or (out / file).is_file()
        assert not wanted or wanted in keys_of(out, file)


def keys_of(out, file):
    """Names at the top of a file, or of its first record; columns and configurations as `datasets` finds them."""
    if file == "(datasets)":
        return datasets.load_dataset(str(out), split="train").column_names
    if file == "(config)":
        return datasets.get_dataset_config_names(str(out))
    path = out / file
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return re.findall(r"^(\w+) =", text, re.MULTILINE)
    found = (
        tomllib.loads(text)
        if path.suffix == ".toml"
        else yaml.safe_load(text)
        if path.suffix in (".yaml", ".yml")
        else json.loads(text)
    )
    return found[0] if isinstance(found, list) else found
