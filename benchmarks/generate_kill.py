"""Is generation safe from kill -9? Each recipe is killed at random points, and must end in the bytes of a clean run;
prints a table.

    python benchmarks/generate_kill.py                    20 kills a recipe over HTTP, about 12 minutes on two cores
    python benchmarks/generate_kill.py --procedural       the same with the scene engine
    python benchmarks/generate_kill.py --kills 3          a look

Exit code 1 if a recipe ends in other bytes, or sends more than concurrency x kills calls twice.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.generation_kills import run_with_kills, steps
from tests.generation_runs import GENERATING, IMPORTS, KEY, http_spec, write_sources, write_spec
from tests.openai_server import OpenAIServer
from toolkit.generation.core.spec_file import read_spec
from toolkit.generation.runs import engine
from toolkit.generation.runs.finalize import finalize

CONCURRENCY = 4
IMPORTED = 40  # times as many samples of the recipes that ask no model, or they are done before they are killed


def try_recipe(name: str, folder: Path, url: str, *, samples: int, kills: int, seed: int) -> bool:
    """One line of the table; whether it is as it should be."""
    if name in IMPORTS:
        samples *= IMPORTED
        write_sources(folder, samples, names=[name])
        path = write_spec(
            folder,
            {"name": name, "recipes": {name: {"n": samples, "source": f"{name}.jsonl"}}, "concurrency": CONCURRENCY},
        )
    elif url:
        path = http_spec(folder, url, {name: samples}, concurrency=CONCURRENCY)
    else:
        path = write_spec(folder, {"name": name, "recipes": {name: samples}, "concurrency": CONCURRENCY})
    spec, started = read_spec(path), time.monotonic()
    engine.run(spec, folder / "clean")
    survived = run_with_kills(path, folder / "killed", kills=kills, total=steps(folder / "clean"), seed=seed)
    clean, killed = (finalize(spec, folder / each) for each in ("clean", "killed"))
    is_same = [shard.sha256 for shard in clean.shards] == [shard.sha256 for shard in killed.shards]
    extra, bound = survived.sends - survived.calls, CONCURRENCY * survived.kills
    is_good = is_same and extra <= bound and extra == survived.in_doubt
    rows = sum(shard.rows for shard in clean.shards)
    print(
        f"{name:28}{rows:6}{survived.calls:7}{survived.kills:7}{extra:8}{bound:7}{survived.in_doubt:10}   "
        f"{'same' if is_same else 'OTHER'}"
        f"{time.monotonic() - started:8.0f} s",
        flush=True,
    )
    return is_good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--samples", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--procedural", action="store_true")
    parser.add_argument("--recipes", nargs="*", default=(*GENERATING, *IMPORTS))
    given = parser.parse_args()
    os.environ["TEST_API_KEY"] = KEY
    server = OpenAIServer(latency_s=0.02)
    print(f"{'recipe':28}{'rows':>6}{'calls':>7}{'kills':>7}{'extra':>8}{'bound':>7}{'in doubt':>10}   bytes")
    good = []
    for name in given.recipes:
        with tempfile.TemporaryDirectory(prefix="kill-") as folder:
            url = "" if given.procedural else server.url
            good.append(try_recipe(name, Path(folder), url, samples=given.samples, kills=given.kills, seed=given.seed))
    server.close()
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
