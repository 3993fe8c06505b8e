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

    They belong to the resource tracker, the forkserver, the heap and children that still run. So they do in copies of
    it, which the packages `multiprocess`, `loky` and `billiard` are in part.
    """
    import multiprocessing

    numbers: set[int | None] = set()
    for name, module in list(sys.modules.items()):
        match name.rpartition(".")[2]:
            case "resource_tracker":
                numbers.add(getattr(getattr(module, "_resource_tracker", None), "_fd", None))
            case "forkserver":
                numbers.add(getattr(getattr(module, "_forkserver", None), "_forkserver_alive_fd", None))
            case "heap":
                heap = getattr(getattr(module, "BufferWrapper", None), "_heap", None)
                numbers |= {getattr(arena, "fd", None) for arena in getattr(heap, "_arenas", ())}
    numbers |= {number for child in multiprocessing.active_children() for number in _child_descriptors(child)}
    # mmap holds a duplicate of each arena's descriptor: compared by target, not by number.
    targets = {target for number, target in now.items() if number in numbers}
    return {one for one in now.items() if one[1] in targets}


def handles_of_ending_feeders() -> set[int]:
    """Return the descriptors that feeder threads of queues are about to close, as their queues are closed or gone.

    They close them once they have written what is left. To be called before the open descriptors are listed.
    """
    if (queues := sys.modules.get("multiprocessing.queues")) is None:
        return set()
    import threading
    from multiprocessing import util

    finalizers: Any = list(util._finalizer_registry.values())  # type: ignore[attr-defined]  # private; tests hold it on each Python
    in_use = {id(one._args[0]) for one in finalizers if one._callback is queues.Queue._finalize_close}
    feeders = [one for one in threading.enumerate() if one.name == "QueueFeederThread"]
    arguments: list[Any] = [getattr(one, "_args", ()) for one in feeders]
    ending = [one for one in arguments if len(one) > _CLOSES.stop and id(one[0]) not in in_use]
    handles = {getattr(close.__self__, "_handle", None) for one in ending for close in one[_CLOSES]}
    return {number for number in handles if number is not None}


_CLOSES = slice(4, 6)
"""Where a feeder thread's arguments have the methods that close its two connections."""


def _child_descriptors(child: Any) -> set[int]:
    closes = getattr(getattr(child._popen, "finalizer", None), "_args", None) or ()
    return {child.sentinel, *(number for number in closes if isinstance(number, int))}
