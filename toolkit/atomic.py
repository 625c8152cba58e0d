"""Old names of toolkit.staging.files."""

from toolkit.staging.files import whole_file as atomic_file
from toolkit.staging.files import write_whole as write_atomically

__all__ = ["atomic_file", "write_atomically"]
