"""A training format -> rows."""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from conversion.formats import FORMATS, Format, Shard, get_format
from conversion.report import REPORT_NAME, Report
from toolkit.errors import RowError, SourceError, UnifiedVisualError, UnknownName, UsageError
from toolkit.registry import make_options
from toolkit.schema import Row
from toolkit.sources.dialects import DIALECTS
from toolkit.sources.dialects.tasks import imported_task
from toolkit.sources.repository import LocalFolder
from toolkit.sources.rows import RowsSource
from toolkit.tasks import TASKS

_NO_OPTIONS: Mapping[str, object] = MappingProxyType({})


def _raise(error: RowError) -> None:
    raise error


def import_rows(
    name: str, src: Path, *, options: Mapping[str, object] = _NO_OPTIONS, on_bad: Callable[[RowError], None] = _raise
) -> list[Callable[[], Iterator[Row]]]:
    """Shards whose rows come from files of a training format; every row has passed `check_row`.

    Args:
        name: of a format that has a way back.
        src: a file or folder of that format.
        options: of import (`task`, `image_folder`).
        on_bad: called with what is wrong with a record, which is then passed over; the default raises.

    Raises:
        UsageError: the format has no way back, or wrong options.
        SourceError: nothing of that format is there, or a file cannot be read.
        RowError: a record makes no row, unless `on_bad` says otherwise.
    """
    return [partial(_good_rows, piece, on_bad) for piece in import_pieces(name, src, options=options)]


def import_pieces(name: str, src: Path, *, options: Mapping[str, object] = _NO_OPTIONS) -> list[Shard]:
    """As `import_rows`, with a RowError among the rows in place of each record that makes no row."""
    form = get_format(name)
    if form.read is None:
        known = [other for other in FORMATS if get_format(other).read]
        raise UsageError(f"format {name!r} has no way back; import knows {', '.join(known)}")
    read_options = make_options(form.read_options, options)
    try:
        return form.read(src, read_options)
    except (UnifiedVisualError, OSError):
        raise
    except Exception as error:  # of a format of one's own
        raise SourceError(f"{src}: `read` of format {name!r} failed: {type(error).__name__}: {error!s:.200}") from error


def _good_rows(piece: Shard, on_bad: Callable[[RowError], None]) -> Iterator[Row]:
    for row in piece():
        if isinstance(row, RowError):
            on_bad(row)
        else:
            yield row


def format_of(source: str, name: str = "") -> str:
    """The format that a folder or file is to be read in: the one named, or else the one that `convert` wrote it in,
    if that has a way back; "" = a dialect.

    Raises:
        UnknownName: neither a format nor a dialect; lists both. UsageError: as `import_rows`.
    """
    if not name:
        report = Path(source).expanduser() / REPORT_NAME
        written = Report.read(report).format if report.is_file() else ""
        return written if written and get_format(written).read else ""
    if name in DIALECTS:
        return ""
    if ":" in name or name.endswith(".py"):
        return name if isinstance(FORMATS.load(name), Format) else ""
    known = [other for other in FORMATS if get_format(other).read]
    if name not in FORMATS:
        raise UnknownName("format", name, [*known, *DIALECTS])
    return name


def import_source(
    name: str, src: Path, *, options: Mapping[str, object] = _NO_OPTIONS, out: Path | None = None
) -> RowsSource:
    """Files of a training format as a source, to be packed by `toolkit.packing.pack.pack`.

        rows = import_source("llava", Path("train.json"), options={"task": "llava_cot"})
        pack(rows, Path("packed"), rows.tasks)

    Args:
        name, src, options: as for `import_rows`.
        out: where it will be packed to, if that is beside the records: no picture of theirs is there.

    Raises:
        UsageError, SourceError: as `import_rows`; or no row can be read.
    """
    given = imported_task(str(options["task"])) if options.get("task") else None
    folder = LocalFolder((src if src.is_dir() else src.parent).absolute())
    rows = RowsSource(
        repository=folder,
        pieces=import_pieces(name, src, options=options),
        identity=json.dumps([name, str(src.absolute()), dict(options), folder.fingerprint(_beside(folder, out))]),
        inputs=(src,),
        vocabulary={given.name: given} if given and given.name not in TASKS else {},
    )
    if not rows.tasks:
        first = next((row for piece in rows.pieces for row in piece() if isinstance(row, RowError)), "no record")
        raise SourceError(f"{src}: holds no row that could be read as {name}: {first}")
    return rows


def _beside(folder: LocalFolder, out: Path | None) -> list[str]:
    """The records and all that is beside them, which their pictures may be."""
    files = list(folder.list_files())
    if out is None:
        return files
    return [path for path in files if not (folder.root / path).resolve().is_relative_to(out.resolve())]
