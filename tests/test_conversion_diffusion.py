"""diffusers, read by its own loading code in datasets."""

import io
import os
from dataclasses import replace

from tests.conversion_rows import (
    EDIT,
    GENERATE,
    TWO_EDITS,
    WEB,
    color_of,
    convert_rows,
    picture,
    refusal,
)
from toolkit.schema import EncodedImage

# -- diffusers, through datasets' own imagefolder


def load_folder(folder, cache):
    import datasets

    # as train_text_to_image.py and train_instruct_pix2pix.py do it with --train_data_dir
    files = {"train": os.path.join(folder, "**")}  # noqa: PTH118
    return datasets.load_dataset("imagefolder", data_files=files, cache_dir=str(cache))["train"]


def color(image):
    file = io.BytesIO()
    with image:
        image.save(file, "png")
    return color_of(file.getvalue())


def test_diffusers_text_to_image_loads_with_image_and_text(tmp_path):
    convert_rows("diffusers", tmp_path / "out", GENERATE, WEB)
    rows = load_folder(tmp_path / "out", tmp_path / "cache")
    assert {"image", "text"} <= set(rows.column_names)
    assert [(color(row["image"]), row["text"]) for row in rows] == [
        ("orange", "Something warm."),
        *((name, "How is bread made?") for name in ("red", "green", "blue")),
    ]


def test_diffusers_edit_loads_with_the_columns_of_instruct_pix2pix(tmp_path):
    report = convert_rows("diffusers", tmp_path / "out", EDIT, TWO_EDITS, profile="edit")
    rows = load_folder(tmp_path / "out", tmp_path / "cache")
    assert [(color(row["input_image"]), row["edit_prompt"], color(row["edited_image"])) for row in rows] == [
        ("blue", "Make it night.", "black"),
        ("red", "Blue, please.", "blue"),
        ("blue", "And now black.", "black"),
    ]
    assert (report.records_out, report.images_out) == (3, 5)
    assert report.flattened == {"chain_told_apart": 1}


def test_diffusers_refuses_a_picture_of_no_known_format(tmp_path):
    assert (
        refusal("diffusers", tmp_path, replace(GENERATE, images=(EncodedImage(b"\x00nothing", "a.jpg"),)))
        == "picture_format"
    )


def test_suffix_comes_from_the_content_and_not_from_the_name(tmp_path):
    row = replace(GENERATE, images=(EncodedImage(picture("red", "webp").bytes, "lies.jpg"),))
    convert_rows("diffusers", tmp_path, row)
    assert [path.suffix for path in (tmp_path / "train" / "00000").iterdir()] == [".webp"]
