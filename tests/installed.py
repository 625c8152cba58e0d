"""What a test file needs, looked up without being imported: that takes seconds, of every worker that collects it."""

import sys
from importlib.util import LazyLoader, find_spec, module_from_spec
from types import ModuleType

import pytest


def needs(*packages: str, reason: str) -> None:
    """Skips the file that calls it if one of them is not installed."""
    if missing := [package for package in packages if not find_spec(package)]:
        pytest.skip(f"{', '.join(missing)} not installed: {reason}", allow_module_level=True)


def when_used(package: str) -> ModuleType:
    """The package, imported at the first look into it; the file that calls it is skipped where it is not installed."""
    needs(package, reason="used throughout")
    if package in sys.modules:
        return sys.modules[package]
    spec = find_spec(package)
    assert spec
    assert spec.loader
    spec.loader = LazyLoader(spec.loader)
    module = sys.modules[package] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
