"""Points of open files: opening them, what is read and written by descriptors and file objects, and closing.

Files opened by `open` are the usual ones, over a `FileIO` whose reads and writes are points: as always, other lanes do
not see what a buffer holds back until it is flushed. A read through an open file that another process may have as well
is a change, as it moves the offset that both have; and so is setting that offset.
"""

from __future__ import annotations

import io
import os
import stat
import sys

from bench.explore.model import ANYTHING
from bench.explore.points import descriptors, eventfds, filelocks, pipes, uncontrolled
from bench.explore.points.filesteps import controlled, is_internal, take_step
from bench.explore.points.paths import Named, is_nameless, object_at, object_of
from bench.explore.runtime import control

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from bench.explore.runtime.lane import Runtime

_open, _os_open, _os_close, _os_read, _os_write = io.open, os.open, os.close, os.read, os.write
_stat, _fstat, _lseek, _dup, _dup2 = os.stat, os.fstat, os.lseek, os.dup, os.dup2
_listdir, _closerange = os.listdir, os.closerange
_real_file = io.FileIO

_HARMLESS_DEVICES = 1, 5
"""Major numbers of devices that processes share nothing by: memory (null, zero, urandom), and a process's terminal."""


# Opening by number, and operations on what is open


def open_descriptor(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    """Open a file as `os.open` does, as one step: a change if it may make the file, or make it empty."""
    runtime = controlled()
    if runtime is None:
        return _os_open(path, flags, mode, dir_fd=dir_fd)
    _note_special(runtime, path, dir_fd)
    kind = "change" if flags & (os.O_CREAT | os.O_TRUNC) else "look"
    direct = flags & getattr(os, "O_NOFOLLOW", 0) or (flags & os.O_CREAT and flags & os.O_EXCL)
    where = object_at(runtime, path, dir_fd, follow=not direct)

    def deed() -> str:
        makes = flags & os.O_CREAT
        return "creates" if makes and flags & os.O_EXCL else _deed(path, dir_fd, flags & os.O_TRUNC, makes)

    opened: int = take_step(runtime, kind, where, lambda: _os_open(path, flags, mode, dir_fd=dir_fd), deed)
    descriptors.opened.add(opened)
    descriptors.note_opened(opened)
    return opened


def _deed(path: Any, dir_fd: int | None, empties: int, makes: int) -> str:
    """Return what opening a file will do to it, for the story."""
    try:
        there = _stat(path, dir_fd=dir_fd).st_size >= 0
    except (OSError, ValueError):
        there = False
    return "creates" if makes and not there else "empties" if empties else "opens"


def _deed_of_mode(path: Any, mode: str) -> str:
    return "creates" if "x" in mode else _deed(path, None, "w" in mode, "r" not in mode)


def _note_special(runtime: Runtime, path: Any, dir_fd: int | None = None) -> None:
    """Note a file that is about to be opened, if what is done to it is not controlled, or it may wait."""
    if isinstance(path, int):
        return
    with runtime.raw():
        try:
            status = _stat(path, dir_fd=dir_fd)
        except (OSError, ValueError, TypeError):
            return
    if stat.S_ISFIFO(status.st_mode):
        uncontrolled.note("a named pipe, whose opening waits for somebody to open the other end")
    elif stat.S_ISBLK(status.st_mode) or (
        stat.S_ISCHR(status.st_mode) and os.major(status.st_rdev) not in _HARMLESS_DEVICES
    ):
        uncontrolled.note("a device")


def descriptor_operation(real: Any, kind: str, deed: str) -> Any:
    """Return a function of `os` on the content of an open file as one whose calls are steps of that kind."""

    def called(descriptor: int, *args: Any) -> Any:
        runtime = controlled()
        if runtime is None or not stat.S_ISREG(_fstat(descriptor).st_mode):
            return real(descriptor, *args)
        return _on_open_file(runtime, kind, descriptor, lambda: real(descriptor, *args), deed)

    return called


def transfer_operation(real: Any, name: str) -> Any:
    """Return a function of `os` that copies between two descriptors as one whose calls are steps, if both are files."""

    def called(*args: Any, **keywords: Any) -> Any:
        runtime = controlled()
        if runtime is None:
            return real(*args, **keywords)
        both = [*args, *keywords.values()][:2]
        where = Named(ANYTHING)
        if all(stat.S_ISREG(_fstat(descriptor).st_mode) for descriptor in both):
            where = object_of(runtime, both[0])
        else:
            uncontrolled.note(f"os.{name}")
        for descriptor in both:
            descriptors.note_moved(runtime, descriptor)
        return take_step(runtime, "move", where, lambda: real(*args, **keywords))

    return called


def _on_open_file(runtime: Runtime, kind: str, descriptor: int, do: Callable[[], Any], deed: str) -> Any:
    """Take a step on what an open file holds, wherever its offset is."""
    if not descriptors.is_shared(descriptor) and is_nameless(descriptor):
        with runtime.raw():  # nobody else can reach it
            return do()
    return take_step(runtime, kind, object_of(runtime, descriptor), do, deed)


def _at_offset(runtime: Runtime, kind: str, descriptor: int, do: Callable[[], Any], deed: str) -> Any:
    """Take a step that uses the offset of an open file, which is a change of what all have who share that."""
    if not descriptors.is_shared(descriptor):
        return _on_open_file(runtime, kind, descriptor, do, deed)
    descriptors.note_moved(runtime, descriptor)
    return take_step(runtime, "change", object_of(runtime, descriptor), do, deed)


def read(descriptor: int, size: int) -> bytes:
    """Read as `os.read` does: from a pipe, or a file."""
    runtime = controlled()
    if runtime is None:
        return _os_read(descriptor, size)
    return _read(runtime, descriptor, size)


def _read(runtime: Runtime, descriptor: int, size: int) -> bytes:
    mode = _fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        data: bytes = _at_offset(runtime, "look", descriptor, lambda: _os_read(descriptor, size), "reads from")
        return data
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        descriptors.note_moved(runtime, descriptor)
        return pipes.read(descriptor, size)
    if eventfds.is_one(descriptor):
        taken: bytes = eventfds.take(runtime, descriptor, lambda: _os_read(descriptor, size))
        return taken
    _note_other(mode)
    return _os_read(descriptor, size)


def _note_other(mode: int) -> None:
    """Note a use of a descriptor of a kind that is not known here: a timer, a watch, a signal, another's end."""
    if not stat.S_IFMT(mode):
        uncontrolled.note("a descriptor of another kind")


def _into(buffers: Any, size_of: Callable[[int], bytes]) -> int:
    """Fill buffers with what one read gives of as many bytes as they hold; return how many those are."""
    views = [memoryview(one).cast("B") for one in buffers]
    data = size_of(sum(map(len, views)))
    left = data
    for view in views:
        view[: len(left)] = left[: len(view)]
        left = left[len(view) :]
    return len(data)


def readv(fd: int, buffers: Any, /) -> int:
    """Read into several buffers as `os.readv` does, as one step."""
    runtime = controlled()
    if runtime is None:
        return _readv(fd, buffers)
    return _into(buffers, lambda size: _read(runtime, fd, size))


def readinto(fd: int, buffer: Any, /) -> int:
    """Read into a buffer as `os.readinto` does, as one step."""
    runtime = controlled()
    if runtime is None:
        return _readinto(fd, buffer)
    return _into([buffer], lambda size: _read(runtime, fd, size))


_readv: Callable[..., int] = getattr(os, "readv", None) or readv
_readinto: Callable[..., int] = getattr(os, "readinto", None) or readinto  # from Python 3.14 on


def write(descriptor: int, data: Any) -> int:
    """Write as `os.write` does: to a pipe, or a file."""
    runtime = controlled()
    if runtime is None:
        return _os_write(descriptor, data)
    return _write(runtime, descriptor, data)


def _write(runtime: Runtime, descriptor: int, data: Any) -> int:
    mode = _fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        written: int = _at_offset(runtime, "change", descriptor, lambda: _os_write(descriptor, data), "writes to")
        return written
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        descriptors.note_moved(runtime, descriptor)
        return _write_all(descriptor, data)
    if eventfds.is_one(descriptor):
        added: int = eventfds.add(runtime, descriptor, lambda: _os_write(descriptor, data))
        return added
    _note_other(mode)
    return _os_write(descriptor, data)


def _write_all(descriptor: int, data: Any) -> int:
    """Write everything, as `os.write` does where a descriptor blocks, in as many steps as it takes."""
    left = memoryview(data).cast("B")
    size = len(left)
    while True:
        left = left[pipes.write(descriptor, left) :]
        if not left or not os.get_blocking(descriptor):
            return size - len(left)


def writev(fd: int, buffers: Any, /) -> int:
    """Write several buffers as `os.writev` does, as one step."""
    runtime = controlled()
    if runtime is None:
        return _writev(fd, buffers)
    return _write(runtime, fd, b"".join(buffers))


_writev: Callable[..., int] = getattr(os, "writev", None) or writev


def lseek(fd: int, position: int, how: int, /) -> int:
    """Set the offset of a file as `os.lseek` does: a step, if another process has that offset, or by the file's end."""
    runtime = controlled()
    if runtime is None or not stat.S_ISREG(_fstat(fd).st_mode):
        return _lseek(fd, position, how)
    given: int = _seek(runtime, fd, position, how, lambda: _lseek(fd, position, how))
    return given


def _seek(runtime: Runtime, fd: int, position: int, how: int, do: Callable[[], Any]) -> Any:
    if how == os.SEEK_CUR and not position and descriptors.is_shared(fd):
        return take_step(runtime, "look", object_of(runtime, fd), do, "asks for the place in")
    if how in (os.SEEK_SET, os.SEEK_CUR) and not descriptors.is_shared(fd):
        return do()
    return _at_offset(runtime, "look", fd, do, "sets the place in")


def dup(fd: int, /) -> int:
    """Copy a descriptor as `os.dup` does."""
    copy = _dup(fd)
    if controlled() is not None:
        descriptors.note_copied(fd, copy)
    return copy


def dup2(fd: int, fd2: int, inheritable: bool = True) -> int:
    """Copy a descriptor to a number as `os.dup2` does, which closes what had that number before."""
    runtime = controlled()
    if runtime is not None and fd != fd2:
        _fstat(fd)  # raises where the copy would, before anything is closed
        if _is_open(fd2):
            _close_one(runtime, fd2)
        descriptors.note_copied(fd, fd2)
    return _dup2(fd, fd2, inheritable)


def _is_open(descriptor: int) -> bool:
    try:
        _fstat(descriptor)
    except OSError:
        return False
    return True


def close(fd: int) -> None:
    """Close as `os.close` does: a step, if other lanes may see it."""
    runtime = controlled()
    if runtime is None:
        _os_close(fd)
    else:
        _close_one(runtime, fd)


def _close_one(runtime: Runtime, fd: int) -> None:
    try:
        status = _fstat(fd)
    except OSError:
        _os_close(fd)
        raise
    if fd not in descriptors.opened:
        descriptors.mark_spoiled(runtime)
    descriptors.opened.discard(fd)
    _close(runtime, fd, status, lambda: _os_close(fd))


def _close(runtime: Runtime, fd: int, status: os.stat_result, do: Callable[[], Any]) -> None:
    if stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode):
        pipes.close(fd, do)
    else:
        filelocks.close(runtime, fd, status, do)
    descriptors.note_closed(fd)


def closerange(fd_low: int, fd_high: int, /) -> None:
    """Close descriptors as `os.closerange` does, one after the other."""
    runtime = controlled()
    if runtime is None:
        _closerange(fd_low, fd_high)
        return
    for fd in sorted(int(name) for name in _listdir("/proc/self/fd")):
        if fd_low <= fd < fd_high and _is_open(fd):
            _close_one(runtime, fd)


class _File(_real_file):
    """A file, or a pipe, whose reads and writes are steps."""

    def __init__(self, file: Any, mode: str = "r", closefd: bool = True, opener: Any = None) -> None:
        super().__init__(file, mode, closefd, opener)
        kind = _fstat(self.fileno()).st_mode
        self._is_pipe, self._closes = stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind), closefd
        self._is_file = stat.S_ISREG(kind)

    def readinto(self, buffer: Any) -> Any:
        runtime = control.active
        if runtime is None or not self._is_pipe:
            return self._step("look", lambda: super(_File, self).readinto(buffer), "reads from")
        return self._unless_blocked(lambda: _into([buffer], lambda size: _read(runtime, self.fileno(), size)))

    def read(self, size: Any = -1) -> Any:
        runtime = control.active
        if runtime is None or not self._is_pipe:
            return self._step("look", lambda: super(_File, self).read(size), "reads from")
        if size is None or size < 0:
            return self.readall()
        return self._unless_blocked(lambda: _read(runtime, self.fileno(), size))

    def readall(self) -> Any:
        runtime = control.active
        if runtime is None or not self._is_pipe:
            return self._step("look", lambda: super(_File, self).readall(), "reads from")
        found = b""
        while data := self._unless_blocked(lambda: _read(runtime, self.fileno(), io.DEFAULT_BUFFER_SIZE)):
            found += data
        return found or data

    def write(self, data: Any) -> Any:
        runtime = control.active
        if runtime is None or not self._is_pipe:
            return self._step("change", lambda: super(_File, self).write(data), "writes to")
        return self._unless_blocked(lambda: _write(runtime, self.fileno(), data))

    def truncate(self, size: Any = None) -> Any:
        return self._step("change", lambda: super(_File, self).truncate(size), "cuts")

    def seek(self, position: int, whence: int = 0, /) -> Any:
        runtime = control.active
        if runtime is None or self.closed or not self._is_file:
            return super().seek(position, whence)
        return _seek(runtime, self.fileno(), position, whence, lambda: super(_File, self).seek(position, whence))

    def tell(self) -> Any:
        runtime = control.active
        if runtime is None or self.closed or not self._is_file or not descriptors.is_shared(self.fileno()):
            return super().tell()
        deed = "asks for the place in"
        return take_step(runtime, "look", object_of(runtime, self.fileno()), lambda: super(_File, self).tell(), deed)

    def close(self) -> None:
        runtime = control.active
        if runtime is None or self.closed or not self._closes:
            super().close()
            return
        number = self.fileno()
        if number not in descriptors.described and number not in descriptors.opened:
            descriptors.mark_spoiled(runtime)
        descriptors.opened.discard(number)
        _close(runtime, number, _fstat(number), lambda: super(_File, self).close())

    def _step(self, kind: str, do: Callable[[], Any], deed: str) -> Any:
        runtime = control.active
        if runtime is None or self.closed or not self._is_file:
            return do()
        return _at_offset(runtime, kind, self.fileno(), do, deed)

    def _unless_blocked(self, do: Callable[[], Any]) -> Any:
        try:
            return do()
        except BlockingIOError:
            return None


class _LikeReal(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _real_file)


class FileIO(_File, metaclass=_LikeReal):  # type: ignore[metaclass]  # that of the real class is `type`
    """What the user's code finds as `io.FileIO`: to open it is a step as well."""

    def __init__(self, file: Any, mode: str = "r", closefd: bool = True, opener: Any = None) -> None:
        runtime = _controlled_above(sys._getframe(1))
        if runtime is None or isinstance(file, int) or opener is not None:
            super().__init__(file, mode, closefd, opener)
            return
        _note_special(runtime, file)
        kind = "look" if "r" in mode else "change"
        where = object_at(runtime, file, follow="x" not in mode)
        take_step(
            runtime, kind, where, lambda: super(FileIO, self).__init__(file, mode), lambda: _deed_of_mode(file, mode)
        )
        descriptors.note_opened(self.fileno())


def _controlled_above(frame: Any) -> Any:
    return None if control.active is None or is_internal(frame) else control.active


def open_file(
    file: Any,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: Any = None,
) -> Any:
    """Open a file as `open` does; opening is a step, and so is each read and write that reaches the file.

    A file that is opened before an actor runs, as one of its state, has the same points.
    """
    runtime = controlled()
    letters = set(mode) if isinstance(mode, str) else set()
    if runtime is not None:
        _note_special(runtime, file)
    if is_internal(sys._getframe(1)) or not _usual(file if opener is None else None, letters, mode, buffering):
        return _open(file, mode, buffering, encoding, errors, newline, closefd, opener)
    how = "".join(letters & set("rwax+"))
    if runtime is None or isinstance(file, int) or opener is not None:  # what the opener does is a step
        raw = _File(file, how, closefd, opener)
    else:
        kind = "look" if "r" in letters else "change"
        where = object_at(runtime, file, follow="x" not in letters)
        raw = take_step(runtime, kind, where, lambda: _File(file, how), lambda: _deed_of_mode(file, how))
        descriptors.note_opened(raw.fileno())
    try:
        return _layered(raw, letters, mode, buffering, encoding, errors, newline)
    except BaseException:
        raw.close()
        raise


def _usual(file: Any, letters: set[str], mode: str, buffering: int) -> bool:
    """Return whether `open` is called for a regular file or a pipe, with arguments that it takes.

    Of a file that is `None`, as an opener decides what is opened, it is not known yet: `_File` will see.
    """
    if letters - set("rwaxbt+") or len(letters) != len(mode) or len(letters & set("rwax")) != 1:
        return False
    if {"b", "t"} <= letters or (buffering == 0 and "b" not in letters):
        return False
    try:
        there = stat.S_IFREG if file is None else (_fstat if isinstance(file, int) else _stat)(file).st_mode
    except (OSError, ValueError, TypeError):
        there = stat.S_IFREG
    return stat.S_ISREG(there) or stat.S_ISFIFO(there) or stat.S_ISSOCK(there)


def _layered(
    raw: _File,
    letters: set[str],
    mode: str,
    buffering: int,
    encoding: str | None,
    errors: str | None,
    newline: str | None,
) -> Any:
    """Return a raw file with the buffers that `open` puts on it (as `_pyio.open` in the standard library does)."""
    binary = "b" in letters
    if binary and (encoding, errors, newline) != (None, None, None):
        raise ValueError("binary mode doesn't take an encoding, errors or newline argument")
    by_line = buffering == 1 and not binary
    if buffering < 0 or buffering == 1:
        block: int = raw._blksize  # type: ignore[attr-defined]  # what `open` itself looks at
        least = io.DEFAULT_BUFFER_SIZE
        buffering = max(min(block, 8 << 20), least) if sys.version_info >= (3, 14) else block if block > 1 else least
    if buffering == 0:
        return raw
    kind = io.BufferedRandom if "+" in letters else io.BufferedReader if "r" in letters else io.BufferedWriter
    buffer = kind(raw, buffering)
    if binary:
        return buffer
    text: Any = io.TextIOWrapper(buffer, encoding, errors, newline, by_line)
    text.mode = mode
    return text
