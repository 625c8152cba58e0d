"""Accelerate, and with it the Trainer of transformers, takes batches of a StreamingDataset as they come.

Left to itself, it has process 0 read for all, concatenates the batches of all processes and cuts the result
by rows: an error where lengths differ, and pictures of other rows where they do not. A dataset has no say in that, so
`prepare_data_loader` is replaced here by one that differs for loaders over a StreamingDataset alone: each process reads
its own share, or, where `rank=0, world_size=1` was passed, all rows and keeps its part of them.
"""

import inspect
import sys
from functools import wraps
from typing import Any, Protocol, runtime_checkable

from toolkit.errors import UsageError

MARK = "_leaves_streams_alone"


@runtime_checkable
class SharesItself(Protocol):
    @property
    def reads_all(self) -> bool:
        """Whether each process reads all rows, for `rank=0, world_size=1` was passed."""


def leave_streams_alone() -> bool:
    """To be called when a dataset is made; whether Accelerate, where it is loaded, leaves datasets alone now."""
    module: Any = sys.modules.get("accelerate.accelerator")
    if module is None:
        return "accelerate" not in sys.modules
    original = getattr(module, "prepare_data_loader", None)
    if original is None:
        return False
    if not hasattr(original, MARK):
        module.prepare_data_loader = _leaving_streams(original)
    return True


def processes() -> int:
    """Among how many processes Accelerate shares out a loader that reads all."""
    state = sys.modules.get("accelerate.state")
    shared = getattr(state.PartialState, "_shared_state", None) if state else None
    return int(shared.get("num_processes", 1)) if shared else 1


def _leaving_streams(original: Any) -> Any:
    signature = inspect.signature(original)

    @wraps(original)
    def prepare_data_loader(*args: Any, **kwargs: Any) -> Any:
        call = signature.bind(*args, **kwargs)
        call.apply_defaults()
        dataset = call.arguments["dataloader"].dataset
        if not isinstance(dataset, SharesItself):
            return original(*args, **kwargs)
        call.arguments["dispatch_batches"] = False
        if dataset.reads_all:
            return original(*call.args, **call.kwargs)
        _check_mesh(call.arguments.get("torch_device_mesh"))
        call.arguments.update(num_processes=1, process_index=0, torch_device_mesh=None)
        loader = original(*call.args, **call.kwargs)
        loader._drop_last = True  # shares are even, so gather_for_metrics has nothing to cut off
        return loader

    setattr(prepare_data_loader, MARK, True)
    return prepare_data_loader


def _check_mesh(mesh: Any) -> None:
    """Ranks that hold parts of one model want the same batch, which only the caller can tell."""
    names = set(mesh.mesh_dim_names or ()) if mesh is not None else set()
    if wide := sorted(name for name in names & {"tp", "cp", "sp"} if mesh[name].size() > 1):
        raise UsageError(
            f"the device mesh has {', '.join(wide)} of more than one rank, which have to read the same rows; pass the "
            "data-parallel rank= and world_size= to StreamingDataset"
        )
