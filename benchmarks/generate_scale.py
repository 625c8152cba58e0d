"""How generation bears many samples: rows a second, memory, and how soon a resumed run goes on.

Records of texts and no calls, so that the engine alone is measured.

python benchmarks/generate_scale.py                    100,000 samples
python benchmarks/generate_scale.py --samples 10000    a look
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from toolkit.generation import engine
from toolkit.generation.finalize import finalize
from toolkit.generation.spec import parse_spec


def timed(what: str, samples: int, work: Callable[[], object]) -> None:
    started = time.monotonic()
    work()
    took = time.monotonic() - started
    print(f"{what:24}{took:8.1f} s{samples / took:12,.0f} samples/s{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:9,.0f} MB at most", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=100_000)
    samples = parser.parse_args().samples
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        folder = Path(name)
        records = ({"source": f"Question {number}? " * 20, "target": "yes", "rationale": "Because it is so. " * 20, "task": "t"} for number in range(samples))
        with (folder / "cot.jsonl").open("w") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)
        content = {"recipes": {"import_cot_collection": {"n": samples, "source": "cot.jsonl"}}, "concurrency": 32}
        spec = parse_spec(content, folder=folder)
        timed("run", samples, lambda: engine.run(spec, folder / "run"))
        timed("run again (nothing new)", samples, lambda: engine.run(spec, folder / "run"))
        timed("finalize", samples, lambda: finalize(spec, folder / "run"))


if __name__ == "__main__":
    main()
