"""A Slurm job array, a shard for each of its jobs, and a job that packs what they made."""

import shlex
import sys
from pathlib import Path

_SCRIPT = """\
#!/bin/bash
# Run with: bash THIS_FILE. Every node must see the spec, the folder of the run and this Python.
# A shard that is killed, requeued or submitted again goes on where it was.
set -euo pipefail
mkdir -p {out}

array=$(sbatch --parsable <<'JOB'
#!/bin/bash
#SBATCH --job-name={name}
#SBATCH --array=0-{last}
#SBATCH --cpus-per-task=1
#SBATCH --mem=2G
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output={log}
exec {command} run {spec} --out {out} --shard "$SLURM_ARRAY_TASK_ID/{num_shards}"
JOB
)

sbatch --dependency="afterok:${{array%%;*}}" --kill-on-invalid-dep=yes <<'JOB'
#!/bin/bash
#SBATCH --job-name={name}-finalize
#SBATCH --mem=4G
#SBATCH --time=12:00:00
exec {command} finalize {spec} --out {out}
JOB
"""


def script(name: str, spec: Path, out: Path, *, num_shards: int) -> str:
    """A script that submits a whole run.

    Args:
        name: of the run.
        spec: a file, or the name of a preset.
        out: folder of the run.
    """
    return _SCRIPT.format(
        name=shlex.quote(name),
        spec=shlex.quote(str(spec.resolve() if spec.exists() else spec)),
        out=shlex.quote(str(out.resolve())),
        log=shlex.quote(str(out.resolve() / "slurm-%a.log")),
        command=f"{shlex.quote(sys.executable)} -m toolkit.cli.app generate",
        last=num_shards - 1,
        num_shards=num_shards,
    )
