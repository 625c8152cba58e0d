"""A small file system of its own, mounted for a test, that is really full when it is full."""

import os
import subprocess
import sys

import pytest

MIB = 2**20


class SmallDisk:
    def __init__(self, path, size):
        self.path = path
        path.mkdir()
        self._mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path))

    def grow(self, size):
        self._mount("-o", f"remount,size={size}", str(self.path))

    def close_for_writing(self):
        self._mount("-o", "remount,ro", str(self.path))

    def close(self):
        subprocess.run(["umount", str(self.path)], check=True)

    def _mount(self, *arguments):
        if os.name != "posix" or os.geteuid() != 0 or not sys.platform.startswith("linux"):
            pytest.skip("only root can mount a small file system, and only Linux has tmpfs")
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.strip()}")
