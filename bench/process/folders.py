"""Folders of forkbench: that of a sample or a fork group, with the environment that marks its processes, and the cache.

In the first the processes of a sample write; what is to outlive a command stands in the second.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.errors import Unavailable
from bench.process import dumping, journal, tree
from bench.process.owners import is_dead, this_owner
from bench.process.shared_names import path_of, shared_names

_PREFIX = "bench-"
_OWNER = "owner"
"""The file in a folder that names the process which made it, and removes it unless it is killed."""

_DEEPEST_TMPDIR = 50
"""Characters; a socket's path has at most 107, and forkserver and managers put about 40 below the temporary folder."""


@contextlib.contextmanager
def sample_folder() -> Iterator[Path]:
    """Make the folder of a sample or group for the duration of the block: journal, stacks, output, temporary files."""
    parent = _parent()
    _reap_once(parent)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    (folder / _OWNER).write_text(this_owner())
    (folder / "tmp").mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _parent() -> str:
    parent = tempfile.gettempdir()
    return "/tmp" if len(parent) > _DEEPEST_TMPDIR and os.access("/tmp", os.W_OK) else parent


@functools.cache
def _reap_once(parent: str) -> None:
    reap(parent)


def reap(parent: str | None = None) -> list[str]:
    """Remove the folders of samples and groups whose owner was killed, with the processes and the names that are left.

    Args:
        parent: where the folders are; `None` means the temporary folder.

    Returns:
        The folders that were removed.
    """
    removed = []
    for file in sorted(Path(parent or _parent()).glob(f"{_PREFIX}*/{_OWNER}")):
        with contextlib.suppress(OSError, Unavailable):  # others reap as well, and not all of it may be ours
            if is_dead(file.read_text()):
                folder = file.parent
                marker = f"{journal.VARIABLE}={folder}"
                tree.kill_all(lambda marker=marker: tree.find(marker))  # type: ignore[misc]  # a default binds the loop variable
                for kind, name in shared_names(journal.read(folder)):
                    Path(path_of(kind, name)).unlink(missing_ok=True)
                shutil.rmtree(folder)
                removed.append(str(folder))
    return removed


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
