"""What a run has done so far, from its journals: the funnel, the reasons, what was used and paid, what is in doubt."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from toolkit.generation.core.spec import RunSpec
from toolkit.generation.journal import finished
from toolkit.generation.journal.reading import Use, uses
from toolkit.generation.runs.plans import plan


@dataclass(frozen=True, kw_only=True)
class Funnel:
    """Samples of a recipe.

    Attributes:
        planned: samples, or as many as were tried where enough became rows.
        reasons: "step: reason" -> samples that were rejected or failed there.
        failures: "step: reason" -> what the first that failed there said.
    """

    planned: int
    ok: int = 0
    rejected: int = 0
    failed: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def pending(self) -> int:
        return self.planned - self.ok - self.rejected - self.failed


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
        failures: dict[str, str] = {}
        for sample in finished(folder, each.recipe.name):
            if sample.idx < each.n and sample.id == each.id(sample.idx):
                states[sample.state] += 1
                if sample.reason:
                    reasons[f"{sample.step}: {sample.reason}"] += 1
                if sample.state == "failed":
                    failures.setdefault(f"{sample.step}: {sample.reason}", sample.detail or "")
        planned = states.total() if each.accept is not None and states["ok"] >= each.accept else each.n
        why = dict(reasons.most_common())
        funnels[each.recipe.name] = Funnel(planned=planned, **states, reasons=why, failures=failures)
    return Summary(recipes=funnels, models=uses(folder))
