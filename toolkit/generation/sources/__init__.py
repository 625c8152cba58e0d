"""Where records come from: files and datasets of any layout -> JSON Lines with pictures beside them, in a cache.

reading     a file, a folder, a dataset of the Hub -> rows
shapes      rows as published -> rows with the keys of a record
downloads   addresses -> pictures: each once, of bounded size, by many threads
staging     rows -> the file in the cache; goes on where it was
"""

from toolkit.generation.sources.shapes import SHAPES
from toolkit.generation.sources.staging import Staged, stage

__all__ = ["SHAPES", "Staged", "stage"]
