"""What a type checker sees of `unifiedvisual`: a module that loads names lazily says nothing by itself.

`python -m tests.stubs` writes `unifiedvisual-stubs/__init__.pyi` anew.
"""

import ast
import subprocess
import sys
from pathlib import Path

import unifiedvisual

SOURCE = Path(unifiedvisual.__file__)
STUB = SOURCE.parent / "unifiedvisual-stubs/__init__.pyi"
HEAD = "# Written by `python -m tests.stubs`, compared by tests/test_architecture.py.\n"


def written() -> str:
    """The stub as it should be: names that live elsewhere are imported, those of the module keep their signatures."""
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    own = "\n".join(ast.unparse(_bare(each)) for each in tree.body if _name(each) in unifiedvisual.__all__)
    used = {node.id for node in ast.walk(ast.parse(own)) if isinstance(node, ast.Name)}
    needed = [ast.unparse(each) for each in tree.body if isinstance(each, ast.Import | ast.ImportFrom)]
    needed = [line for line in needed if line.split()[-1].partition(".")[0] in used]
    lazily = [f"from {module} import {name} as {name}" for name, module in vars(unifiedvisual)["_TOOLKIT"].items()]
    names = f"__all__ = {list(unifiedvisual.__all__)!r}\n__version__: str"
    return _formatted("\n".join([*needed, *lazily, "", names, "", own, ""]))


def _name(node: ast.stmt) -> str:
    return getattr(node, "name", "")


def _bare(node: ast.stmt) -> ast.stmt:
    """A definition without what it does: public fields and methods, and how it is made."""
    if isinstance(node, ast.FunctionDef):
        node.body = [ast.Expr(ast.Constant(...))]
    elif isinstance(node, ast.ClassDef):
        node.body = [_bare(each) for each in node.body if _is_public(each)]
    return node


def _is_public(node: ast.stmt) -> bool:
    if isinstance(node, ast.FunctionDef):
        return node.name == "__init__" or not node.name.startswith("_")
    return isinstance(node, ast.AnnAssign)


def _formatted(text: str) -> str:
    for command in (["check", "--select", "I", "--fix"], ["format"]):
        arguments = [sys.executable, "-m", "ruff", *command, "--quiet", "--stdin-filename", str(STUB), "-"]
        text = subprocess.run(arguments, input=text, capture_output=True, text=True, check=True, cwd=STUB.parent).stdout
    return HEAD + text


if __name__ == "__main__":
    STUB.parent.mkdir(exist_ok=True)
    STUB.write_text(written(), encoding="utf-8")
