"""Whether steps that are taken as independent are: neighbours change places, in schedules of their own.

A reduction leaves out whatever differs in the order of independent steps alone, so its claim is as right as what it
holds for independent. Here that is compared with what happens: of each pair of kinds and objects that came next to each
other, by two lanes that both could go on, one is taken in the other order. If they are independent, all else stays as
it was: each later step, the lanes enabled at it, and the end. If not, what is held for independent is wrong, which is a
mistake of the bench and no finding about the target.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from bench.explore.model import NOTHING, OWN, READS, dependent

TYPE_CHECKING = False  # as type checkers know it: the exploring process imports this

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.explore.model import Op, Step, Trace

MOST = 16
"""Pairs that are swapped at most."""

LEAST = 3
"""Pairs that are swapped even of the smallest exploration."""

SHARE = 100
"""Schedules for each pair beyond that: two schedules for one pair are 2 %."""

_LOOKED = 32
"""Schedules that are gone through for pairs: all at first, then one in so many."""

_LONG = 400
"""Steps of a schedule above which none of its pairs is swapped."""


class Swap(NamedTuple):
    """The steps at `first` and `first + 1` of a schedule are taken as independent."""

    trace: Trace
    first: int

    @property
    def lanes(self) -> tuple[int, ...]:
        """The choices of the schedule in which the two have changed places."""
        lanes, at = self.trace.lanes, self.first
        return (*lanes[:at], lanes[at + 1], lanes[at], *lanes[at + 2 :])


class Pairs:
    """The pairs that came next to each other: of each kind of pair one, of the schedule in which it came first.

    Args:
        depends: what is taken as dependent.
    """

    def __init__(self, *, depends: Callable[[Op, Op], bool] = dependent) -> None:
        self._depends = depends
        self._found: dict[object, Swap] = {}
        self._schedules = 0

    def look(self, trace: Trace) -> None:
        """Look for pairs of new kinds in a schedule; in few of many schedules."""
        self._schedules += 1
        count = self._schedules
        if (count > _LOOKED and count % _LOOKED) or len(trace.steps) > _LONG or trace.end not in ("done", "stuck"):
            return
        if _looks_again(trace.steps):  # a lane that waits looks once more after any change, whatever that is
            return
        for index, (one, other) in enumerate(pairwise(trace.steps)):
            if self._may_swap(one, other):
                kind = (one.op.kind, one.op.object, other.op.kind, other.op.object)
                self._found.setdefault(kind, Swap(trace, index))

    def _may_swap(self, one: Step, other: Step) -> bool:
        if one.lane == other.lane or one.lane < 0 or other.lane < 0 or not one.enabled >> other.lane & 1:
            return False
        alone = one.op.kind in OWN or other.op.kind in OWN or NOTHING in (one.op.object, other.op.object)
        return not alone and not self._depends(one.op, other.op)

    def chosen(self) -> list[Swap]:
        """Return the pairs to be swapped, by the schedule that they are of: so many as are in proportion."""
        swaps = list(self._found.values())[: min(MOST, LEAST + self._schedules // SHARE)]
        return sorted(swaps, key=lambda swap: swap.trace.lanes)


def difference(swap: Swap, trace: Trace) -> str:
    """Return how a schedule differs from the one of which two steps have changed places in it; empty if not at all."""
    before, at = swap.trace, swap.first
    if trace.end != before.end or trace.outcome != before.outcome:
        return f"it gives {trace.outcome or trace.end!r}, and gave {before.outcome or before.end!r}"
    steps = list(trace.steps)
    steps[at : at + 2] = steps[at : at + 2][::-1]
    old, new = ([(step.lane, step.op) for step in each] for each in (before.steps, steps))
    if old != new:
        return "its lanes do other things"
    later = ([step.enabled for step in each[at + 2 :]] for each in (before.steps, trace.steps))
    if next(later) != next(later) or trace.pending != before.pending:
        return "other lanes can go on"
    return ""


def _looks_again(steps: Sequence[Step]) -> bool:
    seen = set()
    for step in steps:
        if step.op.kind in READS or step.op.kind == "try":
            if (step.lane, step.op) in seen:
                return True
            seen.add((step.lane, step.op))
    return False
