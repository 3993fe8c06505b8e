"""Points of locks on files: `fcntl.flock`, `fcntl.lockf`, and closing a file that is locked."""

from __future__ import annotations

import fcntl
import os
import struct

from bench.explore.points.paths import lock_object
from bench.explore.runtime import control

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from bench.explore.runtime.lane import Runtime

_flock, _lockf, _fstat = fcntl.flock, fcntl.lockf, os.fstat

_flocked: dict[int, int] = {}
"""By descriptor, the operation by which this process has locked the file with `flock`."""

_lockfed: set[tuple[int, int]] = set()
"""Files on which this process took record locks: closing any descriptor of one releases them (POSIX, `fcntl`)."""


def install() -> None:
    """Patch `fcntl.flock` and `fcntl.lockf`."""
    fcntl.flock = flock
    fcntl.lockf = lockf


def flock(fd: Any, operation: int, /) -> None:
    """Lock or unlock a file as `fcntl.flock` does: one step, which can be taken when the lock can be had."""
    runtime = control.active
    if runtime is None:
        _flock(fd, operation)
        return
    descriptor: int = fd if isinstance(fd, int) else fd.fileno()

    def obtainable() -> bool:
        try:
            _flock(descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            free = False
        else:
            free = True
        before = _flocked.get(descriptor, fcntl.LOCK_UN)
        _flock(descriptor, before | fcntl.LOCK_NB)  # cannot fail: no other lane has run in between
        return free

    _take(runtime, lock_object(runtime, descriptor), operation, obtainable, lambda flags: _flock(descriptor, flags))
    if operation & fcntl.LOCK_UN:
        _flocked.pop(descriptor, None)
    else:
        _flocked[descriptor] = operation & ~fcntl.LOCK_NB


def lockf(fd: Any, cmd: int, len: int = 0, start: int = 0, whence: int = 0, /) -> Any:  # noqa: A002  # as it is called there
    """Lock or unlock a part of a file as `fcntl.lockf` does: one step, which can be taken when the lock can be had."""
    runtime = control.active
    if runtime is None:
        return _lockf(fd, cmd, len, start, whence)
    descriptor: int = fd if isinstance(fd, int) else fd.fileno()
    wanted = fcntl.F_RDLCK if cmd & fcntl.LOCK_SH else fcntl.F_WRLCK

    def obtainable() -> bool:
        # struct flock, as Linux has it on machines of 64 bits.
        asked = fcntl.fcntl(descriptor, fcntl.F_GETLK, struct.pack("hhqqi0q", wanted, whence, start, len, 0))
        found: int = struct.unpack_from("h", asked)[0]
        return found == fcntl.F_UNLCK

    def lock(flags: int) -> None:
        _lockf(descriptor, flags, len, start, whence)

    _take(runtime, lock_object(runtime, descriptor), cmd, obtainable, lock)
    if not cmd & fcntl.LOCK_UN:
        status = _fstat(descriptor)
        _lockfed.add((status.st_dev, status.st_ino))
    return None


def _take(runtime: Runtime, number: int, flags: int, obtainable: Callable[[], bool], do: Callable[[int], Any]) -> None:
    if flags & fcntl.LOCK_UN:
        runtime.point("unlock", number)
    elif flags & fcntl.LOCK_NB:
        runtime.point("lock", number)
    else:
        runtime.probe(number, obtainable)
        runtime.point("lock", number, wants=number)
    with runtime.raw():
        do(flags if flags & fcntl.LOCK_UN else flags | fcntl.LOCK_NB)
    runtime.mark_dirty(number)


def clear() -> None:
    """Forget all locks: the descriptors are closed."""
    _flocked.clear()
    _lockfed.clear()


def close(runtime: Runtime, descriptor: int, status: os.stat_result, do: Callable[[], Any]) -> None:
    """Close a file. It is a step `unlock` if that releases a lock, and none otherwise: no other lane sees it."""
    file = status.st_dev, status.st_ino
    if descriptor not in _flocked and file not in _lockfed:
        do()
        return
    number = lock_object(runtime, descriptor)
    try:
        runtime.point("unlock", number)
    finally:
        _flocked.pop(descriptor, None)
        _lockfed.discard(file)
        with runtime.raw():
            do()
    runtime.mark_dirty(number)
