"""A text and a picture: what every format of pairs does with rows of several turns."""

import json

import pyarrow.parquet as pq
import pytest

from conversion.pairs import edit_steps, output_pairs
from tests.conversion_rows import EDIT, GENERATE, TWO_DRAWINGS, TWO_EDITS, convert_rows, make
from tests.test_conversion_webdataset import members
from toolkit.errors import RowError

CAT, BOTH = "Draw a cat.", "Draw a cat.\n\nNow draw a dog."


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


TEXTS = {  # the text of each picture, as the files of the format have it
    ("anole", "raw"): lambda out: [line["text"] for line in lines(out / "anole.jsonl")],
    ("bagel", "t2i"): lambda out: [
        json.loads(row["captions"])["instruction"] for row in pq.read_table(out / "t2i-00000.parquet").to_pylist()
    ],
    ("diffusers", "text-to-image"): lambda out: [line["text"] for line in lines(out / "train/metadata.jsonl")],
    ("emu3", "raw"): lambda out: [entry["text"] for entry in json.loads((out / "emu3.json").read_text())],
    ("webdataset", "pairs"): lambda out: [
        content.decode() for _, member, content in members(out) if member.name.endswith(".txt")
    ],
}


@pytest.mark.parametrize(("name", "profile"), TEXTS)
def test_a_picture_gets_the_words_up_to_its_turn_and_none_of_later_ones(name, profile, tmp_path):
    report = convert_rows(name, tmp_path, TWO_DRAWINGS, GENERATE, profile=profile)
    assert TEXTS[name, profile](tmp_path) == [CAT, BOTH, "Something warm."]
    assert report.flattened == {"outputs_told_apart": 1, "turns_joined": 1}


def test_the_instruction_of_a_single_turn_is_that_of_the_row():
    row = make(
        "ig-1", "image_generation", ("user", "x"), ("assistant", "*"), pictures="red", roles="o", instruction="y"
    )
    assert [pair.text for pair in output_pairs(row, text="instruction", input_images="error")] == ["y"]


def test_edits_start_from_the_output_before_and_from_what_the_user_adds():
    row = make(
        "ie-3",
        "image_editing",
        ("user", "*|*|Put the first into the second."),
        ("assistant", "*"),
        ("user", "And this.|*"),
        ("assistant", "Done.|*|*"),
        pictures="red blue green cyan magenta black",
        roles="iioimo",
    )
    steps = edit_steps(row, most=2)
    assert [(step.before, step.instruction, step.after) for step in steps] == [
        ((0, 1), "Put the first into the second.", 2),
        ((2, 3), "And this.", 5),
    ]
    with pytest.raises(RowError, match="a user turn starts from 2 pictures; expected exactly 1") as caught:
        edit_steps(row)
    assert caught.value.kind == "input_images"
    assert [step.before for step in edit_steps(TWO_EDITS)] == [(0,), (1,)]
    assert [step.before for step in edit_steps(GENERATE, fewest=0)] == [()]
    with pytest.raises(RowError, match="starts from 1 pictures; expected 2 to 3"):
        edit_steps(EDIT, fewest=2, most=3)
