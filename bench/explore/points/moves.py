"""Accesses that move memory piece by piece: other lanes can come between the first byte and the last.

Such an access is two steps, at its beginning and at its end. Whatever other lanes do in between is a step that the
search places there, if it depends on the two. Then it is known that they meet, and what they see is not: that depends
on how C code and the processor move the bytes. So it is named, and the verdict is unknown. Where nothing comes between
in any schedule, the two are as good as one.
"""

from __future__ import annotations

from bench.explore.points.uncontrolled import note
from bench.explore.runtime import layout as at
from bench.explore.runtime.packing import op_of

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from bench.explore.runtime.lane import Runtime

MOST_STEPS = 8
"""Items of a slice up to which each is a step of its own, so that what others see in between is known."""

_TORN = "shared memory that is moved piece by piece, while another process uses it"


def move(runtime: Runtime, packed: int, frame: FrameType, peek: Callable[[], bytes], low: int, high: int) -> None:
    """Pass the two points of a move, and note if another lane comes between and uses the same memory.

    Args:
        runtime: of this lane.
        packed: the step, on the object or a part of it.
        frame: as of `Runtime.arrive`.
        peek: returns the bytes that are moved, as they are now.
        low: the first byte of the object that is moved.
        high: the one after the last.
    """
    numbers = runtime.numbers
    runtime.arrive(packed, 0, frame)
    before, begun = peek(), numbers[at.STEPS]
    runtime.forget_read(packed, frame)  # the second is no sign of a loop
    runtime.arrive(packed, 0, frame)
    ended = numbers[at.STEPS] - 1
    if ended > begun and (peek() != before or _is_used(runtime, packed, begun, ended, low, high)):
        note(_TORN)


def _is_used(runtime: Runtime, packed: int, begun: int, ended: int, low: int, high: int) -> bool:
    """Return whether a step between two others is on a part that is moved, and depends on that.

    Steps on all of the object are not looked at. Where they are moves that read, they find out themselves: the search
    also has this one end between their two steps, and the bytes have changed then. Those that write have changed them.
    """
    mine = op_of(packed, 0)
    for word in runtime.numbers[at.LOG + 2 * begun : at.LOG + 2 * ended : 2].tolist():
        other = op_of(word, 0)
        if other.object == mine.object and low <= other.part < high and "write" in (mine.kind, other.kind):
            return True
    return False
