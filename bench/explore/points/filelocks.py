"""Points of locks on files: `flock`, record locks by `lockf` or `fcntl`, and closing a file that is locked.

A lock by `flock`, or by the commands `F_OFD_...` of `fcntl`, belongs to the open file, which several processes may
have; record locks belong to the process. Who holds one only the kernel knows. Here it is noted whether this process
took any, as closing a file may release them then.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import sys
from typing import NamedTuple

from bench.explore.points import descriptors, pipes, uncontrolled
from bench.explore.points.paths import lock_object, object_of
from bench.explore.runtime import control
from bench.explore.runtime import layout as at

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from bench.explore.runtime.lane import Runtime

_flock, _lockf, _fcntl, _ioctl, _fstat = fcntl.flock, fcntl.lockf, fcntl.fcntl, fcntl.ioctl, os.fstat
_os_lockf: Any = getattr(os, "lockf", None)
_set_blocking: Any = getattr(os, "set_blocking", None)
_from_file = open

_flocked: dict[int, int] = {}
"""By descriptor, the lock (`LOCK_SH`, `LOCK_EX`) that this process took with `flock`, or as one of the open file."""

_lockfed: dict[tuple[int, int], int] = {}
"""Files on which this process took record locks, with the descriptor that it last did by: closing any descriptor of one
releases them (POSIX, `fcntl`)."""

_RECORD = "hhqqi0q"
"""`struct flock`, as Linux has it on machines of 64 bits: type, whence, start, length, process."""

_OFD_GETLK, _OFD_SETLK, _OFD_SETLKW = (getattr(fcntl, f"F_OFD_{name}", -1) for name in ("GETLK", "SETLK", "SETLKW"))
_WAITING = fcntl.F_SETLKW, _OFD_SETLKW
_LOCKING = (fcntl.F_SETLK, _OFD_SETLK, *_WAITING)
_TESTING = fcntl.F_GETLK, _OFD_GETLK
_COPYING = fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC
_OWN_OR_READ = fcntl.F_GETFD, fcntl.F_SETFD, fcntl.F_GETFL, getattr(fcntl, "F_GETPIPE_SZ", -1), fcntl.F_GETOWN
"""Commands of `fcntl` that change nothing which other processes see."""


def install() -> None:
    """Patch the functions of `fcntl`, `os.lockf` and `os.set_blocking`."""
    fcntl.flock, fcntl.lockf, fcntl.fcntl, fcntl.ioctl = flock, lockf, command, ioctl
    if _os_lockf is not None:
        os.lockf = os_lockf
    if _set_blocking is not None:
        os.set_blocking = set_blocking


def _runtime() -> Any:
    """Return the runtime if the operation is one of the user's code, and this process is controlled; else `None`."""
    runtime = control.active
    name = str(sys._getframe(2).f_globals.get("__name__"))
    return None if runtime is None or name.startswith(("multiprocessing.", "bench.explore.")) else runtime


def _descriptor(fd: Any) -> int:
    return fd if isinstance(fd, int) else int(fd.fileno())


# Locks of open files


def flock(fd: Any, operation: int, /) -> None:
    """Lock or unlock a file as `fcntl.flock` does: one step, which can be taken when the lock can be had.

    A lock that the open file has of the other kind is released first, which is a step of its own (flock(2): the
    conversion is not atomic).
    """
    runtime = _runtime()
    if runtime is None:
        _flock(fd, operation)
        return
    descriptor = _descriptor(fd)
    if operation & fcntl.LOCK_UN:
        _take(runtime, descriptor, "unlock", lambda: _flock(descriptor, fcntl.LOCK_UN))
        _flocked.pop(descriptor, None)
        return
    wanted = operation & (fcntl.LOCK_SH | fcntl.LOCK_EX)
    if _held(descriptor) not in (0, wanted):
        _take(runtime, descriptor, "unlock", lambda: _flock(descriptor, fcntl.LOCK_UN))
        _flocked.pop(descriptor, None)

    def obtainable() -> bool:
        before = _held(descriptor)
        if before == wanted:
            return True
        try:
            _flock(descriptor, wanted | fcntl.LOCK_NB)
        except BlockingIOError:
            free = False
        else:
            free = True
        _flock(descriptor, (before or fcntl.LOCK_UN) | fcntl.LOCK_NB)  # cannot fail: no lane has run in between
        return free

    _take(
        runtime,
        descriptor,
        "lock",
        lambda: _flock(descriptor, operation | fcntl.LOCK_NB),
        None if operation & fcntl.LOCK_NB else obtainable,
    )
    _flocked[descriptor] = wanted


def _held(descriptor: int) -> int:
    """Return the lock of an open file by `flock`, whichever process took it; 0 for none.

    Of a file that only this process has open it is the one that this process took (see also proc(5): fdinfo).
    """
    if not descriptors.is_shared(descriptor):
        return _flocked.get(descriptor, 0)
    for words in _kernels_locks(descriptor):
        if "FLOCK" in words:
            return fcntl.LOCK_EX if "WRITE" in words else fcntl.LOCK_SH
    return 0


def _kernels_locks(descriptor: int) -> list[list[str]]:
    """Return what the kernel says of the locks that an open file, or this process on it, has: a list of words each."""
    with _from_file(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as lines:
        return [line.split() for line in lines if line.startswith("lock:")]


# Record locks


class _Range(NamedTuple):
    """A part of a file that is to be locked or unlocked; `ofd` if the lock is to be one of the open file."""

    kind: int
    whence: int
    start: int
    length: int
    ofd: bool = False


def lockf(fd: Any, cmd: int, len: int = 0, start: int = 0, whence: int = 0, /) -> Any:  # noqa: A002  # as it is called there
    """Lock or unlock a part of a file as `fcntl.lockf` does: one step, which can be taken when the lock can be had."""
    runtime = _runtime()
    if runtime is None:
        return _lockf(fd, cmd, len, start, whence)
    descriptor = _descriptor(fd)
    kind = fcntl.F_UNLCK if cmd & fcntl.LOCK_UN else fcntl.F_RDLCK if cmd & fcntl.LOCK_SH else fcntl.F_WRLCK

    def do() -> Any:
        return _lockf(descriptor, cmd if cmd & fcntl.LOCK_UN else cmd | fcntl.LOCK_NB, len, start, whence)

    return _record(runtime, descriptor, _Range(kind, whence, start, len), do, waits=not cmd & fcntl.LOCK_NB)


def os_lockf(fd: int, command: int, length: int, /) -> None:
    """Lock, unlock or test a part of a file, from its offset on, as `os.lockf` does: as one step."""
    runtime = _runtime()
    if runtime is None or command not in (os.F_LOCK, os.F_TLOCK, os.F_ULOCK, os.F_TEST):
        _os_lockf(fd, command, length)
        return
    if command == os.F_TEST:
        _take(runtime, fd, "look", lambda: _os_lockf(fd, command, length))
        return
    kind = fcntl.F_UNLCK if command == os.F_ULOCK else fcntl.F_WRLCK
    without_waiting = os.F_TLOCK if command == os.F_LOCK else command
    _record(
        runtime,
        fd,
        _Range(kind, os.SEEK_CUR, 0, length),
        lambda: _os_lockf(fd, without_waiting, length),
        waits=command == os.F_LOCK,
    )


def _record(runtime: Runtime, descriptor: int, part: _Range, do: Callable[[], Any], *, waits: bool) -> Any:
    if part.kind == fcntl.F_UNLCK:
        return _take(runtime, descriptor, "unlock", do)

    def obtainable() -> bool:
        asked = struct.pack(_RECORD, part.kind, part.whence, part.start, part.length, 0)
        found = struct.unpack(_RECORD, _fcntl(descriptor, _OFD_GETLK if part.ofd else fcntl.F_GETLK, asked))
        blocker = 0 if found[0] == fcntl.F_UNLCK else int(found[-1])
        runtime.board.lane(runtime.lane).blocker = 0 if part.ofd else blocker
        return not blocker or _is_refused(runtime)

    def do_or_be_refused() -> Any:
        try:
            return do()
        except OSError as error:
            if not waits or error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
        raise OSError(errno.EDEADLK, os.strerror(errno.EDEADLK))

    try:
        given = _take(runtime, descriptor, "lock", do_or_be_refused, obtainable if waits else None)
    except OSError as error:
        if waits and error.errno == errno.EDEADLK:
            uncontrolled.note("record locks that wait for each other, of which the system refuses one")
        raise
    finally:
        runtime.board.lane(runtime.lane).blocker = 0
    if part.ofd:
        _flocked.setdefault(descriptor, 0)
    else:
        status = _fstat(descriptor)
        _lockfed[status.st_dev, status.st_ino] = descriptor
    return given


def _is_refused(runtime: Runtime) -> bool:
    """Return whether the system would refuse this process a lock, as who holds it waits for one of this process.

    The system refuses the one that comes last (fcntl(2), EDEADLK). Which one that is no step decides, since a lane is
    at its pending step as soon as its last one is over. So it is named as not controlled when it happens.
    """
    numbers, pid = runtime.numbers, os.getpid()
    lanes = {numbers[at.PIDS + lane]: lane for lane in range(at.MOST_LANES) if numbers[at.PROBING] >> lane & 1}
    blocker = runtime.board.lane(runtime.lane).blocker
    for _ in lanes:
        if blocker == pid or blocker not in lanes:
            break
        blocker = runtime.board.lane(lanes[blocker]).blocker
    return blocker == pid


def command(fd: Any, cmd: int, arg: Any = 0, /) -> Any:
    """Do what `fcntl.fcntl` does: locks and flags of open files are steps, what is not known here is named."""
    runtime = _runtime()
    if runtime is None or cmd in _OWN_OR_READ:
        return _fcntl(fd, cmd, arg)
    descriptor = _descriptor(fd)
    if cmd in _COPYING:
        copy = _fcntl(descriptor, cmd, arg)
        descriptors.note_copied(descriptor, copy)
        return copy
    if cmd == fcntl.F_SETFL:
        return _set_flags(runtime, descriptor, lambda: _fcntl(descriptor, cmd, arg))
    if cmd in _TESTING:
        return _take(runtime, descriptor, "look", lambda: _fcntl(descriptor, cmd, arg))
    if cmd in _LOCKING and isinstance(arg, (bytes, bytearray)) and len(arg) >= struct.calcsize(_RECORD):
        kind, whence, start, length, _ = struct.unpack_from(_RECORD, arg)
        ofd = cmd in (_OFD_SETLK, _OFD_SETLKW)
        without_waiting = _OFD_SETLK if ofd else fcntl.F_SETLK
        return _record(
            runtime,
            descriptor,
            _Range(kind, whence, start, length, ofd),
            lambda: _fcntl(descriptor, without_waiting, arg),
            waits=cmd in _WAITING,
        )
    uncontrolled.note("fcntl.fcntl")
    return _fcntl(fd, cmd, arg)


def ioctl(fd: Any, request: int, arg: Any = 0, mutate_flag: bool = True, /) -> Any:
    """Do what `fcntl.ioctl` does; on anything but a terminal it is named as not controlled."""
    runtime = _runtime()
    if runtime is not None and not stat.S_ISCHR(_fstat(_descriptor(fd)).st_mode):
        uncontrolled.note("fcntl.ioctl")
    return _ioctl(fd, request, arg, mutate_flag)


def set_blocking(fd: int, blocking: bool, /) -> None:
    """Set whether a descriptor blocks as `os.set_blocking` does: a step, where other processes have the same."""
    runtime = _runtime()
    if runtime is None:
        _set_blocking(fd, blocking)
    else:
        _set_flags(runtime, fd, lambda: _set_blocking(fd, blocking))


def _set_flags(runtime: Runtime, descriptor: int, do: Callable[[], Any]) -> Any:
    """Set flags of an open file, which all have who share it."""
    if descriptors.is_shared(descriptor):
        descriptors.note_moved(runtime, descriptor)
        kind = _fstat(descriptor).st_mode
        if stat.S_ISREG(kind):
            runtime.point("change", object_of(runtime, descriptor).number)
        elif stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind):
            runtime.point("change", runtime.object(pipes.key_of(descriptor), "a pipe"))
    with runtime.raw():
        return do()


# Steps


def _take(
    runtime: Runtime,
    descriptor: int,
    kind: str,
    do: Callable[[], Any],
    obtainable: Callable[[], bool] | None = None,
) -> Any:
    """Take a step on the locks of a file; if it is one that waits, it can be taken when the lock is `obtainable`."""
    number, wanted = lock_object(runtime, descriptor)
    if obtainable is None:
        runtime.point(kind, number)
    else:
        runtime.probe(wanted, obtainable)
        runtime.point(kind, number, wants=wanted)
    with runtime.raw():
        given = do()
    if kind != "look":
        runtime.mark_dirty(None)  # who waits may have come to this file by another name
    return given


def are_left(closed: set[int]) -> bool:
    """Return whether this process may have locks left, once descriptors are closed."""
    if not (_flocked or _lockfed):
        return False
    return any(one not in closed and _is_open(one) for one in (*_flocked, *_lockfed.values()))


def _is_open(descriptor: int) -> bool:
    try:
        _fstat(descriptor)
    except OSError:
        return False
    return True


def clear() -> None:
    """Forget all locks: the descriptors are closed."""
    _flocked.clear()
    _lockfed.clear()


def close(runtime: Runtime, descriptor: int, status: os.stat_result, do: Callable[[], Any]) -> None:
    """Close a file. It is a step `unlock` if that may release a lock, and none otherwise: no other lane sees it."""
    file = status.st_dev, status.st_ino
    if descriptor not in _flocked and file not in _lockfed and not _is_locked_by_another(descriptor, status):
        do()
        return
    number, _ = lock_object(runtime, descriptor)
    try:
        runtime.point("unlock", number)
    finally:
        _flocked.pop(descriptor, None)
        _lockfed.pop(file, None)
        with runtime.raw():
            do()
    runtime.mark_dirty(None)


def _is_locked_by_another(descriptor: int, status: os.stat_result) -> bool:
    """Return whether an open file has a lock that another process took, which has it as well."""
    return stat.S_ISREG(status.st_mode) and descriptors.is_shared(descriptor) and bool(_kernels_locks(descriptor))
