"""Names from this package, from others by entry point, and from a module or a file that nobody declared."""

import pickle
import subprocess
import sys
import textwrap

import pytest

from toolkit.errors import UnknownName, UsageError
from toolkit.registry import Registry

SHAPES = Registry("column_shapes", {"round": "math:pi", "flat": "math:e"})


@pytest.fixture
def guest(tmp_path, monkeypatch):
    """An installed distribution that declares a new shape and one whose name is taken."""
    (tmp_path / "guest_shapes.py").write_text("ANGULAR = 4\n")
    info = tmp_path / "guest_shapes-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: guest-shapes\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[unifiedvisual.column_shapes]\nangular = guest_shapes:ANGULAR\nround = guest_shapes:ANGULAR\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("guest_shapes", None)


def test_a_name_of_the_table_is_imported_when_it_is_loaded():
    assert SHAPES.load("round") == 3.141592653589793
    assert dict(SHAPES) == {"round": "math:pi", "flat": "math:e"}


def test_a_name_declared_by_another_package_is_found(guest):
    shapes = Registry("column_shapes", {"flat": "math:e"})
    assert list(shapes) == ["flat", "angular", "round"]
    assert (shapes["angular"], shapes.load("angular"), len(shapes)) == ("guest_shapes:ANGULAR", 4, 3)


def test_a_declared_name_that_is_taken_is_an_error_that_names_the_package(guest):
    with pytest.raises(
        UsageError, match="column shape 'round' is this package's own and also declared by guest-shapes"
    ):
        Registry("column_shapes", {"round": "math:pi"}).load("round")


def test_a_module_and_a_file_need_no_declaration(tmp_path):
    file = tmp_path / "my shapes.py"
    file.write_text(
        textwrap.dedent("""
        class Holder:
            shape = 5
        RUNS = [0]
        RUNS[0] += 1
    """)
    )
    assert SHAPES.load("math:tau") == 6.283185307179586
    assert SHAPES.load(f"{file}:Holder.shape") == 5
    assert SHAPES.load(f"{file}:RUNS") == [1]


def test_a_factory_is_called_once(tmp_path):
    file = tmp_path / "factory.py"
    file.write_text("CALLS = []\ndef make():\n    CALLS.append(1)\n    return CALLS\n")
    made = Registry("encoders", {})
    assert made.make(f"{file}:make") is made.make(f"{file}:make")
    assert made.make(f"{file}:make") == [1]


def test_an_unknown_name_lists_the_known():
    with pytest.raises(UnknownName, match="unknown column shape 'square'; known: flat, round"):
        SHAPES.load("square")


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("no_such_module:X", "No module named 'no_such_module'"),
        ("math:no_such_name", "no attribute 'no_such_name'"),
        ("/no/such/file.py:X", "No such file"),
        (":X", "cannot be loaded"),
        (".:X", "cannot be loaded: TypeError"),
        ("math:", "cannot be loaded"),
    ],
)
def test_what_cannot_be_loaded_says_why(name, cause):
    with pytest.raises(UsageError, match=cause):
        SHAPES.load(name)


def test_a_file_with_an_error_is_named_and_can_be_loaded_when_fixed(tmp_path):
    file = tmp_path / "broken.py"
    file.write_text("X = (\n")
    with pytest.raises(UsageError, match="SyntaxError"):
        SHAPES.load(f"{file}:X")
    file.write_text("X = 1\n")
    assert SHAPES.load(f"{file}:X") == 1


def test_a_module_may_raise_what_it_likes(tmp_path):
    (tmp_path / "odd.py").write_text("{}['key']")
    with pytest.raises(UsageError, match=r"odd\.py:X' cannot be loaded: KeyError: 'key'"):
        SHAPES.load(f"{tmp_path}/odd.py:X")


def test_looking_at_names_imports_nothing():
    code = (
        "import sys; from toolkit.registry import Registry; r = Registry('formats', {'a': 'wave:Error'});"
        "r.check('a'); list(r); print('wave' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_what_a_file_defines_is_understood_by_another_process(tmp_path):
    file = tmp_path / "my file.py"
    file.write_text("class Holder:\n    def __init__(self):\n        self.shape = 7\n")
    pickled = pickle.dumps(SHAPES.load(f"{file}:Holder")()).hex()
    code = f"import pickle, toolkit.registry; print(pickle.loads(bytes.fromhex('{pickled}')).shape)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "7\n"


def test_the_object_itself_and_a_file_without_a_name_are_told_from_an_unknown_name():
    with pytest.raises(UsageError, match=r"column shape is \{'a': 1\}; expected its name"):
        SHAPES.load({"a": 1})
    with pytest.raises(UsageError, match=r"'mine.py': of a file the object is named too, as in 'mine.py:NAME'"):
        SHAPES.load("mine.py")
