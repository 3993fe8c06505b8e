"""What the processes of actors, which do not end with a schedule, do in its place: close what was left open.

What was open when a schedule began stays open; where an actor closes that, the next schedule has other processes.
"""

from __future__ import annotations

import contextlib
import os

from bench.explore.points import filelocks

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from typing import Any

_close = os.close

own: set[int] = set()
"""Descriptors that the user's code has opened in this schedule, by number."""


def spoil(runtime: Any) -> None:
    """Note that this process has closed what it had when the schedule began: in the next one it would be missing."""
    runtime.board.lane(runtime.lane).spoiled = 1


def let_go(runtime: Any) -> None:
    """Close what the user's code has opened and left open, as the end of its process would, and so unlock it."""
    if not own:
        return
    for descriptor in own:
        with contextlib.suppress(OSError):
            _close(descriptor)
    own.clear()
    filelocks.forget()
    runtime.dirty(None)
