"""Which open files other processes may have as well.

A descriptor stands for an open file description, which a child shares with its parent, and everyone with whoever sent
it: it has one offset, and one lock by `flock`. A read moves the offset, so two reads through one of them do not
commute, while those of a file that each process has opened by itself do.
"""

from __future__ import annotations

import os
from multiprocessing import reduction, util

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from bench.explore.runtime.lane import Runtime

opened: set[int] = set()
"""Descriptors that the user's code has opened in this schedule, by number, and that no object closes by itself."""

described: set[int] = set()
"""Descriptors, by number, of files that were opened in this schedule: not those of the state, nor copies of them."""

_own: set[int] = set()
"""Descriptors that this process has opened since it last handed any on, by number: no other process has the same."""


def install() -> None:
    """Patch what hands descriptors on to another process: forks, starts of processes, and sockets."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_parent=_own.clear, after_in_child=_own.clear)
    module: Any = util
    module.spawnv_passfds = _handing_on(module.spawnv_passfds)
    if hasattr(reduction, "sendfds"):
        module = reduction
        module.sendfds, module.recvfds = _handing_on(module.sendfds), _handing_on(module.recvfds)


def _handing_on(real: Callable[..., Any]) -> Callable[..., Any]:
    def called(*args: Any, **keywords: Any) -> Any:
        _own.clear()
        return real(*args, **keywords)

    return called


def note_opened(descriptor: int) -> None:
    """Note a descriptor of a file that this process has just opened."""
    _own.add(descriptor)
    described.add(descriptor)


def note_copied(descriptor: int, copy: int) -> None:
    """Note a descriptor that stands for the same open file as another one of this process."""
    for known in (_own, described):
        (known.add if descriptor in known else known.discard)(copy)
    opened.add(copy)


def note_closed(descriptor: int) -> None:
    """Note a descriptor that is about to be closed: its number may come again."""
    _own.discard(descriptor)
    described.discard(descriptor)


def is_shared(descriptor: int) -> bool:
    """Return whether another process may have the same open file: it was inherited, or handed on."""
    return descriptor not in _own


def note_moved(runtime: Runtime, descriptor: int) -> None:
    """Note that an open file or pipe was used in a way that stays: one of the state is no longer what it was."""
    if descriptor not in described:
        mark_spoiled(runtime)


def mark_spoiled(runtime: Runtime) -> None:
    """Record that this process has closed or changed something that was open when the schedule began."""
    runtime.board.lane(runtime.lane).spoiled = 1
