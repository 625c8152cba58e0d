"""The vocabulary of tasks: the nine of the paper (arXiv 2509.14738), and what others add.

What is published about the nine stands in `published`. Another task is a `Task` that an installed package declares in
the entry-point group `unifiedvisual.tasks` under its name, or that is named as "module:NAME" or "path/to/file.py:NAME".
A packed dataset carries the definitions of its tasks that are not of the nine, in its manifest.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from toolkit.errors import UnknownName, UsageError
from toolkit.registry import Registry

NOT_STATED = "not stated"

# Input modality -> output modality; "mm" means that pictures take part.
QUADRANTS = ("mm-mm", "mm-text", "text-mm", "text-text")
OUTPUTS = ("last", "all", "none")
TASK_NAME = re.compile(r"[a-z][a-z0-9_]*")
_PREFIX = re.compile(r"[a-z0-9_-]+")


@dataclass(frozen=True, kw_only=True)
class Task:
    """One kind of row.

    Attributes:
        name: config name, folder of the packed layout and value of the `task` column; `[a-z][a-z0-9_]*`.
        prefix: start of every id of the task; default: the name.
        family: tasks of one family are a config together; default: the name, a family of its own.
        quadrant: of its rows, where all have the same; "" = differs from row to row. A row's own `quadrant` column is
            computed from the row.
        outputs: which pictures of an answer are targets (`output`); the others are part of a rationale
            (`intermediate`).
        description: what its rows are, in one line, for tables and cards.

    Raises:
        UsageError: a value is not of the form above.
    """

    name: str
    prefix: str = ""
    family: str = ""
    quadrant: str = ""
    outputs: Literal["last", "all", "none"] = "last"
    description: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "prefix", self.prefix or self.name)
        object.__setattr__(self, "family", self.family or self.name)
        for what, value, pattern in (
            ("name", self.name, TASK_NAME),
            ("family", self.family, TASK_NAME),
            ("prefix", self.prefix, _PREFIX),
        ):
            if not pattern.fullmatch(value):
                raise UsageError(f"task {self.name!r}: {what} is {value!r}; expected {pattern.pattern}")
        for what, value, known in (("quadrant", self.quadrant, ("", *QUADRANTS)), ("outputs", self.outputs, OUTPUTS)):
            if value not in known:
                raise UsageError(
                    f"task {self.name!r}: {what} is {value!r}; expected one of {', '.join(map(repr, known))}"
                )


IMAGE_GENERATION = Task(
    name="image_generation", prefix="ig", family="visual_generation", quadrant="text-mm", outputs="last"
)
IMAGE_EDITING = Task(name="image_editing", prefix="ie", family="visual_generation", quadrant="mm-mm", outputs="last")
IMAGE_CORRECTION = Task(
    name="image_correction", prefix="ic", family="visual_generation", quadrant="mm-mm", outputs="last"
)
MM_REASONING_O = Task(
    name="mm_reasoning_o", prefix="mro", family="multimodal_reasoning", quadrant="mm-mm", outputs="none"
)
MM_REASONING_MM = Task(
    name="mm_reasoning_mm", prefix="mrm", family="multimodal_reasoning", quadrant="mm-mm", outputs="none"
)
MM_REASONING_T = Task(
    name="mm_reasoning_t", prefix="mrt", family="multimodal_reasoning", quadrant="text-mm", outputs="none"
)
MM_INTERNET = Task(name="mm_internet", prefix="mi", family="multimodal_internet", quadrant="text-mm", outputs="all")
LLAVA_COT = Task(name="llava_cot", prefix="lc", family="understanding", quadrant="mm-text", outputs="none")
COT_COLLECTION = Task(name="cot_collection", prefix="cc", family="understanding", quadrant="text-text", outputs="none")

# The nine, in the order of the paper.
TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        IMAGE_GENERATION,
        IMAGE_EDITING,
        IMAGE_CORRECTION,
        MM_REASONING_O,
        MM_REASONING_MM,
        MM_REASONING_T,
        MM_INTERNET,
        LLAVA_COT,
        COT_COLLECTION,
    )
}

# The nine, and those that installed packages declare.
KNOWN_TASKS = Registry(
    "tasks",
    {
        **{name: f"toolkit.tasks:{name.upper()}" for name in TASKS},
        # A task of this package that is not of the nine: "name": "toolkit.tasks:NAME",
    },
)

FAMILIES: dict[str, tuple[str, ...]] = {
    family: tuple(t.name for t in TASKS.values() if t.family == family)
    for family in {t.family: None for t in TASKS.values()}
}

Vocabulary = Mapping[str, Task]  # task name -> its definition
NO_TASKS: Vocabulary = {}


def find_task(name: str) -> Task:
    """The task of a name, or of "module:NAME" or "path/to/file.py:NAME".

    Raises:
        UnknownName: no such task; lists the known. UsageError: it cannot be loaded, is no `Task`, or has another name
            than the one under which it is declared.
    """
    if name in TASKS:
        return TASKS[name]
    found = KNOWN_TASKS.load(name)
    if not isinstance(found, Task):
        raise UsageError(f"task {name!r} is {found!r}; expected a toolkit.tasks.Task")
    if ":" not in name and found.name != name:
        raise UsageError(f"task {name!r} is declared under a name that is not its own, {found.name!r}")
    if ":" in name and found.name in TASKS:
        raise UsageError(f"task {name!r} has the name of one of the nine, {found.name!r}; choose another")
    return found


def task_named(name: str, vocabulary: Vocabulary = NO_TASKS) -> Task:
    """A task for display: its definition in the vocabulary or in `KNOWN_TASKS`, else its name alone."""
    if name in vocabulary:
        return vocabulary[name]
    return find_task(name) if name in KNOWN_TASKS else Task(name=name)


def describe_tasks(names: Iterable[str], vocabulary: Vocabulary = NO_TASKS) -> dict[str, Task]:
    """Definitions of those tasks that are not of the nine.

    Raises:
        UnknownName: a task is defined nowhere; lists the known.
    """
    return {name: vocabulary[name] if name in vocabulary else find_task(name) for name in names if name not in TASKS}


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Each task once: the nine in table order, then others by name."""
    wanted = set(names)
    return (*(name for name in TASKS if name in wanted), *sorted(wanted - TASKS.keys()))


def configs_of(tasks: Iterable[Task]) -> dict[str, tuple[str, ...]]:
    """Config name -> its tasks: "all", the families of several tasks, and the tasks.

    Raises:
        UsageError: a task has the name of a family of others, or is called "all".
    """
    named = {task.name: task for task in tasks}
    families: dict[str, list[str]] = {}
    for task in named.values():
        families.setdefault(task.family, []).append(task.name)
    groups = {"all": tuple(named), **{family: tuple(names) for family, names in families.items() if len(names) > 1}}
    if taken := sorted(groups.keys() & named.keys()):
        raise UsageError(f"task {taken[0]!r} has the name of a config of several tasks; choose another name")
    return {**groups, **{name: (name,) for name in named}}


CONFIGS = configs_of(TASKS.values())


def tasks_of(config: str, vocabulary: Vocabulary = NO_TASKS) -> tuple[str, ...]:
    """Names of the tasks that a config holds, the nine in table order, then others.

    Args:
        vocabulary: tasks of a dataset that are not of the nine.

    Raises:
        UnknownName: no such config; lists the known ones.
    """
    configs = configs_of((*TASKS.values(), *vocabulary.values()))
    if config not in configs:
        raise UnknownName("config", config, configs)
    return configs[config]
