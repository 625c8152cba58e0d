"""Tasks staged at the same time, a process each."""

import multiprocessing
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from toolkit.packing.stage import PackOptions, stage_task
from toolkit.sources.layout import Source
from toolkit.sources.repository import OnRead


def stage_tasks(
    source: Source, staging: Path, tasks: Sequence[str], options: PackOptions, *, workers: int, on_read: OnRead
) -> dict[str, dict[str, int]]:
    """Stage every task in a folder of its own; returns what was skipped in each. The first failure stops the others,
    which a second run goes on with.
    """
    if workers <= 1 or len(tasks) == 1:
        return {
            task: stage_task(source, staging / task, task, options, owns_unknown=task == tasks[0], on_read=on_read)
            for task in tasks
        }
    context = multiprocessing.get_context("spawn")
    progress = context.Queue()
    threading.Thread(target=_forward, args=(progress, on_read), daemon=True).start()
    with ProcessPoolExecutor(
        min(workers, len(tasks)), mp_context=context, initializer=_start_worker, initargs=(progress,)
    ) as pool:
        largest_first = sorted(tasks, key=lambda task: -source.disk_needed([task])["output"])
        jobs = {
            pool.submit(_stage_in_worker, source, staging / task, task, options, task == tasks[0]): task
            for task in largest_first
        }
        try:
            found = {jobs[job]: job.result() for job in as_completed(jobs)}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise
    progress.put(None)
    return found


def _forward(progress: Any, on_read: OnRead) -> None:
    while (message := progress.get()) is not None:
        on_read(*message)


def _start_worker(progress: Any) -> None:
    """A worker whose parent is gone stops: nobody would take its result, and a second run may already be at work."""
    global _report
    _report = lambda path, size: progress.put((path, size))  # noqa: E731
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()


_report: OnRead


def _stage_in_worker(
    source: Source, folder: Path, task: str, options: PackOptions, owns_unknown: bool
) -> dict[str, int]:
    return stage_task(source, folder, task, options, owns_unknown=owns_unknown, on_read=_report)
