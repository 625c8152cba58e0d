"""One row of a page in each training format, opened with other readers."""

import io
import json
import re
import tarfile
import zipfile
from html import unescape
from urllib.parse import urlencode

import pyarrow.parquet as pq
import pytest

from tests import conversion_rows
from tests.browse_site import client_of, write_rows


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    return client_of(write_rows(tmp_path_factory.mktemp("browse") / "packed"))


def opened(client, row, format, **options):
    answer = client.get(f"/row/{row.id}/download/{format}?{urlencode(options)}")
    assert answer.status_code == 200, unescape(answer.text)
    assert answer.headers["content-disposition"] == f'attachment; filename="{row.id}-{format}.zip"'
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    files = {name: archive.read(name) for name in archive.namelist()}
    assert json.loads(files["conversion_report.json"])["rows_out"] == 1
    return files


def all_bytes(files, suffix):
    return [content for name, content in files.items() if name.endswith(suffix)]


def test_a_row_is_downloaded_as_webdataset_to_the_byte(client):
    (tar,) = all_bytes(opened(client, conversion_rows.EDIT, "webdataset"), ".tar")
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        members = sorted((member.name, member) for member in archive)
        images = [archive.extractfile(member).read() for name, member in members if name.endswith(".png")]
    assert images == [image.bytes for image in conversion_rows.EDIT.images]


# format -> row, the file that holds its text, that text
DOWNLOADS = {
    "anole": (conversion_rows.GENERATE, "anole.jsonl", "Something warm."),
    "bagel-edit": (conversion_rows.EDIT, "edit-00000.parquet", "Make it night."),
    "diffusers": (conversion_rows.GENERATE, "train/metadata.jsonl", "Something warm."),
    "emu3": (conversion_rows.GENERATE, "emu3.json", "Something warm."),
    "llava": (conversion_rows.UNDERSTAND, "llava.json", "A red square."),
    "llava-next": (conversion_rows.UNDERSTAND, "llava-llava_cot.jsonl", "A red square."),
    "messages": (conversion_rows.EDIT, "messages.jsonl", "Make it night."),
    "messages-trl": (conversion_rows.UNDERSTAND, "train-00000.parquet", "A red square."),
    "messages-llama-factory": (conversion_rows.UNDERSTAND, "messages.jsonl", "A red square."),
}


@pytest.mark.parametrize("format", DOWNLOADS)
def test_a_row_is_downloaded_with_its_text_and_pictures(client, format):
    row, name, text = DOWNLOADS[format]
    files = opened(client, row, format)
    if name.endswith("parquet"):
        (record,) = pq.read_table(io.BytesIO(files[name])).to_pylist()
        assert text in str(record)
        assert repr(row.images[0].bytes) in str(record)
        return
    (record,) = json.loads(files[name]) if name.endswith(".json") else [json.loads(files[name])]
    assert text in str(record)
    assert row.images[0].bytes in files.values()


def test_a_row_is_downloaded_as_a_story(client):
    story = opened(client, conversion_rows.GENERATE, "emu35")["stories/00000/ig-00000001.pb"]
    assert b"Something warm." in story
    assert conversion_rows.GENERATE.images[0].bytes in story


def test_files_of_a_download_name_one_another_from_where_they_are_unpacked(client):
    for format in ("bagel", "anole", "messages-ms-swift"):
        assert b"unifiedvisual-browse-" not in b"".join(opened(client, conversion_rows.GENERATE, format).values())


def test_a_word_of_a_format_is_chosen_in_the_address(client):
    assert len(all_bytes(opened(client, conversion_rows.EDIT, "llava-next", output_images="context"), ".png")) == 3


def test_every_format_gives_a_zip_or_says_why_not(client):
    formats = re.findall(r'href="/row/lc-00000001/download/([^"]+)"', client.get("/row/lc-00000001").text)
    assert {
        "anole",
        "bagel",
        "diffusers",
        "emu3",
        "emu35",
        "llava",
        "messages",
        "webdataset",
        "messages-trl",
        "llava-next",
    } <= set(formats)
    for format in formats:
        answer = client.get(f"/row/lc-00000001/download/{format}")
        assert answer.status_code == 200 or (answer.status_code == 422 and "lc-00000001" in answer.text)


def test_a_format_that_cannot_hold_a_row_says_why_and_no_address_names_code(client):
    answer = client.get("/row/ie-00000042/download/llava")
    assert (answer.status_code, "output_images=" in answer.text) == (422, True)
    for options in ("tokenizer=os:getcwd", "profile=tokens", "root=/etc", "encoder=os:getcwd"):
        assert client.get(f"/row/ig-00000001/download/anole?{options}").status_code == 422
    assert client.get("/row/ie-00000042/download/anole-tokens").status_code == 404
