"""A mixture of kinds of rows, from YAML or from the rows of a packed dataset, and two of them compared."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from toolkit.errors import UsageError, reason_of
from toolkit.evaluation.microworld.regimes import KINDS
from toolkit.evaluation.microworld.study import study, tests
from toolkit.evaluation.microworld.training import Run, Settings
from toolkit.evaluation.statistics import Test
from toolkit.parsing import load_yaml
from toolkit.sources.manifest import MANIFEST

Mixture = dict[str, float]


def read_mixture(path: Path) -> Mixture:
    """Kind of row -> share, which need not add up to 1.

    Args:
        path: YAML, or a packed dataset, whose rows are counted: those that end in a picture are drawing, others
            understanding; those with a rationale or a picture on the way are with thoughts.

    Raises:
        UsageError: it holds something else.
    """
    return _counted(path) if path.is_dir() else _written(path)


def _written(path: Path) -> Mixture:
    try:
        found = load_yaml(path.read_bytes())
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: cannot be read as YAML: {reason_of(error)}") from error
    if not isinstance(found, dict) or not found:
        raise UsageError(f"{path}: holds {type(found).__name__}; expected kinds of rows with shares: {_known()}")
    for kind, share in found.items():
        if kind not in KINDS:
            raise UsageError(f"{path}: {kind!r} is no kind of row; known: {_known()}")
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1e9:
            raise UsageError(f"{path}: {kind}: {share!r}; expected a number above 0")
    return {str(kind): float(share) for kind, share in found.items()}


def _known() -> str:
    return ", ".join(KINDS)


def _counted(folder: Path) -> Mixture:
    if not (folder / MANIFEST).is_file():
        raise UsageError(f"{folder}: no {MANIFEST}; expected a packed dataset, or YAML with kinds of rows and shares")
    counts: Counter[str] = Counter()
    for shard in sorted((folder / "data").rglob("*.parquet")):
        with pq.ParquetFile(shard) as file:
            for group in range(file.num_row_groups):
                columns = file.read_row_group(group, columns=["image_roles", "rationale"], use_threads=False)
                counts.update(_kind(row["image_roles"], row["rationale"]) for row in columns.to_pylist())
    return {kind: float(counts[kind]) for kind in KINDS if counts[kind]}


def _kind(roles: Sequence[str], rationale: str) -> str:
    side = "drawing" if "output" in roles else "understanding"
    return f"{side} with thoughts" if rationale or "intermediate" in roles else side


def compare(
    one: Path,
    other: Path,
    out: Path,
    *,
    seeds: int = 3,
    tokens: int = Settings.tokens,
    workers: int = 1,
    on_done: Callable[[str, int, float], None] = lambda name, seed, cpu_s: None,
) -> tuple[list[Run], dict[tuple[str, str, str], Test], dict[str, Mixture]]:
    """Train on both mixtures in the micro-world, at equal tokens.

    Returns:
        The runs, a test over seeds for each measure, and the mixtures by name.

    Raises:
        UsageError: a mixture cannot be read.
    """
    names = (one.stem, other.stem if other.stem != one.stem else f"{other.stem} (2)")
    mixtures = dict(zip(names, map(read_mixture, (one, other)), strict=True))
    # No more items than a run sees: a row has some thirty tokens.
    options: dict[str, Any] = {"tokens": tokens, "every": max(tokens // 12, 1), "items": min(24_000, tokens // 20)}
    settings = {name: Settings(mixture=mixture, **options) for name, mixture in mixtures.items()}
    runs = study(out, names, range(seeds), settings, workers=workers, on_done=on_done)
    return runs, tests(runs, [names]), mixtures
