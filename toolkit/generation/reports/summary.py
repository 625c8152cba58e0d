"""What a run has done so far, from its journals: the funnel, the reasons, what was used and paid, what is in doubt."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from toolkit.generation.core.journal import finished, journal_paths, query
from toolkit.generation.core.spec import RunSpec
from toolkit.generation.runs.plans import plan


@dataclass(frozen=True, kw_only=True)
class Funnel:
    """Samples of a recipe.

    Attributes:
        reasons: "step: reason" -> samples that were rejected or failed there.
    """

    planned: int
    ok: int = 0
    rejected: int = 0
    failed: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def pending(self) -> int:
        return self.planned - self.ok - self.rejected - self.failed


@dataclass(frozen=True, kw_only=True)
class Use:
    """What a model was asked.

    Attributes:
        calls: by content; sends: attempts, retries among them.
        cost: of what is known, in US dollars.
        unknown: sends whose cost nobody knows.
        in_doubt: sent and never heard of: their process was killed, or is still waiting.
    """

    calls: int
    sends: int
    input_tokens: int
    output_tokens: int
    images: int
    cost: float
    unknown: int
    in_doubt: int
    in_doubt_usd: float


@dataclass(frozen=True, kw_only=True)
class Summary:
    recipes: dict[str, Funnel]
    models: dict[str, Use]

    @property
    def cost(self) -> float:
        return sum(use.cost for use in self.models.values())

    @property
    def in_doubt(self) -> int:
        return sum(use.in_doubt for use in self.models.values())


def summarise(spec: RunSpec, folder: Path) -> Summary:
    funnels = {}
    for each in plan(spec):
        states: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        for sample in finished(folder, each.recipe.name):
            if sample.idx < each.n and sample.id == each.id(sample.idx):
                states[sample.state] += 1
                if sample.reason:
                    reasons[f"{sample.step}: {sample.reason}"] += 1
        funnels[each.recipe.name] = Funnel(planned=each.n, **states, reasons=dict(reasons.most_common()))
    return Summary(recipes=funnels, models=_models(folder))


def _models(folder: Path) -> dict[str, Use]:
    statement = """
        SELECT model, count(DISTINCT attempts.key), count(*), coalesce(sum(input_tokens), 0),
        coalesce(sum(output_tokens), 0), coalesce(sum(images), 0),
            coalesce(sum(cost), 0), sum(attempts.state != 'sent' AND cost IS NULL),
            sum(attempts.state IN ('sent', 'in_doubt')),
            coalesce(sum(CASE WHEN attempts.state IN ('sent', 'in_doubt') THEN reserved END), 0)
        FROM attempts JOIN calls ON calls.key = attempts.key GROUP BY model"""
    totals: dict[str, list[float]] = {}
    for path in journal_paths(folder):
        for model, *numbers in query(path, statement):
            totals[model] = [sum(pair) for pair in zip(totals.get(model, [0] * len(numbers)), numbers, strict=True)]
    names = ("calls", "sends", "input_tokens", "output_tokens", "images", "cost", "unknown", "in_doubt", "in_doubt_usd")
    money = {"cost", "in_doubt_usd"}
    return {
        model: Use(**{name: value if name in money else int(value) for name, value in zip(names, numbers, strict=True)})  # type: ignore[arg-type]
        for model, numbers in sorted(totals.items())
    }
