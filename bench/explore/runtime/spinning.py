"""Whether a lane that reads the same again is in a loop that only a step of another lane can end.

A mistake in one direction is harmless and in the other is not. A waiting loop that is not recognized merely runs into
the limit of steps. A loop that would end by itself but is taken for a waiting one leaves out interleavings. So a loop
is taken for one only where that is proven, by a turn of it that is watched.

The argument: a turn goes from the head of a `while` loop to the same head in the same frame, without leaving the loop.
If nothing shared has changed meanwhile, and all that the code of the loop can reach and change is equal at both
(`reachable`), the next turn is the same one, and so is each that follows. What is left of the time before is on the
frame's stack, below what the loop has there, and no instruction within the loop touches it.

A turn is watched by `sys.settrace`: instructions of the frame of the loop, and calls of all others. Where another
tracer is at work, or instructions are not told (PyPy), nothing is proven.
"""

from __future__ import annotations

import sys

from bench.explore.runtime import layout as at
from bench.explore.runtime.reachable import OWN, Loop, Reach, is_look, layout

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

_MOST_TURNS = 4
"""Turns of a loop that are watched after a change; one that only waits is like the one before by then."""


class _Watched:
    """A loop at which a frame is, and what it went on from when it was at its head last."""

    __slots__ = ("before", "frame", "loop", "turns")

    def __init__(self, frame: FrameType, loop: Loop) -> None:
        self.frame, self.loop = frame, loop
        self.before: Reach | None = None
        self.turns = 0


class Spinning:
    """Watches the loops of a lane that reads the same again.

    Args:
        numbers: of the board.
    """

    def __init__(self, numbers: memoryview) -> None:
        self._numbers = numbers
        self._proven: object = None
        self._tried: set[tuple[int, int]] = set()
        self._since: object = None
        self._watched: list[_Watched] = []

    def reset(self) -> None:
        """Forget what belongs to the schedule before."""
        self._stop()
        self._proven = self._since = None

    def waits(self, frame: FrameType) -> bool:
        """Return whether the lane only waits; if that is not known, watch the loops that the frame is in from here on.

        Args:
            frame: of a read that is the same as one before, since which nothing has changed.
        """
        now = self._now()
        if self._proven == now:
            return True
        if self._since != now:
            self._stop()
            self._since = now
            self._tried.clear()
        if not self._watched and sys.gettrace() is not None:
            return False
        for around, loop in _loops(frame):  # also while an outer one is watched, which a turn may never come back to
            if (key := (id(around), loop.start)) not in self._tried:
                self._tried.add(key)
                self._watched.append(_Watched(around, loop))
                around.f_trace, around.f_trace_opcodes = self._trace, True
        if self._watched:
            sys.settrace(self._called)
            if sys.version_info >= (3, 13):
                # Else no instruction is told of code of which a tool has switched off a line, as the audit's does.
                sys.monitoring.restart_events()
        return False

    def _now(self) -> object:
        """Return what is another one once anything has changed, or time has passed."""
        return (self._numbers[at.CHANGED], self._numbers[at.CLOCK])

    def _stop(self) -> None:
        if self._watched:
            sys.settrace(None)
            for one in self._watched:
                one.frame.f_trace, one.frame.f_trace_opcodes = None, False
            self._watched = []

    def _drop(self, one: _Watched) -> None:
        """Watch a loop no longer: it was left, or nothing can be known of it."""
        if len(self._watched) == 1:
            self._stop()
            return
        self._watched.remove(one)

    def _called(self, frame: FrameType, event: str, argument: Any) -> None:  # noqa: ARG002  # as it is called
        """Drop the loops that may not call what is called here: code that was not gone through."""
        if self._since != self._now():
            self._stop()
        code = frame.f_code
        if code.co_filename.startswith(OWN):
            return
        for one in self._watched[:]:
            if one.before is not None and id(code) not in one.before.codes and not _is_inside(frame, one.frame):
                self._drop(one)

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:  # noqa: ARG002  # as it is called
        """See where the frame of a loop is."""
        if event in ("opcode", "return"):
            if self._since != self._now():
                self._stop()
            for one in self._watched[:]:
                if one.frame is frame:
                    position, loop = frame.f_lasti, one.loop
                    if event == "return" or not loop.start <= position <= loop.end:
                        self._drop(one)
                    elif position == loop.start:
                        self._arrive(one)
        return self._trace if any(one.frame is frame for one in self._watched) else None

    def _arrive(self, one: _Watched) -> None:
        """Compare what a loop goes on from with what it went on from a turn ago."""
        now, before = Reach(one.frame, one.loop), one.before
        one.turns += 1
        if not now.known or one.turns > _MOST_TURNS:
            self._drop(one)
        elif before is not None and before.values == now.values:
            self._proven = self._since
            self._stop()
        else:
            one.before = now


def _loops(frame: FrameType) -> list[tuple[FrameType, Loop]]:
    """Return the loops that the user's code at a frame is in, up to the code of the bench that has called it."""
    found: list[tuple[FrameType, Loop]] = []
    users, current = False, frame
    while True:
        if current.f_code.co_filename.startswith(OWN):
            if users:
                return found
        else:
            users = True
            known = layout(current.f_code)
            found += [(current, loop) for loop in known.around(current.f_lasti)]
        if current.f_back is None:
            return found
        current = current.f_back


def _is_inside(frame: FrameType, loop: FrameType) -> bool:
    """Return whether a frame was called by one of the bench, or of a function that only looks, inside the loop's."""
    current = frame
    while current is not loop:
        if current.f_code.co_filename.startswith(OWN) or is_look(current.f_code):
            return True
        if current.f_back is None:
            return False
        current = current.f_back
    return False
