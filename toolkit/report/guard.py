"""Who may ask the local server, and what browsers may do with its answers."""

import ipaddress
import socket
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = ("GET", "HEAD")
# Pages may use this server alone: no inline script or style, no frame, no form that leads elsewhere.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
        "form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",  # no other site may show an image of this one
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Guard:
    """Refuses what was not asked of this server by its own name (DNS rebinding), and what is not read only.

    Args:
        hosts: whether a Host header names this server.
    """

    def __init__(self, app: ASGIApp, hosts: Callable[[str], bool]) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._choose(scope)(scope, receive, send_with_headers)

    def _choose(self, scope: Scope) -> ASGIApp:
        if scope["type"] != "http":
            return self._app
        names = Headers(scope=scope).getlist("host")
        if len(names) != 1 or not self._hosts(names[0].lower()):
            return PlainTextResponse(
                "This server answers under its own address alone; open the one it printed when it started.\n", 400
            )
        if scope["method"] not in METHODS:
            return PlainTextResponse("This server can only be read: GET or HEAD.\n", 405, {"Allow": ", ".join(METHODS)})
        return self._app


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that is bound to `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def own_names(host: str, port: int) -> Callable[[str], bool]:
    """Host headers of a server that is bound to `host`: names of this machine and addresses, which no foreign name
    server can give out; each with the port.
    """
    names = {
        f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]", f"[{host}]" if ":" in host else host.lower())
    }
    if is_loopback(host):
        return names.__contains__
    names |= {f"{name.lower()}:{port}" for name in (socket.gethostname(), socket.getfqdn())}
    return lambda header: header in names or _is_address(header, port)


def _is_address(header: str, port: int) -> bool:
    name, colon, found = header.rpartition(":")
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return bool(colon) and found == str(port)
