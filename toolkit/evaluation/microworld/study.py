"""All runs of a study, each kept when it is done; their table, their figure, and tests over seeds."""

import json
import shutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from toolkit.errors import MissingExtra
from toolkit.evaluation.microworld.measures import MEASURES
from toolkit.evaluation.microworld.training import Run, Settings, train
from toolkit.evaluation.statistics import Test, paired
from toolkit.executors import Tell, run
from toolkit.staging.files import whole_file, write_whole
from toolkit.staging.locks import hold

Done = Callable[[str, int, float], None]  # regime, seed, seconds of CPU


def study(
    out: Path,
    regimes: Sequence[str],
    seeds: Sequence[int],
    settings: Mapping[str, Settings],
    *,
    workers: int = 1,
    on_done: Done = lambda regime, seed, cpu_s: None,
) -> list[Run]:
    """Every regime with every seed; what an earlier call has finished with the same settings is not run again.

    Args:
        out: folder of the results, a file a run.
        settings: by regime.
        workers: processes; the figures do not depend on it.

    Raises:
        UsageError: another process trains there.
    """
    (out / "runs").mkdir(parents=True, exist_ok=True)
    wanted = [(regime, seed) for seed in seeds for regime in regimes]
    paths = [_path(out, regime, seed, settings[regime]) for regime, seed in wanted]
    with hold(out / ".lock", busy=f"{out}: another process trains there; wait for it, or choose another folder"):
        units = [n for n, path in enumerate(paths) if not path.exists()]
        for unit, cpu_s in run(partial(_one, wanted, paths, settings), units, workers=workers):
            on_done(*wanted[unit], cpu_s)
        for path in paths:
            shutil.rmtree(path.with_suffix(""), ignore_errors=True)
    return [Run.from_dict(json.loads(path.read_text(encoding="utf-8"))) for path in paths]


def _path(out: Path, regime: str, seed: int, settings: Settings) -> Path:
    digest = sha256(json.dumps(asdict(settings), sort_keys=True).encode()).hexdigest()[:8]
    return out / "runs" / f"{regime.replace(' ', '-').replace(',', '')}-{seed}-{digest}.json"


def _one(
    wanted: Sequence[tuple[str, int]], paths: Sequence[Path], settings: Mapping[str, Settings], unit: int, tell: Tell
) -> float:
    regime, seed = wanted[unit]
    folder = paths[unit].with_suffix("")  # of its rows; what a killed process left is used
    found = train(regime, seed, folder, settings[regime])
    write_whole(paths[unit], json.dumps(found.to_dict()))
    return found.cpu_s


def final(runs: Sequence[Run], regime: str, measure: str) -> list[float]:
    """The scores at the end, in the order of seeds."""
    return [each.looks[-1].scores[measure] for each in runs if each.regime == regime]


def at_rows(runs: Sequence[Run], regime: str, measure: str, rows: int) -> list[float]:
    """The scores at the last look before so many rows: for equal rows instead of equal tokens."""
    found = []
    for each in runs:
        if each.regime == regime:
            before = [look for look in each.looks if look.rows <= rows] or each.looks[:1]
            found.append(before[-1].scores[measure])
    return found


def equal_rows(runs: Sequence[Run]) -> int:
    """As many rows as the run that took fewest."""
    return min(each.looks[-1].rows for each in runs)


def tests(runs: Sequence[Run], pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str, str], Test]:
    """(regime, other regime, measure) -> paired permutation test over seeds."""
    return {
        (one, other, measure): paired(final(runs, one, measure), final(runs, other, measure))
        for one, other in pairs
        for measure in MEASURES
    }


def table(runs: Sequence[Run]) -> str:
    """Markdown: measures by regimes, mean and standard deviation over seeds."""
    regimes = list(dict.fromkeys(each.regime for each in runs))
    seeds = len({each.seed for each in runs})
    lines = [f"Mean and standard deviation over {seeds} seeds, at the end of training.", ""]
    lines += [f"| | {' | '.join(regimes)} | chance |", f"|---|{'---|' * len(regimes)}---|"]
    steps = [f"{statistics.mean(each.steps for each in runs if each.regime == regime):.0f}" for regime in regimes]
    lines.append(f"| steps | {' | '.join(steps)} | |")
    for measure, (*_, chance) in MEASURES.items():
        cells = [_cell(final(runs, regime, measure)) for regime in regimes]
        lines.append(f"| {measure} | {' | '.join(cells)} | {chance:.2f} |")
    rows = equal_rows(runs)
    lines += ["", f"At equal rows ({rows:,}):", "", f"| | {' | '.join(regimes)} |", f"|---|{'---|' * len(regimes)}"]
    for measure in [name for name, (_, _, along, _) in MEASURES.items() if along]:
        lines.append(f"| {measure} | {' | '.join(_cell(at_rows(runs, each, measure, rows)) for each in regimes)} |")
    return "\n".join(lines) + "\n"


def _cell(values: Sequence[float]) -> str:
    spread = f" +- {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{spread}"


def tests_table(found: Mapping[tuple[str, str, str], Test]) -> str:
    """Markdown: differences that a test over seeds can bear, and those it cannot."""
    lines = ["| measure | from | to | difference | p | least p | seeds |", "|---|---|---|---|---|---|---|"]
    for (one, other, measure), test in found.items():
        lines.append(
            f"| {measure} | {one} | {other} | {test.difference:+.2f} | {test.p:.3f} | {test.least_p:.3f} | {test.n} |"
        )
    return "\n".join(lines) + "\n"


def figure(runs: Sequence[Run], path: Path) -> None:
    """Four panels: what was trained and what only the other side showed, for understanding and drawing; bands are one
    standard deviation over seeds, dotted lines chance.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise MissingExtra("matplotlib", "report") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = ("U as in training", "D as in training", "U cross", "D cross")
    titles = (
        *("understanding, as in training", "drawing, as in training"),
        *("understanding, shown by drawing only", "drawing, shown by understanding only"),
    )
    drawn, axes = pyplot.subplots(2, 2, figsize=(11, 7), sharex=True, sharey=True, layout="constrained")
    for axis, measure, title in zip(axes.flat, panels, titles, strict=True):
        for number, regime in enumerate(dict.fromkeys(each.regime for each in runs)):
            _curve(axis, [each for each in runs if each.regime == regime], measure, f"C{number}", regime)
        axis.axhline(MEASURES[measure][3], color="0.5", linestyle=":", linewidth=1)
        axis.set_title(title, fontsize=10)
        axis.set_ylim(0, 1)
    axes[1, 0].set_xlabel("millions of tokens")
    axes[1, 1].set_xlabel("millions of tokens")
    axes[0, 0].set_ylabel("share right")
    axes[1, 0].set_ylabel("share right")
    axes[0, 0].legend(fontsize=8)
    with whole_file(path) as file:
        drawn.savefig(file, dpi=110, format="png")
    pyplot.close(drawn)


def _curve(axis: Any, runs: Sequence[Run], measure: str, colour: str, label: str) -> None:
    looks = list(zip(*(each.looks for each in runs), strict=False))
    at = [statistics.mean(look.tokens for look in same) / 1e6 for same in looks]
    means = [statistics.mean(look.scores[measure] for look in same) for same in looks]
    axis.plot(at, means, color=colour, label=label, linewidth=1.5)
    if len(runs) > 1:
        spread = [statistics.stdev(look.scores[measure] for look in same) for same in looks]
        low, high = zip(*((m - s, m + s) for m, s in zip(means, spread, strict=True)), strict=True)
        axis.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
