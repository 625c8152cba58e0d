"""A package that is not of this project: it declares what it adds by entry points, as an installed one does."""

import json
import sys
import textwrap
from pathlib import Path

import pytest

from conversion import FORMATS
from tests.planted import picture
from toolkit.collate import COLLATORS, TOKENIZERS
from toolkit.executors import EXECUTORS
from toolkit.tasks import KNOWN_TASKS

REGISTRIES = (KNOWN_TASKS, FORMATS, COLLATORS, TOKENIZERS, EXECUTORS)

MODULES = {
    "guest_tasks": """
        from toolkit.tasks import Task

        SKETCHING = Task(
            name="sketching",
            prefix="sk",
            family="drawing",
            quadrant="text-mm",
            description="a sketch, | and how it was drawn",
        )
    """,
}
ENTRY_POINTS = {"tasks": {"sketching": "guest_tasks:SKETCHING"}}


def write_guest(folder: Path) -> Path:
    """The modules of the guest, in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in MODULES.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(text))
    return folder


@pytest.fixture
def guest(tmp_path, monkeypatch):
    """The guest, installed: importable, and declared."""
    folder = write_guest(tmp_path / "site")
    info = folder / "uv_guest-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: uv-guest\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "".join(
            f"[unifiedvisual.{kind}]\n" + "".join(f"{name} = {target}\n" for name, target in entries.items())
            for kind, entries in ENTRY_POINTS.items()
        )
    )
    monkeypatch.syspath_prepend(folder)
    _forget()
    yield folder
    for name in MODULES:
        sys.modules.pop(name, None)
    _forget()


def _forget() -> None:
    """Registries look at installed packages once per process."""
    for registry in REGISTRIES:
        registry.__dict__.pop("_foreign", None)


def write_llava(folder: Path, task: str = "", count: int = 3) -> Path:
    """A file of LLaVA conversations of two turns, a picture in each answer; `task` "" = the records name none."""
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for number in range(count):
        names = [f"{number}-{turn}.png" for turn in range(2)]
        for name, colour in zip(names, ("red", "blue"), strict=True):
            (folder / name).write_bytes(picture(colour, size=(8, 8)).bytes)
        turns = [
            *({"from": "human", "value": f"Draw {number}."}, {"from": "gpt", "value": "Here:\n<image>"}),
            *({"from": "human", "value": "Now in blue."}, {"from": "gpt", "value": "<image>\nDone."}),
        ]
        records.append({"id": f"r{number}", "image": names, "conversations": turns, **({"task": task} if task else {})})
    path = folder / "train.json"
    path.write_text(json.dumps(records))
    return path
