"""Which split a file belongs to."""

import re

from toolkit.errors import UsageError

DEFAULT_SPLIT = "train"
# Source: huggingface/datasets, data_files.py, SPLIT_KEYWORDS and its separators.
SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "dev": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
SPLITS = tuple(dict.fromkeys(SPLIT_WORDS.values()))


def split_named_in(path: str) -> str:
    """The split a file belongs to, as `datasets` tells it by file name, then by folders; "train" if nothing says."""
    return split_said_by(path) or DEFAULT_SPLIT


def split_said_by(path: str) -> str:
    """The same; "" if nothing says."""
    for piece in reversed(path.split("/")):
        for word in re.findall(r"[a-z]+", piece.lower()):
            if word in SPLIT_WORDS:
                return SPLIT_WORDS[word]
    return ""


def check_split(name: str, split: str, known: dict[str, int]) -> None:
    """
    Args:
        name: of the dataset. known: its splits, and rows or files of each.

    Raises:
        UsageError: it has no such split; lists those it has.
    """
    if split not in known:
        raise UsageError(f"{name} has no split {split!r}; it has: {', '.join(known)}")
