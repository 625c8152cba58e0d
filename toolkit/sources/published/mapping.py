"""How each Parquet file is read: FilePlan, and the YAML file a user can write to say it instead of us.

    files:
      "data/*.parquet":                  # a path, or a pattern for several; the first that fits counts
        task: image_editing              # or: {column: kind, values: {edit: image_editing}}
        shape: columns                   # turns | columns
        columns: {id: uid, prompt: question, rationale: cot, answer: answer, prompt_images: [src], answer_images: [dst]}
        placeholder: "<image>"
        paths: {strip: "/home/me/", add: ""}   # of the pictures, before they are looked up in the archives

Every key is optional; what is not given is guessed.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from toolkit.errors import MappingError, UnknownName
from toolkit.sources.published.placing import PLACEHOLDERS
from toolkit.sources.published.shapes import SHAPES, Columns
from toolkit.tasks import KNOWN_TASKS

Overrides = Mapping[str, Mapping[str, Any]]  # file pattern -> entry, as written
LIST_COLUMNS = ("images", "prompt_images", "answer_images")


@dataclass(frozen=True, kw_only=True)
class FilePlan:
    """How one Parquet file is read.

    Attributes:
        task: of every row; "" when it differs by row.
        task_column: column that tells the task of a row, through `task_values`; "" = the archive that its picture paths
            name tells it.
        strip, add: prefix taken from, and then put before, every picture path.
        reasons: why each of these was chosen, for people.
    """

    path: str
    task: str = ""
    task_column: str = ""
    task_values: Mapping[str, str] = field(default_factory=dict)
    shape: str = ""
    columns: Columns = field(default_factory=Columns)
    placeholder: str = "<image>"
    strip: str = ""
    add: str = ""
    reasons: tuple[str, ...] = ()

    def to_yaml(self) -> dict[str, Any]:
        """The entry a mapping file would need to say the same."""
        task = {"column": self.task_column, "values": dict(self.task_values)} if self.task_column else self.task
        columns = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self.columns).items()
            if value
        }
        paths = {"strip": self.strip, "add": self.add} if self.strip or self.add else None
        entry = {"task": task, "shape": self.shape, "columns": columns, "placeholder": self.placeholder, "paths": paths}
        return {key: value for key, value in entry.items() if value}


def read_mapping(path: str | Path) -> Overrides:
    """A mapping file, checked as far as it can be without the data.

    Raises:
        MappingError: not there, not YAML, or with unknown keys, tasks, shapes or placeholders.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise MappingError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(content, dict) or set(content) != {"files"} or not isinstance(content["files"], dict):
        raise MappingError(
            f"{path}: expected one key 'files' that maps file patterns to entries, found {content!r:.80}"
        )
    for pattern, entry in content["files"].items():
        _check_entry(f"{path}: files[{pattern!r}]", entry)
    return dict(content["files"])


def _check_entry(where: str, entry: Any) -> None:
    _check_keys(where, entry, {"task", "shape", "columns", "placeholder", "paths"})
    task = entry.get("task", "")
    if isinstance(task, dict):
        _check_keys(f"{where}: task", task, {"column", "values"})
        _check_keys(f"{where}: task.values", task.get("values", {}), None)
    for name in task.get("values", {}).values() if isinstance(task, dict) else filter(None, [task]):
        _check_known(where, "task", name, KNOWN_TASKS)
    _check_keys(f"{where}: columns", entry.get("columns", {}), {each.name for each in fields(Columns)})
    _check_keys(f"{where}: paths", entry.get("paths", {}), {"strip", "add"})
    _check_known(where, "shape", entry.get("shape", "turns"), SHAPES)
    _check_known(where, "placeholder", entry.get("placeholder", "<image>"), PLACEHOLDERS)


def _check_keys(where: str, entry: Any, known: set[str] | None) -> None:
    if not isinstance(entry, dict):
        raise MappingError(f"{where}: expected a mapping, found {entry!r:.80}")
    if known is not None and (unknown := sorted(set(entry) - known)):
        raise MappingError(f"{where}: unknown keys {unknown}; known: {', '.join(sorted(known))}")


def _check_known(where: str, what: str, name: object, known: Mapping[str, object]) -> None:
    if name not in known:
        raise MappingError(f"{where}: {UnknownName(what, name, known)}")


def override(plan: FilePlan, overrides: Overrides, available: list[str]) -> FilePlan:
    """The plan with what a mapping file says about its file put over it.

    Raises:
        MappingError: it names columns the file does not have; lists those it has.
    """
    pattern = next((pattern for pattern in overrides if fnmatchcase(plan.path, pattern)), None)
    if pattern is None:
        return plan
    entry = overrides[pattern]
    changes: dict[str, Any] = {key: entry[key] for key in ("shape", "placeholder") if key in entry}
    changes |= entry.get("paths", {})
    if "task" in entry:
        task = entry["task"]
        by_column = isinstance(task, dict)
        changes |= {
            "task": "" if by_column else task,
            "task_column": task["column"] if by_column else "",
            "task_values": task.get("values", {}) if by_column else {},
        }
    if "columns" in entry:
        given: dict[str, Any] = {
            name: _as_tuple(value) if name in LIST_COLUMNS else value for name, value in entry["columns"].items()
        }
        changes["columns"] = replace(_cleared(plan.columns, given), **given)
    planned = replace(
        plan,
        **changes,
        reasons=(*plan.reasons, f"{', '.join(sorted(entry))}: from the mapping file, entry {pattern!r}"),
    )
    if absent := sorted((planned.columns.named() | {planned.task_column}) - {"", *available}):
        raise MappingError(
            f"{plan.path}: the mapping names columns {absent}; the file has: {', '.join(sorted(available))}"
        )
    return planned


def _cleared(columns: Columns, given: Mapping[str, Any]) -> Columns:
    """Guesses that a given column replaces: one column has one use."""
    taken = {name for value in given.values() for name in (value if isinstance(value, tuple) else (value,))}
    kept: dict[str, Any] = {
        each.name: tuple(name for name in value if name not in taken)
        if isinstance(value := getattr(columns, each.name), tuple)
        else ""
        if value in taken
        else value
        for each in fields(Columns)
    }
    return Columns(**kept)


def _as_tuple(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())
