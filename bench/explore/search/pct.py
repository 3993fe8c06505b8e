"""Random priorities, with few changes: a bug of depth d is found with a known probability.

Burckhardt, Kothari, Musuvathi and Nagarakatte, A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs,
ASPLOS 2010: of n lanes with k steps in all, a schedule of depth d finds a bug of depth d with a probability of at least
1 / (n k^(d-1)). The depth of a bug is the number of orderings of two steps that it needs.

One of them is met by the priorities at first, with a probability of 1 / n at least, and each further one by a change of
priority at the right one of k steps: hence the bound. Schedules are independent, so N of them all miss the bug with a
probability of at most (1 - 1 / (n k^(d-1)))^N, which is what is claimed.
"""

from __future__ import annotations

import math
import random

from bench.explore.model import Plan

TYPE_CHECKING = False  # as type checkers know it: the exploring process imports this

if TYPE_CHECKING:
    from bench.explore.model import Trace

DEPTHS = (1, 2, 3)
"""The depths of bugs that are looked for, in turn: those that Burckhardt et al. report have depths 1 and 2."""

LEAST = 1e-9
"""The least probability that is claimed."""

WORTH_CLAIMING = 0.99
"""The greatest probability of having missed a bug that is claimed: above it a claim says nothing."""


class Priorities:
    """Plans schedules of depths 1, 2, 3 in turn, without end; the same ones for the same seed and the same traces.

    The first schedule runs without a change of priorities, and shows how many steps there are. Where a later one is
    longer, the number is raised, and schedules whose changes were drawn among fewer steps no longer count in the claim.
    """

    name = "pct"
    complete = reduces = False

    def __init__(self, *, lanes: int, seed: int = 0) -> None:
        self._lanes = lanes
        self._steps = 1
        self._random = random.Random(seed)
        self._depth = DEPTHS[0]
        self._given = 0
        self.schedules = 0
        self._of_depth = dict.fromkeys(DEPTHS, 0)

    def next(self) -> Plan:
        """Return a plan of the next depth: priorities by its seed, and depth - 1 steps at which they change."""
        self._depth = DEPTHS[self._given % len(DEPTHS)] if self._given else DEPTHS[0]
        self._given += 1
        changes = tuple(sorted(self._random.randint(1, self._steps) for _ in range(self._depth - 1)))
        return Plan(then="pct", seed=self._random.getrandbits(32), changes=changes)

    def learn(self, trace: Trace) -> None:
        """Count a schedule that has ended; learn how many lanes and steps there are."""
        if trace.end in {"diverged", "died", "uncontrolled"}:
            return
        self.schedules += 1
        self._of_depth[self._depth] += 1
        lanes = {step.lane for step in trace.steps}.union(trace.pending)
        self._lanes = max(self._lanes, max(lanes, default=0) + 1)
        if len(trace.steps) > self._steps:
            # Depth 1 has no changes, so its bound does not depend on the number of steps: its schedules still count.
            self._steps = len(trace.steps)
            self._of_depth = {**dict.fromkeys(DEPTHS, 0), DEPTHS[0]: self._of_depth[DEPTHS[0]]}

    def claim(self) -> str:
        """State the probability with which a bug was missed, for each depth."""
        number = f"{self.schedules:,} schedule{'s' * (self.schedules != 1)} of random priorities"
        chances = [(depth, self.missed(depth)) for depth in DEPTHS]
        missed = [f"{_above(chance)} (depth {depth})" for depth, chance in chances if chance < WORTH_CLAIMING]
        return f"{number}: a bug that exists was missed with p < {', '.join(missed)}" if missed else number

    def missed(self, depth: int) -> float:
        """Return the bound on the probability that none of the schedules of this depth showed a bug of it."""
        one = 1 / (self._lanes * self._steps ** (depth - 1))
        return float((1 - one) ** self._of_depth[depth])


def _above(probability: float) -> str:
    """Return a probability in two digits, rounded up, so that the bound stays one."""
    if probability < LEAST:
        return f"{LEAST:g}"
    digits = 1 - math.floor(math.log10(probability))
    return f"{math.ceil(probability * 10**digits) / 10**digits:.2g}"
