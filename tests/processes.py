"""The command in processes of its own that have its modules already: to import them takes a new interpreter a second or
more.
"""

import multiprocessing
import os
import shutil
import socketserver
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
FORKS = multiprocessing.get_context("forkserver")  # one server in all; it pickles what it gets, as "spawn" does
FORKS.set_forkserver_preload(
    [
        "tests.processes",
        "toolkit.cli.app",
        "toolkit.cli.pack",
        "toolkit.packing.pack",
        "toolkit.generation.runs.engine",
        "aiohttp",
        "toolkit.streaming.dataset",
        "toolkit.collate.token_jobs",
        "toolkit.demo.tiny_models",
    ]
)


class Command:
    """`unifiedvisual ARGUMENTS`, with the methods of a Popen; what it prints goes into files.

    Args:
        before: called first, in the process of the command.
        cwd: its folder; default: that of this process.
    """

    def __init__(self, *arguments: object, before: Callable[[], object] | None = None, cwd: Path | None = None) -> None:
        folder = Path(tempfile.mkdtemp(prefix="command-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._out, self._err = folder / "out", folder / "err"
        where = (dict(os.environ), cwd or Path.cwd(), self._out, self._err)
        self._process = FORKS.Process(target=_run, args=([*map(str, arguments)], *where, before))
        self._process.start()
        vars(multiprocessing.process)["_children"].discard(
            self._process
        )  # else the next start, in any thread, polls it too

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    @property
    def err(self) -> str:
        """What it has printed to standard error so far."""
        return self._err.read_text() if self._err.exists() else ""

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def wait(self, timeout: float = 60) -> int | None:
        self._process.join(timeout)
        assert self._process.exitcode is not None, f"still running: {self.err}"
        return self._process.exitcode

    def communicate(self, timeout: float = 60) -> tuple[str, str]:
        self.wait(timeout)
        return self._out.read_text() if self._out.exists() else "", self.err


# Sends its folder and arguments, and gets the exit code and as many bytes as standard output has; then come both.
_SCRIPT = """#!/bin/bash
exec 3<>/dev/tcp/127.0.0.1/{port}
printf '%s\\0' "$PWD" "$@" END >&3
read -r code bytes <&3
head -c "$bytes" <&3
cat <&3 >&2
exit "$code"
"""


class Shells:
    """For shell scripts that call the command: a script to put in the place of `unifiedvisual`, or of its Python."""

    def __init__(self) -> None:
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Call)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def write(self, path: Path) -> None:
        path.write_text(_SCRIPT.format(port=self._server.server_address[1]))
        path.chmod(0o755)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Call(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        sent = b""
        while not sent.endswith(b"\0END\0"):
            sent += self.request.recv(65536)
        folder, *arguments = (os.fsdecode(word) for word in sent.split(b"\0")[:-2])
        if arguments[:2] == ["-m", "toolkit.cli.app"]:
            arguments = arguments[2:]
        command = Command(*arguments, cwd=Path(folder))
        out, err = (text.encode() for text in command.communicate(timeout=100))
        self.wfile.write(b"%d %d\n" % (command.returncode or 0, len(out)) + out + err)


def _run(
    arguments: list[str],
    environment: dict[str, str],
    folder: Path,
    out: Path,
    err: Path,
    before: Callable[[], object] | None,
) -> None:
    from toolkit.cli.app import main

    for path, handle in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), handle)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["unifiedvisual", *arguments]
    if before:
        before()
    main(arguments)
