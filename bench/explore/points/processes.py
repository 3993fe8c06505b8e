"""Points of processes that the user's code starts: their start, what they begin with, their end, and who waits for it.

A child is a lane of its own, which comes to its first line when it is chosen. It ends in a step `exit`, after what it
does on its way out, such as waiting for the feeders of its queues; whoever started it then sees to it that it is really
gone before anybody goes on, so that ends of files and exit codes do not depend on how long that takes.
"""

from __future__ import annotations

import functools
import gc
import itertools
import os
import signal
import sys
from multiprocessing import process, util

from bench.explore.points import pipes, threads
from bench.explore.runtime import control, registry
from bench.explore.runtime.board import EVENTS
from bench.explore.runtime.lane import Runtime, enter
from bench.explore.runtime.scheduler import gone
from bench.explore.runtime.stack import stack
from bench.process import journal
from bench.process.ended import wait_for_end

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

_start, _init, _bootstrap = (getattr(process.BaseProcess, name) for name in ("start", "__init__", "_bootstrap"))
_real_exit = os._exit

_KINDS = frozenset({"ForkProcess", "SpawnProcess", "ForkServerProcess"})
"""The classes that contexts have in the place of `Process`."""

_numbers: dict[int, int] = {}
"""By the lanes of processes that this one started, their objects."""

_named: dict[str, int] = {}
"""By the names of such lanes, their objects."""

_counted = 0
"""The schedule in which processes are counted, who have names by it."""

_ours: tuple[Runtime, int, int] | None = None
"""If this process is such a child: its runtime, its object, and the lane that started it."""


def install() -> None:
    """Have processes arrive at points."""
    kind: Any = process.BaseProcess
    kind.__init__, kind.start, kind._bootstrap = _made, _started, _bootstrapped
    os._exit = _exit
    registry.outermost.add(_bootstrapped.__code__)


# In the process that starts another.


def _made(self: Any, *args: Any, **keywords: Any) -> None:
    """Make a process, which is called as the first one of its schedule if it is."""
    global _counted  # noqa: PLW0603  # there is one count in a process
    runtime = control.active
    if runtime is not None and runtime.schedule != _counted:
        _counted = runtime.schedule
        vars(process)["_process_counter"] = itertools.count(1)
    _init(self, *args, **keywords)


def _started(self: Any) -> None:
    if str(sys._getframe(1).f_globals.get("__name__")).startswith(("concurrent.", "multiprocessing.")):
        threads.note_pool()
    runtime = control.active
    if runtime is None:
        _start(self)
        return
    name = _name(self, runtime)
    number = runtime.made(f"process {runtime.lane}.{runtime.schedule}.{self._identity}", f"process {name}")
    runtime.point("start", number)
    lane = runtime.new_lane(_lane_name(name, number), number)
    runtime.reap = functools.partial(_reap, runtime)
    _numbers[lane] = number
    self._bench_seat = lane, number, runtime.lane
    try:
        with runtime.raw():
            _start(self)
    except BaseException:
        gone(runtime.numbers, lane)
        raise
    runtime.set_pid(lane, self.pid)
    self._popen._bench_child = lane, number
    pipes.end_of(self._popen.sentinel, number)
    _install_into(type(self._popen))


def _name(started: Any, runtime: Any) -> str:
    """Give the name of a process, with that of who starts it, unless that is the main process of a program.

    Where it was given none, it has the same under each start method.
    """
    kind, numbers, name = type(started).__name__, started._identity, str(started.name)
    if name == f"{kind}-{':'.join(map(str, numbers))}":
        name = f"{'Process' if kind in _KINDS else kind}-{numbers[-1]}"
    by_main = runtime.board.actors == 1 and not runtime.lane
    return name if by_main else f"{runtime.board.name(runtime.lane)}: {name}"


def _lane_name(name: str, number: int) -> str:
    """Name a lane, other than those of other processes that this one starts."""
    common, count = name, 1
    while _named.setdefault(name, number) != number:
        count += 1
        name = f"{common} ({count})"
    return name


def _reap(runtime: Any, lane: int) -> None:
    """Wait until the process of a lane, which is on its way out, has ended."""
    wait_for_end(runtime.board.lane(lane).pid)
    _ended(runtime, _numbers[lane])


def _ended(runtime: Any, number: int) -> None:
    runtime.set_counter(number, 1)
    runtime.dirty(None)  # whatever it had open is closed


# What it asks of the other one afterwards, through the `Popen` classes, which all ways there have in common.

_patched: set[type] = set()


def _install_into(kind: type) -> None:
    """Hang points into a `Popen` class and those that it is made from."""
    for one in kind.__mro__:
        if one is object or one in _patched:
            continue
        _patched.add(one)
        for name, wrap in (("poll", _polled), ("wait", _waited), ("_send_signal", _signalled)):
            if name in vars(one):
                setattr(one, name, wrap(vars(one)[name]))


def _child_of(popen: Any) -> tuple[Any, int, int]:
    """Give the runtime, or `None` if a process is not ours to control, its lane and its object."""
    lane, number = popen.__dict__.get("_bench_child", (0, 0))
    runtime = control.active if number and popen.returncode is None else None
    return runtime, lane, number


def _polled(real: Callable[..., Any]) -> Callable[..., Any]:
    def poll(self: Any, flag: int = getattr(os, "WNOHANG", 1)) -> Any:
        runtime, _, number = _child_of(self)
        if runtime is None:
            return real(self, flag)
        runtime.point("alive", number)
        over = runtime.counter(number) > 0
        if runtime.detail:
            runtime.saw("ended" if over else "alive")
        return _exit_code(runtime, self) if over else None

    return poll


def _waited(real: Callable[..., Any]) -> Callable[..., Any]:
    def wait(self: Any, timeout: float | None = None) -> Any:
        runtime, _, number = _child_of(self)
        if runtime is None:
            return real(self, timeout)
        if timeout is not None and timeout <= 0:
            runtime.point("join", number)
        else:
            if timeout is not None:
                runtime.timeout(runtime.now() + timeout)
            runtime.point("join", number, wants=number)
        over = runtime.counter(number) > 0
        if runtime.detail:
            runtime.saw("ended" if over else "not in time")
        return _exit_code(runtime, self) if over else None

    return wait


def _exit_code(runtime: Any, popen: Any) -> Any:
    """Give the exit code of a process that has ended; a forkserver may need a moment to say it."""
    with runtime.raw():
        return popen.wait(None)


def _signalled(real: Callable[..., Any]) -> Callable[..., Any]:
    def send(self: Any, number: int) -> None:
        runtime, lane, known = _child_of(self)
        if runtime is None:
            real(self, number)
            return
        runtime.point("kill", known)
        if runtime.counter(known) > 0:
            return
        dies = number == signal.SIGKILL or not _handles(self.pid, number)
        with runtime.raw():
            real(self, number)
            if dies:
                wait_for_end(self.pid)
        if dies:
            gone(runtime.numbers, lane, by_step=True)
            _ended(runtime, known)
        else:
            runtime.uncontrolled(f"a signal that its process handles: {signal.Signals(number).name}")

    return send


def _handles(pid: int, number: int) -> bool:
    """Tell whether a process catches or ignores a signal."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            masks = [int(line.split()[1], 16) for line in file if line.startswith(("SigCgt", "SigIgn"))]
    except OSError:
        return False
    return any(mask >> number - 1 & 1 for mask in masks)


# In the process that was started.


def _bootstrapped(self: Any, *args: Any, **keywords: Any) -> Any:
    seat = self.__dict__.get("_bench_seat")
    if seat is None:
        return _bootstrap(self, *args, **keywords)
    run = self.run

    def controlled() -> None:
        global _ours  # noqa: PLW0603  # there is one in a process
        lane, number, parent = seat
        try:
            runtime = enter(lane)
            _ours = runtime, number, parent
            runtime.tell = functools.partial(tell_stack, runtime)
            gc.disable()  # so that what is forgotten is finalized at a certain time, as in whoever started this
            run()
        except control.Abandoned:
            _give_up()

    self.run = controlled
    try:
        code = _bootstrap(self, *args, **keywords)
        _finish()
    except control.Abandoned:  # on its way out, which before Python 3.11 is a part of the above
        _give_up()
    return code


def _finish() -> None:
    """Do what a process does on its way out, and be through."""
    global _ours  # noqa: PLW0603  # there is one in a process
    if _ours is None or control.active is None:
        return
    runtime, number, parent = _ours
    util._exit_function()  # type: ignore[attr-defined]  # private; what it does it does once
    runtime.point("exit", number)
    _ours = None
    runtime.end(parent)


def tell_stack(runtime: Any) -> None:
    """Journal where this process is, as far as the code is the user's, if it is one of a program."""
    if folder := os.environ.get(EVENTS):
        journal.append(folder, "stack", lane=runtime.lane, stack=stack())


def end_now(status: int) -> NoReturn:
    """End this process at once, without a step."""
    _real_exit(status)


def _give_up() -> None:
    """End, in a schedule that is given up."""
    if _ours is not None:  # else it was given up before this process came to its first line
        _ours[0].leave()
    _real_exit(0)


def _exit(status: int) -> Any:
    """End as `os._exit` does: at once, but as a step."""
    runtime = control.active
    if runtime is not None and _ours is not None:
        runtime.point("exit", _ours[1])
        runtime.end(_ours[2])
    _real_exit(status)
