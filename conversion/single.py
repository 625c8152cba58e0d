"""One row in a training format, for a download."""

import io
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from conversion.driver import convert_shards
from conversion.formats import FORMATS, get_format
from toolkit.errors import UnknownName, UsageError
from toolkit.registry import make_options
from toolkit.schema import Row

# Options that an address may name: words the format chooses from, never code or places.
WORDS = ("output_images", "input_images", "images", "text")


def row_formats() -> dict[str, tuple[str, dict[str, str]]]:
    """What a row can be converted to: a format in its first profile by its name, others as name-profile; without those
    that need code or places.

    Returns:
        name -> (format, options).
    """
    found: dict[str, tuple[str, dict[str, str]]] = {}
    for name in FORMATS:
        form = get_format(name)
        for number, profile in enumerate(form.profiles):
            # root: the files name one another from where they are unpacked
            for options in ({"profile": profile, "root": "."}, {"profile": profile}):
                with suppress(UsageError):
                    make_options(form.options, options)
                    found.setdefault(f"{name}-{profile}" if number else name, (name, options))
    return found


def convert_row(row: Row, name: str, options: Mapping[str, str]) -> bytes:
    """A zip of the row in a format, with the report.

    Args:
        name: a key of `row_formats()`.

    Raises:
        UsageError: an option that is not one of WORDS, or that the format does not have. RowError: the format cannot
            hold the row.
    """
    for option in options:
        if option not in WORDS:
            raise UnknownName("option", option, WORDS)
    to, profile = row_formats()[name]
    with tempfile.TemporaryDirectory(prefix="unifiedvisual-browse-") as folder:
        chosen: dict[str, Any] = {**profile, **options}
        convert_shards([lambda: [row]], Path(folder), to=to, options=chosen)
        return _zip(Path(folder))


def _zip(folder: Path) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(path, path.relative_to(folder).as_posix())
    return content.getvalue()
