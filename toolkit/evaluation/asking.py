"""A model answers the benchmark: prompts.jsonl in, answers.jsonl with pictures out, resumed where it stopped."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from toolkit.errors import SourceError
from toolkit.evaluation.answers import Answers
from toolkit.images import image_format
from toolkit.staging.files import disk_errors, write_whole
from toolkit.staging.locks import hold

Written: TypeAlias = Sequence[str | bytes]  # texts and encoded pictures, in their order


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What a model is asked: `content` are texts and encoded pictures, in their order."""

    id: str
    content: Sequence[str | bytes]


# Answers come in any order; an answer that could not be had is its error.
Model: TypeAlias = Callable[[Sequence[Prompt]], Iterable[tuple[str, Written | Exception]]]


def ask(
    bench: Path, out: Path, model: Model, *, on_done: Callable[[int], None] = lambda _: None
) -> tuple[int, Counter[str]]:
    """Write `out`/answers.jsonl, a line an answer, and its pictures beside it.

    Items that are answered there already are not asked again; those that failed are.

    Args:
        bench: folder that `evaluate make` wrote.
        on_done: called with the number of items since the last call.

    Returns:
        How many answers there are now; the errors of this call, counted.

    Raises:
        SourceError: `bench` holds no prompts. UsageError: another process writes to `out`. DiskFull: no space is left.
    """
    prompts = list(read_prompts(bench))
    failed: Counter[str] = Counter()
    (out / "pictures").mkdir(parents=True, exist_ok=True)
    file = out / "answers.jsonl"
    with hold(
        out / ".lock", busy=f"{out}: another process writes answers there; wait for it, or choose another folder"
    ):
        known = _whole_lines(file)
        on_done(len(known))
        wanted = [each for each in prompts if each.id not in known]
        with disk_errors(file, lambda: "more is"), file.open("ab") as lines:
            for id, written in model(wanted) if wanted else ():
                if isinstance(written, Exception):
                    failed[f"{type(written).__name__}: {str(written)[:200]}"] += 1
                else:
                    answer = [_part(out, id, number, part) for number, part in enumerate(written)]
                    lines.write(json.dumps({"id": id, "answer": answer}).encode() + b"\n")
                    lines.flush()
                    known.add(id)
                on_done(1)
    return len(known), failed


def read_prompts(bench: Path) -> Iterator[Prompt]:
    """
    Raises:
        SourceError: the folder holds no prompts, or they cannot be read.
    """
    file = bench / "prompts.jsonl"
    try:
        for line in file.read_text(encoding="utf-8").splitlines():
            found = json.loads(line)
            parts = [
                part["text"] if part["type"] == "text" else (bench / part["image"]).read_bytes()
                for part in found["prompt"]
            ]
            yield Prompt(id=found["id"], content=parts)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(f"{file}: no prompts of `unifiedvisual evaluate make`: {error}") from error


def _whole_lines(file: Path) -> set[str]:
    """Ids of the answers so far; what a killed process left half written is cut off."""
    if not file.is_file() or not (content := file.read_bytes()):
        return set()
    if not content.endswith(b"\n"):
        write_whole(file, content[: content.rfind(b"\n") + 1])
    return set(Answers(file).ids()) if file.stat().st_size else set()


def _part(out: Path, id: str, number: int, part: str | bytes) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    path = out / "pictures" / f"{id}-{number}.{image_format(part) or 'bin'}"
    write_whole(path, part)
    return {"type": "image", "image": str(path.relative_to(out))}
