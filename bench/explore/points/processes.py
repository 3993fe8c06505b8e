"""Points of processes that the user's code starts: their start, their first step, their end, and waiting for it.

A child is a lane of its own, which comes to its first line when it is chosen. It ends in a step `exit`, after what it
does on its way out, such as waiting for the feeders of its queues. The process that started it then waits until it has
really ended before any lane goes on, so that ends of files and exit codes do not depend on how long that takes.
"""

from __future__ import annotations

import functools
import gc
import itertools
import os
import sys
from multiprocessing import process, util

from bench.explore.audit import lines
from bench.explore.points import pipes, signals, uncontrolled
from bench.explore.runtime import control, registry
from bench.explore.runtime import layout as at
from bench.explore.runtime.board import EVENTS
from bench.explore.runtime.lane import Runtime, enter
from bench.explore.runtime.scheduler import remove_process
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
"""The classes of contexts that stand for `Process`."""

_numbers: dict[int, int] = {}
"""By lane, the objects of the processes that this one started."""

_lane_objects: dict[str, int] = {}
"""By name of the lane, the same objects."""

_counted = 0
"""The schedule in which processes were numbered last, for their names."""

is_actor = False
"""Whether this process is that of an actor."""

_own: tuple[Runtime, int, int] | None = None
"""If this process is such a child: its runtime, its object, and the lane that started it."""


def install() -> None:
    """Patch `BaseProcess` and `os._exit`; `Popen` classes are patched as they are used."""
    kind: Any = process.BaseProcess
    kind.__init__, kind.start, kind._bootstrap = _init_numbered, _start_lane, _bootstrapped
    os._exit = _exit
    signals.ended.append(_end_killed)
    registry.outermost.add(_bootstrapped.__code__)


# In the process that starts another.


def _init_numbered(self: Any, *args: Any, **keywords: Any) -> None:
    """Make a process; the numbers in names begin anew in each schedule."""
    global _counted  # noqa: PLW0603  # there is one count in a process
    runtime = control.active
    if runtime is not None and runtime.schedule != _counted:
        _counted = runtime.schedule
        vars(process)["_process_counter"] = itertools.count(1)
    _init(self, *args, **keywords)


def _start_lane(self: Any) -> None:
    if str(sys._getframe(1).f_globals.get("__name__")).startswith(("concurrent.", "multiprocessing.")):
        uncontrolled.note_pool()
    elif not str(self._Popen.__module__).startswith("multiprocessing."):
        uncontrolled.note_foreign()
    runtime = control.active
    if runtime is None:
        uncontrolled.note_before()
        _start(self)
        return
    name = _name(self, runtime)
    number = runtime.new_object(f"process {runtime.lane}.{runtime.schedule}.{self._identity}", f"process {name}")
    runtime.point("start", number)
    lane = runtime.add_lane(_lane_name(name, number), number)
    runtime.reap = functools.partial(_reap, runtime)
    _numbers[lane] = number
    self._bench_seat = lane, number, runtime.lane
    arguments = self._args, self._kwargs
    if runtime.board.audit:
        from bench.explore.audit.sealed import Sealed

        self._args, self._kwargs = (Sealed(arguments),), {}
    try:
        with runtime.raw():
            _start(self)
    except BaseException:
        self._args, self._kwargs = arguments
        remove_process(runtime.numbers, lane)
        raise
    runtime.set_pid(lane, self.pid)
    self._popen._bench_child = lane, number
    pipes.note_sentinel(self._popen.sentinel, number)
    _install_into(type(self._popen))


def _name(started: Any, runtime: Runtime) -> str:
    """Return the name of a process, behind that of the lane that starts it, unless that is a program's main process.

    A name that `multiprocessing` made is the same under each start method.
    """
    kind, numbers, name = type(started).__name__, started._identity, str(started.name)
    if name == f"{kind}-{':'.join(map(str, numbers))}":
        name = f"{'Process' if kind in _KINDS else kind}-{numbers[-1]}"
    by_main = runtime.board.actors == 1 and not runtime.lane
    return name if by_main else f"{runtime.board.name(runtime.lane)}: {name}"


def _lane_name(name: str, number: int) -> str:
    """Return a name for a lane that no other process started by this one has."""
    common, count = name, 1
    while _lane_objects.setdefault(name, number) != number:
        count += 1
        name = f"{common} ({count})"
    return name


def _reap(runtime: Runtime, lane: int) -> None:
    """Wait until the process of a lane that has left has ended."""
    wait_for_end(runtime.board.lane(lane).pid)
    _note_end(runtime, _numbers[lane])


def _note_end(runtime: Runtime, number: int) -> None:
    runtime.set_counter(number, 1)
    runtime.mark_dirty(None)  # whatever it had open is closed


# What it does with the other one afterwards, by way of the `Popen` classes, which every method of a process uses.

_patched: set[type] = set()


def _install_into(kind: type) -> None:
    """Patch a `Popen` class and its bases."""
    for one in kind.__mro__:
        if one is object or one in _patched:
            continue
        _patched.add(one)
        for name, wrap in (("poll", _poll_point), ("wait", _wait_point), ("_send_signal", _signal_point)):
            if name in vars(one):
                setattr(one, name, wrap(vars(one)[name]))


def _child_of(popen: Any) -> tuple[Any, int, int]:
    """Return the runtime, `None` if the process is not controlled or has been waited for; its lane; its object."""
    lane, number = popen.__dict__.get("_bench_child", (0, 0))
    runtime = control.active if number and popen.returncode is None else None
    return runtime, lane, number


def _poll_point(real: Callable[..., Any]) -> Callable[..., Any]:
    def poll(self: Any, flag: int = getattr(os, "WNOHANG", 1)) -> Any:
        runtime, _, number = _child_of(self)
        if runtime is None:
            return real(self, flag)
        runtime.point("alive", number)
        over = runtime.counter(number) > 0
        if runtime.detail:
            runtime.note_value("ended" if over else "alive")
        return _exit_code(runtime, self) if over else None

    return poll


def _wait_point(real: Callable[..., Any]) -> Callable[..., Any]:
    def wait(self: Any, timeout: float | None = None) -> Any:
        runtime, _, number = _child_of(self)
        if runtime is None:
            return real(self, timeout)
        if timeout is not None and timeout <= 0:
            runtime.point("join", number)
        else:
            if timeout is not None:
                runtime.set_deadline(runtime.now() + timeout)
            runtime.point("join", number, wants=number)
        over = runtime.counter(number) > 0
        if runtime.detail:
            runtime.note_value("ended" if over else "not in time")
        return _exit_code(runtime, self) if over else None

    return wait


def _exit_code(runtime: Runtime, popen: Any) -> Any:
    """Return the exit code of a process that has ended; a forkserver may need a moment to report it."""
    with runtime.raw():
        return popen.wait(None)


def _signal_point(real: Callable[..., Any]) -> Callable[..., Any]:
    def send(self: Any, number: int) -> None:
        runtime, lane, known = _child_of(self)
        if runtime is None:
            real(self, number)
            return
        runtime.point("kill", known)
        if runtime.counter(known) > 0:
            return
        signals.check(runtime, self.pid, number)
        dies = signals.ends(self.pid, number)
        with runtime.raw():
            real(self, number)
        if dies:
            _end_killed(runtime, lane)

    return send


def _end_killed(runtime: Runtime, lane: int) -> None:
    """Wait until the process of a lane has ended by a signal, and remove it; with an actor the schedule ends."""
    with runtime.raw():
        wait_for_end(runtime.board.lane(lane).pid)
    if lane < runtime.board.actors:
        runtime.give_up(at.DIED)
    if (number := _numbers.get(lane)) is not None:
        remove_process(runtime.numbers, lane, by_step=True)
        _note_end(runtime, number)


# In the process that was started.


def _bootstrapped(self: Any, *args: Any, **keywords: Any) -> Any:
    seat = self.__dict__.get("_bench_seat")
    if seat is None:
        return _bootstrap(self, *args, **keywords)
    run = self.run

    def controlled() -> None:
        global _own  # noqa: PLW0603  # there is one in a process
        lane, number, parent = seat
        try:
            runtime = enter(lane)
            _own = runtime, number, parent
            runtime.send_stack = functools.partial(journal_stack, runtime)
            uncontrolled.note_running(runtime.board)
            gc.disable()  # so that finalizers run at a certain time, as in the process that started this one
            lines.watch(runtime)
            if runtime.board.audit:
                self._args, self._kwargs = self._args[0].open()
            run()
        except control.Abandoned:
            _end_abandoned()

    self.run = controlled
    try:
        code = _bootstrap(self, *args, **keywords)
        _finish()
    except control.Abandoned:  # in its clean-up, which before Python 3.11 is part of `_bootstrap`
        _end_abandoned()
    return code


def _finish() -> None:
    """Run what `multiprocessing` runs at the end of a process, take the step `exit`, and leave the schedule."""
    global _own  # noqa: PLW0603  # there is one in a process
    if _own is None or control.active is None:
        return
    runtime, number, parent = _own
    util._exit_function()  # type: ignore[attr-defined]  # private; what it does it does once
    runtime.point("exit", number)
    _own = None
    runtime.end(parent)


def journal_stack(runtime: Runtime) -> None:
    """Journal the stack of the user's code in this process, if it is one of a program."""
    if folder := os.environ.get(EVENTS):
        journal.append(folder, "stack", lane=runtime.lane, stack=stack())


def end_now(status: int) -> NoReturn:
    """End this process at once, without a step."""
    _real_exit(status)


def _end_abandoned() -> None:
    """End this process in a schedule that is given up."""
    if _own is not None:  # otherwise this process had not come to its first line, and `enter` has left for it
        _own[0].leave()
    _real_exit(0)


def _exit(status: int) -> Any:
    """End this process as `os._exit` does: at once, but as a step; an actor, whose end is none, as if it returned.

    An actor that ends with another status than 0 just dies, with the baton: that is a crash, and ends the schedule.
    """
    runtime = control.active
    if runtime is not None and _own is not None:
        runtime.point("exit", _own[1])
        runtime.end(_own[2])
    elif runtime is not None and is_actor and not status & 255 and not runtime.abandoning:
        runtime.exit()
    _real_exit(status)
