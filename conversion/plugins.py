"""Tokenizers and encoders that a caller brings: named as "module:factory", so that options stay plain strings and reach
other processes.
"""

from functools import cache
from importlib import import_module
from typing import Any

from toolkit.errors import UsageError


@cache
def load_plugin(name: str) -> Any:
    """What the factory returns; made once per process.

    Raises:
        UsageError: not of the form "module:factory", or not there.
    """
    module, colon, factory = name.partition(":")
    try:
        if not (module and colon and factory):
            raise ImportError("not of that form")
        return getattr(import_module(module), factory)()
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"{name!r} cannot be loaded: {error}; expected 'module:factory', a function without arguments in an "
            "importable module"
        ) from error
