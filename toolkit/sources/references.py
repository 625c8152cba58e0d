"""Shards of a packed dataset that lie on the Hub, not in its folder: REFERENCES.json, a URL and a size for each.

    {"data/llava_cot/train-00000-of-00001.parquet": {"bytes": 70112, "url": "hf://datasets/org/name@<commit>/data/..."}}

A URL names a commit, so that a push there changes nothing; any other scheme or place is refused.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toolkit.errors import SourceError, shown
from toolkit.tasks import TASK_NAME

REFERENCES = "REFERENCES.json"
MOST = 1 << 60  # bytes
URL = re.compile(
    r"hf://datasets/(?P<repo_id>[\w.-]+/[\w.-]+)@(?P<commit>[0-9a-f]{40})/(?P<path>(?!\.*/)[^\\\0]+\.parquet)"
)
PATH = re.compile(rf"data/{TASK_NAME.pattern}/[^/\\\0]+\.parquet")


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A shard in a dataset repository.

    Attributes:
        path: in that repository.
    """

    repo_id: str
    commit: str
    path: str
    bytes: int

    @property
    def url(self) -> str:
        return f"hf://datasets/{self.repo_id}@{self.commit}/{self.path}"


def references_text(references: Mapping[str, Reference]) -> str:
    """
    Args:
        references: path of a shard in the dataset -> where it is.
    """
    listed = {path: {"bytes": each.bytes, "url": each.url} for path, each in references.items()}
    return json.dumps(listed, indent=1, sort_keys=True) + "\n"


def parse_references(text: bytes, where: str) -> dict[str, Reference]:
    """
    Args:
        where: how errors call the file.

    Raises:
        SourceError: it is not whole, or says what cannot be.
    """
    try:
        return {_checked_path(path): _parse(path, content) for path, content in json.loads(text).items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SourceError(
            f"{where}: cannot be read ({type(error).__name__}: {error}); merge again with --reference"
        ) from error


def _checked_path(path: str) -> str:
    if not PATH.fullmatch(path):
        raise ValueError(f"{shown(path)} is no data/<task>/<name>.parquet")
    return path


def _parse(path: str, content: Mapping[str, Any]) -> Reference:
    found, size = URL.fullmatch(content["url"]), content["bytes"]
    if not found or ".." in found["path"].split("/"):
        raise ValueError(
            f"{path}: url is {shown(content['url'])}; expected hf://datasets/org/name@<40 hexadecimal digits of a "
            "commit>/<path>.parquet"
        )
    if type(size) is not int or not 0 <= size <= MOST:
        raise ValueError(f"{path}: bytes is {shown(size)}; expected a whole number from 0 to 2^60")
    return Reference(**found.groupdict(), bytes=size)
