"""The import graph, read from the source, and what starting up may load."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import unifiedvisual
from conversion import FORMATS
from toolkit.generation.backends import BACKENDS

ROOT = Path(unifiedvisual.__file__).parent
BACKENDS_IMPORTED = "\n".join(f"import {target.partition(':')[0]}" for target in BACKENDS.values())
HEAVY = {"torch", "webdataset", "ray", "transformers", "diffusers", "matplotlib"}


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def _sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", _sources("toolkit"), ids=lambda path: str(path.relative_to(ROOT)))
def test_toolkit_imports_nothing_above_it_but_from_the_command_line(path):
    roots = {name.partition(".")[0] for name in _imports(path)}
    if path.parent.name != "cli":
        assert not roots & {"conversion", "dataset_card", "unifiedvisual"}


@pytest.mark.parametrize("name", ["schema", "tasks", "errors"])
def test_the_record_imports_nothing_but_the_record(name):
    assert {each for each in _imports(ROOT / f"toolkit/{name}.py") if each.startswith("toolkit")} <= {
        "toolkit.errors",
        "toolkit.registry",
        "toolkit.tasks",
    }


@pytest.mark.parametrize("module", sorted({target.partition(":")[0] for target in FORMATS.values()}))
def test_formats_do_not_import_one_another(module):
    others = {target.partition(":")[0] for target in FORMATS.values()} - {module}
    assert not others & _imports(ROOT / f"{module.replace('.', '/')}.py")


def test_only_the_journal_knows_its_tables():
    users = {path.parent.name for path in _sources("toolkit/generation") if "sqlite3" in _imports(path)}
    assert users == {"journal"}


@pytest.mark.parametrize(
    "statement",
    [
        "import unifiedvisual",
        "from toolkit.cli.app import app; app(['--help'])",
        "from toolkit.cli.app import app; app(['info'])",
        BACKENDS_IMPORTED,
    ],
)
def test_starting_up_loads_nothing_heavy(statement):
    report = (
        "import atexit, json, sys; atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{report}\n{statement}"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert not HEAVY & set(json.loads(done.stderr.splitlines()[-1]))


READS_PARQUET = {"read_row_group", "read_row_groups", "iter_batches", "read_table"}


def test_nothing_reads_parquet_with_threads_of_arrow():
    calls = [
        (path, node)
        for path in _sources("toolkit", "conversion", "dataset_card")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in READS_PARQUET
    ]
    threaded = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path, call in calls
        if ("use_threads", "False") not in [(option.arg, ast.unparse(option.value)) for option in call.keywords]
    ]
    assert len(calls) > 5
    assert threaded == []


def test_public_names_are_sorted_and_all_there():
    assert unifiedvisual.__all__ == sorted(unifiedvisual.__all__)
    for name in unifiedvisual.__all__:
        assert getattr(unifiedvisual, name)


def test_an_unknown_public_name_lists_the_known():
    with pytest.raises(AttributeError, match=r"no attribute 'Loader'; it has: .*UnifiedVisual"):
        _ = unifiedvisual.Loader
