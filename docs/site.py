"""What the site has beside the pages in this folder: an entry for every public name, a page for each room of the code,
the notebooks, and the two pages that lie at the top of the repository.
"""

import ast
import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
TOP = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "release-notes.md", "SECURITY.md": "security.md"}
MODULES = re.compile(r"^- `([a-z_.0-9]+)`: ", re.MULTILINE)
WHOLE_ROOMS = ("conversion", "dataset_card")


def on_config(config: Any) -> Any:
    for section in config.nav:
        if "Reference" in section:
            section["Reference"] += [{room: f"reference/{room}.md"} for room in _reference()]
        elif "Rooms" in section:
            section["Rooms"] += [{room: f"rooms/{room}.md"} for room in _rooms()]
    return config


def on_files(files: Files, config: Any) -> Files:
    made = {
        **{name: (ROOT / source).read_text(encoding="utf-8") for source, name in TOP.items()},
        **{f"reference/{room}.md": page for room, page in _reference().items()},
        **{f"rooms/{room}.md": _room(room, paths) for room, paths in _rooms().items()},
        **{f"notebooks/{path.stem}.md": _notebook(path) for path in sorted((ROOT / "notebooks").glob("*.ipynb"))},
    }
    for path, text in made.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links that lead out of this folder in the repository."""
    for source, name in TOP.items():
        markdown = re.sub(rf"\]\((\.\./)?{source}", f"]({name}", markdown)
    markdown = re.sub(r"\]\((\.\./)?docs/", r"](\1", markdown)
    return re.sub(r"\]\(\.\./(notebooks/\w+)\.ipynb", r"](\1.md", markdown)


def _reference() -> dict[str, str]:
    """A page for each room that public names come from."""
    import unifiedvisual

    named: dict[str, list[str]] = defaultdict(list)
    for name in unifiedvisual.__all__:
        if name != "__version__":
            module = unifiedvisual._TOOLKIT.get(name, "unifiedvisual")
            named[".".join(module.split(".")[:2])].append(f"{module}.{name}")
    modules = MODULES.findall((ROOT / "docs/api.md").read_text(encoding="utf-8"))
    pages = {room: _entries(room, [f"::: {each}" for each in names]) for room, names in sorted(named.items())}
    full = "\n    options:\n      show_root_full_path: true\n      members_order: source"
    return {
        **pages,
        "modules": _entries("Public modules", [f"::: {each}{full}" for each in modules if each not in named]),
    }


def _entries(title: str, entries: list[str]) -> str:
    return f"# {title}\n\n" + "\n\n".join(entries) + "\n"


def _rooms() -> dict[str, list[Path]]:
    """Room -> its files; modules that stand alone in `toolkit` are one room."""
    rooms = {"toolkit": sorted((ROOT / "toolkit").glob("*.py"))}
    folders = [each for each in (ROOT / "toolkit").iterdir() if any(each.glob("*.py"))]
    for folder in [*folders, *(ROOT / name for name in WHOLE_ROOMS)]:
        rooms[".".join(folder.relative_to(ROOT).parts)] = sorted(folder.rglob("*.py"))
    return dict(sorted(rooms.items()))


def _room(room: str, paths: list[Path]) -> str:
    docstrings = {path: ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "" for path in paths}
    home = ROOT.joinpath(*room.split("."))
    imported = {
        ".".join(found.split(".")[:2]) if found.startswith("toolkit.") else found.split(".")[0]
        for path in paths
        for found in re.findall(
            r"^\s*from ((?:toolkit|conversion|dataset_card)[\w.]*) import", path.read_text(), re.MULTILINE
        )
    }
    stands_on = sorted({each for each in imported if each in _rooms() and each != room})
    lines = [f"| `{path.relative_to(home)}` | {_first_sentence(text)} |" for path, text in docstrings.items() if text]
    links = ", ".join(f"[{each}]({each}.md)" for each in stands_on)
    return "\n\n".join(
        [
            f"# {room}",
            _as_markdown(docstrings.get(home / "__init__.py", "")),
            f"Imports from: {links}." if links else "",
            "| file | what it is |\n|---|---|\n" + "\n".join(lines),
        ]
    )


def _first_sentence(text: str) -> str:
    sentence = re.split(r"(?<=[.])\s", " ".join(text.split("\n\n")[0].split()))[0]
    return sentence.replace("|", "&#124;").replace("<", "&lt;")


def _as_markdown(docstring: str) -> str:
    """Paragraphs, and what is indented, in columns or drawn with arrows as it stands."""
    pieces = docstring.split("\n\n")
    drawn = [f"```text\n{each}\n```" if re.search(r"^    |\|--|^\S+ {2,}\S", each, re.M) else each for each in pieces]
    return "\n\n".join(drawn)


def _notebook(path: Path) -> str:
    """Text, code and outputs of a notebook as they are kept in it."""
    pieces = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        pieces.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            text = "".join(output.get("text", data.get("text/plain", "")))
            if "image/png" in data:
                pieces.append(f"![Output](data:image/png;base64,{data['image/png'].strip()})")
            elif text:
                pieces.append(f"```text\n{text.rstrip()}\n```")
    return "\n\n".join(pieces) + "\n"
