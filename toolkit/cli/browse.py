"""`unifiedvisual browse`: a packed dataset as pages on this machine."""

import io
import socket
import sys
import tempfile
import webbrowser
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import conversion
from conversion.formats import get_format, make_options
from toolkit.cli.terminal import item_progress, say
from toolkit.errors import MissingExtra, UnknownName, UsageError
from toolkit.schema import Row
from toolkit.streaming.reading import open_packed

if TYPE_CHECKING:
    from toolkit.report.browse import Site

WORDS = (
    "output_images",
    "input_images",
    "text",
)  # options that an address may name: words the format chooses from, never code or places


def run(source: str, *, host: str, port: int, open_browser: bool, revision: str | None, token: str | None) -> None:
    try:
        import uvicorn

        from toolkit.report.browse import make_app
        from toolkit.report.guard import is_loopback, own_names
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "report") from None
    with _listen(host, port) as listener:
        site = open_site(source, revision=revision, token=token)
        port = listener.getsockname()[1]
        if not is_loopback(host):
            print(f"warning: anyone who reaches {host}:{port} reads {site.name}, without a password", file=sys.stderr)
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
        say(f"{site.name}: {site.index.num_rows:,} rows at {address} (Ctrl-C ends it)")
        if open_browser:
            webbrowser.open(address)
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


def open_site(source: str, *, revision: str | None, token: str | None) -> "Site":
    from toolkit.report.browse import Site
    from toolkit.report.index import Index, Rows

    packed = open_packed(source, revision=revision, token=token)
    with item_progress("metadata", sum(len(shard.row_groups) for shard in packed.shards)) as advance:
        index = Index(packed, lambda: advance(1))
    return Site(
        name=packed.repository.name,
        version=packed.repository.fingerprint(shard.path for shard in packed.shards),
        index=index,
        rows=Rows(packed),
        formats=tuple(_formats()),
        convert=convert_row,
    )


def _formats() -> dict[str, tuple[str, dict[str, str]]]:
    """What a row can be downloaded in: a format in its first profile by its name, others as name-profile; without those
    that need code or places.
    """
    found: dict[str, tuple[str, dict[str, str]]] = {}
    for form in map(get_format, conversion.FORMATS):
        for number, profile in enumerate(form.profiles):
            for options in (
                {"profile": profile, "root": "."},
                {"profile": profile},
            ):  # root: the files name one another from where they are unpacked
                with suppress(UsageError):
                    make_options(form.options, options)
                    found.setdefault(f"{form.name}-{profile}" if number else form.name, (form.name, options))
    return found


def convert_row(row: Row, format: str, options: Mapping[str, str]) -> bytes:
    """A zip of the row in a format, with the report.

    Raises:
        UsageError: an option that an address may not name, or that the format does not have. RowError: the format
            cannot hold the row.
    """
    for option in options:
        if option not in WORDS:
            raise UnknownName("option", option, WORDS)
    name, profile = _formats()[format]
    with tempfile.TemporaryDirectory(prefix="unifiedvisual-browse-") as folder:
        chosen: dict[str, Any] = {**profile, **options}
        conversion.convert_shards([lambda: [row]], Path(folder), to=name, options=chosen)
        return _zip(Path(folder))


def _zip(folder: Path) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(path, path.relative_to(folder).as_posix())
    return content.getvalue()
