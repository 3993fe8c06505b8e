"""The end of a schedule in an actor's process, which goes on to the next: what the actor left open is closed.

What was open when the schedule began stays open. Where an actor closes that, or moves its offset, or leaves it locked,
the process is no longer what it was, and the next schedule has other processes.
"""

from __future__ import annotations

import contextlib
import os

from bench.explore.points import descriptors, filelocks

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from bench.explore.runtime.lane import Runtime

_close = os.close


def close_opened(runtime: Runtime) -> None:
    """Close what the user's code has left open, as the end of its process would; that releases its locks on files."""
    opened = descriptors.opened
    if filelocks.are_left(opened):
        descriptors.mark_spoiled(runtime)
    filelocks.clear()
    descriptors.described.clear()
    if not opened:
        return
    for descriptor in opened:
        with contextlib.suppress(OSError):
            _close(descriptor)
    opened.clear()
    runtime.mark_dirty(None)
