"""`unifiedvisual evaluate compare`: two mixtures of data, each taught to a tiny model in a micro-world."""

from pathlib import Path

from toolkit.cli.terminal import print_json, say, table
from toolkit.errors import MissingExtra
from toolkit.staging.files import write_whole

try:
    from toolkit.evaluation.microworld.mixtures import compare as compare_mixtures
    from toolkit.evaluation.microworld.study import figure, tests_table
    from toolkit.evaluation.microworld.study import table as results_table
except ModuleNotFoundError as error:
    if error.name not in ("torch", "transformers", "tokenizers"):
        raise
    raise MissingExtra(str(error.name), "train") from None


def run(one: Path, other: Path, out: Path, *, seeds: int, tokens: int, workers: int, json: bool) -> None:
    runs, tested, mixtures = compare_mixtures(
        one,
        other,
        out,
        seeds=seeds,
        tokens=tokens,
        workers=workers,
        on_done=lambda name, seed, cpu_s: say(f"{name}, seed {seed}: {cpu_s:.0f} s of CPU") if not json else None,
    )
    figure(runs, out / "compare.png")
    write_whole(out / "compare.md", f"{results_table(runs)}\n{tests_table(tested)}")
    if json:
        found = {measure: test._asdict() for (_, _, measure), test in tested.items()}
        print_json({"mixtures": mixtures, "tests": found, "out": str(out)})
        return
    for name, mixture in mixtures.items():
        shares = {kind: share / sum(mixture.values()) for kind, share in mixture.items()}
        say(f"{name}: " + ", ".join(f"{kind} {share:.0%}" for kind, share in shares.items()))
    rows = [
        (measure, f"{test.difference:+.3f}", f"{test.p:.3f}", f"{test.least_p:.3f}")
        for (_, _, measure), test in tested.items()
    ]
    names = list(mixtures)
    table(f"{names[1]} minus {names[0]}, over {seeds} seeds", ("measure", "difference", "p", "least p"), rows)
    say(f"{out / 'compare.md'} has all figures, {out / 'compare.png'} the curves.")
