"""Names that can be chosen: formats, collators, tokenizers, recipes, backends, column shapes, tasks.

A name is one of the table's own, one that an installed package declares in the entry-point group
`unifiedvisual.<kind>`, or "module:NAME" or "path/to/file.py:NAME", which needs no declaration.
Nothing is imported before it is used.

    FORMATS = Registry("formats", {"llava": "conversion.llava:FORMAT"})
    FORMATS.load("llava")                  # the object FORMAT of conversion/llava.py
    FORMATS.load("my_package.format:MINE")
    FORMATS.load("./my_format.py:MINE")

A file is looked for from the working directory; a module must be importable, as an installed package is.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cached_property
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint, entry_points
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from toolkit.errors import UnknownName, UsageError, shown


class Registry(Mapping[str, str]):
    """name -> "module:NAME" of everything of one kind, also from other packages.

    Args:
        kind: plural, as in the entry-point group, with "_" between words.
        entries: what this package brings.
        wrong: what an object of somebody else's lacks, in words; "" = nothing.
    """

    def __init__(
        self, kind: str, entries: Mapping[str, str], *, wrong: Callable[[Any], str] = lambda found: ""
    ) -> None:
        self.kind, self._wrong = kind, wrong
        self._own = dict(entries)
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> str:
        return self._own[name] if name in self._own else self._foreign[name].value

    def __iter__(self) -> Iterator[str]:
        yield from self._own
        yield from (name for name in self._foreign if name not in self._own)

    def __len__(self) -> int:
        return len(self._own.keys() | self._foreign.keys())

    @property
    def own(self) -> tuple[str, ...]:
        """Names of this package."""
        return tuple(self._own)

    def check(self, name: str) -> None:
        """
        Raises:
            UnknownName: neither a known name nor of the form "module:NAME"; lists the known.
            UsageError: no name at all; or another package declares a name that is taken.
        """
        if not isinstance(name, str):  # from Python, the object itself
            raise UsageError(
                f"{self._one} is {shown(name)}; expected its name: a known one, 'module:NAME' or 'path/to/file.py:NAME'"
            )
        if name.endswith(".py"):
            raise UsageError(f"{self._one} {name!r}: of a file the object is named too, as in '{name}:NAME'")
        if name not in self and ":" not in name:
            raise UnknownName(self._one, name, self)
        if name in self._own and name in self._foreign:
            raise UsageError(
                f"{self._one} {name!r} is this package's own and also declared by "
                f"{_distribution(self._foreign[name])}; for the other one give {self._foreign[name].value!r}"
            )

    def load(self, name: str) -> Any:
        """The object behind a name.

        Raises:
            UnknownName, UsageError: as `check`; or the module, the file or the object is not there.
        """
        self.check(name)
        if name in self._own:
            return load_object(self._own[name])
        entry = self._foreign.get(name)
        target, whose = (entry.value, f" of {_distribution(entry)}") if entry else (name, "")
        found = load_named(f"{self._one} {name!r}{whose}", target)
        if problem := self._wrong(found):
            raise UsageError(f"{self._one} {name!r}{whose} {problem}")
        return found

    def make(self, name: str) -> Any:
        """What the factory of that name returns, called without arguments once per process.

        Raises:
            UnknownName, UsageError: as `load`.
        """
        if name not in self._made:
            self._made[name] = self.load(name)()
        return self._made[name]

    @property
    def _one(self) -> str:
        return self.kind.removesuffix("s").replace("_", " ")

    @cached_property
    def _foreign(self) -> dict[str, EntryPoint]:
        return {each.name: each for each in entry_points(group=f"unifiedvisual.{self.kind}")}


def make_options(kind: type[Any], given: Mapping[str, object]) -> Any:
    """Options from keyword values.

    Raises:
        UnknownName: a name that the dataclass `kind` does not have; lists those it has.
    """
    known = [option.name for option in fields(kind)]
    for name in given:
        if name not in known:
            raise UnknownName("option", name, known)
    return kind(**given)


def load_named(what: str, target: str) -> Any:
    """As `load_object`, with an error that says of what it is.

    Raises:
        UsageError: the module, the file or the object is not there.
    """
    try:
        return load_object(target)
    except Exception as error:  # a module of somebody else's raises what it likes
        message = _FILE_NAME.sub(lambda found: repr(_path_of(found[1])), str(error))
        raise UsageError(
            f"{what} cannot be loaded: {type(error).__name__}: {message}; expected 'module:NAME' of an importable "
            "module, or 'path/to/file.py:NAME'"
        ) from error


def load_object(target: str) -> Any:
    """What "module:NAME" or "path/to/file.py:NAME" names."""
    place, _, attribute = target.rpartition(":")
    found: Any = import_module(_module_of(Path(place)) if place.endswith(".py") else place)
    for name in attribute.split("."):
        found = getattr(found, name)
    return found


class _Files(MetaPathFinder):
    """Imports a file under a name that holds its path, so that what it defines pickles for other processes: for those
    that have imported this module, as all that unpickle anything of this package have.
    """

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if not name.startswith(_FILE):
            return None
        return spec_from_file_location(name, _path_of(name))


_FILE = "unifiedvisual_file_"
_FILE_NAME = re.compile(rf"'({_FILE}[0-9a-f]+)'")
sys.meta_path.append(_Files())


def _module_of(path: Path) -> str:
    return _FILE + os.fsencode(path.expanduser().resolve()).hex()


def _path_of(module: str) -> str:
    return os.fsdecode(bytes.fromhex(module.removeprefix(_FILE)))


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else "another package"
