"""What this process has open, as `/proc` shows it."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # as type checkers know it: each exploration of a program imports this

if TYPE_CHECKING:
    from typing import Any


def open_descriptors() -> dict[int, str]:
    """Give each open descriptor with what it leads to; nothing where there is no `/proc`.

    Shared libraries are left out: libffi keeps itself open, for its trampolines.
    """
    try:
        numbers = os.listdir("/proc/self/fd")
    except OSError:
        return {}
    found = {}
    for number in numbers:
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:  # the one that listdir itself had open
            continue
        if ".so." not in target and not target.endswith(".so"):
            found[int(number)] = target
    return found


def kept(now: dict[int, str]) -> set[tuple[int, str]]:
    """Give what `multiprocessing` itself keeps open on purpose: tracker, forkserver, heap, children still running."""
    import multiprocessing
    from multiprocessing import resource_tracker

    numbers: set[int | None] = {getattr(resource_tracker._resource_tracker, "_fd", None)}
    if server := sys.modules.get("multiprocessing.forkserver"):
        numbers.add(getattr(server._forkserver, "_forkserver_alive_fd", None))
    if heap := sys.modules.get("multiprocessing.heap"):
        numbers |= {getattr(arena, "fd", None) for arena in heap.BufferWrapper._heap._arenas}
    numbers |= {number for child in multiprocessing.active_children() for number in _of_child(child)}
    # mmap holds a duplicate of each arena's descriptor: compared by what they lead to, not by number.
    targets = {target for number, target in now.items() if number in numbers}
    return {one for one in now.items() if one[1] in targets}


def _of_child(child: Any) -> set[int]:
    closes = getattr(getattr(child._popen, "finalizer", None), "_args", None) or ()
    return {child.sentinel, *(number for number in closes if isinstance(number, int))}
