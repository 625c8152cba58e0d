import io

import pytest
from PIL import Image

from tests.collate_tiny import make_row, picture, png
from tests.processes import FORKS
from toolkit.collate.common import IGNORE_INDEX, Collator, Sample, join, open_image, pad, splice
from toolkit.collate.template import Encoded
from toolkit.errors import ImageError, ImageTokenMismatch, RowError, TooManyBadRows, UsageError

torch = pytest.importorskip("torch", reason="collators make torch tensors; pip install torch")

IMAGE = 9


class Letters(Collator):
    """One token per character of the answer; "!" is a bad row."""

    def encode(self, row):
        if row["id"] == "!":
            raise RowError("bad", kind="bad_id")
        return Sample(
            columns={"input_ids": [ord(letter) for letter in row["id"]], "labels": [IGNORE_INDEX] * len(row["id"])}
        )


def letters(**options):
    return Letters(**{"pad_id": 0, "max_length": 3, "on_bad_row": "skip", **options})


def rows(*ids):
    return [{"id": row_id} for row_id in ids]


def test_open_image_gives_rgb_of_bytes_and_of_pictures():
    image = picture("red", (3, 2))
    for given in ({"bytes": png(image), "path": "a.png"}, image, image.convert("RGBA")):
        assert open_image(given).mode == "RGB"
        assert open_image(given).tobytes() == image.tobytes()


def test_open_image_turns_pictures_upright():
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (4, 2)).save(file, format="JPEG", exif=exif)
    assert open_image({"bytes": file.getvalue(), "path": ""}).size == (2, 4)


def test_open_image_puts_transparent_parts_on_white():
    assert open_image(Image.new("RGBA", (1, 1), (255, 0, 0, 0))).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"", "empty"), (None, "empty"), (b"<html>404</html>", "not_an_image"), (png(picture("red"))[:-40], "truncated")],
)
def test_open_image_names_the_row_when_bytes_are_no_picture(content, kind):
    with pytest.raises(ImageError, match="row 'ie-1'") as caught:
        open_image({"bytes": content, "path": "a.png"}, row_id="ie-1")
    assert caught.value.kind == kind


def test_splice_masks_prompt_and_prompt_pictures_and_keeps_a_familys_columns():
    encoded = Encoded([1, IMAGE, 2, IMAGE, 3], [False, False, True, True, True])
    pictures = [{"input_ids": [50, 51], "labels": [50, 51], "kind": [7, 7]}, {"input_ids": [60], "labels": [60]}]
    assert splice(encoded, IMAGE, pictures, row_id="r") == {
        "input_ids": [1, 50, 51, 2, 60, 3],
        "labels": [-100, -100, -100, 2, 60, 3],
        "kind": [0, 7, 7, 0, 0, 0],
    }


@pytest.mark.parametrize("num_pictures", [0, 2])
def test_splice_names_the_row_and_both_counts_when_they_differ(num_pictures):
    with pytest.raises(ImageTokenMismatch, match=f"row 'r': 1 image tokens and {num_pictures} images"):
        splice(Encoded([IMAGE], [True]), IMAGE, [{"input_ids": [1], "labels": [1]}] * num_pictures, row_id="r")


def test_pad_fills_on_the_right_and_gives_rows_without_a_column_zeros():
    batch = pad([{"input_ids": [1, 2], "kind": [3, 3]}, {"input_ids": [4]}], {"input_ids": 8})
    assert {name: value.tolist() for name, value in batch.items()} == {
        "input_ids": [[1, 2], [4, 8]],
        "kind": [[3, 3], [0, 0]],
        "attention_mask": [[1, 1], [1, 0]],
    }


def test_join_keeps_order_and_pads_smaller_pictures_with_zeros_at_the_end():
    joined = join([{"x": torch.ones(1, 1, 2)}, {}, {"x": torch.full((2, 2, 1), 2.0)}])["x"]
    assert joined.tolist() == [[[1, 1], [0, 0]], [[2, 0], [2, 0]], [[2, 0], [2, 0]]]


def test_rows_over_the_budget_are_dropped_whole_and_counted():
    collate = letters()
    assert collate(rows("ab", "abcd", "!", "abc"))["input_ids"].tolist() == [[97, 98, 0], [97, 98, 99]]
    assert collate.skipped == {"too_long": 1, "bad_id": 1}


def test_a_row_over_the_budget_raises_by_default_naming_row_and_counts():
    with pytest.raises(RowError, match="row 'abcd': 4 tokens, more than max_length=3") as caught:
        letters(on_bad_row="raise")(rows("abcd"))
    assert caught.value.kind == "too_long"


def test_fits_filters_before_batching():
    collate = letters()
    assert [row["id"] for row in rows("ab", "abcd", "!") if collate.fits(row)] == ["ab"]
    assert collate.skipped.total() == 2


@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_with_no_row_left_asks_nothing_and_is_counted_in_the_process_of_the_loop(workers):
    collate = letters()
    batches = list(torch.utils.data.DataLoader(rows("a", "abcd", "b"), 1, num_workers=workers, collate_fn=collate))
    assert [batch["input_ids"].shape[0] for batch in batches] == [1, 1, 1]
    assert (batches[1]["labels"] == IGNORE_INDEX).all()
    assert collate.skipped == {"too_long": 1}


def test_a_hundred_bad_rows_in_a_row_stop_even_when_skipping():
    collate = letters()
    for _ in range(2):
        assert not any(collate.fits(row) for row in rows("!") * 99)
        assert collate.fits({"id": "ab"})
    with pytest.raises(TooManyBadRows, match="100 bad rows in a row"):
        [collate.fits(row) for row in rows("!") * 100]


def test_an_unknown_policy_is_refused():
    with pytest.raises(UsageError, match="'ignore'; expected 'raise' or 'skip'"):
        letters(on_bad_row="ignore")


def test_image_token_mismatch_survives_a_worker_process():
    import pickle

    error = pickle.loads(pickle.dumps(ImageTokenMismatch("row 'a'", kind="image_token_mismatch")))
    assert (type(error), str(error), error.kind) == (ImageTokenMismatch, "row 'a'", "image_token_mismatch")


def test_make_row_of_these_tests_gives_the_dicts_of_schema_rows():
    row = make_row("mm", "{blue}Make it white.", "First {black} done.")
    assert [part["type"] for message in row["messages"] for part in message["content"]] == [
        "image",
        "text",
        "text",
        "image",
        "text",
    ]
    assert row["quadrant"] == "mm-mm"


@pytest.mark.parametrize(("context", "workers"), [("fork", 2), (FORKS, 1)], ids=["forked", "sent"])
def test_rows_that_workers_leave_out_are_counted_in_the_process_of_the_loop(context, workers):
    collate = letters()
    loader = torch.utils.data.DataLoader(
        rows(*(["abc", "abcd", "!"] * 10)), 3, num_workers=workers, collate_fn=collate, multiprocessing_context=context
    )
    assert len(list(loader)) == 10
    assert collate.skipped == {"too_long": 10, "bad_id": 10}
