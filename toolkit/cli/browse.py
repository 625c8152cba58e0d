"""`unifiedvisual browse`: a packed dataset as pages on this machine."""

import socket
import sys
import webbrowser
from contextlib import suppress
from typing import TYPE_CHECKING

from conversion.single import convert_row, row_formats
from toolkit.cli.terminal import say
from toolkit.errors import MissingExtra, UsageError
from toolkit.sources.repository import address
from toolkit.streaming.reading import open_packed

if TYPE_CHECKING:
    from toolkit.report.browse import Site


def run(
    source: str,
    *,
    against: str | None,
    host: str,
    port: int,
    open_browser: bool,
    revision: str | None,
    token: str | None,
) -> None:
    try:
        import uvicorn

        from toolkit.report.browse import make_app
        from toolkit.report.guard import is_loopback, own_names
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "report") from None
    with _listen(host, port) as listener:
        site = open_site(source, against=against, revision=revision, token=token)
        port = listener.getsockname()[1]
        if not is_loopback(host):
            print(f"warning: anyone who reaches {host}:{port} reads {site.name}, without a password", file=sys.stderr)
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
        say(f"{site.name}: {site.index.num_rows:,} rows at {url} (Ctrl-C ends it)")
        if open_browser:
            webbrowser.open(url)
        server = uvicorn.Server(
            uvicorn.Config(
                make_app(site, own_names(host, port)),
                log_level="warning",
                ws="none",
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=2,
            )
        )
        with suppress(KeyboardInterrupt):  # which the server raises once more when it has ended
            server.run(sockets=[listener])
        close_site(site)
    say("ended")


def _listen(host: str, port: int) -> socket.socket:
    """Raises UsageError where the address cannot be had."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"cannot listen on {host!r}, port {port}: {reason}; give another --port (0: any that is free), or another "
            "--host"
        ) from error


def open_site(
    source: str, *, against: str | None = None, revision: str | None, token: str | None, wait: bool = False
) -> "Site":
    """Rows are read in a thread, unless they were read before; see `Index`."""
    from toolkit.report.browse import Site
    from toolkit.report.index import Index
    from toolkit.report.opening import Rows

    packed = open_packed(source, revision=revision, token=token)
    return Site(
        name=packed.repository.name,
        address=address(packed.repository),
        version=packed.repository.fingerprint(shard.path for shard in packed.shards),
        index=Index(packed, keep=True, wait=wait),
        rows=Rows(packed),
        formats=tuple(row_formats()),
        convert=convert_row,
        other=open_site(against, revision=None, token=token, wait=wait) if against else None,
    )


def close_site(site: "Site") -> None:
    site.index.close()
    if site.other:
        close_site(site.other)
