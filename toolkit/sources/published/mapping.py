"""The YAML file a user can write to say how files are read, instead of us.

    files:
      "data/*.parquet":                  # a path, or a pattern for several; the first that fits counts
        task: image_editing              # or: {column: kind, values: {edit: image_editing, 0: llava_cot}}
        split: train
        shape: columns                   # turns | pairs | columns, or "module:NAME"
        columns: {id: uid, prompt: question, answer: answer, prompt_images: [src], answer_images: [dst], ignore: [url]}
        placeholder: ["<image>", "<pic_1>", {pattern: "@(?P<number>[0-9]+)@"}]   # those that count; [] = none
        sides: [prompt, answer]          # of the pictures of one list; or by task: {image_editing: [answer, prompt]}
        paths: {strip: "/home/me/", add: ""}   # of the pictures, before they are looked up in the archives
    archives:
      "images/part*.tar": mm_internet    # whose pictures an archive or a folder holds; or: ignore

Every key is optional; what is not given is inferred from the data.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from toolkit.errors import MappingError, UsageError, reason_of, shorten
from toolkit.parsing import load_yaml
from toolkit.sources.published.shapes import COLUMN_SHAPES, Columns
from toolkit.sources.published.shapes.common import USES
from toolkit.sources.published.shapes.placeholders import kind_of
from toolkit.sources.splits import SPLITS
from toolkit.tasks import KNOWN_TASKS

IGNORE = "ignore"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What a mapping says of the files of one pattern; None and empty = nothing.

    Attributes:
        where: how messages call it.
        values: value of the task column, as text -> task.
        columns: use -> columns.
        placeholders: kinds, other literals, and "re:PATTERN".
        sides: task ("" = any) -> "prompt" or "answer" for each picture of one list.
    """

    pattern: str
    where: str = "the mapping"
    task: str = ""
    task_column: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    split: str = ""
    shape: str = ""
    columns: Columns = field(default_factory=dict)
    placeholders: tuple[str, ...] | None = None
    sides: Mapping[str, tuple[str, ...]] | None = None
    strip: str = ""
    add: str = ""
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Overrides:
    """A whole mapping file; `path` is how messages call it."""

    path: str = "the mapping"
    entries: tuple[Entry, ...] = ()
    archives: tuple[tuple[str, str], ...] = ()  # pattern, task or "ignore"

    def entry_for(self, path: str) -> Entry | None:
        return next((entry for entry in self.entries if fnmatchcase(path, entry.pattern)), None)

    def archive(self, path: str) -> str:
        """The task a mapping gives an archive, "ignore", or "" where it says nothing."""
        return next((task for pattern, task in self.archives if fnmatchcase(path, pattern)), "")

    def check(self, files: Iterable[str]) -> None:
        """
        Raises:
            MappingError: a pattern fits no file.
        """
        files = list(files)
        for kind, patterns in (
            ("files", [entry.pattern for entry in self.entries]),
            ("archives", [pattern for pattern, _ in self.archives]),
        ):
            for pattern in patterns:
                if not any(fnmatchcase(path, pattern) or path.startswith(f"{pattern}/") for path in files):
                    raise MappingError(f"{self.path}: {kind}[{pattern!r}] fits no file; there are {shorten(files)}")


def read_mapping(path: str | Path) -> Overrides:
    """A mapping file, checked as far as it can be without the data.

    Raises:
        MappingError: not there, not YAML, or with wrong keys or values; names the file and the key, what was found and
            what was expected.
    """
    try:
        content = load_yaml(Path(path).read_bytes())
    except (OSError, yaml.YAMLError) as error:
        raise MappingError(f"{path}: cannot be read as YAML: {reason_of(error)}") from error
    content = _table(str(path), content, ("files", "archives"))
    entries = (
        tuple(
            _entry(str(path), pattern, entry)
            for pattern, entry in _table(f"{path}: files", content["files"], None).items()
        )
        if "files" in content
        else ()
    )
    archives = _table(f"{path}: archives", content["archives"], None) if "archives" in content else {}
    for pattern, task in archives.items():
        _known(f"{path}: archives[{pattern!r}]", task, (*KNOWN_TASKS, IGNORE))
    if not entries and not archives:
        raise MappingError(f"{path}: found no entry; expected 'files' that maps file patterns to entries")
    return Overrides(path=str(path), entries=entries, archives=tuple(archives.items()))


def _entry(path: str, pattern: str, content: Any) -> Entry:
    where = f"{path}: files[{pattern!r}]"
    entry = _table(where, content, ("task", "split", "shape", "columns", "placeholder", "sides", "paths"))
    task = entry.get("task", "")
    by_column = _table(f"{where}: task", task, ("column", "values")) if isinstance(task, dict) else {}
    if isinstance(task, dict):
        _text(f"{where}: task.column", by_column.get("column"))
        values = _table(f"{where}: task.values", by_column.get("values", {}), None, any_key=True)
        for value, name in values.items():
            _known(f"{where}: task.values[{value!r}]", name, KNOWN_TASKS)
    elif "task" in entry:
        _known(f"{where}: task", task, KNOWN_TASKS)
    paths = _table(f"{where}: paths", entry.get("paths", {}), ("strip", "add"))
    return Entry(
        where=where,
        pattern=pattern,
        task="" if by_column else task,
        task_column=by_column.get("column", ""),
        values={_as_value(value): name for value, name in by_column.get("values", {}).items()},
        split=_known(f"{where}: split", entry["split"], SPLITS) if "split" in entry else "",
        shape=_shape(where, entry["shape"]) if "shape" in entry else "",
        columns=_columns(where, entry.get("columns", {}), entry.get("shape", "")),
        placeholders=_placeholders(f"{where}: placeholder", entry["placeholder"]) if "placeholder" in entry else None,
        sides=_sides(f"{where}: sides", entry["sides"]) if "sides" in entry else None,
        strip=_text(f"{where}: paths.strip", paths.get("strip") or "", empty=True),
        add=_text(f"{where}: paths.add", paths.get("add") or "", empty=True),
        keys=tuple(sorted(entry)),
    )


def _as_value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shape(where: str, name: Any) -> str:
    try:
        COLUMN_SHAPES.load(_text(f"{where}: shape", name))
    except UsageError as error:
        raise MappingError(f"{where}: shape: {error}") from error
    return str(name)


def _columns(where: str, content: Any, shape: str) -> dict[str, tuple[str, ...]]:
    uses = {*USES, *(use for name in (*COLUMN_SHAPES, *filter(None, [shape])) for use in COLUMN_SHAPES.load(name).uses)}
    columns = _table(f"{where}: columns", content, None)
    if unknown := sorted(set(columns) - uses):
        raise MappingError(f"{where}: columns: unknown keys {unknown}; known: {', '.join(sorted(uses))}")
    several = ("images", "prompt_images", "answer_images", "keep", "ignore")
    found = {}
    for use, names in columns.items():
        if names is not None and not isinstance(names, list if use in several else str):
            names = [names] if use in several and isinstance(names, str) else names
        listed = names if isinstance(names, list) and use in several else [names] if names is not None else []
        found[use] = tuple(_text(f"{where}: columns.{use}", name) for name in listed)
    return found


def _placeholders(where: str, content: Any) -> tuple[str, ...]:
    found = []
    for item in content if isinstance(content, list) else [] if content is None else [content]:
        if isinstance(item, dict):
            pattern = _text(f"{where}: pattern", _table(where, item, ("pattern",)).get("pattern"))
            try:
                re.compile(pattern)
            except re.error as error:
                raise MappingError(f"{where}: pattern {pattern!r} is no regular expression: {error}") from error
            found.append(f"re:{pattern}")
        else:
            literal = _text(where, item)
            found.append(kind_of(literal) or literal)
    return tuple(found)


def _sides(where: str, content: Any) -> dict[str, tuple[str, ...]]:
    by_task = content if isinstance(content, dict) else {"": content}
    found = {}
    for task, sides in by_task.items():
        about = f"{where}[{_known(where, task, KNOWN_TASKS)!r}]" if isinstance(content, dict) else where
        if not isinstance(sides, list) or not sides:
            raise MappingError(
                f"{about}: found {sides!r:.80}; expected a list of prompt and answer, one for each image"
            )
        found[task] = tuple(_known(about, side, ("prompt", "answer")) for side in sides)
    return found


def _table(where: str, content: Any, known: Iterable[str] | None, *, any_key: bool = False) -> dict[Any, Any]:
    if not isinstance(content, dict):
        raise MappingError(f"{where}: found {content!r:.80}; expected a mapping of keys to values")
    keys = list(content)
    if not any_key and (wrong := [key for key in keys if not isinstance(key, str)]):
        raise MappingError(f"{where}: found the key {wrong[0]!r}; expected text, in quotes")
    if known is not None and (unknown := sorted(set(keys) - set(known))):
        raise MappingError(f"{where}: unknown keys {unknown}; known: {', '.join(sorted(known))}")
    return content


def _text(where: str, value: Any, *, empty: bool = False) -> str:
    if not isinstance(value, str) or not (value or empty):
        raise MappingError(f"{where}: found {value!r:.80}; expected text")
    return value


def _known(where: str, value: Any, known: Iterable[str]) -> str:
    if not isinstance(value, str) or value not in set(known):
        raise MappingError(f"{where}: found {value!r:.80}; expected one of {', '.join(sorted(known))}")
    return value
