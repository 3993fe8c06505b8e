"""Depth-first search over all choices, if wanted with a bound on preemptions.

Musuvathi and Qadeer, Iterative Context Bounding for Systematic Testing of Multithreaded Programs, PLDI 2007: most bugs
need few preemptions, and with at most c of them the number of schedules grows with the number of steps as a polynomial
of degree c, not exponentially. A preemption is a switch away from a lane that could have gone on; a switch away from
one that waits or has ended is none, so that a schedule of any length can be run to its end within the bound.
"""

from __future__ import annotations

from bench.explore.model import Plan, killing
from bench.explore.search.loops import loops_from

TYPE_CHECKING = False  # as type checkers know it: the exploring process imports this

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.explore.model import Step, Trace


class DepthFirst:
    """Plans every choice at every step; only the new steps of a trace are worked on.

    Args:
        preemptions: the most switches away from a lane that could have gone on; `None` for any number.
        kills: the most lanes to kill, each before any of the steps of a schedule.
    """

    name = "dfs"
    reduces = False

    def __init__(self, *, preemptions: int | None = None, kills: int = 0) -> None:
        self.bound = preemptions
        self.kills = kills
        self.schedules = 0
        self.cut = False  # the bound left something out
        self._path: list[int] = []  # the choices of the last plan, then of the last schedule
        # The choices left, deepest last, which all lie on `_path`: index of the step, lanes and kills (bits) that were
        # not chosen there yet, and the preemptions and kills of a plan that ends in one of these lanes.
        self._open: list[list[int]] = []
        self._spent = 0  # preemptions in the last plan
        self._killed = 0  # kills in it
        self._started = False
        self._waiting = False  # for the trace of the last plan
        self._trouble = 0
        self._loops = 0

    def next(self) -> Plan | None:
        """Return the plan that differs from the last schedule in its last open choice."""
        if not self._started:
            self._started = self._waiting = True
            return Plan()
        if not self._open:
            return None
        self._waiting = True
        last = self._open[-1]
        index, lanes, kills, self._spent, self._killed = last
        if lanes:
            bit = lanes & -lanes
            last[1] ^= bit
            choice = bit.bit_length() - 1
        else:
            bit = kills & -kills
            last[2] ^= bit
            choice = killing(bit.bit_length() - 1)
            self._killed += 1
        if not last[1] and not last[2]:
            self._open.pop()
        del self._path[index:]
        self._path.append(choice)
        return Plan(lanes=tuple(self._path))

    def learn(self, trace: Trace) -> None:
        """Open the choices that the steps behind the plan leave."""
        steps, planned = trace.steps, len(self._path)
        self._waiting = False
        if trace.end == "diverged" or [step.lane for step in steps[:planned]] != self._path:
            self._trouble += 1
            return
        self.schedules += 1
        self._trouble += trace.end in {"died", "uncontrolled"}
        until = loops_from(trace)
        self._loops += until < len(steps)
        alive = _alive(trace) if self._killed < self.kills else ()
        self._branch(steps, planned, until, alive)
        self._path += [step.lane for step in steps[planned:]]

    def _branch(self, steps: Sequence[Step], planned: int, until: int, alive: Sequence[int]) -> None:
        """Open the choices left at each step from `planned` to `until`.

        Where the lane that ran before could have gone on, that one is free, and each other lane is one preemption
        more: these are two entries, with two counts.
        """
        spent, killed, bound = self._spent, self._killed, self.bound
        before = next((1 << lane for lane in reversed(self._path) if lane >= 0), 0)
        for index in range(planned, until):
            lane, _, enabled = steps[index]
            bit = 1 << lane
            others = enabled & ~bit
            kills = alive[index] if alive else 0
            if not enabled & before:  # the lane that ran last cannot go on, so no switch is a preemption
                if others or kills:
                    self._open.append([index, others, kills, spent, killed])
            else:
                if kills or others & before:
                    self._open.append([index, others & before, kills, spent, killed])
                others &= ~before
                if bound is not None and spent >= bound:
                    self.cut = self.cut or others != 0
                elif others:
                    self._open.append([index, others, 0, spent + 1, killed])
                spent += bit != before
            before = bit

    @property
    def complete(self) -> bool:
        """Whether all interleavings within the bound were run, to their ends."""
        left = self._open or self._waiting or self._trouble or self._loops
        return self._started and not left

    def claim(self) -> str:
        """State how many interleavings there are, or how many were run."""
        kills = f" and {self.kills} kill{'s' * (self.kills > 1)}"
        bound = f" with at most {self.bound} preemption{'s' * (self.bound != 1)}" if self.cut else ""
        if self.kills:
            bound = bound + kills if bound else f" with at most{kills[4:]}"
        if self.complete:
            number = f"all {self.schedules:,} interleavings" if self.schedules > 1 else "the only interleaving"
            return number + bound
        if self.bound is not None and not self.cut:
            bound = f" with at most {self.bound} preemption{'s' * (self.bound != 1)}" + (kills if self.kills else "")
        found = f"{self.schedules:,} interleaving{'s' * (self.schedules != 1)}{bound}, not all"
        if self._loops:
            found += f"; {self._loops:,} of them reached the limit of steps"
        if self._trouble:
            found += f"; {self._trouble:,} schedules could not be followed to their ends"
        return found


def _alive(trace: Trace) -> list[int]:
    """Return, for each step, the lanes (bits) that were not through before it, and so could be killed there.

    A lane is not through where it is enabled later on, or still pending at the end.
    """
    alive = sum(1 << lane for lane in trace.pending)
    masks = []
    for step in reversed(trace.steps):
        alive |= step.enabled
        masks.append(alive)
    return masks[::-1]
