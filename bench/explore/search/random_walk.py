"""A walk at random: at each step one of those that can run, each alike."""

from __future__ import annotations

import random

from bench.explore.model import Plan

TYPE_CHECKING = False  # as type checkers know it: the exploring process imports this

if TYPE_CHECKING:
    from bench.explore.model import Trace

SURE = 3
"""An outcome that none of N independent schedules had has a rate below 3/N, with 95 % confidence: rule of three."""


class Randomly:
    """Gives random schedules without end; the same for the same seed."""

    name = "random"
    complete = False

    def __init__(self, *, seed: int = 0) -> None:
        self.schedules = 0
        self._random = random.Random(seed)

    def next(self) -> Plan:
        """Give a plan with a seed of its own."""
        return Plan(then="random", seed=self._random.getrandbits(32))

    def learn(self, trace: Trace) -> None:
        """Count a schedule that ended."""
        self.schedules += trace.end not in {"diverged", "died", "uncontrolled"}

    def claim(self) -> str:
        """State how many there were, and the rate of what was not seen."""
        number = self.schedules
        walks = f"{number:,} random schedule{'s' * (number != 1)}"
        return f"{walks}; what was not seen has a rate below {SURE / number:.2g} (95 %)" if number > SURE else walks
