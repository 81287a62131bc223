"""Where tests put their files: in memory if there is room, since what costs is that SQLite and MongoDB wait
for the disk at every commit. A test marked ``disk`` has its files on the disk all the same."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")
NEEDED = 3 * 2**30
"""Bytes that must be free there: two servers' journals and what the tests of one run leave behind."""

_DISK = "NUTSTATE_TESTS_DISK"


def is_large_enough(folder: Path, needed: int) -> bool:
    """Whether it exists, may be written and has that many bytes free."""
    return (
        folder.is_dir() and os.access(folder, os.W_OK | os.X_OK) and shutil.disk_usage(folder).free >= needed
    )


def use_memory(folder: Path = MEMORY) -> None:
    """From now on temporary files lie in memory, also those of child processes. Who sets ``TMPDIR`` has
    chosen a place, and it stays."""
    if "TMPDIR" not in os.environ and is_large_enough(folder, NEEDED):
        os.environ[_DISK] = tempfile.gettempdir()
        os.environ["TMPDIR"] = str(folder)
        tempfile.tempdir = None


def disk() -> str:
    """The folder of temporary files that lies on the disk."""
    return os.environ.get(_DISK) or tempfile.gettempdir()


@contextmanager
def on_disk() -> Iterator[Path]:
    """A folder on the disk, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="nutstate-", dir=disk(), ignore_cleanup_errors=True) as folder:
        yield Path(folder)
