"""A run in words: the funnel, why samples were left out, who answered, what it took and cost, a row of each recipe."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from toolkit.generation.core.spec import RunSpec
from toolkit.generation.journal.reading import seconds
from toolkit.generation.reports.summary import Summary, summarise
from toolkit.generation.runs.finalize import LEFT_OUT
from toolkit.generation.runs.plans import Planned, plan
from toolkit.generation.runs.rows import accepted

SHOWN_CHARS = 240


def report(spec: RunSpec, folder: Path) -> str:
    """Markdown. Equal runs give equal reports, but for the seconds."""
    summary, planned = summarise(spec, folder), plan(spec)
    sections = [
        [
            f"# Run `{spec.name}`",
            "",
            f"Seed {spec.seed}. Recipes are reconstructions; the paper's prompts and thresholds were not seen by us.",
            "",
        ],
        _funnel(summary),
        ["", "## Why samples were left out", "", *_reasons(summary, folder)],
        ["", "## Who answers", "", *_backends(spec, planned)],
        ["", "## What it took", "", *_models(summary, folder), ""],
        ["Calls in doubt were under way when a process was killed; they may have been paid twice.", ""],
        ["## A row of each", "", *(line for each in planned for line in _sample(each, folder))],
    ]
    return "\n".join(line for section in sections for line in section) + "\n"


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    cells = (" | ".join(str(cell).replace("|", "\\|") for cell in row) for row in rows)
    return [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads), *(f"| {row} |" for row in cells)]


def _funnel(summary: Summary) -> list[str]:
    rows = ((name, f.planned, f.ok, f.rejected, f.failed, f.pending) for name, f in summary.recipes.items())
    return _table(("recipe", "planned", "accepted", "rejected", "failed", "pending"), rows)


def _reasons(summary: Summary, folder: Path) -> list[str]:
    """Of samples that were not accepted, and of accepted ones that were not packed because they look like an earlier
    one.
    """
    duplicates = json.loads((folder / LEFT_OUT).read_text()) if (folder / LEFT_OUT).exists() else {}
    rows = [
        (name, reason, count) for name, funnel in summary.recipes.items() for reason, count in funnel.reasons.items()
    ]
    rows += [(name, "finalize: duplicate", len(found)) for name, found in duplicates.items() if found]
    return _table(("recipe", "step: reason", "samples"), rows) if rows else ["None was."]


def _backends(spec: RunSpec, planned: list[Planned]) -> list[str]:
    backends = [(role, spec.backend(role)) for role in sorted({role for each in planned for role in each.seats})]
    if not backends:
        return ["No model was needed."]
    return _table(
        ("role", "backend", "model", "server"),
        ((role, b.kind, b.model, b.identity().get("base_url", "-")) for role, b in backends),
    )


def _models(summary: Summary, folder: Path) -> list[str]:
    heads = (
        "model",
        "calls",
        "sends",
        "tokens in",
        "tokens out",
        "pictures",
        "US dollars",
        "cost unknown",
        "in doubt",
        "mean s",
        "longest s",
    )
    took = seconds(folder)
    rows = (
        (
            *(name, u.calls, u.sends, u.input_tokens, u.output_tokens, u.images, f"{u.cost:.4f}", u.unknown),
            f"{u.in_doubt}, up to ${u.in_doubt_usd:.4f}" if u.in_doubt else "0",
            *(f"{value:.2f}" for value in took.get(name, (0.0, 0.0))),
        )
        for name, u in summary.models.items()
    )
    return _table(heads, rows)


def _sample(planned: Planned, folder: Path) -> list[str]:
    """The first row of a recipe."""
    first = next(accepted(planned, folder, with_rows=True), None)
    if first is None:
        return []
    row = json.loads(first.row or "{}")
    pictures = ", ".join(row["image_roles"]) or "none"
    texts = [f"- {name}: {_short(row[name])}" for name in ("instruction", "rationale", "answer") if row[name]]
    return [f"### {planned.recipe.name}: `{row['id']}`", "", f"- pictures: {pictures}", *texts, ""]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARS else f"{line[:SHOWN_CHARS]} ..."
