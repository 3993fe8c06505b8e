"""A state and the processes of its actors: started, listened to, restored as they were at first, and ended."""

from __future__ import annotations

import contextlib
from multiprocessing import connection

from bench.explore.driver.actor_process import Seat, run_actor
from bench.explore.driver.labels import label_objects
from bench.explore.driver.subject import EndedEarly, Refused
from bench.explore.points import buffers, chance, clock, locks, pipes, queues, uncontrolled, values
from bench.explore.runtime import control
from bench.explore.runtime import layout as at
from bench.explore.runtime.registry import Registry
from bench.outcomes import Outcome
from bench.process import residents
from bench.process.ended import how_it_ended
from bench.state.restoring import Restorer
from bench.state.survey import Unrestorable, survey
from bench.state.watching import Watch

TYPE_CHECKING = False  # as type checkers know it: each exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from bench.explore.runtime.board import Board
    from bench.outcomes import Kind

_STARTING_S = 60.0
"""How long actors may take until they wait for the first schedule: longer than the observer waits, who says where."""


class Actors:
    """A state, the processes of the actors that were given it, and what it takes to restore the state.

    `why_rebuilt` says why the state cannot be restored, in which case each schedule needs a new one; `raised` has the
    exceptions of actors, by lane and number.

    Raises:
        EndedEarly: if the process of an actor ends before it waits for the first schedule.
        Exception: whatever the making of the state raises, or pickling it, where it cannot be sent.
    """

    def __init__(self, kind: Any, context: Any, names: Sequence[str], board: Board, why_rebuilt: str = "") -> None:
        self.kind, self.context, self.names, self._board = kind, context, names, board
        self.why_rebuilt = why_rebuilt
        self.raised: dict[tuple[int, int], tuple[Kind, dict[str, Any]]] = {}
        self.stacks: dict[int, str] = {}
        self.wires: list[Any] = []
        self.processes: list[Any] = []
        locks.known.clear()
        made: list[Any] = []
        values.memory = made
        buffers.begin_state()
        control.use_registry(registry := Registry(board, at.COORDINATOR))
        registry.reset()
        clock.begin_state()
        with queues.Filled() as self.filled:
            self.state = self._in("__init__", lambda: kind(context))
        self.begins_ns = clock.end_state()
        """The virtual time, in ns, at which schedules of this state begin."""
        values.memory = None
        self.memory = values.Memory(made)
        self.sizes = label_objects(self.state, board)
        """The bytes of an item of each array among the objects, by number."""
        self.restorer = self._restorer()
        self._lost: str | None = None
        """What is gone of the state, as it was looked through after its result; `None` if it was not."""
        self._start()
        chance.mark_early(board)
        uncontrolled.note_running(board, {process.pid for process in self.processes})
        self.watch = Watch([self.state]) if self.restorer is not None else None
        self._semaphores = [(lock, lock._semlock._get_value) for lock in locks.known]
        self._values = [get() for _, get in self._semaphores]
        self._readers = [] if self.restorer is None else [number for _, number in survey(self.state).readers]

    def _restorer(self) -> Restorer | None:
        if not self.why_rebuilt:
            try:
                return Restorer([self.state], filled=bool(self.filled.items))
            except Unrestorable as error:
                self.why_rebuilt = str(error)
        return None

    def _start(self) -> None:
        audited = bool(self._board.audit)
        if audited:
            from bench.explore.audit.sealed import Sealed
        for lane, name in enumerate(self.names):
            filled = () if lane else tuple(self.filled.items)
            seat = Seat(lane, name, self.restorer is not None, filled)
            state = Sealed(self.state) if audited else self.state
            process, wire = residents.start(self.context, run_actor, name, seat, state)
            self.wires.append(wire)
            self.processes.append(process)
        for process, wire in zip(self.processes, self.wires):  # noqa: B905  # Python 3.10 has strict, both are equal
            if not wire.poll(_STARTING_S):
                raise Refused(f"{process.name} did not come to its first line in {_STARTING_S:g} s")
            try:
                wire.recv()
            except EOFError:
                raise EndedEarly(crash_of(process)) from None

    def dead(self) -> set[int]:
        """Return the lanes whose processes have ended."""
        ready = connection.wait([process.sentinel for process in self.processes], 0)
        return {lane for lane, process in enumerate(self.processes) if process.sentinel in ready}

    def receive(self) -> None:
        """Receive what the actors have sent."""
        for lane, wire in enumerate(self.wires):
            with contextlib.suppress(EOFError, OSError):
                while wire.poll(0):
                    kind, *what = wire.recv()
                    if kind == "raised":
                        self.raised[lane, what[0]] = what[1]
                    elif kind == "stack":
                        self.stacks[lane] = what[0]

    def read_result(self) -> object:
        """Return the result that the scenario reads from its state."""
        clock.begin_result(self._board.numbers[at.CLOCK])
        return self._in("result", lambda: self.kind.result(self.state))

    def _in(self, method: str, run: Callable[[], Any]) -> Any:
        """Run a method of the state outside of schedules; what it starts at once with itself is noted."""
        uncontrolled.making = method
        try:
            return run()
        finally:
            uncontrolled.making = ""

    def left(self) -> Any:
        """Return what the actors left in the state; `None` where that is nothing, or not known."""
        if self.restorer is None:
            return None
        found = self.restorer.inspect()
        self._lost = self.restorer.lost
        return found.get(0)

    def free_locks(self) -> None:
        """Free what killed actors hold, so that the result can be read."""
        for (lock, get), value in zip(self._semaphores, self._values):  # noqa: B905  # Python 3.10 has strict
            if lock._semlock.maxvalue == 1 and get() < value:
                locks.set_value(lock, value)

    def put_back(self) -> str:
        """Restore the state; return why that cannot be done, empty if it was."""
        if self.restorer is None:
            return self.why_rebuilt
        if self._lost is None:  # the result was not read
            self.restorer.inspect(wait_s=0)
        self._lost = None
        if lost := self.restorer.lost or self.restorer.unrestorable:
            return lost
        if [get() for _, get in self._semaphores] != self._values:
            for (lock, get), value in zip(self._semaphores, self._values):  # noqa: B905  # Python 3.10 has strict
                if get() != value:
                    locks.set_value(lock, value)
            locks.forget_holding()
        pipes.drain(self._readers)
        if self.watch is not None:
            self.watch.undo()
        return "a semaphore could not be set back" if self.restorer.restore() else ""

    def close(self) -> None:
        """Kill the processes, and stop watching the state."""
        for process in self.processes:
            process.kill()
        residents.end(self.processes, self.wires)
        if self.watch is not None:
            _unwatch(self.state)


def crash_of(process: Any) -> Outcome:
    """Wait for the end of an actor's process; return the outcome that it is."""
    process.join()
    return Outcome("crash", detail={"process": process.name, "role": "child", **how_it_ended(process.exitcode)})


def _unwatch(state: Any) -> None:
    kind = type(state)
    for name in ("__setattr__", "__delattr__"):
        if hasattr(vars(kind).get(name), "watches"):
            delattr(kind, name)
