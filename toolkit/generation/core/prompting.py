"""Prompts: `<name>@<version>.yaml`, never changed once released; their sha256 is part of every call and every row.

role: judge                  who is asked: text, vision, judge, image, retrieve
kind: chat                   chat | generate | edit | retrieve
system: You compare ...      chat only
user: "The text: {caption}"  {names} are filled in, nothing else in braces is allowed
schema: {...}                chat only: of the reply; every property is required and no other allowed
"""

import hashlib
import string
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from toolkit.errors import UnknownName, UsageError
from toolkit.generation.core.replies import TYPES
from toolkit.generation.core.spec import ROLES
from toolkit.parsing import load_yaml

Kind = Literal["chat", "generate", "edit", "retrieve"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    name: str  # with its version: "edit_instruction@1"
    role: str
    kind: Kind
    system: str
    user: str
    schema: dict[str, Any] | None
    sha256: str

    @property
    def step(self) -> str:
        """Its name without the version."""
        return self.name.partition("@")[0]

    @property
    def names(self) -> frozenset[str]:
        """Of the values that are filled in."""
        return _names_in(self.user)

    def fill(self, values: Mapping[str, Any]) -> str:
        """The user's text; values are put in as they are, braces in them mean nothing.

        Raises:
            UsageError: a name without a value.
        """
        missing = self.names - set(values)
        if missing:
            raise UsageError(f"prompt {self.name}: no value for {sorted(missing)}; given: {sorted(values)}")
        return self.user.format(**values).strip()


@cache
def _names_in(template: str) -> frozenset[str]:
    return frozenset(name for _, name, _, _ in string.Formatter().parse(template) if name)


def find_prompts(names: Iterable[str], folders: Iterable[Path]) -> dict[str, Prompt]:
    """Prompts by name; of several files of a name that of the first folder.

    Raises:
        UnknownName: none of the folders has it. UsageError: a file is not a prompt.
    """
    files = {path.name.removesuffix(".yaml"): path for folder in reversed([*folders]) for path in folder.glob("*.yaml")}
    for name in names:
        if name not in files:
            raise UnknownName("prompt", name, files)
    return {name: read_prompt(files[name]) for name in names}


def step_of(name: str) -> str:
    """A prompt's name without its version."""
    return name.partition("@")[0]


def own_names(folder: Path) -> set[str]:
    """Of the prompts in a folder of a spec; "" has none."""
    return set() if folder == Path() else {path.name.removesuffix(".yaml") for path in folder.glob("*.yaml")}


def find_own(folder: Path, asked: Iterable[str]) -> dict[str, Prompt]:
    """Prompts of a folder that take the place of those that are asked, by the names of those; a file is named as they
    are, or by their step alone, for every version.

    Raises:
        UsageError: there is no such folder, or a file is not a prompt.
    """
    if not folder.is_dir():
        raise UsageError(f"prompts: {folder} is no folder")
    names = own_names(folder)
    found = {}
    for name in asked:
        own = name if name in names else step_of(name)
        if own in names:
            found[name] = read_prompt(folder / f"{own}.yaml")
    return found


def check_own(own: Prompt, replaced: Prompt, columns: Collection[str]) -> None:
    """
    Raises:
        UsageError: a prompt cannot take the place of another: it asks somebody else, names what it is not given, or
            its reply leaves out what the recipe reads.
    """
    place = f"prompts: {own.name} in place of {replaced.name}"
    if (own.role, own.kind) != (replaced.role, replaced.kind):
        expected = f"{replaced.role} and {replaced.kind}"
        raise UsageError(f"{place}: role and kind are {own.role} and {own.kind}; expected {expected}")
    if unknown := sorted(own.names - replaced.names - set(columns)):
        known = sorted({*replaced.names, *columns})
        raise UsageError(f"{place}: names {', '.join(unknown)}; known: {', '.join(known)}")
    if problems := list(_missing(own.schema or {}, replaced.schema or {}, "reply")):
        raise UsageError(f"{place}: {'; '.join(problems)}, which the recipe reads")


def _missing(own: Mapping[str, Any], replaced: Mapping[str, Any], where: str) -> Iterator[str]:
    if replaced and own.get("type") != replaced["type"]:
        yield f"{where} is {own.get('type')}; expected {replaced['type']}"
        return
    for name, below in replaced.get("properties", {}).items():
        if name not in own.get("properties", {}):
            yield f"{where} has no {name}"
        else:
            yield from _missing(own["properties"][name], below, f"{where}.{name}")
    if "items" in replaced:
        yield from _missing(own.get("items", {}), replaced["items"], f"{where}[]")


@cache
def read_prompt(path: Path) -> Prompt:
    """
    Raises:
        UsageError: the file is not a prompt.
    """
    try:
        text = path.read_bytes()
        content = load_yaml(text)
        prompt = Prompt(
            name=path.name.removesuffix(".yaml"),
            role=content["role"],
            kind=content.get("kind", "chat"),
            system=str(content.get("system", "")).strip(),
            user=str(content["user"]).strip(),
            schema=strict(content["schema"]) if "schema" in content else None,
            sha256=hashlib.sha256(text).hexdigest(),
        )
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise UsageError(f"{path}: is no prompt: {problem}; expected role, user, and for a chat schema") from error
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    for name, found, known in (("role", prompt.role, ROLES), ("kind", prompt.kind, get_args(Kind))):
        if found not in known:
            raise UsageError(f"{path}: {name} is {found!r}; expected one of {', '.join(known)}")
    if prompt.kind == "chat" and (prompt.schema or {}).get("type") != "object":
        raise UsageError(f"{path}: the reply to a chat prompt is an object; expected schema: {{type: object, ...}}")
    return prompt


def strict(schema: dict[str, Any], where: str = "schema") -> dict[str, Any]:
    """A schema as servers want it: every property required, no others.

    Raises:
        UsageError: a type that JSON does not have.
    """
    closed = dict(schema)
    if schema["type"] not in TYPES:
        raise UsageError(f"{where}: type is {schema['type']!r}; expected one of {', '.join(TYPES)}")
    if schema["type"] == "object":
        properties = {name: strict(value, f"{where}.{name}") for name, value in schema["properties"].items()}
        closed |= {"properties": properties, "required": list(properties), "additionalProperties": False}
    elif schema["type"] == "array":
        closed["items"] = strict(schema["items"], f"{where}[]")
    return closed
