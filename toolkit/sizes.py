"""Sizes and times as people write and read them."""

import re

from toolkit.errors import UsageError, shown

UNITS = {
    **{f"{prefix}B": 1000**power for power, prefix in enumerate(("", "K", "M", "G", "T"))},
    **{f"{prefix}iB": 1024**power for power, prefix in enumerate(("K", "M", "G", "T"), start=1)},
}
MOST = 1 << 62  # bytes: more than any file system holds
_BY_NAME = {name.lower(): size for name, size in UNITS.items()}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.IGNORECASE)


def read_bytes(text: str | int) -> int:
    """`500MB`, `1.5GiB` or `20000000` as a number of bytes, as `max_shard_size` of `datasets` reads it.

    Raises:
        UsageError: it is neither, or not one byte.
    """
    found = _SIZE.fullmatch(str(text))
    size = float(found[1]) * _BY_NAME.get((found[2] or "B").lower(), 0) if found else 0
    if not 1 <= size <= MOST:
        raise UsageError(
            f"{shown(text)} is not a size; write a number of bytes, or one with {', '.join(UNITS)}, as in 500MB"
        )
    return int(size)


def show_bytes(size: float) -> str:
    """Three digits and a decimal unit: 512 B, 1.71 MB, 24.0 GB."""
    unit = "B"
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if abs(size) < 999.5 or unit == "TB":
            break
        size /= 1000
    digits = 0 if unit == "B" or size >= 100 else 1 if size >= 10 else 2
    return f"{size:,.{digits}f} {unit}"


def show_seconds(seconds: float) -> str:
    """0.4 s, 12 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(whole / 60)
    return f"{minutes // 60:,} h {minutes % 60} min"
