"""A Slurm job array, a part of the work for each of its jobs, and a job that ends it."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

_SCRIPT = """\
#!/bin/bash
# Run with: bash THIS_FILE. Every node must see these folders and this Python; keys must be in its environment.
# A job that is killed, requeued or submitted again resumes.
set -euo pipefail

array=$(sbatch --parsable <<'JOB'
#!/bin/bash
#SBATCH --job-name={name}
#SBATCH --array=0-{last}
#SBATCH --chdir={folder}
#SBATCH --cpus-per-task=1
#SBATCH --mem=4G
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output={log}
exec {command} --part "$SLURM_ARRAY_TASK_ID/{count}"
JOB
)

sbatch --dependency="{condition}:${{array%%;*}}" --kill-on-invalid-dep=yes <<'JOB'
#!/bin/bash
#SBATCH --job-name={name}-end
#SBATCH --chdir={folder}
#SBATCH --mem=4G
#SBATCH --time=12:00:00
#SBATCH --output={end_log}
exec {end}
JOB
"""


def script(
    name: str, command: Sequence[str], end: Sequence[str], *, jobs: int, log: Path, only_after_success: bool = False
) -> str:
    """A script that submits a whole job, from the folder where this process is.

    Args:
        name: as Slurm shows it.
        command, end: arguments of `unifiedvisual`: of each part, without `--part`; and of what ends the job.
        jobs: of the array.
        log: start of the paths of logs.
        only_after_success: whether `end` waits for all parts to succeed; if not, it does what they left.
    """
    return _SCRIPT.format(
        name=shlex.quote(name),
        folder=shlex.quote(str(Path.cwd())),
        log=shlex.quote(f"{log.resolve()}.slurm-%a.log"),
        end_log=shlex.quote(f"{log.resolve()}.slurm-end.log"),
        command=_call(command),
        end=_call(end),
        last=jobs - 1,
        count=jobs,
        condition="afterok" if only_after_success else "afterany",
    )


def _call(arguments: Sequence[str]) -> str:
    return shlex.join([sys.executable, "-m", "toolkit.cli.app", *arguments])
