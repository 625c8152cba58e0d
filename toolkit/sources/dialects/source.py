"""Someone's published dataset -> rows of any tasks, ready to be packed."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from toolkit.errors import UsageError
from toolkit.parsing import load_yaml
from toolkit.registry import make_options
from toolkit.sources.dialects.pictures import Stock
from toolkit.sources.dialects.recognising import (
    Columns,
    Recognised,
    find_dialect,
    group_files,
    nothing_recognised,
    recognise,
)
from toolkit.sources.dialects.records import FOLDER, kind_of, loose_samples
from toolkit.sources.dialects.rows import Piece, stems_of
from toolkit.sources.dialects.tasks import Outputs, imported_task
from toolkit.sources.downloads import Downloads
from toolkit.sources.hub import HubRepository
from toolkit.sources.manifest import MANIFEST
from toolkit.sources.published.holdings import ABOUT, find_archives
from toolkit.sources.published.mapping import Overrides
from toolkit.sources.repository import LocalFolder, Repository, open_repository
from toolkit.sources.rows import RowsSource
from toolkit.sources.splits import DEFAULT_SPLIT, split_named_in
from toolkit.tasks import TASKS, Task

CARD = "README.md"
MAX_CARD = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """A dataset as it was recognised.

    Attributes:
        groups: files that are read, and how.
        tasks: of each group.
        not_read: file or kind of file -> why.
        rows: its rows, for `pack`.
    """

    groups: tuple[Recognised, ...]
    tasks: tuple[Task, ...]
    not_read: Mapping[str, str]
    rows: RowsSource


def open_foreign(
    source: str | os.PathLike[str],
    *,
    format: str = "",
    task: str = "",
    outputs: Outputs = "",
    image_folder: str = "",
    download: str | os.PathLike[str] = "",
    columns: Mapping[str, str | Sequence[str]] | None = None,
    options: Mapping[str, object] | None = None,
    files: str = "",
    split: str = DEFAULT_SPLIT,
    name: str = "",
    license: str = "",
    revision: str | None = None,
    token: str | bool | None = None,
    out: str | os.PathLike[str] | None = None,
) -> Foreign:
    """Look at a published dataset, and say how it is read.

        found = open_foreign("HuggingFaceM4/the_cauldron", files="ai2d/*")
        pack(found.rows, Path("packed"), found.rows.tasks)

    Args:
        source: a folder, a file, `org/name` or an hf:// URL.
        format: dialect to read as, or "module:NAME" or "file.py:NAME" of one; "" = the first that fits.
        task: of all rows: a name, also a new one, or "module:NAME"; "" = that of the dialect.
        outputs: of a new task: which pictures of answers are targets, "last", "all" or "none".
        image_folder: where picture paths start: a folder of this machine, or in the source; "" = beside the records.
        download: a folder for images that records name by an http address, which are fetched into it, each once;
            "" = such records are bad rows.
        columns: use -> column, or columns, where the names are odd; dotted where one lies in another.
        options: of the dialect.
        files: pattern of the files of records; "" = all.
        split: whose files are read, as `datasets` tells it from their names.
        name, license: `source` and `license` of all rows; "" = id and licence of the Hub repository.
        out: where the rows will be packed to, if that is in the source.

    Raises:
        SourceError: it cannot be reached, or nothing in it is recognised; says what is there.
        UsageError: wrong options, columns or task; or the dataset is packed already.
    """
    repository, only = _opened(source, revision, token)
    listed = _without(_without(repository.list_files(), repository, out), repository, download or None)
    if MANIFEST in listed:
        raise UsageError(f"{repository.name} is packed already; join it with others by merge")
    given = {use: (names,) if isinstance(names, str) else tuple(names) for use, names in (columns or {}).items()}
    wanted = [path for path in listed if (path == only if only else not files or fnmatchcase(path, files))]
    groups, not_read = _recognised(repository, wanted, split, format, given)
    tasks = tuple(_task_of(group, task, outputs) for group in groups)
    stock = _stock(repository, listed, groups, image_folder, download)
    about = {"source": name or _name_of(repository), "license": license or _license_of(repository, listed)}
    pieces = _pieces(repository, groups, tasks, options or {}, stock, about)
    rows = RowsSource(
        repository=repository,
        pieces=pieces,
        piece_tasks=tuple(piece.task.name for piece in pieces),
        identity=_identity(pieces, image_folder, bool(download), repository.fingerprint(listed)),
        inputs=(Path(source),) if isinstance(repository, LocalFolder) else (),
        vocabulary={each.name: each for each in tasks if each.name not in TASKS},
        tells_bytes=True,
    )
    return Foreign(groups=groups, tasks=tasks, not_read=not_read, rows=rows)


def _stock(
    repository: Repository,
    listed: Mapping[str, int],
    groups: Sequence[Recognised],
    image_folder: str,
    download: str | os.PathLike[str],
) -> Stock:
    """Of archives that are not records themselves."""
    read = {path for group in groups for path in group.files}
    archives = find_archives(repository.name, [path for path in listed if path not in read], Overrides())
    downloads = Downloads(Path(download).expanduser().absolute()) if download else None
    return Stock(repository, archives, image_folder, downloads)


def _identity(pieces: Sequence[Piece], image_folder: str, is_fetched: bool, fingerprint: str) -> str:
    """Changes when any row may have changed."""
    read = [
        (
            piece.path,
            piece.dialect,
            dict(piece.columns),
            repr(piece.given),
            asdict(piece.task),
            piece.source,
            piece.license,
        )
        for piece in pieces
    ]
    return json.dumps([read, image_folder, fingerprint, *(["downloads"] if is_fetched else [])])


def _opened(source: str | os.PathLike[str], revision: str | None, token: str | bool | None) -> tuple[Repository, str]:
    """The repository, and the one file of it that is meant."""
    path = Path(source).expanduser()
    if path.is_file():
        return LocalFolder(path.absolute().parent), path.name
    return open_repository(source, revision=revision, token=token), ""


def _without(listed: dict[str, int], repository: Repository, out: str | os.PathLike[str] | None) -> dict[str, int]:
    if out is None or not isinstance(repository, LocalFolder):
        return listed
    root, place = repository.root.resolve(), Path(out).resolve()
    if not place.is_relative_to(root) or place == root:
        return listed
    inside = f"{place.relative_to(root).as_posix()}/"
    return {path: size for path, size in listed.items() if not path.startswith(inside)}


def is_about(path: str) -> bool:
    """Whether a file tells of a dataset and holds no records."""
    return bool(ABOUT.fullmatch(path)) or path.rpartition("/")[2] in (
        ".nv-meta",
        "conversion_report.json",
        "features.json",
    )


def _recognised(
    repository: Repository, wanted: Sequence[str], split: str, format: str, given: Columns
) -> tuple[tuple[Recognised, ...], dict[str, str]]:
    """Tables first. Tars are records where no table is recognised, and else hold pictures; loose pictures are records
    where there is neither. SourceError: nothing is recognised.
    """
    not_read: dict[str, str] = {}
    kinds = {path: kind_of(path) for path in wanted}
    samples = loose_samples(wanted)
    about = {path for paths in samples.values() for path in paths.values()}  # texts and JSON of one picture
    tables = [
        path for path, kind in kinds.items() if kind not in ("", "tar") and path not in about and not is_about(path)
    ]
    tars = [path for path, kind in kinds.items() if kind == "tar"]
    loose = [(FOLDER,)] if samples and not tables and not tars else []
    for candidates in (group_files(tables), group_files(tars), loose):
        found: list[Recognised] = []
        for group in candidates:
            of_split = [path for path in group if path == FOLDER or split_named_in(path) == split]
            if others := sorted(set(group) - set(of_split)):
                not_read[others[0]] = f"split {split_named_in(others[0])}, not {split}"
            if not of_split:
                continue
            tried = recognise(repository, of_split, dialect=format, given=given)
            if isinstance(tried, str):
                not_read[of_split[0]] = tried
            else:
                found.append(tried)
        if found:
            return tuple(found), not_read
    is_one = len(wanted) == 1 and not not_read  # a file that is no file of records
    raise nothing_recognised(f"{repository.name}/{wanted[0]}" if is_one else repository.name, not_read)


def _task_of(group: Recognised, name: str, outputs: Outputs) -> Task:
    task = imported_task(name, outputs) if name else find_dialect(group.dialect).task
    if outputs and outputs != task.outputs:
        raise UsageError(
            f"outputs is {outputs!r}, but task {task.name!r} has {task.outputs!r}; name a task of your own"
        )
    return task


def _pieces(
    repository: Repository,
    groups: Sequence[Recognised],
    tasks: Sequence[Task],
    options: Mapping[str, object],
    stock: Stock,
    about: Mapping[str, str],
) -> tuple[Piece, ...]:
    """A piece for each file, in the order of their paths."""
    made: dict[str, Piece] = {}
    anywhere = {each.name for group in groups for each in fields(find_dialect(group.dialect).options)}
    stems = stems_of([path for group in groups for path in group.files])
    for group, task in zip(groups, tasks, strict=True):
        kind = find_dialect(group.dialect).options
        known = {each.name for each in fields(kind)}
        given = make_options(
            kind, {key: value for key, value in options.items() if key in known or key not in anywhere}
        )
        for path in group.files:
            made[path] = Piece(
                repository=repository,
                path=path,
                dialect=group.dialect,
                columns=group.columns,
                patterns=group.patterns,
                seen=frozenset((*group.not_read, *(name for names in group.columns.values() for name in names))),
                given=given,
                task=task,
                stem=stems[path],
                stock=stock,
                source=about["source"],
                license=about["license"],
            )
    return tuple(made[path] for path in sorted(made))


def _name_of(repository: Repository) -> str:
    return repository.repo_id if isinstance(repository, HubRepository) else ""


def _license_of(repository: Repository, files: Mapping[str, int]) -> str:
    """As the card of a Hub repository states it."""
    if not isinstance(repository, HubRepository) or not 0 < files.get(CARD, 0) <= MAX_CARD:
        return ""
    with closing(repository.stream(CARD)) as file:
        text = file.read().decode("utf-8", "replace")
    found = re.match(r"---\n(.*?\n)---", text, re.DOTALL)
    try:
        stated = load_yaml(found[1].encode()).get("license", "") if found else ""
    except (yaml.YAMLError, AttributeError):
        return ""
    return ", ".join(map(str, stated)) if isinstance(stated, list) else str(stated or "")


def describe_foreign(found: Foreign) -> list[dict[str, Any]]:
    """What is read and how, a group an entry."""
    return [
        {
            "files": list(group.files),
            "dialect": group.dialect,
            "why": group.why,
            "task": task.name,
            "outputs": task.outputs,
            "columns": {use: list(names) for use, names in group.columns.items()},
            "options": asdict(piece.given),
            "not_read": list(group.not_read),
            "images_not_read": list(group.images_not_read),
            "also": list(group.also),
        }
        for group, task in zip(found.groups, found.tasks, strict=True)
        for piece in found.rows.pieces
        if isinstance(piece, Piece) and piece.path == group.files[0]
    ]
