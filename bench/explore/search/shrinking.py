"""Shrinking: from a schedule that gave an outcome to the one with the fewest preemptions found that gives it too.

Pure. A person follows one preemption easily and nine hardly ever, though the nine were all that a random walk needed.

Delta debugging (Zeller and Hildebrandt, Simplifying and Isolating Failure-Inducing Input, TSE 2002; Choi and Zeller,
Isolating Failure-Inducing Thread Schedules, ISSTA 2002), with changes that are smaller schedules by construction: a
subset of a schedule's steps is none, since what a lane waits for has to happen.
"""

from __future__ import annotations

import heapq
from itertools import pairwise

from bench.explore.model import Plan, preemptions

TYPE_CHECKING = False  # as type checkers know it: the exploring process imports this

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.explore.model import Step, Trace

_REPAIRS = 3
"""How many choices of a candidate may be left out because the lane cannot run there."""


class Unstable(Exception):
    """A schedule gives another outcome when it is repeated; `trace` is what it gave."""

    def __init__(self, trace: Trace) -> None:
        super().__init__(f"the schedule ended as {trace.outcome or trace.end!r} when it was repeated")
        self.trace = trace


class _Spent(Exception):
    """The budget of schedules is spent."""


def shrink(lanes: Sequence[int], outcome: str, run: Callable[[Plan], Trace], budget: int = 200) -> Trace:
    """Find a schedule with fewer kills, preemptions, switches and steps, in this order, that gives the same outcome.

    Blocks of a lane are joined for as long as that helps (`merge`). Then all schedules with fewer preemptions than are
    left are searched, those with the fewest first (Musuvathi and Qadeer, PLDI 2007), as far as the budget goes
    (`search`). At the end the plan is cut to its shortest prefix that gives the outcome (`cut`).

    Each replaces `best` only by a trace that was run, gave the outcome and weighs less: so `best` is right whenever the
    budget ends, and the weight, which is bounded below, only falls.

    Args:
        lanes: the schedule, step by step.
        outcome: the key of its outcome.
        run: runs a plan.
        budget: the most schedules to run, after the first.

    Raises:
        Unstable: if the schedule itself, when it is repeated, does not give the outcome.
    """
    shrinking = _Shrinking(outcome, run, budget)
    shrinking.begin(tuple(lanes))
    try:
        shrinking.merge()
        shrinking.search()
        shrinking.cut()
    except _Spent:
        pass
    return shrinking.best


def depth(trace: Trace) -> int:
    """Return the number of orderings that must hold for a schedule: the bug depth of PCT.

    A schedule of p preemptions comes about by p + 1 orderings; the default schedule, in which each lane in turn runs
    for as long as it can, needs none. Each kill is an ordering too.
    """
    ran = [step for step in trace.steps if step.lane >= 0]
    bent = any(step.lane != _default(before, step) for before, step in pairwise((None, *ran)) if step)
    return _kills(trace) + (preemptions(trace.steps) + 1 if bent else 0)


def _default(before: Step | None, step: Step) -> int:
    """Return the lane that runs at a step without a plan: the one before it if it can, else the lowest that can."""
    if before is not None and step.enabled >> before.lane & 1:
        return before.lane
    return (step.enabled & -step.enabled).bit_length() - 1


def preempted_before(steps: Sequence[Step]) -> list[int]:
    """Return the steps, from 0, before which a lane is preempted: it could have gone on. A kill preempts none."""
    ran = [(number, step) for number, step in enumerate(steps) if step.lane >= 0]
    return [
        number
        for (_, before), (number, step) in pairwise(ran)
        if before.lane != step.lane and step.enabled >> before.lane & 1
    ]


def _kills(trace: Trace) -> int:
    return sum(step.lane < 0 for step in trace.steps)


def _weight(trace: Trace) -> tuple[int, int, int, int]:
    switches = sum(1 for before, after in pairwise(trace.steps) if before.lane != after.lane)
    return _kills(trace), preemptions(trace.steps), switches, len(trace.steps)


class _Shrinking:
    best: Trace

    def __init__(self, outcome: str, run: Callable[[Plan], Trace], budget: int) -> None:
        self.outcome, self._run, self.left = outcome, run, budget
        self.tried: set[tuple[int, ...]] = set()

    def begin(self, lanes: tuple[int, ...]) -> None:
        trace = self._run(Plan(lanes))
        if trace.outcome != self.outcome:
            raise Unstable(trace)
        self.best = trace
        self.tried |= {lanes, trace.lanes}

    def run(self, lanes: tuple[int, ...]) -> Trace | None:
        """Run a plan, unless it was run before: then return `None`."""
        if lanes in self.tried:
            return None
        if not self.left:
            raise _Spent
        self.left -= 1
        self.tried.add(lanes)
        return self._run(Plan(lanes))

    def better(self, trace: Trace | None) -> bool:
        """Make a trace the best if it gives the outcome and weighs less than the best; return whether it does."""
        if trace is None or trace.outcome != self.outcome or _weight(trace) >= _weight(self.best):
            return False
        self.best = trace
        return True

    def merge(self) -> None:
        """Replace the best by the first candidate that is better, for as long as there is one."""
        while any(self.better(self.run_repaired(order)) for order in _candidates(self.best)):
            pass

    def run_repaired(self, lanes: tuple[int, ...]) -> Trace | None:
        """Run a candidate; where it diverges, leave out the choice that cannot be taken, `_REPAIRS` times at most.

        At another time a lane may have fewer steps to take, or have to wait.
        """
        trace = self.run(lanes)
        for _ in range(_REPAIRS):
            if trace is None or trace.end != "diverged":
                return trace
            at = len(trace.steps)
            lanes = (*lanes[:at], *lanes[at + 1 :])
            trace = self.run(lanes)
        return trace

    def search(self) -> None:
        """Search the schedules with fewer preemptions than the best has, those with the fewest first.

        The queue has prefixes by their number of preemptions. Behind its prefix a plan runs on without preemptions, so
        the trace has as many as its prefix; each other choice in it makes a longer prefix with as many, or one more.
        Taken by their number, all schedules with c preemptions are run before any with c + 1, as in iterative context
        bounding; and the first that gives the outcome has the fewest possible.
        """
        waiting: list[tuple[int, tuple[int, ...]]] = [(0, ())]
        self.tried.discard(())
        while waiting and waiting[0][0] < preemptions(self.best.steps):
            _, prefix = heapq.heappop(waiting)
            trace = self.run(prefix)
            if trace is None or self.better(trace):
                continue
            kills = [lane for lane in self.best.lanes if lane < 0]
            for other in _deviations(trace, len(prefix), kills):
                heapq.heappush(waiting, other)

    def cut(self) -> None:
        """Cut the plan to the shortest prefix behind which running on without preemptions gives the outcome.

        Only where the lane changes can a prefix end without changing the schedule: within a block it runs on by itself.
        """
        lanes = self.best.lanes
        starts = [0, *(number + 1 for number, (one, other) in enumerate(pairwise((None, *lanes))) if one != other)]
        for end in starts[:-1]:
            trace = self._again(lanes[:end])
            if trace is not None and trace.outcome == self.outcome and _weight(trace) <= _weight(self.best):
                self.best = trace
                return

    def _again(self, lanes: tuple[int, ...]) -> Trace | None:
        self.tried.discard(lanes)
        return self.run(lanes)


def _candidates(trace: Trace) -> Iterator[tuple[int, ...]]:
    """Yield lighter schedules: without a kill, or with it sooner; without a preemption; with two blocks joined.

    Two blocks of one lane are joined by moving the later one forward to the earlier, or the earlier one back to it.
    """
    lanes = trace.lanes
    for at, lane in enumerate(lanes):
        if lane < 0:
            yield (*lanes[:at], *lanes[at + 1 :])
            yield from ((*lanes[:sooner], lane) for sooner in range(1, at))
    for at in preempted_before(trace.steps):
        yield lanes[:at]
    starts = [number for number, (one, other) in enumerate(pairwise((None, *lanes))) if one != other]
    blocks = [(lanes[one], one, other) for one, other in pairwise([*starts, len(lanes)])]
    for index, (lane, start, end) in enumerate(blocks):
        later = next((block for block in blocks[index + 1 :] if block[0] == lane), None)
        if later is not None:
            between, moved = lanes[end : later[1]], lanes[later[1] : later[2]]
            yield (*lanes[:end], *moved, *between, *lanes[later[2] :])
            yield (*lanes[:start], *between, *lanes[start:end], *lanes[later[1] :])


def _deviations(trace: Trace, done: int, kills: Sequence[int]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield the prefixes that deviate from a trace after its first `done` steps, with the preemptions of each."""
    lanes = trace.lanes
    for at in range(done, len(lanes)):
        step, before = trace.steps[at], next((lane for lane in reversed(lanes[:at]) if lane >= 0), -1)
        so_far = preemptions(trace.steps[:at])
        for lane in range(step.enabled.bit_length()):
            if step.enabled >> lane & 1 and lane != step.lane:
                bends = before >= 0 and lane != before and bool(step.enabled >> before & 1)
                yield so_far + bends, (*lanes[:at], lane)
        yield from ((so_far, (*lanes[:at], kill)) for kill in kills if lanes[:at].count(kill) < kills.count(kill))
