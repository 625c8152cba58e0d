"""`unifiedvisual browse` as a process: who is refused, what is not found, many readers at once, start and end."""

import http.client
import sys
import threading

import pytest

from tests.browse_site import ALL, serving, write_rows
from tests.replicas import replica
from toolkit.cli.app import main
from toolkit.report.guard import own_names


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    return write_rows(tmp_path_factory.mktemp("browse") / "packed")


NOWHERE = (
    "../etc/passwd",
    "%2e%2e",
    "%2e%2e%2fetc%2fpasswd",
    "%00",
    "a%00b",
    "x" * 5000,
    "%ff%fe",
    "..%5c..",
    "'%20OR%201=1--",
    "%",
    "nope",
)


@pytest.mark.parametrize("piece", NOWHERE, ids=range(len(NOWHERE)))
def test_ids_that_are_none_are_not_found(address, piece):
    for path in (
        f"/row/{piece}",
        f"/image/{piece}/0",
        f"/row/{piece}/download/webdataset",
        f"/{piece}",
        f"/row/ie-0000/download/{piece}",
    ):
        assert ask(address, path)[0] == 404
    assert ask(address, f"/image/ie-0000/{piece}")[0] == 404
    assert ask(address, "/image/ie-0000/" + "9" * 5000)[0] == 404


@pytest.fixture(scope="module")
def address(packed):
    with serving(packed) as address:
        yield address


def ask(address, path, method="GET", **headers):
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def test_only_its_own_names_are_answered(address):
    port = address.rpartition(":")[2]
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"LOCALHOST:{port}", f"[::1]:{port}"):
        assert ask(address, "/", Host=host)[0] == 200
    for host in (
        f"evil.example:{port}",
        "127.0.0.1",
        "localhost:1",
        f"127.0.0.1.evil.example:{port}",
        f"localhost.:{port}",
        "",
        f"evil@127.0.0.1:{port}",
    ):
        assert ask(address, "/", Host=host)[0] == 400
        assert ask(address, "/image/ig-00000001/0", Host=host)[0] == 400


def test_nothing_but_reading_is_allowed(address):
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        assert ask(address, "/", method)[0] == 405
    assert ask(address, "/", "HEAD") == (200, b"")


def test_many_readers_at_once_get_what_one_gets(address):
    paths = [f"/image/{row.id}/{number}" for row in ALL for number in range(len(row.images))] + [
        f"/?text={row.id}" for row in ALL
    ]
    alone, together = {path: ask(address, path) for path in paths}, {}
    order = paths * 3
    threads = [
        threading.Thread(
            target=lambda part: together.update({path: ask(address, path) for path in part}), args=(order[n::8],)
        )
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code, capsys.readouterr().err


def test_a_port_that_is_taken_and_a_layout_that_is_not_packed_are_told(capsys, address, packed, tmp_path):
    code, err = run(capsys, "browse", packed, "--port", address.rpartition(":")[2])
    assert (code, "give another --port" in err) == (2, True)
    code, err = run(capsys, "browse", replica(tmp_path / "uv", "columns", tasks=("cot_collection",)), "--port", 0)
    assert (code, "run: unifiedvisual pack" in err) == (2, True)


def test_a_missing_package_names_its_extra(capsys, monkeypatch, packed):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert run(capsys, "browse", packed) == (
        2,
        "error: uvicorn is not installed; run in the clone: pip install -c constraints.txt -e '.[report]'\n",
    )


def test_hosts_of_a_server_that_others_reach():
    names = own_names("0.0.0.0", 80)
    assert names("192.168.1.5:80")
    assert names("[fe80::1]:80")
    assert not names("evil.example:80")
    assert not names("192.168.1.5:81")
    assert not own_names("127.0.0.1", 80)("192.168.1.5:80")
    assert own_names("127.0.0.2", 80)("127.0.0.2:80")
