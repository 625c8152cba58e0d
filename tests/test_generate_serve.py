"""The wire against a server that somebody else wrote: `transformers serve` with tiny random models. It takes
`response_format` and ignores it, so that
replies never fit a schema: what is proved here is the protocol, the counts and the ledger, and what becomes of
failures."""

import asyncio
import multiprocessing
import os
import runpy
import signal
import socket
import sys
import threading
import time
import urllib.request
from importlib.util import find_spec

import pytest

from tests.generation_runs import picture, write_sources, write_spec
from tests.generation_tiny import save_llava, save_text
from toolkit.cli.app import main
from toolkit.errors import RunStopped
from toolkit.generation.backends.openai_chat import OpenAIChat
from toolkit.generation.backends.openai_images import OpenAIImages
from toolkit.generation.calls import sending as calls
from toolkit.generation.core.protocol import Fatal, Origin, Request
from toolkit.generation.core.spec_file import read_spec
from toolkit.generation.journal.reading import journal_paths, query
from toolkit.generation.reports.summary import summarise
from toolkit.generation.runs import engine

START_S = 90
PRICE = {"input_per_mtok": 2.0, "output_per_mtok": 8.0}
pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(  # looked for, not imported: every process of a run collects this file, and one runs it
        not all(map(find_spec, ("fastapi", "uvicorn", "openai"))),
        reason="the server is `transformers serve`; pip install 'transformers[serving]'",
    ),
]


class Serve:
    """The process, and what its log says it answered."""

    def __init__(self, folder):
        self.text, self.llava = str(save_text(folder / "text")), str(save_llava(folder / "llava"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.root, self.url, self._log = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port}/v1", folder / "serve.log"
        words = ["serve", "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
        # A fork, for it has torch and transformers, which made the models.
        self.process = multiprocessing.get_context("fork").Process(target=_serve, args=(words, self._log))
        self.process.start()

    def wait(self):
        for _ in range(START_S * 4):
            assert self.process.is_alive(), self._log.read_text()
            try:
                return urllib.request.urlopen(f"{self.root}/health", timeout=5).read()
            except OSError:
                time.sleep(0.25)
        raise AssertionError(f"not up in {START_S} s: {self._log.read_text()}")

    def answered(self, status):
        return self._log.read_text().count(f'POST /v1/chat/completions HTTP/1.1" {status}')

    def send_signal(self, number):
        os.kill(self.process.pid, number)

    def close(self):
        self.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.join()


def _serve(words, log):
    for handle in (1, 2):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), handle)
    sys.stdout, sys.stderr = (os.fdopen(handle, "w", buffering=1) for handle in (1, 2))
    sys.argv = ["transformers", *words]
    runpy.run_module("transformers.cli.transformers", run_name="__main__")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Serve(tmp_path_factory.mktemp("serve"))
    try:
        server.wait()
        yield server
    finally:
        server.close()


def backend(server, model, **options):
    return {
        "kind": "openai_chat",
        "base_url": server.url,
        "model": model,
        "params": {"max_tokens": 12, "temperature": 0.0},
        **options,
    }


def spec_file(folder, server, recipes, *, model=None, **rest):
    write_sources(folder, 4)
    backends = {"all": backend(server, server.text), "vision": backend(server, model or server.llava)}
    content = {"prices": {server.text: PRICE, server.llava: PRICE}, "recipes": recipes, "concurrency": 2, **rest}
    content["backends"] = {
        "image": {"kind": "openai_images", "base_url": server.url, "model": "none"},  # no sample gets so far
        **rest.get("backends", backends),
    }
    return write_spec(folder, content)


def send(opened, **request):
    async def once():
        try:
            return await opened.send(Request(step="test", seed=1, origin=Origin(recipe="", seed=0, index=0), **request))
        finally:
            await opened.close()

    return asyncio.run(once())


def ask(server, model, *images):
    options = {name: value for name, value in backend(server, model).items() if name != "kind"}
    return send(OpenAIChat.from_options(options), kind="chat", system="Be brief.", user="What is this?", images=images)


def test_words_in_words_out_with_the_tokens_counted_by_the_server(server):
    reply = ask(server, server.text)
    assert reply.usage.output_tokens == 12
    assert reply.usage.input_tokens == len("<|system|>Be brief.<|user|>What is this?<|assistant|>")  # one token a byte
    assert reply.text


def test_pictures_go_in_and_are_counted(server):
    none, one, two = (
        ask(server, server.llava, *pictures).usage.input_tokens
        for pictures in ((), (picture(1),), (picture(1), picture(2)))
    )
    assert (
        one - none == two - one == 4 + len("\n")
    )  # 16 x 16 pixels in patches of 8; the template ends a picture's line


def test_a_run_counts_what_the_server_answered_and_rejects_what_is_cut_off(server, tmp_path):
    path = spec_file(
        tmp_path, server, {"image_generation_topic": 2, "mm_reasoning_o": {"n": 2, "source": "mm_reasoning_o.jsonl"}}
    )
    before = server.answered(200)
    with pytest.raises(SystemExit) as ended:
        main(["generate", "run", str(path), "--out", str(tmp_path / "run")])
    assert not ended.value.code
    summary = summarise(read_spec(path), tmp_path / "run")
    assert {name: (f.ok, f.reasons) for name, f in summary.recipes.items()} == {
        "image_generation_topic": (0, {"topic_brief: cut_off": 2}),
        "mm_reasoning_o": (0, {"o_question: cut_off": 2}),
    }
    text, llava = summary.models[server.text], summary.models[server.llava]
    assert (text.sends, llava.sends) == (4, 4)  # each sample: one question, once more with twice the room
    assert server.answered(200) - before == 8
    assert (text.output_tokens, llava.output_tokens) == (2 * (12 + 24), 2 * (12 + 24))
    dollars = ((text.input_tokens + llava.input_tokens) * 2.0 + 4 * (12 + 24) * 8.0) / 1e6
    assert summary.cost == pytest.approx(dollars)
    assert summary.cost > 0
    raw = [
        body for journal in journal_paths(tmp_path / "run") for (body,) in query(journal, "SELECT raw FROM attempts")
    ]
    assert all('"object":"chat.completion"' in body for body in raw)
    engine.run(read_spec(path), tmp_path / "run")
    assert server.answered(200) - before == 8  # rejected is finished


def test_a_server_that_hangs_is_asked_again_until_it_answers(server, tmp_path, monkeypatch):
    monkeypatch.setattr(calls, "FIRST_PAUSE_S", 0.2)
    ask(server, server.text)  # loaded, so that no answer takes long
    path = spec_file(
        tmp_path,
        server,
        {"image_generation_topic": 1},
        backends={"all": backend(server, server.text, timeout_s=1.0)},
        attempts=30,
    )
    wake = threading.Timer(2.5, server.send_signal, [signal.SIGCONT])
    server.send_signal(signal.SIGSTOP)
    wake.start()
    engine.run(read_spec(path), tmp_path / "run")
    wake.join()
    states = [
        found
        for journal in journal_paths(tmp_path / "run")
        for found in query(journal, "SELECT state, problem FROM attempts ORDER BY number")
    ]
    assert states[0][0] == "in_doubt"
    assert states[0][1].startswith("timeout: ")
    assert [state for state, _ in states].count("ok") == 2
    assert summarise(read_spec(path), tmp_path / "run").recipes["image_generation_topic"].reasons == {
        "topic_brief: cut_off": 1
    }


def test_a_model_the_server_cannot_load_fails_samples_and_stops_the_run(server, tmp_path, monkeypatch):
    monkeypatch.setattr(calls, "FIRST_PAUSE_S", 0.05)
    missing = {"all": backend(server, str(tmp_path / "none"))}
    path = spec_file(
        tmp_path,
        server,
        {"image_generation_topic": 9},
        backends=missing,
        attempts=2,
        stop_after=2,
        prices={},
        concurrency=1,
    )
    with pytest.raises(RunStopped, match="2 samples failed one after another, the last with status_500"):
        engine.run(read_spec(path), tmp_path / "run")


def test_an_endpoint_the_server_does_not_have_is_fatal(server):
    with pytest.raises(Fatal, match="status_404"):
        send(OpenAIImages.from_options({"base_url": server.url, "model": "draw"}), kind="generate", user="a cat")
