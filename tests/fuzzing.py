"""Inputs that nobody had in mind, for everything that reads: files with bytes changed, structures with values changed.

    python -m tests.fuzzing --inputs 100000 --surfaces tar picture   # by hand; a table of outcomes

The oracle: what a surface gives is equal to the truth, or it says what is wrong in one of our errors, or it gives what
nobody can tell from good data (a colour, a letter); within SECONDS and MEMORY_BYTES. Anything else is a fault.
"""

import argparse
import base64
import copy
import io
import json
import random
import resource
import shutil
import signal
import sys
import tarfile
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from conversion import convert
from conversion.formats import FORMATS
from conversion.importing import ReadOptions
from toolkit.demo.rows import demo_rows
from toolkit.errors import UnifiedVisualError
from toolkit.evaluation.answers import Answers, Fault
from toolkit.generation.backends.answers import usage_of
from toolkit.generation.backends.openai_chat import read_chat
from toolkit.generation.backends.openai_images import read_images
from toolkit.generation.core.protocol import CallError
from toolkit.generation.core.replies import ReplyProblem, parse_reply
from toolkit.generation.core.spec_file import read_spec
from toolkit.images import decode_image
from toolkit.packing.rows import pack_rows
from toolkit.rules import check_row
from toolkit.schema import Row
from toolkit.sources.layout import open_source
from toolkit.sources.manifest import MANIFEST
from toolkit.sources.published.mapping import read_mapping
from toolkit.sources.published.tars import read_tar
from toolkit.sources.published.zips import read_zip
from toolkit.streaming.dataset import StreamingDataset

SECONDS = 5.0  # for an input under 1 MB
MEMORY_BYTES = 300 << 20  # and ten times the input
ERRORS = (UnifiedVisualError, CallError, ReplyProblem, Fault)
HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, -(2**63) - 1, 10**400, 0.5, float("nan"), float("inf"), "", " ", "0",
    "<image>", "\0", "\ud800", "\u202e", "../../x", "/etc/passwd", "file:///etc/passwd", "~", "$(id)", "a" * 10_000,
    b"\xff\xfe", [], {}, [None], [[]], {"": None}, {"type": "image"}, "[" * 3_000, "null", "<think>", "2026-01-01",
)  # fmt: skip


@dataclass(frozen=True)
class Deep:
    """Lists in lists; a value of its own only where it is used, since to show it would take as many frames."""

    levels: int

    def value(self) -> Any:
        value: Any = []
        for _ in range(self.levels):
            value = [value]
        return value


def realised(value: Any) -> Any:
    """A structure with the values that `Deep` stands for."""
    if isinstance(value, dict):
        return {key: realised(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [realised(inner) for inner in value]
    return value.value() if isinstance(value, Deep) else value


def changed_bytes(data: bytes, number: int) -> bytes:
    """A few of: bytes changed, cut, doubled, moved, overwritten with numbers that readers trust."""
    rng = random.Random(number)
    content = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        at, size = rng.randrange(len(content) + 1), rng.choice((1, 2, 4, 8, 64, 512))
        how = rng.randrange(7)
        if how == 0 and content:
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        elif how == 1:
            content[at : at + size] = rng.randbytes(size)
        elif how == 2:
            del content[at:]
        elif how == 3:
            del content[at : at + size]
        elif how == 4:
            content[at:at] = content[at : at + size]
        elif how == 5:
            content[at : at + size] = rng.choice((b"\0", b"\xff", b"\x7f", b"0", b"9")) * size
        else:
            other = rng.randrange(len(content) + 1)
            content[at:at] = content[other : other + size * 8]
    return bytes(content)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Of every value within a structure, and of itself."""
    yield path
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*path, key))


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    if by == DROPPED:
        del inner[path[-1]]
    elif isinstance(by, Added):
        inner[by.key if isinstance(inner, dict) else path[-1]] = by.value
    else:
        inner[path[-1]] = by
    return value


DROPPED = "\x00dropped"


@dataclass(frozen=True)
class Added:
    key: Any
    value: Any


def hostile_values() -> st.SearchStrategy[Any]:
    plain = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=20), st.integers(), st.floats())
    nested = st.recursive(
        plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner)
    )
    return st.one_of(
        st.just(DROPPED), nested, st.builds(Deep, st.integers(10, 3_000)), st.builds(Added, st.text(max_size=8), plain)
    )


@st.composite
def changed_value(draw: Any, base: Any) -> Any:
    """A structure with one to three of its values replaced."""
    value = copy.deepcopy(base)
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(value))
        by = copy.deepcopy(draw(hostile_values()))  # [] and {} are changed later, and drawn again
        path = found[draw(st.integers(0, len(found) - 1))]
        if path or (by != DROPPED and not isinstance(by, Added)):
            value = replaced(value, path, by)
    return value


def changed_file(data: bytes) -> st.SearchStrategy[bytes]:
    return st.integers(0, 2**63).map(lambda number: changed_bytes(data, number))


@dataclass(frozen=True)
class Surface:
    """
    Attributes:
        inputs: strategy.
        read: gives an outcome in a word; raises one of ERRORS.
    """

    inputs: Callable[[], st.SearchStrategy[Any]]
    read: Callable[[Any], str]


SURFACES: dict[str, Surface] = {}


def surface(inputs: Callable[[], st.SearchStrategy[Any]]) -> Callable[[Callable[[Any], str]], Callable[[Any], str]]:
    def add(read: Callable[[Any], str]) -> Callable[[Any], str]:
        SURFACES[read.__name__] = Surface(inputs, read)
        return read

    return add


@cache
def scratch() -> Path:
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="uvfuzz-", dir=memory if memory.is_dir() else None))


def put(name: str, data: bytes) -> Path:
    path = scratch() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@cache
def picture_bytes(format: str, mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    picture = Image.frombytes("RGB", (24, 16), random.Random(1).randbytes(24 * 16 * 3)).convert(mode)
    picture.save(file, format, **({"progressive": True} if format == "JPEG" and mode == "L" else {}))
    return file.getvalue()


PICTURES = (
    ("PNG", "RGB"), ("PNG", "P"), ("PNG", "RGBA"), ("PNG", "I;16"), ("PNG", "1"), ("JPEG", "RGB"), ("JPEG", "L"),
    ("JPEG", "CMYK"), ("WEBP", "RGBA"), ("GIF", "P"), ("BMP", "RGB"), ("TIFF", "RGB"), ("TIFF", "F"), ("TIFF", "LAB"),
)  # fmt: skip


@surface(lambda: st.sampled_from(PICTURES).flatmap(lambda each: changed_file(picture_bytes(*each))))
def picture(data: bytes) -> str:
    decode_image(data, "picture", max_pixels=1 << 22)
    return "pixels"


MEMBERS = {f"images/{number}.png": picture_bytes("PNG") for number in range(3)}


@cache
def tar_bytes(format: int, mode: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=format) as tar:  # type: ignore[call-overload]
        for name, data in MEMBERS.items():
            for long in ("", "x" * 120):
                info = tarfile.TarInfo(long + name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("images/link.png")
        link.type, link.linkname = tarfile.LNKTYPE, "images/0.png"
        tar.addfile(link)
    return file.getvalue()


TARS = [(format, mode) for format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT) for mode in ("w", "w", "w:gz", "w:xz")]


@surface(lambda: st.sampled_from(TARS).flatmap(lambda each: changed_file(tar_bytes(*each))))
def tar(data: bytes) -> str:
    return "equal" if {*tar_members(data)} <= {*tar_members(tar_bytes(*TARS[0]))} else "other bytes"


def tar_members(data: bytes) -> list[tuple[str, bytes]]:
    return [(member.name, member.data) for member in read_tar(io.BytesIO(data), "a.tar")]


@cache
def zip_bytes() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in MEMBERS.items():
            archive.writestr(name, data)
    return file.getvalue()


@surface(lambda: changed_file(zip_bytes()))
def zipped(data: bytes) -> str:
    found = [(member.name, member.data) for member in read_zip(io.BytesIO(data), "a.zip")]
    return "equal" if all(each in MEMBERS.items() for each in found) else "other bytes"


@cache
def rows() -> list[Row]:
    return [row for task in ("image_editing", "mm_internet", "llava_cot") for row in demo_rows(task, 2)]


@cache
def packed() -> SimpleNamespace:
    """A packed dataset: its manifest's bytes and those of its only shard."""
    folder = scratch() / "packed"
    pack_rows(rows(), folder)
    shard = min(folder.rglob("*.parquet"))
    return SimpleNamespace(folder=folder, shard=shard, data=shard.read_bytes(), manifest=folder / MANIFEST)


def streamed(folder: Path, **options: Any) -> list[dict[str, Any]]:
    dataset = StreamingDataset(str(folder), shuffle=False, rank=0, world_size=1, **options)
    return list(dataset)


@cache
def truth() -> list[str]:
    return [repr(row) for row in streamed(packed().folder, decode=None)]


@surface(lambda: changed_file(packed().data))
def shard(data: bytes) -> str:
    one = packed()
    whole = one.shard.read_bytes()
    try:
        one.shard.write_bytes(data)
        found = [repr(row) for row in streamed(one.folder, decode=None)]
    finally:
        one.shard.write_bytes(whole)
    return "equal" if found == truth() else "other bytes"


@surface(lambda: changed_file(packed().data))
def shard_read_whole(data: bytes) -> str:
    one = packed()
    try:
        one.shard.write_bytes(data)
        source = open_source(one.folder)
        for task in source.tasks:
            for row in source.read(task):
                check_row(row)
    finally:
        one.shard.write_bytes(one.data)
    return "rows"


@cache
def manifest_value() -> Any:
    return json.loads(packed().manifest.read_bytes())


@surface(lambda: changed_value(manifest_value()))
def manifest(value: Any) -> str:
    one = packed()
    content = one.manifest.read_bytes()
    try:
        one.manifest.write_bytes(as_json(value))
        found = [repr(row) for row in streamed(one.folder, decode=None)]
    finally:
        one.manifest.write_bytes(content)
    return "equal" if found == truth() else "other rows"


def as_json(value: Any) -> bytes:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)  # for `Deep`
    try:
        return json.dumps(realised(value), default=lambda each: each.decode("latin-1")).encode("utf-8", "surrogatepass")
    finally:
        sys.setrecursionlimit(before)


@cache
def state_value() -> Any:
    dataset = StreamingDataset(str(packed().folder), decode=None, rank=0, world_size=1)
    rows_of_it = iter(dataset)
    next(rows_of_it)
    next(rows_of_it)
    return dataset.state_dict()


@surface(lambda: changed_value(state_value()))
def state(value: Any) -> str:
    dataset = StreamingDataset(str(packed().folder), decode=None, rank=0, world_size=1)
    dataset.load_state_dict(value)
    left = sum(1 for _ in dataset)
    return "rows left" if left <= len(truth()) else f"{left} rows of {len(truth())}"


@surface(lambda: changed_value(rows()[0].to_dict()))
def row(value: Any) -> str:
    check_row(Row.from_dict(value))
    return "a row"


MAPPING = {
    "files": {
        "data/*.parquet": {
            "task": {"column": "kind", "values": {"edit": "image_editing", "0": "llava_cot"}},
            "split": "train",
            "shape": "columns",
            "columns": {"id": "uid", "prompt": "question", "prompt_images": ["src"], "ignore": ["url"]},
            "placeholder": ["<image>", {"pattern": "@(?P<number>[0-9]+)@"}],
            "paths": {"strip": "/home/me/", "add": ""},
        }
    },
    "archives": {"*.tar": "image_editing"},
}


@surface(lambda: st.one_of(changed_value(MAPPING).map(as_json), changed_file(yaml.safe_dump(MAPPING).encode())))
def mapping(data: bytes) -> str:
    read_mapping(put("mapping.yaml", data))
    return "a mapping"


SPEC = {
    "name": "fuzz",
    "backends": {"text": {"kind": "openai_chat", "model": "m", "base_url": "http://127.0.0.1:1/v1"}},
    "recipes": {"image_editing": 3, "mm_internet": {"n": 2}},
    "budget": {"max_usd": 1},
    "concurrency": 2,
    "seed": 0,
}


@surface(lambda: st.one_of(changed_value(SPEC).map(as_json), changed_file(yaml.safe_dump(SPEC).encode())))
def spec(data: bytes) -> str:
    read_spec(put("spec.yaml", data))
    return "a spec"


CHAT = {
    "id": "x",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": '{"a": 1}'}}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 1}},
}
IMAGES = {"data": [{"b64_json": "iVBORw0KGgo=", "revised_prompt": "x"}], "usage": {"input_tokens": 4}}


@surface(lambda: st.one_of(changed_value(CHAT), changed_value(IMAGES)))
def model_reply(value: Any) -> str:
    body = value if isinstance(value, dict) else {}
    raw = as_json(value).decode("utf-8", "replace")
    for read in (read_chat, read_images):
        try:
            reply = read(body, raw)
        except CallError:
            continue
        assert all(count is None or 0 <= count < 2**63 for count in numbers(reply.usage)), reply.usage
    usage = usage_of(body)
    assert all(count is None or 0 <= count < 2**63 for count in numbers(usage)), usage
    return "a reply"


def numbers(usage: Any) -> list[Any]:
    return [usage.input_tokens, usage.output_tokens, usage.input_image_tokens, usage.images]


SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "array", "items": {"type": "string"}}},
    "required": ["a"],
    "additionalProperties": False,
}
REPLY = '<think>so {not json}</think> Here it is: ```json\n{"a": 1, "b": ["x", "y"]}\n``` Done.'


@surface(lambda: st.one_of(changed_file(REPLY.encode()).map(lambda data: data.decode("utf-8", "replace")), st.text()))
def reply_text(text: str) -> str:
    parse_reply(text, SCHEMA)
    return "a reply"


PNG = picture_bytes("PNG")
ANSWER = {
    "id": "x",
    "answer": [{"type": "text", "text": "a"}, {"type": "image", "image": base64.b64encode(PNG).decode()}],
}


@surface(lambda: changed_value(ANSWER).map(as_json))
def answers(data: bytes) -> str:
    found = Answers(put("answers.jsonl", data + b"\n"))
    for id in found.ids():
        found.read(id)
    return "an answer"


@cache
def converted(name: str) -> Path:
    """The folder of a format, with one file of lines or one tar."""
    out = scratch() / "converted" / name
    convert(packed().folder, name, out, on_unfit="drop")
    return out


def lines_file(folder: Path) -> Path:
    return min((path for path in folder.rglob("*.json*") if "report" not in path.name), key=lambda path: len(str(path)))


@cache
def line_values(name: str) -> list[Any]:
    text = lines_file(converted(name)).read_text(encoding="utf-8")
    found = json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in text.splitlines()]
    return list(found)


def changed_lines(name: str) -> st.SearchStrategy[tuple[str, bytes]]:
    whole = st.sampled_from(line_values(name)).flatmap(changed_value).map(lambda value: as_json(value) + b"\n")
    return st.tuples(st.just(name), st.one_of(whole, changed_file(as_json(line_values(name)[0]))))


@surface(lambda: st.sampled_from(("llava", "messages")).flatmap(changed_lines))
def imported_lines(given_: tuple[str, bytes]) -> str:
    name, data = given_
    file = put(f"import/{name}/lines.jsonl", data)
    return imported(name, file)


def imported(name: str, path: Path) -> str:
    kinds = []
    for shard in FORMATS.load(name).read(path, ReadOptions(image_folder=str(converted(name)))):
        for found in shard():
            if isinstance(found, UnifiedVisualError):
                kinds.append(str(getattr(found, "kind", "error")))
            else:
                check_row(found)
                kinds.append("row")
    return kinds[0] if len(kinds) == 1 else f"{len(set(kinds))} kinds"


@cache
def converted_tar() -> bytes:
    return min(converted("webdataset").rglob("*.tar")).read_bytes()


@surface(lambda: changed_file(converted_tar()))
def imported_tar(data: bytes) -> str:
    return imported("webdataset", put("import/webdataset/a.tar", data).parent)


@contextmanager
def limited() -> Iterator[None]:
    """An alarm for what never ends."""

    def ring(*_: Any) -> None:
        raise Hang(f"over {SECONDS:.0f} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Hang(BaseException):
    """No `except Exception` may swallow it."""


class TooMuchMemory(Exception):
    pass


def outcome(read: Callable[[Any], str], value: Any) -> str:
    """A word of what came of one input; whatever is no outcome is raised."""
    before = peak_bytes()
    with limited():
        try:
            found = read(realised(value))
        except ERRORS as error:
            kind = getattr(error, "kind", "") or getattr(error, "problem", "")
            found = f"{type(error).__name__} {kind}".strip()
    if (more := peak_bytes() - before) > MEMORY_BYTES + 10 * len(repr(value)):
        raise TooMuchMemory(f"{more >> 20} MiB more than before")
    return found


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def fuzz(name: str, inputs: int, *, start: int = 0, on_fault: Callable[[BaseException, Any], None]) -> Counter[str]:
    """Outcomes of so many inputs to a surface, counted; the same for the same `start`."""
    found: Counter[str] = Counter()
    one = SURFACES[name]

    @seed(start)
    @settings(
        max_examples=inputs,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(one.inputs())
    def each(value: Any) -> None:
        try:
            found[outcome(one.read, value)] += 1
        except (Exception, Hang) as error:
            found[f"FAULT {type(error).__name__}"] += 1
            on_fault(error, value)

    each()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000, help="of each surface")
    parser.add_argument("--surfaces", nargs="+", choices=sorted(SURFACES), default=sorted(SURFACES))
    parser.add_argument("--start", type=int, default=0, help="another number: other inputs")
    args = parser.parse_args()
    seen: set[str] = set()

    def tell(error: BaseException, value: Any) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        place = next(
            (f for f in reversed(frames) if "/tests/" not in f.filename and "toolkit" in f.filename), frames[-1]
        )
        where = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
        if where not in seen:
            seen.add(where)
            print(f"--- {where}\n{str(error)[:300]}\n{repr(value)[:600]}")
            print("".join(traceback.format_exception(error)[-6:])[-1500:], flush=True)

    faults = 0
    for name in args.surfaces:
        began = time.perf_counter()
        found = fuzz(name, args.inputs, start=args.start, on_fault=tell)
        shown = ", ".join(f"{what} {count:,}" for what, count in found.most_common())
        print(f"{name}: {found.total():,} in {time.perf_counter() - began:.0f} s: {shown}", flush=True)
        faults += sum(count for what, count in found.items() if what.startswith("FAULT"))
    shutil.rmtree(scratch(), ignore_errors=True)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
