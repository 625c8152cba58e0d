"""Rows to and from the formats trainers read.

    sources.py      convert(): a folder or Hub repository, in either layout -> shards -> driver.py
    driver.py       shards of rows -> a folder, in parallel, resumable, with a report
    formats.py      the table of formats and what an entry says about itself
    guide.py        what a format is for: README.md of a folder, `convert --list`, the documentation
    <format>.py     one per format: options, what it can hold, a writer of rows
    way_back.py     import_rows(): files of a format -> shards of rows, by <format>_import.py
    verify.py       verify(): a source in either layout, or what convert wrote, checked
    report.py       what was kept, moved, flattened and left out
    shard.py        files of one shard and how they become the output; pairs.py, text.py, parquet.py serve several
                    formats

Nothing is lost in silence: what a format cannot hold stops the conversion or, where an option says so, is counted by
name.
"""

from conversion.driver import convert_shards
from conversion.formats import FORMATS
from conversion.guide import describe
from conversion.report import Report
from conversion.sources import convert, shards_of
from conversion.verify import verify
from conversion.way_back import import_rows, import_source

__all__ = [
    "FORMATS",
    "Report",
    "convert",
    "convert_shards",
    "describe",
    "import_rows",
    "import_source",
    "shards_of",
    "verify",
]
