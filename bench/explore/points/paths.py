"""Which objects the paths and the descriptors of files are."""

from __future__ import annotations

import os
import re
import stat
import tempfile

from bench.explore.model import ANYTHING

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from typing import Any

_lstat, _fstat, _readlink, _realpath = os.lstat, os.fstat, os.readlink, os.path.realpath

_MADE_BY_CHANCE = re.compile(r"^(tmp|.*[-_.])[a-z0-9_]{8}$")
"""Names from `tempfile`; they differ each time, and steps that are the same shall be called the same."""

_TEMPORARY = tempfile.gettempdir()
"""Asked for now: the first answer takes trying, which is no step of anybody's."""

_folders: dict[str, str] = {}
"""Real paths of folders, by the paths under which they were named."""


def named(runtime: Any, path: Any, dir_fd: int | None = None, *, follow: bool = False) -> int:
    """Give the object that a path names.

    Args:
        follow: whether what is done goes through a link that has this name.
    """
    if isinstance(path, int):
        return opened(runtime, path)
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


def _object(runtime: Any, folder: str, name: str) -> int:
    place = os.path.join(_without_chance(folder), _MADE_BY_CHANCE.sub(r"\1*", name) if name[:3] == "tmp" else name)
    number: int = runtime.object(f"file:{place}", _label(place))
    return number


def _label(place: str) -> str:
    for root in (os.getcwd(), _without_chance(_TEMPORARY)):
        if place.startswith(root + os.sep):
            return place[len(root) + 1 :]
    return place


def _without_chance(folder: str) -> str:
    root = _TEMPORARY + os.sep
    if not folder.startswith(root):
        return folder
    return root + os.sep.join(_MADE_BY_CHANCE.sub(r"\1*", name) for name in folder[len(root) :].split(os.sep))


def opened(runtime: Any, descriptor: int) -> int:
    """Give the object that an open file is: the name that it has now."""
    try:
        path = _readlink(f"/proc/self/fd/{descriptor}")
        links = _fstat(descriptor).st_nlink
    except OSError:
        return ANYTHING
    if links > 1:
        return ANYTHING
    return _object(runtime, *os.path.split(path if links else path.removesuffix(" (deleted)")))


def forget() -> None:
    """Look anew where folders really are: a link was made."""
    _folders.clear()


def lock_of(runtime: Any, descriptor: int) -> int:
    """Give the object that the locks on an open file are."""
    folder, name = os.path.split(_readlink(f"/proc/self/fd/{descriptor}").removesuffix(" (deleted)"))
    number: int = runtime.object(f"lock:{os.path.join(_without_chance(folder), name)}", f"the lock on {name}")
    return number
