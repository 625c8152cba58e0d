"""What generation adds to its calls: samples a second, CPU time a call, memory, beside bare clients that send the same
requests to the same server, in the same run; the last column is the CPU time of the run over theirs.

    python benchmarks/generate_http.py                   20,000 samples of one call, answered after 50 ms
    python benchmarks/generate_http.py --samples 2000    a look

Exit code 1 if a call takes more than 1.5 times the CPU time of a bare httpx2 client, or memory passes 300 MB.
Generation itself sends with aiohttp, which takes a fraction of that.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import aiohttp
import httpx2

from tests.generation_runs import write_spec
from toolkit.generation.core.spec_file import read_spec
from toolkit.generation.journal.reading import calls_in, journal_paths
from toolkit.generation.runs import engine

MAX_RATIO, MAX_MB = 1.5, 300
RECIPE = """
from pathlib import Path
from toolkit.generation.recipes.recipe import Made, Recipe, Turn

async def make(context):
    said = await context.ask("tell@1", number=context.index)
    return Made(turns=(Turn(user=(said["question"],), assistant=(said["answer"],)),), answer=said["answer"])

RECIPE = Recipe(
    name="told", task="cot_collection", version=1, folder=Path(__file__).parent, prompts=("tell@1",), make=make
)
"""
PROMPT = """role: text
system: You ask and answer.
user: Ask question number {number} about the sea, and answer it in three sentences or four.
schema:
  type: object
  properties:
    question: {type: string, minLength: 1}
    answer: {type: string, minLength: 1}
"""
SAID = {"question": "What colour is the sea at noon? " * 3, "answer": "It is blue where it is deep. " * 20}
BODY = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": json.dumps(SAID)}}
        ],
        "usage": {"prompt_tokens": 60, "completion_tokens": 180, "total_tokens": 240},
    }
).encode()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


class _Protocol(asyncio.Protocol):
    """As little of HTTP as a client needs to hear."""

    latency_s = 0.05

    def connection_made(self, transport: Any) -> None:
        self._transport, self._heard = transport, b""

    def data_received(self, data: bytes) -> None:
        self._heard += data
        head, found, body = self._heard.partition(b"\r\n\r\n")
        if found:
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            if len(body) >= int(lengths[0].partition(b":")[2]):
                self._heard = b""
                asyncio.get_running_loop().call_later(self.latency_s, self._transport.write, ANSWER)


def serve(port: Any, latency_s: float) -> None:
    async def main() -> None:
        _Protocol.latency_s = latency_s
        server = await asyncio.get_running_loop().create_server(_Protocol, "127.0.0.1", 0, backlog=1024)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def asked(folder: Path) -> dict[str, Any]:
    """The body that a run sent."""
    (path,) = journal_paths(folder / "warm")
    found = json.loads(next(calls_in(path)).request)
    messages = [{"role": name, "content": found[name]} for name in ("system", "user")]
    form = {"type": "json_schema", "json_schema": {"name": "tell", "strict": True, "schema": found["schema"]}}
    return {"model": "m", "messages": messages, "seed": 1, "max_tokens": 2048, "response_format": form}


async def with_httpx(url: str, content: dict[str, Any], left: Iterator[int], concurrency: int) -> None:
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(timeout=None, limits=limits, verify=False) as client:

        async def worker() -> None:
            for _ in left:
                response = await client.post(url, json=content)
                json.loads(json.loads(response.text)["choices"][0]["message"]["content"])

        await asyncio.gather(*(worker() for _ in range(concurrency)))


async def with_aiohttp(url: str, content: dict[str, Any], left: Iterator[int], concurrency: int) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:

        async def worker() -> None:
            for _ in left:
                async with client.post(url, json=content) as response:
                    json.loads(json.loads(await response.text())["choices"][0]["message"]["content"])

        await asyncio.gather(*(worker() for _ in range(concurrency)))


CLIENTS = {"httpx2": with_httpx, "aiohttp": with_aiohttp}


def work(what: str, folder: Path, url: str, count: int, concurrency: int) -> None:
    """One step, in this process; prints its CPU time, time and memory."""
    started, cpu_s = time.monotonic(), time.process_time()
    if what in CLIENTS:
        asyncio.run(CLIENTS[what](f"{url}/chat/completions", asked(folder), iter(range(count)), concurrency))
    else:
        engine.run(read_spec(folder / "spec.yaml"), folder / what)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps([time.process_time() - cpu_s, time.monotonic() - started, used.ru_maxrss / 1024]), flush=True)


def step(what: str, folder: Path, url: str, count: int, concurrency: int) -> list[float]:
    options = ["--step", what, "--folder", folder, "--url", url, "--samples", count, "--concurrency", concurrency]
    command = [sys.executable, __file__, *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


def write_files(folder: Path, url: str, count: int, concurrency: int) -> None:
    (folder / "told/prompts").mkdir(parents=True, exist_ok=True)
    (folder / "told/recipe.py").write_text(RECIPE)
    (folder / "told/prompts/tell@1.yaml").write_text(PROMPT)
    backends = {"all": {"kind": "openai_chat", "model": "m", "base_url": url}}
    recipes = {"told": {"n": count, "use": "told/recipe.py:RECIPE"}}
    content = {
        "name": "http",
        "backends": backends,
        "recipes": recipes,
        "concurrency": concurrency,
        "prices": {"m": {}},
    }
    write_spec(folder, content)


def measure(folder: Path, url: str, count: int, concurrency: int) -> bool:
    write_files(folder, url, 10, concurrency)
    step("warm", folder, url, 10, concurrency)  # modules are compiled
    write_files(folder, url, count, concurrency)
    names = (*CLIENTS, "run")
    took = {name: step(name, folder, url, count, concurrency) for name in names}
    idle = {name: step(name, folder, url, 0, concurrency)[0] for name in CLIENTS}
    idle["run"] = step("run", folder, url, count, concurrency)[0]  # in which nothing is left to do
    per_call = {name: 1e3 * (took[name][0] - idle[name]) / count for name in names}
    for name in names:
        _, seconds, megabytes = took[name]
        figures = f"{count / seconds:8,.0f} a second{per_call[name]:8.2f} ms of CPU a call{megabytes:8.0f} MB"
        print(f"{name:12}{figures}   {per_call['run'] / per_call[name]:5.2f}", flush=True)
    return per_call["run"] <= MAX_RATIO * per_call["httpx2"] and took["run"][2] < MAX_MB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds until the server answers")
    for hidden in ("--step", "--url"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        work(given.step, given.folder, given.url, given.samples, given.concurrency)
        return
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there, given.latency), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{here.recv()}/v1"
    try:
        with tempfile.TemporaryDirectory(prefix="http-") as folder:
            is_good = measure(Path(folder), url, given.samples, given.concurrency)
    finally:
        server.terminate()
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONHASHSEED", "0")
    main()
