"""Single rows of a packed dataset by their place: place -> its row group -> the row."""

from collections import OrderedDict
from concurrent.futures import Future
from threading import Lock
from typing import Any

import pyarrow as pa

from toolkit.errors import ShardError
from toolkit.schema import COLUMNS, Row, to_dicts
from toolkit.streaming.groups import Place, RowGroup
from toolkit.streaming.reading import Packed, RowGroups, with_bytes

GROUPS_KEPT = 8  # row groups, of tens of MB where their images are not left in a local file
WHOLE_BYTES = 1 << 20  # up to this size a row group is read with its images: finding where they lie takes longer


class Rows:
    """Opens single rows and keeps the row groups used last. Threads may share one; a row group that several ask for is
    read once.
    """

    def __init__(self, packed: Packed) -> None:
        self._packed, self._groups = packed, RowGroups([packed], COLUMNS)
        self._kept: OrderedDict[RowGroup, Future[pa.Table | list[dict[str, Any]]]] = OrderedDict()
        self._lock = Lock()

    def read(self, place: Place) -> Row:
        """The row in a place.

        Raises:
            ShardError: it cannot be read as a row. SourceError: its shard cannot be read.
        """
        try:
            group = self._group(place.group)
            if isinstance(group, list):
                columns = with_bytes(group[place.row])
            else:
                (columns,) = to_dicts(group.slice(place.row, 1))
            images = [{"bytes": image["bytes"] or b"", "path": image["path"]} for image in columns["images"]]
            return Row.from_dict({**columns, "images": images})
        except (TypeError, KeyError, UnicodeDecodeError, pa.ArrowException) as error:
            raise ShardError(
                f"{self._groups.where(place)}: not a row ({type(error).__name__}: {error}); see `unifiedvisual "
                "verify`, or pack again"
            ) from error

    def _group(self, group: RowGroup) -> pa.Table | list[dict[str, Any]]:
        with self._lock:
            is_mine = group not in self._kept
            future = self._kept.setdefault(group, Future())
            self._kept.move_to_end(group)
            if len(self._kept) > GROUPS_KEPT:
                self._kept.popitem(last=False)
        if is_mine:
            try:
                future.set_result(self._read(group))
            except BaseException as error:
                future.set_exception(error)
                with self._lock:
                    self._kept.pop(group, None)  # the next one tries again
        return future.result()

    def _read(self, group: RowGroup) -> pa.Table | list[dict[str, Any]]:
        shard = self._packed.shards[group.shard]
        is_small = shard.bytes <= WHOLE_BYTES * len(shard.row_groups)
        return self._groups.table(group) if is_small else self._groups.read(group)
