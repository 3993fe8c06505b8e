"""The process of one actor: runs the actor in schedule after schedule, until it is killed."""

from __future__ import annotations

import os
import signal
from typing import NamedTuple

from bench.explore.audit import lines
from bench.explore.points import buffers, chance, ending, locks, processes, queues, shared, signals, uncontrolled
from bench.explore.runtime import control
from bench.explore.runtime.board import VARIABLE, Board
from bench.explore.runtime.lane import Runtime
from bench.explore.runtime.stack import stack
from bench.process import journal, residents
from bench.process.death_signal import die_with_parent
from bench.process.messages import HadRaised, send

TYPE_CHECKING = False  # as type checkers know it: each actor imports this

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection
    from typing import Any

RETURNED = -1
"""The value on the board for an actor that returned something."""


class Seat(NamedTuple):
    """Which actor a process runs: its lane, the name of its method, and whether states are watched, to be restored.

    `filled` is what this process is to feed: what was put into queues as the state was made.
    """

    lane: int
    name: str
    watched: bool
    filled: Sequence[tuple[Any, bytes]] = ()


def run_actor(seat: Seat, wire: Connection, state: Any) -> None:
    """Run an actor once in each schedule.

    Args:
        seat: which actor it is.
        wire: to send the pid, each exception that comes for the first time, and stacks.
        state: the state that all actors share; sealed, where this process is audited.
    """
    lane, name, watched, filled = seat
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with_parent()
    board = control.registry.board if control.registry is not None else Board(os.environ[VARIABLE])
    runtime = Runtime(board, lane)
    runtime.send_stack = lambda: wire.send(("stack", stack()))
    processes.is_actor = True
    lines.watch(runtime)
    if board.audit:
        state = state.open()
    method, mine = getattr(type(state), name), board.lane(lane)
    watch = _watch(state) if watched else None
    known: dict[object, int] = {}
    buffers.note_kept()
    shared.note_kept()
    ignored = residents.ignored_errors(_note_of_thread(name))

    def note_dropped(error: BaseException) -> None:
        mine.raised = mine.raised or _raised(error, name, known, wire, residents.outcome_of_feeder)

    residents.hear_feeders(note_dropped)
    residents.settle(always=True)
    uncontrolled.note_running(board)
    chance.mark_early(board)
    wire.send(("here", os.getpid()))
    while runtime.begin():
        signals.restore()  # not before: others may ask what a process that is through does with a signal
        if filled:
            queues.feed_filled(runtime, filled)
        try:
            returned = _act(method, state, runtime)
        except BaseException as error:  # noqa: BLE001  # whatever an actor raises is its outcome
            runtime.stop()
            mine.raised = 0 if runtime.abandoning else _raised(error, name, known, wire) or mine.raised
        else:
            runtime.stop()
            if returned is not None:
                mine.raised = RETURNED
        buffers.note_kept()
        if ignored:
            if not mine.raised and not runtime.abandoning:
                mine.raised = _raised(ignored[0], name, known, wire)
            ignored.clear()
        ending.close_opened(runtime)
        if runtime.holding:
            locks.forget_holding()
        if watch is not None:
            watch.undo()
        runtime.leave()
        residents.tidy()


def _act(method: Callable[[Any], object], state: Any, runtime: Runtime) -> object:
    try:
        return method(state)
    finally:
        if not runtime.abandoning:
            queues.end_feeders(runtime, cancelled=True)


def _note_of_thread(name: str) -> Callable[[BaseException, str], None]:
    """Return what journals the first exception of each thread of an actor: whoever waits for the thread may hang."""
    threads: set[str] = set()

    def note(error: BaseException, thread: str) -> None:
        if thread not in threads:
            threads.add(thread)
            outcome = residents.outcome_of_thread(error, name, thread)
            send(os.environ[journal.VARIABLE], HadRaised(name, len(threads), *outcome))

    return note


def _watch(state: Any) -> Any:
    from bench.state.watching import Watch

    return Watch([state])


def _raised(
    error: BaseException,
    name: str,
    known: dict[object, int],
    wire: Connection,
    outcome_of: Callable[[BaseException, str], object] = residents.outcome_of,
) -> int:
    """Return the number of an exception, which is sent when it comes for the first time; 0 for a good end."""
    if residents.ended_well(error):
        return 0
    key = residents.identity(error), outcome_of
    if (number := known.get(key)) is None:
        number = known[key] = len(known) + 1
        wire.send(("raised", number, outcome_of(error, name)))
    return number
