"""Everything that reads a packed dataset, as tests and `benchmarks/lying.py` run it: in this process, for a while."""

import io
import logging
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import datasets

import unifiedvisual
from tests.fuzzing.runs import Hang, limited
from toolkit.cli import app as command_line
from toolkit.errors import UnifiedVisualError
from toolkit.report import preview
from toolkit.schema import features
from toolkit.streaming.dataset import StreamingDataset
from toolkit.streaming.indexed import RowDataset

FINE, REFUSED = "fine", "refused"
CHECK = "verify"
COMMANDS = {
    CHECK: "verify {source} --deep",
    "inspect": "inspect {source}",
    "stats": "stats {source}",
    "preview": "preview {source} {out}/page.html",
    "messages": "convert {source} messages {out}/messages",
    "webdataset": "convert {source} webdataset {out}/webdataset",
    "select": "select {source} {out}/selected --sample 0.5 --split train=0.5,test=0.5",
    "merge": "merge {source} {source} {out}/merged --ids prefix",
    "deduplicate": "deduplicate {source} {out}/unique --near-text 0.9",
    "align": "align {source} {out}/scores",
    "pack": "pack {source} {out}/packed",
    "card": "card {source}",
    "croissant": "card {source} --croissant",
}
REFUSES_ALL = {"inspect"}  # it looks at layouts that are not packed
FEATURES = features() | {"images": datasets.List(datasets.Image(decode=False))}


def command(words: str) -> None:
    """Raises what is not an error of ours."""
    try:
        command_line.main(words.split())
    except SystemExit as ended:
        if ended.code:
            raise UnifiedVisualError(f"exit code {ended.code}") from ended


def loaded(source: Path) -> int:
    rows = unifiedvisual.load_dataset(str(source), split="train", streaming=True, features=datasets.Features(FEATURES))
    return len(list(rows))


def streamed(source: Path, **options: Any) -> int:
    return len(list(StreamingDataset(str(source), rank=0, world_size=1, **options)))


def _counted(rows: RowDataset) -> int:
    return len([rows[number] for number in range(len(rows))])


COUNT: dict[str, Callable[[Path], int]] = {
    "load_dataset": loaded,
    "StreamingDataset": streamed,
    "RowDataset": lambda source: _counted(RowDataset(str(source))),
    "StreamingDataset, raw": lambda source: streamed(source, decode=None, shuffle=False),
}
READERS: dict[str, Callable[[Path, Path], object]] = {
    **{
        name: lambda source, out, words=words: command(words.format(source=source, out=out))  # type: ignore[misc]
        for name, words in COMMANDS.items()
    },
    **{name: lambda source, out, count=count: count(source) for name, count in COUNT.items()},  # type: ignore[misc]
}


def outcome(reader: str, source: Path, out: Path) -> tuple[str, str]:
    """FINE, REFUSED or what must not be: a word, and what was told."""
    told = io.StringIO()
    with redirect_stdout(told), redirect_stderr(told), warnings.catch_warnings(), limited():
        warnings.simplefilter("ignore")
        try:
            count = READERS[reader](source, out)
        except UnifiedVisualError as error:
            return REFUSED, f"{told.getvalue()}{type(error).__name__}: {error}"
        except (Exception, Hang) as error:
            return type(error).__name__, told.getvalue() + "".join(traceback.format_exception(error)[-8:])
    return FINE, f"{count} rows" if reader in COUNT else told.getvalue()


@contextmanager
def _unlogged() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable()
    try:
        yield
    finally:
        logging.disable(before)


def read_by(readers: Iterable[str], source: Path, out: Path) -> dict[str, tuple[str, str]]:
    with (
        _unlogged(),
        patch.object(preview, "inline_plots", lambda *counts, **options: []),
    ):
        return {reader: outcome(reader, source, out) for reader in readers}


def faults(found: dict[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Readers that broke; and, of a dataset that `verify` calls fine, those that refused it, or counted other rows."""
    is_fine = found[CHECK][0] == FINE
    odd = {
        reader: (word, told)
        for reader, (word, told) in found.items()
        if word not in (FINE, REFUSED) or (is_fine and word == REFUSED and reader not in REFUSES_ALL)
    }
    counts = {reader: found[reader] for reader in COUNT if reader in found}
    return odd or (counts if is_fine and len({*counts.values()}) > 1 else {})
