"""How generation bears many samples, with every answer taken from the journal of an earlier run: samples a second,
memory over time, and how soon a run that was killed goes on. Each step is a process of its own.

python benchmarks/generate_scale.py                    100,000 samples of three calls and a picture each
python benchmarks/generate_scale.py --samples 5000     a look

Exit code 1 if a bound is missed: memory of a run flat below 300 MB, 1,000 rows a second packed, on the way again within
5 s of a kill.
"""

import argparse
import asyncio
import json
import resource
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.generation_runs import picture, write_spec
from toolkit.errors import SourceError
from toolkit.generation.calls.calls import Answer
from toolkit.generation.calls.limits import Lane
from toolkit.generation.calls.seats import Seat, call_key
from toolkit.generation.core.blobs import Blobs
from toolkit.generation.core.protocol import Backend, Reply, Request
from toolkit.generation.core.spec import RunSpec
from toolkit.generation.core.spec_file import read_spec
from toolkit.generation.journal import Journal, journal_paths
from toolkit.generation.journal.reading import query
from toolkit.generation.reports.report import report
from toolkit.generation.runs import engine
from toolkit.generation.runs.finalize import finalize
from toolkit.generation.runs.plans import plan
from toolkit.generation.runs.samples import make_row

PICTURES = 1_000
MAX_MB, LEAST_ROWS_PER_S, MAX_RESUME_S = 300, 1_000, 5
RECIPE = "image_generation_category"


class Answered:
    """In place of calls: an answer to whatever a recipe asks, and the calls as a journal has them."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    async def call(self, seat: Seat, request: Request, *, sample: str) -> Answer:
        key = call_key(seat.identity, request)
        value: dict[str, Any] = {
            name: f"{name} of {request.seed}, and what else there is to say. " * 4
            for name in (request.schema or {})["properties"]
        }
        named = "rationale" if "rationale" in value else "caption"
        value |= {"things": ["koala"]} if "things" in value else {named: f"{value[named]}It shows a koala."}
        response = json.dumps({"text": json.dumps(value), "pictures": []})
        self.calls.append((key, sample, request.step, seat.role, seat.model, "ok", "{}", response, None))
        return Answer(key=key, value=value)


async def fill(spec: RunSpec, folder: Path) -> None:
    """A journal that holds the answer to every call, in a fraction of the time of a run."""
    (planned,) = plan(spec)
    blobs, db = Blobs(folder / "blobs"), sqlite3.connect(_journal(folder))
    lane = Lane(name="idle")
    seats = {
        role: Seat(role=role, identity=spec.backend(role).identity(), model="", backend=Idle(), price=None, lane=lane)
        for role in planned.seats
    }
    for start in range(0, planned.n, 1_000):
        answered: Any = Answered()
        for index in range(start, min(start + 1_000, planned.n)):
            id = planned.id(index)
            await make_row(spec, planned, index, id, redraw=0, calls=answered, seats=seats, blobs=blobs)
        db.executemany("INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", answered.calls)
        db.commit()


def _journal(folder: Path) -> Path:
    path = folder / "shards/000-of-001/journal.sqlite3"
    Journal(path).close()
    return path


class Idle(Backend):
    """A backend that is never asked."""

    async def send(self, request: Request) -> Reply:
        raise AssertionError(request.step)


def work(what: str, folder: Path) -> None:
    """One step, in this process."""
    spec = read_spec(folder / "spec.yaml")
    if what == "fill":
        asyncio.run(fill(spec, folder / "first"))
    elif what == "replay":
        engine.run(spec, folder / "again", replay=folder / "first")
    elif what == "status":
        report(spec, folder / "again")
    else:
        finalize(spec, folder / "again")


class Step:
    """A step in a process of its own, watched."""

    def __init__(self, what: str, folder: Path) -> None:
        self.what, self.started, self.megabytes, self.cpu_s = what, time.monotonic(), list[float](), _cpu_s()
        self.process = subprocess.Popen([sys.executable, __file__, "--step", what, "--folder", str(folder)])
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while self.process.poll() is None:
            try:
                status = Path(f"/proc/{self.process.pid}/status").read_text()
            except OSError:
                return
            if "VmRSS" in status:
                self.megabytes.append(int(status.partition("VmRSS:")[2].split()[0]) / 1024)
            time.sleep(0.5)

    def end(self, samples: int) -> dict[str, float]:
        """Wait for its end, print a line; memory is that of its later three quarters."""
        if self.process.wait() not in (0, -9):
            sys.exit(f"{self.what} failed")
        took, cpu_s = time.monotonic() - self.started, _cpu_s() - self.cpu_s
        warm = self.megabytes[len(self.megabytes) // 4 :] or [0.0]
        rates = f"{took:8.1f} s{samples / took:8,.0f} samples/s{samples / cpu_s:8,.0f} a CPU second"
        print(
            f"{self.what:10}{rates}   {min(warm):5.0f} to {max(warm):5.0f} MB, at most {max(self.megabytes):5.0f}",
            flush=True,
        )
        return {"rate": samples / took, "megabytes": max(self.megabytes)}


def _cpu_s() -> float:
    """Of the steps that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def samples_in(run: Path) -> int:
    """So far; 0 while there is no journal."""
    try:
        return sum(next(query(path, "SELECT count(*) FROM samples"), (0,))[0] for path in journal_paths(run))
    except SourceError:
        return 0


def measure(folder: Path, samples: int) -> bool:
    Step("fill", folder).end(samples)
    first = Step("replay", folder)
    while first.process.poll() is None and samples_in(folder / "again") < samples // 2:
        time.sleep(0.2)
    first.process.kill()
    half = samples_in(folder / "again")
    killed = first.end(half)
    second = Step("replay", folder)
    while second.process.poll() is None and samples_in(folder / "again") <= half:
        time.sleep(0.02)
    resumed_s = time.monotonic() - second.started
    print(f"first new sample {resumed_s:.1f} s after the start of the process that goes on", flush=True)
    ends = [killed, second.end(samples - half), Step("status", folder).end(samples)]
    packed = Step("finalize", folder).end(samples)
    is_flat = max(end["megabytes"] for end in ends) < MAX_MB
    return is_flat and packed["rate"] >= LEAST_ROWS_PER_S and resumed_s <= MAX_RESUME_S


def prepare(folder: Path, samples: int) -> None:
    """Photographs, few of them different, and a spec of a run over them."""
    for number in range(min(PICTURES, samples)):
        (folder / f"{number}.png").write_bytes(picture(number))
    with (folder / "photos.jsonl").open("w") as file:
        file.writelines(
            json.dumps({"image": f"{number % PICTURES}.png", "label": "koala"}) + "\n" for number in range(samples)
        )
    server = {"kind": "openai_chat", "model": "instant", "base_url": "http://localhost/v1"}
    content: dict[str, Any] = {"name": "scale", "backends": {"all": server}, "concurrency": 32}
    write_spec(folder, {**content, "recipes": {RECIPE: {"n": samples, "source": "photos.jsonl"}}})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        work(given.step, given.folder)
        return
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        prepare(Path(name), given.samples)
        sys.exit(0 if measure(Path(name), given.samples) else 1)


if __name__ == "__main__":
    main()
