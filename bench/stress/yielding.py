"""Where actors take turns on a CPU: an actor made to give way at chance operations in the middle of a sample.

Left to itself the kernel preempts an actor every few milliseconds, which is once in ten thousand samples. Traced by its
operations, it costs some 0.2 us for each and can give way between any two, which is why only some strides are so.
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


class Splitter:
    """Traces this thread from `begin` to `end`, and gives way at operations that the seed chooses.

    From Python 3.12 on the operations of a function are heard of from its second call on.
    A trace function that is there already, such as a debugger's or that of a coverage tool, is left alone.
    """

    def __init__(self, seed: int, me: int) -> None:
        self._chance = random.Random(f"{seed} {me}").random
        self._gap = self._left = 0
        self._mine = self._enter  # a method is another object each time that it is asked for

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
            return None
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
