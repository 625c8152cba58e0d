"""Parquet rows -> Sketch, by a plan."""

from collections.abc import Iterable, Iterator, Sequence

from toolkit.errors import RowError, UnifiedVisualError, shown
from toolkit.sources.parquet import open_parquet
from toolkit.sources.published.members import normalise_name
from toolkit.sources.published.plan import FilePlan
from toolkit.sources.published.records import SEVERAL, UNKNOWN, Raw, read_raw
from toolkit.sources.published.shapes import COLUMN_SHAPES, ColumnShape, Draft
from toolkit.sources.published.shapes.common import read_pools
from toolkit.sources.published.shapes.pictures import Reference
from toolkit.sources.published.shapes.placeholders import Placeholders, placeholders_of
from toolkit.sources.published.shapes.placing import Break, Gap, Pools, Turn
from toolkit.sources.published.sketches import RowBuilder, Sketch, settle
from toolkit.sources.published.telling import TEXT_TASK
from toolkit.sources.repository import Repository
from toolkit.sources.skips import Skips


def read_sketches(
    repository: Repository,
    plans: Iterable[FilePlan],
    tasks: Sequence[str],
    skips: Skips,
    builder: RowBuilder,
    *,
    owns_unknown: bool,
) -> Iterator[Sketch]:
    """Rows of some tasks ("": those whose task the archives tell), in the order of the files; bad ones go to `skips`.

    Args:
        owns_unknown: rows whose task nothing tells are reported here; of several readings, one should.
    """
    for plan in plans:
        if plan.task and plan.task not in tasks:
            continue
        shape: ColumnShape = COLUMN_SHAPES.load(plan.shape)
        with open_parquet(repository, plan.path) as parquet:
            for raw in read_raw(parquet, plan, tasks):
                if raw.task in (UNKNOWN, SEVERAL) and not owns_unknown:
                    continue
                where = f"{plan.path}: row {raw.number}"
                try:
                    sketch = _guarded(where, raw, plan, shape)
                    yield builder.identify(sketch) if sketch.task else sketch
                except RowError as error:
                    about = f"{raw.task}: {where}" if raw.task not in ("", UNKNOWN, SEVERAL) else where
                    skips.bad(type(error)(f"{about}: {error}", kind=error.kind))


def _guarded(where: str, raw: Raw, plan: FilePlan, shape: ColumnShape) -> Sketch:
    """Whatever one row raises is a bad row."""
    try:
        return _sketch(where, raw, plan, shape)
    except UnifiedVisualError:
        raise
    except Exception as error:
        raise RowError(f"cannot be read ({type(error).__name__}: {error!s:.200})", kind="unreadable_row") from error


def _sketch(where: str, raw: Raw, plan: FilePlan, shape: ColumnShape) -> Sketch:
    if isinstance(raw.value, RowError):
        raise raw.value
    record = raw.value
    if raw.task == SEVERAL:
        raise RowError(
            "its picture paths name archives of several tasks; say in a mapping which", kind="ambiguous_task"
        )
    if raw.task == UNKNOWN:
        raise RowError(
            f"column {plan.task_column!r} is {record[plan.task_column]!r}, which names no task; add it to "
            "task.values of a mapping",
            kind="unknown_task",
        )
    draft, pools = shape.read(record, plan.columns), read_pools(record, plan.columns)
    if plan.shape not in COLUMN_SHAPES.own:
        _check_draft(draft, plan.shape)
    placeholders = placeholders_of(plan.placeholders)
    if plan.signs is not None and raw.task == TEXT_TASK:
        _refuse_lost_pictures(draft, placeholders)
    own = [record[name] for name in plan.columns.get("id", ()) if record[name] is not None]
    kept = {name: record[name] for name in plan.columns.get("keep", ()) if record[name] is not None}
    sketch = Sketch(
        where=f"{raw.task}: {where}" if raw.task else where,
        task=raw.task,
        id="",
        own_id=str(own[0]) if own else "",
        draft=draft,
        pools=pools,
        names=_names(draft, pools, placeholders, plan),
        placeholders=plan.placeholders,
        sides=plan.sides,
        origin={"file": plan.path, "row": raw.number}
        | ({"id": own[0]} if own else {})
        | ({"columns": kept} if kept else {}),
    )
    return settle(sketch, raw.task) if raw.task else sketch


def _check_draft(draft: Draft, shape: str) -> None:
    """What a shape of one's own may have put where it does not belong, and nothing would read there."""
    for number, turn in enumerate(draft.turns):
        where = f"shape {shape!r}: turn {number}"
        if not isinstance(turn, Turn):
            raise RowError(f"{where} is {shown(turn)}; expected a Turn", kind="bad_draft")
        if not isinstance(turn.content, (tuple, list)):
            raise RowError(f"{where}: content is {shown(turn.content)}; expected a tuple", kind="bad_draft")
        for piece in (*turn.content, *turn.pictures):
            if isinstance(piece, Reference) and not isinstance(piece.path, str):
                raise RowError(
                    f"{where}: Reference({shown(piece.path)}): its path is no text; a picture in the row itself is "
                    'Reference("", bytes=...)',
                    kind="bad_draft",
                )
            if not isinstance(piece, (str, Reference, Gap, Break)):
                raise RowError(
                    f"{where} holds {shown(piece)}; expected text, or a picture as Reference(path) or "
                    'Reference("", bytes=...)',
                    kind="bad_draft",
                )


def _refuse_lost_pictures(draft: Draft, placeholders: Placeholders) -> None:
    """A row of no picture is told to be text by that alone; a placeholder says that it had one."""
    for turn in draft.turns:
        for piece in turn.content:
            if isinstance(piece, str) and (tags := placeholders.find(piece)):
                raise RowError(
                    f"1 x {tags[0].kind!r} and no picture for it; expected as many pictures as placeholders",
                    kind="placeholder_mismatch",
                )


def _names(draft: Draft, pools: Pools, placeholders: Placeholders, plan: FilePlan) -> dict[str, str]:
    """The names of all pictures that a row may need, before it is known where they go."""
    given = [*draft.references(), *pools.prompt, *pools.answer, *pools.row]
    for turn in draft.turns:
        given += turn.pictures
    if not given:
        texts = [piece for turn in draft.turns for piece in turn.content if isinstance(piece, str)]
        given += [Reference(tag.path) for text in texts for tag in placeholders.find(text) if tag.path]
    return {each.path: _name(each.path, plan) for each in given if not each.bytes}


def _name(path: str, plan: FilePlan) -> str:
    name = normalise_name(path)
    if plan.strip or plan.add:
        name = normalise_name(plan.add + name.removeprefix(normalise_name(plan.strip)).lstrip("/"))
    if ".." in name and ".." in name.split("/"):
        raise RowError(f"picture path {path!r} leads upwards; expected a path inside an archive", kind="unsafe_path")
    return name
