"""Rows to and from the formats trainers read.

convert.py      the driver: shards of rows -> a folder, in parallel, resumable, with a report
formats.py      the table of formats and what an entry says about itself
<format>.py     one per format: options, what it can hold, a writer of rows; <format>_import.py is the way back
report.py       what was kept, moved, flattened and left out
shard.py        files of one shard and how they become the output; pairs.py, text.py, parquet.py serve several formats
"""

from conversion.driver import convert
from conversion.formats import FORMATS, describe
from conversion.report import Report
from conversion.way_back import import_rows

__all__ = ["FORMATS", "Report", "convert", "describe", "import_rows"]
