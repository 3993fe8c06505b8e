"""What runs in the process of one actor: goes through the states batch by batch, until it is told to end."""

from __future__ import annotations

import gc
import os
import sys
from itertools import repeat
from time import perf_counter_ns
from typing import NamedTuple

from bench.stress import plan
from bench.stress.barrier import meeting, note_raised, view_of
from bench.stress.yielding import Splitter

TYPE_CHECKING = False  # as type checkers know it: each actor imports this

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from multiprocessing.connection import Connection
    from typing import Any

_MOST_DESCRIBED = 64
"""Descriptions of exceptions that are kept, so that one which is raised again and again is described once."""

_GARBAGE = 20_000
"""Objects made and not yet freed, above which an actor looks for cycles, between batches."""


class Seat(NamedTuple):
    """Who an actor is: `me` of `actors`, each `apart` on a CPU of its own; `watched` if states go back."""

    me: int
    name: str
    actors: int
    seed: int
    apart: bool
    cpu: int | None
    watched: bool


def reside(seat: Seat, wire: Connection, memory: Any, states: Sequence[Any]) -> None:
    """Be an actor: wait for orders `(number, count, dropped)` on `wire`, go through `count` live states, report."""
    if seat.cpu is not None:
        os.sched_setaffinity(0, {seat.cpu})
    watch, kept = _watch(states, watched=seat.watched)
    resident = _Resident(seat, memory, states)
    _settle()
    wire.send(os.getpid())
    while (order := wire.recv()) is not None:
        report = resident.batch(*order)
        wire.send((*report, watch.undo() if watch is not None else kept.changed()))
        _tidy()


class _Resident:
    def __init__(self, seat: Seat, memory: Any, states: Sequence[Any]) -> None:
        self.seat = seat
        self.method = getattr(type(states[0]), seat.name)
        self.places = view_of(memory)
        self.meet = meeting(self.places, seat.me, seat.actors, apart=seat.apart)
        self.splitter = Splitter(seat.seed, seat.me)
        self.live = list(states)
        self.turn = 0
        self.descriptions: dict[object, dict[str, Any]] = {}
        self.raised: list[tuple[int, dict[str, Any]]] = []
        self.stamps: list[list[int]] = []

    def batch(self, number: int, count: int, dropped: set[int]) -> Any:
        """Go through the live states; give what was raised, the stamps, and whether anything was returned."""
        if dropped:
            self.live = [one for index, one in enumerate(self.live) if index not in dropped]
        self.raised, self.stamps = [], []
        seat, stride = self.seat, self.stride
        strides = plan.strides(seat.seed, number % plan.PLANS, count, seat.actors, apart=seat.apart)
        returned = [stride(one) for one in strides]
        self.splitter.end()
        return self.raised, self.stamps, seat.name if any(returned) else None

    def stride(self, one: plan.Stride) -> bool:
        """Go through the states of one stride, once all have come to it; tell whether anything was returned."""
        start, stop, leads, stamped, split = one
        part, lead, method, self.turn = self.live[start:stop], leads[self.seat.me], self.method, self.turn + 1
        going = iter(part)
        through: Callable[[Any], bool] = any
        times: list[int] | None = None
        if stamped:
            times = []
            self.stamps.append(times)
            going, through = _stamping(part, times), _anything
        if split:
            self.splitter.begin()
        elif not self.seat.apart:
            self.splitter.end()
        self.meet(self.turn)
        for _ in repeat(None, lead):
            pass
        try:
            returned = through(map(method, going))
        except BaseException as error:  # noqa: BLE001  # whatever an actor raises is its outcome
            returned = self.contain(error, through, part, start, times, going)
        if times is not None:
            times.append(perf_counter_ns())
        return returned

    def contain(
        self,
        error: BaseException,
        through: Callable[[Any], bool],
        part: Sequence[Any],
        start: int,
        times: list[int] | None,
        going: Any,
    ) -> bool:
        """Keep what was raised as the outcome of its sample, and go on with the next ones; give what `through` does."""
        self.splitter.end()
        note_raised(self.places, self.seat.me)
        while True:
            done = len(times) if times is not None else len(part) - going.__length_hint__()
            if not (isinstance(error, SystemExit) and error.code in (None, 0)):  # a process that ends so ended well
                self.raised.append((start + done - 1, _described(error, self.seat.name, self.descriptions)))
            try:
                return through(map(self.method, going))
            except BaseException as another:  # noqa: BLE001  # the same, for the next sample
                error = another


def _watch(states: Sequence[Any], *, watched: bool) -> tuple[Any, Any]:
    from bench.state.watching import Globals, Watch

    return (Watch(states), None) if watched else (None, Globals(type(states[0])))


def _settle() -> None:
    gc.collect()
    if hasattr(gc, "freeze"):  # PyPy, which has none, collects in small steps, and takes 0.1 s to do so when told
        gc.freeze()
        gc.disable()


def _tidy() -> None:
    if not gc.isenabled() and gc.get_count()[0] > _GARBAGE:
        gc.collect()


def _stamping(part: Iterable[Any], times: list[int]) -> Any:
    note, now = times.append, perf_counter_ns
    for state in part:
        note(now())
        yield state


def _anything(returned: Iterable[object]) -> bool:
    """Tell what no actor shall return from nothing; `any`, which costs less, does so of what is true."""
    return any(one is not None for one in returned)


def _described(error: BaseException, name: str, descriptions: dict[object, dict[str, Any]]) -> dict[str, Any]:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    key = (type(error), str(error), None if trace is None else (trace.tb_frame.f_code, trace.tb_lineno))
    if (known := descriptions.get(key)) is not None:
        return known
    if isinstance(error, SystemExit):
        made: dict[str, Any] = {"kind": "crash", "detail": {"process": name, "role": "child", "exit": error.code}}
    else:
        from bench.process.instrument import describe

        sys.stderr.flush()
        made = {"kind": "raised", "detail": {**describe(error), "process": name, "role": "child"}}
    if len(descriptions) < _MOST_DESCRIBED:
        descriptions[key] = made
    return made
