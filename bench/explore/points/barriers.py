"""What can be seen of a barrier without its lock: `n_waiting` and `broken` are steps.

All that a barrier does itself it does under its lock, whose steps are enough. Once a lane looks at the barrier without
it, the writes of the others are steps too.
"""

from __future__ import annotations

import functools
from sys import _getframe

from bench.explore.points import grain
from bench.explore.points.values import MemoryObject, key_of
from bench.explore.runtime import control
from bench.explore.runtime.packing import PART

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from typing import Any

_STATE, _COUNT = range(2)
"""The numbers in the shared memory of a barrier; both are those of its parts too."""

_BROKEN = -2

_fine: dict[int, bool] = {}
"""By the object of a barrier, whether its writes are steps: as this process knows it since the schedule began."""


def install() -> None:
    """Patch the barriers of `multiprocessing.synchronize`."""
    from multiprocessing import synchronize

    barrier: Any = synchronize.Barrier
    barrier.__init__ = _registering(barrier.__init__)
    barrier._state = property(barrier._state.fget, _write(barrier._state.fset, _STATE))
    barrier._count = property(barrier._count.fget, _write(barrier._count.fset, _COUNT))
    barrier.n_waiting, barrier.broken = property(_n_waiting), property(_broken)
    control.on_finer.append(_fine.clear)


class _Memory:
    """The memory of a barrier, which has a name for people where the state has the barrier."""

    def __init__(self, number: int) -> None:
        self._bench_object = MemoryObject(number)


def _registering(init: Any) -> Any:
    @functools.wraps(init)
    def made(self: Any, *args: Any, **named: Any) -> None:
        init(self, *args, **named)
        if control.registry is not None:
            self._bench_memory = _Memory(control.registry.new_object(key_of(self._wrapper), type(self).__name__))

    return made


def _object_of(barrier: Any) -> MemoryObject:
    memory = barrier.__dict__.get("_bench_memory")
    if memory is None:
        assert control.registry is not None
        number = control.registry.object(key_of(barrier._wrapper), type(barrier).__name__)
        memory = barrier._bench_memory = _Memory(number)
    own: MemoryObject = memory._bench_object
    return own


def _write(put: Any, part: int) -> Any:
    def write(self: Any, value: int) -> None:
        runtime = control.active
        if runtime is not None:
            own = _object_of(self)
            if (fine := _fine.get(own.number)) is None:
                fine = _fine[own.number] = grain.is_fine(own.number)
            if fine:
                runtime.arrive(own.write + PART * (part + 1), 0, _getframe(1))
                if runtime.detail:
                    runtime.note_value(repr(value))
        put(self, value)

    return write


def _look(barrier: Any, part: int, frame: Any) -> int:
    runtime = control.active
    if runtime is not None:
        own = _object_of(barrier)
        grain.tell_apart(own.number)
        runtime.arrive(own.read + PART * (part + 1), 0, frame)
    found: int = barrier._array[part]
    if runtime is not None and runtime.detail:
        runtime.note_value(repr(found))
    return found


def _n_waiting(self: Any) -> int:
    """The number of processes that wait."""
    frame = _getframe(1)
    return 0 if _look(self, _STATE, frame) else _look(self, _COUNT, frame)


def _broken(self: Any) -> bool:
    """Whether the barrier is broken."""
    return _look(self, _STATE, _getframe(1)) == _BROKEN
