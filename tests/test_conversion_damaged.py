"""What a conversion wrote, changed afterwards: one error that names the file, or a bad row."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conversion import convert, import_rows, verify
from conversion.report import Report
from conversion.webdataset_import import samples
from toolkit.demo.rows import demo_rows
from toolkit.errors import ArchiveError, RowError, SourceError
from toolkit.evaluation.answers import Answers
from toolkit.packing.rows import pack_rows


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("converted")
    pack_rows(demo_rows("image_editing", 2), folder / "packed")
    for name in ("messages", "webdataset"):
        convert(folder / "packed", name, folder / name)
    return folder


@pytest.fixture
def report(converted: Path, tmp_path: Path) -> Path:
    path = tmp_path / "conversion_report.json"
    path.write_bytes((converted / "messages/conversion_report.json").read_bytes())
    return path


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "a number that is a text": lambda content: content | {"rows_out": "2"},
    "a number that is true": lambda content: content | {"rows_out": True},
    "a mapping that is a list": lambda content: content | {"images_repeated": []},
    "a count that is a text": lambda content: content | {"warned": {"a": "1,000"}},
    "a format that is a list": lambda content: content | {"format": ["messages"]},
    "no examples": lambda content: {key: value for key, value in content.items() if key != "examples"},
    "more": lambda content: content | {"surprise": 1},
    "a list": lambda content: [content],
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_report_of_other_types_is_one_error(name: str, report: Path) -> None:
    report.write_text(json.dumps(CHANGES[name](json.loads(report.read_text()))))
    with pytest.raises(SourceError, match=r"conversion_report.json: not as `convert` writes it .*; convert again"):
        Report.read(report)


@pytest.mark.parametrize("content", [b"", b"\xff", b"{", b"[" * 100_000])
def test_a_report_that_is_not_json_is_one_error(content: bytes, report: Path) -> None:
    report.write_bytes(content)
    with pytest.raises(SourceError, match="not as `convert` writes it"):
        verify(str(report.parent))


def test_an_image_that_is_a_device_is_missing_and_not_read_for_ever(converted: Path, tmp_path: Path) -> None:
    shutil.copytree(converted / "messages", tmp_path / "other")
    for path in (tmp_path / "other/images").rglob("*.*"):
        path.unlink()
        path.symlink_to("/dev/zero")
    [rows] = import_rows("messages", tmp_path / "other")
    with pytest.raises(RowError, match="it is not a file"):
        list(rows())


def test_a_tar_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "train-00000-000.tar").symlink_to("nowhere")
    with pytest.raises(ArchiveError, match=r"train-00000-000.tar: cannot be opened: No such file"):
        list(samples(tmp_path / "train-00000-000.tar"))


def test_answers_that_are_a_device_are_not_read_for_ever(tmp_path: Path) -> None:
    (tmp_path / "answers.jsonl").symlink_to("/dev/zero")
    with pytest.raises(SourceError, match=r"answers.jsonl: not a file; answers are read more than once"):
        Answers(tmp_path / "answers.jsonl")
