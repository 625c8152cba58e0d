"""SenseNova-U1. The rules of its reader are re-told from OpenSenseNova/SenseNova-U1@0029177
training/sensenovavl/data/multimodal_dataset.py.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from conversion import convert_shards, import_rows
from tests.conversion_rows import (
    EDIT,
    EIGHT,
    GENERATE,
    LITERAL,
    REASON,
    REUSED,
    SPECIAL,
    TEXT,
    TURNS,
    TWO_DRAWINGS,
    TWO_EDITS,
    UNDERSTAND,
    UNICODE,
    UNKNOWN_FORMAT,
    WEB,
    RowShard,
    color_of,
    convert_rows,
    make,
    picture,
    refusal,
)
from toolkit.schema import Message, Part

FUSE = make(
    "ie-00000004",
    "image_editing",
    ("user", "*|and|*|in one."),
    ("assistant", "I put them side by side.|*"),
    pictures="red blue green",
    roles="iio",
)
SYSTEM = make(
    "ig-00000003",
    "image_generation",
    ("system", "Draw."),
    ("user", "A cat."),
    ("assistant", "*"),
    pictures="red",
    roles="o",
)
ROWS = (
    UNDERSTAND,
    TEXT,
    GENERATE,
    EDIT,
    WEB,
    REASON,
    EIGHT,
    REUSED,
    LITERAL,
    TURNS,
    UNICODE,
    SPECIAL,
    TWO_DRAWINGS,
    TWO_EDITS,
    FUSE,
    SYSTEM,
)

TOKENS = ("<IMG_CONTEXT>", "<img>", "</img>")


def is_skipped(item, task):
    """multi_modal_get_item, pure_text_get_item: whether one of its assertions drops the row."""
    values = [turn["value"] for turn in item["conversations"]]
    human = [turn["value"] for turn in item["conversations"] if turn["from"] == "human"]
    gpt = [turn["value"] for turn in item["conversations"] if turn["from"] == "gpt"]
    if any(token in value for token in TOKENS for value in values):
        return True
    if "image" not in item:
        return any("<image>" in value for value in values)
    images = item["image"] if isinstance(item["image"], list) else [item["image"]]
    if task in ("mm_t2i", "mm_it2i"):
        drawn = len(values) == 2 and values[1].endswith("<image>") and values[1].count("<image>") == 1
        asked = values[0].count("<image>")
        return not drawn or asked != (0 if task == "mm_t2i" else len(images) - 1)
    if task == "mm_interleave_gen":
        shown = sum(value.count("<image>") for value in values)
        return len(images) > 40 or shown != len(images) or not any("<image>" in value for value in gpt)
    if any("<image>" in value for value in gpt):
        return True
    if len(images) == 1 and "<image>" not in human[0]:
        human[0] = "<image>\n" + human[0]
    return sum(value.count("<image>") for value in human) != len(images)


def read(meta_path):
    """build_datasets and __iter__: id -> (task, colours in the order of the turns) of what is not skipped."""
    found = {}
    for entry in json.loads(Path(meta_path).read_text()).values():
        task = f"mm_{entry['task']}" if entry.get("task") else "multimodal" if entry["root"] else "nlp_sft"
        assert entry["annotation"].endswith((".jsonl", ".txt"))
        assert Path(entry["annotation"]).stat().st_size  # an empty file cannot be mapped to memory
        lines = Path(entry["annotation"]).read_bytes().splitlines()
        for line in lines[: entry["length"] * entry["repeat_time"]]:
            item = json.loads(line.decode())
            if not is_skipped(item, task):
                files = [Path(entry["root"], image) for image in item.get("image", [])]
                found[item["id"]] = (task, [color_of(file.read_bytes()) for file in files])
    return found


def test_sensenova_reads_every_row_under_the_task_that_trains_it(tmp_path):
    report = convert_rows("sensenova", tmp_path, *ROWS)
    colors = {row.id: [color_of(image.bytes) for image in row.images] for row in ROWS}
    found = read(tmp_path / "sensenova.json")
    assert {key: seen for key, (_, seen) in found.items()} == colors
    assert {key: task for key, (task, _) in found.items()} == {
        GENERATE.id: "mm_t2i",
        FUSE.id: "mm_it2i",
        **{row.id: "mm_interleave_gen" for row in (EDIT, WEB, REASON, EIGHT, REUSED, TWO_DRAWINGS, TWO_EDITS, SYSTEM)},
        **{row.id: "multimodal" for row in (UNDERSTAND, TEXT, LITERAL, TURNS, UNICODE, SPECIAL)},
    }
    assert report.rows_out == len(ROWS)
    assert report.flattened == {"literal_tag": 1}
    assert not report.images_without_loss


def test_sensenova_lines_have_the_form_of_its_sample(tmp_path):
    convert_rows("sensenova", tmp_path, FUSE)
    assert [json.loads(line) for line in (tmp_path / "sensenova-it2i.jsonl").read_text().splitlines()] == [
        {
            "id": "ie-00000004",
            "task": "image_editing",
            "image": [f"images/00000/ie-00000004-{number}.png" for number in range(3)],
            "width": [8, 8, 8],
            "height": [8, 8, 8],
            "conversations": [
                {"from": "human", "value": "<image>\nand\n<image>\nin one."},
                {"from": "gpt", "value": "I put them side by side.\n<image>"},
            ],
        }
    ]


def test_sensenova_lengths_are_those_of_all_shards(tmp_path):
    shards = [RowShard(GENERATE, TEXT), RowShard(replace(GENERATE, id="ig-5"), EDIT), RowShard()]
    convert_shards(shards, tmp_path, to="sensenova", options={"root": "/data/uv"})
    meta = json.loads((tmp_path / "sensenova.json").read_text())
    assert {name: (entry["length"], entry["root"]) for name, entry in meta.items()} == {
        "unifiedvisual_t2i": (2, "/data/uv"),
        "unifiedvisual_interleave_gen": (1, "/data/uv"),
        "unifiedvisual_multimodal": (1, "/data/uv"),
    }
    assert meta["unifiedvisual_t2i"]["annotation"] == "/data/uv/sensenova-t2i.jsonl"


def many(count):
    return make(
        "mi-9",
        "mm_internet",
        ("user", "?"),
        ("assistant", "|".join("*" * count)),
        pictures="red " * count,
        roles="o" * count,
    )


def saying(text):
    return replace(TEXT, id="cc-9", messages=(TEXT.messages[0], Message("assistant", (Part("text", text),))))


LATE = make(
    "lc-9",
    "llava_cot",
    ("user", "Hm?"),
    ("assistant", "Yes."),
    ("user", "*"),
    ("assistant", "Red."),
    pictures="red",
    roles="i",
)


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("special_token", saying("Use an <img> tag.")),
        ("special_token", saying("</img>")),
        ("special_token", saying("<IMG_CONTEXT>")),
        ("too_many_images", many(41)),
        ("input_images", LATE),
        ("picture_format", UNKNOWN_FORMAT),
        ("picture_shape", replace(UNDERSTAND, images=(picture("red", "png", (402, 2)),))),
    ],
)
def test_sensenova_refuses_what_its_reader_skips(kind, row, tmp_path):
    assert refusal("sensenova", tmp_path, row) == kind


def test_sensenova_takes_forty_pictures_and_two_late_ones(tmp_path):
    two = make(
        "lc-8",
        "llava_cot",
        ("user", "Hm?"),
        ("assistant", "Yes."),
        ("user", "*|*"),
        ("assistant", "Red."),
        pictures="red blue",
        roles="ii",
    )
    convert_rows("sensenova", tmp_path, many(40), two)
    assert set(read(tmp_path / "sensenova.json")) == {"mi-9", "lc-8"}


def test_sensenova_rows_come_back(tmp_path):
    convert_rows("sensenova", tmp_path, *ROWS)
    back = {row.id: row for shard in import_rows("sensenova", tmp_path) for row in shard()}
    for row in ROWS:
        again = back[row.id]
        assert (again.messages, [image.bytes for image in again.images]) == (
            row.messages,
            [image.bytes for image in row.images],
        )
        assert again.task == row.task
