"""Records of a file -> rows. Whatever one record raises is a bad row with a kind."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from toolkit.errors import RowError, UnifiedVisualError
from toolkit.rules import check_row
from toolkit.schema import IMAGE_PART, EncodedImage, Message, Part, Row, image_roles, quadrant_of, text_of
from toolkit.sources.dialects.dialect import Dialect, Draft
from toolkit.sources.dialects.fields import holds_image, is_video_name
from toolkit.sources.dialects.pictures import Stock
from toolkit.sources.dialects.recognising import (
    COMMON,
    KEPT,
    Columns,
    complete,
    find_dialect,
    project,
    top_of,
    values_in,
)
from toolkit.sources.dialects.records import FOLDER, Record, read_records
from toolkit.sources.published.shapes.pictures import Reference
from toolkit.sources.repository import OnRead, Repository
from toolkit.tasks import Task

T = TypeVar("T")
MAX_KNOWN = 1000  # sets of columns that records have


@dataclass(frozen=True, kw_only=True)
class Piece:
    """The rows of one file.

    Attributes:
        dialect: name, or "module:NAME".
        columns, patterns: see `Recognised`.
        seen: columns of the records that were looked at.
        given: options of the dialect.
        stem: unique among the files; part of ids.
        source, license: of all rows.
    """

    repository: Repository
    path: str
    dialect: str
    columns: Columns
    patterns: Mapping[str, str]
    seen: frozenset[str]
    given: Any
    task: Task
    stem: str
    stock: Stock
    source: str = ""
    license: str = ""

    def __call__(self, on_read: OnRead = lambda path, size: None) -> Iterator[Row | RowError]:
        dialect = find_dialect(self.dialect)
        uses = {**dialect.uses, **COMMON}
        known: dict[tuple[str, ...], Columns] = {}

        def columns_of(names: tuple[str, ...]) -> Columns:
            if names not in known:
                if len(known) > MAX_KNOWN:
                    known.clear()
                known[names] = complete(self.columns, self.patterns, uses, names)
            return known[names]

        def is_needed(name: str) -> bool:
            return any(name in (column, top_of(column, ())) for each in columns_of((name,)).values() for column in each)

        found = (
            (number, self._tried(number, partial(self._drafted, dialect, record, columns_of)))
            for number, record in enumerate(read_records(self.repository, self.path, is_needed, on_read))
        )
        while some := list(islice(found, self.stock.at_once)):
            drafts = (each.draft for _, each in some if not isinstance(each, RowError))
            self.stock.bring(reference for draft in drafts for reference in references(draft))
            for number, each in some:
                yield each if isinstance(each, RowError) else self._tried(number, partial(self._row, each))

    def _tried(self, number: int, work: Callable[[], T]) -> T | RowError:
        where = f"{self.repository.name}: {self._shown}: record {number}"
        try:
            return work()
        except RowError as error:
            return type(error)(f"{where}: {error}", kind=error.kind)
        except UnifiedVisualError:
            raise
        except Exception as error:
            return RowError(
                f"{where}: cannot be read as {self.dialect} ({type(error).__name__}: {error!s:.200})",
                kind="unreadable_row",
            )

    @property
    def _shown(self) -> str:
        return "loose images" if self.path == FOLDER else self.path

    def _drafted(
        self, dialect: Dialect, record: Record | RowError, columns_of: Callable[[tuple[str, ...]], Columns]
    ) -> "_Drafted":
        if isinstance(record, RowError):
            raise record
        if isinstance(values := values_in(record), RowError):
            raise values
        fields = project(values, columns_of(tuple(values)), {**dialect.uses, **COMMON})
        for use, each in dialect.uses.items():
            if each.needed and fields.get(use) is None:
                columns = ", ".join(self.columns.get(use, ()))
                raise RowError(f"has no {columns or use}; it has {sorted(values)}", kind="bad_record")
        self._refuse_unread(values, columns_of(tuple(values)))
        draft = dialect.read(fields, self.given)
        videos = [name for name, value in values.items() if is_video_name(value)]
        if videos and not references(draft):
            raise RowError(f"is about a video ({', '.join(videos)}), which rows cannot hold", kind="video")
        return _Drafted(record, fields, draft)

    def _row(self, drafted: "_Drafted") -> Row:
        record, fields, draft = drafted
        images = {}

        def find(reference: Reference) -> EncodedImage:
            if id(reference) not in images:
                images[id(reference)] = self.stock.find(reference, self.path, record.pictures)
            return images[id(reference)]

        row = self._built(draft, record.number, fields, [find(each) for each in references(draft)])
        check_row(row)
        return row

    def _refuse_unread(self, values: Mapping[str, Any], columns: Columns) -> None:
        """A column that no record looked at had, and that nothing reads, must not hold an image."""
        read = {name for chosen in columns.values() for column in chosen for name in (column, top_of(column, ()))}
        for name in values.keys() - self.seen - read:
            if holds_image(values[name]):
                raise RowError(
                    f"column {name!r}, which no record looked at had, holds an image that nothing reads; give it as "
                    "columns= of a use",
                    kind="image_not_read",
                )

    def _built(self, draft: Draft, number: int, fields: Mapping[str, Any], images: list[EncodedImage]) -> Row:
        messages = tuple(
            Message(
                turn.role, tuple(Part("text", each) if isinstance(each, str) else IMAGE_PART for each in turn.content)
            )
            for turn in draft.turns
        )
        own = fields.get("id")
        kept = {name: value for name, value in (fields.get(KEPT) or {}).items() if value is not None}
        provenance = {
            "imported_from": self.dialect,
            "file": self.path,
            "record": number,
            **({"id": own} if isinstance(own, (str, int)) else {}),
            **draft.facts,
            **({"columns": kept} if kept else {}),
        }
        return Row(
            id=f"{self.task.prefix}-{self.stem}-{number:08d}",
            task=self.task.name,
            quadrant=quadrant_of(messages),
            source=self.source,
            license=self.license,
            messages=messages,
            images=tuple(images),
            image_roles=image_roles(messages, self.task),
            image_captions=tuple(reference.caption for reference in references(draft)),
            instruction=text_of(messages, "user"),
            rationale=draft.rationale,
            answer=text_of(messages, "assistant") if draft.answer is None else draft.answer,
            provenance=json.dumps(_plain(provenance), ensure_ascii=False),
        )


class _Drafted(NamedTuple):
    """What a record says."""

    record: Record
    fields: Mapping[str, Any]
    draft: Draft


def _plain(value: Any) -> Any:
    """Values as JSON can hold them: NaN is null, what it does not know is text."""
    return json.loads(json.dumps(value, default=str), parse_constant=lambda constant: None)


def references(draft: Draft) -> list[Reference]:
    return [piece for turn in draft.turns for piece in turn.content if isinstance(piece, Reference)]


def stems_of(files: list[str]) -> dict[str, str]:
    """File -> what ids of its rows hold of its path: legal, and another for each file."""
    found: dict[str, str] = {}
    for path in files:
        plain = "images" if path == FOLDER else re.sub(r"\.[A-Za-z][\w.]*$", "", path)
        stem = re.sub(r"[^a-z0-9_-]+", "-", plain.lower()).strip("-")[-80:]
        if stem in found.values() or not stem:
            stem = f"{stem}-{blake2b(path.encode('utf-8', 'surrogatepass'), digest_size=4).hexdigest()}".strip("-")
        found[path] = stem
    return found
