"""States made once, and the actors that go through them batch after batch until the states or the time are used up."""

from __future__ import annotations

import contextlib
import gc
import os
import selectors
import time
from itertools import cycle

from bench.process import journal, residents
from bench.process import messages as common
from bench.process.segments import Segments
from bench.state.restoring import Leftovers
from bench.state.watching import Watch
from bench.stress import messages, plan
from bench.stress.barrier import arrivals, raised_in, raises, size, view_of
from bench.stress.counting import results
from bench.stress.resident import Report, Seat, reside
from bench.stress.states import MOST_STATES, make_states
from bench.values import encode

TYPE_CHECKING = False  # as type checkers know it: each group imports this

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, NoReturn

    from bench.outcomes import Kind
    from bench.stress.coordinator import Group

    Raised = tuple[Kind, dict[str, Any]]
    Results = tuple[list[object], dict[int, BaseException]]

BATCH_S = 0.05
"""How long a batch shall take at most; between two of them the actors rest and the results are read."""

_POLL_S = 0.05


class GroupEnded(Exception):
    """The group is over before its time; all that there is to report is journalled."""


class Generation:
    """States made once, and the actors that were given them.

    Invariant: between batches no actor runs, since each has sent its report and waits for the next order. Only then are
    results read and states restored. `live` are the states that samples are taken of, by their numbers; the actors
    drop the same ones from their lists at their next order.
    """

    def __init__(self, group: Group) -> None:
        self.group = group
        self.states, self.restorer, self.folders = make_states(group)
        self.segments = Segments(os.environ[journal.VARIABLE])
        self.watch: Watch | None = None
        self.dropped: set[int] = set()
        self.live = list(range(len(self.states)))
        self.memory = group.context.RawArray("q", size(len(group.actors)))
        self.places = view_of(self.memory)
        self.turn = 0  # the number of strides that all actors are through with
        self.counted = 0  # states at the front of the batch that are counted already
        self.raised = 0  # how often actors had raised before this batch
        self.wires: list[Any] = []
        self.processes: list[Any] = []
        self.selector = getattr(selectors, "PollSelector", selectors.DefaultSelector)()  # epoll's would be inherited

    def run(self) -> None:
        """Start the actors and have them go through the states, batch after batch."""
        group = self.group
        begun = time.monotonic()
        group.send(common.Starting())
        self._start()
        started_s = time.monotonic() - begun if self.restorer is None else 0.0
        if self.restorer is not None:
            self.watch = Watch(self.states)
        _settle()
        group.send(common.Running(len(self.states)))
        if group.deadline is None:
            group.deadline = time.monotonic() + group.orders.seconds
        while not group.is_over() and self.live:
            count = min(group.size, len(self.live), (group.orders.samples or 1 << 60) - group.taken)
            begun = time.monotonic()
            self._batch(count)
            took_s = time.monotonic() - begun
            group.running_s += took_s
            if not group.orders.trial:
                group.size = 1 if group.singly else next_size(group.size, count, took_s, started_s)
            group.report_sometimes()
            if self.restorer is None or group.why_rebuilt or len(self.live) * 2 < len(self.states):
                break

    def _start(self) -> None:
        group = self.group
        watched = self.restorer is not None
        for me, name in enumerate(group.actors):
            seat = Seat(me, name, len(group.actors), group.orders.seed, group.apart, group.cpu_of(me), watched)
            process, wire = residents.start(group.context, reside, name, seat, self.memory, self.states)
            group.send(messages.Started(process.pid, name))
            self.wires.append(wire)
            self.processes.append(process)
            self.selector.register(wire, selectors.EVENT_READ, me)
            self.selector.register(process.sentinel, selectors.EVENT_READ, process)
        self._receive()

    def _refuse(self, text: str) -> NoReturn:
        self.group.send(common.Refused(text))
        raise GroupEnded

    def _batch(self, count: int) -> None:
        group = self.group
        number, group.batch = group.batch, group.batch + 1
        self.counted, self.raised = 0, sum(raises(self.places, len(self.processes)))
        for wire in self.wires:
            wire.send((number, count, self.dropped))
        self.dropped = set()
        strides = plan.strides(group.orders.seed, number % plan.PLANS, count, len(self.wires), apart=group.apart)
        reports: list[Report] = self._receive(strides)
        self.turn += len(strides)
        self._check(reports)
        self._count_overlaps(reports)
        changed = next((report.changed for report in reports if report.changed), "")
        if not changed or count == 1:
            self._collect(count, _by_sample(reports))
        # Of a batch of several it is not known which samples ran after the change: none of them counts.
        if changed:
            group.singly, group.why_rebuilt = True, f"from sample to sample an actor keeps {changed}"

    def _receive(self, strides: Sequence[plan.Stride] = ()) -> list[Any]:
        """Wait for each actor's report; meanwhile see whether an actor has died, and whether any gets on."""
        reports: dict[int, Any] = {}
        seen, since, stalled = arrivals(self.places, len(self.processes)), time.monotonic(), False
        while len(reports) < len(self.wires):
            died = None
            for key, _ in self.selector.select(_POLL_S):
                if isinstance(key.data, int):
                    with contextlib.suppress(EOFError, OSError):
                        reports[key.data] = self.wires[key.data].recv()
                else:
                    died = key.data
            if died is not None:
                self._give_up(died, strides)
            now = arrivals(self.places, len(self.processes))
            if now != seen:
                seen, since = now, time.monotonic()
                self.group.report_sometimes()
            elif strides and not stalled and time.monotonic() - since > self.group.orders.deadline_s / 2:
                stalled = True
                self._collect_finished(strides)
        return [reports[me] for me in range(len(self.wires))]

    def _give_up(self, died: Any, strides: Sequence[plan.Stride]) -> NoReturn:
        died.join()
        code = died.exitcode
        if strides:
            self._collect_finished(strides)
        self.group.send(messages.Died(died.name, code))
        raise GroupEnded

    def _collect_finished(self, strides: Sequence[plan.Stride]) -> None:
        """Count the states of the strides that every actor is through with, before the group is given up.

        In the stride that they are in, samples were taken as well, which are lost: an actor was through with less than
        all of it, and where any raised it is not known in which of the samples before.
        """
        # An actor publishes the number of the stride that it begins, so it is through with the one before.
        group, actors = self.group, len(self.processes)
        through = min(len(strides), max(0, min(arrivals(self.places, actors)) - self.turn - 1))
        stop = strides[through - 1].stop if through else 0
        lost = strides[through].stop - stop - 1 if through < len(strides) else 0
        if sum(raises(self.places, actors)) > self.raised:
            lost += stop - self.counted
        elif stop > self.counted:
            positions = range(self.counted, stop)
            self._count(positions, self._results(positions), {}, {})
            self.counted = stop
        turn = min(arrivals(self.places, actors))
        told = [(name, raised_in(self.places, me, turn)) for me, name in enumerate(group.actors)]
        group.report(stalled=True, lost=lost, raised=[one for one in told if one[1]])

    def _check(self, reports: Sequence[Report]) -> None:
        if returned := next((report.returned for report in reports if report.returned), None):
            self._refuse(f"its actor {returned} returns something; what an actor observes belongs into the state")

    def _count_overlaps(self, reports: Sequence[Report]) -> None:
        group = self.group
        for stamps in zip(*(report.stamps for report in reports)):  # noqa: B905  # Python 3.10 has strict, all are equal
            group.stamped += len(stamps[0]) - 1
            group.overlapped += plan.overlapped(list(stamps))

    def _collect(self, count: int, raised: Mapping[int, Raised]) -> None:
        group, positions = self.group, range(self.counted, count)
        found = self._results(positions)
        among = self.live[:count]
        # After the results, which may empty queues.
        left = {} if self.restorer is None else self.restorer.inspect(among=set(among) if self.folders else among)
        # Of which sample of the batch a segment is cannot be told.
        for name, index in zip(self.segments.take_left(), cycle(among)):  # one of them has no end
            left.setdefault(index, Leftovers()).segments.append(name)
        self._count(positions, found, raised, left)
        if group.orders.trial:
            group.send(messages.Taken(self._in_order(positions, found, raised, left)))
        group.taken += count
        if self.restorer is None:
            group.rebuilt += count
            return
        if self.watch is not None:
            self.watch.undo()
        group.why_rebuilt, group.lost = self.restorer.unrestorable, group.lost or self.restorer.lost
        gone = self.restorer.restore(without={index for index, one in left.items() if one.spoiled})
        if gone:
            self.dropped = {position for position, index in enumerate(self.live) if index in gone}
            self.live = [index for index in self.live if index not in gone]
            group.rebuilt += len(self.dropped)

    def _in_order(
        self, positions: range, found: Results, raised: Mapping[int, Raised], left: Mapping[int, Leftovers]
    ) -> list[tuple[Kind, Any, dict[str, Any]]]:
        """Return the outcomes that `_count` counts, one by one."""
        values, failed = found
        taken: list[tuple[Kind, Any, dict[str, Any]]] = []
        for offset, value in enumerate(values):
            index = self.live[positions[offset]]
            if described := raised.get(positions[offset]):
                taken.append((described[0], None, described[1]))
            elif offset in failed:
                taken.append(("raised", None, _describe_result(failed[offset])))
            elif index in left and (detail := left[index].detail(items=self.group.orders.items)) is not None:
                taken.append(("leak", None, detail))
            else:
                taken.append(("value", encode(value), {}))
        return taken

    def _results(self, positions: range) -> Results:
        states = [self.states[index] for index in self.live[positions.start : positions.stop]]
        return results(states, self.group.kind.result)

    def _count(
        self, positions: range, found: Results, raised: Mapping[int, Raised], left: Mapping[int, Leftovers]
    ) -> None:
        """Count what the live states at some positions gave: what their actors raised first of all."""
        self.group.left.update(name for one in left.values() for name in one.items)
        counts, live = self.group.counts, self.live[positions.start : positions.stop]
        values, failed = found
        if not raised and not failed and not left:
            counts.values(values)
            return
        plain = []
        for offset, (index, value) in enumerate(zip(live, values)):  # noqa: B905  # Python 3.10 has strict; equal
            if described := raised.get(positions[offset]):
                counts.other(*described)
            elif offset in failed:
                counts.other("raised", _describe_result(failed[offset]))
            elif index in left and (detail := left[index].detail(items=self.group.orders.items)) is not None:
                counts.other("leak", detail)
            else:
                plain.append(value)
        counts.values(plain)

    def end(self) -> None:
        """Have the actors end; kill those that do not in a moment."""
        for wire in self.wires:
            with contextlib.suppress(OSError):
                wire.send(None)
        self.selector.close()
        residents.end(self.processes, self.wires)


def _by_sample(reports: Sequence[Report]) -> dict[int, Raised]:
    """Return what the actors raised in each sample in which any did."""
    raised: dict[int, list[Raised]] = {}
    for report in reports:
        for index, what in report.raised:
            raised.setdefault(index, []).append(what)
    return {index: residents.combined(several) for index, several in raised.items()}


def _settle() -> None:
    gc.collect()
    if hasattr(gc, "freeze"):
        gc.freeze()


def next_size(size_now: int, count: int, seconds: float, started_s: float) -> int:
    """Return how many states the next batch goes through, so that it is short, but not against the time to start.

    Args:
        size_now: how many this one was to go through.
        count: how many it went through, which were less if it was the last of them.
        seconds: how long it took.
        started_s: how long it takes to start the actors, where each batch has new ones; else 0.
    """
    wanted_s = max(BATCH_S, started_s)
    if count < size_now and seconds < wanted_s:
        return size_now
    if seconds < wanted_s:
        return min(size_now * (4 if seconds < wanted_s / 4 else 2), MOST_STATES)
    return max(1, size_now // 2) if seconds > wanted_s * 2 else size_now


def _describe_result(error: BaseException) -> dict[str, Any]:
    from bench.process.instrument import describe

    return {**describe(error), "process": "result", "role": "main"}
