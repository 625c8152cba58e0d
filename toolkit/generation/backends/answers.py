"""What an answer of a server means: an object, an error of one class or another, what it used.

See `core.protocol` for the ways a call can fail.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from toolkit.generation.backends.waits import asked_wait_s
from toolkit.generation.core.protocol import BadRequest, CallError, Fatal, Refused, Transient, Usage

FATAL = {401, 402, 403, 404, 405, 410}
BAD_REQUEST = {400, 411, 413, 414, 415, 422, 431, 501}
MAYBE_BILLED = {408, 502, 504, 520, 522, 524}  # something between gave up; the server itself may have done the work
# By which servers say that a 400 or 403 is about content. Source: error codes of developers.openai.com, openrouter.ai.
POLICY_CODES = {"content_policy_violation", "content_filter", "moderation_blocked", "moderation", "safety_error"}
_POLICY = re.compile(r"content[ _](policy|filter)|moderation|safety system|flagged|usage polic", re.IGNORECASE)
_NO_CREDIT = ("insufficient_quota", "billing_hard_limit_reached", "insufficient_balance")  # waiting fills no account
_MOST_TOKENS = 2**53


def json_object(raw: str | bytes) -> tuple[dict[str, Any], str | bytes]:
    """
    Raises:
        CallError: no object, or one that holds an error in place of an answer.
    """
    value = _json(raw)
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict) and "error" in value[0]:
        value = value[0]
    if not isinstance(value, dict):
        raise Transient("broken_body", detail=f"no JSON object: {_start(raw)!r}", raw=raw, status=200)
    if isinstance(value.get("error"), dict) and value["error"]:
        raise _error_inside(value["error"], raw)
    return value, raw


def _error_inside(found: Mapping[str, Any], raw: str | bytes) -> CallError:
    """An error that came with a 200; OpenRouter and its kin put the status into `code`."""
    code = found.get("code")
    if isinstance(code, int) and 400 <= code < 600:
        error = error_of(code, {}, raw)
        error.may_cost = error.may_cost or code >= 500
        return error
    if _is_policy(found, raw):
        return Refused("content_policy", detail=message_of(raw), raw=raw, status=200, usage=Usage())
    return Transient("error_in_body", detail=message_of(raw), raw=raw, status=200)


def error_of(status: int, headers: Mapping[str, str], raw: str | bytes) -> CallError:
    """What an answer other than 200 means for the call."""
    detail, said = message_of(raw), _error_in(raw)
    given: dict[str, Any] = {"detail": detail, "raw": raw, "status": status}
    if status in BAD_REQUEST or status == 403:
        if _is_policy(said, detail):
            return Refused("content_policy", **given)
        if status != 403:
            return BadRequest("too_large" if status == 413 else "bad_request", **given)
    if 300 <= status < 400:
        given["detail"] = f"redirected to {headers.get('location', 'nowhere')}; base_url must be where it answers"
    if status in FATAL or 300 <= status < 400:
        return Fatal(f"status_{status}", **given)
    text = raw if isinstance(raw, str) else raw.decode("utf-8", "replace")
    if status == 429 and any(word in text for word in _NO_CREDIT):
        return Fatal("no_quota", **given)
    return Transient(
        "rate_limit" if status == 429 else f"status_{status}",
        **given,
        may_cost=status in MAYBE_BILLED,
        retry_after_s=asked_wait_s(headers, text) if status in (408, 409, 429, 500, 502, 503, 529) else None,
    )


def _is_policy(said: Mapping[str, Any], detail: str | bytes) -> bool:
    codes = {str(said.get(name)) for name in ("code", "type")}
    return bool(codes & POLICY_CODES) or bool(_POLICY.search(detail if isinstance(detail, str) else ""))


def message_of(raw: str | bytes) -> str:
    """The sentence of an error body, as the dialects put it, or the start of the body."""
    found = _error_in(raw)
    text = found.get("message") or found.get("msg") or found.get("detail")
    return str(text)[:500] if text else _start(raw)


def error_body(raw: str | bytes) -> Any:
    """The JSON of an answer; None = it is none."""
    try:
        return _json(raw)
    except CallError:
        return None


def _error_in(raw: str | bytes) -> Mapping[str, Any]:
    value = error_body(raw)
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        return {}
    found = value.get("error") or value
    return found if isinstance(found, dict) else {"message": found}


def _start(raw: str | bytes) -> str:
    return (raw if isinstance(raw, str) else raw.decode("utf-8", "replace"))[:300]


def _json(raw: str | bytes) -> Any:
    try:
        return json.loads(raw if isinstance(raw, str) else raw.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise Transient("broken_body", detail=f"{type(error).__name__}: {error}", raw=raw, status=200) from error


def usage_of(body: Mapping[str, Any], *, images: int | None = None) -> Usage:
    """Usage as chat (prompt_tokens) and images (input_tokens) name it; None where it is not said, or cannot be."""
    said = body.get("usage")
    found: Mapping[str, Any] = said if isinstance(said, dict) else {}
    details = found.get("input_tokens_details") or found.get("prompt_tokens_details")
    return Usage(
        input_tokens=_count(found.get("prompt_tokens", found.get("input_tokens"))),
        output_tokens=_count(found.get("completion_tokens", found.get("output_tokens"))),
        input_image_tokens=_count(details.get("image_tokens")) if isinstance(details, dict) else None,
        images=images,
    )


def _count(value: Any) -> int | None:
    """A number of tokens; None: no such thing, as negative, endless or no number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST_TOKENS:
        return None
    return int(value)
