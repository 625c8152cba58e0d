"""One input within its time and memory; many inputs in processes of their own, counted in a ledger."""

import json
import mmap
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzzing.surface import ERRORS, SURFACES, outcome_of, scratch
from toolkit.images.memory import FILE_TIMES, FREE_BYTES

SECONDS = 5.0  # of CPU time, for an input under 1 MB; of waiting ten times as many
STUCK_S = 600.0  # without an input that ends, though it may be a slow machine: the process is killed
MOST_BYTES = 3 << 30  # of a process, so that none takes the memory of others
BATCH = 2_000  # inputs of a process
SHARED_BYTES = 1 << 20
CLEAR_PEAK = "5"  # Source: proc(5), /proc/pid/clear_refs
MINE = Path("/proc/self")


class Hang(BaseException):
    """No `except Exception` may swallow it."""


class TooMuchMemory(Exception):
    pass


@contextmanager
def limited() -> Iterator[None]:
    """Alarms for what never ends."""

    def ring(number: int, *_: Any) -> None:
        raise Hang(f"over {SECONDS:g} s of work" if number == signal.SIGPROF else f"over {10 * SECONDS:g} s of waiting")

    alarms = ((signal.SIGPROF, signal.ITIMER_PROF, SECONDS), (signal.SIGALRM, signal.ITIMER_REAL, 10 * SECONDS))
    before = {number: signal.signal(number, ring) for number, _, _ in alarms}
    try:
        for _, timer, seconds in alarms:
            signal.setitimer(timer, seconds)
        yield
    finally:
        for number, timer, _ in alarms:
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])


def outcome(read: Callable[[Any], str], value: Any) -> tuple[str, int]:
    """A word of what came of one input, and bytes of memory above those before; whatever is no outcome is raised."""
    before = start_peak()
    with limited():
        try:
            found = read(value)
        except ERRORS as error:
            found = outcome_of(error)
    more = peak_bytes() - before
    if more > allowed_bytes(value):
        raise TooMuchMemory(f"{more >> 20} MiB more than before")
    return found, more


def allowed_bytes(value: Any) -> int:
    """Of memory: the rule that toolkit.images.memory holds images to, for every input."""
    sizes = [len(each) for each in (value if isinstance(value, tuple) else (value,)) if isinstance(each, bytes | str)]
    return FREE_BYTES + FILE_TIMES * max(sizes, default=0)


def start_peak() -> int:
    """The peak is counted anew from here, where the system can do that."""
    with suppress(OSError):
        (MINE / "clear_refs").write_text(CLEAR_PEAK)
    return peak_bytes()


def peak_bytes() -> int:
    try:
        with (MINE / "status").open("rb") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith(b"VmHWM"))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def input_of(name: str, number: int) -> Any:
    return SURFACES[name].make(Random(f"{name} {number}"))


class Ledger:
    """How many inputs of each surface there were, and what came of them; kept in a file, where one is named."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.surfaces: dict[str, Any] = json.loads(path.read_text()) if path and path.exists() else {}

    def of(self, name: str) -> dict[str, Any]:
        return self.surfaces.setdefault(
            name, {"next": 0, "outcomes": {}, "faults": [], "cpu_s": 0.0, "longest_s": 0.0, "most_bytes": 0}
        )

    def add(self, name: str, upto: int, found: dict[str, Any]) -> None:
        one = self.of(name)
        one["next"] = upto
        one["outcomes"] = dict(Counter(one["outcomes"]) + Counter(found["outcomes"]))
        one["faults"] += found["faults"]
        one["cpu_s"] += found["cpu_s"]
        for key in ("longest_s", "most_bytes"):
            one[key] = max(one[key], found[key])
        if self._path:
            part = self._path.with_suffix(".part")
            part.write_text(json.dumps(self.surfaces, indent=1))
            part.replace(self._path)


def fuzz(name: str, inputs: int, ledger: Ledger, *, tell: Callable[[str], object] = print) -> None:
    """So many more inputs of a surface, a process a batch."""
    end = ledger.of(name)["next"] + inputs
    while (start := ledger.of(name)["next"]) < end:
        upto, found = _in_a_process(name, start, min(start + BATCH, end))
        for fault in (each for each in found["faults"] if each["text"]):
            tell(f"--- {name} {fault['number']}: {fault['where']}\n{fault['text']}")
        ledger.add(name, upto, found)


def again(ledger: Ledger, *, tell: Callable[[str], object] = print) -> None:
    """The inputs that were faults, once more; those that are none by now count as what comes of them now."""
    for name in [name for name, one in ledger.surfaces.items() if one["faults"] and name in SURFACES]:
        one = ledger.of(name)
        faults, one["faults"] = one["faults"], []
        one["outcomes"] = {word: count for word, count in one["outcomes"].items() if not word.startswith("FAULT")}
        for fault in faults:
            _, found = _in_a_process(name, fault["number"], fault["number"] + 1)
            for each in found["faults"]:
                tell(f"--- {name} {each['number']}: {each['where']}\n{each['text']}")
            ledger.add(name, one["next"], found)


def batch(name: str, numbers: range, on_input: Callable[[int, dict[str, Any]], object]) -> dict[str, Any]:
    """What came of these inputs.

    Args:
        on_input: called with the number of each and all that came of those before.
    """
    found = nothing()
    for number in numbers:
        on_input(number, found)
        began, value, more = time.process_time(), None, 0
        try:
            value = input_of(name, number)
            word, more = outcome(SURFACES[name].read, value)
        except (Exception, Hang) as error:
            word = f"FAULT {type(error).__name__}"
            fault = described(error, value, number)
            is_known = any(each["where"] == fault["where"] for each in found["faults"])
            found["faults"].append({**fault, "text": ""} if is_known else fault)
        found["outcomes"][word] = found["outcomes"].get(word, 0) + 1
        took_s = time.process_time() - began
        found["cpu_s"] += took_s
        found["longest_s"], found["most_bytes"] = max(found["longest_s"], took_s), max(found["most_bytes"], more)
    return found


def nothing() -> dict[str, Any]:
    return {"outcomes": {}, "faults": [], "cpu_s": 0.0, "longest_s": 0.0, "most_bytes": 0}


def described(error: BaseException, value: Any, number: int) -> dict[str, Any]:
    frames = traceback.extract_tb(error.__traceback__)
    ours = (frame for frame in reversed(frames) if "/toolkit/" in frame.filename or "/conversion/" in frame.filename)
    place = next(ours, frames[-1])
    told = "".join(traceback.format_exception(error)[-6:])[-1_500:]
    try:
        shown = repr(value)[:600]
    except RecursionError:
        shown = "a deep value"
    where = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
    return {"number": number, "where": where, "text": f"{shown}\n{told}"}


class _Shared:
    """What a process found so far, for the one that watches it: a number, and JSON behind its length."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, SHARED_BYTES)

    def write(self, number: int, found: dict[str, Any], *, is_end: bool = False) -> None:
        self._memory[:8] = number.to_bytes(8, "little")
        if is_end or number % 50 == 0:
            data = json.dumps(found).encode()
            self._memory[8 : 16 + len(data)] = len(data).to_bytes(8, "little") + data

    @property
    def number(self) -> int:
        return int.from_bytes(self._memory[:8], "little")

    @property
    def found(self) -> dict[str, Any]:
        size = int.from_bytes(self._memory[8:16], "little")
        return dict(json.loads(self._memory[16 : 16 + size])) if size else nothing()


def _in_a_process(name: str, start: int, stop: int) -> tuple[int, dict[str, Any]]:
    """Where the process came to, and what it found; one that dies or hangs does so over one input, which is a fault."""
    shared = _Shared()
    child = os.fork()
    if not child:
        code = 1
        try:
            resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
            found = batch(name, range(start, stop), shared.write)
            shared.write(stop, found, is_end=True)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            shutil.rmtree(scratch(), ignore_errors=True)
            os._exit(code)
    code, found = _watched(child, shared), shared.found
    if not code:
        return stop, found
    word = f"FAULT ended by {code}"
    found["outcomes"][word] = found["outcomes"].get(word, 0) + 1
    found["faults"].append({"number": shared.number, "where": word, "text": ""})
    return shared.number + 1, found


def _watched(child: int, shared: _Shared) -> int:
    """The exit code of a process, which is killed where it is stuck."""
    number, since = -1, time.monotonic()
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if shared.number != number:
            number, since = shared.number, time.monotonic()
        elif time.monotonic() - since > STUCK_S:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.05)
    return os.waitstatus_to_exitcode(ended[1])
