"""BAGEL. The rules of its readers are re-told from ByteDance-Seed/Bagel@056b5fd."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from conversion import convert_shards
from tests.conversion_rows import (
    EDIT,
    EIGHT,
    GENERATE,
    LITERAL,
    TEXT,
    TURNS,
    TWO_EDITS,
    UNDERSTAND,
    WEB,
    RowShard,
    color_of,
    convert_rows,
    make,
    refusal,
)
from toolkit.schema import EncodedImage

# -- BAGEL: ByteDance-Seed/Bagel@056b5fd data/t2i_dataset.py#L69, data/interleave_datasets/edit_dataset.py#L20,
# data/vlm_dataset.py#L67


def test_bagel_t2i_has_bytes_and_captions_as_a_json_object_in_a_string(tmp_path):
    convert_rows("bagel", tmp_path, GENERATE, WEB)
    rows = pq.read_table(tmp_path / "t2i-00000.parquet").to_pylist()
    assert [(color_of(row["image"]), json.loads(row["captions"])) for row in rows] == [
        ("orange", {"instruction": "Something warm."}),
        *((color, {"instruction": "How is bread made?"}) for color in ("red", "green", "blue")),
    ]
    assert all(
        isinstance(row["captions"], str) and json.loads(row["captions"]) for row in rows
    )  # an empty object trains on " "


def test_bagel_t2i_refuses_pictures_its_reader_skips_for_size(tmp_path):
    file = io.BytesIO()
    Image.new("1", (20_000, 2_001)).save(file, "png")
    row = replace(GENERATE, images=(EncodedImage(file.getvalue(), "huge.png"),))
    assert refusal("bagel", tmp_path, row) == "picture_too_large"


def read_as_trainer(folder, file_paths, num_used):
    """get_parquet_data_paths: so many files, from the first again where there are fewer."""
    files = sorted(name for name in file_paths if name.endswith(".parquet"))
    return [f"{folder}/{name}" for name in (files * (num_used // len(files) + 1))[:num_used]]


def per_worker(paths, ranks, workers):
    """set_epoch and get_data_paths_per_worker: whole runs of what there is, the remainder is left out."""
    for_rank = len(paths) // ranks
    for rank in range(ranks):
        mine = paths[rank * for_rank : (rank + 1) * for_rank]
        size = for_rank // workers
        yield from (mine[size * worker : size * (worker + 1)] for worker in range(workers))


@pytest.mark.parametrize(("profile", "row"), [("t2i", GENERATE), ("edit", EDIT), ("vlm", UNDERSTAND)])
def test_bagel_config_uses_all_rows(profile, row, tmp_path):
    shards = [RowShard(*[replace(row, id=f"r-{shard}-{number}") for number in range(8)]) for shard in range(3)]
    convert_shards(shards, tmp_path, to="bagel", options={"profile": profile})
    ((group, mixture),) = yaml.safe_load((tmp_path / "bagel.yaml").read_text()).items()
    info = json.loads((tmp_path / "bagel_dataset_info.json").read_text())[group]
    ((name, entry),) = info.items()  # DATASET_INFO[group][name], as build_datasets looks it up
    assert mixture["dataset_names"] == [name]
    (num_used,) = mixture["num_used_data"]
    if profile == "vlm":
        lines = Path(entry["jsonl_path"]).read_text().splitlines()
        assert len(lines[:num_used]) == 24
        assert len(lines[:8]) == 8  # what "GPUs x workers" of the reader's documentation would leave
        return
    paths = read_as_trainer(entry["data_dir"], [path.name for path in tmp_path.iterdir()], num_used)
    assert sum(pq.read_metadata(path).num_rows for path in paths) == 24 == entry["num_total_samples"]
    assert num_used == entry["num_files"] == 3
    assert not any(per_worker(paths, 2, 2))  # each asks for more for ever
    enough = read_as_trainer(entry["data_dir"], [path.name for path in tmp_path.iterdir()], 2 * num_used)
    assert all(per_worker(enough, 2, 1))
    assert sorted(path for part in per_worker(enough, 2, 1) for path in part) == sorted(paths * 2)


def bagel_edit_sequences(row):
    """Every (images, texts) that parse_row of edit_dataset.py can draw: start, then one or two steps."""
    images, steps = row["image_list"], row["instruction_list"]
    assert len(images) >= 2
    assert len(steps) == len(images) - 1
    for start in range(len(images) - 1):
        for end in range(start + 1, min(start + 3, len(images))):
            # random.choice over a string would draw one character
            assert all(isinstance(steps[number], list) for number in range(start, end))
            yield (
                [color_of(image) for image in images[start : end + 1]],
                [words for number in range(start, end) for words in steps[number]],
            )
            if end - start > 1:  # half of the time: the instructions in one, the last picture of the row left out
                end -= end == len(images) - 1
                words = "".join(f"{steps[number][0]}. " for number in range(start, end)).rstrip()
                yield [color_of(images[start]), color_of(images[end])], [words]


def test_bagel_edit_gives_its_reader_whole_instructions(tmp_path):
    report = convert_rows("bagel", tmp_path, EDIT, TWO_EDITS, profile="edit")
    first, second = pq.read_table(tmp_path / "edit-00000.parquet").to_pylist()
    assert list(bagel_edit_sequences(first)) == [(["blue", "black"], ["Make it night."])]
    assert list(bagel_edit_sequences(second)) == [
        (["red", "blue"], ["Blue, please."]),
        (["red", "blue", "black"], ["Blue, please.", "And now black."]),
        (["red", "blue"], ["Blue, please.."]),
        (["blue", "black"], ["And now black."]),
    ]
    assert report.images_dropped == {"intermediate_image": 1}


@pytest.mark.parametrize(
    ("kind", "row"), [("no_output_image", UNDERSTAND), ("input_images", WEB), ("input_images", GENERATE)]
)
def test_bagel_edit_refuses_rows_that_are_no_chain(kind, row, tmp_path):
    assert refusal("bagel", tmp_path, row, profile="edit") == kind


def test_bagel_parquet_info_has_every_file_under_the_path_its_reader_asks_for(tmp_path):
    many = [replace(EDIT, id=f"ie-{number:08d}") for number in range(100, 1101)]
    convert_shards(
        [RowShard(*many), RowShard(), RowShard(TWO_EDITS)], tmp_path, to="bagel", options={"profile": "edit"}
    )
    entry = json.loads((tmp_path / "bagel_dataset_info.json").read_text())["unified_edit"]["unifiedvisual"]
    info = json.loads(Path(entry["parquet_info_path"]).read_text())
    folder = entry["data_dir"]
    asked = [f"{folder.rstrip('/')}/{path.name}" for path in Path(folder).iterdir() if path.suffix == ".parquet"]
    assert sorted(info) == sorted(asked)
    assert {Path(path).name: value["num_row_groups"] for path, value in info.items()} == {
        "edit-00000.parquet": 2,
        "edit-00002.parquet": 1,
    }
    assert all(pq.ParquetFile(path).num_row_groups == value["num_row_groups"] for path, value in info.items())
    assert (entry["num_files"], entry["num_total_samples"]) == (2, 1002)


def test_bagel_vlm_refuses_what_its_reader_skips_for_having_no_loss(tmp_path):
    row = make("lc-1", "llava_cot", ("user", "*"), ("assistant", ""), pictures="red", roles="i")
    assert refusal("bagel", tmp_path, row, profile="vlm") == "no_text"


def bagel_vlm_elements(record):
    """change_format: pictures stand in human turns only; gpt turns are text as they are."""
    elements = []
    for turn in record["conversations"]:
        if turn["from"] == "gpt":
            elements.append(turn["value"])
            continue
        texts = turn["value"].split("<image>")
        for number, text in enumerate(texts):
            elements += [text.strip()] if text.strip() else []
            elements += ["*"] if number < len(texts) - 1 else []
    return elements


def test_bagel_vlm_has_as_many_slots_as_pictures_and_no_tag_in_answers(tmp_path):
    report = convert_rows(
        "bagel", tmp_path, UNDERSTAND, TEXT, LITERAL, TURNS, EDIT, EIGHT, profile="vlm", on_unfit="drop"
    )
    records = [json.loads(line) for line in (tmp_path / "vlm.jsonl").read_text().splitlines()]
    assert [bagel_vlm_elements(record) for record in records] == [
        ["*", "What is this?", "A red square."],
        ["Two and two?", "Four."],
        ["*", "What does <\\image> or <\\\\image> or <video> mean?", "A tag: <\\image>."],
        ["Be brief.", "*", "Colour?", "Red.", "And this?", "*", "Blue."],
    ]
    for record in records:
        assert bagel_vlm_elements(record).count("*") == len(record.get("image", []))
    assert report.rows_dropped == {"output_image": 2}
    assert [color_of((tmp_path / name).read_bytes()) for name in records[3]["image"]] == ["red", "blue"]
