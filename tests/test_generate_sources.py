"""Sources of every kind -> records, and back to rows; interleaved documents with a downloader on loopback."""

import csv
import gzip
import json
import re
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.damage import changed_to
from tests.generation_runs import picture, write_spec
from tests.openai_server import OpenAIServer
from tests.small_disk import SmallDisk
from toolkit.errors import DiskFull, SourceError, UsageError
from toolkit.generation.core.spec_file import parse_spec, read_spec
from toolkit.generation.recipes import get_recipe
from toolkit.generation.recipes.records import open_records
from toolkit.generation.runs import engine
from toolkit.generation.runs.finalize import finalize
from toolkit.generation.runs.plans import plan, warnings
from toolkit.generation.sources import staging
from toolkit.sources.downloads import Downloads

EDITS = {"image": "before", "edit": "order"}


@pytest.fixture
def site():
    server = OpenAIServer()
    yield server
    server.close()


def records(folder, recipe, source, n=100, *, procedural=False):
    spec = parse_spec({"recipes": {recipe: {"n": n, "source": source}}}, folder=folder)
    return open_records(get_recipe(recipe), spec.recipes[0].source, n, is_procedural=procedural)


def table(folder):
    return pa.table(
        {
            "before": [{"bytes": picture(number), "path": None} for number in range(3)],
            "order": [f"Make it {number} times brighter." for number in range(3)],
        }
    )


def in_files(folder, kind):
    for number in range(3):
        (folder / f"{number}.png").write_bytes(picture(number))
    rows = [{"before": f"{number}.png", "order": f"Make it {number} times brighter."} for number in range(3)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    if kind == "jsonl":
        (folder / "a.jsonl").write_text(lines)
    elif kind == "jsonl.gz":
        (folder / "a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    elif kind == "jsonl.zip":
        with zipfile.ZipFile(folder / "a.jsonl.zip", "w") as archive:
            archive.writestr("a.jsonl", lines)
    elif kind == "json":
        (folder / "a.json").write_text(json.dumps(dict(enumerate(rows)), indent=1))
    elif kind == "parquet":
        pq.write_table(table(folder), folder / "a.parquet", row_group_size=2)
    elif kind == "csv":
        with (folder / "a.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    else:
        (folder / "a/data").mkdir(parents=True)
        pq.write_table(table(folder).slice(0, 1), folder / "a/data/train-00000.parquet")
        pq.write_table(table(folder).slice(1), folder / "a/data/train-00001.parquet")
        return "a"
    return f"a.{kind}"


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "jsonl.zip", "json", "parquet", "csv", "folder"])
def test_a_table_of_any_kind_gives_the_same_records(tmp_path, kind):
    found = records(tmp_path, "image_editing", {"path": in_files(tmp_path, kind), "columns": EDITS})
    read = [found.read(index, 0) for index in range(len(found))]
    assert [each.text("edit") for each in read] == [f"Make it {number} times brighter." for number in range(3)]
    assert [each.image("image") for each in read] == [picture(number) for number in range(3)]


def test_a_folder_of_pictures_names_them_by_their_folders(tmp_path):
    for name in ("koala", "panda"):
        (tmp_path / "zoo" / name).mkdir(parents=True)
        (tmp_path / "zoo" / name / "1.png").write_bytes(picture(len(name)))
    found = records(tmp_path, "image_generation_category", "zoo")
    assert [found.read(index, 0).text("label") for index in range(2)] == ["koala", "panda"]


def test_a_packed_dataset_is_a_source(tmp_path):
    made = read_spec(write_spec(tmp_path, {"name": "a", "recipes": {"image_editing": 3}}))
    engine.run(made, tmp_path / "run")
    finalize(made, tmp_path / "run")
    columns = {"image": "images.0", "edit": "provenance.simple", "target_image": "images.1"}
    source = {"path": "run/packed", "columns": columns, "config": "image_editing", "fixed": {"license": "CC0-1.0"}}
    found = records(tmp_path, "image_editing", source)
    assert len(found) == 3
    first = found.read(0, 0)
    assert (first.text("license"), set(first.images)) == ("CC0-1.0", {"image", "target_image"})


def test_columns_that_do_not_fit_are_told_with_those_there_are(tmp_path):
    source = in_files(tmp_path, "parquet")
    with pytest.raises(UsageError, match="its rows have no image, edit; their columns: before, order; say which"):
        records(tmp_path, "image_editing", source)
    with pytest.raises(UsageError, match="has no column 'pic'; its columns: before, order"):
        records(tmp_path, "image_editing", {"path": source, "columns": {"image": "pic", "edit": "order"}})


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.parquet", b"PAR1 no", "cannot be read as Parquet"),
        ("a.json", b'[{"before": 1}, {"be', "no JSON"),
        ("a.json", b"7", "is neither a list nor an object"),
        ("a.jsonl.gz", b"no gzip", "cannot be read"),
        ("a.jsonl.zip", b"no zip", "cannot be read"),
        ("a.txt", b"words", "is of no kind that is read"),
        ("a.csv", b"before,order\n\xff,1\n", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path, name, content, problem):
    (tmp_path / name).write_bytes(content)
    with pytest.raises((SourceError, UsageError), match=problem):
        records(tmp_path, "image_editing", {"path": name, "columns": EDITS})


def test_a_cache_on_a_disk_that_fills_says_so_and_goes_on(tmp_path, monkeypatch):
    text = "before,order\n" + "".join(f"no.png,{'a long text ' * 60}{number}\n" for number in range(40))
    (tmp_path / "a.csv").write_text(text)
    source = {"path": "a.csv", "columns": {"rationale": "order", "source": "before", "target": "before"}}
    wanted = records(tmp_path, "import_cot_collection", source)
    size, told = 4096, list[str]()
    disk = SmallDisk(tmp_path / "disk", size)
    monkeypatch.setenv("HF_HOME", str(disk.path))
    try:
        while True:
            try:
                found = records(tmp_path, "import_cot_collection", source)
                break
            except DiskFull as error:
                told.append(str(error))
                size += 4096
                disk.grow(size)
        assert all(re.match(f"{disk.path}/.*: the disk is full: .* are free, more is needed", each) for each in told)
        assert size > 20_000
        assert [found.read(n, 0) for n in range(40)] == [wanted.read(n, 0) for n in range(40)]
    finally:
        disk.close()


def test_more_records_are_added_to_those_that_are_there(tmp_path, monkeypatch):
    source = {"path": in_files(tmp_path, "parquet"), "columns": EDITS}
    assert len(records(tmp_path, "image_editing", source, n=1)) == 1
    starts = []
    rows = staging.open_rows
    monkeypatch.setattr(staging, "open_rows", lambda source, start: starts.append(start) or rows(source, start))
    found = records(tmp_path, "image_editing", source, n=3)
    assert (len(found), starts) == (3, [1])
    cached = Path(found._path)
    cached.write_bytes(cached.read_bytes()[:-20])  # killed while it wrote the last one
    assert len(records(tmp_path, "image_editing", source, n=3)) == 3
    assert starts == [1, 2]


def obelics(urls):
    """A page as HuggingFaceM4/OBELICS has it."""
    images = [None, *[url for address in urls for url in (address, None)]]
    texts = [None if url else f"A paragraph of this page, with its number {place}." for place, url in enumerate(images)]
    metadata = [{"alt_text": f"alt {place}", "src": url} if url else None for place, url in enumerate(images)]
    return {
        "images": images,
        "texts": texts,
        "metadata": json.dumps(metadata),
        "general_metadata": json.dumps({"url": "https://example.org/page"}),
    }


def mmc4(urls):
    """A page as mmc4 has it."""
    info = [{"image_name": f"{n}.png", "raw_url": url, "matched_text_index": 2 * n} for n, url in enumerate(urls)]
    sentences = [f"Sentence number {n} of the page." for n in range(2 * len(urls) + 1)]
    return {"text_list": sentences, "image_info": info, "url": "https://example.org/page", "similarity_matrix": []}


@pytest.mark.parametrize("publisher", [obelics, mmc4])
def test_pages_as_published_are_downloaded_once_and_losses_are_counted(tmp_path, site, publisher):
    root = site.url.removesuffix("/v1")
    site.downloads = {f"/{n}.png": picture(n) for n in range(3)} | {"/text.png": b"<html>no picture</html>"}
    pages = [
        publisher([f"{root}/0.png", f"{root}/gone.png", f"{root}/1.png"]),
        publisher([f"{root}/gone.png", f"{root}/text.png"]),
        publisher([f"{root}/2.png", f"{root}/0.png"]),
    ]
    (tmp_path / "pages.jsonl").write_text("".join(json.dumps(page) + "\n" for page in pages))
    source = {"path": "pages.jsonl", "shape": publisher.__name__, "fixed": {"license": "CC-BY-4.0"}}
    found = records(tmp_path, "mm_internet", source)
    assert dict(found.lost) == {"picture: http_404": 2, "no_picture": 1}
    first, second = (found.read(index, 0) for index in range(2))
    assert list(first.images.values()) == [picture(0), picture(1)]
    assert list(second.images.values()) == [picture(2), picture(0)]
    assert first.text("license") == "CC-BY-4.0"
    assert len(first.values["texts"]) == len(first.values["images"])
    if publisher is obelics:
        assert first.values["captions"] == ["alt 1", "alt 5"]
    else:
        assert first.values["texts"][0] == "Sentence number 0 of the page."
    fetched = len(site.fetched)
    assert fetched == 5  # each address once
    records(tmp_path, "mm_internet", source)
    assert len(site.fetched) == fetched
    spec = parse_spec({"recipes": {"mm_internet": {"n": 2, "source": source}}}, folder=tmp_path)
    assert "recipes.mm_internet: of its source 2 were left out: picture: http_404" in list(warnings(spec, plan(spec)))


def test_a_network_that_is_not_there_loses_no_page(tmp_path):
    pages = [obelics([f"http://127.0.0.1:1/{n}.png" for n in range(3)])]
    (tmp_path / "pages.jsonl").write_text(json.dumps(pages[0]))
    with pytest.raises(SourceError, match="none of 3 pictures can be reached"):
        records(tmp_path, "mm_internet", {"path": "pages.jsonl", "shape": "obelics"})


def test_downloads_are_bounded_and_heed_what_servers_forbid(tmp_path, site):
    root = site.url.removesuffix("/v1")
    site.downloads = {"/0.png": picture(0)}
    assert Downloads(tmp_path / "a", max_bytes=100).get(f"{root}/0.png").problem == "too_large"
    assert Downloads(tmp_path / "b").get("file:///etc/passwd").problem == "no_address"
    assert Downloads(tmp_path / "d").get("http://127.0.0.1:1/0.png").problem == "not_reached"
    assert not list((tmp_path / "d").rglob("*.json"))  # it may be reached another time
    site.headers = {"X-Robots-Tag": "otherbot: noindex, noai"}
    assert Downloads(tmp_path / "c").get(f"{root}/0.png").problem == "not_for_training"


@pytest.mark.parametrize("what", ["one bit", "half", "nothing", "removed", "deep", "nowhere", "/dev/zero"])
@pytest.mark.parametrize("suffix", ["png", "json"])
def test_a_download_that_was_damaged_since_is_made_again(tmp_path, site, suffix, what):
    address = f"{site.url.removesuffix('/v1')}/0.png"
    site.downloads = {"/0.png": picture(0)}
    downloads = Downloads(tmp_path)
    for asked in (1, 1):
        assert downloads.get(address).path.read_bytes() == picture(0)
        assert len(site.fetched) == asked
    changed_to(next(tmp_path.rglob(f"*.{suffix}")), what)
    assert downloads.get(address).path.read_bytes() == picture(0)
    assert len(site.fetched) == 2


def test_llava_cot_as_published_is_read_from_its_split_zip(tmp_path):
    tagged = "<SUMMARY>s</SUMMARY><CAPTION>c</CAPTION><REASONING>r</REASONING><CONCLUSION>B</CONCLUSION>"
    turns = [{"from": "human", "value": "A or B?"}, {"from": "gpt", "value": tagged}]
    lines = [{"id": str(n), "image": f"sqa/{n}.png", "conversations": turns} for n in range(3)]
    (tmp_path / "llava").mkdir()
    (tmp_path / "llava/train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with zipfile.ZipFile(tmp_path / "image.zip", "w") as archive:
        for number in range(2):
            archive.writestr(f"image/sqa/{number}.png", picture(number))
    whole = (tmp_path / "image.zip").read_bytes()
    for number, start in enumerate(range(0, len(whole), 500)):
        (tmp_path / f"llava/image.zip.part-a{'abcdefghij'[number]}").write_bytes(whole[start : start + 500])
    found = records(tmp_path, "import_llava_cot", {"path": "llava", "shape": "llava_cot"})
    assert [found.read(index, 0).image("image") for index in range(2)] == [picture(0), picture(1)]
    assert dict(found.lost) == {"missing_image": 1}


def test_cot_collection_as_published_is_read_piece_by_piece(tmp_path, monkeypatch):
    rows = {
        str(n): {"source": f"{n} + 1?", "target": str(n + 1), "rationale": "r " * 40, "task": "t", "config": "c"}
        for n in range(50)
    }
    (tmp_path / "CoT_collection_en.json").write_text(json.dumps(rows))
    monkeypatch.setattr("toolkit.generation.sources.reading._CHUNK", 64)
    found = records(tmp_path, "import_cot_collection", {"path": "CoT_collection_en.json", "shape": "cot_collection"})
    assert [found.read(index, 0).text("target") for index in range(50)] == [str(n + 1) for n in range(50)]


def test_a_shape_of_ones_own_is_a_function_of_a_file(tmp_path):
    (tmp_path / "mine.py").write_text(
        "def shape(row):\n    return {'source': row['q'], 'target': 'a', 'rationale': 'r'}\n"
    )
    (tmp_path / "a.jsonl").write_text('{"q": "one"}\n{"p": "two"}\n')
    found = records(tmp_path, "import_cot_collection", {"path": "a.jsonl", "shape": "mine.py:shape"})
    assert [found.read(index, 0).text("source") for index in range(len(found))] == ["one"]
    assert dict(found.lost) == {"not_of_shape: KeyError": 1}


def test_a_source_without_a_record_stops_a_run_and_says_what_was_left_out(tmp_path):
    pq.write_table(pa.table({"image": ["gone.png"] * 3, "label": ["koala"] * 3}), tmp_path / "photos.parquet")
    spec = {"recipes": {"image_generation_category": {"n": 2, "source": str(tmp_path / "photos.parquet")}}}
    with pytest.raises(SourceError, match="holds no record: 3 were left out: missing_image"):
        plan(parse_spec(spec))
