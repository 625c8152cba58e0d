"""`unifiedvisual browse`: what the pages say against the rows they were made from, and who is refused."""

import http.client
import io
import json
import re
import signal
import subprocess
import sys
import tarfile
import threading
import zipfile
from dataclasses import replace
from html import unescape
from urllib.parse import quote, urlencode

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from starlette.testclient import TestClient

from tests import conversion_rows
from tests.packed import split, write_packed
from tests.replicas import replica, truth
from toolkit.cli.app import main
from toolkit.cli.browse import _open_site
from toolkit.errors import ShardError
from toolkit.report.browse import PAGE_ROWS, make_app
from toolkit.report.guard import own_names
from toolkit.report.index import Index
from toolkit.schema import EncodedImage, Row
from toolkit.streaming.reading import open_packed

PORT = 8765
SCRIPT = conversion_rows.make("cc-script", "cot_collection", ("user", "<script>alert('in')</script>"), ("assistant", '"><img src=x onerror=alert(1)>'),
                              source="<b>bold</b>")  # fmt: skip
TEXTS = ("100% sure", "100 percent", "a_b", "axb", "back\\slash", "ÉCOLE \u4f60\u597d \U0001f600 \u202e turned", "nul \0 in it")
ODD = [
    conversion_rows.make(f"cc-odd-{number}", "cot_collection", ("user", text), ("assistant", "So."), origin="generated") for number, text in enumerate(TEXTS)
]
LONG = conversion_rows.make("cc-long", "cot_collection", ("user", "?"), ("assistant", "Begin " + "long " * 4000 + "needle"))
CUT = replace(conversion_rows.UNDERSTAND, id="lc-cut", images=(EncodedImage(conversion_rows.picture("red", "png", (640, 640)).bytes[:-200], "cut.png"),))
EMPTY = replace(conversion_rows.UNDERSTAND, id="lc-empty", images=(EncodedImage(b"", "lost.jpg"),))
FEWER = replace(conversion_rows.UNDERSTAND, id="lc-fewer", images=())
TIFF = replace(conversion_rows.UNDERSTAND, id="lc-tiff", images=(conversion_rows.picture("blue", "tiff", (40, 20)),))
ROWS: dict[str, list[Row]] = {
    "image_generation": [conversion_rows.GENERATE],
    "image_editing": [*truth()["image_editing"], conversion_rows.EDIT],
    "mm_reasoning_mm": [*truth()["mm_reasoning_mm"], conversion_rows.EIGHT],
    "llava_cot": [conversion_rows.UNDERSTAND, conversion_rows.UNKNOWN_FORMAT, conversion_rows.LITERAL, CUT, EMPTY, FEWER, TIFF],
    "cot_collection": [*truth()["cot_collection"], conversion_rows.TEXT, conversion_rows.EMPTY, SCRIPT, *ODD, LONG],
}
ALL = [row for rows in ROWS.values() for row in rows]
BY_ID = {row.id: row for row in ALL}


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    return write_packed(tmp_path_factory.mktemp("browse") / "packed", {task: split(rows, 3, 2) for task, rows in ROWS.items()})


def client_of(source):
    return TestClient(make_app(_open_site(str(source), revision=None, token=None), own_names("127.0.0.1", PORT)), base_url=f"http://127.0.0.1:{PORT}")


@pytest.fixture(scope="module")
def client(packed):
    return client_of(packed)


def listed(client, **wanted):
    """Ids on all pages that a filter gives, following the links, and the count that the first page tells."""
    address, ids, count = "/?" + urlencode(wanted), [], None
    while address:
        page = client.get(address)
        assert page.status_code == 200
        ids += re.findall(r'<li class="entry" id="row-([^"]+)"', page.text)
        count = count or int(re.search(r"<strong>([\d,]+)</strong> row", page.text)[1].replace(",", ""))
        found = re.search(r'<a [^>]*rel="next" href="([^"]+)"', page.text)
        address = unescape(found[1]) if found else ""
    assert count == len(ids)
    return ids


def expected(keeps):
    return [row.id for row in ALL if keeps(row)]


def holds(row, text):
    return any(text.lower() in value.lower() for value in (row.id, row.instruction, row.rationale, row.answer))


FILTERS = {
    "none": ({}, lambda row: True),
    "empty fields of the form": ({"text": "", "task": "", "images": ""}, lambda row: True),
    "task": ({"task": "image_editing"}, lambda row: row.task == "image_editing"),
    "quadrant": ({"quadrant": "mm-mm"}, lambda row: row.quadrant == "mm-mm"),
    "origin": ({"origin": "generated"}, lambda row: row.origin == "generated"),
    "source": ({"source": "Xkev/LLaVA-CoT-100k"}, lambda row: row.source == "Xkev/LLaVA-CoT-100k"),
    "source not stated": ({"source": "not stated"}, lambda row: not row.source),
    "source with markup": ({"source": "<b>bold</b>"}, lambda row: row.id == "cc-script"),
    "eight pictures": ({"images": 8}, lambda row: len(row.image_roles) == 8),
    "no pictures in a task": ({"images": 0, "task": "cot_collection"}, lambda row: row.task == "cot_collection"),
    "unknown task": ({"task": "'; DROP TABLE rows; --"}, lambda row: False),
    **{
        f"text {text!r}": ({"text": text}, lambda row, text=text: holds(row, text))
        for text in (*TEXTS, "%", "_", "\\", "THE", "école", "needle", "'", "IE-0003")
    },
    "text that holds everything else": ({"text": "the", "quadrant": "text-text", "images": 0}, lambda row: holds(row, "the") and row.quadrant == "text-text"),
}


@pytest.mark.parametrize("case", FILTERS)
def test_a_filter_keeps_exactly_the_rows_that_are_so(client, case):
    wanted, keeps = FILTERS[case]
    assert listed(client, **wanted) == expected(keeps)


def test_wildcards_of_sql_are_ordinary_characters(client):
    assert listed(client, text="100%") == ["cc-odd-0"]
    assert listed(client, text="a_b") == ["cc-odd-2"]


def test_a_list_longer_than_a_page_says_so_and_a_page_beyond_the_last_is_the_last(client):
    assert len(ALL) > PAGE_ROWS
    text = client.get("/?page=999").text
    last = -(-len(ALL) // PAGE_ROWS)
    assert f"Page {last} of {last}" in text
    assert 'rel="prev"' in text
    assert 'rel="next"' not in text


def test_what_was_found_is_shown_in_its_place(client):
    assert re.search(r'class="found"[^>]*><span>answer:</span>[^<]*long <mark>needle</mark>', client.get("/?text=NEEDLE").text)


def test_neighbours_of_a_row_are_those_of_the_filter(client):
    wanted = {"quadrant": "mm-mm"}
    ids = listed(client, **wanted)
    for place in (0, 4, len(ids) - 1):
        text = client.get(f"/row/{ids[place]}?{urlencode(wanted)}").text
        assert f"{place + 1} of {len(ids)}" in text
        links = {kind: re.search(rf'rel="{kind}" href="/row/([^"?]+)\?quadrant=mm-mm"', text) for kind in ("prev", "next")}
        assert [found and found[1] for found in links.values()] == [ids[place - 1] if place else None, ids[place + 1] if place + 1 < len(ids) else None]


def test_a_row_outside_the_filter_says_so(client):
    assert "not among the" in client.get("/row/cc-00000001?task=image_editing").text


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.id)
def test_every_row_opens_with_all_its_pictures_to_the_byte(client, row):
    page = client.get(f"/row/{row.id}")
    assert page.status_code == 200
    assert row.id in page.text
    for number, image in enumerate(row.images):
        answer = client.get(f"/image/{row.id}/{number}")
        assert (answer.status_code, answer.content) == (200, image.bytes)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert client.get(f"/image/{row.id}/{len(row.images)}").status_code == 404


def test_the_type_of_a_picture_comes_from_its_bytes(client):
    assert client.get("/image/ig-00000001/0").headers["content-type"] == "image/jpeg"
    assert client.get(f"/image/{conversion_rows.EDIT.id}/0").headers["content-type"] == "image/png"
    assert client.get(f"/image/{conversion_rows.UNKNOWN_FORMAT.id}/0").headers["content-type"] == "application/octet-stream"


def test_a_thumbnail_is_a_jpeg_no_wider_than_asked(client):
    answer = client.get("/image/lc-tiff/0?w=20")
    picture = Image.open(io.BytesIO(answer.content))
    assert (answer.headers["content-type"], picture.format, picture.size) == ("image/jpeg", "JPEG", (20, 10))


def test_pictures_that_cannot_be_shown_are_told_on_the_row_and_not_sent_as_thumbnails(client):
    for row_id, why in (("lc-cut", "cannot be decoded"), ("lc-empty", "no bytes"), ("lc-00000005", "unknown bytes|text"), ("lc-fewer", "the row has no more")):
        assert re.search(rf"No picture\.</strong> <span dir=\"auto\">[^<]*({why})", client.get(f"/row/{row_id}").text)
    assert client.get("/image/lc-cut/0?w=160").status_code == 422


def test_a_picture_that_a_browser_has_is_not_sent_again(client):
    first = client.get("/image/ig-00000001/0")
    again = client.get("/image/ig-00000001/0", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/image/ig-00000001/0?w=20").headers["etag"] != first.headers["etag"]


def test_text_of_rows_is_never_markup(client):
    for address in ("/row/cc-script", "/?text=script", "/?text=" + quote("<script>alert"), "/row/" + quote("<script>"), "/?page=" + quote("<b>")):
        text = client.get(address).text
        assert not re.search(r"<script>|<img src=x|<b>", text)
    assert "&lt;script&gt;alert" in client.get("/row/cc-script").text
    assert "[U+202E]" in client.get("/row/cc-odd-5").text
    assert "[U+0000]" in client.get("/?text=nul").text


def test_a_long_text_is_there_whole(client):
    assert LONG.answer.count("long") == client.get("/row/cc-long").text.count("long ")


def test_pages_allow_no_inline_code_and_name_no_other_host(client):
    for address in ("/", "/row/ie-00000042"):
        page = client.get(address)
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "unsafe" not in page.headers["content-security-policy"]
        assert "access-control-allow-origin" not in page.headers
        assert not re.search(r"<script(?! src=\"/)|<style|\sstyle=|\son\w+=|https?://", page.text)
        for asset in re.findall(r'(?:src|href)="(/[^"?]+\.(?:css|js))"', page.text):
            assert client.get(asset).status_code == 200


NOWHERE = ("../etc/passwd", "%2e%2e", "%2e%2e%2fetc%2fpasswd", "%00", "a%00b", "x" * 5000, "%ff%fe", "..%5c..", "'%20OR%201=1--", "%", "nope")


@pytest.mark.parametrize("piece", NOWHERE, ids=range(len(NOWHERE)))
def test_ids_that_are_none_are_not_found(address, piece):
    for path in (f"/row/{piece}", f"/image/{piece}/0", f"/row/{piece}/download/webdataset", f"/{piece}", f"/row/ie-0000/download/{piece}"):
        assert ask(address, path)[0] == 404
    assert ask(address, f"/image/ie-0000/{piece}")[0] == 404
    assert ask(address, "/image/ie-0000/" + "9" * 5000)[0] == 404


def test_a_number_that_is_none_is_told(client):
    for query in ("page=x", "images=-1", "page=" + "9" * 5000):
        assert (client.get(f"/?{query}").status_code, "expected a whole number" in client.get(f"/?{query}").text) == (400, True)


@pytest.fixture(scope="module")
def address(packed):
    """The command in a process of its own, ended with Ctrl-C."""
    command = [sys.executable, "-u", "-m", "toolkit.cli.app", "browse", str(packed), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        lines = []
        found = next(match[1] for line in server.stdout if lines.append(line) or (match := re.search(r"http://([\d.:]+)/", "".join(lines))))
        yield found
        server.send_signal(signal.SIGINT)
        out, err = server.communicate(timeout=30)
        assert (server.returncode, out.strip().splitlines()[-1], err) == (0, "ended", "")


def ask(address, path, method="GET", **headers):
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def test_only_its_own_names_are_answered(address):
    port = address.rpartition(":")[2]
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"LOCALHOST:{port}", f"[::1]:{port}"):
        assert ask(address, "/", Host=host)[0] == 200
    for host in (f"evil.example:{port}", "127.0.0.1", "localhost:1", f"127.0.0.1.evil.example:{port}", f"localhost.:{port}", "", f"evil@127.0.0.1:{port}"):
        assert ask(address, "/", Host=host)[0] == 400
        assert ask(address, "/image/ig-00000001/0", Host=host)[0] == 400


def test_nothing_but_reading_is_allowed(address):
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        assert ask(address, "/", method)[0] == 405
    assert ask(address, "/", "HEAD") == (200, b"")


def test_many_readers_at_once_get_what_one_gets(address):
    paths = [f"/image/{row.id}/{number}" for row in ALL for number in range(len(row.images))] + [f"/?text={row.id}" for row in ALL]
    alone, together = {path: ask(address, path) for path in paths}, {}
    order = paths * 3
    threads = [threading.Thread(target=lambda part: together.update({path: ask(address, path) for path in part}), args=(order[n::8],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


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
    assert {"anole", "bagel", "diffusers", "emu3", "emu35", "llava", "messages", "webdataset", "messages-trl", "llava-next"} <= set(formats)
    for format in formats:
        answer = client.get(f"/row/lc-00000001/download/{format}")
        assert answer.status_code == 200 or (answer.status_code == 422 and "lc-00000001" in answer.text)


def test_a_format_that_cannot_hold_a_row_says_why_and_no_address_names_code(client):
    answer = client.get("/row/ie-00000042/download/llava")
    assert (answer.status_code, "output_images=" in answer.text) == (422, True)
    for options in ("tokenizer=os:getcwd", "profile=tokens", "root=/etc", "encoder=os:getcwd"):
        assert client.get(f"/row/ig-00000001/download/anole?{options}").status_code == 422
    assert client.get("/row/ie-00000042/download/anole-tokens").status_code == 404


def test_a_hub_dataset_is_browsed_and_only_texts_are_fetched_at_the_start(hub, tmp_path):
    big = EncodedImage(b"\xff\xd8\xff" + bytes(range(256)) * 12_000)
    rows = [replace(conversion_rows.GENERATE, id=f"ig-{number}", images=(big,)) for number in range(8)]
    folder = write_packed(tmp_path / "packed", {"image_generation": split(rows, 2, 2)})
    hub.add_folder("org/uv", folder)
    size = sum(path.stat().st_size for path in folder.rglob("*.parquet"))
    client = client_of("org/uv")
    assert sum(request.sent for request in hub.requests) < size / 8
    assert listed(client, text="fire") == [row.id for row in rows]
    assert client.get("/image/ig-5/0").content == big.bytes


def test_a_shard_that_is_not_the_manifests_stops_the_start(tmp_path):
    folder = write_packed(tmp_path / "packed", {"cot_collection": split(ROWS["cot_collection"], 4, 9)})
    (shard,) = folder.glob("data/*/*.parquet")
    table = pq.read_table(shard)
    pq.write_table(table.slice(1), shard, row_group_size=4)
    with pytest.raises(ShardError, match="the manifest says"):
        Index(open_packed(folder))
    answers = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")])
    broken = table.slice(0, 1).set_column(table.column_names.index("answer"), "answer", answers)
    write_packed(tmp_path / "broken", {"cot_collection": [[broken]]})
    with pytest.raises(ShardError, match="UTF8"):
        Index(open_packed(tmp_path / "broken"))


def test_a_shard_that_goes_away_is_told_on_the_page(tmp_path):
    client = client_of(folder := write_packed(tmp_path / "packed", {"llava_cot": split([conversion_rows.UNDERSTAND], 1, 1)}))
    next(folder.glob("data/*/*.parquet")).unlink()
    answer = client.get("/row/lc-00000001")
    assert (answer.status_code, "cannot be opened" in answer.text) == (500, True)
    assert client.get("/").status_code == 200


def test_ids_that_occur_twice_are_told(tmp_path):
    twice = [conversion_rows.TEXT, conversion_rows.TEXT, conversion_rows.EMPTY]
    client = client_of(write_packed(tmp_path / "packed", {"cot_collection": split(twice, 3, 1)}))
    assert "1 rows have an id that another row has as well" in client.get("/").text
    assert client.get("/row/cc-00000001").status_code == 200


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code, capsys.readouterr().err


def test_a_port_that_is_taken_and_a_layout_that_is_not_packed_are_told(capsys, address, packed, tmp_path):
    code, err = run(capsys, "browse", packed, "--port", address.rpartition(":")[2])
    assert (code, "give another --port" in err) == (2, True)
    code, err = run(capsys, "browse", replica(tmp_path / "uv", "columns", tasks=("cot_collection",)), "--port", 0)
    assert (code, "run: unifiedvisual pack" in err) == (2, True)


def test_hosts_of_a_server_that_others_reach():
    names = own_names("0.0.0.0", 80)
    assert names("192.168.1.5:80")
    assert names("[fe80::1]:80")
    assert not names("evil.example:80")
    assert not names("192.168.1.5:81")
    assert not own_names("127.0.0.1", 80)("192.168.1.5:80")
    assert own_names("127.0.0.2", 80)("127.0.0.2:80")
