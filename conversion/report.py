"""What a conversion kept, moved, flattened and left out: counted while rows pass, frozen at the end.

Two sums always hold, and a test checks them for every format:
    rows_in   == rows_out   + sum(rows_dropped.values())
    images_in == images_out + sum(images_dropped.values())
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from toolkit.errors import SourceError, reason_of

REPORT_NAME = "conversion_report.json"
EXAMPLES = 3  # ids kept for each reason
NUMBERS = {"format": str, **dict.fromkeys(("rows_in", "rows_out", "records_out", "images_in", "images_out"), int)}
# The counters kept per reason; everything else in a Report is a plain number.
REASONS = (
    "rows_dropped",
    "images_dropped",
    "images_moved",
    "images_without_loss",
    "images_changed",
    "images_repeated",
    "flattened",
    "warned",
    "columns_lost",
)


@dataclass(frozen=True, kw_only=True)
class Report:
    """The sum over a conversion.

    Attributes:
        format: name in the table of formats.
        options: every option the format was run with.
        run: what else the output depends on: number of shards, policies, identity of the source.
        rows_in: rows read.
        rows_out: rows of the source that are in the output, whole or in part.
        records_out: records written; more than `rows_out` where a row gives one record per picture.
        images_in: pictures of all rows read.
        images_out: of these, how many are in the output.
        rows_dropped: reason -> rows left out.
        images_dropped: reason -> pictures left out ("row_dropped" = with their row).
        images_moved: reason -> pictures that the consumer sees at another place than the row has them.
        images_without_loss: reason -> pictures of answers which the consumer shows to the model but does not train it
            to draw.
        images_changed: reason -> pictures whose bytes in the output are not the original ones.
        images_repeated: reason -> how often pictures are in the output again, in other records of their row.
        flattened: reason -> rows whose text or structure was changed to fit.
        warned: reason -> rows that are whole, but which a known reader of the format does not read whole.
        columns_lost: column -> rows whose value of it is not in the output.
        examples: "counter.reason" -> the first few row ids.
    """

    format: str
    options: Mapping[str, Any]
    run: Mapping[str, Any]
    rows_in: int
    rows_out: int
    records_out: int
    images_in: int
    images_out: int
    rows_dropped: Mapping[str, int]
    images_dropped: Mapping[str, int]
    images_moved: Mapping[str, int]
    images_without_loss: Mapping[str, int]
    images_changed: Mapping[str, int] = field(default_factory=dict)  # this and the next: not in reports of 0.1
    images_repeated: Mapping[str, int] = field(default_factory=dict)
    flattened: Mapping[str, int]
    warned: Mapping[str, int]
    columns_lost: Mapping[str, int]
    examples: Mapping[str, tuple[str, ...]]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def read(cls, path: Path) -> "Report":
        """
        Raises:
            SourceError: it is not as a conversion writes it.
        """
        try:
            columns = json.loads(path.read_bytes())
            found = cls(**{**columns, "examples": {key: tuple(ids) for key, ids in columns["examples"].items()}})
            found._check()
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise SourceError(
                f"{path}: not as `convert` writes it ({type(error).__name__}: {reason_of(error):.200}); convert again"
            ) from error
        return found

    def _check(self) -> None:
        for each in fields(self):
            value, kind = getattr(self, each.name), NUMBERS.get(each.name, Mapping)
            if not isinstance(value, kind) or isinstance(value, bool):
                raise TypeError(f"{each.name} is {value!r:.100}")
        for name in REASONS:
            if wrong := [count for count in getattr(self, name).values() if type(count) is not int]:
                raise TypeError(f"{name} counts {wrong[0]!r:.100}")

    def reasons(self) -> list[tuple[str, str, int, tuple[str, ...]]]:
        """Rows of a table: what happened, the reason, how often, example ids."""
        return [
            (counter, reason, count, self.examples.get(f"{counter}.{reason}", ()))
            for counter in REASONS
            for reason, count in getattr(self, counter).items()
        ]


@dataclass(kw_only=True)
class Tally:
    """The counters of one shard while its rows pass."""

    rows_in: int = 0
    rows_out: int = 0
    records_out: int = 0
    images_in: int = 0
    images_out: int = 0
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def count(self, counter: str, reason: str, row_id: str, number: int = 1) -> None:
        """Adds `number` to a reason of one of `REASONS`; nothing happens when it is 0."""
        if number:
            reasons = self.counts.setdefault(counter, {})
            reasons[reason] = reasons.get(reason, 0) + number
            ids = self.examples.setdefault(f"{counter}.{reason}", [])
            if len(ids) < EXAMPLES:
                ids.append(row_id)

    def add(self, other: "Tally") -> None:
        for name in ("rows_in", "rows_out", "records_out", "images_in", "images_out"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for counter, reasons in other.counts.items():
            for reason, number in reasons.items():
                mine = self.counts.setdefault(counter, {})
                mine[reason] = mine.get(reason, 0) + number
        for key, ids in other.examples.items():
            known = self.examples.setdefault(key, [])
            known.extend(ids[: EXAMPLES - len(known)])


def report_of(tallies: Iterable[Tally], *, format: str, options: Mapping[str, Any], run: Mapping[str, Any]) -> Report:
    total = Tally()
    for tally in tallies:
        total.add(tally)
    return Report(
        format=format,
        options=options,
        run=run,
        rows_in=total.rows_in,
        rows_out=total.rows_out,
        records_out=total.records_out,
        images_in=total.images_in,
        images_out=total.images_out,
        **{counter: dict(sorted(total.counts.get(counter, {}).items())) for counter in REASONS},
        examples={key: tuple(ids) for key, ids in sorted(total.examples.items())},
    )
