"""What all rows of a table say of its columns: counts, never a sample. Facts of several files add up."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from toolkit.sources.published.shapes.pictures import MAX_NAME, SUFFIXES, is_encoded, is_parts_text, is_picture_name
from toolkit.sources.published.shapes.placeholders import find_known, likely_tags
from toolkit.sources.published.shapes.words import are_keys_of_turns

MAX_VALUES, MAX_VALUE_CHARS = 256, 100  # of distinct values that are kept
SHOWN_EXAMPLES = 2
HEAD, TAIL = 96, 16  # code points at the start and end of a text that are looked at
NAME_TAIL = rf"(?i)\.(?:{SUFFIXES})\s*(?:[?#]\S*)?$"
ENCODED_HEAD = r"^\s*(?:(?i:data:image/)|[A-Za-z0-9+/\r\n]{60})"
SECTIONS = "</CONCLUSION>"  # Source: Xkev/LLaVA-CoT-100k


@dataclass(kw_only=True)
class LeafFacts:
    """What the values at one place of a column are.

    Attributes:
        kind: "text", "bytes", "number", "other"; "" = null throughout.
        count, nulls, blanks: values that are there, null, and there but blank.
        chars: of all values together.
        names, encoded: values that are file names of pictures, and pictures in base64.
        brackets, parts: values that begin as JSON does, and those that are JSON text of typed parts.
        sections: values with the sections of LLaVA-CoT.
        values: distinct value -> how often; None where there are more than MAX_VALUES.
        tags: kind of placeholder -> how often it occurs; unknown: the same for what only looks like one.
        examples: the first few values.
    """

    kind: str = ""
    count: int = 0
    nulls: int = 0
    blanks: int = 0
    chars: int = 0
    names: int = 0
    encoded: int = 0
    brackets: int = 0
    parts: int = 0
    sections: int = 0
    values: dict[str, int] | None = field(default_factory=dict)
    tags: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    @property
    def filled(self) -> int:
        return self.count - self.blanks

    def add(self, values: pa.Array) -> NDArray[np.bool_] | None:
        """Count more values, NaN as null; returns which of them name or are a picture, None where none does."""
        if pa.types.is_floating(values.type):
            values = pc.if_else(pc.is_nan(values), None, values)
        self.nulls += values.null_count
        self.count += len(values) - values.null_count
        if len(values) == values.null_count:
            return None
        kind = _kind_of(values.type)
        self.kind = kind if self.kind in ("", kind) else "other"
        if kind == "text":
            return self._add_texts(values)
        if kind == "number":
            self._add_values(pc.cast(values, pa.string()))
        return None

    def _add_texts(self, values: pa.Array) -> NDArray[np.bool_] | None:
        lengths = pc.fill_null(pc.binary_length(values), 0).to_numpy(zero_copy_only=False)
        self.chars += int(lengths.sum())
        heads = pc.utf8_slice_codeunits(values, 0, HEAD)
        trimmed = pc.utf8_ltrim_whitespace(heads)
        self.blanks += _how_many(pc.equal(pc.binary_length(trimmed), 0))
        brackets = pc.fill_null(pc.match_substring_regex(trimmed, r"^[\[{]"), False)
        if brackets.true_count:
            self.brackets += brackets.true_count
            self.parts += sum(map(is_parts_text, values.filter(brackets).to_pylist()))
        self._add_values(values)
        self._add_tags(values.to_pylist())
        named = _are_names(values, lengths)
        self.names += int(named.sum())
        encoded = pc.fill_null(pc.match_substring_regex(heads, ENCODED_HEAD), False)
        if encoded.true_count:
            places = np.flatnonzero(encoded.to_numpy(zero_copy_only=False))
            found = [place for place in places if is_encoded(values[int(place)].as_py())]
            self.encoded += len(found)
            named[found] = True
        return named if named.any() else None

    def _add_values(self, values: pa.Array) -> None:
        if len(self.examples) < SHOWN_EXAMPLES:
            shown = (value[:MAX_VALUE_CHARS] for value in values.slice(0, 20).to_pylist() if value)
            self.examples = list(dict.fromkeys([*self.examples, *shown]))[:SHOWN_EXAMPLES]
        if self.values is None:
            return
        for pair in pc.value_counts(values.drop_null()).to_pylist():
            self.values[pair["values"]] = self.values.get(pair["values"], 0) + pair["counts"]
            if len(self.values) > MAX_VALUES or len(pair["values"]) > MAX_VALUE_CHARS:
                self.values = None
                return

    def _add_tags(self, texts: Iterable[str | None]) -> None:
        for text in texts:
            if not text or not ("<" in text or "[" in text or "{" in text or "![" in text):
                continue
            plain = text.count("<image>")
            if plain and text.count("<") == plain and "[" not in text and "{" not in text:
                self.tags["<image>"] += plain
                continue
            self.sections += SECTIONS in text
            self.tags.update(tag.kind for tag in find_known(text))
            self.unknown.update(likely_tags(text))

    def merge(self, other: "LeafFacts") -> "LeafFacts":
        """The sum of two."""
        values = None if self.values is None or other.values is None else Counter(self.values) + Counter(other.values)
        kinds = {self.kind, other.kind} - {""}
        numbers = {name: getattr(self, name) + getattr(other, name) for name in NUMBERS}
        return LeafFacts(
            kind=kinds.pop() if len(kinds) == 1 else "other" if kinds else "",
            values=None if values is None or len(values) > MAX_VALUES else dict(values),
            tags=self.tags + other.tags,
            unknown=self.unknown + other.unknown,
            examples=list(dict.fromkeys([*self.examples, *other.examples]))[:SHOWN_EXAMPLES],
            **numbers,
        )


NUMBERS = ("count", "nulls", "blanks", "chars", "names", "encoded", "brackets", "parts", "sections")


def _kind_of(kind: pa.DataType) -> str:
    types = pa.types
    if (
        types.is_string(kind)
        or types.is_large_string(kind)
        or getattr(types, "is_string_view", lambda kind: False)(kind)
    ):
        return "text"
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return "bytes"
    return "number" if types.is_integer(kind) or types.is_boolean(kind) or types.is_floating(kind) else "other"


def _how_many(mask: pa.Array) -> int:
    return int(pc.fill_null(mask, False).true_count)


def _are_names(values: pa.Array, lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which texts are file names of pictures; looked at from their ends, where nearly all texts are told not to be."""
    ends = pc.match_substring_regex(pc.utf8_slice_codeunits(values, -TAIL, None), NAME_TAIL)
    named: NDArray[np.bool_] = pc.fill_null(ends, False).to_numpy(zero_copy_only=False).copy()
    starts = pc.fill_null(pc.match_substring_regex(pc.utf8_slice_codeunits(values, 0, 8), r"(?i)^\s*https?:"), False)
    named |= starts.to_numpy(zero_copy_only=False)
    named &= lengths <= MAX_NAME
    for place in np.flatnonzero(named):
        named[place] = is_picture_name(values[int(place)].as_py())
    return named


@dataclass(kw_only=True)
class ColumnFacts:
    """One column, by its dotted name, over all rows.

    Attributes:
        type: Arrow's, as text.
        rows, nulls: of the table; those whose value is null, blank or an empty list.
        parsed: values that are JSON text of a list or an object.
        lengths: digest of the length of every row's list; equal digests, equal lengths.
        labels: names behind whole numbers (`datasets`' ClassLabel).
        leaves: path inside the column -> facts; those inside JSON text begin with "$".
        is_heavy: its values are large, so only the first few were read.
    """

    name: str
    type: str
    rows: int = 0
    nulls: int = 0
    parsed: int = 0
    lengths: str = ""
    labels: tuple[str, ...] = ()
    leaves: dict[str, LeafFacts] = field(default_factory=dict)
    is_heavy: bool = False

    def leaf(self, path: str) -> LeafFacts:
        return self.leaves.setdefault(path, LeafFacts())

    def add_lengths(self, lengths: NDArray[np.int64]) -> None:
        self.lengths = blake2b(self.lengths.encode() + lengths.tobytes(), digest_size=8).hexdigest()

    @property
    def text(self) -> LeafFacts:
        return self.leaves.get("", LeafFacts())

    @property
    def filled(self) -> int:
        return self.rows - self.nulls

    @property
    def has_values(self) -> bool:
        """Whether anything but null is in it, at any place."""
        return any(leaf.count for leaf in self.leaves.values())

    @property
    def is_json(self) -> bool:
        """Whether it holds lists or objects as text: nearly all of its values do."""
        return self.parsed > 0 and 2 * self.parsed > self.text.filled

    def inner(self) -> dict[str, LeafFacts]:
        """Leaves as if JSON text were what it says."""
        if self.type.startswith("struct") and (table := self._as_table()):
            return table
        if not self.is_json:
            return {path: facts for path, facts in self.leaves.items() if not path.startswith("$")}
        return {path[1:]: facts for path, facts in self.leaves.items() if path.startswith("$")}

    def _as_table(self) -> dict[str, LeafFacts]:
        """Leaves of a struct of lists as those of a list of structs; empty where it is something else."""
        found = {
            match: facts for path, facts in self.leaves.items() if (match := re.fullmatch(r"\.(\w+)\[\](.*)", path))
        }
        is_table = len(found) == len(self.leaves) and are_keys_of_turns(frozenset(match[1] for match in found))
        return {f"[].{match[1]}{match[2]}": facts for match, facts in found.items()} if is_table else {}

    def merge(self, other: "ColumnFacts") -> "ColumnFacts":
        empty = LeafFacts()
        paths = dict.fromkeys([*self.leaves, *other.leaves])
        return ColumnFacts(
            name=self.name,
            type=self.type if other.type in (self.type, "null") else other.type if self.type == "null" else "mixed",
            rows=self.rows + other.rows,
            nulls=self.nulls + other.nulls,
            parsed=self.parsed + other.parsed,
            lengths=self.lengths + other.lengths,
            labels=self.labels or other.labels,
            leaves={path: self.leaves.get(path, empty).merge(other.leaves.get(path, empty)) for path in paths},
            is_heavy=self.is_heavy or other.is_heavy,
        )

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "leaves": {path: vars(leaf) for path, leaf in self.leaves.items()}}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "ColumnFacts":
        leaves = {
            path: LeafFacts(**{**facts, "tags": Counter(facts["tags"]), "unknown": Counter(facts["unknown"])})
            for path, facts in content["leaves"].items()
        }
        return cls(**{**content, "leaves": leaves, "labels": tuple(content["labels"])})
