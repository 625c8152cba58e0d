"""Are the commands safe from kill -9? Each is killed at random moments and must end in the bytes of a clean run; prints
a table.

    python benchmarks/kills.py                            20 kills a command, some minutes on two cores
    python benchmarks/kills.py --kills 2 --rows 8 --commands convert
    python benchmarks/kills.py --workers 4 --of workers --executor ray

Every other kill takes the workers along; the others leave them to notice. A command that ends is begun anew in an empty
folder, until it was killed often enough. With `--of workers` one worker is killed each time, and the command must go on
by itself. Exit code 1 if a command ends in other bytes, or leaves anything behind.
"""

import argparse
import contextlib
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from conversion import convert
from tests.hub import LoopbackHub
from tests.openai_server import OpenAIServer
from toolkit.demo.replica import write_replica
from toolkit.demo.rows import demo_rows
from toolkit.evaluation.benchmark import write_benchmark
from toolkit.generation.core.spec_file import read_spec
from toolkit.generation.runs import engine
from toolkit.packing.pack import pack
from toolkit.packing.stage import PackOptions
from toolkit.sources.layout import open_source
from toolkit.tasks import TASKS

ROOT = Path(__file__).resolve().parent.parent
JOBS = ("pack", "import", "convert", "tokenize", "lengths", "verify", "merge", "select", "deduplicate", "align")
COMMANDS = (*JOBS, "finalize", "make", "ask", "push")  # the latter do their work in one process
BEGUN = (".staging/plan.json", ".finalize.lock", "packed/.staging/plan.json", "answers.jsonl")  # what is there then
REPO = "org/kills"
SMALL = PackOptions(shard_bytes=2_000_000, row_group_bytes=500_000)
SPEC = {"name": "kills", "backends": {"all": {"kind": "procedural"}}, "concurrency": 2}


def prepare(folder: Path, commands: Sequence[str], rows: int) -> None:
    """What the commands read."""
    write_replica(folder / "upstream", {task: list(demo_rows(task, rows)) for task in TASKS})
    pack(open_source(folder / "upstream"), folder / "packed", TASKS, SMALL)
    if "import" in commands:
        convert(folder / "packed", "webdataset", folder / "tars")
    if {"tokenize", "lengths"} & {*commands}:
        from toolkit.demo.tiny_models import tiny_chameleon

        tiny = tiny_chameleon()
        tiny.model.save_pretrained(folder / "model")
        tiny.processor.save_pretrained(folder / "model")
    if "finalize" in commands:
        spec = {**SPEC, "recipes": {"image_editing": rows, "mm_internet": rows}}
        (folder / "spec.yaml").write_text(yaml.safe_dump(spec))
        engine.run(read_spec(folder / "spec.yaml"), folder / "made")
    if "ask" in commands:
        write_benchmark(folder / "bench", size=2)


def command(name: str, out: Path, workers: int, executor: str = "local") -> list[str]:
    arguments: dict[str, list[object]] = {
        "pack": ["pack", "upstream", out, "--shard-size", 2_000_000, "--row-group-bytes", 500_000],
        "import": ["import", "tars", out, "--format", "webdataset"],
        "convert": ["convert", "packed", "messages", out],
        "tokenize": ["tokenize", "packed", out, "--model", "model"],
        "verify": ["verify", "packed", "--deep", "--findings", out],
        "finalize": ["generate", "finalize", "spec.yaml", "--out", out],
        "merge": ["merge", "packed", "packed", out, "--ids", "prefix"],
        "select": ["select", "packed", out, "--where", "id NOT LIKE '%7'", "--split", "train=0.7,validation=0.3"],
        "align": ["align", "packed", out],
        "deduplicate": ["deduplicate", "packed", out, "--near-text", 0.6],
        "lengths": ["lengths", "packed", out, "--collator", "chameleon", "--model", "model"],
        "make": ["evaluate", "make", out, "--size", 8],
        "ask": ["evaluate", "ask", "bench", out, "--model", "m", "--server", model().url, "--parallel", 1],
        "push": ["push", "packed", REPO],
    }
    spread = ["--workers", workers, "--executor", executor] if name in JOBS else []
    return [sys.executable, "-m", "toolkit.cli.app", *map(str, [*arguments[name], *spread])]


@cache
def hub() -> LoopbackHub:
    return LoopbackHub()


@cache
def model() -> OpenAIServer:
    """Says of every prompt which one it was, in its own time."""
    server = OpenAIServer()

    def answer(path: str, body: bytes) -> tuple[int, Any]:
        time.sleep(0.02)
        text = f"It is {hashlib.sha256(body).hexdigest()}."
        return 200, {"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": text}}]}

    server.dialect = answer
    return server


def start(arguments: list[str], folder: Path) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "KILLS": str(folder)}
    environment |= {"OPENAI_API_KEY": "key", "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(folder / "hf")}
    environment |= {"HF_ENDPOINT": hub().url, "HF_TOKEN": hub().token}
    return subprocess.Popen(
        arguments, cwd=folder, env=environment, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def wait_until_begun(process: "subprocess.Popen[bytes]", out: Path) -> None:
    while process.poll() is None and not (hub().requests or any((out / name).exists() for name in BEGUN)):
        time.sleep(0.001)


def digest(folder: Path) -> str:
    """Of names and bytes, but for the journals of a run, which are read and not written here."""
    found = hashlib.sha256()
    if REPO in hub().repositories:
        files = hub().repositories[REPO].at("main").files
        return " ".join(f"{path} {blob.etag}" for path, blob in sorted(files.items()))
    for path in sorted(folder.rglob("*")):
        if "shards" not in path.relative_to(folder).parts:
            content = path.read_bytes() if path.is_file() else b""
            found.update(f"\n{path.relative_to(folder)} {len(content)} ".encode() + content)
    return found.hexdigest()


def fresh(name: str, folder: Path, out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    hub().reset()
    if name == "finalize":
        shutil.copytree(folder / "made", out)


def end(process: "subprocess.Popen[bytes]") -> None:
    text, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{process.args!r}: exit code {process.returncode}: {text.decode()}")


def workers_of(folder: Path) -> list[int]:
    """Processes that do units of a command at work here."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            is_worker = any(name in (place / "cmdline").read_bytes() for name in (b"_from_here", b"spawn_main"))
            if is_worker and f"KILLS={folder}\0".encode() in (place / "environ").read_bytes():
                found.append(int(place.name))
    return found


def kill_worker(process: "subprocess.Popen[bytes]", folder: Path, wait_s: float) -> bool:
    """Kill a worker some time after the first is there."""
    while process.poll() is None and not workers_of(folder):
        time.sleep(0.005)
    time.sleep(wait_s)
    for worker in workers_of(folder)[:1]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
            return True
    return False


def clean_run(name: str, folder: Path, out: Path) -> tuple[float, str]:
    """Seconds of work, and what comes of it."""
    fresh(name, folder, out)
    process = start(command(name, out, 1), folder)
    wait_until_begun(process, out)
    begun = time.monotonic()
    end(process)
    return time.monotonic() - begun, digest(out)


def kill_command(process: "subprocess.Popen[bytes]", hits: int, wait_s: float) -> bool:
    try:
        process.wait(wait_s)
    except subprocess.TimeoutExpired:
        os.kill(process.pid if hits % 2 else -process.pid, signal.SIGKILL)
        return True
    return False


def kill_often(name: str, folder: Path, given: argparse.Namespace, workers: int) -> bool:
    """One line of the table; whether all ends were the same."""
    started, out, dice = time.monotonic(), folder / "out", random.Random(given.seed)
    work_s, clean = clean_run(name, folder, out)
    hits = ends = 0
    is_same, is_unfinished = True, False
    fresh(name, folder, out)
    while hits < given.kills or is_unfinished:
        process = start(command(name, out, workers, given.executor), folder)
        wait_until_begun(process, out)
        if hits < given.kills and given.of == "commands":
            hits += kill_command(process, hits, dice.uniform(0, work_s))
        elif hits < given.kills:
            hits += kill_worker(process, folder, dice.uniform(0, work_s / workers))
        is_unfinished = process.wait() == -signal.SIGKILL
        if is_unfinished:
            process.communicate()
        else:
            end(process)
            ends += 1
            is_same &= digest(out) == clean
            fresh(name, folder, out)
    print(
        f"{name:12}{workers:8}{work_s:10.1f}{hits:7}{ends:6}   {'same' if is_same else 'OTHER'}"
        f"{time.monotonic() - started:8.0f} s",
        flush=True,
    )
    return is_same


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rows", type=int, default=60, help="of each task")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--of", choices=("commands", "workers"), default="commands")
    parser.add_argument("--executor", default="local")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", nargs="*", choices=COMMANDS, default=COMMANDS)
    given = parser.parse_args()
    print(f"{'command':12}{'workers':>8}{'work, s':>10}{'kills':>7}{'ends':>6}   bytes")
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        prepare(Path(folder), given.commands, given.rows)
        good = [
            kill_often(name, Path(folder), given, workers)
            for name in given.commands
            for workers in (given.workers if name in JOBS else [1])
        ]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
