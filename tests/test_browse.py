"""`unifiedvisual browse`: what the pages say, against the rows they were made from."""

import io
import json
import random
import re
from dataclasses import replace
from html import unescape
from urllib.parse import quote, urlencode

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests import conversion_rows
from tests.browse_site import ALL, LONG, ROWS, TEXTS, client_of, write_rows
from tests.packed import split, write_manifest, write_packed
from toolkit.errors import ShardError
from toolkit.report.browse import PAGE_ROWS
from toolkit.report.index import Filter, Index
from toolkit.schema import EncodedImage, rows_to_table
from toolkit.streaming.reading import open_packed


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("browse") / "packed")


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
        for text in (*TEXTS, "%", "_", "\\", "THE", "\u00e9cole", "needle", "'", "IE-0003")
    },
    "text that holds everything else": (
        {"text": "the", "quadrant": "text-text", "images": 0},
        lambda row: holds(row, "the") and row.quadrant == "text-text",
    ),
}


@pytest.mark.parametrize("case", FILTERS)
def test_a_filter_keeps_exactly_the_rows_that_are_so(client, case):
    wanted, keeps = FILTERS[case]
    assert listed(client, **wanted) == expected(keeps)


def test_any_piece_of_any_text_is_found_in_every_row_that_holds_it(tmp_path):
    chance = random.Random(0)
    texts = ["".join(chance.choices("abAB \u00c9\u4f60%", k=chance.randrange(60))) for _ in range(300)]
    rows = [
        conversion_rows.make(f"cc-{number}", "cot_collection", ("user", text), ("assistant", "."))
        for number, text in enumerate(texts)
    ]
    index = Index(open_packed(write_packed(tmp_path / "packed", {"cot_collection": split(rows, 7, 5)})))
    for _ in range(300):
        text = chance.choice(texts)
        start = chance.randrange(len(text) + 1)
        piece = text[start : start + chance.randrange(1, 9)].swapcase() or "b"
        found = [number for number, row in enumerate(rows) if piece.lower() in row.instruction.lower()]
        assert index.matches(Filter(text=piece)).tolist() == found


def test_a_search_stays_inside_one_text(tmp_path):
    pairs = [("it ends here", "begins anew"), ("one\x1ftwo", "three\x1f\x1ffour")]
    rows = [
        conversion_rows.make(f"cc-{number}", "cot_collection", ("user", asked), ("assistant", told))
        for number, (asked, told) in enumerate(pairs)
    ]
    index = Index(open_packed(write_packed(tmp_path / "packed", {"cot_collection": split(rows, 7, 5)})))
    assert [
        index.matches(Filter(text=text)).tolist() for text in ("here\x1fbegins", "here begins", "one\x1ftwo", "\x1f")
    ] == [[], [], [1], [0, 1]]
    assert index.summaries([1], "FOUR")[0].found == ("answer", "three  ", "four", "")


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
    assert re.search(
        r'class="found"[^>]*><span>answer:</span>[^<]*long <mark>needle</mark>', client.get("/?text=NEEDLE").text
    )


def test_neighbours_of_a_row_are_those_of_the_filter(client):
    wanted = {"quadrant": "mm-mm"}
    ids = listed(client, **wanted)
    for place in (0, 4, len(ids) - 1):
        text = client.get(f"/row/{ids[place]}?{urlencode(wanted)}").text
        assert f"{place + 1} of {len(ids)}" in text
        links = {
            kind: re.search(rf'rel="{kind}" href="/row/([^"?]+)\?quadrant=mm-mm"', text) for kind in ("prev", "next")
        }
        assert [found and found[1] for found in links.values()] == [
            ids[place - 1] if place else None,
            ids[place + 1] if place + 1 < len(ids) else None,
        ]


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
    assert (
        client.get(f"/image/{conversion_rows.UNKNOWN_FORMAT.id}/0").headers["content-type"]
        == "application/octet-stream"
    )


def test_a_thumbnail_is_a_jpeg_no_wider_than_asked(client):
    answer = client.get("/image/lc-tiff/0?w=20")
    picture = Image.open(io.BytesIO(answer.content))
    assert (answer.headers["content-type"], picture.format, picture.size) == ("image/jpeg", "JPEG", (20, 10))


def test_pictures_that_cannot_be_shown_are_told_on_the_row_and_not_sent_as_thumbnails(client):
    for row_id, why in (
        ("lc-cut", "cannot be decoded"),
        ("lc-empty", "no bytes"),
        ("lc-00000005", "unknown bytes|text"),
        ("lc-fewer", "the row has no more"),
    ):
        assert re.search(rf"No image\.</strong> <span dir=\"auto\">[^<]*({why})", client.get(f"/row/{row_id}").text)
    assert client.get("/image/lc-cut/0?w=160").status_code == 422


def test_a_picture_that_a_browser_has_is_not_sent_again(client):
    first = client.get("/image/ig-00000001/0")
    again = client.get("/image/ig-00000001/0", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/image/ig-00000001/0?w=20").headers["etag"] != first.headers["etag"]


def test_text_of_rows_is_never_markup(client):
    for address in (
        "/row/cc-script",
        "/?text=script",
        "/?text=" + quote("<script>alert"),
        "/row/" + quote("<script>"),
        "/?page=" + quote("<b>"),
    ):
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


def test_a_number_that_is_none_is_told(client):
    for query in ("page=x", "images=-1", "page=" + "9" * 5000):
        assert (client.get(f"/?{query}").status_code, "expected a whole number" in client.get(f"/?{query}").text) == (
            400,
            True,
        )


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
    size = shard.stat().st_size
    pq.write_table(table.slice(1), shard, row_group_size=4)
    with pytest.raises(ShardError, match=f"says {size:,} bytes"):
        open_packed(folder)
    manifest = json.loads((folder / "MANIFEST.json").read_bytes())
    manifest["shards"][0]["bytes"] = shard.stat().st_size
    write_manifest(folder, manifest)
    with pytest.raises(ShardError, match="the manifest says"):
        Index(open_packed(folder))
    answers = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")]
    )
    broken = table.slice(0, 1).set_column(table.column_names.index("answer"), "answer", answers)
    write_packed(tmp_path / "broken", {"cot_collection": [[broken]]})
    with pytest.raises(ShardError, match="UTF8"):
        Index(open_packed(tmp_path / "broken"))


def test_a_picture_without_bytes_in_the_file_is_told_on_the_page(tmp_path):
    table = rows_to_table([conversion_rows.UNDERSTAND])
    folder = write_packed(tmp_path / "packed", {"llava_cot": [[table]]})
    images = pa.array([[{"bytes": None, "path": "lost.jpg"}]], table.schema.field("images").type)
    (shard,) = folder.glob("data/*/*.parquet")
    pq.write_table(table.set_column(table.column_names.index("images"), "images", images), shard, compression="none")
    manifest = json.loads((folder / "MANIFEST.json").read_bytes())
    manifest["shards"][0]["bytes"] = shard.stat().st_size
    write_manifest(folder, manifest)
    answer = client_of(folder).get("/row/lc-00000001")
    assert answer.status_code == 200, answer.text
    assert "no bytes" in answer.text


def test_a_shard_that_goes_away_is_told_on_the_page(tmp_path):
    client = client_of(
        folder := write_packed(tmp_path / "packed", {"llava_cot": split([conversion_rows.UNDERSTAND], 1, 1)})
    )
    next(folder.glob("data/*/*.parquet")).unlink()
    answer = client.get("/row/lc-00000001")
    assert (answer.status_code, "cannot be opened" in answer.text) == (500, True)
    assert client.get("/").status_code == 200


def test_ids_that_occur_twice_are_told(tmp_path):
    twice = [conversion_rows.TEXT, conversion_rows.TEXT, conversion_rows.EMPTY]
    client = client_of(write_packed(tmp_path / "packed", {"cot_collection": split(twice, 3, 1)}))
    assert "1 rows have an id that another row has as well" in client.get("/").text
    assert client.get("/row/cc-00000001").status_code == 200
