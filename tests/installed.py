"""What a test file needs, looked up without being imported: that takes seconds, of every worker that collects it."""

from importlib.util import find_spec

import pytest


def needs(*packages: str, reason: str) -> None:
    """Skips the file that calls it if one of them is not installed."""
    if missing := [package for package in packages if not find_spec(package)]:
        pytest.skip(f"{', '.join(missing)} not installed: {reason}", allow_module_level=True)
