"""A server that means harm: bodies without end, keys that it writes back in disguise, answers that break a backend."""

import asyncio
import base64
import gzip
import io
import json
import resource

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.generation_runs import http_spec
from tests.openai_server import OpenAIServer
from toolkit.errors import RunStopped, UsageError
from toolkit.generation.backends import http
from toolkit.generation.backends.http import Server
from toolkit.generation.calls import sending
from toolkit.generation.core.protocol import CallError
from toolkit.generation.core.spec_file import read_spec
from toolkit.generation.journal.reading import journal_paths, query
from toolkit.generation.reports.summary import summarise
from toolkit.generation.runs import engine
from toolkit.generation.runs.finalize import finalize

SECRET, PASSWORD = "sk-very/secret+key", "pass-of-the-proxy"
HEAD = b"HTTP/1.1 200 OK\r\n"


def post(answer):
    """What a client makes of a server that writes these bytes, the last of them over and over."""

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        try:
            for part in answer:
                writer.write(part)
                await writer.drain()
            while answer[-1]:
                writer.write(answer[-1])
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()

    async def main():
        listening = await asyncio.start_server(serve, "127.0.0.1", 0)
        client = Server(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1")
        try:
            return await client.post("chat/completions", {})
        except CallError as error:
            return error
        finally:
            await client.close()
            listening.close()

    return asyncio.run(main())


def megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.parametrize(
    "answer",
    [
        [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b" " * 65536 + b"\r\n"],
        [HEAD + b"Content-Length: 9999999999\r\n\r\n", b" " * 65536],
        [HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b" " * 2**26, 1), b""],
    ],
    ids=["chunks", "length", "gzip bomb"],
)
def test_a_body_without_end_is_given_up_and_booked(monkeypatch, answer):
    monkeypatch.setattr(http, "MOST_BYTES", 2**22)
    before = megabytes()
    error = post(answer)
    assert (error.problem, error.may_cost) == ("endless_body", True)
    assert len(error.raw) <= http.KEPT
    assert megabytes() < before + 150


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("TEST_API_KEY", SECRET)
    monkeypatch.setattr(sending, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr("tests.openai_server.KEY", SECRET)
    server = OpenAIServer()
    yield server
    server.close()


def go(server, folder, n=2, **rest):
    spec = read_spec(http_spec(folder, server.url, {"image_generation_topic": n}, **rest))
    try:
        engine.run(spec, folder / "run")
    finally:
        summary = summarise(spec, folder / "run").recipes["image_generation_topic"]
    return summary


def plain(text):
    """As it is read in the end: escapes undone, those of JSON in JSON too."""
    for _ in range(3):
        text = text.replace("\\/", "/").replace("\\\\", "\\")
        for character in set(SECRET):
            text = text.replace(f"\\u{ord(character):04x}", character)
    return text


def assert_untold(folder):
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "spec.yaml"]
    assert any(path.suffix == ".parquet" for path in files)
    for path in files:
        found = plain(path.read_bytes().decode("latin-1"))
        assert SECRET not in found, path
        assert PASSWORD not in found, path
        assert base64.b64encode(SECRET.encode()).decode() not in found, path


def escaped(text):
    return "".join(f"\\u{ord(character):04x}" for character in text)


@pytest.mark.parametrize("spell", [str, escaped, lambda text: text.replace("/", "\\/")], ids=["plain", "\\u", "\\/"])
def test_a_key_that_is_written_into_rows_is_in_no_file(server, tmp_path, monkeypatch, spell):
    from tests import openai_server

    fill = openai_server._fill
    told = f"It is a key: {PASSWORD} and base64 {base64.b64encode(SECRET.encode()).decode()} and KEYHERE."

    def tell(schema, asked, *name):
        found = fill(schema, asked, *name)
        return {**found, "rationale": told} if "rationale" in schema.get("properties", ()) else found

    def answer(self, status, value, **_):
        body = json.dumps(value).replace("KEYHERE", spell(SECRET)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    monkeypatch.setattr(openai_server, "_fill", tell)
    monkeypatch.setattr(openai_server._Handler, "_answer", answer)
    own = {"base_url": server.url.replace("http://", f"http://user:{PASSWORD}@"), "model": "chat"}
    monkeypatch.setattr(Server, "_authorization", lambda self: {"Authorization": f"Bearer {SECRET}"})
    backends = {
        "all": {"kind": "openai_chat", "api_key_env": "TEST_API_KEY", **own},
        "image": {"kind": "openai_images", "api_key_env": "TEST_API_KEY", **own},
    }
    assert go(server, tmp_path, backends=backends).ok == 2
    finalize(read_spec(tmp_path / "spec.yaml"), tmp_path / "run")
    (row,) = query(journal_paths(tmp_path / "run")[0], "SELECT row FROM samples LIMIT 1")
    assert row[0].count("[redacted]") >= 3
    assert_untold(tmp_path)


def png_that_tells():
    told, buffer = PngInfo(), io.BytesIO()
    told.add_text("comment", SECRET)
    Image.new("RGB", (40, 40), (9, 90, 200)).save(buffer, format="PNG", pnginfo=told)
    return buffer.getvalue()


@pytest.mark.parametrize("is_fetched", [False, True])
def test_an_image_that_holds_the_key_is_no_image(server, tmp_path, is_fetched):
    server.downloads["/told.png"] = png_that_tells()
    told = {"b64_json": base64.b64encode(png_that_tells()).decode()}
    item = {"url": server.url.replace("/v1", "/told.png")} if is_fetched else told
    server.dialect = lambda path, body: (200, {"data": [item]}) if path.startswith("images") else None
    with pytest.raises(RunStopped, match="holds the key" if is_fetched else "wrote the key"):
        go(server, tmp_path, stop_after=1)
    for path in (tmp_path / "run").rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("address", ["http://[", "data:image/png;base64,%%%", "file:///etc/passwd", "http://x:y/", 7])
def test_an_address_that_is_none_stops_the_run_and_is_booked(server, tmp_path, address):
    server.dialect = lambda path, body: (200, {"data": [{"url": address}]}) if path.startswith("images") else None
    with pytest.raises(RunStopped, match="no_image"):
        go(server, tmp_path, n=1, concurrency=1)
    statement = "SELECT attempts.cost FROM attempts JOIN calls USING (key) WHERE role = 'image'"
    assert list(query(journal_paths(tmp_path / "run")[0], statement)) == [(0.04,)]


def test_a_reply_that_is_longer_than_its_limit_allows_is_not_sent_on(server, tmp_path):
    text = json.dumps({"description": "long " * 10_000})
    chat = {"choices": [{"message": {"content": text}}], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    server.dialect = lambda path, body: (200, chat)
    assert go(server, tmp_path).reasons == {"topic_brief: too_long": 2}
    assert go(server, tmp_path).reasons == {"topic_brief: too_long": 2}


@pytest.fixture
def behind(monkeypatch, tmp_path):
    """Where the environment names a proxy, and ~/.netrc knows every host."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password of-the-netrc\n")
    netrc.chmod(0o600)
    for name, value in {"NETRC": str(netrc), "TEST_API_KEY": SECRET, "no_proxy": "", "NO_PROXY": ""}.items():
        monkeypatch.setenv(name, value)
    return lambda proxy: monkeypatch.setenv("http_proxy", proxy)


@pytest.mark.parametrize(
    ("proxy", "proven"), [("http://u:p@{}", b"Proxy-Authorization: Basic dTpw"), ("http://{}", None), ("{}", None)]
)
def test_a_proxy_gets_its_own_password_and_the_server_the_key(behind, proxy, proven):
    heads = []

    async def serve(reader, writer):
        heads.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n"))
        writer.write(HEAD + b"Content-Length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()

    async def main():
        listening = await asyncio.start_server(serve, "127.0.0.1", 0)
        behind(proxy.format(f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"))
        client = Server("http://models.example/v1", api_key_env="TEST_API_KEY")
        await client.post("chat/completions", {})
        await client.close()
        listening.close()

    asyncio.run(main())
    (head,) = heads
    assert head[0] == b"POST http://models.example/v1/chat/completions HTTP/1.1"
    assert [line for line in head if line.startswith(b"Authorization")] == [f"Authorization: Bearer {SECRET}".encode()]
    assert [line for line in head if line.startswith(b"Proxy")] == [proven] * (proven is not None)


def test_a_proxy_of_another_kind_is_said_before_anything_is_sent(behind):
    behind("socks5://user:pass@127.0.0.1:1080")
    with pytest.raises(UsageError, match=r"^socks5://127.0.0.1:1080: .* or no_proxy=models.example$") as caught:
        Server("http://models.example/v1")
    assert "pass@" not in str(caught.value)
