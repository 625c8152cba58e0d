"""The table of docs/api.md, from the docstrings. `python -m tests.docs_api` writes it anew."""

import inspect
import re
from pathlib import Path

import unifiedvisual

PAGE = Path(unifiedvisual.__file__).parent / "docs/api.md"
START = "<!-- names: written by `python -m tests.docs_api`, compared by tests/test_architecture.py -->"
END = "<!-- end of names -->"
OWN = "unifiedvisual"


def table() -> str:
    """A line for every public name, by the module it comes from."""
    names = [name for name in unifiedvisual.__all__ if name != "__version__"]
    return "\n".join(["| name | what it is | defined in |", "|---|---|---|", *map(_line, names)])


def _line(name: str) -> str:
    docstring = inspect.getdoc(getattr(unifiedvisual, name)) or ""
    summary = re.split(r"(?<=[.])\s", " ".join(docstring.split("\n\n")[0].split()))[0].rstrip(":")
    return f"| `{name}` | {summary.replace('|', '&#124;')} | `{vars(unifiedvisual)['_TOOLKIT'].get(name, OWN)}` |"


def public_modules() -> list[str]:
    """Modules that the page names as public, beside `unifiedvisual`."""
    return re.findall(r"^- `([a-z_.0-9]+)`: ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)


def written() -> str:
    """The page with the table as it should be."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(written(), encoding="utf-8")
