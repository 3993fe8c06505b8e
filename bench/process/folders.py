"""Folders of forkbench: that of a sample or a fork group, with the environment that marks its processes, and the cache.

In the first the processes of a sample write; what is to outlive a command stands in the second.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.process import dumping, journal

_DEEPEST_TMPDIR = 50
"""Characters; a socket's path has at most 107, and forkserver and managers put about 40 below the temporary folder."""


@contextlib.contextmanager
def sample_folder() -> Iterator[Path]:
    """Make the folder of a sample or group for the duration of the block: journal, stacks, output, temporary files."""
    parent = tempfile.gettempdir()
    if len(parent) > _DEEPEST_TMPDIR and os.access("/tmp", os.W_OK):
        parent = "/tmp"
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    (folder / "tmp").mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def environment(folder: Path, seed: int) -> dict[str, str]:
    """Return the environment that marks the processes of a sample, and makes them write into its folder."""
    return {
        **os.environ,
        journal.VARIABLE: str(folder),
        dumping.VARIABLE: str(folder / "stacks"),
        "TMPDIR": str(folder / "tmp"),
        "PYTHONHASHSEED": str(seed % 2**32),
    }


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Return the user's cache folder of forkbench, as the XDG specification places it; it may not be there yet."""
    named = environment.get("XDG_CACHE_HOME", "")
    return (Path(named) if Path(named).is_absolute() else Path("~/.cache").expanduser()) / "forkbench"
