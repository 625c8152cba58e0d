"""Requests to a server. Bodies are kept as they came, but for keys that a server echoes; see `answers` for what they
mean.
"""

import asyncio
import base64
import json
import os
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from pydantic import Field, StringConstraints, field_validator

from toolkit.errors import MissingExtra, UsageError
from toolkit.generation.backends.answers import error_of, json_object
from toolkit.generation.core.options import Options
from toolkit.generation.core.protocol import Transient
from toolkit.generation.core.texts import public_url

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession, ClientTimeout

File = tuple[str, str, bytes, str]  # field, name, content, media type
CONNECT_S, FILE_S = 30.0, 600.0  # to connect; for requests that are no calls: files and batches
KEPT = 2**16  # bytes of a body that has no end
MOST_BYTES, MOST_FILE_BYTES = 64 * 2**20, 2**30  # of an answer, unpacked; of a file with those of a batch


class ServerOptions(Options):
    """
    Attributes:
        base_url: up to and with `/v1`.
        api_key_env: environment variable that holds the key; "" = no key is sent.
        params: go with each request as they are; null leaves one out.
    """

    model: str = Field(min_length=1)
    base_url: Annotated[str, StringConstraints(strip_whitespace=True, pattern="^https?://")]
    api_key_env: str = ""
    params: dict[str, Any] = Field(default_factory=dict)

    @field_validator("base_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if not parts.hostname or parts.port == 0:  # a port that is no number is an error of `port`
            raise ValueError("expected an address with a host")
        return value


class Server:
    """One base URL with a key; connections are opened with the first request."""

    def __init__(self, base_url: str, *, api_key_env: str = "") -> None:
        if find_spec("aiohttp") is None:
            raise MissingExtra("aiohttp", "generate")
        key = os.environ.get(api_key_env, "") if api_key_env else ""
        if api_key_env and not key:
            raise UsageError(
                f"backends: {api_key_env} is not set; put the key of {public_url(base_url)} there, or leave "
                "api_key_env out if it needs none"
            )
        self._secrets, self._key, self._parts = secrets_of(base_url, key), key, urlsplit(base_url)
        self._base, self._proxy = public_url(base_url).rstrip("/"), _proxy_of(base_url)
        self._headers = self._authorization()  # of each request: a proxy would be sent those of the session
        self._open: ClientSession | None = None

    @property
    def _session(self) -> "ClientSession":
        if self._open is None:
            from aiohttp import ClientSession, ClientTimeout, TCPConnector

            self._open = ClientSession(
                connector=TCPConnector(limit=0),
                timeout=ClientTimeout(total=None, sock_connect=CONNECT_S),
                proxy=self._proxy,
            )
        return self._open

    def _authorization(self) -> dict[str, str]:
        """Of the address if it names a user, else the key."""
        if self._parts.username:
            pair = f"{unquote(self._parts.username)}:{unquote(self._parts.password or '')}"
            return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        return {"Authorization": f"Bearer {self._key}"} if self._key else {}

    async def post(self, path: str, content: Mapping[str, Any]) -> tuple[dict[str, Any], str | bytes]:
        """The JSON object of a 200, and the body it was read from.

        Args:
            content: sent as JSON.

        Raises:
            CallError: anything else.
        """
        headers = {"Content-Type": "application/json"}
        return json_object(await self._body("POST", path, data=json.dumps(content).encode(), headers=headers))

    async def upload(
        self, path: str, fields: Mapping[str, str], files: Iterable[File]
    ) -> tuple[dict[str, Any], str | bytes]:
        """The same for a form with files."""
        from aiohttp import FormData

        form = FormData(list(fields.items()))
        for name, filename, content, kind in files:
            form.add_field(name, content, filename=filename, content_type=kind)
        return json_object(await self._body("POST", path, data=form))

    async def get(self, path: str, **params: Any) -> dict[str, Any]:
        """The JSON object of a 200.

        Raises:
            CallError: anything else.
        """
        return json_object(await self._body("GET", path, params=params, timeout=_within(FILE_S)))[0]

    async def text(self, path: str) -> str:
        """The body of a 200, as it is."""
        raw = await self._body("GET", path, most_bytes=MOST_FILE_BYTES, timeout=_within(FILE_S))
        return raw if isinstance(raw, str) else raw.decode("utf-8", "replace")

    async def download(self, url: str, *, most_bytes: int) -> bytes:
        """A file that an answer points to, from wherever; the key goes to the server of this class alone.

        Raises:
            Transient: it cannot be had, or is larger.
        """
        import aiohttp

        try:
            is_ours = _origin(url) == _origin(self._base)
        except ValueError as error:
            raise Transient("no_image", detail=f"{self.redact(url)} is no address: {error}") from error
        session = self._session if is_ours else aiohttp.ClientSession(proxy=_proxy_of(url))
        headers = self._headers if is_ours else {}
        try:
            async with session.get(url, headers=headers, allow_redirects=not is_ours, timeout=_within(FILE_S)) as got:
                content = bytes(await _read(got, most_bytes))
        except (aiohttp.ClientError, asyncio.TimeoutError, ValueError) as error:
            detail = self.redact(f"{url} cannot be fetched: {type(error).__name__}: {error}")
            raise Transient("no_image", detail=detail) from error
        finally:
            if not is_ours:
                await session.close()
        if got.status != 200 or len(content) > most_bytes:
            why = f"answers {got.status}" if got.status != 200 else f"has more than {most_bytes:,} bytes"
            raise Transient("no_image", detail=f"{self.redact(url)} {why}")
        if self.is_told_by(content):
            raise Transient("no_image", detail=f"{self.redact(url)} holds the key of the spec")
        return content

    async def _body(self, method: str, path: str, *, most_bytes: int | None = None, **content: Any) -> str | bytes:
        import aiohttp

        most_bytes = most_bytes or MOST_BYTES
        query = f"?{self._parts.query}" if self._parts.query else ""
        url = f"{self._base}/{path}{query}"
        content["headers"] = {**self._headers, **content.get("headers", {})}
        try:
            async with self._session.request(method, url, allow_redirects=False, **content) as response:
                status, headers = response.status, response.headers
                body = await _read(response, most_bytes)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise Transient("connection", detail=self._said(error)) from error
        except asyncio.TimeoutError as error:
            raise Transient("timeout", detail=self._said(error), may_cost=True) from error
        except aiohttp.ClientError as error:  # it was sent, and what became of it is not known
            raise Transient("connection", detail=self._said(error), may_cost=True) from error
        if len(body) > most_bytes:
            given: dict[str, Any] = {"raw": self._text(body[:KEPT]), "status": status, "may_cost": status == 200}
            raise Transient("endless_body", detail=f"more than {most_bytes:,} bytes", **given)
        raw = self._text(body)
        if status != 200:
            raise error_of(status, {name.lower(): self.redact(value) for name, value in headers.items()}, raw)
        return raw

    def _said(self, error: Exception) -> str:
        return self.redact(f"{type(error).__name__}: {error}")

    def _text(self, content: bytearray) -> str | bytes:
        try:
            return self.redact(content.decode())
        except UnicodeDecodeError:
            for secret in self._secrets:
                content = content.replace(secret.encode(), b"[redacted]")
            return bytes(content)

    def redact(self, text: str) -> str:
        """Without the key, however it is written."""
        for secret in self._secrets:
            text = text.replace(secret, "[redacted]")
        if self._secrets and ("\\u00" in text or "\\/" in text):
            text = self._escaped.sub("[redacted]", text)
        return text

    @cached_property
    def _escaped(self) -> re.Pattern[str]:
        return re.compile("|".join("".join(map(_as_json, secret)) for secret in self._secrets))

    def is_told_by(self, content: bytes) -> bool:
        """Whether a file holds the key."""
        return any(secret.encode() in content for secret in self._secrets)

    async def close(self) -> None:
        if self._open is not None:
            await self._open.close()


async def _read(response: "ClientResponse", most_bytes: int) -> bytearray:
    """A body; of one that is longer, some bytes more than the most."""
    found = bytearray()
    while len(found) <= most_bytes and (more := await response.content.readany()):
        found += more
    return found


def _within(seconds: float) -> "ClientTimeout":
    from aiohttp import ClientTimeout

    return ClientTimeout(total=seconds, sock_connect=CONNECT_S)


def secrets_of(base_url: str, key: str) -> list[str]:
    """Key, password and query values of an address, in the spellings in which a server may echo them."""
    parts = urlsplit(base_url)
    plain = [key, parts.password or "", *(pair.partition("=")[2] for pair in parts.query.split("&"))]
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else ""
    plain += [pair, *(base64.b64encode(each.encode()).decode() for each in (key, pair))]
    long = {each for text in plain for each in (text, unquote(text)) if len(each) >= 4}
    found = {spelling for each in long for spelling in (each, quote(each, ""), json.dumps(each)[1:-1])}
    return sorted(found, key=len, reverse=True)


def _as_json(character: str) -> str:
    """Pattern of the ways to write a character in JSON, and in JSON that is a text in JSON."""
    plain = re.escape(character)
    return rf"(?:\\*{plain}|\\+u(?i:{ord(character):04x}))"


def _proxy_of(url: str) -> str | None:
    """Of the environment. aiohttp's own `trust_env=True` asks two threads at each request, and stops where
    ~/.netrc knows a host that has a key.

    Raises:
        UsageError: it is no HTTP proxy.
    """
    parts = urlsplit(url)
    proxy = "" if not parts.hostname or proxy_bypass(parts.hostname) else getproxies().get(parts.scheme, "")
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    if proxy and not proxy.startswith(("http://", "https://")):
        raise UsageError(
            f"{public_url(proxy)}: the environment names it for {parts.scheme}; expected an HTTP proxy, or "
            f"no_proxy={parts.hostname}"
        )
    return proxy or None


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.rpartition("@")[2]
