"""Points of the names of files: what is looked at, made, changed, moved, removed or listed by its path.

The object of a step is a name in a folder; an open file counts as the name that it has now. Steps that concern more
than one name (a `rename`, a folder that is listed, a file with several links) depend on all others on files.
"""

from __future__ import annotations

import builtins
import io
import os
import stat
import sys
import tempfile

from bench.explore.points import descriptors, eventfds, filelocks, openfiles
from bench.explore.points.filesteps import controlled, take_step
from bench.explore.points.paths import is_file, note_moved, object_at, status_at
from bench.explore.runtime import control

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from bench.explore.runtime.lane import Runtime

_stat, _fstat, _listdir, _scandir, _unlink = os.stat, os.fstat, os.listdir, os.scandir, os.unlink

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

_DEEDS = {
    "unlink": "removes",
    "remove": "removes",
    "mkdir": "makes folder",
    "rmdir": "removes folder",
    "rename": "renames",
    "replace": "renames",
    "link": "links",
    "truncate": "cuts",
    "ftruncate": "cuts",
    "chmod": "changes the mode of",
    "fchmod": "changes the mode of",
    "lchmod": "changes the mode of",
    "chown": "changes the owner of",
    "lchown": "changes the owner of",
    "utime": "changes the times of",
    "mkfifo": "makes pipe",
    "mknod": "creates",
    "readlink": "reads link",
    "pread": "reads from",
    "preadv": "reads from",
    "pwrite": "writes to",
    "pwritev": "writes to",
    "posix_fallocate": "makes room in",
}
"""What stories call functions of `os`, see `findings.words`; of others they say that they look, or change something."""

_OF_EXISTENCE = frozenset({"exists", "isfile", "isdir", "lexists", "is_file", "is_dir"})
"""Functions of the standard library that ask for the status of a file to see whether it is there, and of which kind."""


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
        _replace(name, openfiles.descriptor_operation(getattr(os, name, None), kind, _DEEDS.get(name, "")))
    for name in _ON_TWO_DESCRIPTORS:
        _replace(name, openfiles.transfer_operation(getattr(os, name, None), name))
    for function in (
        stat_of,
        statvfs,
        symlink,
        openfiles.open_descriptor,
        openfiles.close,
        openfiles.closerange,
        openfiles.read,
        openfiles.readv,
        openfiles.readinto,
        openfiles.write,
        openfiles.writev,
        openfiles.lseek,
        openfiles.dup,
        openfiles.dup2,
        listdir,
        scandir,
    ):
        _replace(_NAMES.get(function.__name__, function.__name__), function)
    builtins.open = io.open = openfiles.open_file
    io.FileIO = openfiles.FileIO  # type: ignore[misc]  # a class of the same interface
    descriptors.install()
    eventfds.install()
    filelocks.install()
    _install_into_tempfile()
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


def _install_into_tempfile() -> None:
    """Patch the closing of a temporary file, which has the real `os.unlink` as a default of its arguments."""
    for function in vars(tempfile._TemporaryFileCloser).values():  # type: ignore[attr-defined]  # private; a test of each Python holds it
        if defaults := getattr(function, "__defaults__", None):
            function.__defaults__ = tuple(os.unlink if one is _unlink else one for one in defaults)


def _install_into_pathlib() -> None:
    """Patch `pathlib`, which before Python 3.11 keeps references of its own to the functions of `os`."""
    import pathlib

    accessor: Any = pathlib._NormalAccessor  # type: ignore[attr-defined]  # private, and of Python 3.10 alone
    for name in ("stat", "listdir", "scandir", "chmod", "mkdir", "unlink", "link", "rmdir", "rename", "replace"):
        setattr(accessor, name, staticmethod(getattr(os, name)))
    accessor.open = staticmethod(openfiles.open_file)
    accessor.readlink = staticmethod(os.readlink)
    accessor.symlink = staticmethod(os.symlink)


def _name_operation(real: Any, kind: str, *, follow: bool) -> Any:
    def called(*args: Any, **keywords: Any) -> Any:
        runtime = controlled()
        if runtime is None:
            return real(*args, **keywords)
        path, folder = args[0] if args else keywords["path"], keywords.get("dir_fd")
        where = object_at(runtime, path, folder, follow=follow and keywords.get("follow_symlinks", True))
        link = False
        if kind == "change" and (status := status_at(runtime, path, folder)) is not None:
            # What is in a folder is reached through it, and other names through a link.
            link = stat.S_ISLNK(status.st_mode)
            where = where._replace(several=where.several or link or not is_file(status))
        given = take_step(runtime, kind, where, lambda: real(*args, **keywords), _DEEDS.get(real.__name__, ""))
        if link:
            note_moved(runtime, link=True)
        return given

    return called


def _folder_operation(real: Any) -> Any:
    def called(path: Any, *args: Any, **keywords: Any) -> Any:
        runtime = controlled()
        if runtime is None:
            return real(path, *args, **keywords)
        where = object_at(runtime, path, keywords.get("dir_fd"))
        return take_step(runtime, "move", where, lambda: real(path, *args, **keywords), _DEEDS.get(real.__name__, ""))

    return called


def _two_name_operation(real: Any) -> Any:
    def called(src: Any, dst: Any, **keywords: Any) -> Any:
        runtime = controlled()
        if runtime is None:
            return real(src, dst, **keywords)
        folders = keywords.get("src_dir_fd"), keywords.get("dst_dir_fd")
        here, there = (object_at(runtime, *at) for at in ((src, folders[0]), (dst, folders[1])))
        deed = _DEEDS.get(real.__name__, "")
        joined = "as" if deed == "links" else "to"
        text = f"{joined} {os.path.basename(os.fsdecode(dst))}" if runtime.detail else ""
        given = take_step(runtime, "move", here, lambda: real(src, dst, **keywords), deed, text)
        status = status_at(runtime, dst, folders[1])
        odd = status is not None and not stat.S_ISREG(status.st_mode)
        note_moved(runtime, here.number, there.number, folder=odd)
        return given

    return called


def symlink(src: Any, dst: Any, *args: Any, **keywords: Any) -> None:
    """Make a link as `os.symlink` does, as one step."""
    runtime = controlled()
    if runtime is None:
        _symlink(src, dst, *args, **keywords)
        return
    where = object_at(runtime, dst, keywords.get("dir_fd"))
    text = f"to {os.path.basename(os.fsdecode(src))}" if runtime.detail else ""
    take_step(runtime, "move", where, lambda: _symlink(src, dst, *args, **keywords), "makes link", text)
    note_moved(runtime, link=True)


_symlink = getattr(os, "symlink", None) or symlink


def stat_of(path: Any, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> Any:
    """Return the status of a file as `os.stat` does, as one step; that of a folder depends on what is in it."""
    runtime = controlled()
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
    return take_step(runtime, "look", where, lambda: _stat(path, dir_fd=dir_fd, follow_symlinks=follow))


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
    runtime = controlled()
    if runtime is None:
        return _statvfs(path)
    return take_step(runtime, "scan", object_at(runtime, path), lambda: _statvfs(path))


_statvfs = getattr(os, "statvfs", None) or statvfs


def listdir(path: Any = ".") -> list[Any]:
    """List a folder as `os.listdir` does, as one step."""
    runtime = controlled()
    if runtime is None:
        return _listdir(path)
    where = object_at(runtime, "." if path is None else path, follow=True)
    names: list[Any] = take_step(runtime, "scan", where, lambda: _listdir(path), "lists")
    return names


def scandir(path: Any = ".") -> Any:
    """List a folder as `os.scandir` does, as one step: the names are those that are there at the call."""
    runtime = controlled()
    if runtime is None:
        return _scandir(path)

    def entries() -> list[Any]:
        with _scandir(path) as found:
            return [_Entry(one, path) for one in found]

    where = object_at(runtime, "." if path is None else path, follow=True)
    return _Entries(take_step(runtime, "scan", where, entries, "lists"))


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
