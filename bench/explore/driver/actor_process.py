"""What runs in the process of one actor: plays its part in schedule after schedule, until it is told to end."""

from __future__ import annotations

import gc
import os
import signal
from typing import NamedTuple

from bench.explore.points import ending, locks
from bench.explore.runtime import control
from bench.explore.runtime.board import LANE, LANES, RAISED, VARIABLE, Board
from bench.explore.runtime.death_signal import die_with_parent
from bench.explore.runtime.lane import Runtime
from bench.explore.runtime.stack import stack

TYPE_CHECKING = False  # as type checkers know it: each actor imports this

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from typing import Any

RETURNED = -1
"""What stands on the board for an actor that returned something."""

_GARBAGE = 20_000
"""Objects made and not yet freed, above which an actor looks for cycles, between schedules."""


class Seat(NamedTuple):
    """Who an actor is: its lane, the name of its method, and whether states go back and are watched."""

    lane: int
    name: str
    watched: bool


def reside(seat: Seat, wire: Connection, state: Any) -> None:
    """Be an actor: play when told to; send on `wire` the pid, what was raised for the first time, and stacks."""
    lane, name, watched = seat
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with_parent()
    board = control.names.board if control.names is not None else Board(os.environ[VARIABLE])
    runtime = Runtime(board, lane)
    runtime.tell = lambda: wire.send(("stack", stack()))
    method, raised_at = getattr(type(state), name), LANES + lane * LANE + RAISED
    watch = _watch(state) if watched else None
    told: dict[object, int] = {}
    _settle()
    wire.send(("here", os.getpid()))
    while runtime.begin():
        try:
            returned = method(state)
        except BaseException as error:  # noqa: BLE001  # whatever an actor raises is its outcome
            runtime.stop()
            board.numbers[raised_at] = 0 if runtime.abandoning else _raised(error, name, told, wire)
        else:
            runtime.stop()
            board.numbers[raised_at] = 0 if returned is None else RETURNED
        ending.let_go(runtime)
        if runtime.holding:
            locks.forget_holding()
        if watch is not None:
            watch.undo()
        runtime.leave()
        _tidy()


def _watch(state: Any) -> Any:
    from bench.state.watching import Watch

    return Watch([state])


def _settle() -> None:
    gc.collect()
    if hasattr(gc, "freeze"):
        gc.freeze()
    gc.disable()


def _tidy() -> None:
    if not hasattr(gc, "get_count") or gc.get_count()[0] > _GARBAGE:
        gc.collect()


def _raised(error: BaseException, name: str, told: dict[object, int], wire: Connection) -> int:
    """Give the number of what was raised, and send what it is when it comes for the first time; 0 for a good end."""
    if isinstance(error, SystemExit) and error.code in (None, 0):
        return 0
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    key = (type(error), str(error), None if trace is None else (trace.tb_frame.f_code, trace.tb_lineno))
    if (number := told.get(key)) is None:
        number = told[key] = len(told) + 1
        wire.send(("raised", number, _described(error, name)))
    return number


def _described(error: BaseException, name: str) -> tuple[str, dict[str, Any]]:
    who = {"process": name, "role": "child"}
    if isinstance(error, SystemExit):
        return "crash", {**who, "exit": error.code}
    from bench.process.instrument import describe

    return "raised", {**describe(error), **who}
