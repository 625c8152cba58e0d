"""The part of docs/formats.md that comes from the table of formats. `python -m tests.docs_formats` writes it anew."""

from pathlib import Path
from typing import Any

import unifiedvisual
from conversion import describe

PAGE = Path(unifiedvisual.__file__).parent / "docs/formats.md"
START = "<!-- formats: written by `python -m tests.docs_formats`, compared by tests/test_docs.py -->"
END = "<!-- end of formats -->"


def table() -> str:
    """A line for every format and profile, then what to know about each."""
    entries = describe()
    header = (
        "| format | profile | read by | pictures in prompts | pictures in answers | pictures trained | "
        "lossless | way back |\n|---|---|---|---|---|---|---|---|"
    )
    return "\n".join([header, *map(_line, entries), "", *map(_notes, entries)])


def _line(entry: dict[str, Any]) -> str:
    told = [
        entry["consumers"],
        entry["prompt_images"],
        entry["answer_images"],
        *(_yes(entry[name]) for name in ("trains_output_images", "lossless", "imports")),
    ]
    return f"| `{entry['format']}` | `{entry['profile']}` | {' | '.join(map(_plain, told))} |"


def _notes(entry: dict[str, Any]) -> str:
    options = ", ".join(f"`{name}={value}`" for name, value in entry["options"].items() if name != "profile")
    columns = (
        "all columns" if entry["lossless"] else "columns " + ", ".join(f"`{column}`" for column in entry["columns"])
    )
    notes = "".join(f"; {_plain(note)}" for note in entry["notes"])
    return (
        f"- `{entry['format']}` `{entry['profile']}`: keeps "
        f"{columns}{f'; options {options}' if options else ''}{notes}."
    )


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _plain(text: str) -> str:
    """Without what Markdown would take for markup."""
    return text.replace("<", "&lt;").replace("*", "\\*").replace("|", "\\|")


def written() -> str:
    """The page with the table as it should be."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(written(), encoding="utf-8")
