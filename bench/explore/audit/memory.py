"""The shared memory of an audited process, which it can reach in points alone: outside of them its pages are protected.

An access past the points then faults. The tracer names it, and lets it happen.
"""

from __future__ import annotations

import ctypes
from typing import NamedTuple

from bench.explore.runtime import layout as at

TYPE_CHECKING = False  # as type checkers know it: each audited process imports this

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bench.explore.runtime.lane import Runtime

NONE, READ, WRITE = 0, 1, 2
"""Protections, as mprotect(2) has them."""

_OF_SEMAPHORES = "/dev/shm/sem."
"""Where glibc has semaphores: functions of their own reach them, which are points, or wait in the kernel."""


class Region(NamedTuple):
    """A piece of memory: its first address, its length, how it may be reached."""

    start: int
    length: int
    protection: int


def shared_regions(maps: Iterable[str], board: str, *, protected: bool = False) -> Iterator[Region]:
    """Yield the memory of a process that it shares with others.

    Args:
        maps: the lines of its `/proc/PID/maps`.
        board: the path of the board, which is left out.
        protected: whether those are meant that cannot be reached now, rather than the others.
    """
    for line in maps:
        addresses, flags, _, _, inode, *path = line.split(maxsplit=5)
        if flags[3] != "s" or (flags[:2] == "--") is not protected:
            continue
        name = path[0].rstrip("\n") if path else ""
        if name.startswith((board, _OF_SEMAPHORES, "/usr/", "/lib")) or (inode == "0" and not name):
            continue
        start, end = (int(one, 16) for one in addresses.split("-"))
        yield Region(start, end - start, READ * (flags[0] == "r") | WRITE * (flags[1] == "w"))


class Memory:
    """The shared memory of this process, which is closed and opened as it leaves points and comes to them."""

    def __init__(self, runtime: Runtime) -> None:
        self._numbers, self._board = runtime.numbers, runtime.board.path
        self._cell, self._mapped_cell = at.MEMORY + runtime.lane, at.MAPPED + runtime.lane
        self._regions: list[Region] = []
        self._mapped = -1
        self._protect = ctypes.CDLL(None).mprotect
        self._protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        self._numbers[self._cell] = at.OPEN

    def is_open(self) -> bool:
        """Return whether the memory can be reached, and is still to be closed."""
        return bool(self._numbers[self._cell] == at.OPEN)

    def close(self) -> None:
        """Protect the memory, which is open; also what was mapped meanwhile."""
        if (mapped := self._numbers[self._mapped_cell]) != self._mapped:
            self._mapped = mapped
            with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
                self._regions = list(shared_regions(maps, self._board))
        for start, length, _ in self._regions:
            self._protect(start, length, NONE)
        self._numbers[self._cell] = at.CLOSED

    def open(self) -> None:
        """Let the memory be reached, if it is closed."""
        if self._numbers[self._cell] == at.CLOSED:
            self.open_anyway()
            self._numbers[self._cell] = at.OPEN

    def open_anyway(self) -> None:
        """Let the memory be reached, in a process that has it from its parent as well."""
        for region in self._regions:
            self._protect(*region)

    def free(self) -> None:
        """Let the memory be reached from now on."""
        self.open()
        self._numbers[self._cell] = at.FREE
