"""A Hugging Face Hub on loopback, for dataset repositories; unmodified clients use it through HF_ENDPOINT.

The way of a request: `LoopbackHub` (state) <- `endpoints` (one method per API call) <- `wire` (bodies, ranges, faults)
<- the client.
    with LoopbackHub() as hub:
        commit_id = hub.add_folder("org/name", folder)    # a commit holding exactly that folder
        hub.fail("429", path=r"\\.parquet$", times=2)      # the next two such requests
        hub.requests                                      # method, path, range, status, bytes of each request, in order
As on the real Hub, writing and private repositories need a token (`hub.token`), and LFS files are answered with a
redirect to a CDN: another origin (localhost instead of 127.0.0.1) that is sent no token. huggingface_hub reads
HF_ENDPOINT when it is imported and needs HF_HUB_DISABLE_XET=1. Not here: models and spaces, pull requests, Xet, search,
token scopes.
"""

import contextlib
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from http.server import ThreadingHTTPServer
from pathlib import Path
from socket import SHUT_RDWR, socket
from types import TracebackType
from typing import Any

from tests.hub.endpoints import Endpoints
from tests.hub.faults import BODY_KINDS, Fault, Request
from tests.hub.repositories import Blob, Repository, blob_at

__all__ = ["Fault", "LoopbackHub", "Repository", "Request"]


class LoopbackHub:
    """Serves from construction until `close`.

    Args:
        token: the one token that reads private repositories and writes; any other is refused.
        page_entries: entries on one page of a listing.
        part_bytes: larger LFS files are uploaded in parts of this size.
        redirects: whether LFS files are answered with a redirect to the CDN or directly.
    """

    user = "loopback"

    def __init__(
        self,
        *,
        token: str = "hf_loopback",
        page_entries: int = 1000,
        part_bytes: int = 64 << 20,
        redirects: bool = True,
    ) -> None:
        self.token, self.page_entries, self.part_bytes, self.redirects = token, page_entries, part_bytes, redirects
        self.lock, self.closing = threading.RLock(), threading.Event()
        self.garble: Callable[[bytes], bytes] | None = None  # what becomes of each whole answer, its headers included
        self.uploads = Path(tempfile.mkdtemp(prefix="loopback-hub-"))
        self.reset()
        self._server = _Server(self)
        self.url, self.cdn_url = (f"http://{host}:{self._server.server_port}" for host in ("127.0.0.1", "localhost"))
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def add_folder(
        self, repo_id: str, folder: Path, *, revision: str = "main", private: bool = False, gated: bool = False
    ) -> str:
        """One commit on branch `revision` that holds exactly the files of `folder`; returns its id. Files over 10 MiB
        are served from where they lie.
        """
        files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        return self.add_files(repo_id, files, revision=revision, private=private, gated=gated)

    def add_files(
        self,
        repo_id: str,
        files: Mapping[str, bytes | Path],
        *,
        revision: str = "main",
        private: bool = False,
        gated: bool = False,
    ) -> str:
        blobs = {path: blob_at(path, source) for path, source in files.items()}
        with self.lock:
            repository = self.repositories.setdefault(repo_id, Repository(id=repo_id))
            repository.private, repository.gated = private, gated
            self.lfs.update((blob.sha256, blob) for blob in blobs.values() if blob.sha256)
            return repository.commit(blobs, branch=revision).id

    def fail(
        self,
        kind: str,
        *,
        method: str = "",
        path: str = "",
        times: float = 1,
        retry_after_s: int = 0,
        after_bytes: int = 0,
        chunk_bytes: int = 1 << 16,
        delay_s: float = 0.05,
    ) -> None:
        """Make the next `times` requests that fit fail; `method` and `path` are regular expressions, searched for; the
        first rule that fits wins.

        Args:
            kind: a status ("429" with Retry-After, "500", "503", "401", ...); "cut": close the connection after
                `after_bytes` of the body; "slow": pause `delay_s` after each `chunk_bytes` of the body; "hang": say
                nothing for `delay_s`, then close the connection; "drip": headers without end, `delay_s` a byte.

        Raises:
            ValueError: no such kind.
        """
        if not (kind in (*BODY_KINDS, "drip", "hang") or kind.isdigit()):
            raise ValueError(f"unknown fault {kind!r}; known: a status, 'cut', 'drip', 'hang', 'slow'")
        with self.lock:
            self.faults.append(
                Fault(
                    kind=kind,
                    method=method,
                    path=path,
                    times=times,
                    retry_after_s=retry_after_s,
                    after_bytes=after_bytes,
                    chunk_bytes=chunk_bytes,
                    delay_s=delay_s,
                )
            )

    def take_fault(self, request: Request, *, in_body: bool) -> Fault | None:
        with self.lock:
            fault = next((rule for rule in self.faults if rule.is_in_body == in_body and rule.fits(request)), None)
            if fault:
                fault.times -= 1
            return fault

    def reset(self) -> None:
        """Forget repositories, uploads, faults and the request log."""
        with self.lock:
            self.repositories: dict[str, Repository] = {}
            self.lfs: dict[str, Blob] = {}  # by sha256
            self.faults: list[Fault] = []
            self.requests: list[Request] = []
            for path in self.uploads.iterdir():
                path.unlink()

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        shutil.rmtree(self.uploads)

    def __enter__(self) -> "LoopbackHub":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, hub: LoopbackHub) -> None:
        self.hub = hub
        self.connections: set[socket] = set()
        self.idle = threading.Condition()
        super().__init__(("127.0.0.1", 0), Endpoints)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self.idle:
            self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self.idle:
            self.connections.discard(request)
            self.idle.notify_all()

    def server_close(self) -> None:
        """Also ends the connections that clients keep alive, so that no socket outlives the server."""
        super().server_close()
        with self.idle:
            for connection in self.connections:
                with contextlib.suppress(OSError):  # the client was faster
                    connection.shutdown(SHUT_RDWR)
            self.idle.wait_for(lambda: not self.connections, timeout=5)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a client that leaves early is no error
            super().handle_error(request, client_address)
