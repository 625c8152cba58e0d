"""Scores as one HTML file that needs no network: tables, and items with prompt, answer and what the verifier says."""

import base64
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from PIL import Image

from toolkit.errors import MissingExtra
from toolkit.evaluation.answers import Answers, Fault
from toolkit.evaluation.checks import Check, Verdict
from toolkit.evaluation.items import VERSION, Pixels
from toolkit.evaluation.scoring import Result, faults, make_item, scores
from toolkit.report.rendering import readable
from toolkit.staging.files import write_whole

PER_PART = 4
_SIDE = 256  # pixels of a picture on the page
_LONGEST = 2000  # characters of a text on the page
_ORDER = {Verdict.WRONG: 0, Verdict.UNSURE: 1, Verdict.RIGHT: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A text, or a picture as a data URI."""

    text: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    id: str
    part: str
    kind: str
    verdict: str
    prompt: tuple[Piece, ...]
    answer: tuple[Piece, ...]
    checks: tuple[Check, ...]
    fault: str
    why: str


def write_report(
    out: Path, answers: Path, results: Sequence[Result], others: Counter[str], *, per_part: int = PER_PART
) -> None:
    """Write the page.

    Args:
        answers: what was scored.
        results, others: as `scoring.score` gives them.
        per_part: items of each part that are shown, wrong ones first.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError:
        raise MissingExtra("jinja2", "report") from None
    loader = PackageLoader("toolkit.evaluation")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    style = files("toolkit.report").joinpath("templates", "style.css").read_text(encoding="utf-8")
    page = environment.get_template("evaluation.html").render(
        source=readable(str(answers)),
        version=VERSION,
        num_items=len(results),
        scores=scores(results),
        faults=faults(results),
        others=others,
        per_part=per_part,
        items=list(_shown(results, Answers(answers), per_part)),
        style=Markup(style),  # ours
    )
    write_whole(out, page)


def _shown(results: Sequence[Result], answers: Answers, per_part: int) -> Iterator[Shown]:
    taken: Counter[str] = Counter()
    numbers = {each.id: int(each.id.rpartition("-")[2]) for each in results}
    for each in sorted(results, key=lambda one: _ORDER[one.verdict]):
        if taken[each.part] == per_part:
            continue
        taken[each.part] += 1
        yield Shown(
            id=each.id,
            part=each.part,
            kind=each.kind,
            verdict=each.verdict.value,
            prompt=tuple(map(_piece, make_item(each.id, each.part, numbers[each.id]).prompt)),
            answer=_answer(answers, each.id),
            checks=tuple(Check(one.attribute, one.verdict, readable(one.why)) for one in each.checks),
            fault=each.fault,
            why=readable(each.why),
        )


def _answer(answers: Answers, id: str) -> tuple[Piece, ...]:
    try:
        reply = answers.read(id)
    except Fault:
        return ()
    texts = (_piece(reply.text),) if reply.text else ()
    return (*texts, *map(_piece, reply.pictures))


def _piece(part: str | Pixels) -> Piece:
    if isinstance(part, str):
        return Piece(text=readable(part[:_LONGEST]) + ("..." if len(part) > _LONGEST else ""))
    image = Image.fromarray(part)
    image.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return Piece(url=f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}")
