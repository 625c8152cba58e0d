"""The part of docs/formats.md that comes from the table of formats. `python -m tests.docs_formats` writes it anew."""

from pathlib import Path
from typing import Any

import unifiedvisual
from conversion import describe

PAGE = Path(unifiedvisual.__file__).parent / "docs/formats.md"
START = "<!-- formats: written by `python -m tests.docs_formats`, compared by tests/test_docs.py -->"
END = "<!-- end of formats -->"


def table() -> str:
    """A line for every format and profile, then the guide to each, which is also in the README.md of its folders."""
    entries = describe()
    header = (
        "| format | profile | read by | pictures in prompts | pictures in answers | pictures trained | "
        "lossless | way back |\n|---|---|---|---|---|---|---|---|"
    )
    guides = (f"\n### `{entry['format']}` `{entry['profile']}`\n\n{entry['guide']}" for entry in entries)
    return "\n".join([header, *map(_line, entries), *guides])


def _line(entry: dict[str, Any]) -> str:
    told = [
        entry["consumers"],
        entry["prompt_images"],
        entry["answer_images"],
        *(_yes(entry[name]) for name in ("trains_output_images", "lossless", "imports")),
    ]
    return f"| `{entry['format']}` | `{entry['profile']}` | {' | '.join(map(plain, told))} |"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def plain(text: str) -> str:
    """Without what a table would take for its own."""
    return text.replace("|", "\\|")


def written() -> str:
    """The page with the table as it should be."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(written(), encoding="utf-8")
