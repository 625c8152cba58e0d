"""Every Python snippet of the README runs, on the dataset `make demo` makes."""

import re
from pathlib import Path

import pytest

import unifiedvisual
from toolkit.demo.replica import write_replica
from toolkit.demo.rows import demo_rows
from toolkit.packing.pack import pack
from toolkit.sources.layout import open_source
from toolkit.tasks import TASKS

ROOT = Path(unifiedvisual.__file__).parent
SNIPPETS = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readme")
    write_replica(folder / "demo-out/upstream", {task: list(demo_rows(task, 2)) for task in TASKS})
    pack(open_source(folder / "demo-out/upstream"), folder / "packed", TASKS)
    return folder


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_readme_snippet_runs(snippet, demo, monkeypatch, capsys):
    monkeypatch.chdir(demo)
    exec(compile(snippet, "README.md", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out


def test_readme_says_that_upstreams_columns_were_not_seen():
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert "are not known to us" in text
    assert "unifiedvisual inspect fnlp-vision/UnifiedVisual-240K" in text
