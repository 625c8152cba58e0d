"""Hashes by which calls, samples and recipes are known: sha256 of canonical JSON."""

import hashlib
import json
from typing import Any

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical(value: Any) -> str:
    """One spelling for equal values: sorted keys, no spaces."""
    return _ENCODER.encode(value)


def digest(value: Any) -> str:
    return hashlib.sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()


def number_of(key: str, below: int) -> int:
    """A hex digest as a number, for shards and seeds."""
    return int(key[:15], 16) % below
