"""The parts of docs/formats.md that come from the tables of formats and dialects. `python -m tests.docs_formats` writes
them anew.
"""

from dataclasses import fields
from pathlib import Path
from typing import Any

import unifiedvisual
from conversion import FORMATS, describe
from toolkit.sources.dialects import DIALECTS
from toolkit.sources.dialects.dialect import Dialect
from toolkit.sources.dialects.recognising import find_dialect

PAGE = Path(unifiedvisual.__file__).parent / "docs/formats.md"
START = "<!-- formats: written by `python -m tests.docs_formats`, compared by tests/test_docs.py -->"
END = "<!-- end of formats -->"
START_DIALECTS = "<!-- dialects: written by `python -m tests.docs_formats`, compared by tests/test_docs.py -->"
END_DIALECTS = "<!-- end of dialects -->"


def table() -> str:
    """A line for every format and profile, then the guide to each, which is also in the README.md of its folders."""
    entries = [entry for entry in describe() if entry["format"] in FORMATS.own]
    header = (
        "| format | profile | read by | pictures in prompts | pictures in answers | pictures trained | "
        "lossless | way back |\n|---|---|---|---|---|---|---|---|"
    )
    guides = (f"\n### `{entry['format']}` `{entry['profile']}`\n\n{entry['guide']}" for entry in entries)
    return "\n".join([header, *map(_line, entries), *guides])


def dialect_table() -> str:
    """A line for every dialect, then the uses of each."""
    found = [find_dialect(name) for name in DIALECTS.own]
    header = "| dialect | recognised by | reads | task | targets | options |\n|---|---|---|---|---|---|"
    return "\n".join([header, *map(_dialect_line, found), "", "Uses, for `--column`:", "", *map(_dialect_uses, found)])


def _dialect_line(dialect: Dialect) -> str:
    options = ", ".join(f"`{option.name}={option.default}`" for option in fields(dialect.options)) or "-"
    told = (plain(dialect.sign), plain(dialect.reads), f"`{dialect.task.name}`", dialect.task.outputs, options)
    return f"| `{dialect.name}` | {' | '.join(told)} |"


def _dialect_uses(dialect: Dialect) -> str:
    uses = (f"`{name}`{'' if use.needed else ' (optional)'}" for name, use in dialect.uses.items())
    return f"- `{dialect.name}`: {', '.join(uses)}"


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
    between, _, rest = after.partition(START_DIALECTS)
    _, _, end = rest.partition(END_DIALECTS)
    dialects = f"{between}{START_DIALECTS}\n{dialect_table()}\n{END_DIALECTS}{end}"
    return f"{before}{START}\n{table()}\n{END}{dialects}"


if __name__ == "__main__":
    PAGE.write_text(written(), encoding="utf-8")
