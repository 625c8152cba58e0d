"""A Slurm of one machine: scripts that submit arrays are run as they are, with an `sbatch` of our own."""

import os
import subprocess
import sys
from pathlib import Path

from tests.processes import Shells

ROOT = Path(__file__).parent.parent
# Runs an array's jobs at the same time, and a dependent job at once, as Slurm would on a machine with nothing else to
# do.
SBATCH = """#!/bin/bash
job=$(mktemp); cat > "$job"
for option in "$@"; do [ "$option" = --parsable ] && echo "7;cluster"; done
last=$(sed -n 's/^#SBATCH --array=0-//p' "$job")
pids=()
for task in $(seq 0 "${last:-0}"); do SLURM_ARRAY_TASK_ID=$task bash "$job" >> "$FAKE_LOG" 2>&1 & pids+=($!); done
for pid in "${pids[@]}"; do wait "$pid" || exit 1; done
echo "$@" >> "$FAKE_LOG"
"""


def run_script(text: str, folder: Path) -> str:
    """What the jobs of a script printed, and the options of `sbatch`; files of this are in `folder`."""
    script, sbatch, log = folder / "run.sh", folder / "bin/sbatch", folder / "log"
    sbatch.parent.mkdir()
    sbatch.write_text(SBATCH)
    sbatch.chmod(0o755)
    shells = Shells()
    shells.write(folder / "bin/python")
    script.write_text(text.replace(sys.executable, str(folder / "bin/python")))
    path = f"{sbatch.parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "FAKE_LOG": str(log)}
    done = subprocess.run(["bash", str(script)], env=environment, cwd=folder, capture_output=True, text=True)
    shells.close()
    assert done.returncode == 0, done.stderr + log.read_text()
    return log.read_text()
