"""The columns of files that are read alike, with the facts of all their rows, and what each column can be."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Literal

from toolkit.sources.published.shapes.facts import ColumnFacts, LeafFacts
from toolkit.sources.published.shapes.pictures import PART_TYPES, PATH_KEYS, is_picture_struct
from toolkit.sources.published.shapes.words import names_pictures

Sure = Literal["yes", "perhaps", "no"]
ROLE_OF = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "chatgpt": "assistant",
    "system": "system",
}
SURE_SHARE, PERHAPS_SHARE = 0.5, 0.1  # of values that are, or name, pictures
LONG_NAME_CHARS = 200  # mean length above which values are no names
FREE_TEXT_SHARE = 0.5  # of values that differ; below it they are categories


@dataclass(frozen=True)
class Table:
    """Attributes: columns: dotted name -> facts; columns of JSON objects are there as their keys."""

    columns: Mapping[str, ColumnFacts]
    rows: int

    def without(self, names: Iterable[str]) -> "Table":
        """The columns that are left when some have their use."""
        taken = set(names)
        return Table({name: facts for name, facts in self.columns.items() if name not in taken}, self.rows)


def merge(files: Iterable[tuple[int, Mapping[str, ColumnFacts]]]) -> Table:
    """One table of several files with the same columns: (rows, columns) of each."""
    parts = list(files)
    names = dict.fromkeys(name for _, columns in parts for name in columns)
    merged = (reduce(ColumnFacts.merge, (columns[name] for _, columns in parts if name in columns)) for name in names)
    return Table({facts.name: facts for whole in merged for facts in _expand(whole)}, sum(rows for rows, _ in parts))


def _expand(facts: ColumnFacts) -> Iterator[ColumnFacts]:
    """A column of JSON objects as a column for each key."""
    if not facts.is_json or not any(path.startswith("$.") for path in facts.leaves):
        yield facts
        return
    for name, leaves in _keys(facts.name, facts.inner()):
        nulls = facts.rows - leaves[""].filled if "" in leaves else 0
        yield ColumnFacts(name=name, type="json", rows=facts.rows, nulls=nulls, leaves=dict(leaves))


def _keys(name: str, leaves: Mapping[str, LeafFacts]) -> Iterator[tuple[str, Mapping[str, LeafFacts]]]:
    keys = dict.fromkeys(re.split(r"[.\[]", path[1:])[0] for path in leaves if path.startswith("."))
    if not keys or is_picture_struct(frozenset(keys)):
        yield name, leaves
        return
    for key in keys:
        start = f".{key}"
        inner = {path[len(start) :]: facts for path, facts in leaves.items() if path.startswith(start)}
        yield from _keys(f"{name}{start}", {path: facts for path, facts in inner.items() if path[:1] in ("", ".", "[")})


def holds_pictures(facts: ColumnFacts) -> Sure:
    """Whether a column names or holds pictures; "perhaps" is for a person to say."""
    leaves = facts.inner()
    if any(leaf.kind == "bytes" and leaf.count for leaf in leaves.values()):
        return (
            "yes" if all(leaf.encoded for leaf in leaves.values() if leaf.kind == "bytes" and leaf.count) else "perhaps"
        )
    if any(not re.fullmatch(r"(\[\])*(\.\w+(\[\])*)?", path) for path in leaves):
        return "no"
    keys = frozenset(path.rpartition(".")[2].replace("[]", "") for path in leaves if "." in path)
    texts = [leaf for path, leaf in leaves.items() if leaf.kind == "text" and (not keys or _last(path) in PATH_KEYS)]
    filled = sum(leaf.filled for leaf in texts)
    if not filled:
        return "no"
    share = sum(leaf.names + leaf.encoded for leaf in texts) / filled
    if keys and not is_picture_struct(keys):
        return "perhaps" if share >= SURE_SHARE and not (holds_turns(facts) or holds_parts(facts)) else "no"
    if share >= SURE_SHARE:
        return "yes"
    if names_pictures(facts.name):
        return "yes" if sum(leaf.chars for leaf in texts) <= LONG_NAME_CHARS * filled else "perhaps"
    return "perhaps" if share >= PERHAPS_SHARE else "no"


def _last(path: str) -> str:
    return path.rpartition(".")[2].replace("[]", "")


def holds_turns(facts: ColumnFacts) -> bool:
    """Whether a column holds conversations: {from, value} or {role, content}, most roles known."""
    leaves = facts.inner()
    if not any(path.startswith(("[].value", "[].content", "[].text")) for path in leaves):
        return False
    roles = next((leaves[path] for path in ("[].from", "[].role") if path in leaves and leaves[path].count), None)
    if roles is None or roles.values is None:
        return False
    known = sum(count for role, count in roles.values.items() if role.lower() in ROLE_OF)
    return known > SURE_SHARE * roles.count


def holds_parts(facts: ColumnFacts) -> bool:
    """Whether a column holds messages as lists of typed parts; of JSON text, all of it has to."""
    if facts.text.kind == "text":
        return 0 < facts.text.filled == facts.text.parts
    kinds = facts.leaves.get("[].type")
    return kinds is not None and bool(kinds.values) and set(kinds.values or ()) <= set(PART_TYPES)


def parts_are_text(facts: ColumnFacts) -> bool:
    """Whether messages of this column, or in its turns, are JSON text of typed parts, all of them."""
    texts = [leaf for path, leaf in facts.leaves.items() if path in ("", "[].content", "[].value")]
    return any(0 < leaf.filled == leaf.parts for leaf in texts)


def holds_text(facts: ColumnFacts) -> bool:
    """Whether a column holds messages: text, or lists of typed parts; also numbers, which are text of themselves."""
    return (facts.text.filled > 0 and facts.text.kind in ("text", "number")) or holds_parts(facts)


def is_free_text(facts: ColumnFacts) -> bool:
    """Whether texts are of their own, not one of a few categories."""
    values = facts.text.values
    if facts.text.kind != "text":
        return holds_parts(facts)
    return values is None or len(values) >= FREE_TEXT_SHARE * facts.text.filled
