"""JSON and YAML from others, within limits: nothing runs forever or ends in a RecursionError."""

import json
from collections.abc import Hashable
from typing import Any

import yaml

from toolkit.errors import SourceError

MAX_DEPTH = 100  # of YAML that people write, and of our own JSON
MAX_VALUES = 200_000  # of YAML, aliases followed
MAX_DIGITS = 1_000  # of a number in YAML; 1:1:1:... takes time that grows with the square


def load_json(text: str | bytes) -> Any:
    """
    Raises:
        ValueError: it is not JSON, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("not JSON that can be read: nested too deeply") from None


def check_depth(value: Any) -> None:
    """
    Raises:
        ValueError: lists and mappings are nested deeper than MAX_DEPTH.
    """
    level = [value]
    for _ in range(MAX_DEPTH):
        inside = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)]
        level = [value for values in inside for value in values]
        if not level:
            return
    raise ValueError(f"nested deeper than {MAX_DEPTH} levels")


def load_record(text: str | bytes, where: str) -> dict[str, Any]:
    """
    Args:
        where: the text stands, for messages: "rows.jsonl: line 3".

    Raises:
        SourceError: it is not a JSON object.
    """
    try:
        record = load_json(text)
    except ValueError as error:
        raise SourceError(f"{where}: not JSON ({error}); expected an object") from error
    if not isinstance(record, dict):
        raise SourceError(f"{where}: {type(record).__name__}; expected an object")
    return record


def load_yaml(data: bytes) -> Any:
    """Plain YAML in UTF-8. Aliases are followed as far as MAX_VALUES allows, and no key may stand twice.

    Raises:
        yaml.YAMLError: it is not YAML, a key is doubled, or it is too deep or too large.
    """
    try:
        text = data.decode("utf-8-sig")
        _check_size(text)
        return yaml.load(text, Loader=_Loader)  # a safe loader
    except (ValueError, OverflowError) as error:  # no UTF-8, 2026-13-45, a number of 5,000 digits
        raise yaml.YAMLError(f"a value that is none: {error}") from error
    except (LookupError, AttributeError) as error:  # what yaml comes to at !!bool maybe, !!int '' and !!timestamp soon
        raise yaml.YAMLError(f"a value that is not of the kind its tag says ({error})") from error


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
                seen.add(key.value)
        found: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return found


def _number(loader: _Loader, node: yaml.ScalarNode) -> Any:
    if len(node.value) > MAX_DIGITS:
        raise yaml.constructor.ConstructorError(None, None, f"a number of {len(node.value):,} letters", node.start_mark)
    return yaml.SafeLoader.yaml_constructors[node.tag](loader, node)


for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _number)


def _check_size(text: str) -> None:
    """Counts what would be built, without building it."""
    sizes: dict[str, int] = {}  # anchor -> values in it, aliases followed
    open_: list[tuple[str | None, int]] = []  # anchor, and how many values there were before
    count = 0
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in open_):
                raise yaml.YAMLError(f"*{event.anchor} lies within what it names")
            count += sizes.get(str(event.anchor), 1)
        elif isinstance(event, yaml.NodeEvent):
            count += 1
            if isinstance(event, yaml.CollectionStartEvent):
                open_.append((event.anchor, count - 1))
            elif event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_.pop()
            if anchor:
                sizes[anchor] = count - before
        if len(open_) > MAX_DEPTH or count > MAX_VALUES:
            raise yaml.YAMLError(f"more than {MAX_DEPTH} levels, or {MAX_VALUES:,} values with aliases followed")
