"""The commands that write, as `kills.py`, `full_disk.py` and `together.py` start them, and what becomes of a folder."""

import hashlib
import json
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from conversion import FORMATS, convert
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
JOBS = {  # that are spread over workers
    "pack": "pack upstream {out} --shard-size 2MB --row-group-bytes 500KB",
    "import": "import tars {out} --format webdataset",
    "convert": "convert packed messages {out}",
    "tokenize": "tokenize packed {out} --model model",
    "lengths": "lengths packed {out} --collator chameleon --model model --tokens tokens",
    "verify": "verify packed --deep --findings {out}",
    "merge": "merge packed packed {out} --ids prefix",
    "select": "select packed {out} --where \"id NOT LIKE '%7'\" --split train=0.7,validation=0.3",
    "deduplicate": "deduplicate packed {out} --near-text 0.6",
    "align": "align packed {out}",
    **{f"convert {name}": f"convert packed {name} {{out}} --on-unfit drop" for name in FORMATS},
}
COMMANDS = {
    **JOBS,
    "run": "generate run spec.yaml --out {out}",
    "init": "generate init image_editing --out {out}/spec.yaml",
    "retry": "generate retry spec.yaml --reason spoilt --out {out}",
    "sweep": "generate verify spec.yaml --sweep --out {out}",
    "trial": "generate preview spec.yaml --out {out}",
    "finalize": "generate finalize spec.yaml --out {out}",
    "topics": "generate topics asking.yaml {out}/tree.yaml --to 40 --out {out}",
    "make": "evaluate make {out} --size 8",
    "ask": "evaluate ask bench {out} --model m --server {url} --parallel 1",
    "score": "evaluate score answers.jsonl --size 4 --report {out}/scores.html --card {out}/card.md",
    "compare": "evaluate compare one.yaml other.yaml --out {out} --seeds 2 --tokens 10000",
    "mapping": "inspect upstream --write-mapping {out}/mapping.yaml",
    "stats": "stats packed --plots {out}",
    "preview": "preview packed {out}/page.html",
    "demo": "demo {out} --rows 2",
    "push": "push packed org/kills",
    "browse": "packed {out}/answers.json",
}
BROWSE = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from toolkit.report.index import Filter, Index
from toolkit.streaming.reading import open_packed
index = Index(open_packed(sys.argv[1]), keep=True)
found = index.matches(Filter(text="the"))
shown = [asdict(each) for each in index.summaries(range(index.num_rows), "the")]
answers = [asdict(index.known), found.tolist(), shown]
index.close()
Path(sys.argv[2]).parent.mkdir(exist_ok=True)
Path(sys.argv[2]).write_text(json.dumps(answers))
"""
USUAL = [name for name in COMMANDS if not name.startswith("convert ")]  # else every format of one way to write
SHORT = {"init", "retry", "sweep"}  # of which nothing shows when they begin to write
ONCE = {"init"}  # that refuse an output which is there
OF_A_RUN = {"finalize", "retry", "sweep"}  # that begin with one that is made
INDEX = Path("packed/.browse")
REPO = "org/kills"
TIMES = {".packed-from.json", "conversion_report.json"}  # tell when the source was written, which a demo itself does
OWN = {"shards", "runs", "topics"}  # folders of journals and seconds, which differ from run to run
SMALL = PackOptions(shard_bytes=2_000_000, row_group_bytes=500_000)
SPEC = {"name": "kills", "backends": {"all": {"kind": "procedural"}}, "concurrency": 2}


def prepare(folder: Path, commands: Sequence[str], rows: int) -> None:
    """What the commands read."""
    write_replica(folder / "upstream", {task: list(demo_rows(task, rows)) for task in TASKS})
    pack(open_source(folder / "upstream"), folder / "packed", TASKS, SMALL)
    for name, make in INPUTS.items():
        if any(name in shlex.split(COMMANDS[each]) for each in commands):
            make(folder, rows)
    if OF_A_RUN & {*commands}:
        engine.run(read_spec(folder / "spec.yaml"), folder / "made")


def _tars(folder: Path, rows: int) -> None:
    convert(folder / "packed", "webdataset", folder / "tars")


def _model(folder: Path, rows: int) -> None:
    from toolkit.demo.tiny_models import tiny_chameleon

    tiny = tiny_chameleon()
    tiny.model.save_pretrained(folder / "model")
    tiny.processor.save_pretrained(folder / "model")


def _tokens(folder: Path, rows: int) -> None:
    end(start(command("tokenize", folder / "tokens"), folder))


def _spec(folder: Path, rows: int) -> None:
    _write(folder / "spec.yaml", {**SPEC, "recipes": {"image_editing": rows, "mm_internet": rows}})


def _asking(folder: Path, rows: int) -> None:
    backend = {"kind": "openai_chat", "model": "m", "base_url": model().url, "api_key_env": "OPENAI_API_KEY"}
    _write(folder / "seed.yaml", ["sea", "hills"])
    content = {**SPEC, "backends": {"all": backend}, "recipes": {"mm_reasoning_t": 1}, "topics": "seed.yaml"}
    _write(folder / "asking.yaml", {**content, "prices": {"m": {"input_per_mtok": 1.0, "output_per_mtok": 1.0}}})


def _bench(folder: Path, rows: int) -> None:
    write_benchmark(folder / "bench", size=2)


def _answers(folder: Path, rows: int) -> None:
    write_benchmark(folder / "asked", size=4)
    ids = [json.loads(line)["id"] for line in (folder / "asked/prompts.jsonl").read_text().splitlines()]
    lines = [json.dumps({"id": id, "answer": f"It is {number}."}) + "\n" for number, id in enumerate(ids)]
    (folder / "answers.jsonl").write_text("".join(lines))


def _write(path: Path, content: Any) -> None:
    path.write_text(yaml.safe_dump(content))


INPUTS: dict[str, Callable[[Path, int], None]] = {
    "tars": _tars,
    "model": _model,
    "tokens": _tokens,
    "spec.yaml": _spec,
    "asking.yaml": _asking,
    "bench": _bench,
    "answers.jsonl": _answers,
    "one.yaml": lambda folder, rows: _write(folder / "one.yaml", {"understanding": 1, "drawing": 1}),
    "other.yaml": lambda folder, rows: _write(folder / "other.yaml", {"understanding": 3, "drawing": 1}),
}


def command(name: str, out: Path, workers: int = 1, executor: str = "local") -> list[str]:
    words = [word.format(out=out, url=model().url) for word in shlex.split(COMMANDS[name])]
    if name == "browse":
        return [sys.executable, "-c", BROWSE, *words]
    spread = ["--workers", str(workers), "--executor", executor] if name in JOBS else []
    return [sys.executable, "-m", "toolkit.cli.app", *words, *spread]


@cache
def hub() -> LoopbackHub:
    return LoopbackHub()


@cache
def model() -> OpenAIServer:
    """Says of every prompt which one it was, in its own time."""
    server = OpenAIServer()

    def answer(path: str, body: bytes) -> tuple[int, Any]:
        time.sleep(0.02)
        asked = hashlib.sha256(body).hexdigest()
        text = json.dumps({"topics": [asked[:8], asked[8:16]]}) if b"topics" in body else f"It is {asked}."
        message = {"role": "assistant", "content": text}
        usage = {"prompt_tokens": 1, "completion_tokens": 1}
        return 200, {"choices": [{"index": 0, "finish_reason": "stop", "message": message}], "usage": usage}

    server.dialect = answer
    return server


def start(arguments: list[str], folder: Path) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "KILLS": str(folder)}
    environment |= {"OPENAI_API_KEY": "key", "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(folder / "hf")}
    environment |= {"HF_ENDPOINT": hub().url, "HF_TOKEN": hub().token}
    return subprocess.Popen(
        arguments, cwd=folder, env=environment, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def wait_until_begun(process: "subprocess.Popen[bytes]", name: str, out: Path) -> None:
    while process.poll() is None and not _is_begun(name, out):
        time.sleep(0.001)


def _is_begun(name: str, out: Path) -> bool:
    if name in SHORT:
        return True
    if name == "browse":
        return (out.parent / INDEX).is_dir()
    if name in JOBS:
        return (out / ".staging/plan.json").exists()
    if name == "finalize":
        return (out / ".finalize.lock").exists()
    return bool(hub().requests) or (out.is_dir() and any(out.iterdir()))


def digest(folder: Path) -> str:
    """Of names and bytes, but for what differs from run to run."""
    found = hashlib.sha256()
    if REPO in hub().repositories:
        files = hub().repositories[REPO].at("main").files
        return " ".join(f"{path} {blob.etag}" for path, blob in sorted(files.items()))
    own = OWN | TIMES if (folder / "demo.json").exists() else OWN
    for path in sorted(folder.rglob("*")):
        if not own & {*path.relative_to(folder).parts}:
            content = path.read_bytes() if path.is_file() else b""
            found.update(f"\n{path.relative_to(folder)} {len(content)} ".encode() + content)
    for journal in sorted(folder.glob("shards/*/journal.sqlite3")):
        with closing(sqlite3.connect(journal)) as db:
            found.update(repr(db.execute("SELECT id, state, reason FROM samples ORDER BY id").fetchall()).encode())
    return found.hexdigest()


def fresh(name: str, folder: Path, out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    shutil.rmtree(folder / INDEX, ignore_errors=True)
    hub().reset()
    if name in OF_A_RUN:
        shutil.copytree(folder / "made", out)
    if name == "sweep":
        (out / "blobs/.half.png.part").write_bytes(b"half")
    for journal in out.glob("shards/*/journal.sqlite3") if name == "retry" else ():
        with closing(sqlite3.connect(journal)) as db, db:
            db.execute("UPDATE samples SET state = 'rejected', reason = 'spoilt' WHERE idx % 2")


def end(process: "subprocess.Popen[bytes]") -> None:
    text, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{process.args!r}: exit code {process.returncode}: {text.decode()}")


def is_one_error(text: str) -> bool:
    """Whether a command ended in one line of an error, after what it tells in any case."""
    *before, last = text.splitlines() or [""]
    return "error: " in last and not any("rror" in line for line in before)


def clean_run(name: str, folder: Path, out: Path) -> tuple[float, str]:
    """Seconds of work, and what comes of it."""
    fresh(name, folder, out)
    process = start(command(name, out), folder)
    wait_until_begun(process, name, out)
    begun = time.monotonic()
    end(process)
    return time.monotonic() - begun, digest(out)
