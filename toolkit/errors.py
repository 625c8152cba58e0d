"""Every error a user can meet.

UnifiedVisualError            exit code 1: the data, or its source, is wrong
|-- UsageError                exit code 2: the call is wrong (also a ValueError)
|   |-- MappingError          a mapping file does not fit the files it maps
|   `-- UnknownName           a config, task, format or recipe that does not exist; lists the known
|-- SourceError               a folder or repository cannot be opened, listed or read
|   |-- LayoutError           files are there, but not in a layout or column shape we know
|   |-- ArchiveError          a tar.gz is missing, truncated, corrupt or hostile
|   `-- ShardError            a Parquet file is truncated, corrupt or of another schema
|-- RowError                  one row is wrong; carries `kind`, the word it is counted under
|   |-- ImageError            one picture is missing or cannot be decoded
|   `-- ImageTokenMismatch    a row's image parts, pictures and placeholder tokens differ in number
|-- TooManyBadRows            bad rows in a row, or a total that no skip policy should hide
|-- PartDone                  exit code 0: no error, but the end of what this process was to do
|-- DiskFull                  no space is left (also an OSError); free some, then run again
|-- RunStopped                a generation run cannot go on: budget, a key or model that is not accepted, a full disk;
run again to go on
`-- MissingExtra              a feature needs a package that is not installed (also an ImportError)

Messages say where, what was found, what was expected and what to do.
"""

import errno
import reprlib
from collections.abc import Iterable
from pathlib import Path

SHOWN = 5  # how many items of a long list a message shows


class UnifiedVisualError(Exception):
    exit_code = 1

    def __reduce__(self) -> tuple[object, ...]:  # arguments of other shapes do not survive pickling on their own
        return _rebuild, (type(self), str(self), self.__dict__)


class UsageError(UnifiedVisualError, ValueError):
    exit_code = 2


class MappingError(UsageError):
    pass


class UnknownName(UsageError):
    def __init__(self, what: str, name: object, known: Iterable[str]) -> None:
        super().__init__(f"unknown {what} {name!r}; known: {', '.join(sorted(known))}")


class SourceError(UnifiedVisualError):
    pass


class LayoutError(SourceError):
    pass


class ArchiveError(SourceError):
    pass


class ShardError(SourceError):
    pass


class RowError(UnifiedVisualError):
    """One row that breaks a rule.

    Args:
        message: where, what was found, what was expected, what to do.
        kind: one word, under which skips are counted ("missing_image", "placeholder_mismatch", ...).
    """

    def __init__(self, message: str, *, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class ImageError(RowError):
    pass


class ImageTokenMismatch(RowError):
    pass


class TooManyBadRows(UnifiedVisualError):
    pass


class RunStopped(UnifiedVisualError):
    pass


class DiskFull(UnifiedVisualError, OSError):
    """
    Attributes:
        path: of what did not fit.
    """

    path: Path | None = None


class PartDone(UnifiedVisualError):
    exit_code = 0

    def __init__(self, out: Path, number: int, count: int) -> None:
        super().__init__(
            f"{out}: part {number} of {count} is done; once all are, the same command for the whole ends the job"
        )


class MissingExtra(UnifiedVisualError, ImportError):
    """Names the way that works: this package is on no index, so pip must be pointed at the clone."""

    exit_code = 2

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed; run in the clone: pip install -c constraints.txt -e '.[{extra}]'"
        )


def _rebuild(cls: type[UnifiedVisualError], message: str, attributes: dict[str, object]) -> UnifiedVisualError:
    error = cls.__new__(cls, message)
    Exception.__init__(error, message)
    error.__dict__.update(attributes)
    return error


def is_disk_full(error: BaseException) -> bool:
    return isinstance(error, DiskFull) or (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT))


def reason_of(error: Exception) -> str:
    """Why something failed, in words, without a system's number, and with the setting that helps where one does."""
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return "too many open files; raise the limit (`ulimit -n`), or use fewer workers"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def shorten(items: Iterable[object]) -> str:
    """The first few items, sorted, and how many more there are: "'a', 'b' (+7 more)"."""
    ordered = sorted(shown(item) for item in items)
    more = f" (+{len(ordered) - SHOWN} more)" if len(ordered) > SHOWN else ""
    return ", ".join(ordered[:SHOWN]) + more


def shown(value: object, most: int = 80) -> str:
    """A value as a message shows it: its repr, where it is long with the middle left out."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = most
    try:
        return short.repr(value[:most] if isinstance(value, bytes) else value)
    except ValueError:  # of a number with more digits than Python writes
        return f"a {type(value).__name__}"
