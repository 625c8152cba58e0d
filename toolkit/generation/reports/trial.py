"""A page of samples with every step that led to them: prompts, pictures, answers, verdicts, cost; and the row, or why
there is none. One file that asks for nothing over the network.
"""

import base64
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from toolkit.errors import ImageError
from toolkit.generation.core.blobs import Blobs
from toolkit.generation.core.spec import RunSpec
from toolkit.generation.journal import Finished, finished
from toolkit.generation.journal.reading import calls_of, journal_paths
from toolkit.generation.runs.plans import plan
from toolkit.generation.runs.samples import row_from_json
from toolkit.images import decode_image
from toolkit.report.embedding import embedded
from toolkit.report.preview import inlined
from toolkit.report.rendering import RowView, templates, view_row
from toolkit.schema import Row
from toolkit.staging.files import write_whole

THUMB_PX = 256


@dataclass(frozen=True, kw_only=True)
class Step:
    """A call as the page shows it; pictures are data URIs."""

    name: str
    role: str
    model: str
    state: str
    asked: tuple[tuple[str, str], ...]
    sent: tuple[str, ...]
    answer: str
    made: tuple[str, ...]
    usd: float


@dataclass(frozen=True, kw_only=True)
class Sample:
    """
    Attributes:
        why: "step: reason: detail" of one that is no row.
    """

    id: str
    index: int
    state: str
    why: str
    steps: tuple[Step, ...]
    row: RowView | None


def write_trial(spec: RunSpec, folder: Path, out: Path, most: int) -> Counter[str]:
    """Write the page of the first samples of each recipe; returns how many it shows in each state.

    Args:
        folder: of the run; most: samples of a recipe.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    template, blobs = templates().get_template("trial.html"), Blobs(folder / "blobs")
    recipes = {}
    for each in plan(spec):
        found = [
            sample
            for sample in finished(folder, each.recipe.name, with_rows=True)
            if sample.idx < min(each.n, most) and sample.id == each.id(sample.idx)
        ]
        recipes[each.recipe.name] = list(_samples(found, folder, blobs))
    assets = {**inlined("style", ("style.css", "preview.css", "trial.css")), **inlined("script", ("page.js",))}
    write_whole(out, template.render(name=spec.name, recipes=recipes, **assets))
    return Counter(sample.state for shown in recipes.values() for sample in shown)


def _samples(found: list[Finished], folder: Path, blobs: Blobs) -> Iterator[Sample]:
    rows = [row_from_json(sample.row, blobs) for sample in found if sample.row]
    views = iter(_views(rows))
    for sample in found:
        why = ": ".join(filter(None, (sample.step, sample.reason, sample.detail)))
        yield Sample(
            id=sample.id,
            index=sample.idx,
            state="accepted" if sample.state == "ok" else sample.state,
            why=why,
            steps=tuple(_steps(sample.id, folder, blobs)),
            row=next(views) if sample.row else None,
        )


def _views(rows: list[Row]) -> list[RowView]:
    with embedded(rows) as pictures:
        return [
            view_row(row, lambda row, number, made=made: made[number].result())  # type: ignore[misc]
            for row, made in zip(rows, pictures, strict=True)
        ]


def _steps(sample: str, folder: Path, blobs: Blobs) -> Iterator[Step]:
    for path in journal_paths(folder):
        for call in calls_of(path, sample):
            asked, answered = call["request"], call["response"] or {}
            texts = [(name, asked[name]) for name in ("system", "user") if asked[name]]
            yield Step(
                name=call["step"],
                role=call["role"],
                model=call["model"],
                state=f"{call['state']}: {call['problem']}" if call["problem"] else call["state"],
                asked=(*texts, *((role, text) for role, text in asked["history"])),
                sent=tuple(_thumbnail(blobs, sha256) for sha256 in asked["images"]),
                answer=_indented(answered.get("text") or ""),
                made=tuple(_thumbnail(blobs, sha256) for sha256, _ in answered.get("pictures", [])),
                usd=sum(send["cost"] or 0.0 for send in call["sends"]),
            )


def _indented(text: str) -> str:
    try:
        value: Any = json.loads(text)
    except ValueError:
        return text
    return json.dumps(value, indent=2, ensure_ascii=False)


def _thumbnail(blobs: Blobs, sha256: str) -> str:
    """A data URI; "" where the picture is not there or cannot be decoded."""
    path = next((blobs.root / sha256[:2]).glob(f"{sha256}*"), None)
    try:
        shown = decode_image(path.read_bytes(), path.name).convert("RGB") if path else None
    except (OSError, ImageError):
        shown = None
    if shown is None:
        return ""
    shown.thumbnail((THUMB_PX, THUMB_PX), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    shown.save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
