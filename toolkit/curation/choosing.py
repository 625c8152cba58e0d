"""Which rows stay, and in which split: one question after another to duckdb, over what was looked at.

    conditions -> sample -> split        a row that goes is counted under what it failed first

Chance is the md5 of an id and the seed, so that what becomes of a row does not depend on the others: where a dataset
grows, shares and splits stay as they were.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from toolkit.curation.components import connected
from toolkit.curation.database import database, files, literal, write
from toolkit.curation.look import ROWS
from toolkit.curation.sources import summed_sources
from toolkit.curation.writing import KEPT
from toolkit.errors import UsageError
from toolkit.executors import Tell
from toolkit.sources.splits import SPLITS

if TYPE_CHECKING:
    import duckdb

JUDGED = "judged.parquet"
MOST = 1 << 62  # of what duckdb counts
HEX = 16  # digits of an md5 that are compared


@dataclass(frozen=True, kw_only=True)
class Choice:
    """
    Attributes:
        where: SQL condition over the text columns, `num_images`, `split`, facts of pictures and scores.
        max_image_bytes: rows with a larger picture go.
        sample: rows in all, if it is a whole number; a share of all rows below 1.
        per_task: rows of each task, at most.
        split: split -> its share of the rows, in all 1; {} = rows keep theirs.
        seed: another seed, another sample and other splits.
    """

    where: str = ""
    max_image_bytes: int | None = None
    sample: float | None = None
    per_task: int | None = None
    split: Mapping[str, float] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("max_image_bytes", 1), ("per_task", 1), ("sample", 0)):
            if (value := getattr(self, name)) is not None and not (least <= value <= MOST and value > 0):
                raise UsageError(f"{name} is {value}; expected a positive number")
        if self.sample is not None and self.sample >= 1 and self.sample != int(self.sample):
            raise UsageError(f"sample is {self.sample}; expected a whole number of rows, or a share below 1")
        if self.split is not None:
            self._check_split(self.split)

    def _check_split(self, split: Mapping[str, float]) -> None:
        if unknown := [name for name in split if name not in SPLITS]:
            raise UsageError(f"split has {unknown[0]!r}; known: {', '.join(SPLITS)}")
        if not (all(share > 0 for share in split.values()) and abs(sum(split.values()) - 1) <= 1e-9):
            raise UsageError(f"split is {dict(split)}; expected shares above 0 that come to 1")

    @property
    def facts(self) -> list[str]:
        """Facts of pictures that it needs, besides those that `where` names."""
        sizes = ["image_bytes"] if self.max_image_bytes else []
        return [*sizes, *(["image_sha256"] if self.split else [])]

    def to_dict(self) -> dict[str, Any]:
        """Without what is not asked for."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "")}


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What was chosen.

    Attributes:
        counts: of each piece: split -> rows that stay.
        left_out: task -> reason -> rows.
        drawn_from: task -> [source, license, rows] of those that stay.
    """

    counts: list[dict[str, int]]
    left_out: dict[str, dict[str, int]]
    drawn_from: dict[str, list[list[Any]]]


def choose(
    looked: Sequence[Path], choice: Choice, scores: Sequence[Path], unit: int, folder: Path, tell: Tell
) -> dict[str, Any]:
    """Write `kept.parquet`; returns a Chosen as a dict.

    Args:
        looked: folders of `look`.
        scores: tables of `align`.
    """
    with database(folder) as db:
        db.execute(f"CREATE VIEW rows AS SELECT * FROM read_parquet({files([each / ROWS for each in looked])})")
        add_scores(db, scores)
        _judge(db, choice, folder / JUDGED)
        db.execute(f"CREATE VIEW judged AS SELECT * FROM read_parquet({literal(str(folder / JUDGED))})")
        _draw(db, choice)
        if choice.split:
            _assign(db, choice.split, choice.seed)
        return asdict(write_chosen(db, folder, len(looked), is_in_order=not scores and not choice.split))


def add_scores(db: "duckdb.DuckDBPyConnection", scores: Sequence[Path]) -> None:
    """The view `scored`: rows, with their scores as columns if there are any."""
    if not scores:
        db.execute("CREATE VIEW scored AS SELECT * FROM rows")
        return
    listed = f"read_parquet({files(scores)})"
    kinds = [kind for (kind,) in db.execute(f"SELECT DISTINCT kind FROM {listed} ORDER BY kind").fetchall()]
    by_kind = "".join(f", min(score) FILTER (kind = {literal(kind)}) AS alignment_{kind}" for kind in kinds)
    db.execute(f"CREATE TABLE scores AS SELECT id, min(score) AS alignment{by_kind} FROM {listed} GROUP BY id")
    db.execute("CREATE VIEW scored AS SELECT rows.*, scores.* EXCLUDE (id) FROM rows LEFT JOIN scores USING (id)")


def _judge(db: "duckdb.DuckDBPyConnection", choice: Choice, path: Path) -> None:
    """Write a line a row, with the reason for which it goes; null = it stays."""
    tests = [("where", f"(\n{choice.where}\n)")] if choice.where else []
    if choice.max_image_bytes:
        tests.append(("picture_too_large", f"coalesce(list_max(image_bytes), 0) <= {choice.max_image_bytes}"))
    if choice.sample is not None and choice.sample < 1:
        tests.append(("sample", f"left({_chance(choice)}, {HEX}) < {literal(_hex(choice.sample))}"))
    reasons = " ".join(f"WHEN ({test}) IS NOT TRUE THEN {literal(reason)}" for reason, test in tests)
    reason = f"CASE {reasons} END" if tests else "NULL::VARCHAR"
    kept = "id, task, source, license, piece, row, split"
    _ask(db, f"SELECT {kept}, {reason} AS reason FROM scored", path, choice.where)


def _chance(choice: Choice) -> str:
    return f"md5({literal(f'{choice.seed} sample ')} || id)"


def _draw(db: "duckdb.DuckDBPyConnection", choice: Choice) -> None:
    """Of those that stay so many by lot, of each task and then of all."""
    if choice.per_task is not None:
        tasks = [task for (task,) in db.execute("SELECT DISTINCT task FROM judged ORDER BY task").fetchall()]
        _leave_out(db, "undrawn", choice, choice.per_task, [f"task = {literal(task)}" for task in tasks])
    if choice.sample is not None and choice.sample >= 1:
        _leave_out(db, "unsampled", choice, int(choice.sample), ["true"])


def _leave_out(db: "duckdb.DuckDBPyConnection", name: str, choice: Choice, most: int, groups: Sequence[str]) -> None:
    """In the view `judged`, which is `name` from now on, those of each group go that are drawn after so many."""
    drawn, going = f"{_chance(choice)} || id", []
    for among in groups:
        question = f"SELECT {drawn} FROM judged WHERE reason IS NULL AND {among} ORDER BY 1 LIMIT 1 OFFSET {most - 1}"
        if last := db.execute(question).fetchone():
            going.append(f"({among} AND {drawn} > {literal(last[0])})")
    goes = f"reason IS NULL AND ({' OR '.join(going) or 'false'})"
    db.execute(f"ALTER VIEW judged RENAME TO {name}")
    db.execute(
        f"CREATE VIEW judged AS SELECT * REPLACE (CASE WHEN {goes} THEN 'sample' ELSE reason END AS reason) FROM {name}"
    )


def _ask(db: "duckdb.DuckDBPyConnection", question: str, path: Path, where: str) -> None:
    import duckdb

    try:
        write(db, question, path)
    except duckdb.Error as error:
        if not where or isinstance(error, duckdb.OutOfMemoryException | duckdb.IOException):  # not its fault
            raise
        columns = [name for name, *_ in db.execute("DESCRIBE scored").fetchall() if name not in ("piece", "row")]
        said = str(error).splitlines()[0]
        raise UsageError(f"where={where!r}: {said}; columns: {', '.join(columns)}") from error


def _hex(share: float) -> str:
    """Hex digits below which that share of all md5 begin."""
    return f"{min(int(share * 16**HEX), 16**HEX - 1):0{HEX}x}"


def _assign(db: "duckdb.DuckDBPyConnection", split: Mapping[str, float], seed: int) -> None:
    """Splits by hash of the id; rows that share a picture go by the id of one of them, so that they stay together."""
    place = "piece::BIGINT << 32 | row AS place"
    db.execute(
        "CREATE VIEW shown AS SELECT place, md5_number(unnest(image_sha256)) AS picture FROM (SELECT image_sha256, "
        f"{place} FROM rows) SEMI JOIN (SELECT {place} FROM judged WHERE reason IS NULL) USING (place)"
    )
    db.execute(
        "CREATE TABLE sharing AS SELECT DISTINCT place AS one, first AS other FROM shown JOIN (SELECT picture, "
        "min(place) AS first FROM shown GROUP BY picture HAVING count(*) > 1) USING (picture) WHERE place <> first"
    )
    nodes, roots = connected(db, "sharing")
    db.execute("DROP TABLE sharing")
    db.register("groups", pa.table({"place": nodes, "root": roots}))
    db.execute(
        "CREATE TABLE named AS SELECT place, name FROM groups JOIN (SELECT root, arg_min(id, md5('group ' || id)) AS "
        f"name FROM (SELECT id, {place} FROM judged) JOIN groups USING (place) GROUP BY root) USING (root)"
    )
    end, cases = 0.0, ""
    for name, share in list(split.items())[:-1]:
        end += share
        cases += f" WHEN chance < {literal(_hex(end))} THEN {literal(name)}"
    last = literal(list(split)[-1])
    chance = f"left(md5({literal(f'{seed} split ')} || coalesce(name, id)), {HEX})"
    db.execute("ALTER VIEW judged RENAME TO unassigned")
    db.execute(
        f"CREATE VIEW judged AS SELECT id, task, source, license, piece, row, CASE {cases} ELSE {last} END AS split, "
        f"reason FROM (SELECT *, {chance} AS chance FROM (SELECT *, {place} FROM unassigned) LEFT JOIN named USING "
        "(place))"
        if cases
        else f"CREATE VIEW judged AS SELECT * REPLACE ({last} AS split) FROM unassigned"
    )


def write_chosen(db: "duckdb.DuckDBPyConnection", folder: Path, pieces: int, *, is_in_order: bool = False) -> Chosen:
    """Write `kept.parquet` from the view `judged`, and count it.

    Args:
        is_in_order: that view is read from files as its rows stand there, so that nothing need be sorted.
    """
    order = "" if is_in_order else " ORDER BY piece, row"
    write(db, f"SELECT piece, row, split FROM judged WHERE reason IS NULL{order}", folder / KEPT)
    counts: list[dict[str, int]] = [{} for _ in range(pieces)]
    for piece, split, rows in db.execute(
        f"SELECT piece, split, count(*) FROM read_parquet({literal(str(folder / KEPT))}) GROUP BY ALL ORDER BY ALL"
    ).fetchall():
        counts[piece][split] = rows
    left_out: dict[str, dict[str, int]] = {}
    for task, reason, rows in db.execute(
        "SELECT task, reason, count(*) FROM judged WHERE reason IS NOT NULL GROUP BY ALL ORDER BY ALL"
    ).fetchall():
        left_out.setdefault(task, {})[reason] = rows
    drawn = db.execute(
        "SELECT task, source, license, count(*) FROM judged WHERE reason IS NULL GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    return Chosen(counts=counts, left_out=left_out, drawn_from=summed_sources((task, [each]) for task, *each in drawn))
