"""A random walk: at each step one of the lanes that can run, each with the same probability."""

from __future__ import annotations

import random

from bench.explore.model import Plan

TYPE_CHECKING = False  # as type checkers know it: the exploring process imports this

if TYPE_CHECKING:
    from bench.explore.model import Trace

SURE = 3
"""An outcome that none of N independent schedules gave has a rate below 3/N at 95 % confidence: the rule of three.

Hanley and Lippman-Hand, If Nothing Goes Wrong, Is Everything All Right?, JAMA 1983. The walks are independent: each has
a seed of its own.
"""


class RandomWalk:
    """Plans random schedules without end; the same ones for the same seed."""

    name = "random"
    complete = reduces = False

    def __init__(self, *, seed: int = 0) -> None:
        self.schedules = 0
        self._random = random.Random(seed)

    def next(self) -> Plan:
        """Return a plan with a seed of its own."""
        return Plan(then="random", seed=self._random.getrandbits(32))

    def learn(self, trace: Trace) -> None:
        """Count a schedule that has ended."""
        self.schedules += trace.end not in {"diverged", "died", "uncontrolled"}

    def claim(self) -> str:
        """State how many schedules there were, and the bound on the rate of an outcome that was not seen."""
        number = self.schedules
        walks = f"{number:,} random schedule{'s' * (number != 1)}"
        return f"{walks}; what was not seen has a rate below {SURE / number:.2g} (95 %)" if number > SURE else walks
