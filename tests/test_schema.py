import json
from dataclasses import replace

import pytest

from toolkit.errors import RowError
from toolkit.rules import check_row
from toolkit.schema import (
    ARROW_SCHEMA,
    IMAGE_PART,
    EncodedImage,
    Message,
    Part,
    Region,
    Row,
    features,
    image_roles,
    quadrant_of,
    rows_to_table,
    table_to_rows,
    text_of,
)
from toolkit.tasks import Task

ROW = Row(
    id="ie-00000042",
    task="image_editing",
    quadrant="mm-mm",
    messages=(
        Message("user", (IMAGE_PART, Part("text", "What does a literal <image> tag look like? Make it night."))),
        Message(
            "assistant", (Part("text", "The sky turns dark."), IMAGE_PART, Part("text", "Then the stars."), IMAGE_PART)
        ),
    ),
    images=(EncodedImage(b"in", "a.png"), EncodedImage(b"mid", "b.png"), EncodedImage(b"out", "c.jpg")),
    image_roles=("input", "intermediate", "output"),
    image_captions=("", "", "a night sky"),
    instruction="Make it night.",
    regions=(Region(0, (0.0, 0.25, 0.5, 1.0), "sky"),),
    provenance=json.dumps({"row": 42}),
)


def test_row_survives_arrow():
    assert list(table_to_rows(rows_to_table([ROW]))) == [ROW]


def test_arrow_schema_and_features_agree():
    assert features().arrow_schema.equals(ARROW_SCHEMA, check_metadata=False)


def test_check_row_accepts_a_good_row():
    check_row(ROW)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("bad_id", {"id": "a/b.png"}),
        ("bad_id", {"id": ""}),
        ("bad_task", {"task": "Image Editing"}),
        ("bad_task", {"task": ""}),
        ("bad_task", {"task": "../up"}),
        ("bad_quadrant", {"quadrant": "mm-text"}),
        ("bad_quadrant", {"quadrant": "text"}),
        ("bad_origin", {"origin": "web"}),
        ("bad_turns", {"messages": ROW.messages[::-1]}),
        ("bad_turns", {"messages": ()}),
        ("bad_turns", {"messages": ROW.messages[:1]}),
        ("bad_turns", {"messages": (Message("system", ()), *ROW.messages, Message("system", ()))}),
        ("bad_part", {"messages": (Message("user", (Part("image", "x"),)), ROW.messages[1])}),
        ("bad_part", {"messages": (Message("user", (Part("video"),)), ROW.messages[1])}),
        ("count_mismatch", {"images": ROW.images[:2]}),
        ("count_mismatch", {"image_roles": (*ROW.image_roles, "output")}),
        ("count_mismatch", {"image_captions": ()}),
        ("bad_image_role", {"image_roles": ("output", "intermediate", "output")}),
        ("bad_image_role", {"image_roles": ("input", "input", "output")}),
        ("empty_image", {"images": (EncodedImage(b""), *ROW.images[1:])}),
        ("bad_region", {"regions": (Region(3, (0, 0, 1, 1)),)}),
        ("bad_region", {"regions": (Region(0, (0.5, 0, 0.4, 1)),)}),
        ("bad_provenance", {"provenance": "[1]"}),
        ("bad_provenance", {"provenance": "{"}),
    ],
)
def test_check_row_names_the_rule_a_row_breaks(kind, change):
    with pytest.raises(RowError) as caught:
        check_row(replace(ROW, **change))
    assert caught.value.kind == kind


def test_quadrant_counts_a_system_picture_as_input():
    assert quadrant_of((Message("system", (IMAGE_PART,)), Message("user", ()), Message("assistant", ()))) == "mm-text"


def test_text_of_joins_parts_and_turns():
    assert (
        text_of((*ROW.messages, *ROW.messages), "assistant")
        == "The sky turns dark.\nThen the stars.\n\nThe sky turns dark.\nThen the stars."
    )


PICTURED = (Part("image"), Part("text", "x"), Part("image"))


@pytest.mark.parametrize(
    ("outputs", "answer"),
    [
        ("last", ("intermediate", "output")),
        ("all", ("output", "output")),
        ("none", ("intermediate", "intermediate")),
    ],
)
def test_roles_of_pictures_follow_the_task_in_each_answer(outputs, answer):
    messages = (Message("system", (Part("image"),)), *(Message(role, PICTURED) for role in ("user", "assistant") * 2))
    assert image_roles(messages, Task(name="a", outputs=outputs)) == ("input", *("input", "input", *answer) * 2)
    assert image_roles((Message("assistant", (Part("text", "x"),)),), Task(name="a", outputs=outputs)) == ()
