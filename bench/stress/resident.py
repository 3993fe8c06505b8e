"""What runs in the process of one actor: goes through the states batch by batch, until it is told to end."""

from __future__ import annotations

import gc
import os
import sys
from itertools import repeat
from time import perf_counter_ns
from typing import NamedTuple

from bench.stress import plan
from bench.stress.meeting import meeting, note_raised, view_of

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
    me, name, actors, seed, apart, cpu, watched = seat
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    method = getattr(type(states[0]), name)
    places = view_of(memory)
    meet = meeting(places, me, actors, apart=apart)
    watch = _watch(states) if watched else None
    _settle()
    live, turn = list(states), 0
    descriptions: dict[object, dict[str, Any]] = {}
    wire.send(os.getpid())
    while (order := wire.recv()) is not None:
        number, count, dropped = order
        if dropped:
            live = [one for index, one in enumerate(live) if index not in dropped]
        raised: list[tuple[int, dict[str, Any]]] = []
        stamps: list[list[int]] = []
        returned = None
        for start, stop, leads, stamped in plan.strides(seed, number % plan.PLANS, count, actors, apart=apart):
            part, lead, turn = live[start:stop], leads[me], turn + 1
            going = iter(part)
            if stamped:
                times: list[int] = []
                stamps.append(times)
                going = _stamping(part, times)
            meet(turn)
            for _ in repeat(None, lead):
                pass
            try:
                if any(map(method, going)):
                    returned = name
            except BaseException as error:  # noqa: BLE001  # whatever an actor raises is its outcome
                note_raised(places, me)
                _contain(error, method, part, start, times if stamped else None, going, raised, name, descriptions)
            if stamped:
                times.append(perf_counter_ns())
        if watch is not None:
            watch.undo()
        wire.send((raised, stamps, returned))
        _tidy()


def _watch(states: Sequence[Any]) -> Any:
    from bench.process.restoring import Watch

    return Watch(states)


def _settle() -> None:
    gc.collect()
    if hasattr(gc, "freeze"):
        gc.freeze()
    gc.disable()


def _tidy() -> None:
    if not hasattr(gc, "get_count") or gc.get_count()[0] > _GARBAGE:
        gc.collect()


def _stamping(part: Iterable[Any], times: list[int]) -> Any:
    note, now = times.append, perf_counter_ns
    for state in part:
        note(now())
        yield state


def _contain(
    error: BaseException,
    method: Callable[[Any], object],
    part: Sequence[Any],
    start: int,
    times: list[int] | None,
    going: Any,
    raised: list[tuple[int, dict[str, Any]]],
    name: str,
    descriptions: dict[object, dict[str, Any]],
) -> None:
    """Keep what was raised as the outcome of its sample, and go on with the next ones."""
    while True:
        done = len(times) if times is not None else len(part) - going.__length_hint__()
        if not (isinstance(error, SystemExit) and error.code in (None, 0)):  # a process that ends so ended well
            raised.append((start + done - 1, _described(error, name, descriptions)))
        try:
            any(map(method, going))
            return
        except BaseException as another:  # noqa: BLE001  # the same, for the next sample
            error = another


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
