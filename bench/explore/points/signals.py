"""Points of signals: sending one to a process is a step if all that it does is to end that process.

A signal to itself is handled at once, in the middle of a process's own code, and needs no point. The handler of another
process runs between any two of its bytecodes, so what it does cannot be a step: where such a signal would be sent, or
something is set up that sends one (a timer, a handler of the ends of children), it is noted, and the schedule is given
up.
"""

from __future__ import annotations

import os
import signal
import sys

from bench.explore.model import ANYTHING, MOST_LANES
from bench.explore.points import uncontrolled
from bench.explore.runtime import control

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from bench.explore.runtime.lane import Runtime

_kill, _set = os.kill, signal.signal

_HARMLESS = frozenset({"SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH"})
"""Signals that do nothing to a process which neither handles them nor is stopped: see signal(7)."""

_STOPPING = frozenset({"SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU"})
_BY_ITSELF = frozenset({"SIGCHLD", "SIGIO", "SIGPOLL", "SIGURG", "SIGWINCH"})
"""Signals that the system sends, at a time of its own."""

ended: list[Callable[[Runtime, int], None]] = []
"""Called with a lane whose process ends by a signal that was just sent; `processes` is there to wait for it."""

_dispositions: dict[int, Any] = {}
"""By signal, its handler before the user's code set another in this schedule."""


def install() -> None:
    """Patch what sends signals and sets handlers and timers."""
    os.kill = kill
    signal.signal = set_handler  # type: ignore[assignment]  # its arguments are passed on as they are
    for owner, name in ((os, "killpg"), (signal, "pthread_kill"), (signal, "pidfd_send_signal")):
        if hasattr(owner, name):
            setattr(owner, name, _elsewhere(name, getattr(owner, name)))
    for name in ("alarm", "setitimer"):
        if hasattr(signal, name):
            setattr(signal, name, _timer(getattr(signal, name), 0 if name == "alarm" else 1))


def restore() -> None:
    """Set handlers back to what they were before the schedule, as the next one has the same process."""
    while _dispositions:
        number, before = _dispositions.popitem()
        if before is not None:  # one that was not set from Python
            _set(number, before)


def kill(pid: int, sig: int, /) -> None:
    """Send a signal as `os.kill` does: to another lane as one step, which ends its process, or is given up."""
    runtime = control.active
    if runtime is None or pid == os.getpid():
        _kill(pid, sig)
        return
    lane = _lane_of(runtime, pid)
    if lane < 0:
        if sig and pid <= 0:
            _give_up(runtime, f"a signal to a group of processes: {_name(sig)}")
        with runtime.raw():
            _kill(pid, 0)  # as the signal itself, it fails where there is no such process
        if not sig:
            runtime.point("look", ANYTHING)
        elif pid == os.getppid():
            _give_up(runtime, f"a signal to the process that started it: {_name(sig)}")
        with runtime.raw():
            _kill(pid, sig)
        return
    runtime.point("kill" if sig else "look", ANYTHING)
    actor = lane < runtime.board.actors and runtime.board.actors > 1
    if actor and not runtime.board.present >> lane & 1:
        # It is through, and its process is only kept for the next schedule. A real one may not have ended yet, and
        # would handle the signal, or be ended by it: both are possible, and only that nothing comes of it is shown.
        if sig and ends(pid, sig):
            uncontrolled.note(f"a signal to an actor that is through, and may not have ended: {_name(sig)}")
        return
    check(runtime, pid, sig)
    dies = sig and ends(pid, sig)
    with runtime.raw():
        _kill(pid, sig)
    if dies:
        for see_to in ended:
            see_to(runtime, lane)


def _lane_of(runtime: Runtime, pid: int) -> int:
    """Return the lane of a process; -1 if it is none."""
    board = runtime.board
    lanes = range(MOST_LANES) if pid > 0 else ()
    return next((lane for lane in lanes if board.lane(lane).pid == pid and board.lane(lane).host == lane), -1)


def check(runtime: Runtime, pid: int, number: int) -> None:
    """Give the schedule up where another process would handle a signal, or be stopped by it.

    Raises:
        Abandoned: if so.
    """
    if not number:
        return
    ignored, caught, blocked = _masks(pid)
    bit = 1 << number - 1
    if not ignored & bit and ((caught | blocked) & bit or _name(number) in _STOPPING):
        how = "handles" if caught & bit else "blocks" if blocked & bit else "is stopped by"
        _give_up(runtime, f"a signal that its process {how}: {_name(number)}")


def ends(pid: int, number: int) -> bool:
    """Return whether a signal that is not handled ends a process."""
    return not _masks(pid)[0] >> number - 1 & 1 and _name(number) not in _HARMLESS


def _masks(pid: int) -> tuple[int, int, int]:
    """Return the signals that a process ignores, catches and blocks (proc(5): SigIgn, SigCgt, SigBlk)."""
    found = {"SigIgn": 0, "SigCgt": 0, "SigBlk": 0}
    with control.Raw():
        try:
            with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
                for line in file:
                    name, _, mask = line.partition(":")
                    if name in found:
                        found[name] = int(mask, 16)
        except OSError:
            pass
    return found["SigIgn"], found["SigCgt"], found["SigBlk"]


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _give_up(runtime: Runtime, what: str) -> None:
    uncontrolled.note(what)
    runtime.give_up()


def _elsewhere(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that sends a signal to whatever its first argument stands for."""

    def sent(*args: Any) -> Any:
        runtime = control.active
        itself = name == "pthread_kill" and args[:1] == (_ident(),)
        if runtime is not None and not itself and len(args) > 1 and args[1]:
            _give_up(runtime, f"a signal by {name}: {_name(args[1])}")
        return real(*args)

    sent.__name__ = sent.__qualname__ = name
    sent.__doc__ = real.__doc__
    return sent


def _ident() -> int:
    import _thread

    return _thread.get_ident()


def set_handler(signalnum: Any, handler: Any, /) -> Any:
    """Set a handler as `signal.signal` does; one of signals that the system sends at times of its own is given up."""
    runtime = control.active
    if runtime is not None and callable(handler) and _name(signalnum) in _BY_ITSELF:
        _give_up(runtime, f"a handler of {_name(signalnum)}")
    before = _set(signalnum, handler)
    if runtime is not None:
        _dispositions.setdefault(int(signalnum), before)
    return before


def _timer(real: Callable[..., Any], position: int) -> Callable[..., Any]:
    """Return a function that sets a timer, unless the argument of this number is 0."""

    def timer(*args: Any) -> Any:
        runtime = control.active
        if runtime is not None and any(args[position:]) and not _is_internal(sys._getframe(1)):
            _give_up(runtime, "a timer")
        return real(*args)

    timer.__name__ = timer.__qualname__ = real.__name__
    timer.__doc__ = real.__doc__
    return timer


def _is_internal(frame: Any) -> bool:
    return str(frame.f_globals.get("__name__")).startswith("multiprocessing.")
