"""The pages a newcomer reads: every block runs, in order, from what `make demo` leaves; tables and quoted messages are
those of the code.

Blocks that begin with "# Needs" or "# Takes" are only parsed. In place of checkpoints there are tiny random models of
the same classes.
"""

import ast
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from itertools import groupby
from pathlib import Path

import pytest
import yaml

import unifiedvisual
from tests import docs_api
from tests.command_line import parse_command
from tests.docs_formats import PAGE, written
from tests.processes import Shells
from toolkit.cli.app import main
from toolkit.demo.replica import write_replica
from toolkit.demo.rows import demo_rows
from toolkit.generation.core.spec_file import parse_spec
from toolkit.packing.pack import pack
from toolkit.sources.layout import open_source
from toolkit.sources.published.mapping import read_mapping
from toolkit.tasks import TASKS

ROOT = Path(unifiedvisual.__file__).parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(bash|python|yaml)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
OURS = ("toolkit", "conversion", "dataset_card")
HEREDOC = re.compile(r"^cat > \S+\.py <<'END'\n(.*?)^END$", flags=re.MULTILINE | re.DOTALL)  # files that a block writes
STATEMENT = re.compile(r"^[^\n]*<<'END'\n.*?^END$|^[^\n]*$", flags=re.MULTILINE | re.DOTALL)
ONLY_PARSED = ("# Needs", "# Takes")
STUBS = {  # name -> what it does in place of the real one
    "python": f'exec {shlex.quote(sys.executable)} "$@"',
    "make": f'for target; do grep -q "^$target:" {shlex.quote(str(ROOT / "Makefile"))} || exit 1; done',
}


def blocks(page):
    return BLOCK.findall(page.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """What `make demo` leaves, with fewer rows."""
    folder = tmp_path_factory.mktemp("demo")
    write_replica(
        folder / "demo-out/upstream", {task: list(demo_rows(task, 4)) for task in TASKS}, archive_order="shuffled"
    )
    pack(open_source(str(folder / "demo-out/upstream")), folder / "demo-out/packed", TASKS)
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/activate").touch()
    for name, does in STUBS.items():
        (folder / ".venv/bin" / name).write_text(f"#!/bin/sh\n{does}\n")
        (folder / ".venv/bin" / name).chmod(0o755)
    shells = Shells()
    shells.write(folder / ".venv/bin/unifiedvisual")
    yield folder
    shells.close()


@cache
def tiny(checkpoint):
    from toolkit.demo import tiny_models

    families = {"Anole": "tiny_chameleon", "Emu3": "tiny_emu3", "Janus": "tiny_janus", "llava": "tiny_llava"}
    return getattr(tiny_models, next(families[name] for name in families if name in checkpoint))()


@pytest.fixture
def no_checkpoints(monkeypatch):
    transformers = pytest.importorskip("transformers", reason="docs/training.md trains transformers' models")
    models = (
        "ChameleonForConditionalGeneration",
        "Emu3ForConditionalGeneration",
        "JanusForConditionalGeneration",
        "AutoModelForImageTextToText",
    )
    monkeypatch.setattr(transformers.AutoProcessor, "from_pretrained", lambda name: tiny(name).processor)
    for model in models:
        monkeypatch.setattr(getattr(transformers, model), "from_pretrained", lambda name: tiny(name).model)


def run_bash(block, folder):
    """Plain calls of the command in this process, which is faster; everything else in a shell."""
    statements = [found for found in STATEMENT.findall(block) if found]
    ours = [line for line in statements if line.startswith("unifiedvisual ")]
    if not all(map(is_plain, ours)) or re.search(r"^(cd|export|source) ", block, flags=re.MULTILINE):
        run_in_shell(block, folder)
        return
    for is_ours, group in groupby(statements, lambda line: line.startswith("unifiedvisual ")):
        if not is_ours:
            run_in_shell("\n".join(group), folder)
            continue
        for line in group:
            with pytest.raises(SystemExit) as ended:
                main(shlex.split(line, comments=True)[1:])
            assert not ended.value.code, line


def is_plain(line):
    """Whether a shell would do nothing with a line but split it into words."""
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    return not ({"$", "\\"} & set(line) or any(set(word) <= set("|<>&;()") for word in words))


def run_in_shell(block, folder):
    environment = {**os.environ, "PATH": f"{folder / '.venv/bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    environment["USE_TORCH"] = "0"  # datasets would import it for a stream
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, f"{block}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def parse_bash(block):
    subprocess.run(["bash", "-n", "-c", block], check=True)
    for line in block.replace("\\\n", " ").splitlines():
        if line.lstrip().startswith("unifiedvisual "):
            parse_command(line)


def read_yaml(block, folder):
    (folder / "block.yaml").write_text(block)
    if "files" in yaml.safe_load(block):
        read_mapping(folder / "block.yaml")
    else:
        parse_spec(yaml.safe_load(block))


@pytest.mark.filterwarnings(
    "ignore:This DataLoader will create", "ignore:.pin_memory. argument is set"
)  # fewer cores than workers; no GPU
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_a_page_runs(page, demo, tmp_path, monkeypatch, request):
    if "from_pretrained" in page.read_text(encoding="utf-8"):
        request.getfixturevalue("no_checkpoints")
    folder = shutil.copytree(demo, tmp_path / "clone")
    monkeypatch.chdir(folder)
    for number, (language, block) in enumerate(blocks(page)):
        is_parsed = block.startswith(ONLY_PARSED)
        if language == "yaml":
            read_yaml(block, folder)
        elif language == "bash":
            parse_bash(block) if is_parsed else run_bash(block, folder)
        else:
            code = compile(block, f"{page.name}, block {number}", "exec")
            if not is_parsed:
                exec(code, {"__name__": "__main__"})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_a_page_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_readme_leads_to_the_index_and_that_to_every_page():
    index = ROOT / "docs/index.md"
    assert "](docs/index.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
    text = index.read_text(encoding="utf-8")
    assert [page.name for page in PAGES[1:] if page != index and f"]({page.name})" not in text] == []


def test_the_table_of_formats_is_that_of_the_code():
    assert PAGE.read_text(encoding="utf-8") == written()  # else: python -m tests.docs_formats


def test_pages_and_examples_import_what_is_public():
    pages = [*PAGES, ROOT / "dataset_card/template.md"]
    shown = [(page.name, text) for page in pages for language, text in blocks(page) if language == "python"]
    files = [(page.name, text) for page in pages for text in HEREDOC.findall(page.read_text(encoding="utf-8"))]
    examples = [(path.name, path.read_text(encoding="utf-8")) for path in (ROOT / "examples").glob("*.py")]
    modules = docs_api.public_modules()
    for where, text in (*shown, *files, *examples):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and node.module == "unifiedvisual":
                assert {alias.name for alias in node.names} <= set(unifiedvisual.__all__), where
            elif isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] in OURS:
                assert node.module in modules, f"{where} imports {node.module}, which docs/api.md does not name"


def test_public_modules_are_there():
    assert len(docs_api.public_modules()) > 8
    for name in docs_api.public_modules():
        assert importlib.util.find_spec(name), name


def strings_of_the_code():
    """Every string in the source, values in f-strings as a mark."""
    for room in ("toolkit", "conversion", "dataset_card", "unifiedvisual.py"):
        for path in [ROOT / room] if room.endswith(".py") else sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    yield "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


def test_quoted_messages_are_in_the_source():
    text = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^\| `([^`]+)` \|", text, flags=re.MULTILINE)
    strings = "\n\n".join(strings_of_the_code())
    patterns = {message: r"[^\n]*?".join(map(re.escape, message.split("..."))) for message in quoted}
    assert len(quoted) > 80
    is_there = lambda message: message in strings or ("..." in message and re.search(patterns[message], strings))  # noqa: E731
    assert [message for message in quoted if not is_there(message)] == []


def test_readme_says_that_upstreams_columns_were_not_seen():
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert "are not known to us" in text
    assert "unifiedvisual inspect fnlp-vision/UnifiedVisual-240K" in text
