"""Which rows may hold a text, before any text is read: for each row, which of HASHES kinds of three consecutive bytes occur in its texts.

A row that holds a text has all trigrams of it; so the rows that lack one need not be searched. What is left is a superset, to be searched.
"""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

HASHES = 2048  # 256 bytes a row; a text of 1,000 characters has about 500 different trigrams
FACTORS = np.array([1, 31, 961], dtype=np.uint16)


class Trigrams:
    """Of several runs of rows."""

    def __init__(self) -> None:
        self._runs: dict[int, tuple[int, NDArray[np.uint8]]] = {}

    def add(self, first: int, columns: Iterable[pa.ChunkedArray]) -> None:
        """A run of rows.

        Args:
            first: position of the first.
            columns: their texts; what is searched for has to be within one column.
        """
        columns = list(columns)
        occurs = np.zeros((HASHES, len(columns[0])), dtype=np.bool_)
        for column in columns:
            start = 0
            for chunk in column.chunks:
                text = chunk.fill_null("").cast(pa.binary())
                lengths = np.diff(np.frombuffer(text.buffers()[1], np.int32)[text.offset : text.offset + len(text) + 1])
                content = b"".join(text.to_pylist())
                owners = np.repeat(np.arange(start, start + len(text)), lengths)[: max(len(content) - 2, 0)]
                occurs[_hashes(content), owners] = True  # those that reach into the next row are too many, never too few
                start += len(text)
        self._runs[first] = occurs.shape[1], np.packbits(occurs, axis=1)

    def candidates(self, text: str) -> NDArray[np.int32] | None:
        """Positions of the rows that may hold a text; None where it is too short to tell."""
        wanted = np.unique(_hashes(text.encode()))
        if not len(wanted):
            return None
        found = [first + np.flatnonzero(np.unpackbits(np.bitwise_and.reduce(bits[wanted]), count=rows)) for first, (rows, bits) in self._runs.items()]
        return np.concatenate([np.zeros(0), *found]).astype(np.int32)


def _hashes(content: bytes) -> NDArray[np.uint16]:
    """Of every three consecutive bytes."""
    values = np.frombuffer(content, np.uint8).astype(np.uint16)
    if len(values) < 3:
        return values[:0]
    sums: NDArray[np.uint16] = FACTORS[0] * values[:-2] + FACTORS[1] * values[1:-1] + FACTORS[2] * values[2:]  # modulo 2 to the 16th
    return sums % np.uint16(HASHES)
