"""What a trainer has to know of a converted folder: its README.md, and the same text in `convert --list` and
docs/formats.md.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import yaml

from conversion.formats import FORMATS, Format, Holds, get_format, is_for
from conversion.report import REPORT_NAME

README_NAME = "README.md"


def describe() -> list[dict[str, Any]]:
    """One entry per format and profile: what `convert --list` shows."""
    return [
        {
            "format": name,
            "profile": profile,
            **vars(holds),
            "options": {option.name: option.default for option in fields(form.options)},
            "imports": form.read is not None,
            "guide": guide(form, profile),
        }
        for name in FORMATS
        for form in (get_format(name),)
        for profile, holds in form.profiles.items()
    ]


def guide(form: Format, profile: str) -> str:
    """A list in Markdown; the converted folder is called OUT."""
    holds = form.profiles[profile]
    options = (
        f"`{option.name}={option.default}`"
        for option in fields(form.options)
        if option.name != "profile" and is_for(form.options, option.name, profile)
    )
    lines = {
        "Read by": holds.consumers,
        "Use": holds.use,
        "Trained": holds.trained,
        "Pictures in prompts": holds.prompt_images,
        "Pictures in answers": holds.answer_images,
        "Columns kept": _columns(holds),
        "Options": ", ".join(options) or "none",
        "Import": _import(form, holds),
    }
    told = (f"{name}: {text}" for name, text in lines.items())
    return "\n".join(f"- {_capital(line)}." for line in (*told, *holds.notes))


def readme(form: Format, options: Any, front_matter: Mapping[str, Any] | None) -> str:
    """README.md of a folder.

    Args:
        front_matter: for the Hub and `datasets`; None = none.
    """
    head = f"---\n{yaml.safe_dump(dict(front_matter), sort_keys=False)}---\n" if front_matter else ""
    title = f"# {form.name}, profile {options.profile}"
    about = (
        f"Written by UnifiedVisual `convert`; OUT is this folder. `{REPORT_NAME}` counts what is in it, and what could "
        "not be."
    )
    return f"{head}{title}\n\n{about}\n\n{guide(form, options.profile)}\n"


def _capital(note: str) -> str:
    return note[0].upper() + note[1:] if note.split()[0].isalpha() else note


def _columns(holds: Holds) -> str:
    return "all" if holds.lossless else ", ".join(f"`{column}`" for column in holds.columns)


def _import(form: Format, holds: Holds) -> str:
    if form.read is None:
        return "no"
    return "the same rows, to the byte" if holds.lossless else "messages and pictures"
