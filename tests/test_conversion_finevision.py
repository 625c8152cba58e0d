"""FineVision and The Cauldron, loaded by `datasets`; what nanoVLM does with a row is re-told from
huggingface/nanoVLM@4e0c096 data/datasets.py.
"""

import io
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conversion import import_rows
from tests.conversion_rows import (
    EDIT,
    EMPTY,
    GENERATE,
    LITERAL,
    REASON,
    TEXT,
    TURNS,
    UNDERSTAND,
    UNICODE,
    UNKNOWN_FORMAT,
    color_of,
    convert_rows,
    make,
    picture,
    refusal,
)
from toolkit.schema import Message, Part

ROWS = (UNDERSTAND, TEXT, LITERAL, TURNS, UNICODE)
TOKEN = replace(TEXT, id="cc-9", messages=(TEXT.messages[0], Message("assistant", (Part("text", "Say <|image|>."),))))
INSIDE = make(
    "lc-9", "llava_cot", ("user", "*|Is|*|this?"), ("assistant", "Yes."), pictures="red blue", roles="ii", source="a/b"
)


def load(folder, cache):
    """get_dataloaders of train.py, with train_dataset_path and train_dataset_name as the guide gives them."""
    import datasets

    return datasets.load_dataset(str(folder), "default", cache_dir=str(cache), on_bad_files="warn")["train"]


def color(image):
    file = io.BytesIO()
    with image:
        image.convert("RGB").save(file, "png")
    return color_of(file.getvalue())


def nano_vlm_sees(item):
    """_process_data and _get_messages: all pictures in front of the first turn; its image token is taken out."""
    messages = []
    for text in item["texts"]:
        messages += [("user", text["user"]), ("assistant", text["assistant"])]
    messages = [(role, content.replace("<|image|>", "")) for role, content in messages]
    images = [color(image) for image in item["images"] or []]
    return [(messages[0][0], [*images, messages[0][1]]), *((role, [content]) for role, content in messages[1:])]


def test_nano_vlm_sees_pictures_questions_and_answers(tmp_path):
    report = convert_rows("finevision", tmp_path / "out", *ROWS, TOKEN, INSIDE)
    rows = list(load(tmp_path / "out", tmp_path / "cache"))
    assert [nano_vlm_sees(row) for row in rows] == [
        [("user", ["red", "What is this?"]), ("assistant", ["A red square."])],
        [("user", ["Two and two?"]), ("assistant", ["Four."])],
        [("user", ["red", "What does <image> or <\\image> or <video> mean?"]), ("assistant", ["A tag: <image>."])],
        [
            ("user", ["red", "blue", "Be brief.\nColour?"]),
            ("assistant", ["Red."]),
            ("user", ["And this?"]),
            ("assistant", ["Blue."]),
        ],
        [("user", ["red", UNICODE.messages[0].content[1].text]), ("assistant", ["\u062a\u0645"])],
        [("user", ["Two and two?"]), ("assistant", ["Say ."])],
        [("user", ["red", "blue", "Is\nthis?"]), ("assistant", ["Yes."])],
    ]
    assert report.images_moved == {"to_front": 2}
    assert report.warned == {"text_deleted_by_reader": 1}
    assert report.flattened == {"system_message": 1}
    assert [row["source"] for row in rows][-1] == "a/b"


def test_features_are_those_of_finevision_so_that_it_can_be_mixed_with_it(tmp_path):
    import datasets

    convert_rows("finevision", tmp_path / "out", UNDERSTAND)
    features = load(tmp_path / "out", tmp_path / "cache").features
    assert features["images"] == datasets.List(datasets.Image())
    assert features["texts"] == datasets.List({"user": datasets.Value("string"), "assistant": datasets.Value("string")})


@pytest.mark.parametrize(
    ("kind", "row"),
    [("output_image", GENERATE), ("output_image", EDIT), ("output_image", REASON), ("picture_format", UNKNOWN_FORMAT)],
)
def test_rows_with_pictures_in_answers_or_none_at_all_are_refused(kind, row, tmp_path):
    assert refusal("finevision", tmp_path, row) == kind


def test_finevision_rows_come_back_with_their_pictures_in_front(tmp_path):
    convert_rows("finevision", tmp_path, UNDERSTAND, TEXT, LITERAL, UNICODE, EMPTY)
    back = {row.id: row for shard in import_rows("finevision", tmp_path) for row in shard()}
    for row in (UNDERSTAND, TEXT, LITERAL, UNICODE):
        assert (back[row.id].messages, back[row.id].images, back[row.id].task) == (row.messages, row.images, row.task)


def test_import_reads_the_cauldron(tmp_path):
    image = {"bytes": picture("red", "jpg").bytes, "path": None}
    texts = [{"user": "Colour?", "assistant": "Red.", "source": "VQAv2"}]
    pq.write_table(pa.Table.from_pylist([{"images": [image], "texts": texts}]), tmp_path / "vqav2.parquet")
    (row,) = import_rows("finevision", tmp_path / "vqav2.parquet", options={"task": "llava_cot"})[0]()
    assert (row.id, row.instruction, row.answer) == ("vqav2-00000000", "Colour?", "Red.")
    assert color_of(row.images[0].bytes) == "red"
