"""Surveys kept on disk, beside what `datasets` keeps: of the same files, by the same version, none is made twice."""

import base64
import hashlib
import logging
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import SourceError
from toolkit.sources.published.shapes.facts import ColumnFacts
from toolkit.sources.published.survey import FileSurvey
from toolkit.staging.marks import mark, result_of
from toolkit.tasks import TASKS

VERSION = 4  # of what a survey finds; raise it with every change of that

logger = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Where `datasets` keeps what it prepares."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    return Path(os.environ.get("HF_DATASETS_CACHE") or Path(home, "datasets")).expanduser() / "unifiedvisual-surveys"


def cached(fingerprint: str, make: Callable[[], list[FileSurvey]]) -> list[FileSurvey]:
    """The surveys of files of this fingerprint, from the cache, or made and put there.

    A cache that cannot be read or written costs time only.
    """
    key = hashlib.sha256(f"{VERSION}\n{','.join(TASKS)}\n{fingerprint}".encode()).hexdigest()[:32]
    path = cache_folder() / f"{key}.json"
    if kept := result_of(path):
        return [_from_json(each) for each in kept[0]]
    if path.exists():
        logger.warning("%s: damaged, or not to be read; the files are looked at again", path)
    surveys = make()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mark(path, [*map(_to_json, surveys)])
    except (OSError, SourceError) as error:
        logger.info("%s: the survey is not kept: %s", path, error)
    return surveys


def _to_json(survey: FileSurvey) -> dict[str, Any]:
    signs = {name: base64.b85encode(zlib.compress(each.tobytes())).decode() for name, each in survey.signs.items()}
    columns = [facts.to_json() for facts in survey.columns.values()]
    return {"path": survey.path, "rows": survey.rows, "columns": columns, "signs": signs}


def _from_json(content: dict[str, Any]) -> FileSurvey:
    columns = [ColumnFacts.from_json(each) for each in content["columns"]]
    signs = {
        name: np.frombuffer(zlib.decompress(base64.b85decode(each)), np.int8) for name, each in content["signs"].items()
    }
    if any(len(each) != content["rows"] for each in signs.values()):
        raise ValueError("signs of another number of rows")
    return FileSurvey(
        path=content["path"], rows=content["rows"], columns={each.name: each for each in columns}, signs=signs
    )
