"""The open descriptors of this process, as `/proc` shows them."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # as type checkers know it: each exploration of a program imports this

if TYPE_CHECKING:
    from typing import Any


def open_descriptors() -> dict[int, str]:
    """Return each open descriptor with its target; nothing where there is no `/proc`.

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


def own_of_multiprocessing(now: dict[int, str]) -> set[tuple[int, str]]:
    """Return the descriptors that `multiprocessing` holds open on purpose, among those that are open now.

    They belong to the resource tracker, the forkserver, the heap and children that still run.
    """
    import multiprocessing
    from multiprocessing import resource_tracker

    numbers: set[int | None] = {getattr(resource_tracker._resource_tracker, "_fd", None)}
    if server := sys.modules.get("multiprocessing.forkserver"):
        numbers.add(getattr(server._forkserver, "_forkserver_alive_fd", None))
    if heap := sys.modules.get("multiprocessing.heap"):
        numbers |= {getattr(arena, "fd", None) for arena in heap.BufferWrapper._heap._arenas}
    numbers |= {number for child in multiprocessing.active_children() for number in _child_descriptors(child)}
    # mmap holds a duplicate of each arena's descriptor: compared by target, not by number.
    targets = {target for number, target in now.items() if number in numbers}
    return {one for one in now.items() if one[1] in targets}


def _child_descriptors(child: Any) -> set[int]:
    closes = getattr(getattr(child._popen, "finalizer", None), "_args", None) or ()
    return {child.sentinel, *(number for number in closes if isinstance(number, int))}
