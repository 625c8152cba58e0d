"""What every shape has beside its conversation: an id, columns of pictures, captions."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise

from toolkit.errors import RowError
from toolkit.sources.published.shapes import Columns, Guess, Record
from toolkit.sources.published.shapes.pictures import Reference, is_same, parse_text, pictures_in
from toolkit.sources.published.shapes.placing import Pools
from toolkit.sources.published.shapes.table import Table, holds_pictures
from toolkit.sources.published.shapes.words import COLUMN_NAMES, side_of, stem_and_number

PICTURE_USES = ("images", "prompt_images", "answer_images")
USES = ("id", *PICTURE_USES, "captions", "keep", "ignore")
ID_NAMES = {name for names in COLUMN_NAMES["id"] for name in names}
SIDES = {"prompt_images": "answer_images", "answer_images": "prompt_images"}


def common_columns(table: Table, given: Columns) -> Guess:
    """Columns of pictures, ids and captions among those that have no use yet."""
    columns: dict[str, tuple[str, ...]] = {}
    problems: list[str] = []
    notes: list[str] = []
    if "id" not in given and (found := _id_column(table)):
        columns["id"] = (found,)
    if not any(use in given for use in PICTURE_USES):
        pictures = _picture_columns(table)
        columns |= pictures.columns
        problems += pictures.problems
        notes += pictures.notes
    if "captions" not in given and (found := _captions(table, {**columns, **given})):
        columns["captions"] = (found,)
        notes.append(
            f"taken by position: captions of column {found!r} ({table.columns[found].filled:,} rows) are of the images "
            "at the same places; `captions:` in a mapping confirms it, or leaves them out where empty"
        )
    return Guess(columns, tuple(problems), tuple(notes))


def _id_column(table: Table) -> str:
    for names in COLUMN_NAMES["id"]:
        for name in names:
            match = next((column for column in table.columns if column.rpartition(".")[2].lower() == name), "")
            if match and table.columns[match].text.kind in ("text", "number") and table.columns[match].text.filled:
                return match
    return ""


def _picture_columns(table: Table) -> Guess:
    sides: dict[str, list[str]] = {}
    sure = {name: holds_pictures(facts) for name, facts in table.columns.items()}
    ids = [
        name
        for name, facts in table.columns.items()
        if name.rpartition(".")[2].lower() in ID_NAMES and sure[name] == "yes" and facts.text.count
    ]
    found = [name for name in sure if sure[name] == "yes" and name not in ids]
    unsure = [name for name in sure if sure[name] == "perhaps"] + ([] if found else ids)
    problems = [f"column {name!r} may hold pictures; e.g. {_examples(table, name)}" for name in unsure]
    for name in found:
        sides.setdefault(side_of(name), []).append(name)
    notes = []
    open_units, told = list(units(sides.get("images", []))), [side for side in SIDES if side in sides]
    if open_units and len(told) == 1 and len(open_units) == 1:  # "image" beside "edited_image": it is of the other side
        (name,), (other,) = open_units[0][:1], sides[told[0]][:1]
        side = SIDES[told[0]].partition("_")[0]
        notes.append(
            f"taken by exclusion: images in column {name!r} ({table.columns[name].filled:,} rows) are the {side}'s, as "
            f"those in {other!r} are not; `{SIDES[told[0]]}:` in a mapping confirms it"
        )
        sides[SIDES[told[0]]] = sides.pop("images")
    elif open_units and told:
        names = ", ".join(name for unit in open_units for name in unit)
        problems.append(
            f"column {names!r} holds pictures beside those of {' and '.join(told)}; of which side are they?"
        )
    columns = {side: tuple(name for unit in units(names) for name in unit) for side, names in sides.items()}
    return Guess(columns, tuple(problems), tuple(notes))


def _examples(table: Table, name: str) -> str:
    return ", ".join(repr(each) for leaf in table.columns[name].leaves.values() for each in leaf.examples[:1])


def _captions(table: Table, columns: Columns) -> str:
    """Captions go with pictures of one column, as many in every row."""
    pictures = [name for use in PICTURE_USES for name in columns.get(use, ())]
    if len(pictures) != 1 or "images" not in columns or pictures[0] not in table.columns:
        return ""
    lengths = table.columns[pictures[0]].lengths
    return next(
        (
            name
            for name in COLUMN_NAMES["captions"][0]
            if name in table.columns and table.columns[name].lengths == lengths and table.columns[name].filled
        ),
        "",
    )


def units(names: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Columns that belong together, such as image_1, image_2, image_3, in the order of their numbers; others alone."""
    families: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        stem, number = stem_and_number(name)
        families.setdefault(stem if number >= 0 else name, []).append((number, name))
    for family in families.values():
        yield tuple(name for _, name in sorted(family))


@lru_cache(maxsize=256)
def _units(names: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    return tuple(units(names))


def read_pools(record: Record, columns: Columns) -> Pools:
    """The pictures of columns of their own.

    Raises:
        RowError: "null_picture", "caption_mismatch", or "picture_conflict": two columns list different pictures.
    """
    pools = Pools(*[_pool(record, columns.get(use, ())) for use in ("prompt_images", "answer_images", "images")])
    for name in columns.get("captions", ()):
        pools = pools._replace(row=_caption(pools.row, record[name]))
    return pools


def _pool(record: Record, names: tuple[str, ...]) -> list[Reference]:
    """Of several columns that list the same pictures, the longest list."""
    found: list[Reference] = []
    for unit in _units(names):
        lists = [pictures_in(record[name], name) for name in unit]
        if len(lists) > 1 and any(not earlier and later for earlier, later in pairwise(lists)):
            raise RowError(f"columns {', '.join(unit)}: a null between pictures; expected none", kind="null_picture")
        listed = [reference for each in lists for reference in each]
        if not listed or (found and _is_within(listed, found)):
            continue
        if found and not _is_within(found, listed):
            raise RowError(
                f"columns {', '.join(names)} list different pictures ({found[0].path!r}, {listed[0].path!r}); expected "
                "the same, or one column; say in a mapping which counts",
                kind="picture_conflict",
            )
        found = listed
    return found


def _is_within(some: list[Reference], others: list[Reference]) -> bool:
    return all(any(is_same(each, other) for other in others) for each in some)


def _caption(pool: list[Reference], value: object) -> list[Reference]:
    captions = parse_text(value)
    captions = [captions] if isinstance(captions, str) else captions or []
    if len(captions) != len(pool):
        raise RowError(f"{len(captions)} captions but {len(pool)} pictures; expected as many", kind="caption_mismatch")
    return [
        reference._replace(caption=caption if isinstance(caption, str) else "")
        for reference, caption in zip(pool, captions, strict=True)
    ]
