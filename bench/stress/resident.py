"""What runs in the process of one actor: goes through the states batch by batch, until it is told to end."""

from __future__ import annotations

import os
import signal
import sys
import threading
from itertools import repeat
from time import monotonic, perf_counter_ns, sleep
from typing import NamedTuple

from bench.process import journal, residents
from bench.process.messages import HadRaised, send
from bench.stress import plan
from bench.stress.barrier import barrier, note_raised, view_of
from bench.stress.yielding import Yielder

TYPE_CHECKING = False  # as type checkers know it: each actor imports this

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from multiprocessing.connection import Connection
    from typing import Any

    from bench.outcomes import Kind

_MOST_DESCRIBED = 64
"""Descriptions of exceptions that are kept, so that one which is raised again and again is described once."""


class Seat(NamedTuple):
    """Which actor it is: `me` of `actors`, each `apart` on a CPU of its own; `watched` if states are restored."""

    me: int
    name: str
    actors: int
    seed: int
    apart: bool
    cpu: int | None
    watched: bool


class Report(NamedTuple):
    """What an actor sends after a batch.

    `raised` has positions of states, with kind and detail of the outcome; `stamps` times of each stamped stride;
    `returned` the actor's name if it returned anything; `changed` the name of something that cannot be restored.
    """

    raised: list[tuple[int, tuple[Kind, dict[str, Any]]]]
    stamps: list[list[int]]
    returned: str | None
    changed: str


def reside(seat: Seat, wire: Connection, memory: Any, states: Sequence[Any]) -> None:
    """Be an actor: wait for orders `(number, count, dropped)` on `wire`, go through `count` live states, report."""
    if seat.cpu is not None:
        os.sched_setaffinity(0, {seat.cpu})
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a fork has that of the group, which is not the user's
    changed = _watch(states, watched=seat.watched)
    resident = _Resident(seat, memory, states)
    ignored = residents.ignored_errors(resident.note_of_thread)
    residents.hear_feeders(resident.dropped.append)
    residents.settle(always=False)
    wire.send(os.getpid())
    while (order := wire.recv()) is not None:
        returned = resident.batch(*order)
        if ignored:  # in which of the samples is not known
            resident.raised += [(order[1] - 1, resident.outcome_of(error)) for error in ignored]
            ignored.clear()
        wire.send(Report(resident.raised, resident.stamps, returned, changed()))
        residents.tidy()


class _Resident:
    """An actor.

    Invariant: after a batch all actors are at the same `turn`, since all have gone through the same strides; a stride
    in which one raises has as many samples for it as for the others.
    """

    def __init__(self, seat: Seat, memory: Any, states: Sequence[Any]) -> None:
        self.seat = seat
        self.method = getattr(type(states[0]), seat.name)
        self.places = view_of(memory)
        self.wait_for_all = barrier(self.places, seat.me, seat.actors, apart=seat.apart)
        self.yielder = Yielder(seat.seed, seat.me)
        self.live = list(states)
        self.turn = 0
        self.outcomes: dict[object, tuple[Kind, dict[str, Any]]] = {}
        self.numbers: dict[object, int] = {}
        """What this process has raised, as it was journalled."""
        self.raised: list[tuple[int, tuple[Kind, dict[str, Any]]]] = []
        self.stamps: list[list[int]] = []
        self.dropped: list[BaseException] = []
        """By which errors feeders of queues have dropped items; of which sample, they cannot tell."""

    def batch(self, number: int, count: int, dropped: set[int]) -> str | None:
        """Go through the live states; return the actor's name if it returned anything."""
        if dropped:
            self.live = [one for index, one in enumerate(self.live) if index not in dropped]
        self.raised, self.stamps = [], []
        seat, stride = self.seat, self.stride
        strides = plan.strides(seat.seed, number % plan.PLANS, count, seat.actors, apart=seat.apart)
        returned = [stride(one) for one in strides]
        self.yielder.end()
        self.count_dropped()
        return seat.name if any(returned) else None

    def count_dropped(self) -> None:
        """Take each item that was dropped since the last time as the outcome of a sample of this batch."""
        _await_feeders()
        found, self.dropped[:] = self.dropped[:], []
        described = [residents.outcome_of_feeder(error, self.seat.name) for error in found[:_MOST_DESCRIBED]]
        self.raised[:0] = list(enumerate(described))

    def stride(self, one: plan.Stride) -> bool:
        """Go through the states of one stride, once all have come to it; return whether anything was returned."""
        # Unless a stride is stamped, `any(map(...))` goes through it without a line of Python between two samples: that
        # would be time in which the actors cannot collide.
        start, stop, leads, stamped, yielding = one
        part, lead, method, self.turn = self.live[start:stop], leads[self.seat.me], self.method, self.turn + 1
        going = iter(part)
        through: Callable[[Any], bool] = any
        times: list[int] | None = None
        if stamped:
            times = []
            self.stamps.append(times)
            going, through = _stamping(part, times), _any_returned
        if yielding:
            self.yielder.begin()
        elif not self.seat.apart:
            self.yielder.end()
        self.wait_for_all(self.turn)
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
        """Take what was raised as the outcome of its sample, and go on with the next; return what `through` does."""
        # The iterator that the loop left off at says which sample raised: it is the last one that was taken from it.
        self.yielder.end()
        while True:
            done = len(times) if times is not None else len(part) - going.__length_hint__()
            if residents.ended_well(error):
                note_raised(self.places, self.seat.me, 0)
            else:
                self.raised.append((start + done - 1, self.outcome_of(error)))
                note_raised(self.places, self.seat.me, self.numbers.get(residents.identity(error), 0))
            try:
                return through(map(self.method, going))
            except BaseException as another:  # noqa: BLE001  # the same, for the next sample
                error = another

    def outcome_of(self, error: BaseException) -> tuple[Kind, dict[str, Any]]:
        """Return kind and detail of what was raised, described once for the many times that it is raised."""
        key = residents.identity(error)
        if (known := self.outcomes.get(key)) is not None:
            return known
        sys.stderr.flush()
        made = residents.outcome_of(error, self.seat.name)
        if len(self.outcomes) < _MOST_DESCRIBED:
            self.outcomes[key] = made
            self.tell(key, *made)
        return made

    def tell(self, key: object, kind: Kind, detail: dict[str, Any]) -> None:
        """Journal what was raised for the first time: the sample may hang, and nothing be reported of it."""
        number = self.numbers[key] = len(self.numbers) + 1
        send(os.environ[journal.VARIABLE], HadRaised(self.seat.name, number, kind, detail))

    def note_of_thread(self, error: BaseException, thread: str) -> None:
        """Journal what a thread raised, once, and count it at once."""
        key = residents.identity(error), thread
        if key not in self.numbers and len(self.numbers) < _MOST_DESCRIBED:
            self.tell(key, *residents.outcome_of_thread(error, self.seat.name, thread))
        note_raised(self.places, self.seat.me, self.numbers.get(key, 0))


_FEEDING_S = 0.2
"""How long feeder threads may take, after a batch, to write what was put; one may wait until somebody gets."""


def _await_feeders() -> None:
    """Wait until the feeder threads of this process have nothing to do."""
    if "multiprocessing.queues" not in sys.modules:
        return
    deadline = monotonic() + _FEEDING_S
    for thread in threading.enumerate():
        arguments = getattr(thread, "_args", ()) if thread.name == "QueueFeederThread" else ()
        while arguments and (arguments[0] or not arguments[1]._waiters) and monotonic() < deadline:
            sleep(0.0005)


def _watch(states: Sequence[Any], *, watched: bool) -> Callable[[], str]:
    """Return the function that, between batches, names what has changed and is not restored."""
    from bench.state.watching import Globals, Watch

    return Watch(states).undo if watched else Globals(type(states[0])).changed


def _stamping(part: Iterable[Any], times: list[int]) -> Any:
    note, now = times.append, perf_counter_ns
    for state in part:
        note(now())
        yield state


def _any_returned(returned: Iterable[object]) -> bool:
    """Return whether anything but `None` was returned; `any`, which costs less, misses what is false."""
    return any(one is not None for one in returned)
