"""Named segments of shared memory that processes of a group make: which are still there when a sample is over."""

from __future__ import annotations

import os
import sys

from bench.process.shared_names import path_of

TYPE_CHECKING = False  # as type checkers know it: each process of a group imports this

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Any

_NAME = "segments"

_stat = os.stat  # as it was before scheduling points replace it: it is called twice for each schedule


def on_creation(note: Callable[[str], object]) -> None:
    """Patch this process to note the name of each segment that it makes or opens for making; not on Windows."""
    try:
        import _posixshmem  # type: ignore[import-not-found,unused-ignore]  # not on Windows, and without stubs
    except ImportError:
        return
    opened = _posixshmem.shm_open

    def shm_open(name: str, flags: int, *args: Any, **kwargs: Any) -> int:
        handle: int = opened(name, flags, *args, **kwargs)
        if flags & os.O_CREAT:
            note(name)
        return handle

    _posixshmem.shm_open = shm_open


def install(folder: str, block: Callable[[], AbstractContextManager[object]]) -> None:
    """Patch this process to append the names of segments that it makes to a file of the group's folder.

    Args:
        folder: of the group.
        block: what to do so within.
    """
    path = os.path.join(folder, _NAME)

    def note(name: str) -> None:
        with block():
            try:
                handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError:  # the group is over and its folder gone
                return
            try:
                os.write(handle, os.fsencode(name) + b"\n")
            finally:
                os.close(handle)

    if sys.platform == "linux":
        on_creation(note)


class Segments:
    """The segments that a group makes from here on; those of states, made before, are in the bench's keeping."""

    def __init__(self, folder: str, *, begun: bool = True) -> None:
        """Begin here; with `begun` false at the beginning of the group."""
        self._path = os.path.join(folder, _NAME)
        self._at = 0
        if begun:
            self.begin()

    def begin(self) -> None:
        """Leave out all that was made so far."""
        try:
            self._at = _stat(self._path).st_size
        except OSError:
            self._at = 0

    def take_left(self) -> list[str]:
        """Remove those made since the last time that are still there, and return their names.

        The next sample finds nothing of them, as in a fresh process.
        """
        try:
            if _stat(self._path).st_size == self._at:
                return []
            with open(self._path, "rb") as file:
                file.seek(self._at)
                text = file.read()
        except OSError:
            return []
        self._at += len(text)
        names = dict.fromkeys(os.fsdecode(name) for name in text.splitlines())
        return [name for name in names if _remove(name)]


def _remove(name: str) -> bool:
    try:
        os.unlink(path_of("shared_memory", name))
    except OSError:
        return False
    return True


def remove_left(folder: str) -> None:
    """Remove the segments of a group that has ended."""
    Segments(folder, begun=False).take_left()
