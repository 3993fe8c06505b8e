"""The objects that paths and descriptors of files stand for: a name in a folder is one."""

from __future__ import annotations

import os
import re
import stat
import tempfile

from bench.explore.model import ANYTHING

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from typing import Any

    from bench.explore.runtime.lane import Runtime

_lstat, _fstat, _readlink, _realpath = os.lstat, os.fstat, os.readlink, os.path.realpath

_RANDOM_NAME = re.compile(r"^(tmp|.*[-_.])[a-z0-9_]{8}$")
"""Names from `tempfile`. They differ each time, while the same step has to have the same object in each schedule."""

_TEMPORARY = tempfile.gettempdir()
"""Asked for at import: the first call tries folders out, which would be steps."""

_folders: dict[str, str] = {}
"""Real paths of folders, by the paths under which they were named."""


def object_at(runtime: Runtime, path: Any, dir_fd: int | None = None, *, follow: bool = False) -> int:
    """Return the object that a path names; `ANYTHING` where it is a link that is followed.

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
        where = _real_folder(folder)
        if follow and stat.S_ISLNK(_mode(os.path.join(where, name))):
            return ANYTHING
    return _object(runtime, where, name)


def _mode(path: str) -> int:
    try:
        return _lstat(path).st_mode
    except (OSError, ValueError):
        return 0


def _real_folder(folder: str) -> str:
    named = folder if os.path.isabs(folder) else os.path.join(os.getcwd(), folder)
    found = _folders.get(named)
    if found is None:
        found = _folders[named] = _realpath(named)
    return found


def _object(runtime: Runtime, folder: str, name: str) -> int:
    place = os.path.join(_without_random_parts(folder), _RANDOM_NAME.sub(r"\1*", name) if name[:3] == "tmp" else name)
    number: int = runtime.object(f"file:{place}", _label(place))
    return number


def _label(place: str) -> str:
    for root in (os.getcwd(), _without_random_parts(_TEMPORARY)):
        if place.startswith(root + os.sep):
            return place[len(root) + 1 :]
    return place


def _without_random_parts(folder: str) -> str:
    root = _TEMPORARY + os.sep
    if not folder.startswith(root):
        return folder
    return root + os.sep.join(_RANDOM_NAME.sub(r"\1*", name) for name in folder[len(root) :].split(os.sep))


def object_of(runtime: Runtime, descriptor: int) -> int:
    """Return the object of an open file: the name that it has now; `ANYTHING` if it has several."""
    try:
        path = _readlink(f"/proc/self/fd/{descriptor}")
        links = _fstat(descriptor).st_nlink
    except OSError:
        return ANYTHING
    if links > 1:
        return ANYTHING
    return _object(runtime, *os.path.split(path if links else path.removesuffix(" (deleted)")))


def clear_folders() -> None:
    """Forget where folders really are: a link was made."""
    _folders.clear()


def lock_object(runtime: Runtime, descriptor: int) -> int:
    """Return the object of the locks on an open file."""
    folder, name = os.path.split(_readlink(f"/proc/self/fd/{descriptor}").removesuffix(" (deleted)"))
    number: int = runtime.object(f"lock:{os.path.join(_without_random_parts(folder), name)}", f"the lock on {name}")
    return number
