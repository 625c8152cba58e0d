"""Requests to a server, and what its answers mean. Bodies are kept as they came; see `base` for the three ways a call
can fail.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

from toolkit.errors import MissingExtra, UsageError
from toolkit.generation.core.protocol import CallError, Fatal, Refused, Transient, Usage

FATAL = (401, 403, 404, 405)
REFUSED = (400, 413, 415, 422)
# Words by which servers say that a 400 is about content. Source: developers.openai.com, error codes of chat and images.
POLICY = ("content_policy", "content_filter", "moderation", "safety")


class Server:
    """One base URL with a key; the client is opened with the first request.

    Args:
        base_url: up to and with `/v1`.
        api_key_env: environment variable that holds the key; "" = none is sent.
    """

    def __init__(self, base_url: str, *, api_key_env: str = "", timeout_s: float = 120.0) -> None:
        try:
            import httpx2
        except ImportError as error:
            raise MissingExtra("httpx2", "generate") from error
        key = os.environ.get(api_key_env, "") if api_key_env else ""
        if api_key_env and not key:
            raise UsageError(
                f"backends: {api_key_env} is not set; put the key of {base_url} there, or leave api_key_env out if it "
                "needs none"
            )
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._errors = httpx2
        self._client = httpx2.AsyncClient(
            base_url=base_url.rstrip("/") + "/",
            headers=headers,
            timeout=timeout_s,
            limits=httpx2.Limits(max_connections=None),
            verify=not base_url.startswith("http://"),  # certificates take long to load, and plain HTTP has none
        )

    async def post(self, path: str, **content: Any) -> tuple[dict[str, Any], str]:
        """The JSON object of a 200, and the body it was read from.

        Args:
            content: json=, or data= and files=.

        Raises:
            CallError: anything else.
        """
        return _object(await self._body("POST", path, **content))

    async def get(self, path: str, **params: Any) -> dict[str, Any]:
        """The JSON object of a 200.

        Raises:
            CallError: anything else.
        """
        return _object(await self._body("GET", path, params=params))[0]

    async def text(self, path: str) -> str:
        """The body of a 200, as it is."""
        return await self._body("GET", path)

    async def _body(self, method: str, path: str, **content: Any) -> str:
        try:
            response = await self._client.request(method, path, **content)
        except self._errors.TimeoutException as error:
            raise Transient("timeout", detail=type(error).__name__) from error
        except self._errors.HTTPError as error:
            raise Transient("connection", detail=f"{type(error).__name__}: {error}") from error
        if response.status_code != 200:
            raise error_of(response.status_code, response.headers, response.text)
        return str(response.text)

    async def close(self) -> None:
        await self._client.aclose()


def _object(raw: str) -> tuple[dict[str, Any], str]:
    try:
        value = json.loads(raw)
    except ValueError as error:
        raise Transient("broken_body", detail=str(error), raw=raw, status=200) from error
    if not isinstance(value, dict):
        raise Transient("broken_body", detail="not an object", raw=raw, status=200)
    return value, raw


def error_of(status: int, headers: Mapping[str, str], raw: str) -> CallError:
    """What an answer other than 200 means for the call."""
    detail = _message(raw)
    if status in REFUSED:
        return Refused(
            "content_policy" if any(word in raw for word in POLICY) else "bad_request",
            detail=detail,
            raw=raw,
            status=status,
        )
    if status in FATAL:
        return Fatal(f"status_{status}", detail=detail, raw=raw, status=status)
    if status == 429 and "insufficient_quota" in raw:  # waiting does not fill an account
        return Fatal("no_quota", detail=detail, raw=raw, status=status)
    return Transient(
        "rate_limit" if status == 429 else f"status_{status}",
        detail=detail,
        raw=raw,
        status=status,
        retry_after_s=retry_after_s(headers),
    )


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait: from retry-after-ms (OpenAI), or Retry-After as seconds or as a date (RFC 9110, 10.2.3); None =
    not said.
    """
    with contextlib.suppress(KeyError, ValueError):
        return max(0.0, float(headers["retry-after-ms"]) / 1000)
    value = headers.get("retry-after")
    if value is None:
        return None
    with contextlib.suppress(ValueError):
        return max(0.0, float(value))
    with contextlib.suppress(ValueError):
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    return None


def _message(raw: str) -> str:
    with contextlib.suppress(ValueError, TypeError, AttributeError, KeyError):
        return str(json.loads(raw)["error"]["message"])[:300]
    return raw[:300]


def usage_of(body: Mapping[str, Any], *, images: int = 0) -> Usage:
    """Usage as chat (prompt_tokens) and images (input_tokens) name it; None where it is not said."""
    found = body.get("usage") or {}
    return Usage(
        input_tokens=found.get("prompt_tokens", found.get("input_tokens")),
        output_tokens=found.get("completion_tokens", found.get("output_tokens")),
        images=images,
    )
