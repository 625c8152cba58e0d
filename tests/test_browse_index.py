"""The index of `browse` in its file: kept, resumed, shared, and left out where there is no place for it."""

import resource
import shutil
import threading
from dataclasses import replace

import pytest

from tests import conversion_rows
from tests.browse_site import ALL, client_of, write_rows
from tests.packed import split, write_packed
from tests.replicas import truth
from toolkit.cli.browse import close_site, open_site
from toolkit.report.index import Filter, Index
from toolkit.report.index_file import CACHE, FOLDER
from toolkit.sources.published.cache import cache_folder
from toolkit.streaming.reading import open_packed


@pytest.fixture
def packed(tmp_path):
    return write_rows(tmp_path / "packed")


def test_a_dataset_is_read_once_however_often_it_is_opened(packed):
    groups = []
    Index(open_packed(packed), lambda: groups.append(1), keep=True).close()
    first = len(groups)
    again = Index(open_packed(packed), lambda: groups.append(1), keep=True)
    shared = Index(open_packed(packed), lambda: groups.append(1), keep=True)  # whole indexes are shared
    assert first > 5
    assert len(groups) == first
    for index in (again, shared):
        assert index.matches(Filter()).tolist() == list(range(len(ALL)))
        index.close()
    assert len(list((packed / FOLDER).glob("*.duckdb"))) == 1


def test_an_index_that_was_stopped_reads_only_what_is_left(packed):
    groups, stop = [], threading.Event()

    def on_group():
        groups.append(1)
        stop.set()

    index = Index(open_packed(packed), on_group, keep=True, wait=False)
    stop.wait(10)
    index.close()
    before, total = len(groups), []
    Index(open_packed(packed), lambda: total.append(1)).close()
    groups.clear()
    resumed = Index(open_packed(packed), lambda: groups.append(1), keep=True)
    assert resumed.known.is_whole
    assert resumed.matches(Filter(task="image_editing")).size == sum(row.task == "image_editing" for row in ALL)
    assert len(groups) <= len(total)
    assert before >= 1
    resumed.close()


def test_pages_come_before_the_index_is_whole_and_say_so(packed, monkeypatch):
    go = threading.Event()
    load = Index._load

    def slowly(self, shards):
        if shards[0][0]:  # all but the first
            go.wait(20)
        load(self, shards)

    monkeypatch.setattr(Index, "_load", slowly)
    site = open_site(str(packed), revision=None, token=None)
    client = client_of(site)
    page = client.get("/").text
    assert f"of {len(ALL)} rows have been read so far" in page
    assert 'id="row-' in page
    missing = client.get("/row/cc-odd-0")
    assert missing.status_code == 404
    assert "rows read so far" in missing.text
    go.set()
    site.index._thread.join()
    assert "read so far" not in client.get("/").text
    assert client.get("/row/cc-odd-0").status_code == 200
    close_site(site)


def test_where_the_folder_takes_no_file_the_index_is_in_the_cache(packed):
    (packed / FOLDER).write_text("no folder")
    Index(open_packed(packed), keep=True).close()
    assert len(list((cache_folder().parent / CACHE).glob("*.duckdb"))) == 1


def test_without_any_place_the_index_is_in_memory(packed, monkeypatch, tmp_path):
    (packed / FOLDER).write_text("no folder")
    (tmp_path / "file").touch()
    monkeypatch.setattr("toolkit.report.index_file.cache_folder", lambda: tmp_path / "file" / "cache" / "surveys")
    index = Index(open_packed(packed), keep=True)
    assert index.known.num_rows == len(ALL)
    index.close()


def test_a_damaged_shard_is_told_on_the_page(packed):
    last = sorted((packed / "data").rglob("*.parquet"))[-1]
    content = bytearray(last.read_bytes())
    content[4:-1000] = bytes(len(content) - 1004)
    last.write_bytes(content)
    site = open_site(str(packed), revision=None, token=None)
    site.index._thread.join()
    for address in ("/", "/row/ie-0000", "/compare/ie-0000"):
        page = client_of(site).get(address)
        assert page.status_code == 500
        assert last.name in page.text
        assert "download it again" in page.text
    close_site(site)


def test_a_disk_that_gets_full_meanwhile_is_told_on_the_page(packed):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        site = open_site(str(packed), revision=None, token=None)
        site.index._thread.join()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    page = client_of(site).get("/")
    assert page.status_code == 500
    assert "what is read cannot be kept" in page.text
    assert "File too large; where the disk is full, free some space; then start again" in page.text
    close_site(site)
    index = Index(open_packed(packed), keep=True)
    assert index.known.num_rows == len(ALL)
    index.close()


@pytest.mark.parametrize("share", [0.3, 0.5, 0.6, 0.7, 0.9])
def test_an_index_with_a_flipped_bit_answers_what_it_should(packed, share):
    def answers():
        index = Index(open_packed(packed), keep=True)
        found = index.known, index.matches(Filter(text="a")).tolist(), index.summaries(range(len(ALL)), "a")
        index.close()
        return found

    wanted = answers()
    (file,) = (packed / FOLDER).glob("*.duckdb")
    content = bytearray(file.read_bytes())
    content[int(len(content) * share)] ^= 1
    file.write_bytes(content)
    assert answers() == wanted


def test_a_damaged_index_is_no_reason_to_stop(packed):
    Index(open_packed(packed), keep=True).close()
    (file,) = (packed / FOLDER).glob("*.duckdb")
    file.write_bytes(b"damaged" * 1000)
    index = Index(open_packed(packed), keep=True)
    assert index.known.num_rows == len(ALL)
    index.close()


def test_the_index_of_what_a_dataset_was_before_goes(tmp_path):
    rows = truth()["cot_collection"]
    folder = write_packed(tmp_path / "packed", {"cot_collection": split(rows[:3], 3, 1)})
    Index(open_packed(folder), keep=True).close()
    (old,) = (folder / FOLDER).glob("*.duckdb")
    shutil.rmtree(folder / "data")
    write_packed(folder, {"cot_collection": split(rows[:5], 5, 1)})
    index = Index(open_packed(folder), keep=True)
    assert index.known.num_rows == 5
    assert [file for file in (folder / FOLDER).glob("*.duckdb") if file == old] == []
    index.close()


def test_rows_are_compared_side_by_side_with_their_images(packed):
    client = client_of(packed)
    page = client.get("/compare/ie-0000?with=ie-0001").text
    assert page.index('id="row-ie-0000"') < page.index('id="row-ie-0001"')
    assert client.get("/compare/ie-0000?with=nothing").status_code == 404


def test_a_row_is_compared_with_that_of_another_dataset(packed, tmp_path):
    changed = replace(conversion_rows.EDIT, source="somewhere else")
    other = write_packed(tmp_path / "other", {"image_editing": split([changed], 1, 1)})
    site = open_site(str(packed), against=str(other), revision=None, token=None, wait=True)
    client = client_of(site)
    page = client.get(f"/compare/{changed.id}").text
    assert "somewhere else" in page
    assert f'src="/other/image/{changed.id}/0' in page
    full = client.get(f"/other/image/{changed.id}/0")
    assert (full.status_code, full.content) == (200, changed.images[0].bytes)
    close_site(site)


def test_licences_are_a_facet_and_a_row_is_copied_as_code_that_opens_it(packed):
    client = client_of(packed)
    assert '<select name="license">' in client.get("/").text
    from html import unescape

    page = unescape(client.get("/row/cc-odd-3").text)
    code = page.partition('data-copy="')[2].partition('">')[0]
    names = {}
    exec(code, names)
    assert names["row"]["id"] == "cc-odd-3"
