"""Interleaved answers for trainers made of BAGEL. The rules of their readers are re-told from
ThinkMorph/ThinkMorph@c1a48ad data/interleave_datasets/edit_dataset.py and
multimodal-reasoning-lab/Bagel-Zebra-CoT@bbf53c3 data/interleave_datasets/think_trace_dataset.py.
"""

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from conversion import import_rows
from tests.conversion_rows import (
    EDIT,
    EIGHT,
    GENERATE,
    REASON,
    REUSED,
    TEXT,
    TURNS,
    UNDERSTAND,
    UNICODE,
    UNKNOWN_FORMAT,
    WEB,
    color_of,
    convert_rows,
    make,
    picture,
    refusal,
)
from toolkit.schema import EncodedImage

TOLD_APART = make(
    "mri-00000001",
    "mm_reasoning_mm",
    ("user", "*|How many?"),
    ("assistant", "I mark them.|*|Two are marked. The answer is 2."),
    pictures="red blue",
    roles="im",
    rationale="I mark them.\nTwo are marked.",
    answer="The answer is 2.",
)
SYSTEM = make(
    "mri-00000002",
    "mm_reasoning_mm",
    ("system", "Be brief."),
    ("user", "*|How|many?"),
    ("assistant", "Look.|Closely.|*|Two."),
    pictures="red blue",
    roles="im",
)


def thinkmorph_rows(folder):
    return pq.read_table(folder / "thinkmorph-00000.parquet").to_pylist()


def thinkmorph_sees(row):
    """parse_row: (kind, what, loss) in the order of the sequence. An answer's picture is drawn, then seen by VAE and
    ViT. Pictures beyond the texts are ignored.
    """
    images, texts = row["image_list"], row["output_text_list"]
    assert isinstance(row["instruction_list"][0], str)  # of a list of lists the tokenizer would get a list
    yield "image", color_of(images[0]), False
    yield "text", row["instruction_list"][0], False
    for number, text in enumerate(texts):
        yield "text", text, True
        if number + 1 < len(images):
            yield "image", color_of(images[number + 1]), True
    assert len(images) <= len(texts) + 1


def test_thinkmorph_sees_text_and_pictures_of_the_answer_in_turn_with_the_marks_of_its_own_data(tmp_path):
    convert_rows("bagel-interleaved", tmp_path, EDIT, REUSED, TOLD_APART, UNDERSTAND, SYSTEM)
    assert [list(thinkmorph_sees(row)) for row in thinkmorph_rows(tmp_path)] == [
        [
            ("image", "blue", False),
            ("text", "Make it night.", False),
            ("text", "<think>First the sky.</think><image_start>", True),
            ("image", "green", True),
            ("text", "<image_end><think>Then the stars.</think><image_start>", True),
            ("image", "black", True),
        ],
        [
            ("image", "red", False),
            ("text", "Again?", False),
            ("text", "<think>See:</think><image_start>", True),
            ("image", "red", True),
            ("text", "<image_end><think>and</think><image_start>", True),
            ("image", "red", True),
        ],
        [
            ("image", "red", False),
            ("text", "How many?", False),
            ("text", "<think>I mark them.</think><image_start>", True),
            ("image", "blue", True),
            ("text", "<image_end><think>Two are marked. </think><answer>The answer is 2.</answer>", True),
        ],
        [("image", "red", False), ("text", "What is this?", False), ("text", "<answer>A red square.</answer>", True)],
        [
            ("image", "red", False),
            ("text", "Be brief.\nHow\nmany?", False),
            ("text", "<think>Look.\nClosely.</think><image_start>", True),
            ("image", "blue", True),
            ("text", "<image_end><answer>Two.</answer>", True),
        ],
    ]


def thinkmorph_draws(texts):
    """interleave_inference: it draws after a text that holds "<image_start>", and else stops."""
    return sum("<image_start>" in text for text in texts)


def test_thinkmorph_would_draw_as_many_pictures_as_the_answer_has_but_not_without_markers(tmp_path):
    convert_rows("bagel-interleaved", tmp_path / "yes", EDIT, TOLD_APART, UNDERSTAND)
    drawn = [thinkmorph_draws(row["output_text_list"]) for row in thinkmorph_rows(tmp_path / "yes")]
    assert drawn == [2, 1, 0]
    convert_rows("bagel-interleaved", tmp_path / "no", EDIT, TOLD_APART, markers="no")
    rows = thinkmorph_rows(tmp_path / "no")
    assert [row["output_text_list"] for row in rows] == [
        ["First the sky.", "Then the stars."],
        ["I mark them.", "Two are marked. The answer is 2."],
    ]


OPENS = make("r-1", "mm_reasoning_o", ("user", "*|?"), ("assistant", "*|So."), pictures="red blue", roles="im")
ADJACENT = make(
    "r-2", "mm_reasoning_o", ("user", "*|?"), ("assistant", "So:|*|*"), pictures="red blue green", roles="imm"
)
NOT_FIRST = make("r-3", "llava_cot", ("user", "What is|*|?"), ("assistant", "Red."), pictures="red", roles="i")
NO_PARTS = replace(UNDERSTAND, id="r-4", messages=(UNDERSTAND.messages[0], UNDERSTAND.messages[1]._replace(content=())))


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("several_turns", TURNS),
        ("input_images", EIGHT),
        ("input_images", GENERATE),
        ("input_images", TEXT),
        ("input_images", NOT_FIRST),
        ("no_text", OPENS),
        ("no_text", ADJACENT),
        ("no_text", NO_PARTS),
        ("picture_format", UNKNOWN_FORMAT),
    ],
    ids=lambda value: getattr(value, "id", value),
)
def test_thinkmorph_refuses_rows_its_reader_has_no_place_for(kind, row, tmp_path):
    assert refusal("bagel-interleaved", tmp_path, row) == kind


def sized(color, width, height):
    file = io.BytesIO()
    Image.new("L", (width, height)).save(file, "png")
    return EncodedImage(file.getvalue(), f"{color}.png")


def bagel_tokens(width, height, stride, longest, shortest):
    """MaxLongEdgeMinShortEdgeResize of data/transforms.py, and the tokens of what it gives."""
    scale = max(min(longest / max(width, height), 1.0), shortest / min(width, height))
    width, height = (max(stride, int(round(round(side * scale) / stride) * stride)) for side in (width, height))
    if max(width, height) > longest:
        scale = longest / max(width, height)
        width, height = (max(stride, int(round(round(side * scale) / stride) * stride)) for side in (width, height))
    return width * height // stride**2


@pytest.mark.parametrize("size", [(1024, 1024), (900, 300), (200, 150), (1500, 800), (640, 480)])
def test_thinkmorph_rows_longer_than_the_trainer_takes_are_warned_of(size, tmp_path):
    row = replace(REUSED, images=tuple(sized(color, *size) for color in "abc"))
    report = convert_rows("bagel-interleaved", tmp_path, row)
    vae, vit = bagel_tokens(*size, 16, 1024, 512), bagel_tokens(*size, 14, 518, 224)
    tokens = (vae + vit) + 2 * (2 * vae + vit)
    assert report.warned == ({"skipped_as_too_long": 1} if tokens > 16_384 else {})
    if size == (1024, 1024):
        assert (vae + vit, 2 * vae + vit) == (5_465, 9_561)  # as the guide says


def test_thinkmorph_warns_of_texts_that_hold_its_marks(tmp_path):
    row = make("r-5", "llava_cot", ("user", "*|?"), ("assistant", "A <think> tag."), pictures="red", roles="i")
    assert convert_rows("bagel-interleaved", tmp_path, row).warned == {"marker_in_text": 1}


def test_thinkmorph_files_are_where_its_config_looks_for_them(tmp_path):
    convert_rows("bagel-interleaved", tmp_path, EDIT, REUSED)
    entry = json.loads((tmp_path / "bagel_dataset_info.json").read_text())["unified_edit"]["unifiedvisual"]
    mixture = yaml.safe_load((tmp_path / "bagel.yaml").read_text())["unified_edit"]
    assert (mixture["dataset_names"], mixture["num_used_data"]) == (["unifiedvisual"], [1])
    info = json.loads(Path(entry["parquet_info_path"]).read_text())
    path = f"{entry['data_dir']}/thinkmorph-00000.parquet"  # as os.path.join(data_dir, name) makes it
    assert info == {path: {"num_row_groups": 1}}
    assert pq.read_metadata(path).num_row_groups == 1


# -- Zebra-CoT

PATTERN = re.compile(r"<image_start>\[([^\]]+)\]<image_end>")


def zebra_sees(line, prefix):
    """parse_row: (kind, what, loss); {} for rows that it skips."""
    item = json.loads(line)
    question, trace = f"Question: {item.get('Question', '')}", f"{item.get('Text Reasoning Trace', '')}"
    if not trace:
        return []
    sequence = []

    def add(text, loss, wrap):
        keys = PATTERN.findall(text)
        text = PATTERN.sub("<IMAGE_PLACEHOLDER>", text)
        pieces = (re.sub(r"THOUGHT\s*\d+:\s*", "", text) if loss else text).split("<IMAGE_PLACEHOLDER>")
        paths = [item.get(key) for key in keys]
        if len(pieces) != len(keys) + 1 or not all(path and Path(prefix, path).is_file() for path in paths):
            return False
        for number, piece in enumerate(pieces):
            if piece.strip():
                sequence.append(("text", wrap.format(piece.strip()), loss))
            if number < len(keys):
                sequence.append(("image", color_of(Path(prefix, paths[number]).read_bytes()), loss))
        return True

    if not (add(question, False, "{}") and add(trace, True, "<think>{}</think>")):
        return []
    return [*sequence, ("text", f"<answer>Final Answer: {item.get('Final Answer', '')}</answer>", True)]


def zebra_read(folder):
    """Every line, as build_datasets and the reader find them."""
    info = json.loads((folder / "bagel_dataset_info.json").read_text())["think_trace"]["unifiedvisual"]
    mixture = yaml.safe_load((folder / "bagel.yaml").read_text())["think_trace"]
    # a path in both places would be read twice
    paths = [*mixture.get("jsonl_path_list", []), info["jsonl_path"]]
    lines = [
        line
        for path, used in zip(paths, mixture["num_used_data"], strict=True)
        for line in Path(path).read_text().splitlines()[:used]
    ]
    return [zebra_sees(line, info["image_prefix_dir"]) for line in lines]


STORY = make(
    "mrm-00000002",
    "mm_reasoning_mm",
    ("user", "Compare|*|with|*|."),
    ("assistant", "*|First.|*|*|Second.|Done."),
    pictures="red blue green yellow black",
    roles="iimmm",
)


def test_zebra_sees_every_text_and_picture_of_question_trace_and_answer(tmp_path):
    report = convert_rows("bagel-interleaved", tmp_path, REASON, STORY, TOLD_APART, profile="zebra-cot")
    assert zebra_read(tmp_path) == [
        [
            ("text", "Question: Which is larger?", False),
            ("text", "<think>Look:</think>", True),
            ("image", "cyan", True),
            ("text", "<answer>Final Answer: The left.</answer>", True),
        ],
        [
            ("text", "Question: Compare", False),
            ("image", "red", False),
            ("text", "with", False),
            ("image", "blue", False),
            ("text", ".", False),
            ("image", "green", True),
            ("text", "<think>First.</think>", True),
            ("image", "yellow", True),
            ("image", "black", True),
            ("text", "<think>Second.</think>", True),
            ("text", "<answer>Final Answer: Done.</answer>", True),
        ],
        [
            ("text", "Question:", False),
            ("image", "red", False),
            ("text", "How many?", False),
            ("text", "<think>I mark them.</think>", True),
            ("image", "blue", True),
            ("text", "<think>Two are marked.</think>", True),
            ("text", "<answer>Final Answer: The answer is 2.</answer>", True),
        ],
    ]
    assert report.flattened == {"neighbouring_texts": 1}
    assert not report.images_without_loss
    # only a text that stands before a picture is trained to be followed by <|vision_start|> (next_token_label)
    assert report.warned == {"picture_unannounced": 1}
    assert report.examples["warned.picture_unannounced"] == (STORY.id,)


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("several_turns", TURNS),
        ("no_final_answer", EDIT),
        ("no_final_answer", GENERATE),
        ("no_final_answer", WEB),
        ("no_trace", UNDERSTAND),
        (
            "image_reference",
            make("r-6", "cot_collection", ("user", "<image_start>[a]<image_end>"), ("assistant", "x|y")),
        ),
        ("image_reference", make("r-7", "cot_collection", ("user", "?"), ("assistant", "<IMAGE_PLACEHOLDER>|y"))),
        ("picture_format", replace(TOLD_APART, images=(picture("red"), EncodedImage(b"none", "")))),
    ],
    ids=lambda value: getattr(value, "id", value),
)
def test_zebra_refuses_rows_that_its_reader_skips_or_trains_an_empty_answer_of(kind, row, tmp_path):
    assert refusal("bagel-interleaved", tmp_path, row, profile="zebra-cot") == kind


def test_zebra_warns_of_thoughts_whose_number_its_reader_deletes(tmp_path):
    row = make("r-8", "cot_collection", ("user", "THOUGHT 1: ?"), ("assistant", "THOUGHT 2: I add.|Four."))
    report = convert_rows("bagel-interleaved", tmp_path, row, profile="zebra-cot")
    assert zebra_read(tmp_path)[0][1] == ("text", "<think>I add.</think>", True)
    assert report.warned == {"text_deleted_by_reader": 1}


# -- import


def texts_and_colors(row):
    images = iter(row.images)
    parts = [
        (message.role, part.text if part.type == "text" else color_of(next(images).bytes))
        for message in row.messages
        for part in message.content
    ]
    return [part for part in parts if part[1]]


@pytest.mark.parametrize(
    ("profile", "rows"),
    [("thinkmorph", (EDIT, REUSED, UNDERSTAND, UNICODE)), ("zebra-cot", (REASON, STORY))],
)
def test_interleaved_rows_come_back_with_text_and_pictures_in_their_places(profile, rows, tmp_path):
    convert_rows("bagel-interleaved", tmp_path, *rows, profile=profile)
    back = {row.id: row for shard in import_rows("bagel-interleaved", tmp_path) for row in shard()}
    assert len(back) == len(rows)
    for row in rows:
        again = back[row.id]
        expected = texts_and_colors(row)
        if row is STORY:  # neighbouring texts: the last is the final answer, and a part of its own
            assert expected[-2:] == [("assistant", "Second."), ("assistant", "Done.")]
        assert texts_and_colors(again) == expected
        assert (again.task, again.quadrant, again.image_roles) == (row.task, row.quadrant, row.image_roles)


@pytest.mark.parametrize("profile", ["thinkmorph", "zebra-cot"])
def test_reasoning_and_answer_come_back_told_apart(profile, tmp_path):
    convert_rows("bagel-interleaved", tmp_path, TOLD_APART, profile=profile)
    (row,) = import_rows("bagel-interleaved", tmp_path)[0]()
    assert row.answer == "The answer is 2."
    assert " ".join(row.rationale.split()) == "I mark them. Two are marked."


def test_import_counts_records_of_others_that_are_none(tmp_path):
    path = tmp_path / "theirs.jsonl"
    good = {"Question": "Q <image_start>[a]<image_end>", "Text Reasoning Trace": "T", "Final Answer": "F"}
    path.write_text("\n".join(json.dumps(record) for record in [good, {"Question": "Q"}, [1]]))
    problems = []
    (shard,) = import_rows("bagel-interleaved", path, options={"task": "cot_collection"}, on_bad=problems.append)
    assert list(shard()) == []
    assert [error.kind for error in problems] == ["missing_image", "bad_record", "bad_record"]
