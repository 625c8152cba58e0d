"""Truncated, mixed, hostile and huge records of any dialect: a bad row with a kind, which says where and why."""

import io
import json
import struct
import tarfile
import zipfile
from collections import Counter

import pyarrow as pa
import pytest

from tests.dialect_sets import GREEN, RED, SETS, arrow, image, jsonl, parquet, tar, turn
from tests.test_dialects import opened, write
from toolkit.errors import RowError, SourceError, TooManyBadRows, UsageError
from toolkit.schema import Row
from toolkit.sources.dialects import json_records, records
from toolkit.sources.dialects.source import open_foreign
from toolkit.sources.skips import Skips

GOOD = {"conversations": [turn("human", "Q"), turn("gpt", "A")]}
NESTED = "[" * 100_000 + "]" * 100_000
LATER = 60  # records: more than are looked at


def read(folder, **how):
    found = open_foreign(folder, **how)
    rows = [row for piece in found.rows.pieces for row in piece()]
    assert all(isinstance(row, Row | RowError) for row in rows)
    return rows


def kinds(rows):
    return dict(Counter(row.kind for row in rows if isinstance(row, RowError)))


def lines(folder, *bad):
    """Good records, bad lines, and one more good record."""
    text = [json.dumps(GOOD)] * LATER + [each if isinstance(each, str) else json.dumps(each) for each in bad]
    (folder / "train.jsonl").write_text("\n".join([*text, json.dumps(GOOD)]))
    return read(folder)


HOSTILE = {
    "cut": ('{"conversations": [', "bad_json"),
    "nested": (NESTED, "bad_json"),
    "number": ("1" * 5000, "bad_json"),
    "not columns": ([1, 2], "bad_record"),
    "null": (None, "bad_record"),
    "thousands of columns": ({**GOOD, **dict.fromkeys(map(str, range(1_000)))}, "huge_record"),
    "no turns": ({"conversations": []}, "bad_record"),
    "null turns": ({"conversations": None}, "bad_record"),
    "text of turns": ({"conversations": "hello"}, "bad_record"),
    "turn of text": ({"conversations": ["hello"]}, "bad_record"),
    "number in place of text": ({"conversations": [turn("human", 5), turn("gpt", "A")]}, "bad_text"),
    "unknown role": ({"conversations": [turn("narrator", "Q"), turn("gpt", "A")]}, "unknown_role"),
    "no answer": ({"conversations": [turn("human", "Q")]}, "bad_turns"),
    "doubled": ({"conversations": [turn("human", "Q"), turn("human", "Q"), turn("gpt", "A")]}, "bad_turns"),
    "answer first": ({"conversations": [turn("gpt", "A"), turn("human", "Q"), turn("gpt", "A")]}, "bad_turns"),
    "missing image": ({"image": "no.png", **GOOD}, "missing_image"),
    "image above": ({"image": "../secret.png", **GOOD}, "unsafe_path"),
    "remote image": ({"image": "https://example.org/a.png", **GOOD}, "remote_image"),
    "null image": ({"image": [None, "a.png"], **GOOD}, "null_picture"),
    "number for an image": ({"image": 5, **GOOD}, "bad_shape"),
    "nul in a path": ({"image": "a\0.png", **GOOD}, "missing_image"),
    "more tags": ({"conversations": [turn("human", "<image> Q"), turn("gpt", "A")]}, "count_mismatch"),
    "half a surrogate": ({"conversations": [turn("human", "\ud800"), turn("gpt", "A")]}, "bad_text"),
    "image of a new name": ({"scan": "a.png", **GOOD}, "image_not_read"),
    "another dialect": ({"question": "Q", "answer": "A"}, "bad_record"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_record_is_a_bad_row_that_says_where_and_why(name, tmp_path):
    bad, kind = HOSTILE[name]
    rows = lines(tmp_path, bad)
    assert kinds(rows) == {kind: 1}
    assert isinstance(rows[LATER], RowError)
    assert str(rows[LATER]).startswith(f"{tmp_path}: train.jsonl: record {LATER}: ")
    assert len(rows) == LATER + 2


def test_a_record_that_is_too_large_is_a_bad_row(tmp_path, monkeypatch):
    monkeypatch.setattr(json_records, "MAX_RECORD", 2000)
    monkeypatch.setattr(json_records, "CHUNK", 500)
    rows = lines(tmp_path, {"conversations": [turn("human", "Q" * 5000), turn("gpt", "A")]})
    assert (kinds(rows), len(rows)) == ({"huge_record": 1}, LATER + 2)
    (tmp_path / "train.jsonl").unlink()
    records = [GOOD] * LATER + [{"conversations": [turn("human", "Q" * 9000), turn("gpt", "A")]}]
    (tmp_path / "list.json").write_text(json.dumps(records))
    rows = read(tmp_path)
    assert (kinds(rows), len(rows)) == ({"bad_json": 1}, LATER + 1)
    assert "over 2,000 characters" in str(rows[-1])


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.999])
def test_a_list_that_is_cut_off_ends_with_a_bad_row(tmp_path, keep):
    whole = json.dumps([GOOD] * LATER)
    (tmp_path / "train.json").write_text(whole[: int(len(whole) * keep)])
    rows = read(tmp_path)
    assert kinds(rows) == {"bad_json": 1}
    assert isinstance(rows[-1], RowError)
    assert len(rows) == int(LATER * keep) + 1


def test_lists_of_any_size_are_read_a_piece_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(json_records, "CHUNK", 7)
    (tmp_path / "train.json").write_text(json.dumps([{"n": number, **GOOD} for number in range(LATER)], indent=1))
    assert kinds(rows := read(tmp_path)) == {}
    assert len(rows) == LATER


def test_tars_that_are_cut_off_doubled_or_hostile(tmp_path):
    names = [f"{number:03d}" for number in range(LATER)]
    whole = tar({f"{name}.{kind}": data for name in names for kind, data in (("png", RED), ("txt", b"Red."))})
    (tmp_path / "a.tar").write_bytes(whole[: int(len(whole) * 0.6)])
    rows = read(tmp_path)
    assert kinds(rows) == {"damaged_file": 1}
    assert sum(isinstance(row, Row) for row in rows) == 38
    device = tarfile.TarInfo("dev.png")
    device.type = tarfile.CHRTYPE
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        file.addfile(device)
    with (tmp_path / "a.tar").open("r+b") as file:
        head = file.read(512)
    bad = tar(
        {"../up.png": RED, "up.txt": b"x", "no.txt": b"no picture", "text.png": GREEN, "text.txt": b"\xff\xfe\x00"}
    )
    good = tar({"000.png": RED, "000.txt": b"Red."})
    (tmp_path / "a.tar").write_bytes(good + head + bad)
    found = kinds(read(tmp_path, format="pairs"))
    assert found["unsafe_name"] == 1
    assert found["bad_text"] == 1
    assert found["device"] == 1


def test_blocks_and_a_list_that_hold_other_numbers_of_images_are_a_bad_row(tmp_path):
    blocks = [{"type": "image", "image": "a.png"}, {"type": "text", "text": "And?"}]
    messages = [{"role": "user", "content": blocks}, {"role": "assistant", "content": "Red."}]
    empty = [{"role": "user", "content": [{"type": "image"}]}, {"role": "assistant", "content": "Red."}]
    found = [{"messages": messages, "images": ["a.png", "b.png"]}, {"messages": empty, "images": []}]
    write(tmp_path, {"t.jsonl": jsonl(*found), "a.png": RED, "b.png": GREEN})
    assert [row.kind for row in read(tmp_path) if isinstance(row, RowError)] == ["picture_conflict", "count_mismatch"]


@pytest.mark.parametrize("history", [5, [["only"]], [["Q", None]], [None]])
def test_a_history_that_is_no_list_of_pairs_is_a_bad_row(history, tmp_path):
    good = {"query": "Q", "response": "A", "history": [["Before?", "Yes."]]}
    write(tmp_path, {"t.jsonl": jsonl(good, {**good, "history": history})})
    assert kinds(read(tmp_path)) == {"bad_record": 1}


def test_a_record_about_a_video_is_a_bad_row_and_a_set_of_them_is_not_read(tmp_path):
    turns = {"conversations": [turn("human", "<video>\nWhat happens?"), turn("gpt", "A fall.")]}
    (tmp_path / "train.jsonl").write_bytes(jsonl(*[GOOD] * LATER, {"video": "a.mp4", **turns}))
    assert kinds(read(tmp_path)) == {"video": 1}
    (tmp_path / "train.jsonl").write_bytes(jsonl({"video": "a.mp4", **turns}))
    with pytest.raises(SourceError, match="the videos in 'video' would not be read, which rows cannot hold"):
        open_foreign(tmp_path)


def test_a_sample_without_end_is_a_bad_row(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "MAX_SAMPLE", 5000)
    endless = {f"b.{number}.txt": b"x" * 1000 for number in range(20)}
    good = {"a.png": RED, "a.txt": b"Red."}
    (tmp_path / "a.tar").write_bytes(tar({**good, **endless, "c.png": RED, "c.txt": b"Red."}))
    rows = read(tmp_path)
    assert [row.kind if isinstance(row, RowError) else "good" for row in rows] == ["good", "huge_record", "good"]


def test_nan_in_a_column_that_is_kept_is_null(tmp_path):
    (tmp_path / "a.parquet").write_bytes(parquet({"image": image(RED), "caption": "Red.", "score": float("nan")}))
    [row] = read(tmp_path, columns={"keep": "score"})
    assert json.loads(row.provenance)["columns"] == {"score": None}


def test_parquet_that_is_cut_off_is_a_bad_row_beside_a_whole_one(tmp_path):
    (tmp_path / "a-0.parquet").write_bytes(parquet({"image": image(RED), "caption": "Red."}))
    (tmp_path / "a-1.parquet").write_bytes(parquet({"image": image(RED), "caption": "Red."})[:-20])
    rows = read(tmp_path)
    assert kinds(rows) == {"damaged_file": 1}
    assert "not a whole Parquet file" in str(rows[1])
    assert isinstance(rows[0], Row)


def test_nothing_that_is_known_says_what_is_there(tmp_path):
    write(tmp_path, {"a.jsonl": jsonl({"x": 1, "y": 2}), "b.bin": b"?"})
    with pytest.raises(SourceError, match=r"a\.jsonl: its records have 'x', 'y'.*dialects: zebra-cot, "):
        open_foreign(tmp_path)
    with pytest.raises(SourceError, match="edits: no column"):
        open_foreign(tmp_path, format="edits")
    with pytest.raises(UsageError, match="no dialect has all of the uses prompts"):
        open_foreign(tmp_path, columns={"prompts": "x"})
    (tmp_path / "a.jsonl").write_text("")
    with pytest.raises(SourceError, match="no record in it"):
        open_foreign(tmp_path)
    with pytest.raises(SourceError, match="is neither a folder"):
        open_foreign(tmp_path / "nowhere" / "at" / "all")


@pytest.mark.parametrize("name", SETS)
def test_no_damage_ends_in_anything_but_bad_rows_or_a_clear_error(name, tmp_path):
    """Every file of records cut off in the middle, and with bytes turned over in it."""
    published = SETS[name]
    for number, (path, content) in enumerate(published.files.items()):
        for kind, damaged in (("cut", content[: len(content) // 2]), ("turned", turned_over(content))):
            folder = tmp_path / f"{number}{kind}"
            write(folder, {**published.files, path: damaged})
            try:
                found = opened(folder, published)
            except SourceError:
                continue
            for piece in found.rows.pieces:
                try:
                    assert all(isinstance(row, Row | RowError) for row in piece())
                except SourceError:
                    continue


def turned_over(content):
    """With every 97th byte changed, but for the first."""
    return bytes(byte ^ 0x55 if place % 97 == 50 else byte for place, byte in enumerate(content))


def test_many_bad_rows_in_a_row_stop_all_the_same(tmp_path):
    (tmp_path / "train.jsonl").write_bytes(jsonl(*[GOOD] * LATER, *[{"conversations": None}] * 200))
    source = open_foreign(tmp_path).rows
    with pytest.raises(TooManyBadRows, match=r"100 bad rows in a row, the last: .* record 159"):
        list(source.read("conversation", Skips(on_bad_row="skip")))


@pytest.mark.parametrize("ends", [(2, 4, 1 << 30), (2, 1, 6), (2, 4, -5)])
def test_an_arrow_file_whose_texts_lie_elsewhere_in_memory_is_damaged(tmp_path, ends):
    data = arrow(*({"image": "a.png", "text": each} for each in ("aa", "bb", "cc")))
    true = struct.pack("<4i", 0, 2, 4, 6)
    assert data.count(true) == 1
    (tmp_path / "a.arrow").write_bytes(data.replace(true, struct.pack("<4i", 0, *ends)))
    with pytest.raises(SourceError, match="not a whole Arrow file"):
        open_foreign(tmp_path, format="pairs")


def test_a_file_that_holds_no_records_is_named(tmp_path):
    (tmp_path / "f.txt").write_text("x")
    with pytest.raises(SourceError, match=r"/f\.txt: nothing in it is read: no file of records and no image"):
        open_foreign(tmp_path / "f.txt")


def test_an_arrow_file_with_a_column_whose_name_is_no_text_is_damaged(tmp_path):
    data = arrow({"image": "a.png", "text": "aa"})
    (tmp_path / "a.arrow").write_bytes(data.replace(b"text", b"t\xe5xt"))
    with pytest.raises(SourceError, match="not a whole Arrow file"):
        open_foreign(tmp_path, format="pairs")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: data.replace(b"PK\1\2\x14\3\x14\0\0\0", b"PK\1\2\x14\3\x14\0\1\0"), "encrypted"),
        (lambda data: data[:-6] + b"\xff\xff\xff\x7f\0\0", "not a whole zip|zip file"),  # where its directory lies
    ],
)
def test_a_zip_of_records_that_cannot_be_opened_is_named(tmp_path, change, told):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as file:
        file.writestr("a.jsonl", json.dumps(GOOD))
    whole = sink.getvalue()
    assert change(whole) != whole
    (tmp_path / "a.jsonl.zip").write_bytes(change(whole))
    with pytest.raises(SourceError, match=told):
        open_foreign(tmp_path)


def test_files_of_thousands_of_columns_are_not_read(tmp_path):
    wide = {f"c{number}": "x" for number in range(1_001)}
    for name, make in (("a.jsonl", jsonl), ("a.parquet", parquet), ("a.arrow", arrow)):
        write(tmp_path / name[2:], {name: make(wide)})
        with pytest.raises(SourceError, match="1,001 columns"):
            open_foreign(tmp_path / name[2:])
    several = [{f"c{number}-{each}": "x" for each in range(30)} for number in range(40)]
    write(tmp_path / "several", {"a.jsonl": jsonl(*several)})
    with pytest.raises(SourceError, match="its records have 1,200 columns in all"):
        open_foreign(tmp_path / "several")


def test_an_arrow_file_with_two_columns_of_one_name_is_damaged(tmp_path):
    sink = io.BytesIO()
    table = pa.Table.from_arrays([pa.array(["x"])] * 2, names=["a", "a"])
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    write(tmp_path, {"a.arrow": sink.getvalue()})
    with pytest.raises(SourceError, match='"a" exists 2 times'):
        open_foreign(tmp_path)
