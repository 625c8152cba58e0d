"""The house, read from the source: floors, rooms, lengths; and what starting up may load."""

import ast
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

import unifiedvisual
from conversion import FORMATS
from tests import docs_api, stubs
from tests.conftest import SLOW
from toolkit.generation.backends import BACKENDS

ROOT = Path(unifiedvisual.__file__).parent
BACKENDS_IMPORTED = "\n".join(f"import {target.partition(':')[0]}" for target in BACKENDS.values())
HEAVY = {"torch", "webdataset", "ray", "transformers", "diffusers", "matplotlib"}

# From the ground up, a room a line: each imports only from rooms before it.
FLOORS = (
    "toolkit",
    "toolkit.errors",
    "toolkit.sizes",
    "toolkit.minhash",
    "toolkit.parsing",
    "toolkit.published",
    "toolkit.registry",
    "toolkit.images",
    "toolkit.doctor",
    "toolkit.photos",
    "toolkit.scene",
    "toolkit.tasks",
    "toolkit.schema",
    "toolkit.rules",
    "toolkit.executors",
    "toolkit.staging",
    "toolkit.sources.published.shapes",
    "toolkit.sources",
    "toolkit.sources.dialects",
    "toolkit.streaming",
    "toolkit.collate",
    "toolkit.sampling",
    "toolkit.training",
    "toolkit.packing",
    "toolkit.report",
    "toolkit.demo",
    "toolkit.evaluation",
    "toolkit.generation",
    "toolkit.generation.core",
    "toolkit.generation.sources",
    "toolkit.generation.journal",
    "toolkit.generation.calls",
    "toolkit.generation.procedural",
    "toolkit.generation.backends",
    "toolkit.generation.recipes",
    "toolkit.generation.runs",
    "toolkit.generation.reports",
    "toolkit.curation",
    "dataset_card",
    "conversion",
    "unifiedvisual",
    "toolkit.cli",
)
FLOOR = {room: number for number, room in enumerate(FLOORS)}
LARGEST_SHARE = 0.15  # of the lines of code; of the scene engine, which is one thing, more
FILE_LINES, FUNCTION_LINES = 300, 40  # of a function without its docstring


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Walked once, which takes longer than to parse."""
    return tuple(ast.walk(tree(path)))


@cache
def modules() -> dict[str, Path]:
    """Name -> file of every module that is installed."""
    files = [path for folder in ("toolkit", "conversion", "dataset_card") for path in (ROOT / folder).rglob("*.py")]
    return {_name(path): path for path in sorted([*files, ROOT / "unifiedvisual.py"])}


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def imports(path: Path) -> frozenset[str]:
    """Modules of ours that a file imports, wherever in it."""
    found: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (names & modules().keys()) or {node.module}
    return frozenset(found & modules().keys())


def room(module: str) -> str:
    """The nearest room of the floors that holds a module."""
    parts = module.split(".")
    return next(
        (name for n in range(len(parts), 0, -1) if (name := ".".join(parts[:n])) in FLOOR and name != "toolkit"),
        module if module in FLOOR else "",
    )


def code() -> Iterator[tuple[str, Path]]:
    """Relative path and path of all that is not a test."""
    paths = [*modules().values(), *(path for name in ("benchmarks", "examples") for path in (ROOT / name).glob("*.py"))]
    return ((path.relative_to(ROOT).as_posix(), path) for path in paths)


def test_every_module_is_in_a_room_on_a_floor():
    assert [module for module in modules() if not room(module)] == []  # else: put its room into FLOORS


def test_imports_point_down():
    upward = [
        f"{module} imports {other}"
        for module, path in modules().items()
        for other in sorted(imports(path))
        if FLOOR[room(other)] > FLOOR[room(module)]
    ]
    assert upward == []


def test_no_modules_import_one_another_in_a_circle():
    graph = {module: set(imports(path)) - {module} for module, path in modules().items()}
    while leaves := {module for module, others in graph.items() if not others & graph.keys()}:
        graph = {module: others for module, others in graph.items() if module not in leaves}
    assert sorted(graph) == []  # those in a circle, or above one


def test_no_room_is_too_large_to_know():
    lines = Counter()
    for module, path in modules().items():
        lines[room(module)] += len(path.read_text(encoding="utf-8").splitlines())
    shares = {name: count / lines.total() for name, count in lines.items() if name != "toolkit.scene"}
    assert {name: round(share, 3) for name, share in shares.items() if share > LARGEST_SHARE} == {}


def test_files_and_functions_are_short():
    files = {path: len(file.read_text(encoding="utf-8").splitlines()) for path, file in code()}
    assert {path: n for path, n in files.items() if n > FILE_LINES} == {}
    functions = {f"{path}:{name}": n for path, file in code() for name, n in _functions(file)}
    assert not {name: n for name, n in functions.items() if n > FUNCTION_LINES}


def _functions(file: Path) -> Iterator[tuple[str, int]]:
    """Lines of each from `def` on, but for the docstring."""
    for node in nodes(file):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            documented = ast.get_docstring(node, clean=False) is not None
            docstring = node.body[0].end_lineno - node.body[0].lineno + 1 if documented else 0
            yield node.name, node.end_lineno - node.lineno + 1 - docstring


def test_formats_do_not_import_one_another():
    files = {target.partition(":")[0] for target in FORMATS.values()}
    assert {module: others for module in files if (others := (files - {module}) & imports(modules()[module]))} == {}


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
        for path in modules().values()
        for node in nodes(path)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in READS_PARQUET
    ]
    threaded = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path, call in calls
        if ("use_threads", "False") not in [(option.arg, ast.unparse(option.value)) for option in call.keywords]
    ]
    assert len(calls) > 5
    assert threaded == []


def test_slow_files_of_tests_are_there():
    names = {path.stem.removeprefix("test_") for path in (ROOT / "tests").glob("test_*.py")}
    assert SLOW - names == set()


RUNS_CODE = re.compile(
    r"(?<![.\w])(eval|exec)\(|trust_remote_code=True|allow_pickle=True|weights_only=False|unsafe_load|full_load"
    r"|(?<!Unp)pickle\.loads?\(|\b(marshal|shelve|dill|joblib)\b"
)
OWN_PICKLES = {"toolkit/executors/__init__.py", "toolkit/sources/published/waiting.py"}  # of this process, for itself


def test_nothing_runs_code_that_data_holds():
    found = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in modules().values()}
    assert {path for path, text in found.items() if RUNS_CODE.search(text)} == OWN_PICKLES
    assert all("weights_only=True" in text for text in found.values() if "torch.load(" in text)


def test_each_promise_of_security_has_its_test():
    promises = re.findall(r"^- `(tests/\w+\.py)::(\w+)`$", (ROOT / "SECURITY.md").read_text(), flags=re.MULTILINE)
    assert len(promises) > 20
    missing = [(file, name) for file, name in promises if f"def {name}(" not in (ROOT / file).read_text()]
    assert missing == []


def test_the_version_is_that_of_the_citation_and_of_the_last_dated_changes():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    dated = re.search(r"^## \[(\d\S*)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE).groups()
    assert (citation["version"], str(citation["date-released"])) == dated
    assert dated[0] == unifiedvisual.__version__


def test_stubs_and_the_table_of_public_names_are_those_of_the_code():
    assert stubs.STUB.read_text(encoding="utf-8") == stubs.written()  # else: python -m tests.stubs
    assert docs_api.PAGE.read_text(encoding="utf-8") == docs_api.written()  # else: python -m tests.docs_api


def test_public_names_are_sorted_and_all_there():
    assert unifiedvisual.__all__ == sorted(unifiedvisual.__all__)
    for name in unifiedvisual.__all__:
        assert getattr(unifiedvisual, name)


def test_an_unknown_public_name_lists_the_known():
    with pytest.raises(AttributeError, match=r"no attribute 'Loader'; it has: .*UnifiedVisual"):
        _ = unifiedvisual.Loader
