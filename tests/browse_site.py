"""Rows to browse, odd ones among them, and their pages without a socket."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from starlette.testclient import TestClient

from tests import conversion_rows
from tests.packed import split, write_packed
from tests.replicas import truth
from toolkit.cli.browse import open_site
from toolkit.report.browse import Site, make_app
from toolkit.report.guard import own_names
from toolkit.schema import EncodedImage, Row

PORT = 8765
SCRIPT = conversion_rows.make(
    "cc-script",
    "cot_collection",
    ("user", "<script>alert('in')</script>"),
    ("assistant", '"><img src=x onerror=alert(1)>'),
    source="<b>bold</b>",
)
TEXTS = (
    "100% sure",
    "100 percent",
    "a_b",
    "axb",
    "back\\slash",
    "\u00c9COLE \u4f60\u597d \U0001f600 \u202e turned",
    "nul \0 in it",
)
ODD = [
    conversion_rows.make(f"cc-odd-{number}", "cot_collection", ("user", text), ("assistant", "So."), origin="generated")
    for number, text in enumerate(TEXTS)
]
LONG = conversion_rows.make(
    "cc-long", "cot_collection", ("user", "?"), ("assistant", "Begin " + "long " * 4000 + "needle")
)
CUT = replace(
    conversion_rows.UNDERSTAND,
    id="lc-cut",
    images=(EncodedImage(conversion_rows.picture("red", "png", (640, 640)).bytes[:-200], "cut.png"),),
)
EMPTY = replace(conversion_rows.UNDERSTAND, id="lc-empty", images=(EncodedImage(b"", "lost.jpg"),))
FEWER = replace(conversion_rows.UNDERSTAND, id="lc-fewer", images=())
TIFF = replace(conversion_rows.UNDERSTAND, id="lc-tiff", images=(conversion_rows.picture("blue", "tiff", (40, 20)),))
ROWS: dict[str, list[Row]] = {
    "image_generation": [conversion_rows.GENERATE],
    "image_editing": [*truth()["image_editing"], conversion_rows.EDIT],
    "mm_reasoning_mm": [*truth()["mm_reasoning_mm"], conversion_rows.EIGHT],
    "llava_cot": [
        conversion_rows.UNDERSTAND,
        conversion_rows.UNKNOWN_FORMAT,
        conversion_rows.LITERAL,
        CUT,
        EMPTY,
        FEWER,
        TIFF,
    ],
    "cot_collection": [*truth()["cot_collection"], conversion_rows.TEXT, conversion_rows.EMPTY, SCRIPT, *ODD, LONG],
}
ALL = [row for rows in ROWS.values() for row in rows]


def write_rows(folder: Path) -> Path:
    return write_packed(folder, {task: split(rows, 3, 2) for task, rows in ROWS.items()})


def client_of(source: str | Path | Site) -> TestClient:
    site = source if isinstance(source, Site) else open_site(str(source), revision=None, token=None, wait=True)
    return TestClient(make_app(site, own_names("127.0.0.1", PORT)), base_url=f"http://127.0.0.1:{PORT}")


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Host and port of the command in a process of its own; it is ended with Ctrl-C, as it should be."""
    command = [sys.executable, "-u", "-m", "toolkit.cli.app", "browse", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        text, found = "", None
        assert server.stdout
        while not found:
            line = server.stdout.readline()
            assert line, f"it ended: {text}"
            text += line
            found = re.search(r"http://([\d.:]+)/", text)
        yield found[1]
        server.send_signal(signal.SIGINT)
        out, err = server.communicate(timeout=30)
        assert (server.returncode, out.strip().splitlines()[-1], err) == (0, "ended", "")
