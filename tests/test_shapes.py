"""Raw records of published kinds -> drafts. Expected values are written by hand."""

import json

import pytest

from toolkit.errors import RowError
from toolkit.sources.published.placing import Reference
from toolkit.sources.published.shapes import Columns, read_draft, references_in

A, B, C = (Reference(f"{name}.png") for name in "abc")


def contents(record, *, quadrant="mm-mm", placeholder="<image>", **columns):
    shape = "turns" if "turns" in columns else "columns"
    draft = read_draft(record, shape=shape, columns=Columns(**columns), placeholder=placeholder, quadrant=quadrant)
    return [(turn.role, list(turn.content)) for turn in draft.turns]


LLAVA = [{"from": "human", "value": "<image>\nMake it night."}, {"from": "gpt", "value": "Dark now:<image>"}]


@pytest.mark.parametrize(
    "turns",
    [LLAVA, json.dumps(LLAVA), [{"role": "user", "content": t["value"]} if t["from"] == "human" else t for t in LLAVA]],
)
@pytest.mark.parametrize(
    "images",
    [["a.png", "b.png"], '["a.png", "b.png"]', [{"path": "a.png", "bytes": None}, {"path": "b.png", "bytes": None}]],
)
def test_placeholders_take_the_columns_pictures_in_reading_order(turns, images):
    assert contents({"t": turns, "i": images}, turns="t", images=("i",)) == [
        ("user", [A, "\nMake it night."]),
        ("assistant", ["Dark now:", B]),
    ]


def test_typed_parts_name_their_pictures_and_a_tag_in_the_text_stays_text():
    turns = [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is an <image> tag?"},
                {"type": "image", "image": "a.png", "text": None},
            ],
        },
        {
            "role": "assistant",
            "content": [{"type": "image_url", "image_url": {"url": "b.png"}}, {"type": "text", "text": "This."}],
        },
    ]
    assert contents({"t": turns}, turns="t") == [
        ("system", ["Be brief."]),
        ("user", ["What is an <image> tag?", A]),
        ("assistant", [B, "This."]),
    ]


def test_typed_parts_without_names_take_the_columns_pictures_and_tags_stay_text():
    turns = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "An <image> tag?"}]},
        {"role": "assistant", "content": "Yes."},
    ]
    assert contents({"t": turns, "i": ["a.png"]}, turns="t", images=("i",)) == [
        ("user", [A, "An <image> tag?"]),
        ("assistant", ["Yes."]),
    ]


def test_a_text_task_keeps_every_tag_as_text():
    record = {"q": "Explain <image> tags.", "a": "[1, 2] and {3}"}
    assert contents(record, quadrant="text-text", prompt="q", answer="a") == [
        ("user", ["Explain <image> tags."]),
        ("assistant", ["[1, 2] and {3}"]),
    ]


def test_numbered_placeholders_may_come_in_any_order_and_again():
    record = {"q": "<image_2> or <image_1>?", "a": "Again <image_2>.", "i": ["a.png", "b.png"]}
    expected = [("user", [B, " or ", A, "?"]), ("assistant", ["Again ", B, "."])]
    assert contents(record, placeholder="<image_1>", prompt="q", answer="a", images=("i",)) == expected


def test_a_placeholder_may_hold_the_path():
    assert contents(
        {"q": "<img>a.png</img>Which?", "a": "That."}, placeholder="<img>path</img>", prompt="q", answer="a"
    )[0] == ("user", [A, "Which?"])


def test_columns_of_each_side_place_their_pictures_without_placeholders():
    record = {"edit_prompt": "Night.", "src": "a.png", "dst": {"path": "x/b.png"}, "answer": None}
    expected = [("user", [A, "Night."]), ("assistant", [Reference("x/b.png")])]
    assert (
        contents(record, prompt="edit_prompt", answer="answer", prompt_images=("src",), answer_images=("dst",))
        == expected
    )


@pytest.mark.parametrize(
    ("quadrant", "images", "expected"),
    [
        ("text-mm", ["a.png", "b.png"], [("user", ["q"]), ("assistant", ["a", A, B])]),
        ("mm-text", ["a.png", "b.png"], [("user", [A, B, "q"]), ("assistant", ["a"])]),
        ("mm-mm", ["a.png", "b.png"], [("user", [A, "q"]), ("assistant", ["a", B])]),
    ],
)
def test_the_quadrant_places_pictures_no_placeholder_places(quadrant, images, expected):
    assert (
        contents({"q": "q", "a": "a", "i": images}, quadrant=quadrant, prompt="q", answer="a", images=("i",))
        == expected
    )


def test_rationale_and_answer_meet_at_an_empty_line_but_not_beside_a_picture():
    columns = {"prompt": "q", "rationale": "r", "answer": "a", "images": ("i",)}
    assert contents({"q": "q", "r": "Why.", "a": "So.", "i": []}, quadrant="text-text", **columns)[1] == (
        "assistant",
        ["Why.\n\nSo."],
    )
    assert contents({"q": "q", "r": "Why:<image>", "a": "So.", "i": "a.png"}, **columns)[1] == (
        "assistant",
        ["Why:", A, "So."],
    )


def test_embedded_bytes_are_taken_with_their_name_and_caption():
    assert references_in({"bytes": b"1", "path": "a.png", "caption": "A cat"}) == [Reference("a.png", "A cat", b"1")]


def test_captions_are_aligned_with_the_pictures():
    record = {"q": "<image><image>", "a": "a", "i": ["a.png", "b.png"], "c": ["first", None]}
    expected = [A._replace(caption="first"), B]
    assert contents(record, prompt="q", answer="a", images=("i",), captions="c")[0] == ("user", expected)


def test_llava_cot_sections_tell_rationale_from_answer_and_stay_in_the_turn():
    text = (
        "<SUMMARY> s </SUMMARY>\n\n<CAPTION>c</CAPTION>\n\n<REASONING>r</REASONING>\n\n<CONCLUSION>\nYes\n</CONCLUSION>"
    )
    turns = [{"from": "human", "value": "q"}, {"from": "gpt", "value": text}]
    draft = read_draft(
        {"t": turns, "i": "a.png"},
        shape="turns",
        columns=Columns(turns="t", images=("i",)),
        placeholder="<image>",
        quadrant="mm-text",
    )
    assert (draft.rationale, draft.answer) == ("s\n\nc\n\nr", "Yes")
    assert draft.turns[1].content == (text,)


@pytest.mark.parametrize(
    ("kind", "record", "columns"),
    [
        ("placeholder_mismatch", {"t": LLAVA, "i": ["a.png"]}, {"turns": "t", "images": ("i",)}),
        ("placeholder_mismatch", {"t": LLAVA, "i": ["a.png", "b.png", "c.png"]}, {"turns": "t", "images": ("i",)}),
        ("placeholder_mismatch", {"t": LLAVA}, {"turns": "t"}),
        (
            "placeholder_mismatch",
            {"q": "q", "a": "a", "i": ["a.png", "b.png", "c.png"]},
            {"prompt": "q", "answer": "a", "images": ("i",)},
        ),
        ("bad_shape", {"t": "not turns"}, {"turns": "t"}),
        ("bad_shape", {"t": []}, {"turns": "t"}),
        ("bad_shape", {"t": ["turn"]}, {"turns": "t"}),
        ("bad_shape", {"t": [{"role": "user"}]}, {"turns": "t"}),
        ("bad_shape", {"t": [{"role": "user", "content": [{"type": "video"}]}]}, {"turns": "t"}),
        ("bad_shape", {"t": [{"role": "user", "content": [3]}]}, {"turns": "t"}),
        ("unknown_role", {"t": [{"role": "wizard", "content": "x"}]}, {"turns": "t"}),
        (
            "caption_mismatch",
            {"q": "<image>", "a": "a", "i": "a.png", "c": ["x", "y"]},
            {"prompt": "q", "answer": "a", "images": ("i",), "captions": "c"},
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_kind(kind, record, columns):
    with pytest.raises(RowError) as caught:
        contents(record, **columns)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("text", "named"), [("<image_1>", "a"), ("<image_3> <image_1> <image_2>", "b"), ("<image_0> <image_1>", "c")]
)
def test_numbered_placeholders_must_name_every_picture(text, named):
    with pytest.raises(RowError, match="placeholders name pictures"):
        contents(
            {"q": text, "a": "a", "i": ["a.png", "b.png"]},
            placeholder="<image_1>",
            prompt="q",
            answer="a",
            images=("i",),
        )
