"""Where actors take turns on a CPU: an actor that yields at chance operations in the middle of a sample.

Left to itself the kernel preempts an actor every few milliseconds, which is once in ten thousand samples. Traced by its
operations, it costs some 0.2 us for each and can yield between any two, which is why only some strides are so.
"""

from __future__ import annotations

import os
import random
import sys
import time

TYPE_CHECKING = False  # as type checkers know it: each actor imports this

if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

MOST_OPERATIONS = 20_000
"""Operations of a sample that are traced, about 5 ms; what is longer goes on untraced, and meets its deadline."""

_WIDEST = 7
"""Between two yields an actor goes through 1 to 2 ** 7 operations, each power of two being as likely."""

_OWN = os.path.dirname(os.path.abspath(__file__))


def _sleep_briefly() -> None:
    time.sleep(0)


_give_way = getattr(os, "sched_yield", _sleep_briefly)


class Yielder:
    """Traces this thread from `begin` to `end`, and yields the CPU at operations that the seed chooses.

    From Python 3.12 on the operations of a function are traced from its second call on.
    A trace function that is there already, such as a debugger's or that of a coverage tool, is left alone.
    """

    # How far apart the operations of a race are is not known: a lost update takes a few, a scan of a list many. With
    # gaps as likely to be from 1 to 2 as from 64 to 128, each distance is hit within a constant factor of the best rate
    # for it. The gap is drawn anew at each yield, so that it never stays in step with a loop of the sample's own.
    #
    # Invariant: outside of `begin` and `end`, and after MOST_OPERATIONS, sys.gettrace() is what it was before.

    def __init__(self, seed: int, me: int) -> None:
        self._chance = random.Random(f"{seed} {me}").random
        self._gap = self._left = 0
        self._mine = self._enter  # kept: a bound method is a new object each time, and `end` compares by identity

    def begin(self) -> None:
        """Trace from here on; for each sample."""
        self._left = MOST_OPERATIONS
        if sys.gettrace() is None:
            self._gap = self._next_gap()
            sys.settrace(self._mine)

    def end(self) -> None:
        """Trace no more."""
        if sys.gettrace() is self._mine:
            sys.settrace(None)

    def _next_gap(self) -> int:
        return 1 + int(2 ** (self._chance() * _WIDEST))

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:  # noqa: ARG002  # the interpreter gives them
        if frame.f_code.co_filename.startswith(_OWN):
            return None  # a yield in the actor's own loop is between samples, and the barrier yields by itself
        frame.f_trace_lines = False
        frame.f_trace_opcodes = True
        return self._at

    def _at(self, frame: FrameType, event: str, argument: Any) -> Any:  # noqa: ARG002  # as above
        self._left -= 1
        self._gap -= 1
        if self._gap <= 0:
            self._gap = self._next_gap()
            _give_way()
        if self._left <= 0:
            self.end()
        return self._at
