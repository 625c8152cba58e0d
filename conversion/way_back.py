"""A training format -> rows."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from conversion.formats import FORMATS, OnBadRecord, Shard, get_format, make_options
from conversion.importing import raise_it
from toolkit.errors import UsageError

_NO_OPTIONS: Mapping[str, object] = MappingProxyType({})


def import_rows(
    name: str, src: Path, *, options: Mapping[str, object] = _NO_OPTIONS, on_bad: OnBadRecord = raise_it
) -> list[Shard]:
    """Shards whose rows come from files of a training format; every row has passed `check_row`.

    Args:
        name: of a format that has a way back.
        src: a file or folder of that format.
        options: of the way back (`task`, `image_folder`).
        on_bad: called with what is wrong with a record, which is then passed over; the default raises.

    Raises:
        UsageError: the format has no way back, or wrong options.
        SourceError: nothing of that format is there, or a file cannot be read.
        RowError: a record makes no row, unless `on_bad` says otherwise.
    """
    form = get_format(name)
    if form.read is None:
        known = [other for other in FORMATS if get_format(other).read]
        raise UsageError(f"format {name!r} has no way back; import knows {', '.join(known)}")
    return form.read(src, make_options(form.read_options, options), on_bad)
