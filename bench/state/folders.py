"""Snapshots of folders that a state made: names, kinds, modes, contents and links.

Only small folders below the temporary folder of a sample are taken, which nobody else writes to. Times, owners and
extended attributes are not looked at; what is open or locked is no part of a folder.
"""

from __future__ import annotations

import contextlib
import os
import stat

from bench.process import journal

TYPE_CHECKING = False  # as type checkers know it: each actor imports this

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    Entry = tuple[int, bytes]

MOST_ENTRIES = 64
MOST_BYTES = 1 << 20

_OF_MULTIPROCESSING = "pymp-"
"""The beginning of the names of folders in which `multiprocessing` has its sockets and arenas."""


def base() -> str | None:
    """Return the temporary folder of the sample that this process belongs to; `None` if it belongs to none."""
    sample, temporary = os.environ.get(journal.VARIABLE), os.environ.get("TMPDIR")
    if not sample or not temporary:
        return None
    real = os.path.realpath(temporary)
    return real if _is_below(real, os.path.realpath(sample)) else None


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(os.path.join(folder, ""))


def top_folder(path: str) -> str | None:
    """Return the folder right below `base` that holds a path or is it; `None` if there is none."""
    if not os.path.isabs(path) or (here := base()) is None:
        return None
    real = os.path.realpath(path)
    if not _is_below(real, here):
        return None
    top = os.path.join(here, os.path.relpath(real, here).partition(os.sep)[0])
    return top if os.path.isdir(top) else None


def first_containing(paths: Iterable[str], folders: Collection[str]) -> str:
    """Return the first of `folders`, all right below `base`, that some path is in or is; empty if there is none."""
    here = base()
    for path in paths:
        if here is not None and _is_below(path, here):
            top = os.path.join(here, os.path.relpath(path, here).partition(os.sep)[0])
            if top in folders:
                return top
    return ""


def names() -> set[str]:
    """Return the names of all that is in the temporary folder, without what `multiprocessing` makes there."""
    here = base()
    return set() if here is None else {name for name in os.listdir(here) if not name.startswith(_OF_MULTIPROCESSING)}


def remove_all(wanted: Iterable[str]) -> None:
    """Remove files and folders of these names from the temporary folder, as far as that can be done."""
    import shutil

    for name in wanted:
        path = os.path.join(base() or "", name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                os.unlink(path)


class Snapshot:
    """A folder as it was; to be compared and restored while nobody writes to it.

    Raises:
        ValueError: if it is too large, or holds something that cannot be restored; the message says what.
        OSError: if it cannot be read.
    """

    def __init__(self, top: str) -> None:
        self.top = top
        self._was: dict[str, Entry] = {}
        room = MOST_BYTES
        for name, info in _walk(top):
            kind = stat.S_IFMT(info.st_mode)
            room -= info.st_size if kind == stat.S_IFREG else 0
            if len(self._was) > MOST_ENTRIES or room < 0:
                raise ValueError(f"a folder of more than {MOST_ENTRIES} entries or {MOST_BYTES} bytes")
            path = os.path.join(top, name)
            if kind not in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK) or (kind == stat.S_IFREG and info.st_nlink > 1):
                raise ValueError(f"{name} in it is neither a folder, nor a file of one name, nor a symbolic link")
            if kind == stat.S_IFLNK and not _is_below(os.path.join(os.path.realpath(path), ""), top):
                raise ValueError(f"{name} in it leads elsewhere")
            self._was[name] = (info.st_mode, _content(path, info))

    def changed(self) -> bool:
        """Return whether the folder differs from the snapshot.

        Raises:
            OSError: if it cannot be read any more.
        """
        seen = 0
        for name, info in _walk(self.top):
            if not self._is_same(name, info):
                return True
            seen += 1
        return seen != len(self._was)

    def _is_same(self, name: str, info: os.stat_result) -> bool:
        mode, content = self._was.get(name, (0, b""))
        if info.st_mode != mode or (stat.S_ISREG(mode) and (info.st_size != len(content) or info.st_nlink > 1)):
            return False
        return _content(os.path.join(self.top, name), info) == content

    def restore(self) -> None:
        """Make the folder equal to the snapshot.

        Raises:
            OSError: if that cannot be done.
        """
        found = dict(_walk(self.top))
        for name in sorted(found, reverse=True):  # a folder comes after all that is in it
            if self._is_same(name, found[name]):
                continue
            # A file that is still writable is rewritten in place, which costs less than making it anew.
            path, is_now = os.path.join(self.top, name), found[name]
            mode, content = self._was.get(name, (0, b""))
            if stat.S_ISREG(mode) and is_now.st_mode == mode and is_now.st_nlink == 1 and mode & stat.S_IWUSR:
                _rewrite(path, content)
            elif not stat.S_ISDIR(is_now.st_mode):
                os.unlink(path)
            elif name not in self._was or not stat.S_ISDIR(self._was[name][0]):
                os.rmdir(path)
        for name in sorted(self._was):
            self._put(os.path.join(self.top, name), *self._was[name])

    def _put(self, path: str, mode: int, content: bytes) -> None:
        if stat.S_ISLNK(mode):
            if not os.path.islink(path):
                os.symlink(os.fsdecode(content), path)
            return
        if stat.S_ISDIR(mode):
            if not os.path.isdir(path):
                os.mkdir(path)
        elif not os.path.exists(path):
            with open(path, "xb") as file:
                file.write(content)
        if os.lstat(path).st_mode != mode:
            os.chmod(path, stat.S_IMODE(mode))


def _rewrite(path: str, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.pwrite(handle, content, 0)
        os.truncate(handle, len(content))  # after the write: ext4, for one, flushes to disk a file emptied before it
    finally:
        os.close(handle)


def _walk(top: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield all that is in a folder by relative name: itself first, as "", and each folder before its content."""
    info = os.lstat(top)
    if not stat.S_ISDIR(info.st_mode):
        raise NotADirectoryError(top)
    yield "", info
    waiting = [""]
    while waiting:
        inner = waiting.pop()
        with os.scandir(os.path.join(top, inner)) as entries:
            for entry in entries:
                name = os.path.join(inner, entry.name)
                yield name, entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(name)


def _content(path: str, info: os.stat_result) -> bytes:
    if stat.S_ISREG(info.st_mode):
        with open(path, "rb", buffering=0) as file:
            return file.read()
    return os.fsencode(os.readlink(path)) if stat.S_ISLNK(info.st_mode) else b""
