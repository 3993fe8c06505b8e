"""The state of a scenario and the processes of its actors, and how both are had again as they were at first."""

from __future__ import annotations

import contextlib
import os
import sys
from multiprocessing import connection

from bench.explore.driver.actor_process import Seat, reside
from bench.explore.points import locks, pipes, values
from bench.explore.runtime import control
from bench.explore.runtime.board import COORDINATOR, MOST_LANES, NAMES, Board
from bench.explore.runtime.registry import Names
from bench.state.restoring import Restorer
from bench.state.survey import Unrestorable, survey
from bench.state.watching import Watch

TYPE_CHECKING = False  # as type checkers know it: each exploration imports this

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_STARTING_S = 30.0
"""How long actors may take until they are there."""


class Refused(Exception):
    """The scenario cannot be run as it is; the message says why."""


class NotStarted(Exception):
    """An actor did not come to where it waits for the first schedule."""


class Cast:
    """A state, the actors that were given it, and what it takes to put it back.

    `why_rebuilt` says why the state cannot be put back, in which case each schedule needs another cast; `raised` has
    what actors raised, by lane and number.

    Raises:
        Refused: if the state cannot be sent.
    """

    def __init__(self, kind: Any, context: Any, actors: Sequence[str], board: Board, why_rebuilt: str = "") -> None:
        self.kind, self.context, self.actors, self.board = kind, context, actors, board
        self.why_rebuilt = why_rebuilt
        self.raised: dict[tuple[int, int], tuple[str, dict[str, Any]]] = {}
        self.stacks: dict[int, str] = {}
        self.wires: list[Any] = []
        self.processes: list[Any] = []
        locks.known.clear()
        made: list[Any] = []
        values.memory = made
        control.know(names := Names(board, COORDINATOR))
        names.fresh()
        self.state = kind(context)
        values.memory = None
        self.memory = values.Memory(made)
        self.sizes = _label(self.state, names)
        """The bytes of an item of each array among the objects, by number."""
        self.restorer = self._restorer()
        self._start()
        self.watch = Watch([self.state]) if self.restorer is not None else None
        self._semaphores = [(lock, lock._semlock._get_value) for lock in locks.known]
        self._values = [get() for _, get in self._semaphores]
        self._readers = [] if self.restorer is None else [number for _, number in survey(self.state).readers]

    def _restorer(self) -> Restorer | None:
        if not self.why_rebuilt:
            try:
                return Restorer([self.state])
            except Unrestorable as error:
                self.why_rebuilt = str(error)
        return None

    def _start(self) -> None:
        for lane, name in enumerate(self.actors):
            ours, theirs = self.context.Pipe()
            seat = Seat(lane, name, self.restorer is not None)
            process = self.context.Process(target=reside, name=name, args=(seat, theirs, self.state))
            try:
                process.start()
            except (TypeError, AttributeError, RuntimeError, ValueError, ImportError) as error:
                raise _refusal(error) from None
            except Exception as error:
                if type(error).__name__ != "PicklingError":
                    raise
                raise _refusal(error) from None
            self.wires.append(ours)
            self.processes.append(process)
            if self.context.get_start_method() != "fork":
                theirs.close()
        for process, wire in zip(self.processes, self.wires):  # noqa: B905  # Python 3.10 has strict, both are equal
            if not wire.poll(_STARTING_S):
                raise NotStarted(f"{process.name} did not come to its first line in {_STARTING_S:g} s")
            try:
                wire.recv()
            except EOFError:
                process.join()
                raise NotStarted(f"{process.name} ended with {process.exitcode} before its first line") from None

    def dead(self) -> list[Any]:
        """Give the processes that have ended."""
        ready = connection.wait([process.sentinel for process in self.processes], 0)
        return [process for process in self.processes if process.sentinel in ready]

    def hear(self) -> None:
        """Take in what actors sent."""
        for lane, wire in enumerate(self.wires):
            with contextlib.suppress(EOFError, OSError):
                while wire.poll(0):
                    kind, *what = wire.recv()
                    if kind == "raised":
                        self.raised[lane, what[0]] = what[1]
                    elif kind == "stack":
                        self.stacks[lane] = what[0]

    def result(self) -> object:
        """Read the result."""
        return self.kind.result(self.state)

    def left(self) -> Any:
        """Say what the actors left in the state, if anything."""
        return self.restorer.inspect().get(0) if self.restorer is not None else None

    def put_back(self, *, spoiled: bool = False) -> bool:
        """Put the state back; `False` if that cannot be done, and another cast is needed."""
        if self.restorer is None or spoiled:
            return False
        if [get() for _, get in self._semaphores] != self._values:
            for (lock, get), value in zip(self._semaphores, self._values):  # noqa: B905  # Python 3.10 has strict
                if get() != value:
                    locks.set_value(lock, value)
            locks.forget_holding()
        pipes.drain(self._readers)
        if self.watch is not None:
            self.watch.undo()
        return not self.restorer.restore()

    def end(self, *, kill: bool) -> None:
        """Have the processes end; who does not in a moment is killed."""
        for process in self.processes:
            if kill:
                process.kill()
        for process in self.processes:
            process.join(1)
            if process.exitcode is None:
                process.kill()
                process.join()
        for wire in self.wires:
            wire.close()
        if self.watch is not None:
            _unwatch(self.state)


def _refusal(error: BaseException) -> Refused:
    return Refused(f"its state cannot be sent to a process: {type(error).__name__}: {error}")


def _unwatch(state: Any) -> None:
    kind = type(state)
    for name in ("__setattr__", "__delattr__"):
        if hasattr(vars(kind).get(name), "watches"):
            delattr(kind, name)


# Labels: shared objects are called what the attributes of the state are called.

_DEEPEST = 3


def _label(state: Any, names: Names) -> dict[int, int]:
    """Call shared objects what the state calls them; give the bytes of an item of each array among them."""
    found: dict[int, str] = {}
    sizes: dict[int, int] = {}
    for name, item in getattr(state, "__dict__", {}).items():
        _label_item(name, item, found, _DEEPEST, sizes)
    for number, name in found.items():
        names.board.label_object(number, name)
    return sizes


def _item_size(item: Any) -> int:
    """Give the bytes of an item of an array of plain numbers; 0 for anything else."""
    kind = type(getattr(item, "_obj", item))
    inner = getattr(kind, "_type_", None)
    if not hasattr(kind, "_length_") or hasattr(inner, "_length_") or hasattr(inner, "_fields_"):
        return 0
    return int(sys.modules["ctypes"].sizeof(inner))


def _label_item(name: str, item: Any, found: dict[int, str], deep: int, sizes: dict[int, int]) -> None:
    parts = getattr(item, "__dict__", {})
    fact = parts.get("_bench_facts") or parts.get("_bench_access")
    if fact is not None:
        found[fact.number] = min(found.get(fact.number, name), name, key=len)
        if size := _item_size(item):
            sizes[fact.number] = size
    elif isinstance(item, (list, tuple)) and deep:
        for index, inner in enumerate(item):
            _label_item(f"{name}[{index}]", inner, found, deep - 1, sizes)
    elif isinstance(item, dict) and deep:
        for key, inner in item.items():
            _label_item(f"{name}[{key!r}]", inner, found, deep - 1, sizes)
    elif deep:
        _label_parts(name, item, found, deep, sizes)


_OWN = {
    "_obj": "{}",
    "_lock": "the lock of {}",
    "_flag": "{}",
    "_cond": "the condition of {}",
    "_wait_semaphore": "a wake-up by {}",
    "_woken_count": "the woken of {}",
    "_sleeping_count": "the sleepers of {}",
    "_reader": "{}",
    "_rlock": "the lock on getting from {}",
    "_wlock": "the lock on putting into {}",
    "_sem": "the room in {}",
    "_unfinished_tasks": "the tasks of {}",
}


def _label_parts(name: str, item: Any, found: dict[int, str], deep: int, sizes: dict[int, int]) -> None:
    module = type(item).__module__
    parts = getattr(item, "__dict__", {})
    if module.startswith("multiprocessing."):
        for part, text in _OWN.items():
            if part in parts:
                _label_item(text.format(name), parts[part], found, deep, sizes)
    elif module.partition(".")[0] not in sys.stdlib_module_names:
        for part, inner in parts.items():
            _label_item(f"{name}.{part}", inner, found, deep - 1, sizes)


def name_lanes(board: Board, actors: Sequence[str]) -> None:
    """Have the first lanes be the actors'."""
    if len(actors) > MOST_LANES:
        raise Refused(f"it has {len(actors)} actors, and an exploration at most {MOST_LANES} processes")
    for name in actors:
        board.add_name(name)
    assert board.numbers[NAMES] == len(actors)


def pin() -> None:
    """Have this process, and those it starts, run on one CPU: who hands on the baton does not run on beside others."""
    if hasattr(os, "sched_setaffinity"):
        usable = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {usable[os.getpid() % len(usable)]})
