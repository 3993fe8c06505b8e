"""A wrapper that ends any strategy after a number of schedules."""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it: the exploring process imports this

if TYPE_CHECKING:
    from bench.explore.model import Plan, Trace
    from bench.explore.search.strategy import Strategy


class Limited:
    """Another strategy, until it has given `schedules` plans."""

    def __init__(self, strategy: Strategy, schedules: int) -> None:
        self.name = strategy.name
        self._strategy = strategy
        self._left = schedules

    def next(self) -> Plan | None:
        """Return the other's next plan, while some are left."""
        if not self._left:
            return None
        self._left -= 1
        return self._strategy.next()

    def learn(self, trace: Trace) -> None:
        """Pass the trace on to the other."""
        self._strategy.learn(trace)

    @property
    def reduces(self) -> bool:
        """Whether the other does."""
        return self._strategy.reduces

    @property
    def complete(self) -> bool:
        """Whether the other is complete."""
        return self._strategy.complete

    def claim(self) -> str:
        """State the other's claim."""
        return self._strategy.claim()
