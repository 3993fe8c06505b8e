"""Points of time: sleeping and reading clocks, in the virtual time of the schedule.

To read a clock is a step, so that a loop that does nothing else takes steps too, and the clock can advance there.
"""

from __future__ import annotations

import sys
import time

from bench.explore.model import NOTHING
from bench.explore.runtime import control

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_sleep = time.sleep
_CLOCKS = ("time", "monotonic", "perf_counter")


def install() -> None:
    """Patch the sleep and the clocks of `time`."""
    time.sleep = sleep
    for name in _CLOCKS:
        setattr(time, name, _clock(name, getattr(time, name), whole=False))
        setattr(time, f"{name}_ns", _clock(f"{name}_ns", getattr(time, f"{name}_ns"), whole=True))


def sleep(seconds: Any, /) -> None:
    """Sleep as `time.sleep` does, in virtual time."""
    runtime = control.active
    if runtime is None:
        _sleep(seconds)
        return
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    runtime.sleep(seconds)


def _clock(name: str, real: Callable[[], Any], *, whole: bool) -> Callable[[], Any]:
    """Return a clock that reads the virtual time in a controlled process, and the real one elsewhere.

    Args:
        name: of the clock.
        real: the real clock.
        whole: whether it returns nanoseconds as a whole number, rather than seconds.
    """

    def clock() -> Any:
        runtime = control.active
        if runtime is None:
            return real()
        if not str(sys._getframe(1).f_globals.get("__name__")).startswith("multiprocessing."):
            runtime.point("time", NOTHING)
        now = runtime.now()
        return round(now * 1e9) if whole else now

    clock.__name__ = clock.__qualname__ = name
    clock.__doc__ = real.__doc__
    return clock
