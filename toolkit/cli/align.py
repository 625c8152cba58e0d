"""`unifiedvisual align`: scores of how well images fit their texts."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from toolkit.cli.terminal import phase_progress, print_json, say, table
from toolkit.curation.align import PLOT, QUANTILES, align
from toolkit.curation.scores import SCORES
from toolkit.errors import UsageError
from toolkit.parsing import load_yaml


def run(source: str, out: Path, *, option: list[str], kinds: str, tasks: str, as_json: bool, **how: Any) -> None:
    with phase_progress() as progress:
        done = align(
            source,
            out,
            options=dict(map(_parse, option)),
            kinds=kinds.split(","),
            tasks=tasks.split(","),
            on_done=progress,
            **how,
        )
    if as_json:
        print_json(asdict(done))
        return
    cells = [(kind, count, *(f"{value:.4f}" for value in done.quantiles[kind])) for kind, count in done.scored.items()]
    columns = ("fit", "scored", *(f"{100 * share:g} %" for share in QUANTILES))
    table(f"Scores in {out / SCORES}", columns, cells, right=columns[1:])
    for reason, count in done.not_scored.items():
        say(f"Not scored: {count:,} {reason}")
    if (out / PLOT).exists():
        say(f"Their distribution: {out / PLOT}")
    say(f'Next: unifiedvisual select {source} OUT --scores {out} --where "alignment > ..."')


def _parse(text: str) -> tuple[str, Any]:
    """ "model=name" with values as YAML; "$NAME" is a variable of the environment."""
    name, found, value = text.partition("=")
    if not found:
        raise UsageError(f"--option is {text!r}; expected NAME=VALUE")
    try:
        return name, load_yaml(os.path.expandvars(value).encode("utf-8", "surrogateescape"))
    except yaml.YAMLError as error:
        raise UsageError(f"--option is {text!r}: not YAML: {str(error).splitlines()[0]}") from error
