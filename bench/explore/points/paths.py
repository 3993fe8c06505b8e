"""The objects that paths and descriptors of files stand for: a name in a folder is one.

What a path stands for can change while a lane is about to use it. So the steps that make or remove a folder or a link,
or give a file another name, depend on all others on files (`model.OF_NAMES`); and once such a step was taken, in the
same schedule, so do those on the names that it concerned. The same holds for a file with several links.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from typing import NamedTuple

from bench.explore.model import ANYTHING
from bench.explore.runtime import layout as at

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from typing import Any

    from bench.explore.runtime.lane import Runtime

_lstat, _fstat, _readlink, _realpath, _getcwd = os.lstat, os.fstat, os.readlink, os.path.realpath, os.getcwd

_RANDOM_NAME = re.compile(r"^(tmp|.*[-_.])[a-z0-9_]{8}$")
"""Names from `tempfile`. They differ each time, while the same step has to have the same object in each schedule."""

_NAMELESS = re.compile(r"^#\d+$")
"""What the system shows as the name of a file that was made without one (open(2): O_TMPFILE), which is its inode."""

_TEMPORARY = tempfile.gettempdir()
"""Asked for at import: the first call tries folders out, which would be steps."""

_OF_PROCESSES = "/proc/"

_FOLDERS, _LINKS = "folders that were moved", "links that were made or removed"
"""Objects whose counters say, to all lanes, how many there were in this schedule."""


class Named(NamedTuple):
    """An object, and whether the file is reached by other names as well, or the name is to stand for another file."""

    number: int
    several: bool = False


class _Folders:
    """Real paths of folders, by the paths under which they were named, as long as no link has changed."""

    real: dict[str, str] = {}  # noqa: RUF012  # there is one for the process
    known_at: tuple[int, int] = (-1, -1)


def object_at(runtime: Runtime, path: Any, dir_fd: int | None = None, *, follow: bool = False) -> Named:
    """Return the object that a path names.

    Args:
        runtime: of the lane.
        path: a path, or a descriptor.
        dir_fd: the folder that a relative path begins in; `None` for the working directory.
        follow: whether the operation goes through a link of this name.
    """
    if isinstance(path, int):
        return object_of(runtime, path)
    text = os.fsdecode(path)
    if dir_fd is not None and not os.path.isabs(text):
        text = os.path.join(_readlink(f"/proc/self/fd/{dir_fd}"), text)
    folder, name = os.path.split(text.rstrip(os.sep) or os.sep)
    with runtime.raw():
        if name in ("", os.curdir, os.pardir):
            folder, name = os.path.split(_realpath(text))
        where = _real_folder(runtime, folder)
        status = _status(os.path.join(where, name))
    if status is None:
        return _named(runtime, where, name)
    link = stat.S_ISLNK(status.st_mode)
    return _named(runtime, where, name, several=(link and follow) or (status.st_nlink > 1 and is_file(status)))


def is_file(status: os.stat_result) -> bool:
    """Return whether it is something else than a folder, whose links are the folders in it."""
    return not stat.S_ISDIR(status.st_mode)


def status_at(runtime: Runtime, path: Any, dir_fd: int | None = None) -> os.stat_result | None:
    """Return the status of what a path names, itself if it is a link; `None` if there is nothing."""
    with runtime.raw():
        try:
            return _fstat(path) if isinstance(path, int) else _lstat(path, dir_fd=dir_fd)
        except (OSError, ValueError):
            return None


def _status(path: str) -> os.stat_result | None:
    try:
        return _lstat(path)
    except (OSError, ValueError):
        return None


def _real_folder(runtime: Runtime, folder: str) -> str:
    known_at = runtime.schedule, runtime.counter(runtime.object(_LINKS, _LINKS))
    if known_at != _Folders.known_at:
        _Folders.known_at = known_at
        _Folders.real.clear()
    named = folder if os.path.isabs(folder) else os.path.join(_working_folder(), folder)
    found = _Folders.real.get(named)
    if found is None:
        found = _Folders.real[named] = _realpath(named)
    return found


def _working_folder() -> str:
    try:
        return _getcwd()
    except OSError:  # it was removed
        return os.curdir


def _named(runtime: Runtime, folder: str, name: str, *, several: bool = False) -> Named:
    if folder.startswith(_OF_PROCESSES):
        folder = _OF_PROCESSES + _without_pids(runtime, folder[len(_OF_PROCESSES) :])
    place = _place(folder, name)
    number: int = runtime.object(f"file:{place}", _label(place))
    moved = runtime.counter(number) or runtime.counter(runtime.object(_FOLDERS, _FOLDERS))
    return Named(number, several or bool(moved))


def _without_pids(runtime: Runtime, rest: str) -> str:
    """Return what follows `/proc/`, with the names of lanes in the place of the numbers of their processes."""
    parts = rest.split(os.sep)
    if parts[0].isdecimal():
        pids = runtime.numbers[at.PIDS : at.PIDS + at.MOST_LANES].tolist()
        known = {str(pid): f"({runtime.board.name(lane)})" for lane, pid in enumerate(pids) if pid}
        parts = [known.get(part, part) for part in parts]
    return os.sep.join(parts)


def _place(folder: str, name: str) -> str:
    if _NAMELESS.match(name):
        name = "#*"
    return os.path.join(_without_random_parts(folder), _RANDOM_NAME.sub(r"\1*", name) if name[:3] == "tmp" else name)


def _label(place: str) -> str:
    for root in (_working_folder(), _without_random_parts(_TEMPORARY)):
        if place.startswith(root + os.sep):
            return place[len(root) + 1 :]
    return place


def _without_random_parts(folder: str) -> str:
    root = _TEMPORARY + os.sep
    if not folder.startswith(root):
        return folder
    return root + os.sep.join(_RANDOM_NAME.sub(r"\1*", name) for name in folder[len(root) :].split(os.sep))


def object_of(runtime: Runtime, descriptor: int) -> Named:
    """Return the object of an open file: the name that it has now."""
    try:
        with runtime.raw():
            path, several = _path_of(descriptor)
    except OSError:
        return Named(ANYTHING)
    return _named(runtime, *os.path.split(path), several=several)


def _path_of(descriptor: int) -> tuple[str, bool]:
    """Return the path of an open file, without the system's remark that it was deleted; and whether it has several."""
    path, status = _readlink(f"/proc/self/fd/{descriptor}"), _fstat(descriptor)
    return (path if status.st_nlink else path.removesuffix(" (deleted)")), status.st_nlink > 1 and is_file(status)


def is_nameless(descriptor: int) -> bool:
    """Return whether an open file was made without a name, so that only who has the descriptor can reach it."""
    try:
        path, _ = _path_of(descriptor)
    except OSError:
        return False
    return _NAMELESS.match(os.path.basename(path)) is not None and not _fstat(descriptor).st_nlink


def note_moved(runtime: Runtime, *numbers: int, folder: bool = False, link: bool = False) -> None:
    """Note that a step has changed what names stand for.

    Args:
        runtime: of the lane.
        numbers: the objects that the names are.
        folder: whether one of them is a folder, and so the beginning of other paths.
        link: whether one of them is a symbolic link, or a folder that was moved.
    """
    for number in numbers:
        runtime.set_counter(number, 1)
    if folder:
        runtime.add_to_counter(runtime.object(_FOLDERS, _FOLDERS), 1)
    if folder or link:
        runtime.add_to_counter(runtime.object(_LINKS, _LINKS), 1)


def lock_object(runtime: Runtime, descriptor: int) -> tuple[int, int]:
    """Return the object of the locks on an open file, and the one that a lane wants which waits for such a lock."""
    try:
        with runtime.raw():
            path, several = _path_of(descriptor)
    except OSError:
        path, several = "", True
    folder, name = os.path.split(path)
    place = _place(folder, name)
    number: int = runtime.object(f"lock:{place}", f"the lock on {os.path.basename(place)}")
    if several or _named(runtime, folder, name).several:
        return ANYTHING, number
    return number, number
