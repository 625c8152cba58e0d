"""Datasets that are not what they seem. No command ends in a traceback, and what `verify` calls fine, every other
command reads to the last row.
"""

import io
import tarfile
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import unifiedvisual
from tests.layouts import png
from tests.lying import CASES
from toolkit.cli import app as command_line
from toolkit.errors import UnifiedVisualError
from toolkit.report import preview

COMMANDS = {
    "inspect": ["inspect", "{source}"],
    "verify": ["verify", "{source}", "--deep"],
    "pack": ["pack", "{source}", "{out}/packed"],
    "convert": ["convert", "{source}", "messages", "{out}/converted"],
    "stats": ["stats", "{source}"],
    "preview": ["preview", "{source}", "{out}/page.html"],
}
FEATURES = unifiedvisual.row_features() | {"images": datasets.List(datasets.Image(decode=False))}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No plots are drawn, which takes most of the time of short commands."""
    monkeypatch.setattr(preview, "inline_plots", lambda *counts, **options: [])


def write(folder: Path, table: pa.Table) -> str:
    (folder / "source/data").mkdir(parents=True)
    (folder / "source/images").mkdir()
    pq.write_table(table, folder / "source/data/Image_Editing.parquet")
    with tarfile.open(folder / "source/images/Image_Editing.tar", "w") as tar:
        for name in ("0_a", "0_b", "1_a", "1_b"):
            info = tarfile.TarInfo(f"Image_Editing/{name}.png")
            info.size = len(png(name))
            tar.addfile(info, io.BytesIO(png(name)))
    return str(folder / "source")


def status(command: list[str]) -> int:
    """How a command ends; what is not one of our errors comes through."""
    try:
        command_line.main(command)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def num_loaded(source: str) -> int:
    """Rows, or -1 where one of our errors says why not."""
    try:
        rows = unifiedvisual.load_dataset(source, split="train", streaming=True, features=datasets.Features(FEATURES))
        return len(list(rows))
    except UnifiedVisualError:
        return -1


@pytest.mark.parametrize("case", CASES)
def test_no_command_breaks_and_what_verify_calls_fine_all_read(tmp_path, case):
    table = CASES[case]()
    source = write(tmp_path, table)
    ended = {
        name: status([word.format(source=source, out=tmp_path) for word in words]) for name, words in COMMANDS.items()
    }
    loaded = num_loaded(source)
    assert set(ended.values()) <= {0, 1}, ended
    if not ended["verify"]:
        assert (ended, loaded) == (dict.fromkeys(ended, 0), table.num_rows)


@pytest.mark.parametrize(("case", "fine"), [("nothing wrong", True), ("turns that are null", False)])
def test_verify_tells_the_two_apart(tmp_path, case, fine):
    assert status(["verify", write(tmp_path, CASES[case]()), "--deep"]) == (0 if fine else 1)
