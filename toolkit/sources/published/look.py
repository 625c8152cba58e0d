"""Look at a Parquet file and say how it would be read: sample -> FilePlan with reasons.

Upstream's columns were never seen by us, so every choice is a guess from content first and names second, says why, and
can be overridden by a mapping.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import yaml

from toolkit.errors import LayoutError, RowError, shorten
from toolkit.image_files import PATH_SUFFIXES
from toolkit.published import PUBLISHED
from toolkit.sources.parquet import open_parquet, read_records
from toolkit.sources.published.mapping import FilePlan, Overrides, override
from toolkit.sources.published.placing import PLACEHOLDERS
from toolkit.sources.published.shapes import COT_SECTIONS, Columns, named_paths, parse_json, references_in
from toolkit.sources.repository import Repository

SAMPLE_ROWS = 200
IMAGE_PATH = re.compile(rf"[^\n]{{1,1024}}\.({'|'.join(PATH_SUFFIXES)})", re.IGNORECASE)

# Names under which published vision-language sets keep each thing, most telling first.
NAMES = {
    "id": ("id", "uid", "uuid", "sample_id", "question_id", "key", "index", "idx"),
    "turns": ("conversations", "messages", "conversation", "dialogue", "dialog", "turns", "chat", "data"),
    "prompt": (
        "prompt",
        "instruction",
        "question",
        "query",
        "problem",
        "input",
        "source",
        "user",
        "edit_prompt",
        "request",
    ),
    "rationale": (
        "rationale",
        "reasoning",
        "cot",
        "chain_of_thought",
        "thought",
        "thoughts",
        "thinking",
        "reason",
        "explanation",
        "analysis",
    ),
    "answer": (
        "answer",
        "response",
        "output",
        "target",
        "completion",
        "solution",
        "reply",
        "conclusion",
        "assistant",
        "result",
    ),
    "captions": ("image_captions", "captions", "image_prompts", "alt_texts"),
}
PROMPT_SIDE = {
    "input",
    "source",
    "src",
    "original",
    "before",
    "question",
    "prompt",
    "query",
    "wrong",
    "incorrect",
    "reference",
    "user",
    "in",
}
ANSWER_SIDE = {
    "output",
    "target",
    "tgt",
    "edited",
    "result",
    "after",
    "answer",
    "response",
    "corrected",
    "correct",
    "generated",
    "assistant",
    "out",
}


def _squash(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


# Every spelling of a task, squashed: its name and the stem of its archive.
ALIASES = {
    _squash(alias): name
    for name, published in PUBLISHED.items()
    for alias in (name, published.archive.partition(".")[0])
    if alias
}
ALIASES["imagecorrection"] = "image_correction"


def task_named_in(text: str) -> str:
    """The task whose name, or whose archive's name, occurs as whole words in a path or a value; "" if none.

    The longest name wins: "MMReasoning_MM/3.png" is mm_reasoning_mm.
    """
    words = re.findall(r"[A-Za-z0-9]+", text)
    spans = (_squash("".join(words[i:j])) for i in range(len(words)) for j in range(i + 1, min(i + 4, len(words)) + 1))
    return ALIASES.get(max((span for span in spans if span in ALIASES), key=len, default=""), "")


def look(repository: Repository, path: str, overrides: Overrides) -> FilePlan:
    """How one Parquet file is read: guessed from its first rows, then overridden.

    Raises:
        LayoutError: it fits no known shape, or no task can be told; shows the columns, a sample and the mapping to
            write.
        ShardError: it is not whole.
        MappingError: an override does not fit the file.
    """
    with open_parquet(repository, path) as parquet:
        names = parquet.schema_arrow.names
        sample = _Sample(list(islice(read_records(parquet), SAMPLE_ROWS)), names)
    plan = override(_guess(path, sample), overrides, names)
    if sample.records and (problem := _problem(plan, sample)):
        raise LayoutError(_explain(repository.name, path, sample, plan, problem))
    return plan


@dataclass(frozen=True)
class _Sample:
    """The first rows of a file, and what each column holds."""

    records: list[dict[str, Any]]
    names: list[str]

    def values(self, column: str) -> list[Any]:
        return [record[column] for record in self.records if record[column] not in (None, "", [])]

    def columns(self, test: Callable[[Any], bool]) -> list[str]:
        """Columns most of whose values pass a test: a few bad rows do not hide what a column is."""
        return [
            name for name in self.names if (values := self.values(name)) and 2 * sum(map(test, values)) > len(values)
        ]


def _guess(path: str, sample: _Sample) -> FilePlan:
    columns, reasons = _guess_columns(sample)
    plan = FilePlan(path=path, shape="turns" if columns.turns else "columns", columns=columns)
    placeholder, why = _guess_placeholder(sample)
    plan = replace(plan, placeholder=placeholder)
    return _guess_task(replace(plan, reasons=(*reasons, why)), sample)


def _guess_columns(sample: _Sample) -> tuple[Columns, list[str]]:
    images = sample.columns(_is_image_value)
    turns = _first_named("turns", sample.columns(_is_turns))
    texts = [name for name in sample.columns(_is_message) if name not in images]
    found: dict[str, Any] = {
        "id": _first_named("id", sample.columns(lambda value: isinstance(value, (str, int)))),
        "turns": turns,
    }
    if not turns:
        for use in ("prompt", "rationale", "answer"):
            found[use] = _first_named(use, [name for name in texts if name not in found.values()])
    found["captions"] = next(
        (name for name in NAMES["captions"] if name in sample.names and _is_aligned(sample, name, images)), ""
    )
    for name in images:
        found.setdefault(_side(name), []).append(name)
    reasons = [
        f"{use} <- column {name if isinstance(name, str) else ', '.join(name)}" for use, name in found.items() if name
    ]
    chosen: dict[str, Any] = {use: tuple(name) if isinstance(name, list) else name for use, name in found.items()}
    return Columns(**chosen), reasons


def _first_named(use: str, candidates: list[str]) -> str:
    by_name = {name.lower(): name for name in candidates}
    known = next((by_name[name] for name in NAMES[use] if name in by_name), "")
    return known or (candidates[0] if use == "turns" and candidates else "")


def _side(column: str) -> str:
    words = set(re.findall(r"[a-z]+", column.lower()))
    if words & PROMPT_SIDE:
        return "prompt_images"
    return "answer_images" if words & ANSWER_SIDE else "images"


def _is_turns(value: Any) -> bool:
    value = parse_json(value)
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(turn, dict) and ("from" in turn or "role" in turn) for turn in value)
    )


def _is_message(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(part, (str, dict)) for part in value))


def _is_image_value(value: Any) -> bool:
    if isinstance(value, dict) and isinstance(value.get("bytes"), bytes):
        return True
    if _is_turns(value) or (
        isinstance(value, list) and any(isinstance(part, dict) and part.get("type") == "text" for part in value)
    ):
        return False
    found = references_in(value)
    return bool(found) and all(reference.bytes or IMAGE_PATH.fullmatch(reference.path) for reference in found)


def _is_aligned(sample: _Sample, captions: str, images: list[str]) -> bool:
    pool = [name for name in images if _side(name) == "images"]
    return bool(pool) and all(
        isinstance(texts := parse_json(record[captions]), list)
        and len(texts) == sum(len(references_in(record[name])) for name in pool)
        for record in sample.records
    )


def _guess_placeholder(sample: _Sample) -> tuple[str, str]:
    texts = [text for record in sample.records for value in record.values() for text in _texts(value)]
    counts = Counter(
        {name: sum(len(pattern.findall(text)) for text in texts) for name, pattern in PLACEHOLDERS.items()}
    )
    if counts["<img>path</img>"]:
        del counts["<img>"]  # the same tags
    name, count = max(counts.items(), key=lambda item: item[1])
    return (
        (name, f"placeholder {name}: {count} in the sample")
        if count
        else ("<image>", "placeholder <image>: none seen in the sample")
    )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _guess_task(plan: FilePlan, sample: _Sample) -> FilePlan:
    columns = plan.columns.named()
    for name in sample.columns(
        lambda value: isinstance(value, str) and "/" not in value and bool(task_named_in(value))
    ):
        if name not in columns:
            values = {value: task for value in sample.values(name) if (task := task_named_in(str(value)))}
            return replace(
                plan,
                task_column=name,
                task_values=values,
                reasons=(*plan.reasons, f"task <- column {name}, e.g. {shorten(values)}"),
            )
    if task := task_named_in(plan.path):
        return replace(plan, task=task, reasons=(*plan.reasons, f"task {task}: named in the file's path"))
    in_paths = {task_named_in(path) for record in sample.records for path in _paths(record, plan)} - {""}
    if in_paths:
        return replace(
            plan, reasons=(*plan.reasons, f"task: the archive each row's picture paths name, e.g. {shorten(in_paths)}")
        )
    if {"source", "target", "rationale"} <= set(sample.names):
        return replace(
            plan,
            task="cot_collection",
            reasons=(*plan.reasons, "task cot_collection: columns source, target, rationale"),
        )
    if any(
        COT_SECTIONS.search(text) for record in sample.records for value in record.values() for text in _texts(value)
    ):
        return replace(
            plan,
            task="llava_cot",
            reasons=(*plan.reasons, "task llava_cot: answers in <SUMMARY> ... <CONCLUSION> sections"),
        )
    return plan


def _paths(record: dict[str, Any], plan: FilePlan) -> Iterable[str]:
    try:
        return named_paths(record, shape=plan.shape, columns=plan.columns)
    except (RowError, KeyError, TypeError):
        return []


def task_of(record: dict[str, Any], plan: FilePlan) -> str:
    """The task of one row.

    Raises:
        RowError: "unknown_task".
    """
    if plan.task:
        return plan.task
    if plan.task_column:
        value = str(record[plan.task_column])
        if task := plan.task_values.get(value) or task_named_in(value):
            return task
        raise RowError(
            f"column {plan.task_column!r} is {value!r}, which names no task; add it to task.values of a mapping",
            kind="unknown_task",
        )
    if named := Counter(filter(None, map(task_named_in, named_paths(record, shape=plan.shape, columns=plan.columns)))):
        return named.most_common(1)[0][0]
    raise RowError("no picture path names a task's archive; give the task in a mapping", kind="unknown_task")


def _problem(plan: FilePlan, sample: _Sample) -> str:
    columns = plan.columns
    if plan.shape == "turns" and not columns.turns:
        return "shape 'turns' needs the column that holds them"
    if plan.shape == "columns" and not (columns.prompt and (columns.answer or columns.answer_images or columns.images)):
        return "no column holds a conversation, and prompt and answer were not both found"
    if (
        not plan.task
        and not plan.task_column
        and not any(task_named_in(path) for record in sample.records for path in _paths(record, plan))
    ):
        return "nothing tells the task: no column, file name or picture path names one"
    return ""


def _explain(name: str, path: str, sample: _Sample, plan: FilePlan, problem: str) -> str:
    first = {column: repr(value)[:100] for column, value in sample.records[0].items()}
    shown = "\n".join(f"    {column}: {value}" for column, value in first.items())
    draft = yaml.safe_dump(
        {"files": {path: {"task": "", "shape": "", **plan.to_yaml()}}}, sort_keys=False, allow_unicode=True
    ).rstrip()
    indented = "\n".join(f"    {line}" for line in draft.splitlines())
    return (
        f"{name}: {path}: {problem}.\n  Its first row:\n{shown}\n  Complete this as a file and pass it as "
        f"mapping (--mapping FILE):\n{indented}"
    )
