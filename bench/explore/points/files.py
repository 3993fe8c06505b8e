"""Points of files: names that are looked at and changed, contents that are read and written.

The object of a step is a name in a folder; an open file counts as the name that it has now. Steps that concern more
than one name (a `rename`, a folder that is listed, a file with several links) depend on all others on files.

Files opened by `open` are the usual ones, over a `FileIO` whose reads and writes are points: as always, other lanes do
not see what a buffer holds back until it is flushed. A read through an open file that another process may have as well
is a change, as it moves the offset that both have; and so is setting that offset.
"""

from __future__ import annotations

import builtins
import io
import os
import stat
import sys

from bench.explore.model import ANYTHING
from bench.explore.points import descriptors, eventfds, filelocks, pipes, uncontrolled
from bench.explore.points.paths import Named, is_file, is_nameless, note_moved, object_at, object_of, status_at
from bench.explore.runtime import control

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from bench.explore.runtime.lane import Runtime

_open, _os_open, _os_close, _os_read, _os_write = io.open, os.open, os.close, os.read, os.write
_stat, _fstat, _lseek, _dup, _dup2 = os.stat, os.fstat, os.lseek, os.dup, os.dup2
_listdir, _scandir, _closerange = os.listdir, os.scandir, os.closerange
_real_file = io.FileIO

_LOOKS = ("access", "getxattr", "listxattr")
_LOOKS_AT_LINK = ("lstat", "readlink")
_CHANGES = ("chmod", "chown", "utime", "truncate", "setxattr", "removexattr")
_CHANGES_OF_NAME = ("unlink", "remove", "mkfifo", "mknod", "lchmod", "lchown")
_CHANGES_OF_FOLDER = ("mkdir", "rmdir")
_TWO_NAMES = ("rename", "replace", "link")
_ON_DESCRIPTOR = {
    "fstat": "look",
    "pread": "look",
    "preadv": "look",
    "ftruncate": "change",
    "pwrite": "change",
    "pwritev": "change",
    "fchmod": "change",
    "posix_fallocate": "change",
}
_ON_TWO_DESCRIPTORS = ("sendfile", "copy_file_range", "splice")

_OF_EXISTENCE = frozenset({"exists", "isfile", "isdir", "lexists", "is_file", "is_dir"})
"""Functions of the standard library that ask for the status of a file to see whether it is there, and of which kind."""

_SEVERAL = {"look": "scan", "change": "move"}
"""Kinds of steps, by those of the same operation on a file of one name."""

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
"""Names of modules, and of packages, whose own operations on files are not the user's."""

_INSIDE = tuple(f"{name}." for name in _INTERNAL)


def _is_internal(frame: Any) -> bool:
    name = str(frame.f_globals.get("__name__"))
    return name in _INTERNAL or name.startswith(_INSIDE)


def _controlled() -> Any:
    """Return the runtime if the operation is one of the user's code, and this process is controlled; else `None`."""
    runtime = control.active
    return None if runtime is None or _is_internal(sys._getframe(2)) else runtime


def install() -> None:
    """Patch `open`, and the functions of `os` on files."""
    for name in (*_LOOKS, *_LOOKS_AT_LINK):
        _replace(name, _name_operation(getattr(os, name, None), "look", follow=name in _LOOKS))
    for name in (*_CHANGES, *_CHANGES_OF_NAME):
        _replace(name, _name_operation(getattr(os, name, None), "change", follow=name in _CHANGES))
    for name in _CHANGES_OF_FOLDER:
        _replace(name, _folder_operation(getattr(os, name, None)))
    for name in _TWO_NAMES:
        _replace(name, _two_name_operation(getattr(os, name, None)))
    for name, kind in _ON_DESCRIPTOR.items():
        _replace(name, _descriptor_operation(getattr(os, name, None), kind))
    for name in _ON_TWO_DESCRIPTORS:
        _replace(name, _transfer_operation(getattr(os, name, None), name))
    for function in (
        stat_of,
        statvfs,
        symlink,
        open_descriptor,
        close,
        closerange,
        read,
        readv,
        readinto,
        write,
        writev,
        lseek,
        dup,
        dup2,
        listdir,
        scandir,
    ):
        _replace(_NAMES.get(function.__name__, function.__name__), function)
    builtins.open = io.open = open_file
    io.FileIO = FileIO  # type: ignore[misc]  # a class of the same interface
    descriptors.install()
    eventfds.install()
    filelocks.install()
    if sys.version_info < (3, 11):
        _install_into_pathlib()


_NAMES = {"stat_of": "stat", "open_descriptor": "open"}
"""Names of functions in `os`, by ours, where those would hide another one here."""


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
    accessor.symlink = staticmethod(lambda a, b, target_is_directory=False: os.symlink(a, b, target_is_directory))


# Names


def _take_step(runtime: Runtime, kind: str, on: Named, do: Callable[[], Any], text: str = "") -> Any:
    """Take a step, do the operation for real, and return its result.

    Args:
        runtime: of the lane.
        kind: of the step, if the file has one name.
        on: the object of the step.
        do: the real operation.
        text: what the story says of it, if it goes well; empty for its result.
    """
    runtime.point(_SEVERAL.get(kind, kind) if on.several else kind, on.number)
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
        path, folder = args[0] if args else keywords["path"], keywords.get("dir_fd")
        where = object_at(runtime, path, folder, follow=follow and keywords.get("follow_symlinks", True))
        link = False
        if kind == "change" and (status := status_at(runtime, path, folder)) is not None:
            # What is in a folder is reached through it, and other names through a link.
            link = stat.S_ISLNK(status.st_mode)
            where = where._replace(several=where.several or link or not is_file(status))
        given = _take_step(runtime, kind, where, lambda: real(*args, **keywords))
        if link:
            note_moved(runtime, link=True)
        return given

    return called


def _folder_operation(real: Any) -> Any:
    def called(path: Any, *args: Any, **keywords: Any) -> Any:
        runtime = _controlled()
        if runtime is None:
            return real(path, *args, **keywords)
        where = object_at(runtime, path, keywords.get("dir_fd"))
        return _take_step(runtime, "move", where, lambda: real(path, *args, **keywords))

    return called


def _two_name_operation(real: Any) -> Any:
    def called(src: Any, dst: Any, **keywords: Any) -> Any:
        runtime = _controlled()
        if runtime is None:
            return real(src, dst, **keywords)
        folders = keywords.get("src_dir_fd"), keywords.get("dst_dir_fd")
        here, there = (object_at(runtime, *at) for at in ((src, folders[0]), (dst, folders[1])))
        text = " -> ".join(os.path.basename(os.fsdecode(path)) for path in (src, dst)) if runtime.detail else ""
        given = _take_step(runtime, "move", here, lambda: real(src, dst, **keywords), text)
        status = status_at(runtime, dst, folders[1])
        odd = status is not None and not stat.S_ISREG(status.st_mode)
        note_moved(runtime, here.number, there.number, folder=odd)
        return given

    return called


def symlink(src: Any, dst: Any, *args: Any, **keywords: Any) -> None:
    """Make a link as `os.symlink` does, as one step."""
    runtime = _controlled()
    if runtime is None:
        _symlink(src, dst, *args, **keywords)
        return
    where = object_at(runtime, dst, keywords.get("dir_fd"))
    _take_step(runtime, "move", where, lambda: _symlink(src, dst, *args, **keywords))
    note_moved(runtime, link=True)


_symlink = getattr(os, "symlink", None) or symlink


def stat_of(path: Any, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> Any:
    """Return the status of a file as `os.stat` does, as one step; that of a folder depends on what is in it."""
    runtime = _controlled()
    if runtime is None:
        return _stat(path, dir_fd=dir_fd, follow_symlinks=follow_symlinks)
    if isinstance(path, int) and not stat.S_ISREG(_fstat(path).st_mode):
        return _fstat(path)
    return _stat_step(runtime, path, dir_fd, follow=follow_symlinks, whole=not _asks_for_existence(sys._getframe(1)))


def _stat_step(runtime: Runtime, path: Any, dir_fd: int | None, *, follow: bool, whole: bool = True) -> Any:
    """Take the step of asking for a status; `whole` if more of it is wanted than whether the file is there."""
    where = object_at(runtime, path, dir_fd, follow=follow)
    status = status_at(runtime, path, dir_fd)
    if whole and (status is None or not is_file(status)):
        where = where._replace(several=True)
    return _take_step(runtime, "look", where, lambda: _stat(path, dir_fd=dir_fd, follow_symlinks=follow))


def _asks_for_existence(frame: Any) -> bool:
    for caller in (frame, frame.f_back):  # `pathlib` asks by a method of its own
        module = str(caller.f_globals.get("__name__")).partition(".")[0] if caller is not None else ""
        if module not in ("genericpath", "posixpath", "pathlib"):
            return False
        if caller.f_code.co_name in _OF_EXISTENCE:
            return True
    return False


def statvfs(path: Any) -> Any:
    """Return the status of a file system as `os.statvfs` does, as one step: it depends on every file."""
    runtime = _controlled()
    if runtime is None:
        return _statvfs(path)
    return _take_step(runtime, "scan", object_at(runtime, path), lambda: _statvfs(path))


_statvfs = getattr(os, "statvfs", None) or statvfs


def _descriptor_operation(real: Any, kind: str) -> Any:
    def called(descriptor: int, *args: Any) -> Any:
        runtime = _controlled()
        if runtime is None or not stat.S_ISREG(_fstat(descriptor).st_mode):
            return real(descriptor, *args)
        return _on_open_file(runtime, kind, descriptor, lambda: real(descriptor, *args))

    return called


def _transfer_operation(real: Any, name: str) -> Any:
    def called(*args: Any, **keywords: Any) -> Any:
        runtime = _controlled()
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
        return _take_step(runtime, "move", where, lambda: real(*args, **keywords))

    return called


def open_descriptor(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    """Open a file as `os.open` does, as one step: a change if it may make the file, or make it empty."""
    runtime = _controlled()
    if runtime is None:
        return _os_open(path, flags, mode, dir_fd=dir_fd)
    _note_special(runtime, path, dir_fd)
    kind = "change" if flags & (os.O_CREAT | os.O_TRUNC) else "look"
    direct = flags & getattr(os, "O_NOFOLLOW", 0) or (flags & os.O_CREAT and flags & os.O_EXCL)
    where = object_at(runtime, path, dir_fd, follow=not direct)
    opened: int = _take_step(runtime, kind, where, lambda: _os_open(path, flags, mode, dir_fd=dir_fd))
    descriptors.opened.add(opened)
    descriptors.note_opened(opened)
    return opened


_HARMLESS_DEVICES = 1, 5
"""Major numbers of devices that processes share nothing by: memory (null, zero, urandom), and a process's terminal."""


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


def listdir(path: Any = ".") -> list[Any]:
    """List a folder as `os.listdir` does, as one step."""
    runtime = _controlled()
    if runtime is None:
        return _listdir(path)
    where = object_at(runtime, "." if path is None else path, follow=True)
    names: list[Any] = _take_step(runtime, "scan", where, lambda: _listdir(path))
    return names


def scandir(path: Any = ".") -> Any:
    """List a folder as `os.scandir` does, as one step: the names are those that are there at the call."""
    runtime = _controlled()
    if runtime is None:
        return _scandir(path)

    def entries() -> list[Any]:
        with _scandir(path) as found:
            return [_Entry(one, path) for one in found]

    where = object_at(runtime, "." if path is None else path, follow=True)
    return _Entries(_take_step(runtime, "scan", where, entries))


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


class _Entry:
    """An entry of a folder, as `os.DirEntry`; what it has to ask the system for is a step."""

    def __init__(self, real: os.DirEntry[Any], folder: Any) -> None:
        self._real, self._folder = real, folder
        self._known: dict[bool, Any] = {}
        self._link = real.is_symlink()  # the system has said so with the name
        self._kinds = real.is_dir(follow_symlinks=False), real.is_file(follow_symlinks=False)
        self.name, self.path = real.name, real.path

    def __fspath__(self) -> Any:
        return self.path

    def __repr__(self) -> str:
        return f"<DirEntry {self.name!r}>"

    def inode(self) -> int:
        """Return the inode, which is known from the folder."""
        return self._real.inode()

    def is_symlink(self) -> bool:
        """Return whether it is a link, which is known from the folder."""
        return self._link

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Return whether it is a folder; asked for where it is a link that is followed."""
        return self._is(stat.S_ISDIR, self._kinds[0], follow_symlinks=follow_symlinks)

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Return whether it is a file; asked for where it is a link that is followed."""
        return self._is(stat.S_ISREG, self._kinds[1], follow_symlinks=follow_symlinks)

    def _is(self, kind: Callable[[int], bool], known: bool, *, follow_symlinks: bool) -> bool:
        if not (self._link and follow_symlinks):
            return known
        try:
            return kind(self.stat().st_mode)
        except FileNotFoundError:
            return False

    def stat(self, *, follow_symlinks: bool = True) -> Any:
        """Return the status, which is asked for once."""
        follow = follow_symlinks and self._link
        if follow not in self._known:
            runtime, folder = control.active, self._folder if isinstance(self._folder, int) else None
            self._known[follow] = (
                self._real.stat(follow_symlinks=follow)
                if runtime is None
                else _stat_step(runtime, self.path, folder, follow=follow)
            )
        return self._known[follow]


# Open files


def _on_open_file(runtime: Runtime, kind: str, descriptor: int, do: Callable[[], Any]) -> Any:
    """Take a step on what an open file holds, wherever its offset is."""
    if not descriptors.is_shared(descriptor) and is_nameless(descriptor):
        with runtime.raw():  # nobody else can reach it
            return do()
    return _take_step(runtime, kind, object_of(runtime, descriptor), do)


def _at_offset(runtime: Runtime, kind: str, descriptor: int, do: Callable[[], Any]) -> Any:
    """Take a step that uses the offset of an open file, which is a change of what all have who share that."""
    if not descriptors.is_shared(descriptor):
        return _on_open_file(runtime, kind, descriptor, do)
    descriptors.note_moved(runtime, descriptor)
    return _take_step(runtime, "change", object_of(runtime, descriptor), do)


def read(descriptor: int, size: int) -> bytes:
    """Read as `os.read` does: from a pipe, or a file."""
    runtime = _controlled()
    if runtime is None:
        return _os_read(descriptor, size)
    return _read(runtime, descriptor, size)


def _read(runtime: Runtime, descriptor: int, size: int) -> bytes:
    mode = _fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        data: bytes = _at_offset(runtime, "look", descriptor, lambda: _os_read(descriptor, size))
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
    runtime = _controlled()
    if runtime is None:
        return _readv(fd, buffers)
    return _into(buffers, lambda size: _read(runtime, fd, size))


def readinto(fd: int, buffer: Any, /) -> int:
    """Read into a buffer as `os.readinto` does, as one step."""
    runtime = _controlled()
    if runtime is None:
        return _readinto(fd, buffer)
    return _into([buffer], lambda size: _read(runtime, fd, size))


_readv: Callable[..., int] = getattr(os, "readv", None) or readv
_readinto: Callable[..., int] = getattr(os, "readinto", None) or readinto  # from Python 3.14 on


def write(descriptor: int, data: Any) -> int:
    """Write as `os.write` does: to a pipe, or a file."""
    runtime = _controlled()
    if runtime is None:
        return _os_write(descriptor, data)
    return _write(runtime, descriptor, data)


def _write(runtime: Runtime, descriptor: int, data: Any) -> int:
    mode = _fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        written: int = _at_offset(runtime, "change", descriptor, lambda: _os_write(descriptor, data))
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
    runtime = _controlled()
    if runtime is None:
        return _writev(fd, buffers)
    return _write(runtime, fd, b"".join(buffers))


_writev: Callable[..., int] = getattr(os, "writev", None) or writev


def lseek(fd: int, position: int, how: int, /) -> int:
    """Set the offset of a file as `os.lseek` does: a step, if another process has that offset, or by the file's end."""
    runtime = _controlled()
    if runtime is None or not stat.S_ISREG(_fstat(fd).st_mode):
        return _lseek(fd, position, how)
    given: int = _seek(runtime, fd, position, how, lambda: _lseek(fd, position, how))
    return given


def _seek(runtime: Runtime, fd: int, position: int, how: int, do: Callable[[], Any]) -> Any:
    if how == os.SEEK_CUR and not position and descriptors.is_shared(fd):
        return _take_step(runtime, "look", object_of(runtime, fd), do)
    if how in (os.SEEK_SET, os.SEEK_CUR) and not descriptors.is_shared(fd):
        return do()
    return _at_offset(runtime, "look", fd, do)


def dup(fd: int, /) -> int:
    """Copy a descriptor as `os.dup` does."""
    copy = _dup(fd)
    if _controlled() is not None:
        descriptors.note_copied(fd, copy)
    return copy


def dup2(fd: int, fd2: int, inheritable: bool = True) -> int:
    """Copy a descriptor to a number as `os.dup2` does, which closes what had that number before."""
    runtime = _controlled()
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
    runtime = _controlled()
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
    runtime = _controlled()
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
            return self._step("look", lambda: super(_File, self).readinto(buffer))
        return self._unless_blocked(lambda: _into([buffer], lambda size: _read(runtime, self.fileno(), size)))

    def read(self, size: Any = -1) -> Any:
        runtime = control.active
        if runtime is None or not self._is_pipe:
            return self._step("look", lambda: super(_File, self).read(size))
        if size is None or size < 0:
            return self.readall()
        return self._unless_blocked(lambda: _read(runtime, self.fileno(), size))

    def readall(self) -> Any:
        runtime = control.active
        if runtime is None or not self._is_pipe:
            return self._step("look", lambda: super(_File, self).readall())
        found = b""
        while data := self._unless_blocked(lambda: _read(runtime, self.fileno(), io.DEFAULT_BUFFER_SIZE)):
            found += data
        return found or data

    def write(self, data: Any) -> Any:
        runtime = control.active
        if runtime is None or not self._is_pipe:
            return self._step("change", lambda: super(_File, self).write(data))
        return self._unless_blocked(lambda: _write(runtime, self.fileno(), data))

    def truncate(self, size: Any = None) -> Any:
        return self._step("change", lambda: super(_File, self).truncate(size))

    def seek(self, position: int, whence: int = 0, /) -> Any:
        runtime = control.active
        if runtime is None or self.closed or not self._is_file:
            return super().seek(position, whence)
        return _seek(runtime, self.fileno(), position, whence, lambda: super(_File, self).seek(position, whence))

    def tell(self) -> Any:
        runtime = control.active
        if runtime is None or self.closed or not self._is_file or not descriptors.is_shared(self.fileno()):
            return super().tell()
        return _take_step(runtime, "look", object_of(runtime, self.fileno()), lambda: super(_File, self).tell())

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

    def _step(self, kind: str, do: Callable[[], Any]) -> Any:
        runtime = control.active
        if runtime is None or self.closed or not self._is_file:
            return do()
        return _at_offset(runtime, kind, self.fileno(), do)

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
        _take_step(runtime, kind, where, lambda: super(FileIO, self).__init__(file, mode))
        descriptors.note_opened(self.fileno())


def _controlled_above(frame: Any) -> Any:
    return None if control.active is None or _is_internal(frame) else control.active


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
    runtime = _controlled()
    letters = set(mode) if isinstance(mode, str) else set()
    if runtime is not None:
        _note_special(runtime, file)
    if _is_internal(sys._getframe(1)) or not _usual(file, letters, mode, buffering):
        return _open(file, mode, buffering, encoding, errors, newline, closefd, opener)
    how = "".join(letters & set("rwax+"))
    if runtime is None or isinstance(file, int) or opener is not None:  # what the opener does is a step
        raw = _File(file, how, closefd, opener)
    else:
        kind = "look" if "r" in letters else "change"
        where = object_at(runtime, file, follow="x" not in letters)
        raw = _take_step(runtime, kind, where, lambda: _File(file, how))
        descriptors.note_opened(raw.fileno())
    try:
        return _layered(raw, letters, mode, buffering, encoding, errors, newline)
    except BaseException:
        raw.close()
        raise


def _usual(file: Any, letters: set[str], mode: str, buffering: int) -> bool:
    """Return whether `open` is called for a regular file or a pipe, with arguments that it takes."""
    if letters - set("rwaxbt+") or len(letters) != len(mode) or len(letters & set("rwax")) != 1:
        return False
    if {"b", "t"} <= letters or (buffering == 0 and "b" not in letters):
        return False
    try:
        there = (_fstat if isinstance(file, int) else _stat)(file).st_mode
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
