"""Places -> rows, decoded and put together again as items: single rows, or batches."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any

from toolkit.sources.ahead import in_one_process
from toolkit.streaming.groups import Place
from toolkit.streaming.reading import Encoded, RowGroups, read_rows
from toolkit.streaming.threads import in_threads

Row = dict[str, Any]


def read_items(
    items: Iterable[Sequence[Place]],
    groups: RowGroups,
    decode: Callable[[Place, Encoded], Row | None],
    *,
    ahead: int,
    held: int,
    threads: int,
) -> Generator[list[Row], None, None]:
    """The rows of each item, in order; those that `decode` leaves out are not among them.

    Args:
        decode: gives None for a row to leave out.
        ahead, held: see `read_rows`. threads: that decode.
    """
    sizes: deque[int] = deque()

    def places() -> Iterator[Place]:
        for item in items:
            sizes.append(len(item))
            yield from item

    rows = read_rows(places(), groups, ahead=ahead, held=held)
    with closing(rows):
        item: list[Row | None] = []
        for row in in_one_process(in_threads(lambda read: decode(*read), rows, threads)):
            item.append(row)
            if len(item) == sizes[0]:
                sizes.popleft()
                yield [each for each in item if each is not None]
                item = []
