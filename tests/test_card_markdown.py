"""Text from data in the card: harmless, and whole."""

import html
import json
import re
from dataclasses import replace

import pytest

from dataset_card.card import card_text
from dataset_card.markdown import code_json, inline, table
from tests.card_reading import MARKDOWN, fences_of, firsts, headings_of, metadata_of, shown, tables_of, tokens_of
from tests.packed_folder import packed_rows, write_packed
from toolkit.schema import IMAGE_PART, EncodedImage, Message, Part, Region, Row
from toolkit.tasks import TASKS

REPO_ID = "fnlp-vision/UnifiedVisual"
INVISIBLE = "\r\u2028\u2029\x85\u202e\x1b"
HOSTILE = (
    f"```\n---\n~~~{INVISIBLE}</details><script>alert(1)</script> | {{{{ card_data }}}} ${{repo_id}} "
    "$repo_id [31m \\ ![x](http://a.b/c) &lt;\n# Top"
)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A manifest and its card, with nothing hostile in them."""
    manifest = write_packed(tmp_path_factory.mktemp("card"), packed_rows(), skipped={"image_editing": {"bad_turns": 1}})
    return manifest, card_text(manifest, firsts(packed_rows()), repo_id=REPO_ID)


def hostile_row():
    messages = (Message("user", (Part("text", HOSTILE), IMAGE_PART)), Message("assistant", (Part("text", HOSTILE),)))
    texts = dict.fromkeys(("source", "license", "instruction", "rationale", "answer"), HOSTILE)
    picture = {
        "images": (EncodedImage(b"x", HOSTILE),),
        "image_roles": ("input",),
        "image_captions": (HOSTILE,),
        "regions": (Region(0, (0, 0, 1, 1), HOSTILE),),
    }
    return Row(
        id="lc-0000",
        task="llava_cot",
        quadrant="mm-text",
        messages=messages,
        provenance=json.dumps({"x": HOSTILE}),
        **texts,
        **picture,
    )


def test_hostile_row_text_is_harmless_and_whole(plain):
    manifest, text = plain
    hostile = card_text(manifest, {**firsts(packed_rows()), "llava_cot": hostile_row()}, repo_id=REPO_ID)
    assert metadata_of(hostile) == metadata_of(text)
    assert headings_of(hostile) == headings_of(text)
    blocks = fences_of(hostile, "json")
    assert json.loads(blocks[list(TASKS).index("llava_cot")]) == shown(hostile_row())
    assert [token.type for token in tokens_of(hostile)] == [token.type for token in tokens_of(text)]
    markup = {
        tag
        for token in tokens_of(hostile)
        if token.type.startswith("html")
        for tag in re.findall(r"</?\w+", token.content)
    }
    assert markup == {"<details", "</details", "<summary", "</summary"}
    assert not set(INVISIBLE) & set(hostile)


def test_hostile_manifest_text_is_harmless_and_whole(plain):
    manifest, text = plain
    changed = replace(manifest, source={HOSTILE: HOSTILE}, options={"a": HOSTILE}, skipped={HOSTILE: {HOSTILE: 2}})
    hostile = card_text(changed, firsts(packed_rows()), repo_id=REPO_ID)
    assert metadata_of(hostile) == metadata_of(text)
    assert headings_of(hostile) == headings_of(text)
    assert json.loads(fences_of(hostile, "json")[-1]) == {"source": {HOSTILE: HOSTILE}, "options": {"a": HOSTILE}}
    assert "<script>" not in MARKDOWN.render(hostile)
    assert len(tables_of(hostile)["task why"]) == 1


@pytest.mark.parametrize("text", [HOSTILE, "_a_ __b__ snake_case_", "https://a.b www.a.b 1.5", "*x* [y](z) `w` <b>"])
def test_inline_text_is_text_and_reads_as_it_was(text):
    (paragraph,) = (token for token in MARKDOWN.parse(f"x {inline(text)} x") if token.type == "inline")
    assert {child.type for child in paragraph.children} <= {"text", "text_special"}
    for escaped, character in ((r"\n", "\n"), (r"\r", "\r"), *((f"\\u{ord(c):04x}", c) for c in INVISIBLE[1:])):
        text = text.replace(character, escaped)
    assert (
        "".join(child.content for child in paragraph.children) == html.unescape(f"x {inline(text)} x") == f"x {text} x"
    )


def test_inline_text_leaves_plain_words_alone():
    assert inline("missing_image in a-b.v2, 1.5 (x): y") == "missing_image in a-b&#46;v2, 1.5 (x): y"


def test_code_json_has_no_line_that_could_close_it():
    block = code_json({"long": ["```\n" * 50, {"```": "~~~\n---" * 40}]})
    assert json.loads("\n".join(block.splitlines()[1:-1])) == {"long": ["```\n" * 50, {"```": "~~~\n---" * 40}]}
    assert all(line.lstrip()[:1] in '{}[]"' for line in block.splitlines()[1:-1])


def test_table_sets_numbers_to_the_right():
    assert table(("a", "n"), [("x", 1), ("y", 23456)]) == "| a | n |\n| --- | ---: |\n| x | 1 |\n| y | 23,456 |"
