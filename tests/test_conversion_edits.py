"""Edits for OmniGen2, DiffSynth-Studio, musubi-tuner, ai-toolkit and Janus-4o. The rules of their readers are re-told
from the sources named at each.
"""

import json
import os
import random
from dataclasses import replace
from pathlib import Path

import pytest
import tomllib
import yaml

from conversion import import_rows
from tests.conversion_rows import (
    EDIT,
    EIGHT,
    GENERATE,
    TEXT,
    TURNS,
    TWO_EDITS,
    UNDERSTAND,
    UNKNOWN_FORMAT,
    WEB,
    color_of,
    convert_rows,
    make,
    picture,
    refusal,
)
from toolkit.schema import EncodedImage

FUSE = make(
    "ie-00000004",
    "image_editing",
    ("user", "*|and|*|in one, please."),
    ("assistant", "*"),
    pictures="jpg:red webp:blue green",
    roles="iio",
)
TWO_DRAWN = make(
    "ig-3",
    "image_generation",
    ("user", "Draw a cat."),
    ("assistant", "*"),
    ("user", "Now draw a dog."),
    ("assistant", "*"),
    pictures="red blue",
    roles="oo",
)
EDITS = (EDIT, TWO_EDITS)
# what every reader is to see: text, inputs, output; a chain is told apart
SEEN = [
    ("Make it night.", ["blue"], "black"),
    ("Blue, please.", ["red"], "blue"),
    ("And now black.", ["blue"], "black"),
]
FUSED = ("and\nin one, please.", ["red", "blue"], "green")
FIVE = make(
    "ie-5", "image_editing", ("user", "*|*|*|*|*|In one."), ("assistant", "*"), pictures="red " * 6, roles="iiiiio"
)


def color(path):
    return color_of(Path(path).read_bytes())


# -- OmniGen2: VectorSpaceLab/OmniGen2@0f72fa9 omnigen2/dataset/omnigen2_train_dataset.py

PREFIXES = ["The image portrays ", "The image depicts ", "The image captures ", "The image highlights "]
PREFIXES += ["The image shows "]


def omnigen2_sees(config, cache, sizes=(1, 1, 1, 1)):
    """_collect_annotations and process_item; an error there puts another row in its place, in silence."""
    import datasets

    for entry in yaml.safe_load(Path(config).read_text())["data"]:
        assert Path(entry["path"]).suffix in (".json", ".jsonl")
        float(entry["ratio"])
        for item in datasets.load_dataset("json", data_files=entry["path"], cache_dir=str(cache))["train"]:
            assert item["instruction"] is not None
            text = item["instruction"]
            if "t2i" in item["task_type"]:  # half of the time
                text = next((text.replace(prefix, "") for prefix in PREFIXES if prefix in text), text)
            inputs = item.get("input_images")
            if inputs is not None:
                sizes[len(inputs) - 1]
            yield text, [color(path) for path in inputs or []], color(item["output_image"])


def test_omnigen2_sees_text_inputs_and_output_also_of_text_to_image(tmp_path, monkeypatch):
    shown = replace(GENERATE, id="ig-2", instruction="The image shows fire.")
    report = convert_rows("edit-triples", tmp_path / "out", *EDITS, FUSE, GENERATE, TWO_DRAWN, shown)
    monkeypatch.chdir(tmp_path / "out")  # paths are opened as they stand
    assert list(omnigen2_sees("omnigen2.yml", tmp_path / "cache")) == [
        *SEEN,
        FUSED,
        ("Something warm.", [], "orange"),
        ("Draw a cat.", [], "red"),
        ("Now draw a dog.", ["red"], "blue"),
        ("fire.", [], "orange"),
    ]
    assert report.warned == {"text_deleted_by_reader": 1}
    assert report.flattened == {"chain_told_apart": 2}
    assert report.images_moved == {"beside_the_text": 1}
    assert report.images_repeated == {"chain_told_apart": 2}
    assert report.images_dropped == {"intermediate_image": 1}


def test_omnigen2_has_no_size_for_a_fifth_input(tmp_path):
    assert refusal("edit-triples", tmp_path, FIVE) == "input_images"


# -- DiffSynth-Studio@fed7b18: diffsynth/core/data/unified_dataset.py, operators.py; examples/*/model_training/train.py


def diffsynth_sees(folder, key, one_or_many):
    """UnifiedDataset with default_image_operator, then parse_extra_inputs: every row must have the key."""

    def load(value):
        assert isinstance(value, one_or_many), "the model's prompt would be made of something else"
        return [color(folder / name) for name in ([value] if isinstance(value, str) else value)]

    for data in json.loads((folder / "metadata.json").read_text()):
        assert isinstance(data["image"], str)  # of a list it would make layers
        yield data["prompt"], load(data[key]), color(folder / data["image"])


@pytest.mark.parametrize(
    ("profile", "key", "one_or_many", "seen"),
    [
        ("diffsynth-qwen", "edit_image", str, SEEN),
        ("diffsynth-qwen-2509", "edit_image", list, [*SEEN, FUSED]),
        ("diffsynth-flux", "kontext_images", list, [*SEEN, FUSED]),
    ],
)
def test_diffsynth_sees_text_inputs_and_output(profile, key, one_or_many, seen, tmp_path):
    convert_rows("edit-triples", tmp_path, *EDITS, FUSE, profile=profile, on_unfit="drop")
    assert list(diffsynth_sees(tmp_path, key, one_or_many)) == seen


# -- musubi-tuner@30c658c: src/musubi_tuner/dataset/datasources.py ImageJsonlDatasource, image_video_dataset.py


def musubi_sees(config, control_count=None):
    settings = tomllib.loads(Path(config).read_text())
    (dataset,) = settings["datasets"]
    assert dataset["cache_directory"]  # required for JSON Lines
    items = [json.loads(line) for line in Path(dataset["image_jsonl_file"]).read_text().splitlines()]
    assert all("control_path_0" in item for item in items)
    # latents are cached under the base name of the picture
    assert len({Path(item["image_path"]).stem for item in items}) == len(items)
    for item in items:
        numbers = range(control_count or 1000)
        controls = [item[f"control_path_{n}"] for n in numbers if f"control_path_{n}" in item]
        yield item["caption"], [color(path) for path in controls], color(item["image_path"])


def test_musubi_sees_text_controls_and_picture_and_kontext_the_first_control_only(tmp_path, monkeypatch):
    report = convert_rows("edit-triples", tmp_path, *EDITS, FUSE, profile="musubi")
    monkeypatch.chdir(tmp_path)
    assert list(musubi_sees("musubi.toml")) == [*SEEN, FUSED]
    assert list(musubi_sees("musubi.toml", control_count=1))[-1] == (FUSED[0], ["red"], "green")
    assert report.warned == {"several_inputs": 1}


def test_paths_begin_with_root_where_they_are_opened_as_they_stand(tmp_path):
    convert_rows("edit-triples", tmp_path / "m", EDIT, profile="musubi", root='/data/"uv"')
    settings = tomllib.loads((tmp_path / "m/musubi.toml").read_text())
    assert settings["datasets"][0]["image_jsonl_file"] == '/data/"uv"/musubi.jsonl'
    record = json.loads((tmp_path / "m/musubi.jsonl").read_text())
    assert record["image_path"] == '/data/"uv"/images/00000/ie-00000042-2.png'
    convert_rows("edit-triples", tmp_path / "o", EDIT, root="/data/uv")
    assert yaml.safe_load((tmp_path / "o/omnigen2.yml").read_text())["data"][0]["path"] == "/data/uv/omnigen2.jsonl"


# -- ai-toolkit@27a03a9: toolkit/data_loader.py AiToolkitDataset, toolkit/dataloader_mixins.py ControlFileItemDTOMixin

EXTENSIONS = [".jpg", ".jpeg", ".png", ".webp"]


def ai_toolkit_sees(config):
    (dataset,) = yaml.safe_load(Path(config).read_text())["datasets"]
    found = []
    for root, _, files in os.walk(dataset["folder_path"]):
        for name in sorted(files):
            if not name.lower().endswith(tuple(EXTENSIONS)) or name.startswith("."):
                continue
            stem = Path(name).stem
            controls = []
            for folder in dataset["control_path"]:  # a missing one is passed over in silence
                for extension in EXTENSIONS:
                    if Path(folder, stem + extension).exists():
                        controls.append(color(Path(folder, stem + extension)))
                        break
            caption = Path(root, stem + f".{dataset['caption_ext']}").read_text(encoding="utf-8")
            found.append((", ".join(caption.split(",")), controls, color(Path(root, name))))
    return found


def test_ai_toolkit_sees_text_controls_and_picture(tmp_path, monkeypatch):
    report = convert_rows("edit-triples", tmp_path, *EDITS, FUSE, profile="ai-toolkit")
    monkeypatch.chdir(tmp_path)
    text = "and\nin one,  please."  # a second blank after a comma
    expected = [(said.replace(", ", ",  "), *rest) for said, *rest in SEEN]
    assert ai_toolkit_sees("ai-toolkit.yaml") == [expected[1], expected[2], (text, *FUSED[1:]), expected[0]]
    assert (report.images_in, report.images_out, report.records_out) == (9, 8, 4)


def test_ai_toolkit_refuses_files_that_it_would_not_find(tmp_path):
    gif = replace(EDIT, images=(EDIT.images[0], EDIT.images[1], picture("black", "gif")))
    assert refusal("edit-triples", tmp_path / "a", gif, profile="ai-toolkit") == "picture_format"
    assert refusal("edit-triples", tmp_path / "b", FIVE, profile="ai-toolkit") == "input_images"
    convert_rows("edit-triples", tmp_path / "c", gif, profile="musubi")


# -- Janus-4o: FreedomIntelligence/ShareGPT-4o-Image@19ac7d7 train_janus.py


def janus_sees(data_path, batch_size=2):
    data = json.loads(Path(data_path).read_text())
    folder = Path(data_path).parent
    for start in range(0, len(data), batch_size):
        batch = data[start : start + batch_size]
        # the collator adds up lists over a batch: a name in place of a list, or null, stops it
        assert all(isinstance(item["input_image"], list) for item in batch if "input_image" in item)
        for item in batch:
            count = len(item["input_image"]) if "input_image" in item and len(item["input_image"]) > 0 else 0
            prompt = "<image_placeholder>" * count + item["input_prompt"]
            assert prompt.count("<image_placeholder>") == count
            inputs = [color(folder / name) for name in item.get("input_image", [])]
            yield item["input_prompt"], inputs, color(folder / item["output_image"])


def test_janus_sees_text_inputs_and_output(tmp_path):
    report = convert_rows("janus", tmp_path, *EDITS, FUSE, GENERATE, FIVE)
    seen = [*SEEN, FUSED, ("Something warm.", [], "orange"), ("In one.", ["red"] * 5, "red")]
    assert list(janus_sees(str(tmp_path / "janus.json"))) == seen
    assert report.images_moved == {"beside_the_text": 1}


@pytest.mark.parametrize("token", ["<image_placeholder>", "<begin_of_image>", "<end_of_image>"])
def test_janus_refuses_texts_with_tokens_by_which_it_finds_pictures(token, tmp_path):
    row = make("ig-7", "image_generation", ("user", f"Draw {token}."), ("assistant", "*"), pictures="red", roles="o")
    assert refusal("janus", tmp_path, row) == "special_token"


# -- all of them

PROFILES = [
    ("edit-triples", profile)
    for profile in ("omnigen2", "diffsynth-qwen", "diffsynth-qwen-2509", "diffsynth-flux", "musubi", "ai-toolkit")
]
PROFILES += [("janus", "sft")]


@pytest.mark.parametrize(("name", "profile"), PROFILES)
@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("no_output_image", UNDERSTAND),
        ("no_output_image", TEXT),
        ("no_output_image", TURNS),
        ("no_output_image", EIGHT),
        ("output_images", replace(WEB, id="mi-5", image_roles=("output",) * 3)),
        ("no_output_image", UNKNOWN_FORMAT),
        ("picture_format", replace(EDIT, images=(*EDIT.images[:2], EncodedImage(b"none", "a.png")))),
    ],
    ids=["understand", "text", "turns", "eight", "web", "unknown", "broken"],
)
def test_rows_that_are_no_edits_are_refused(name, profile, kind, row, tmp_path):
    kinds = {kind, "input_images"} if kind == "output_images" else {kind}  # the prompt is looked at first
    assert refusal(name, tmp_path, row, profile=profile) in kinds


@pytest.mark.parametrize(("name", "profile"), PROFILES)
def test_edits_come_back_as_a_row_each_with_their_pictures_in_front(name, profile, tmp_path):
    convert_rows(name, tmp_path, *EDITS, FUSE, profile=profile, on_unfit="drop")
    back = [row for shard in import_rows(name, tmp_path, options={"task": "image_editing"}) for row in shard()]
    found = [
        (row.instruction, [color_of(image.bytes) for image in row.images[:-1]], color_of(row.images[-1].bytes))
        for row in back
    ]
    expected = SEEN if profile == "diffsynth-qwen" else [*SEEN, FUSED]
    assert sorted(found) == sorted(expected)
    assert all(row.image_roles == ("input",) * (len(row.images) - 1) + ("output",) for row in back)
    assert {row.id for row in back} >= {"ie-00000042-2", "ie-00000002-1", "ie-00000002-2"}
    originals = {image.bytes for row in (*EDITS, FUSE) for image in row.images}
    assert all(image.bytes in originals for row in back for image in row.images)


def test_import_reads_records_of_others(tmp_path):
    (tmp_path / "a.png").write_bytes(picture("red").bytes)
    (tmp_path / "b.png").write_bytes(picture("blue").bytes)
    path = tmp_path / "theirs.jsonl"
    path.write_text(
        '{"image_path": "b.png", "control_path": "a.png", "caption": "Blue."}\n'
        '{"image_path": "b.png", "control_path_1": "b.png", "control_path_0": "a.png", "caption": "Blue."}\n'
        '{"prompt": "Blue.", "image": "b.png", "edit_image": "a.png"}\n'
        '{"prompt": "Blue.", "image": "b.png"}\n'
        '{"caption": "Blue."}\n'
    )
    problems = []
    (shard,) = import_rows("edit-triples", path, options={"task": "image_editing"}, on_bad=problems.append)
    assert [[color_of(image.bytes) for image in row.images] for row in shard()] == [
        ["red", "blue"],
        ["red", "blue", "blue"],
        ["red", "blue"],
        ["blue"],
    ]
    assert [problem.kind for problem in problems] == ["bad_record"]


def test_more_inputs_than_ten_keep_their_order(tmp_path):
    colors = ["red", "green", "blue", "yellow", "cyan", "magenta", "white", "black", "orange", "red", "green", "blue"]
    random.Random(0).shuffle(colors)
    row = make(
        "ie-12",
        "image_editing",
        ("user", "|".join(["*"] * 12) + "|Twelve."),
        ("assistant", "*"),
        pictures=" ".join([*colors, "black"]),
        roles="i" * 12 + "o",
    )
    convert_rows("edit-triples", tmp_path, row, profile="musubi")
    (again,) = import_rows("edit-triples", tmp_path)[0]()
    assert [color_of(image.bytes) for image in again.images] == [*colors, "black"]
