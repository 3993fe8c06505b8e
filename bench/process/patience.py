"""How long nothing may move in a group, less the time in which its processes only waited for a CPU: pure."""

from __future__ import annotations

from collections.abc import Callable

_MOST = 10
"""How many times longer it may take where processes wait for a CPU all the time."""

_ASKING_S = 0.2
"""How often the processes are asked, once the time is over: that takes a look at each process of the host."""


class Patience:
    """Measures how long nothing has moved.

    From half of the limit on it is known how long the processes wait for a CPU, on a machine that is busy with others.
    That does not count, or what is slow would be taken for what is stuck.
    """

    def __init__(self, now_s: float) -> None:
        self._moved = self._asked = now_s
        self._half: tuple[float, float] | None = None
        """The time since when the processes are watched, and how long they had waited for a CPU until then."""

    def moved(self, now_s: float) -> None:
        """Note that something has moved."""
        self._moved, self._half = now_s, None

    def is_over(self, now_s: float, limit_s: float, starved_s: Callable[[], float]) -> bool:
        """Return whether nothing has moved for the limit.

        Args:
            now_s: the time.
            limit_s: how long nothing may move.
            starved_s: returns how many seconds the processes have waited for a CPU, all together, since they began.
        """
        silent = now_s - self._moved
        if self._half is None:
            if silent > limit_s / 2:
                self._half, self._asked = (now_s, starved_s()), now_s
            return False
        if silent <= limit_s or now_s - self._asked < _ASKING_S:
            return False
        self._asked = now_s
        since, before = self._half
        waited = now_s - since
        starved = min(max(0.0, starved_s() - before), waited * (1 - 1 / _MOST))
        return waited - starved > limit_s / 2
