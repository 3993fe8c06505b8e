"""Points of files: names that are looked at and changed, contents that are read and written.

The object of a step is a name in a folder; an open file counts as the name that it has now. Steps that concern more
than one name (a `rename`, a folder that is listed, a file with several links) are taken to depend on anything.

Files opened by `open` are the usual ones, over a `FileIO` whose reads and writes are points: as always, other lanes do
not see what a buffer holds back until it is flushed. Not seen: what a `DirEntry` knows by itself.
"""

from __future__ import annotations

import builtins
import io
import os
import stat
import sys

from bench.explore.model import ANYTHING
from bench.explore.points import ending, filelocks, pipes
from bench.explore.points.paths import clear_folders, object_at, object_of
from bench.explore.runtime import control

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from bench.explore.runtime.lane import Runtime

_open, _os_open, _os_close, _os_read, _os_write = io.open, os.open, os.close, os.read, os.write
_stat, _fstat = os.stat, os.fstat
_listdir, _scandir = os.listdir, os.scandir

_LOOKS = ("stat", "access", "readlink", "getxattr", "listxattr", "statvfs")
_LOOKS_AT_LINK = ("lstat",)
_CHANGES = (
    "unlink",
    "remove",
    "rmdir",
    "mkdir",
    "mkfifo",
    "mknod",
    "chmod",
    "lchmod",
    "chown",
    "lchown",
    "utime",
    "truncate",
    "setxattr",
    "removexattr",
)
_TWO_NAMES = ("rename", "replace", "link")
_ON_DESCRIPTOR = {
    "fstat": "look",
    "pread": "look",
    "preadv": "look",
    "readv": "look",
    "ftruncate": "change",
    "pwrite": "change",
    "pwritev": "change",
    "writev": "change",
    "fchmod": "change",
    "posix_fallocate": "change",
}
_ON_TWO_DESCRIPTORS = ("sendfile", "copy_file_range", "splice")

_INTERNAL = (
    "bench.explore",
    "bench.process",
    "bench.state",
    "importlib",
    "linecache",
    "multiprocessing",
    "tokenize",
    "traceback",
)
"""Beginnings of the names of modules whose own operations on files are not the user's."""


def _controlled() -> Any:
    """Return the runtime if the operation is one of the user's code, and this process is controlled; else `None`."""
    runtime = control.active
    if runtime is None or str(sys._getframe(2).f_globals.get("__name__")).startswith(_INTERNAL):
        return None
    return runtime


def install() -> None:
    """Patch `open`, and the functions of `os` on files."""
    for name in (*_LOOKS, *_LOOKS_AT_LINK):
        _replace(name, _name_operation(getattr(os, name, None), "look", follow=name in _LOOKS))
    for name in _CHANGES:
        _replace(name, _name_operation(getattr(os, name, None), "change", follow=False))
    for name in _TWO_NAMES:
        _replace(name, _two_name_operation(getattr(os, name, None)))
    for name, kind in _ON_DESCRIPTOR.items():
        _replace(name, _descriptor_operation(getattr(os, name, None), kind))
    for name in _ON_TWO_DESCRIPTORS:
        _replace(name, _unknown_operation(getattr(os, name, None)))
    _replace("symlink", _link_operation(getattr(os, "symlink", None)))
    for name, function in (
        ("open", open_descriptor),
        ("close", close),
        ("read", read),
        ("write", write),
        ("listdir", listdir),
        ("scandir", scandir),
    ):
        _replace(name, function)
    builtins.open = io.open = open_file
    filelocks.install()
    if sys.version_info < (3, 11):
        _install_into_pathlib()


def _replace(name: str, wrapped: Any) -> None:
    real = getattr(os, name, None)
    if real is None:
        return
    wrapped.__name__ = wrapped.__qualname__ = name
    wrapped.__doc__ = real.__doc__
    setattr(os, name, wrapped)
    for group in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids):
        if real in group:  # `shutil.rmtree`, for one, asks these sets
            group.add(wrapped)


def _install_into_pathlib() -> None:
    """Patch `pathlib`, which before Python 3.11 keeps references of its own to the functions of `os`."""
    import pathlib

    accessor: Any = pathlib._NormalAccessor  # type: ignore[attr-defined]  # private, and of Python 3.10 alone
    for name in ("stat", "listdir", "scandir", "chmod", "mkdir", "unlink", "link", "rmdir", "rename", "replace"):
        setattr(accessor, name, staticmethod(getattr(os, name)))
    accessor.open = staticmethod(open_file)
    accessor.readlink = staticmethod(os.readlink)


# Names


def _take_step(runtime: Runtime, kind: str, number: int, do: Callable[[], Any], text: str = "") -> Any:
    """Take a step, do the operation for real, and return its result.

    Args:
        runtime: of the lane.
        kind: of the step.
        number: the object of the step.
        do: the real operation.
        text: what the story says of it, if it goes well; empty for its result.
    """
    runtime.point(kind, number)
    try:
        with runtime.raw():
            given = do()
    except OSError as error:
        if runtime.detail:
            runtime.note_value(str(error.strerror))
        raise
    if runtime.detail:
        runtime.note_value(text or _result_text(given))
    return given


def _result_text(given: Any) -> str:
    if isinstance(given, (bytes, int)):
        return repr(given)
    if isinstance(given, list):
        return f"{len(given)} names"
    return "it is there" if isinstance(given, os.stat_result) else ""


def _name_operation(real: Any, kind: str, *, follow: bool) -> Any:
    def called(*args: Any, **keywords: Any) -> Any:
        runtime = _controlled()
        if runtime is None:
            return real(*args, **keywords)
        path = args[0] if args else keywords["path"]
        through = follow and keywords.get("follow_symlinks", True)
        where = object_at(runtime, path, keywords.get("dir_fd"), follow=through)
        return _take_step(runtime, kind, where, lambda: real(*args, **keywords))

    return called


def _two_name_operation(real: Any) -> Any:
    def called(src: Any, dst: Any, **keywords: Any) -> Any:
        runtime = _controlled()
        if runtime is None:
            return real(src, dst, **keywords)
        text = " -> ".join(os.path.basename(os.fsdecode(path)) for path in (src, dst)) if runtime.detail else ""
        return _take_step(runtime, "change", ANYTHING, lambda: real(src, dst, **keywords), text)

    return called


def _link_operation(real: Any) -> Any:
    def called(src: Any, dst: Any, *args: Any, **keywords: Any) -> Any:
        runtime = _controlled()
        if runtime is None:
            return real(src, dst, *args, **keywords)
        where = object_at(runtime, dst, keywords.get("dir_fd"))
        clear_folders()
        return _take_step(runtime, "change", where, lambda: real(src, dst, *args, **keywords))

    return called


def _descriptor_operation(real: Any, kind: str) -> Any:
    def called(descriptor: int, *args: Any) -> Any:
        runtime = _controlled()
        if runtime is None or not stat.S_ISREG(_fstat(descriptor).st_mode):
            return real(descriptor, *args)
        return _take_step(runtime, kind, object_of(runtime, descriptor), lambda: real(descriptor, *args))

    return called


def _unknown_operation(real: Any) -> Any:
    def called(*args: Any, **keywords: Any) -> Any:
        runtime = _controlled()
        if runtime is None:
            return real(*args, **keywords)
        return _take_step(runtime, "change", ANYTHING, lambda: real(*args, **keywords))

    return called


def open_descriptor(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    """Open a file as `os.open` does, as one step: a change if it may make the file, or make it empty."""
    runtime = _controlled()
    if runtime is None:
        return _os_open(path, flags, mode, dir_fd=dir_fd)
    _may_block(runtime, path)
    kind = "change" if flags & (os.O_CREAT | os.O_TRUNC) else "look"
    where = object_at(runtime, path, dir_fd, follow=not flags & getattr(os, "O_NOFOLLOW", 0))
    opened: int = _take_step(runtime, kind, where, lambda: _os_open(path, flags, mode, dir_fd=dir_fd))
    ending.opened.add(opened)
    return opened


def _may_block(runtime: Runtime, path: Any) -> None:
    try:
        waits = stat.S_ISFIFO(_stat(path).st_mode)
    except (OSError, ValueError):
        return
    if waits:
        runtime.note_uncontrolled("a named pipe, whose opening waits for somebody to open the other end")


def listdir(path: Any = ".") -> list[Any]:
    """List a folder as `os.listdir` does, as one step."""
    runtime = _controlled()
    if runtime is None:
        return _listdir(path)
    names: list[Any] = _take_step(runtime, "look", ANYTHING, lambda: _listdir(path))
    return names


def scandir(path: Any = ".") -> Any:
    """List a folder as `os.scandir` does, as one step: the names are those that are there at the call."""
    runtime = _controlled()
    if runtime is None:
        return _scandir(path)

    def entries() -> list[Any]:
        with _scandir(path) as found:
            return list(found)

    return _Entries(_take_step(runtime, "look", ANYTHING, entries))


class _Entries:
    """The result of `os.scandir`: an iterator that can be closed."""

    def __init__(self, entries: list[Any]) -> None:
        self._entries = iter(entries)

    def __iter__(self) -> Iterator[Any]:
        return self._entries

    def __next__(self) -> Any:
        return next(self._entries)

    def __enter__(self) -> _Entries:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Do nothing: there is nothing to close."""


# Open files


def read(descriptor: int, size: int) -> bytes:
    """Read as `os.read` does: from a pipe, or a file."""
    runtime = _controlled()
    if runtime is None:
        return _os_read(descriptor, size)
    mode = _fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        data: bytes = _take_step(runtime, "look", object_of(runtime, descriptor), lambda: _os_read(descriptor, size))
        return data
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        return pipes.read(descriptor, size)
    return _os_read(descriptor, size)


def write(descriptor: int, data: Any) -> int:
    """Write as `os.write` does: to a pipe, or a file."""
    runtime = _controlled()
    if runtime is None:
        return _os_write(descriptor, data)
    mode = _fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        written: int = _take_step(
            runtime, "change", object_of(runtime, descriptor), lambda: _os_write(descriptor, data)
        )
        return written
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        return _write_all(descriptor, data)
    return _os_write(descriptor, data)


def _write_all(descriptor: int, data: Any) -> int:
    """Write everything, as `os.write` does where a descriptor blocks, in as many steps as it takes."""
    left = memoryview(data).cast("B")
    size = len(left)
    while True:
        left = left[pipes.write(descriptor, left) :]
        if not left or not os.get_blocking(descriptor):
            return size - len(left)


def close(fd: int) -> None:
    """Close as `os.close` does: a step, if other lanes may see it."""
    runtime = _controlled()
    if runtime is None:
        _os_close(fd)
        return
    try:
        status = _fstat(fd)
    except OSError:
        _os_close(fd)
        raise
    if fd not in ending.opened:
        ending.mark_spoiled(runtime)
    ending.opened.discard(fd)
    if stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode):
        pipes.close(fd)
    else:
        filelocks.close(runtime, fd, status, lambda: _os_close(fd))


class _File(io.FileIO):
    """A file whose reads and writes are steps."""

    def readinto(self, buffer: Any) -> Any:
        return self._step("look", lambda: super(_File, self).readinto(buffer))

    def read(self, size: Any = -1) -> Any:
        return self._step("look", lambda: super(_File, self).read(size))

    def readall(self) -> Any:
        return self._step("look", lambda: super(_File, self).readall())

    def write(self, data: Any) -> Any:
        return self._step("change", lambda: super(_File, self).write(data))

    def truncate(self, size: Any = None) -> Any:
        return self._step("change", lambda: super(_File, self).truncate(size))

    def close(self) -> None:
        runtime = control.active
        if runtime is None or self.closed:
            super().close()
        else:
            filelocks.close(runtime, self.fileno(), _fstat(self.fileno()), lambda: super(_File, self).close())

    def _step(self, kind: str, do: Callable[[], Any]) -> Any:
        runtime = control.active
        if runtime is None:
            return do()
        return _take_step(runtime, kind, object_of(runtime, self.fileno()), do)


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
    """Open a file as `open` does; opening is a step, and so is each read and write that reaches the file."""
    runtime = _controlled()
    letters = set(mode) if isinstance(mode, str) else set()
    if runtime is None or not _usual(file, letters, mode, buffering):
        return _open(file, mode, buffering, encoding, errors, newline, closefd, opener)
    how = "".join(letters & set("rwax+"))
    if isinstance(file, int) or opener is not None:  # no step of its own: what the opener does is one
        raw = _File(file, how, closefd, opener)
    else:
        kind = "look" if "r" in letters else "change"
        raw = _take_step(runtime, kind, object_at(runtime, file, follow=True), lambda: _File(file, how))
    try:
        return _layered(raw, letters, mode, buffering, encoding, errors, newline)
    except BaseException:
        raw.close()
        raise


def _usual(file: Any, letters: set[str], mode: str, buffering: int) -> bool:
    """Return whether `open` is called for a regular file, with arguments that it takes."""
    if letters - set("rwaxbt+") or len(letters) != len(mode) or len(letters & set("rwax")) != 1:
        return False
    if {"b", "t"} <= letters or (buffering == 0 and "b" not in letters):
        return False
    try:
        there = (_fstat if isinstance(file, int) else _stat)(file).st_mode
    except (OSError, ValueError, TypeError):
        there = stat.S_IFREG
    return stat.S_ISREG(there)


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
