"""A model in this process: loaded with the first call, used by one thread, so that calls never overlap on it."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Any, Literal, TypeVar

from pydantic import Field

from toolkit.errors import MissingExtra
from toolkit.generation.core.options import Options
from toolkit.generation.core.protocol import CallError, Fatal, Transient

Value = TypeVar("Value")
# transformers exchanges methods of its classes while it loads a model (initialization.py, no_tie_weights); of two
# threads that do so at once one leaves them exchanged, and from then on no weights are tied in this process.
LOADING = threading.Lock()


class LocalModel:
    """
    Args:
        name: of the model, for messages.
        load: gives whatever `run` hands to its work.
    """

    def __init__(self, name: str, load: Callable[[], Any]) -> None:
        self._name, self._load, self._loaded = name, load, None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    async def run(self, work: Callable[[Any], Value]) -> Value:
        """
        Raises:
            Fatal: the model cannot be loaded, or its memory is full. Transient: the model raised anything else.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._call, work)

    def _call(self, work: Callable[[Any], Value]) -> Value:
        import torch

        try:
            if self._loaded is None:  # or calls would wait while another model is loaded
                with LOADING:
                    self._loaded = self._load()
        except Exception as error:
            raise Fatal("no_model", detail=f"{self._name}: {type(error).__name__}: {error}") from error
        try:
            return work(self._loaded)
        except CallError:
            raise
        except torch.OutOfMemoryError as error:
            raise Fatal("out_of_memory", detail=f"{self._name}: {error}") from error
        except Exception as error:
            raise Transient("model_error", detail=f"{self._name}: {type(error).__name__}: {error}") from error

    def close(self) -> None:
        self._thread.shutdown()


class LocalOptions(Options):
    """
    Attributes:
        model: a folder, or a repository of the Hub with `revision`.
        device: "" = the best there is.
    """

    model: str = Field(min_length=1)
    revision: str | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: str = ""


def require(*packages: str) -> None:
    """
    Raises:
        MissingExtra: torch or one of the packages is not installed.
    """
    for package in ("torch", *packages):
        if find_spec(package) is None:
            raise MissingExtra(package, "local")


def device_of(options: dict[str, Any]) -> str:
    """The device asked for, or the best there is."""
    import torch

    return str(options.get("device") or ("cuda" if torch.cuda.is_available() else "cpu"))
