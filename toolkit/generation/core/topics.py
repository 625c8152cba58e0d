"""Topics and scenes that recipes start from where no picture is given. The paper's lists were not seen by us; ours are
24 x 12. A spec may name a file with others:

    [breakfast, gardening]                       # topics; the scenes stay
    topics: {cooking: [bread, soup], sport: {on ice: [curling]}}       # a tree: its leaves count, with their way down
    scenes: [at dawn, close up]
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from toolkit.errors import UsageError, reason_of
from toolkit.generation.core.keys import digest
from toolkit.parsing import load_yaml

TOPICS = (
    *("breakfast", "gardening", "a birthday", "travel by train", "a rainy day", "the sea", "a market", "music"),
    *("winter sports", "a school day", "astronomy", "a farm", "cooking", "a picnic", "a workshop", "city traffic"),
    *("a harbour", "a forest walk", "reading", "pets", "a museum", "a wedding", "harvest", "the desert"),
)
SCENES = (
    *("seen from above", "early in the morning", "at night under lamps", "in a small room", "on a table"),
    *("through a window", "as a child would draw it", "in heavy snow", "just before it begins"),
    *("when everybody has left", "close up", "from far away"),
)
WAY = ": "  # between the steps down a tree


@dataclass(frozen=True, kw_only=True)
class Topics:
    """Every pair of a topic and a scene comes once before one comes again."""

    topics: tuple[str, ...] = TOPICS
    scenes: tuple[str, ...] = SCENES

    def __len__(self) -> int:
        return len(self.topics) * len(self.scenes)

    @property
    def sha256(self) -> str:
        """ "" = those that come along."""
        return "" if self == Topics() else digest([self.topics, self.scenes])

    def pair(self, index: int, seed: int) -> dict[str, str]:
        """Topic and scene of a sample."""
        step = int(0.441 * len(self))  # far apart, so that neighbours differ in both
        while math.gcd(step, len(self)) != 1:
            step += 1
        number = (index * step + seed) % len(self)
        return {"topic": self.topics[number % len(self.topics)], "scene": self.scenes[number // len(self.topics)]}


def read_topics(path: Path) -> Topics:
    """
    Raises:
        UsageError: the file cannot be read, or holds something else.
    """
    content = read_tree(path)
    if not (isinstance(content, dict) and content.keys() <= {"topics", "scenes"}):
        content = {"topics": content}
    topics = tuple(dict.fromkeys(leaves(content.get("topics") or list(TOPICS), path)))
    scenes = tuple(dict.fromkeys(leaves(content.get("scenes") or list(SCENES), path)))
    return Topics(topics=topics, scenes=scenes)


def read_tree(path: Path) -> Any:
    """The YAML of a file of topics; a text file has one a line."""
    try:
        if path.suffix == ".txt":
            return [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        tree = load_yaml(path.read_bytes())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: cannot be read as YAML: {reason_of(error)}") from error
    if tree is not None and not isinstance(tree, dict | list):
        shown = str(tree)[:60]
        raise UsageError(f"{path}: is one text, {shown!r}; expected a list or a tree, or topics.txt with one a line")
    return tree


def leaves(tree: Any, path: Path, way: tuple[str, ...] = ()) -> Iterator[str]:
    """The ends of a tree of lists and mappings, each with its way down."""
    if isinstance(tree, dict):
        for name, below in tree.items():
            yield from leaves(below, path, (*way, str(name)))
    elif isinstance(tree, list):
        for each in tree:
            yield from leaves(each, path, way)
    elif tree is None and way:
        yield WAY.join(way)
    elif isinstance(tree, str | int | float) and str(tree).strip():
        yield WAY.join((*way, str(tree).strip()))
    else:
        raise UsageError(f"{path}: {tree!r} is no topic; expected a list of texts, or a tree of them")
