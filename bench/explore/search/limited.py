"""A number of schedules as the limit of any strategy."""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it: the exploring process imports this

if TYPE_CHECKING:
    from bench.explore.model import Plan, Trace
    from bench.explore.search.strategy import Strategy


class AtMost:
    """Another strategy, until `schedules` plans were given."""

    def __init__(self, strategy: Strategy, schedules: int) -> None:
        self.name = strategy.name
        self._strategy = strategy
        self._left = schedules

    def next(self) -> Plan | None:
        """Give the other's next plan, while some are left."""
        if not self._left:
            return None
        self._left -= 1
        return self._strategy.next()

    def learn(self, trace: Trace) -> None:
        """Hand on what the last plan gave."""
        self._strategy.learn(trace)

    @property
    def complete(self) -> bool:
        """Whether the other one is."""
        return self._strategy.complete

    def claim(self) -> str:
        """State what the other one does."""
        return self._strategy.claim()
