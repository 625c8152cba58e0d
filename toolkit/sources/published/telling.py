"""Which task each row has, and by which sign. The signs, strongest first:

the mapping; a column whose values name tasks; the file's path; what only one task has in every row (the columns of
CoT-Collection, the sections of LLaVA-CoT); row by row: the paths of its pictures; the archive that holds them; no
picture at all
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import reduce

import numpy as np

from toolkit.errors import shorten
from toolkit.sources.published.mapping import Entry, Overrides
from toolkit.sources.published.plan import FilePlan, Group
from toolkit.sources.published.shapes import COLUMN_SHAPES
from toolkit.sources.published.shapes.facts import ColumnFacts
from toolkit.sources.published.shapes.signs import CONFLICT, NAMES, NO_PICTURE, NOT_NAMED, Signs, combine
from toolkit.sources.published.shapes.table import merge
from toolkit.sources.published.shapes.words import TASK_COLUMNS, task_named_in
from toolkit.sources.published.survey import FileSurvey
from toolkit.sources.splits import DEFAULT_SPLIT, SPLIT_WORDS, split_named_in, split_said_by

TEXT_TASK = "cot_collection"  # the one task without pictures
COT_COLUMNS = {"source", "target", "rationale"}  # Source: kaist-ai/CoT-Collection
NOTHING_TELLS = "nothing tells the task: no column, file name or picture path names one"


def tell_tasks(plan: FilePlan, group: Group, archives: Iterable[str]) -> list[FilePlan]:
    """A plan for each file of a group, with what tells the task of its rows.

    Args:
        plan: what is the same for all of them.
        archives: tasks that archives or folders of pictures are named after.
    """
    entry = group.entry or Entry(pattern="")
    signs = {file.path: _signs_of(file, plan) for file in group.files}
    holds_bytes = any(
        facts.is_heavy and name in plan.reads() and any(leaf.count for leaf in facts.leaves.values())
        for name, facts in group.table.columns.items()
    )
    has_pictures = holds_bytes or any(bool((each != NO_PICTURE).any()) for each in signs.values())
    can_tell = has_pictures and not holds_bytes  # which rows hold bytes is not known before they are read
    told = [_tell(plan, file, entry, signs[file.path], tuple(archives), has_pictures, can_tell) for file in group.files]
    return told if has_pictures else [_without_pictures(each, archives) for each in told]


def _without_pictures(plan: FilePlan, archives: Iterable[str]) -> FilePlan:
    """With a problem where archives hold pictures of its rows, and no row names any, as far as columns tell: a shape
    from outside, or a pattern of a mapping, may find names in texts.
    """
    held = [task for task in archives if plan.counts.get(task)]
    is_ours = COLUMN_SHAPES[plan.shape].startswith("toolkit.") if plan.shape in COLUMN_SHAPES else False
    if not held or plan.problems or not is_ours or any(kind.startswith("re:") for kind in plan.placeholders or ()):
        return plan
    problem = (
        f"no row names a picture, and there are some of {shorten(held)}; name their column under images: in a mapping, "
        "or say ignore under archives:"
    )
    return replace(plan, problems=(problem,))


def _tell(
    plan: FilePlan,
    file: FileSurvey,
    entry: Entry,
    signs: Signs,
    archives: tuple[str, ...],
    has_pictures: bool,
    can_tell: bool,
) -> FilePlan:
    plan = replace(plan, path=file.path, rows=file.rows, split=entry.split or split_named_in(file.path))
    if not entry.split:
        plan = replace(plan, problems=(*plan.problems, *_other_splits(file, plan)))
    if entry.task:
        return replace(plan, task=entry.task, counts={entry.task: file.rows})
    by_file = task_named_in(file.path)
    column, values, disagreements = _by_column(file, plan, entry, by_file)
    if disagreements:
        plan = replace(plan, problems=(*plan.problems, *disagreements))
    if column:
        named = {NAMES[number] for number in np.unique(signs) if number >= 0}
        if named and not named & set(values.values()) and not entry.task_column and "task" not in column.lower():
            told = (
                f"column {column!r} names {shorten(set(values.values()))}, and the picture paths {shorten(named)}; "
                "say in a mapping under task: which column counts, or list it under ignore:"
            )
            plan = replace(plan, problems=(*plan.problems, told))
        return _with_column(plan, merge([(file.rows, file.columns)]).columns[column], column, values)
    for task, sign in ((by_file, "named in the file's path"), (_by_content(file, plan, has_pictures), "")):
        if task:
            sign = sign or {TEXT_TASK: "columns source, target, rationale"}.get(
                task, "answers in <SUMMARY> ... <CONCLUSION> sections"
            )
            return _because(replace(plan, task=task, counts={task: file.rows}), f"task {task}: {sign}")
    return _by_rows(plan, signs, archives, can_tell)


def _other_splits(file: FileSurvey, plan: FilePlan) -> Iterator[str]:
    """Columns whose every value names a split, and not that of the file: rows of a test are not for training."""
    settled = {*plan.reads(), *plan.columns.get("ignore", ())}
    for name, facts in merge([(file.rows, file.columns)]).columns.items():
        values = set(facts.labels or facts.text.values or ()) if name not in settled else set()
        splits = {SPLIT_WORDS.get(value.strip().lower(), "") for value in values}
        if splits and "" not in splits and splits != {plan.split}:
            yield (
                f"column {name!r} says {shorten(values)}, and the file is read as split {plan.split}; write a file "
                "for each split, or list the column under ignore: in a mapping if its words mean something else"
            )


def check_splits(plans: Iterable[FilePlan], overrides: Overrides) -> list[FilePlan]:
    """The same, with a problem where a file's name says neither split nor task, and that of another says train."""
    plans = list(plans)
    stated = next((plan.path for plan in plans if split_said_by(plan.path) == DEFAULT_SPLIT), "")
    if not stated:
        return plans
    return [plan if _says_split(plan, overrides) else _silent(plan, stated) for plan in plans]


def _says_split(plan: FilePlan, overrides: Overrides) -> bool:
    entry = overrides.entry_for(plan.path)
    return bool(split_said_by(plan.path) or task_named_in(plan.path) or (entry and (entry.split or entry.task)))


def _silent(plan: FilePlan, stated: str) -> FilePlan:
    problem = f"the file's name says no split, and that of {stated!r} does; say under split: of a mapping which it is"
    return replace(plan, problems=(*plan.problems, problem))


def _because(plan: FilePlan, reason: str) -> FilePlan:
    return replace(plan, signs_told=(*plan.signs_told, reason))


def _by_column(
    file: FileSurvey, plan: FilePlan, entry: Entry, by_file: str
) -> tuple[str, Mapping[str, str], list[str]]:
    """The column that tells the task, its values that name one, and what contradicts it."""
    if entry.task_column:
        named = _named_values(file.columns[entry.task_column]) if entry.task_column in file.columns else {}
        return entry.task_column, {**named, **entry.values}, []
    found: list[tuple[bool, str, dict[str, str], Counter[str]]] = []
    for name, facts in merge([(file.rows, file.columns)]).columns.items():
        is_free = name not in plan.reads() and name not in plan.columns.get("ignore", ())
        values = _named_values(facts) if is_free else {}
        known = sum((facts.text.values or {}).get(value, 0) for value in values)
        is_telling = name.rpartition(".")[2].lower() in TASK_COLUMNS
        if 2 * known > facts.text.count if is_telling else known == facts.rows > 0:
            counts = Counter(dict.fromkeys(values.values(), 0))
            for value, task in values.items():
                counts[task] += (facts.text.values or {})[value]
            found.append((is_telling, name, values, counts))
    found = [each for each in found if each[0]] or ([] if by_file else found)
    found.sort(key=lambda each: TASK_COLUMNS.index(each[1].lower()) if each[1].lower() in TASK_COLUMNS else 99)
    if not found:
        return "", {}, []
    _, name, values, counts = found[0]
    problems = [
        f"columns {name!r} and {other!r} name different tasks" for _, other, _, theirs in found[1:] if theirs != counts
    ]
    if by_file and set(counts) != {by_file}:
        problems.append(f"the file's path names task {by_file}, and column {name!r} names {shorten(set(counts))}")
    return name, values, problems


def _named_values(facts: ColumnFacts) -> dict[str, str]:
    if facts.labels:
        return {str(number): task for number, label in enumerate(facts.labels) if (task := task_named_in(label))}
    return {value: task for value in facts.text.values or {} if "/" not in value and (task := task_named_in(value))}


def _with_column(plan: FilePlan, facts: ColumnFacts, column: str, values: Mapping[str, str]) -> FilePlan:
    found = Counter[str]()
    unknown = []
    for value, count in (facts.text.values or {}).items():
        task = task_of_value(value, values)
        found[task] += count
        unknown += [] if task else [f"{value!r} ({count:,} rows)"]
    if facts.nulls:
        unknown.append(f"null ({facts.nulls:,} rows)")
    notes = [f"column {column!r} has values that name no task: {', '.join(unknown[:5])}"] if unknown else []
    kept = [note for note in plan.notes if not note.startswith(f"not read: column {column!r} ")]
    counts = {task: count for task, count in found.items() if task}
    plan = replace(plan, task_column=column, task_values=dict(values), counts=counts, notes=tuple(kept))
    return _because(replace(plan, notes=(*plan.notes, *notes)), f"task <- column {column}, e.g. {shorten(values)}")


def task_of_value(value: str, values: Mapping[str, str]) -> str:
    """The task a value of the task column names; "" if none."""
    return values.get(value) or values.get(value.lower()) or task_named_in(value)


def _by_content(file: FileSurvey, plan: FilePlan, has_pictures: bool) -> str:
    if not has_pictures and file.columns.keys() >= COT_COLUMNS:
        return TEXT_TASK
    sections = sum(leaf.sections for facts in file.columns.values() for leaf in facts.leaves.values())
    return "llava_cot" if file.rows and sections >= file.rows else ""


def _signs_of(file: FileSurvey, plan: FilePlan) -> Signs:
    """What the paths of all pictures that are read say."""
    read = plan.reads()
    used = [
        signs for name, signs in file.signs.items() if any(each == name or each.startswith(f"{name}.") for each in read)
    ]
    return reduce(combine, used, np.full(file.rows, NO_PICTURE, np.int8))


def _by_rows(plan: FilePlan, signs: Signs, archives: tuple[str, ...], can_tell: bool) -> FilePlan:
    numbers = {int(number): int(count) for number, count in zip(*np.unique(signs, return_counts=True), strict=True)}
    counts = {NAMES[number]: count for number, count in numbers.items() if number >= 0}
    if not plan.rows:
        return plan
    if not can_tell or (NOT_NAMED in numbers and not archives):
        return replace(plan, problems=(*plan.problems, NOTHING_TELLS))
    plan = replace(plan, signs=signs)
    if counts:
        plan = _because(plan, f"task: the archive each row's picture paths name, e.g. {shorten(counts)}")
    if unnamed := numbers.get(NOT_NAMED, 0):
        counts[""] = unnamed
        plan = _because(
            plan, f"task: the archive that holds a row's pictures ({unnamed:,} rows, whose paths name none)"
        )
    if without := numbers.get(NO_PICTURE, 0):
        counts[TEXT_TASK] = counts.get(TEXT_TASK, 0) + without
        plan = _because(plan, f"task {TEXT_TASK}: rows without any picture ({without:,})")
    if conflicts := numbers.get(CONFLICT, 0):
        plan = replace(plan, notes=(*plan.notes, f"{conflicts:,} rows name pictures of several tasks"))
    return replace(plan, counts=counts)
