"""What a process that decodes does once, and at its end."""

import atexit
import gc
import os
import time
from functools import cache

from torch import distributed
from torch.utils.data import get_worker_info

from toolkit.executors.memory import keep_freed_memory


def settle() -> None:
    """Have this process keep freed memory; and a worker not look for garbage in what it was forked with, which it would
    copy by that, page by page.
    """
    keep_freed_memory()
    if get_worker_info() is not None:
        _freeze(os.getpid())


@cache  # once in each process; gc.get_freeze_count() counts one by one, 0.1 s for a million objects
def _freeze(process: int) -> None:
    gc.freeze()


@atexit.register
def _let_gloo_finish() -> None:
    """Gloo's thread lets go of what was sent last, and needs the GIL for it; once the interpreter is ending, that
    aborts the process. A script that destroys its process group need not wait.

    Source: torch 2.13, distributed/c10d/ProcessGroupGloo.cpp, runLoop.
    """
    if distributed.is_available() and distributed.is_initialized() and "gloo" in distributed.get_backend():
        time.sleep(0.1)
