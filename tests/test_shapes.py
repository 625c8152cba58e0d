"""Raw records of published kinds -> turns. Expected values are written by hand."""

import base64
import io
import json

import pyarrow as pa
import pytest
from PIL import Image

from toolkit.errors import RowError
from toolkit.sources.published.shapes import COLUMN_SHAPES
from toolkit.sources.published.shapes.common import read_pools
from toolkit.sources.published.shapes.pictures import Reference, pictures_in
from toolkit.sources.published.shapes.placeholders import Placeholders, find_known, likely_tags
from toolkit.sources.published.shapes.placing import place

A, B, C = (Reference(f"{name}.png") for name in "abc")


def png(color="red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), color).save(buffer, "PNG")
    return buffer.getvalue()


def placed(record, *, quadrant="mm-mm", placeholders=None, shape=None, sides=(), **columns):
    uses = {use: (names,) if isinstance(names, str) else names for use, names in columns.items()}
    shape = shape or next((name for name in ("turns", "pairs") if name in columns), "columns")
    draft = COLUMN_SHAPES.load(shape).read(record, uses)
    pools, tags = read_pools(record, uses), Placeholders(placeholders)
    return place(draft.turns, pools, placeholders=tags, quadrant=quadrant, sides=sides)


def contents(record, **how):
    return [(turn.role, list(turn.content)) for turn in placed(record, **how)[0]]


LLAVA = [{"from": "human", "value": "<image>\nMake it night."}, {"from": "gpt", "value": "Dark now:<image>"}]
PLACED = [("user", [A, "\nMake it night."]), ("assistant", ["Dark now:", B])]


@pytest.mark.parametrize(
    "turns",
    [LLAVA, json.dumps(LLAVA), [{"role": "user", "content": t["value"]} if t["from"] == "human" else t for t in LLAVA]],
)
@pytest.mark.parametrize(
    "images",
    [
        ["a.png", "b.png"],
        '["a.png", "b.png"]',
        "['a.png', 'b.png']",
        "a.png, b.png",
        "a.png\nb.png",
        "a.png b.png",
        [{"path": "a.png", "bytes": None}, {"path": "b.png", "bytes": None}],
        {"path": ["a.png", "b.png"], "bytes": [None, None]},
    ],
)
def test_placeholders_take_the_columns_pictures_in_reading_order(turns, images):
    assert contents({"t": turns, "i": images}, turns="t", images="i") == PLACED


@pytest.mark.parametrize(
    "tag",
    [
        *("<image>", "<IMAGE>", "<ImageHere>", "<img>", "<image_placeholder>", "<|image|>", "<|image_pad|>", "<pic>"),
        *("[IMG]", "[image]", "{image}", "{{ image }}", "<start_of_image>", "<image_soft_token>", "<img></img>"),
        *("<|vision_start|><|image_pad|><|image_pad|><|vision_end|>", "<im_start><image><im_end>"),
    ],
)
def test_placeholders_of_every_kind_are_known(tag):
    turns = [{"from": t["from"], "value": t["value"].replace("<image>", tag)} for t in LLAVA]
    assert contents({"t": turns, "i": ["a.png", "b.png"]}, turns="t", images="i") == PLACED


@pytest.mark.parametrize(
    "tag", ["<image_{}>", "<image {}>", "<image{}>", "<|image_{}|>", "<image-{}>", "[image{}]", "{{{{image_{}}}}}"]
)
@pytest.mark.parametrize("first", [0, 1])
def test_numbered_placeholders_may_come_in_any_order_and_again(tag, first):
    one, two = tag.format(first), tag.format(first + 1)
    record = {"q": f"{two} or {one}?", "a": f"Again {two}.", "i": ["a.png", "b.png"]}
    expected = [("user", [B, " or ", A, "?"]), ("assistant", ["Again ", B, "."])]
    assert contents(record, prompt="q", answer="a", images="i") == expected


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        ("<img>x/a.png</img>", ""),
        ('<img src="x/a.png" width=3>', ""),
        ("![A cat](x/a.png)", "A cat"),
        ("![A cat](x/a (1).png)", "A cat"),
    ],
)
@pytest.mark.parametrize("images", [None, "listed too"])
def test_a_placeholder_may_hold_the_path_and_a_column_may_list_the_same(text, caption, images):
    path = "x/a (1).png" if "(1)" in text else "x/a.png"
    record = {"q": f"See {text} here.", "a": "That.", "i": images and [path]}
    assert contents(record, prompt="q", answer="a", images="i")[0] == (
        "user",
        ["See ", Reference(path, caption), " here."],
    )


def test_what_merely_looks_like_a_placeholder_is_told():
    text = "<imagenet> [image of a cat] <b> [1] {x} <image> <|im_start|>user"
    assert [tag.kind for tag in find_known(text)] == ["<image>"]
    assert likely_tags(text) == ["<imagenet>", "[image of a cat]"]


def test_of_two_kinds_the_one_whose_number_fits_counts_and_the_other_stays_text():
    record = {"q": "[IMG] What is an <image> tag, and <image>?", "a": "a", "i": "a.png"}
    assert contents(record, prompt="q", answer="a", images="i")[0] == (
        "user",
        [A, " What is an <image> tag, and <image>?"],
    )


def test_a_mapping_says_which_placeholders_count():
    record = {"q": "<image> [IMG] @2 @1", "a": "a", "i": ["a.png", "b.png"]}
    columns = {"prompt": "q", "answer": "a", "images": "i"}
    kinds = (r"re:@(?P<number>\d)",)
    assert contents(record, placeholders=kinds, **columns)[0] == ("user", ["<image> [IMG] ", B, " ", A])
    record["i"] = ["a.png"]
    assert contents(record, placeholders=("<image>",), **columns)[0] == ("user", [A, " [IMG] @2 @1"])
    record["q"] = "<slot> and <slot>"
    record["i"] = ["a.png", "b.png"]
    assert contents(record, placeholders=("<slot>",), **columns)[0] == ("user", [A, " and ", B])


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
    expected = [
        ("system", ["Be brief."]),
        ("user", ["What is an <image> tag?", A]),
        ("assistant", [B, "This."]),
    ]
    assert contents({"t": turns}, turns="t") == expected
    assert contents({"t": turns, "i": ["x/a.png", "b.png"]}, turns="t", images="i") == expected


def test_typed_parts_without_names_take_the_columns_pictures_and_tags_stay_text():
    turns = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "An <image> tag?"}]},
        {"role": "assistant", "content": "Yes."},
    ]
    assert contents({"t": turns, "i": ["a.png"]}, turns="t", images="i") == [
        ("user", [A, "An <image> tag?"]),
        ("assistant", ["Yes."]),
    ]


@pytest.mark.parametrize("listed", [None, ["a.png", "b.png", "c.png"]])
def test_pictures_listed_with_a_turn_take_its_placeholders_or_stand_beside_its_text(listed):
    turns = [
        {"from": "human", "value": "Is <image> as", "images": ["a.png"]},
        {"from": "gpt", "value": "No.", "images": ["b.png"]},
        {"from": "human", "value": "And?", "image": "c.png"},
        {"from": "gpt", "value": "No.", "images": None},
    ]
    assert contents({"t": turns, "i": listed}, turns="t", images="i") == [
        ("user", ["Is ", A, " as"]),
        ("assistant", ["No.", B]),
        ("user", [C, "And?"]),
        ("assistant", ["No."]),
    ]


def test_a_text_task_keeps_every_tag_as_text():
    record = {"q": "Explain <image> tags.", "a": "[1, 2] and {3}"}
    assert contents(record, quadrant="text-text", prompt="q", answer="a") == [
        ("user", ["Explain <image> tags."]),
        ("assistant", ["[1, 2] and {3}"]),
    ]


@pytest.mark.parametrize(
    "answer", ['[{"type": "circle"}]', '[{"type": "text", "text": "hi"}]', "[" * 5000, '{"a":' * 5000, "[1, 2]"]
)
def test_text_that_looks_like_json_is_text(answer):
    assert contents({"q": "q", "a": answer}, quadrant="text-text", prompt="q", answer="a")[1] == ("assistant", [answer])


def test_json_text_of_parts_is_parts_where_all_of_a_column_is():
    record = {"q": '[{"type": "image", "image": "a.png"}, {"type": "text", "text": "What?"}]', "a": "a"}
    assert contents(record, prompt="q", answer="a", parts=("q",))[0] == ("user", [A, "What?"])


def test_questions_and_answers_in_pairs():
    pairs = [{"user": "<image> What?", "assistant": "A cat.", "source": "x"}, {"question": "And?", "answer": "No."}]
    assert contents({"t": pairs, "i": ["a.png"]}, pairs="t", images="i") == [
        ("user", [A, " What?"]),
        ("assistant", ["A cat."]),
        ("user", ["And?"]),
        ("assistant", ["No."]),
    ]


def test_what_belongs_to_the_prompt_is_read_in_its_place():
    record = {
        "system": "Be brief.",
        "context": "A cat has four legs.",
        "instruction": "Answer.",
        "input": "How many?",
        "options": ["three", "four"],
        "hint": "Count.",
        "answer": 4,
    }
    columns = {"prompt": "instruction", "choices": "options"}
    same = {name: name for name in ("system", "context", "input", "hint", "answer")}
    assert contents(record, quadrant="text-text", **columns, **same) == [
        ("system", ["Be brief."]),
        ("user", ["A cat has four legs.\n\nAnswer.\n\nHow many?\n\nA. three\nB. four\n\nCount."]),
        ("assistant", ["4"]),
    ]


@pytest.mark.parametrize(
    ("choices", "text"),
    [
        (["(a) one", "(b) two"], "(a) one\n(b) two"),
        ('["one", "two"]', "A. one\nB. two"),
        ({"label": ["X", "Y"], "text": ["one", "two"]}, "X. one\nY. two"),
        ("A. one B. two", "A. one B. two"),
    ],
)
def test_choices_are_lettered_where_they_have_no_labels(choices, text):
    record = {"q": "Which?", "c": choices, "a": "A"}
    assert contents(record, quadrant="text-text", prompt="q", choices="c", answer="a")[0] == (
        "user",
        [f"Which?\n\n{text}"],
    )


def test_an_answer_may_be_the_number_of_a_choice():
    record = {"q": "Which?", "c": ["one", "two"], "n": 1}
    columns = {"prompt": "q", "choices": "c", "answer_choice": "n"}
    assert contents(record, quadrant="text-text", **columns)[1] == ("assistant", ["two"])
    with pytest.raises(RowError, match="expected the number of one, from 0"):
        contents({**record, "n": 2}, quadrant="text-text", **columns)


def test_columns_of_each_side_place_their_pictures_without_placeholders():
    record = {"edit_prompt": "Night.", "src": "a.png", "dst": {"path": "x/b.png"}, "answer": None}
    expected = [("user", [A, "Night."]), ("assistant", [Reference("x/b.png")])]
    columns = {"prompt": "edit_prompt", "answer": "answer", "prompt_images": "src", "answer_images": "dst"}
    assert contents(record, **columns) == expected
    record["edit_prompt"] = "<image>Night."
    assert contents(record, **columns) == expected


@pytest.mark.parametrize(
    ("quadrant", "images", "expected"),
    [
        ("text-mm", ["a.png", "b.png"], [("user", ["q"]), ("assistant", ["a", A, B])]),
        ("mm-text", ["a.png", "b.png"], [("user", [A, B, "q"]), ("assistant", ["a"])]),
        ("mm-mm", ["a.png", "b.png"], [("user", [A, "q"]), ("assistant", ["a", B])]),
    ],
)
def test_the_quadrant_places_pictures_no_placeholder_places(quadrant, images, expected):
    record = {"q": "q", "a": "a", "i": images}
    assert contents(record, quadrant=quadrant, prompt="q", answer="a", images="i") == expected


def test_rationale_and_answer_meet_at_an_empty_line_but_not_beside_a_picture():
    columns = {"prompt": "q", "rationale": "r", "answer": "a", "images": "i"}
    assert contents({"q": "q", "r": "Why.", "a": "So.", "i": []}, quadrant="text-text", **columns)[1] == (
        "assistant",
        ["Why.\n\nSo."],
    )
    assert contents({"q": "q", "r": "Why:<image>", "a": "So.", "i": "a.png"}, **columns)[1] == (
        "assistant",
        ["Why:", A, "So."],
    )


@pytest.mark.parametrize(
    "value",
    [
        png(),
        [png()],
        base64.b64encode(png()).decode(),
        [base64.b64encode(png()).decode()],
        "data:image/png;base64," + base64.b64encode(png()).decode(),
        {"bytes": png(), "path": None},
        {"origin": "", "height": 4, "width": 4, "data": png()},
        {"bytes": base64.b64encode(png()).decode()},
    ],
)
def test_pictures_in_the_row_itself_are_read_whatever_holds_them(value):
    assert pictures_in(value, "image") == [Reference("", bytes=png())]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"bytes": png(), "path": "a.png", "caption": "A cat"}, [Reference("a.png", "A cat", png())]),
        (b"a/b.png", [Reference("a/b.png")]),
        (" a b.png ", [Reference("a b.png")]),
        ("no_suffix", [Reference("no_suffix")]),
        ("", []),
        (None, []),
        ({"bytes": None, "path": None}, []),
        ([], []),
    ],
)
def test_values_of_picture_columns(value, expected):
    assert pictures_in(value, "image") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"a.png", Reference("a.png")),
        (b"folder/0001_1", Reference("folder/0001_1")),
        ({"bytes": b" 0001_1 ", "caption": "A cat"}, Reference("0001_1", "A cat")),
        ({"bytes": b"0001_1", "path": "a.png"}, Reference("a.png")),
        (b"P1\n1 1\n0\n", Reference("", bytes=b"P1\n1 1\n0\n")),
        (b"\x89P", Reference("", bytes=b"\x89P")),
    ],
)
def test_bytes_that_can_be_no_picture_are_its_path(value, expected):
    assert pictures_in(value, "image") == [expected]


@pytest.mark.parametrize("value", [[None, "a.png"], ["", "a.png"], [{"bytes": None, "path": None}], [b""], "[null]"])
def test_a_hole_in_a_list_of_pictures_is_refused(value):
    with pytest.raises(RowError, match=r"column 'image': 1 of \d pictures are null") as caught:
        pictures_in(value, "image")
    assert caught.value.kind == "null_picture"


def test_captions_are_aligned_with_the_pictures():
    record = {"q": "<image><image>", "a": "a", "i": ["a.png", "b.png"], "c": ["first", None]}
    expected = [A._replace(caption="first"), B]
    assert contents(record, prompt="q", answer="a", images="i", captions="c")[0] == ("user", expected)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("a.png", ["a.png", "b.png"], [A, B]),
        (["a.png", "b.png"], "b.png", [A, B]),
        (["a.png"], ["x/a.png"], [A]),
        (None, ["a.png"], [A]),
    ],
)
def test_the_same_pictures_in_two_columns_are_one_list(first, second, expected):
    record = {"q": "q", "a": "a", "image": first, "images": second}
    columns = {"prompt": "q", "answer": "a", "images": ("image", "images")}
    assert contents(record, quadrant="mm-text", **columns)[0] == ("user", [*expected, "q"])


def test_numbered_columns_are_one_list_in_the_order_of_their_numbers():
    record = {"q": "q", "a": "a", "image_1": "b.png", "image_0": "a.png", "image_2": None}
    columns = {"prompt": "q", "answer": "a", "images": ("image_1", "image_0", "image_2")}
    assert contents(record, quadrant="mm-text", **columns)[0] == ("user", [A, B, "q"])
    record |= {"image_1": None, "image_2": "c.png"}
    with pytest.raises(RowError, match="a null between pictures"):
        contents(record, quadrant="mm-text", **columns)


COLUMNS = {"prompt": "q", "answer": "a", "images": "i"}


@pytest.mark.parametrize(
    ("kind", "record", "columns"),
    [
        ("placeholder_mismatch", {"t": LLAVA, "i": ["a.png"]}, {"turns": "t", "images": "i"}),
        ("placeholder_mismatch", {"t": LLAVA, "i": ["a.png", "b.png", "c.png"]}, {"turns": "t", "images": "i"}),
        ("placeholder_mismatch", {"t": LLAVA}, {"turns": "t"}),
        ("placeholder_mismatch", {"q": "q", "a": "a", "i": ["a.png", "b.png", "c.png"]}, COLUMNS),
        ("placeholder_mismatch", {"q": "<image> or [IMG]", "a": "a", "i": ["a.png"]}, COLUMNS),
        ("placeholder_mismatch", {"q": "<image_1>", "a": "a", "i": ["a.png", "b.png"]}, COLUMNS),
        ("placeholder_mismatch", {"q": "<image_1> <image_3>", "a": "a", "i": ["a.png", "b.png"]}, COLUMNS),
        ("unknown_placeholder", {"q": "<image_slot_a> What?", "a": "a", "i": ["a.png"]}, COLUMNS),
        ("picture_conflict", {"q": "![x](b.png)", "a": "a", "i": ["a.png"]}, COLUMNS),
        ("picture_conflict", {"q": "q", "a": "a", "i": "a.png", "j": "b.png"}, {**COLUMNS, "images": ("i", "j")}),
        ("null_picture", {"q": "q", "a": "a", "i": [None, "a.png"]}, COLUMNS),
        ("bad_base64", {"q": "q", "a": "a", "i": "data:image/png;base64,***"}, COLUMNS),
        ("bad_shape", {"q": "q", "a": ["one", "two"], "i": "a.png"}, COLUMNS),
        ("bad_shape", {"t": "not turns"}, {"turns": "t"}),
        ("bad_shape", {"t": ["turn"]}, {"turns": "t"}),
        ("bad_shape", {"t": [{"role": "user"}]}, {"turns": "t"}),
        ("bad_shape", {"t": [{"role": "user", "content": [{"type": "video"}]}]}, {"turns": "t"}),
        ("bad_shape", {"t": [{"role": "user", "content": {"x": 1}}]}, {"turns": "t"}),
        ("empty_conversation", {"t": []}, {"turns": "t"}),
        ("empty_conversation", {"t": None}, {"turns": "t"}),
        ("empty_conversation", {"t": "[]"}, {"turns": "t"}),
        ("null_answer", {"t": [{"from": "human", "value": "q"}, {"from": "gpt", "value": None}]}, {"turns": "t"}),
        ("null_prompt", {"t": [{"from": "human", "value": None}]}, {"turns": "t"}),
        ("null_answer", {"t": [{"user": "q", "assistant": None}]}, {"pairs": "t"}),
        ("unknown_role", {"t": [{"role": "wizard", "content": "x"}]}, {"turns": "t"}),
        ("null_choice", {"q": "q", "a": "a", "c": ["x", None]}, {"prompt": "q", "answer": "a", "choices": "c"}),
        (
            "caption_mismatch",
            {"q": "<image>", "a": "a", "i": "a.png", "c": ["x", "y"]},
            {**COLUMNS, "captions": "c"},
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_kind(kind, record, columns):
    with pytest.raises(RowError) as caught:
        contents(record, **columns)
    assert caught.value.kind == kind


def test_parts_may_call_what_they_hold_a_value():
    parts = [{"type": "image", "value": "a.png"}, {"type": "text", "value": "q"}]
    assert contents({"q": parts, "a": "a"}, prompt="q", answer="a") == [("user", [A, "q"]), ("assistant", ["a"])]


EDIT = {"q": "Make it night.", "a": "Dark now:", "i": ["a.png", "b.png"]}
COLUMNS = {"prompt": "q", "answer": "a", "images": "i"}


@pytest.mark.parametrize(
    ("sides", "prompt", "answer", "assumed"),
    [
        ((), [A, "Make it night."], ["Dark now:", B], ("sides_by_order",)),
        (("prompt", "answer"), [A, "Make it night."], ["Dark now:", B], ("at_start", "at_end")),
        (("answer", "prompt"), [B, "Make it night."], ["Dark now:", A], ("at_start", "at_end")),
        (("answer", "answer"), ["Make it night."], ["Dark now:", A, B], ("at_end",)),
    ],
)
def test_a_mapping_says_of_which_side_each_of_two_pictures_is(sides, prompt, answer, assumed):
    turns, taken = placed(EDIT, sides=sides, **COLUMNS)
    assert ([list(turn.content) for turn in turns], taken) == ([prompt, answer], assumed)


def test_sides_fill_the_placeholders_of_their_own_messages():
    record = {"q": "<image>Edit.", "a": "<image>", "i": ["a.png", "b.png"]}
    assert placed(record, **COLUMNS)[1] == ("list_order",)
    turns, taken = placed(record, sides=("answer", "prompt"), **COLUMNS)
    assert ([list(turn.content) for turn in turns], taken) == ([[B, "Edit."], [A]], ())


def test_numbers_of_placeholders_count_the_list_whatever_its_sides():
    record = {"q": "<image_2>Edit.", "a": "<image_1>", "i": ["a.png", "b.png"]}
    turns, taken = placed(record, sides=("prompt", "answer"), **COLUMNS)
    assert ([list(turn.content) for turn in turns], taken) == ([[B, "Edit."], [A]], ())


def test_more_or_fewer_pictures_than_sides_is_a_bad_row():
    with pytest.raises(RowError, match="2 pictures in one list, and sides: of the mapping names 1") as caught:
        placed(EDIT, sides=("prompt",), **COLUMNS)
    assert caught.value.kind == "sides_mismatch"


@pytest.mark.parametrize(
    ("record", "quadrant", "assumed"),
    [
        ({"q": "<image>q", "a": "a", "i": ["a.png"]}, "mm-text", ()),
        ({"q": "q", "a": "a", "i": ["a.png", "b.png"]}, "mm-text", ("at_start",)),
        ({"q": "q", "a": "a", "i": "a.png"}, "text-mm", ("at_end",)),
        ({"q": "<image><image>q", "a": "a", "i": ["a.png", "b.png"]}, "mm-text", ("list_order",)),
        ({"q": '<img src="a.png"> <img src="b.png">', "a": "a", "i": ["b.png", "a.png"]}, "mm-text", ()),
    ],
)
def test_what_is_taken_from_an_order_or_a_position_is_told(record, quadrant, assumed):
    assert placed(record, quadrant=quadrant, **COLUMNS)[1] == assumed


def test_a_shape_from_outside_is_found_by_its_place(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from toolkit.sources.published.shapes.placing import Turn\n"
        "from toolkit.sources.published.shapes import Draft, Guess\n"
        "class Mine:\n"
        "    uses = ('both',)\n"
        "    def recognise(self, table, given): return Guess({'both': ('x',)})\n"
        "    def read(self, record, columns):\n"
        "        first, _, second = record['x'].partition('=>')\n"
        "        return Draft((Turn('user', (first,)), Turn('assistant', (second,))))\n"
        "    def problems(self, columns): return []\n"
        "SHAPE = Mine()\n"
    )
    assert contents({"x": "q=>a"}, quadrant="text-text", shape=f"{file}:SHAPE", both="x") == [
        ("user", ["q"]),
        ("assistant", ["a"]),
    ]


def test_arrow_rows_give_the_same_values_as_plain_ones():
    table = pa.table({"i": pa.array([[{"bytes": png(), "path": "a.png"}]])})
    assert pictures_in(table.to_pylist()[0]["i"], "i") == [Reference("a.png", bytes=png())]


@pytest.mark.parametrize("between", [",  ", "\n\n", "  ", " , "])
def test_a_long_text_that_is_nearly_a_list_of_paths_is_one_path_at_once(between):
    text = f"a.png{between}" * 5_000 + "x"
    assert [reference.path for reference in pictures_in(text, "image")] == [text]


@pytest.mark.parametrize(
    ("opening", "pumped"),
    [("", "!["), ("<img>", "."), ("<img ", 'src="a" '), ("![", "a!"), ("![a](", "(b)"), ("", "<|")],
)
def test_tags_that_are_never_closed_end_the_search_at_once(opening, pumped):
    """Where the time grew with the square of the text, these took minutes."""
    found = find_known(opening + pumped * (300_000 // len(pumped)))
    assert [tag.kind for tag in found] == (["<img>"] if opening == "<img>" else [])
