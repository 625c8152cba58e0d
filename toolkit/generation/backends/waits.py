"""How long a server wants to be left alone, in all the ways it may be said."""

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from time import time

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_NUMBER = re.compile(r"\d+(\.\d+)?")
# Google's RetryInfo, and the sentences of OpenAI, Groq and Google.
_IN_BODY = re.compile(r'"retryDelay"\s*:\s*"([\d.]+s)"|(?:try again|retry) in\s+((?:\d+(?:\.\d+)?(?:ms|s|m|h)\s*)+)')
_RESETS = ("requests", "tokens", "input-tokens", "output-tokens", "")
_EPOCH_AFTER_S = 1e9  # numbers above are moments, those below are seconds


def asked_wait_s(headers: Mapping[str, str], body: str) -> float | None:
    """Seconds, from what says it most exactly; None = not said."""
    return next(filter(lambda wait: wait is not None, _said(headers, body)), None)


def _said(headers: Mapping[str, str], body: str) -> Iterator[float | None]:
    yield retry_after_s(headers)
    if match := _IN_BODY.search(body):
        yield duration_s(match[1] or match[2])
    yield _reset_s(headers)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """From retry-after-ms (OpenAI), or Retry-After as seconds or as a date (RFC 9110, 10.2.3)."""
    with suppress(KeyError, ValueError):
        return _seconds(headers["retry-after-ms"]) / 1000
    value = headers.get("retry-after")
    if value is None:
        return None
    with suppress(ValueError):
        return _seconds(value)
    with suppress(ValueError, TypeError, OverflowError):
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    return None


def _seconds(text: str) -> float:
    """
    Raises:
        ValueError: it is no number.
    """
    if math.isnan(number := float(text)):
        raise ValueError(text)
    return max(0.0, number)


def _reset_s(headers: Mapping[str, str]) -> float | None:
    """From x-ratelimit-reset-* of the limits that are used up; of all where nothing says which are."""
    resets: list[tuple[bool, float]] = []
    for what in _RESETS:
        ending = f"-{what}" if what else ""
        for prefix in ("x-ratelimit", "ratelimit", "anthropic-ratelimit"):
            names = (f"{prefix}-reset{ending}", f"{prefix}{ending}-reset")
            value = next((headers[name] for name in names if headers.get(name)), None)
            if value is not None and (wait := duration_s(value)) is not None:
                left = headers.get(f"{prefix}-remaining{ending}", headers.get(f"{prefix}{ending}-remaining"))
                resets.append((left is not None and left.strip() in ("0", "0.0"), wait))
    used_up = [wait for is_used_up, wait in resets if is_used_up]
    return max(used_up or [wait for _, wait in resets], default=None)


def duration_s(text: str) -> float | None:
    """Seconds of "1m30.5s", "17.5s", "20ms", "17.5", a moment as seconds since 1970, or as ISO 8601; None = neither."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        number = float(text)
        return max(0.0, number - time()) if number > _EPOCH_AFTER_S else number
    pieces = _DURATION.findall(text)
    if pieces and not _DURATION.sub("", text).strip():
        return sum(float(number) * _UNITS[unit] for number, unit in pieces)
    with suppress(ValueError):
        return max(0.0, datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() - time())
    return None
