"""Parquet rows of one task -> Sketch: everything of a row but the bytes of its pictures. Sketch + pictures -> Row."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from toolkit.errors import LayoutError, RowError, shorten
from toolkit.published import PUBLISHED
from toolkit.rules import check_row
from toolkit.schema import IMAGE_PART, EncodedImage, Message, Part, Row, image_roles, quadrant_of, text_of
from toolkit.sources.parquet import open_parquet, read_records
from toolkit.sources.published.archives import Member, normalise_name
from toolkit.sources.published.look import task_named_in, task_of
from toolkit.sources.published.mapping import FilePlan
from toolkit.sources.published.placing import Reference
from toolkit.sources.published.shapes import Draft, read_draft
from toolkit.sources.repository import Repository
from toolkit.sources.skips import Skips
from toolkit.tasks import Task, find_task

MAX_ID = 64


class Place(NamedTuple):
    """Where a picture is: an archive of the repository, and a normalised member name in it."""

    archive: str
    name: str


class Sketch(NamedTuple):
    """A row without its pictures.

    Attributes:
        places: of the pictures in reading order; None where the row itself holds the bytes.
        origin: file, row number and the columns nothing else reads, for provenance.
    """

    id: str
    task: str
    draft: Draft
    places: tuple[Place | None, ...]
    origin: dict[str, Any]


def read_sketches(
    repository: Repository,
    plans: Iterable[FilePlan],
    task: Task,
    archives: Mapping[str, str],
    skips: Skips,
    *,
    owns_unknown: bool,
) -> Iterator[Sketch]:
    """Rows of a task in the order of the files, bad ones given to `skips`.

    Args:
        archives: task name -> path of its archive in the repository.
        owns_unknown: rows whose task cannot be told are reported here; of several tasks read together, one should.
    """
    taken: set[str] = set()
    for plan in plans:
        if plan.task not in ("", task.name):
            continue
        with open_parquet(repository, plan.path) as parquet:
            for number, record in enumerate(read_records(parquet)):
                try:
                    if task_of(record, plan) == task.name:
                        yield _sketch(record, number, plan, task, archives, taken, skips)
                except RowError as error:
                    if error.kind != "unknown_task" or owns_unknown:
                        skips.bad(type(error)(f"{task.name}: {plan.path}: row {number}: {error}", kind=error.kind))


def _sketch(
    record: dict[str, Any],
    number: int,
    plan: FilePlan,
    task: Task,
    archives: Mapping[str, str],
    taken: set[str],
    skips: Skips,
) -> Sketch:
    draft = read_draft(
        record, shape=plan.shape, columns=plan.columns, placeholder=plan.placeholder, quadrant=task.quadrant
    )
    places = tuple(_place(reference, plan, task, archives) for reference in draft.references())
    unread = {
        name: value
        for name, value in record.items()
        if name not in plan.columns.named() and name != plan.task_column and value is not None
    }
    origin = (
        {"file": plan.path, "row": number}
        | ({"id": record[plan.columns.id]} if plan.columns.id else {})
        | ({"columns": unread} if unread else {})
    )
    identifier = _identify(record, plan, task, draft)
    if identifier in taken:
        skips.note(
            "duplicate_id",
            f"{task.name}: {plan.path}: row {number}: id {identifier!r} again; a number was put behind it",
        )
        identifier = next(
            f"{identifier}-{again}" for again in range(2, 1 << 62) if f"{identifier}-{again}" not in taken
        )
    taken.add(identifier)
    return Sketch(identifier, task.name, draft, places, origin)


def _place(reference: Reference, plan: FilePlan, task: Task, archives: Mapping[str, str]) -> Place | None:
    if reference.bytes:
        return None
    name = normalise_name(reference.path)
    if ".." in name.split("/"):
        raise RowError(
            f"picture path {reference.path!r} leads upwards; expected a path inside an archive", kind="unsafe_path"
        )
    name = normalise_name(
        plan.add + name.removeprefix(normalise_name(plan.strip)).lstrip("/") if plan.strip or plan.add else name
    )
    # A path may name the archive of another task: a picture generated for one and reasoned over in the next.
    folder = name.rpartition("/")[0]
    owner = task_named_in(folder) or task.name
    archive = archives.get(owner) or archives.get(task.name)
    if archive is None:
        raise LayoutError(
            f"{task.name}: row names picture {reference.path!r}, but images/{_archive(owner)} is not "
            f"there; found {shorten(archives.values())}"
        )
    return Place(archive, name)


def _identify(record: dict[str, Any], plan: FilePlan, task: Task, draft: Draft) -> str:
    """Upstream's own id where there is one that is safe as a file name, else a digest of the content: the same in every
    version that has the row.
    """
    own = str(record[plan.columns.id]) if plan.columns.id and record[plan.columns.id] is not None else ""
    slug = re.sub(r"[^a-z0-9_-]+", "-", own.lower()).strip("-")[:MAX_ID]
    content = own or repr(draft.turns)
    digest = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
    if not slug:
        return f"{task.prefix}-{digest[:16]}"
    return f"{task.prefix}-{slug}" if slug == own else f"{task.prefix}-{slug}-{digest[:8]}"


def to_row(sketch: Sketch, members: Sequence[Member]) -> Row:
    """A sketch with its pictures, in reading order, as a Row that keeps every rule.

    Raises:
        RowError: it breaks one; `kind` says which.
    """
    row = unchecked_row(sketch, members)
    check_row(row)
    return row


def unchecked_row(sketch: Sketch, members: Sequence[Member]) -> Row:
    task, published = find_task(sketch.task), PUBLISHED.get(sketch.task)
    messages = tuple(_message(turn.role, turn.content) for turn in sketch.draft.turns)
    references = sketch.draft.references()
    found = [
        place and {"archive": place.archive, "member": member.name}
        for place, member in zip(sketch.places, members, strict=True)
    ]
    return Row(
        id=sketch.id,
        task=task.name,
        quadrant=quadrant_of(messages),
        source=published.source if published else "",
        license=published.license if published else "",
        messages=messages,
        images=tuple(EncodedImage(member.data, member.name.rpartition("/")[2]) for member in members),
        image_roles=image_roles(messages, task),
        image_captions=tuple(reference.caption for reference in references),
        instruction=text_of(messages, "user"),
        rationale=sketch.draft.rationale,
        answer=text_of(messages, "assistant") if sketch.draft.answer is None else sketch.draft.answer,
        provenance=json.dumps(
            sketch.origin | ({"images": found} if found else {}), ensure_ascii=False, default=_as_text
        ),
    )


def _message(role: str, content: Iterable[object]) -> Message:
    return Message(
        role, tuple(IMAGE_PART if isinstance(piece, Reference) else Part("text", str(piece)) for piece in content)
    )


def _archive(task: str) -> str:
    return (PUBLISHED[task].archive if task in PUBLISHED else "") or "?"


def _as_text(value: object) -> str:
    return f"{len(value)} bytes" if isinstance(value, bytes) else str(value)
