"""The table of formats, and what each entry must say about itself."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

from conversion.report import Report
from conversion.shard import Notes, ShardFolder
from toolkit.errors import RowError, UsageError
from toolkit.registry import Registry
from toolkit.schema import COLUMNS, Row

# A piece of a source: called without arguments, it yields its rows from the start, and a RowError for a row it was told
# to skip. Must pickle to be read in another process.
Shard = Callable[[], Iterable[Row | RowError]]

# To add a format: one file with a FORMAT, and its line here. tests/test_conversion_contract.py runs over every entry.
FORMATS = Registry(
    "formats",
    {
        "anole": "conversion.anole:FORMAT",
        "bagel": "conversion.bagel:FORMAT",
        "bagel-interleaved": "conversion.bagel_interleaved:FORMAT",
        "diffusers": "conversion.diffusers:FORMAT",
        "edit-triples": "conversion.edit_triples:FORMAT",
        "emu3": "conversion.emu3:FORMAT",
        "emu35": "conversion.emu35:FORMAT",
        "finevision": "conversion.finevision:FORMAT",
        "janus": "conversion.janus:FORMAT",
        "llava": "conversion.llava:FORMAT",
        "messages": "conversion.messages:FORMAT",
        "sensenova": "conversion.sensenova:FORMAT",
        "webdataset": "conversion.webdataset:FORMAT",
    },
)


class LeftOut(RowError):
    """A row which an option of the format says to leave out: always counted, never an error."""


class Writer(Protocol):
    """Writes the rows of one shard."""

    def write(self, row: Row) -> None:
        """Writes one row. A row it cannot hold is refused with RowError before anything is written or counted."""

    def close(self) -> Notes:
        """Ends the shard; the notes of all shards reach `Format.finish`."""


@dataclass(frozen=True, kw_only=True)
class Holds:
    """What one profile of a format can hold, for `convert --list`.

    Attributes:
        consumers: who reads it.
        use: how a trainer is pointed at the folder, which is called OUT.
        trained: what the consumers put a loss on.
        lossless: whether convert and import give the same rows back, to the byte.
        prompt_images: pictures in a prompt.
        answer_images: pictures in an answer.
        trains_output_images: whether the consumers put a loss on them.
        columns: columns of the row that are kept.
        notes: traps of the consumers, one sentence each.
    """

    consumers: str
    use: str
    trained: str
    lossless: bool = False
    prompt_images: str
    answer_images: str
    trains_output_images: bool
    columns: tuple[str, ...]
    notes: tuple[str, ...] = ()


ALL_COLUMNS = tuple(COLUMNS)


def nothing(out: Path, notes: Sequence[Notes], options: Any, report: Report) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Format:
    """One training format.

    Attributes:
        name: key in FORMATS.
        options: frozen dataclass of simple values; has a `profile` and checks itself in `__post_init__`. Its ONLY maps
            an option that not all profiles look at to those that do.
        profiles: profile -> what it can hold; the first is the default.
        writer: (shard folder, options) -> a writer for one shard.
        wraps: options -> files that are one JSON value: name -> (head, tail) around the records.
        finish: writes top-level files once all shards are in place; may run twice. README.md is written for all.
        front_matter: (notes of all shards, options) -> what stands in front of README.md for the Hub and `datasets`.
        read: (folder or file, options) -> shards, in which a RowError stands for a bad record; None when there is no
            way back.
        read_options: frozen dataclass of options of import.
    """

    name: str
    options: type[Any]
    profiles: Mapping[str, Holds]
    writer: Callable[[ShardFolder, Any], Writer]
    wraps: Callable[[Any], Mapping[str, tuple[str, str]]] = lambda options: {}
    finish: Callable[[Path, Sequence[Notes], Any, Report], None] = nothing
    front_matter: Callable[[Sequence[Notes], Any], Mapping[str, Any] | None] = lambda notes, options: None
    read: Callable[[Path, Any], list[Shard]] | None = None
    read_options: type[Any] = field(default=type(None))


def get_format(name: str) -> Format:
    """The format of a name in `FORMATS`, or of "module:NAME" or "path/to/file.py:NAME".

    Raises:
        UnknownName: no such format; lists the known. UsageError: it cannot be loaded, or is no `Format`.
    """
    found = FORMATS.load(name)
    if not isinstance(found, Format):
        raise UsageError(f"format {name!r} is {found!r}; expected a conversion.formats.Format")
    if isinstance(found.writer, type):
        for method in ("write", "close"):
            if not callable(getattr(found.writer, method, None)):
                raise UsageError(f"format {name!r}: its writer {found.writer.__name__} has no {method}(); see Writer")
    if found.read is not None and found.read_options is type(None):
        raise UsageError(f"format {name!r}: has a read but no read_options; give conversion.importing.ReadOptions")
    return found


def choose(what: str, value: object, known: Iterable[str]) -> None:
    """Raises UsageError unless `value` is one of the known words."""
    words = tuple(known)
    if value not in words:
        raise UsageError(f"{what} must be one of {', '.join(map(repr, words))}, not {value!r}")


def check_options(options: Any, profiles: Iterable[str]) -> None:
    """Raises UsageError for an unknown profile, and for an option the profile does not look at: `options.ONLY` names
    the profiles of those that are not for all.
    """
    choose("profile", options.profile, profiles)
    for option in fields(options):
        if getattr(options, option.name) != option.default and not is_for(type(options), option.name, options.profile):
            of = ", ".join(map(repr, options.ONLY[option.name]))
            raise UsageError(f"option {option.name!r} belongs to {of} and has no effect on profile {options.profile!r}")


def is_for(kind: type[Any], option: str, profile: str) -> bool:
    """Whether a profile looks at an option of a format."""
    return profile in getattr(kind, "ONLY", {}).get(option, (profile,))


def columns_lost(form: Format, options: Any) -> tuple[str, ...]:
    """Columns of the row which the output does not hold."""
    kept = form.profiles[options.profile].columns
    if getattr(options, "text", "") == "caption":  # pairs hold one of the two
        kept = tuple("image_captions" if column == "instruction" else column for column in kept)
    return tuple(column for column in COLUMNS if column not in kept)
