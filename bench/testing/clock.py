"""A clock that stands still until it is moved."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["FakeClock"]

_POLL_S = 0.01


class FakeClock:
    """Stands in for `time.monotonic`, which it is called as, and for `time.sleep`; real time plays no part in it.

    Args:
        now_s: the time that it begins at, in seconds.
        on_sleep: called with the seconds of each sleep, after the time has moved; what others do meanwhile.
    """

    def __init__(self, now_s: float = 0.0, *, on_sleep: Callable[[float], None] | None = None) -> None:
        self.sleeps: list[float] = []
        self._now_s = now_s
        self._on_sleep = on_sleep
        self._moved = threading.Condition()

    def __call__(self) -> float:
        """Return the time in seconds."""
        with self._moved:
            return self._now_s

    def advance(self, seconds: float) -> None:
        """Move the time on, and wake whatever waits for a time that has come.

        Raises:
            ValueError: if `seconds` is below 0.
        """
        if seconds < 0:
            raise ValueError("time does not go back")
        with self._moved:
            self._now_s += seconds
            self._moved.notify_all()

    def sleep(self, seconds: float) -> None:
        """Move the time on as a sleep of one's own does, and note it in `sleeps`."""
        self.advance(seconds)
        self.sleeps.append(seconds)
        if self._on_sleep is not None:
            self._on_sleep(seconds)

    def wait_until(self, at_s: float, stop: threading.Event) -> bool:
        """Wait until another thread has moved the time to `at_s`; return False if `stop` was set before."""
        with self._moved:
            while self._now_s < at_s and not stop.is_set():
                self._moved.wait(_POLL_S)
            return self._now_s >= at_s
