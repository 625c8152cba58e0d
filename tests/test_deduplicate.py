"""Rows that come twice, and rows that a benchmark has: which go, why, and what is said of it."""

import io
import json
import random
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.test_pack import content
from toolkit.curation.database import database
from toolkit.curation.pictures import MANY_PICTURES, MAX_BITS, masks_of
from toolkit.curation.texts import jaccard, runs, words
from toolkit.errors import DiskFull, PartDone, SourceError, UsageError
from toolkit.minhash import band_rows, bands
from toolkit.packing.verify import verify_packed
from toolkit.schema import IMAGE_PART, EncodedImage, Message, Part, Row
from toolkit.sources.repository import LocalFolder
from unifiedvisual import PackOptions, deduplicate, merge, pack_rows

SMALL = PackOptions(shard_bytes=200_000, row_group_bytes=60_000)
WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "lmnrst"]


def sentence(seed, count=30):
    return " ".join(random.Random(seed).choices(WORDS, k=count))


def drawing(seed):
    small = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((48, 48), Image.Resampling.BICUBIC)


def encoded(picture, kind="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return EncodedImage(buffer.getvalue(), f"picture.{kind.lower()}")


def row(id, text, *pictures):
    """A question about pictures, or of text alone."""
    asked, answer = text.rsplit(" ", 1)
    messages = (
        Message("user", (*[IMAGE_PART] * len(pictures), Part("text", asked))),
        Message("assistant", (Part("text", answer),)),
    )
    return Row(
        id=id,
        task="llava_cot" if pictures else "cot_collection",
        quadrant="mm-text" if pictures else "text-text",
        messages=messages,
        images=pictures,
        image_roles=("input",) * len(pictures),
        image_captions=("",) * len(pictures),
        instruction=asked,
        answer=answer,
    )


def changed(text, *, words=1):
    found = text.split()
    for n in range(words):
        found[5 + 7 * n] = f"other{n}"
    return " ".join(found)


FIRST, SECOND = drawing(1), drawing(2)
EDITED = FIRST.copy()
EDITED.paste((255, 255, 255), (12, 12, 24, 24))
ROWS = [
    *(row(f"text-{n}", sentence(n)) for n in range(6)),
    *(row(f"shown-{n}", sentence(100 + n), encoded(drawing(n))) for n in range(6)),
    row("same-text", sentence(3)),
    row("near-text", changed(sentence(4))),
    row("far-text", changed(sentence(5), words=4)),
    row("same-row", sentence(101), encoded(FIRST)),
    row("near-text-of-picture", changed(sentence(102)), encoded(SECOND)),
    row("near-picture", sentence(101), encoded(FIRST.resize((60, 60)), "JPEG", quality=90)),
    row("near-both", changed(sentence(102)), encoded(SECOND, "WEBP", quality=95)),
    row("edited-picture", sentence(101), encoded(EDITED)),
    row("other-question", sentence(200), encoded(FIRST)),
    row("other-picture", sentence(101), encoded(drawing(50))),
]
LIKE = {  # row that goes -> reason, what it is like
    "same-text": ("duplicate", "text-3"),
    "near-text": ("near_text", "text-4"),
    "same-row": ("duplicate", "shown-1"),
    "near-text-of-picture": ("near_text", "shown-2"),
    "near-picture": ("near_images", "shown-1"),
    "near-both": ("near_images", "near-text-of-picture"),
}


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deduplicate") / "packed"
    pack_rows(ROWS, folder, SMALL)
    return folder


def ids(folder):
    paths = sorted((folder / "data").rglob("*.parquet"))
    return {id for path in paths for id in pq.read_table(path, columns=["id"])["id"].to_pylist()}


def gone(folder):
    listed = pq.read_table(folder / "duplicates.parquet").to_pylist()
    return {line["id"]: (line["reason"], line["like_id"]) for line in listed}


def test_rows_go_that_say_and_show_the_same_or_nearly(packed, tmp_path):
    manifest = deduplicate(packed, tmp_path / "out")
    assert gone(tmp_path / "out") == LIKE
    assert ids(tmp_path / "out") == {each.id for each in ROWS} - LIKE.keys()
    assert manifest.skipped == {
        "llava_cot": {"duplicate": 1, "near_images": 2, "near_text": 1},
        "cot_collection": {"duplicate": 1, "near_text": 1},
    }
    assert verify_packed(LocalFolder(tmp_path / "out"), deep=True).problems == ()


def test_near_things_stay_where_only_the_same_is_asked_for(packed, tmp_path):
    deduplicate(packed, tmp_path / "out", near_text=1.0, near_images=False)
    assert gone(tmp_path / "out") == {id: like for id, like in LIKE.items() if like[0] == "duplicate"}


def test_by_text_or_by_picture_alone(packed, tmp_path):
    deduplicate(packed, tmp_path / "text", by="text")
    assert set(gone(tmp_path / "text")) == {*LIKE, "edited-picture", "other-picture"}
    deduplicate(packed, tmp_path / "picture", by="image")
    shown = {id for id in LIKE if "text" not in id or "picture" in id}
    assert set(gone(tmp_path / "picture")) == {*shown, "other-question"}


def test_between_datasets_the_first_keeps_the_row(tmp_path):
    pack_rows(ROWS[:12], tmp_path / "a", SMALL)
    pack_rows([replace(each, id=f"b-{each.id}") for each in ROWS[3:9]], tmp_path / "b", SMALL)
    merge([tmp_path / "a", tmp_path / "b"], tmp_path / "merged")
    deduplicate(tmp_path / "merged", tmp_path / "out")
    assert ids(tmp_path / "out") == {each.id for each in ROWS[:12]}


def test_what_a_benchmark_asks_or_shows_goes(packed, tmp_path):
    folder = tmp_path / "benchmark"
    (folder / "pictures").mkdir(parents=True)
    drawing(5).save(folder / "pictures/a.jpg", quality=92)
    asked = ROWS[0].instruction
    lines = [
        {"question": asked.upper() + "!", "answer": "?"},
        {"question": "what is this", "image": "pictures/a.jpg"},
        {"question": sentence(999)},
    ]
    (folder / "test.jsonl").write_text("\n".join(map(json.dumps, lines)))
    deduplicate(packed, tmp_path / "lines", against=[folder / "test.jsonl"])
    found = gone(tmp_path / "lines")
    assert found["text-0"] == ("benchmark_text", "test.jsonl:1")
    assert found["shown-5"] == ("benchmark_image", "test.jsonl:2")
    assert {id for id, (reason, _) in found.items() if reason.startswith("benchmark")} == {"text-0", "shown-5"}
    (folder / "test.jsonl").unlink()
    deduplicate(packed, tmp_path / "folder", against=[folder])
    assert gone(tmp_path / "folder")["shown-5"] == ("benchmark_image", "pictures/a.jpg")
    pack_rows([row("q-0", ROWS[1].instruction + " different", encoded(drawing(4)))], tmp_path / "test", SMALL)
    manifest = deduplicate(packed, tmp_path / "packed", against=[tmp_path / "test"])
    assert gone(tmp_path / "packed")["text-1"] == ("benchmark_text", "q-0")
    assert gone(tmp_path / "packed")["shown-4"] == ("benchmark_image", "q-0")
    assert manifest.skipped["llava_cot"]["benchmark_image"] == 1


def test_the_report_shows_pairs_and_does_nothing(tmp_path):
    hostile = sentence(3) + ' <script>alert("x")</script>'
    rows = [row("a", hostile, encoded(FIRST)), row("b", hostile, encoded(FIRST)), row("c", sentence(5))]
    pack_rows(rows, tmp_path / "in", SMALL)
    deduplicate(tmp_path / "in", tmp_path / "out")
    page = (tmp_path / "out/duplicates.html").read_text()
    assert page.count('<article class="row"') == 2
    assert page.count("data:image/") == 2
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "default-src 'none'" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_workers_and_parts_give_the_same_bytes(packed, tmp_path):
    deduplicate(packed, tmp_path / "one")
    for _ in range(12):
        for part in ((0, 2), (1, 2)):
            with pytest.raises(PartDone):
                deduplicate(packed, tmp_path / "parts", part=part)
    deduplicate(packed, tmp_path / "parts")
    assert content(tmp_path / "parts") == content(tmp_path / "one")


def test_pictures_that_cannot_be_decoded_are_counted_and_compared_by_their_bytes(tmp_path):
    broken = EncodedImage(encoded(FIRST).bytes[:60], "broken.png")
    pack_rows([row("a", sentence(1), broken), row("b", sentence(1), broken)], tmp_path / "in", SMALL)
    manifest = deduplicate(tmp_path / "in", tmp_path / "out")
    assert manifest.options["deduplicate"]["undecodable images"] == 1
    assert ids(tmp_path / "out") == {"a"}


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"by": "id"}, UsageError, "by is 'id'; expected one of 'row', 'text', 'image'"),
        ({"near_text": 0.1}, UsageError, "near_text is 0.1"),
        ({"against": ["empty"]}, UsageError, "nothing to compare"),
        ({"against": ["bad.jsonl"]}, SourceError, "bad.jsonl: line 2: not JSON"),
        ({"against": ["lost.jsonl"]}, SourceError, "line 1: image is 'no.png', which is no file beside it"),
    ],
)
def test_what_cannot_be_done_is_told(packed, tmp_path, monkeypatch, given, error, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.jsonl").write_text('{"question": "x"}\n{')
    (tmp_path / "lost.jsonl").write_text('{"image": "no.png"}')
    with pytest.raises(error, match=message):
        deduplicate(packed, tmp_path / "out", **given)


def test_words_of_any_script_without_case_and_punctuation():
    assert words("It's a CAFE\u0301, twice!") == ["it", "s", "a", "caf\u00e9", "twice"]
    assert words("\u6211\u662f ok") == ["\u6211", "\u662f", "ok"]
    assert runs("one two three four") == {"one two three", "two three four"}
    assert runs("one two") == {"one two"}
    assert runs("?!") == set()
    assert jaccard({"a", "b", "c"}, {"b", "c", "d"}) == 0.5


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.95])
def test_bands_find_nearly_all_pairs_at_the_threshold(threshold):
    rows = band_rows(threshold)
    assert 1 - (1 - threshold**rows) ** (128 // rows) >= 0.99
    assert 1 - (1 - threshold ** (rows + 1)) ** (128 // (rows + 1)) < 0.99
    dice, found = random.Random(0), 0
    common = round(2 * threshold / (1 + threshold) * 100)
    for _ in range(100):
        one, other = ([f"{dice.random()}" for _ in range(100 - common)] for _ in range(2))
        shared = [f"{dice.random()}" for _ in range(common)]
        found += bool(set(bands(one + shared, threshold)) & set(bands(other + shared, threshold)))
    assert found >= 95


@pytest.mark.parametrize(("pictures", "choices", "bits"), [(1000, 15, 20), (MANY_PICTURES, 35, 27)])
def test_hashes_that_differ_in_few_bits_share_a_choice_of_blocks(pictures, choices, bits):
    masks = [int(mask) for mask in masks_of(pictures)]
    assert len(masks) == choices
    assert min(mask.bit_count() for mask in masks) >= bits
    for bits in combinations(range(0, 64, 5), MAX_BITS):
        changed = sum(1 << bit for bit in bits)
        assert any(mask & changed == 0 for mask in masks)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_disk_that_fills_under_duckdb_is_an_error_that_names_the_folder(tmp_path):
    with pytest.raises(DiskFull, match=f"^{tmp_path}: the disk is full"), database(tmp_path) as db:
        db.execute("COPY (SELECT range FROM range(100000)) TO '/dev/full' (FORMAT parquet)")
