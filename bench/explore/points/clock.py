"""Points of time: sleeping and reading clocks, in the virtual time of the schedule.

To read a clock is a step, so that a loop that does nothing else takes steps too, and the clock can advance there.

All clocks show the same time: those of `time` and `datetime`, and waits for locks of `threading` that nobody is there
to release. The user's code that runs before a schedule (a state's `__init__`, the import of a module) has the
millisecond before its beginning, and what runs after it (`result`) the time of its end; so a time that was noted there
can be compared with one that an actor reads. What processes read about their own use of a CPU is real.

Once something that cannot be controlled runs, the virtual time moves on with the real one, and sleeps are slept.
"""

from __future__ import annotations

import _thread
import os
import sys
import time

from bench.explore.model import NOTHING
from bench.explore.points.later import replace_in, when_imported
from bench.explore.runtime import control
from bench.explore.runtime import layout as at
from bench.explore.runtime.lane import EPOCH_NS
from bench.explore.runtime.packing import READ, word
from bench.process.instrument import is_users

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

    from bench.explore.runtime.lane import Runtime

_sleep, _real_ns, _times = time.sleep, time.monotonic_ns, os.times
monotonic = time.monotonic
"""The real clock, for the exploring process, which asks for the time in each schedule."""

_acquire: Any = _thread.LockType.acquire
_CLOCKS = ("time", "monotonic", "perf_counter")
_FORMATS = {"localtime": 0, "gmtime": 0, "ctime": 0, "asctime": 0, "strftime": 1}
"""Functions that take the time of the call where the argument of this number is missing, or `None`."""

_OF_CPU = ("CLOCK_PROCESS_CPUTIME_ID", "CLOCK_THREAD_CPUTIME_ID", "CLOCK_PROF", "CLOCK_VIRTUAL")

SHORT_S = 50e-6
"""A sleep below this gives way, and keeps nothing apart: Linux lets a sleep take that much longer (prctl(2), timer
slack), so that none of them can be told from another."""

_MOST_SLEPT_S = 1.0
"""The longest that is slept for real, where something runs that cannot be controlled."""

_BEFORE_NS, _TICK_NS, _MOST_TICKS = 1_000_000, 1_000, 900
"""The time before a schedule, in which code outside of it runs; how far each reading of a clock moves on there, and how
many do: after that, real time passes, for loops that wait for it."""


class _Outside:
    """The time outside of schedules: ns since `_BEFORE_NS` before the beginning."""

    ns = imported_ns = 0
    ticks = 0
    last_real_ns = 0

    left_ns = 0
    """When code first read a clock that runs on after its process has left a schedule, as the real clock has it."""


class _Flow:
    """The schedule in which something runs that cannot be controlled, and up to when its time has been added."""

    schedule = -1
    seen_ns = 0


def install() -> None:
    """Patch the sleep and the clocks of `time`, `datetime`, `os`, and the lock of `threading`."""
    aliases = {name: getattr(time, name) for name in ("monotonic", "time")}
    time.sleep = sleep
    for name in _CLOCKS:
        setattr(time, name, _clock(name, getattr(time, name), whole=False))
        setattr(time, f"{name}_ns", _clock(f"{name}_ns", getattr(time, f"{name}_ns"), whole=True))
    for name in ("clock_gettime", "clock_gettime_ns"):
        if hasattr(time, name):
            setattr(time, name, _clock_by_number(name, getattr(time, name)))
    for name, position in _FORMATS.items():
        setattr(time, name, _format(name, getattr(time, name), position))
    os.times = _os_times
    when_imported("datetime", _patch_datetime)
    for module, alias in (("threading", "_time"), ("queue", "time"), ("sched", "_time"), ("subprocess", "_time")):
        there: Any = sys.modules.get(module)
        if getattr(there, alias, None) is aliases["monotonic"]:
            setattr(there, alias, time.monotonic)
    for name in ("acquire", "acquire_lock"):
        replace_in(_thread.LockType, name, _acquire_lock)


# Sleeping


def sleep(seconds: Any, /) -> None:
    """Sleep as `time.sleep` does, in virtual time."""
    runtime = control.active
    if runtime is None:
        _sleep(seconds)
        if not control.begun and is_users(sys._getframe(1).f_code.co_filename):
            _Outside.ns += round(seconds * 1e9)
        return
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    sleep_controlled(runtime, seconds, sys._getframe(1))


def sleep_controlled(runtime: Runtime, seconds: float, frame: FrameType) -> None:
    """Sleep in virtual time; also in real time, where something runs that cannot be controlled."""
    if seconds < SHORT_S:
        until = runtime.numbers[at.CLOCK] + round(seconds * 1e9)
        # It changes nothing, so that a loop of looks and sleeps waits for others, as it does without the sleeps.
        runtime.arrive(word("sleep", NOTHING) | READ, 0, frame)
        runtime.numbers[at.CLOCK] = max(until, runtime.numbers[at.CLOCK])
    else:
        runtime.sleep(seconds)
    if _Flow.schedule == runtime.schedule:
        _sleep(min(seconds, _MOST_SLEPT_S))
        _Flow.seen_ns = _real_ns()


def flow(runtime: Runtime) -> None:
    """Let time pass as it really does, for the rest of this schedule."""
    if _Flow.schedule != runtime.schedule:
        _Flow.schedule, _Flow.seen_ns = runtime.schedule, _real_ns()


# Reading


def _clock(name: str, real: Callable[[], Any], *, whole: bool) -> Callable[[], Any]:
    """Return a clock that reads the virtual time in a controlled process, and the real one elsewhere.

    Args:
        name: of the clock.
        real: the real clock.
        whole: whether it returns nanoseconds as a whole number, rather than seconds.
    """

    def clock() -> Any:
        now = _now_ns(sys._getframe(1))
        if now is None:
            return real()
        return now if whole else now / 1e9

    clock.__name__ = clock.__qualname__ = name
    clock.__doc__ = real.__doc__
    return clock


def _now_ns(frame: FrameType) -> int | None:
    """Return the virtual time for code at a frame, in ns; `None` if that has the real time."""
    runtime = control.active
    if runtime is None:
        return _outside_ns() if is_users(frame.f_code.co_filename) else None
    if not str(frame.f_globals.get("__name__")).startswith("multiprocessing."):
        runtime.point("time", NOTHING)
    if _Flow.schedule == runtime.schedule:
        passed, _Flow.seen_ns = _real_ns() - _Flow.seen_ns, _real_ns()
        runtime.numbers[at.CLOCK] += passed
    return runtime.now_ns()


def _outside_ns() -> int:
    known = control.registry
    clock = known.board.numbers[at.CLOCK] if known is not None else 0
    if control.begun:  # of an actor or child that has left its schedule for something that cannot be controlled
        _Outside.left_ns = _Outside.left_ns or _real_ns()
        return EPOCH_NS + clock + _real_ns() - _Outside.left_ns
    real, _Outside.ticks = _real_ns(), _Outside.ticks + 1
    _Outside.ns += _TICK_NS if _Outside.ticks <= _MOST_TICKS else max(real - _Outside.last_real_ns, _TICK_NS)
    _Outside.last_real_ns = real
    return EPOCH_NS - _BEFORE_NS + _Outside.ns


def begin_state() -> None:
    """Set the time of the making of a state: that of the import of its module, whatever was before."""
    _Outside.ns, _Outside.ticks = _Outside.imported_ns, 0


def end_state() -> int:
    """Return the virtual time, in ns, at which schedules of the state that was made begin."""
    return max(0, _Outside.ns - _BEFORE_NS)


def end_import() -> int:
    """Note how late it was when the user's module was imported; return what `end_state` does."""
    _Outside.imported_ns = _Outside.ns
    return end_state()


def begin_result(board_clock_ns: int) -> None:
    """Set the time of what runs after a schedule: that of its end."""
    _Outside.ns, _Outside.ticks = board_clock_ns + _BEFORE_NS, 0


def _clock_by_number(name: str, real: Callable[[int], Any]) -> Callable[[int], Any]:
    of_cpu = {getattr(time, one) for one in _OF_CPU if hasattr(time, one)}

    def gettime(clk_id: int, /) -> Any:
        now = None if clk_id in of_cpu or not isinstance(clk_id, int) else _now_ns(sys._getframe(1))
        if now is None or clk_id < 0:  # one of a process or a file, made from its number
            return real(clk_id)
        return now if name.endswith("_ns") else now / 1e9

    gettime.__name__ = gettime.__qualname__ = name
    gettime.__doc__ = real.__doc__
    return gettime


def _format(name: str, real: Callable[..., Any], position: int) -> Callable[..., Any]:
    # Those that take seconds, and those that take the result of `localtime`.
    of_seconds, local = name in ("localtime", "gmtime", "ctime"), time.localtime

    def formatted(*args: Any) -> Any:
        if len(args) > position and (args[position] is not None or not of_seconds):
            return real(*args)
        now = _now_ns(sys._getframe(1))
        if now is None or len(args) < position:
            return real(*args)
        seconds = now // 1_000_000_000
        return real(*args[:position], seconds if of_seconds else local(seconds))

    formatted.__name__ = formatted.__qualname__ = name
    formatted.__doc__ = real.__doc__
    return formatted


def _os_times() -> Any:
    """Return what `os.times` does; the elapsed time, its last part, is virtual."""
    now = _now_ns(sys._getframe(1))
    found = _times()
    return found if now is None else os.times_result((*found[:4], now / 1e9))


def _patch_datetime(module: Any) -> None:
    """Patch `datetime.now` and `utcnow`; the others ask `time.time`."""
    kind = module.datetime
    real: Any = {name: vars(kind)[name] for name in ("now", "utcnow")}

    def now(cls: Any, tz: Any = None) -> Any:
        at_ns = _now_ns(sys._getframe(1))
        if at_ns is None:
            return real["now"].__get__(None, cls)(tz)
        return cls.fromtimestamp(at_ns / 1e9, tz)

    def utcnow(cls: Any) -> Any:
        at_ns = _now_ns(sys._getframe(1))
        if at_ns is None:
            return real["utcnow"].__get__(None, cls)()
        if sys.version_info >= (3, 12):
            import warnings

            warnings.warn("datetime.datetime.utcnow() is deprecated", DeprecationWarning, stacklevel=2)
        return cls.fromtimestamp(at_ns / 1e9, module.timezone.utc).replace(tzinfo=None)

    replace_in(kind, "now", classmethod(now))
    replace_in(kind, "utcnow", classmethod(utcnow))


# Waits that are sleeps


def _acquire_lock(self: Any, blocking: Any = True, timeout: float = -1) -> bool:
    """Acquire a lock of `threading`; where no thread is there to release it, the time that was given passes."""
    runtime = control.active
    if runtime is None or not blocking or timeout <= 0 or _thread._count():
        return bool(_acquire(self, blocking, timeout))
    if not _acquire(self, False):
        sleep_controlled(runtime, timeout, sys._getframe(1))
        return bool(_acquire(self, False))
    return True
