"""Requests to a server, and what its answers mean. Bodies are kept as they came, but for keys that a server echoes; see
`core.protocol` for the ways a call can fail.
"""

import json
import logging
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from pydantic import Field

from toolkit.errors import MissingExtra, UsageError
from toolkit.generation.backends.waits import asked_wait_s
from toolkit.generation.core.options import Options
from toolkit.generation.core.protocol import BadRequest, CallError, Fatal, Refused, Transient, Usage
from toolkit.generation.core.texts import public_url

FATAL = {401, 402, 403, 404, 405, 410}
BAD_REQUEST = {400, 411, 413, 414, 415, 422, 431, 501}
MAYBE_BILLED = {408, 502, 504, 520, 522, 524}  # something between gave up; the server itself may have done the work
# By which servers say that a 400 or 403 is about content. Source: error codes of developers.openai.com, openrouter.ai.
POLICY_CODES = {"content_policy_violation", "content_filter", "moderation_blocked", "moderation", "safety_error"}
_POLICY = re.compile(r"content[ _](policy|filter)|moderation|safety system|flagged|usage polic", re.IGNORECASE)
_NO_CREDIT = ("insufficient_quota", "billing_hard_limit_reached", "insufficient_balance")  # waiting fills no account
CONNECT_S, FILE_S = 30.0, 600.0  # to connect; for requests that are no calls: files and batches
_MOST_TOKENS = 2**53


class ServerOptions(Options):
    """
    Attributes:
        base_url: up to and with `/v1`.
        api_key_env: environment variable that holds the key; "" = none is sent.
        params: go with each request as they are; null leaves one out.
    """

    model: str = Field(min_length=1)
    base_url: str = Field(pattern="^https?://")
    api_key_env: str = ""
    params: dict[str, Any] = Field(default_factory=dict)


class Server:
    """One base URL with a key; the client is opened with the first request."""

    def __init__(self, base_url: str, *, api_key_env: str = "") -> None:
        try:
            import httpx2
        except ImportError as error:
            raise MissingExtra("httpx2", "generate") from error
        key = os.environ.get(api_key_env, "") if api_key_env else ""
        if api_key_env and not key:
            raise UsageError(
                f"backends: {api_key_env} is not set; put the key of {public_url(base_url)} there, or leave "
                "api_key_env out if it needs none"
            )
        self._secrets = secrets_of(base_url, key)
        self._errors, self._base = httpx2, base_url
        parts = urlsplit(base_url)
        user = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        self._client = httpx2.AsyncClient(
            base_url=public_url(base_url).rstrip("/") + "/",
            params=parts.query,
            auth=user,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx2.Timeout(None, connect=CONNECT_S),
            limits=httpx2.Limits(max_connections=None),
            verify=not base_url.startswith("http://"),  # certificates take long to load, and plain HTTP has none
        )
        if parts.query:  # which the client would log
            logging.getLogger("httpx2").setLevel(logging.WARNING)

    async def post(self, path: str, **content: Any) -> tuple[dict[str, Any], str | bytes]:
        """The JSON object of a 200, and the body it was read from.

        Args:
            content: json=, or data= and files=; timeout= in seconds.

        Raises:
            CallError: anything else.
        """
        return json_object(await self._body("POST", path, **content))

    async def get(self, path: str, **params: Any) -> dict[str, Any]:
        """The JSON object of a 200.

        Raises:
            CallError: anything else.
        """
        return json_object(await self._body("GET", path, params=params, timeout=FILE_S))[0]

    async def text(self, path: str) -> str:
        """The body of a 200, as it is."""
        raw = await self._body("GET", path, timeout=FILE_S)
        return raw if isinstance(raw, str) else raw.decode("utf-8", "replace")

    async def download(self, url: str, *, most_bytes: int) -> bytes:
        """A file that an answer points to, from wherever; the key goes to the server of this class alone.

        Raises:
            Transient: it cannot be had, or is larger.
        """
        headers = {} if _origin(url) == _origin(self._base) else {"Authorization": ""}
        parts: list[bytes] = []
        try:
            async with self._client.stream("GET", url, headers=headers, follow_redirects=True, timeout=FILE_S) as got:
                async for part in got.aiter_bytes():
                    parts.append(part)
                    if sum(map(len, parts)) > most_bytes:
                        raise Transient("no_image", detail=f"more than {most_bytes:,} bytes at {self.redact(url)}")
        except (self._errors.HTTPError, self._errors.InvalidURL) as error:
            detail = self.redact(f"{url} cannot be fetched: {type(error).__name__}: {error}")
            raise Transient("no_image", detail=detail) from error
        if got.status_code != 200:
            raise Transient("no_image", detail=f"{self.redact(url)} answers {got.status_code}")
        return b"".join(parts)

    async def _body(self, method: str, path: str, **content: Any) -> str | bytes:
        try:
            response = await self._client.request(method, path, **content)
        except (self._errors.ConnectError, self._errors.ConnectTimeout, self._errors.PoolTimeout) as error:
            raise Transient("connection", detail=self._said(error)) from error
        except self._errors.TimeoutException as error:
            raise Transient("timeout", detail=self._said(error), may_cost=True) from error
        except self._errors.HTTPError as error:  # it was sent, and what became of it is not known
            raise Transient("connection", detail=self._said(error), may_cost=True) from error
        raw = self._text(response.content)
        if response.status_code != 200:
            raise error_of(response.status_code, response.headers, raw)
        return raw

    def _said(self, error: Exception) -> str:
        return self.redact(f"{type(error).__name__}: {error}")

    def _text(self, content: bytes) -> str | bytes:
        try:
            return self.redact(content.decode())
        except UnicodeDecodeError:
            for secret in self._secrets:
                content = content.replace(secret.encode(), b"[redacted]")
            return content

    def redact(self, text: str) -> str:
        """Without the key, however it is written."""
        for secret in self._secrets:
            text = text.replace(secret, "[redacted]")
        return text

    async def close(self) -> None:
        await self._client.aclose()


def secrets_of(base_url: str, key: str) -> list[str]:
    """Key, password and query values of an address, in the spellings in which a server may echo them."""
    parts = urlsplit(base_url)
    plain = [key, parts.password or "", *(pair.partition("=")[2] for pair in parts.query.split("&"))]
    long = {each for text in plain for each in (text, unquote(text)) if len(each) >= 4}
    found = {spelling for each in long for spelling in (each, quote(each, ""), json.dumps(each)[1:-1])}
    return sorted(found, key=len, reverse=True)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.rpartition("@")[2]


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


def usage_of(body: Mapping[str, Any], *, images: int = 0) -> Usage:
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
