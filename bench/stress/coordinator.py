"""The main process of a fork group: makes states, has the actors go through them, counts, puts the states back."""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import multiprocessing
import os
import random
import selectors
import sys
import time

from bench.process import journal
from bench.process.cpus import usable_cpus
from bench.process.descriptors import open_descriptors
from bench.state.restoring import Restorer
from bench.state.survey import Unrestorable, survey
from bench.state.watching import Watch
from bench.stress import plan
from bench.stress.barrier import raises, reached, size, view_of
from bench.stress.counting import Counts, results
from bench.stress.resident import Seat, reside

TYPE_CHECKING = False  # as type checkers know it: each group imports this

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from bench.state.restoring import Leftovers

    Results = tuple[list[object], dict[int, BaseException]]

MOST_STATES = 4096
MOST_DESCRIPTORS = 160
"""Descriptors that all states together may take: a forkserver is sent at most 256, and many hosts allow 1024."""

MOST_FOLDERS = 256
"""States that have a folder: to look at one costs as much as a sample, and all of them go at the end."""

MAKING = 0.15
"""The share of a group's time that making its states may take."""

BATCH_S = 0.05
"""How long a batch shall take at most; between two of them the actors rest and the results are read."""

TELL_S = 0.2
"""How often the counts are journalled: what a live histogram shows, and what tells a slow group from a stuck one."""

_POLL_S = 0.05


class _Ended(Exception):
    """The group is over before its time; what there is to say is journalled."""


def run(folder: str, orders: Mapping[str, Any]) -> None:
    """Run a group to its end: its time is over, its samples are taken, or a process of it died."""
    tell = functools.partial(journal.append, folder)
    try:
        kind = _kind(orders)
        Group(orders, kind, tell).run()
    except _Ended:
        tell("over")
        os._exit(0)  # who started us ends the other processes
    except Exception as error:  # noqa: BLE001  # of the scenario's making of state, or a mistake of the bench: told
        from bench.process.instrument import describe

        tell("failed", **describe(error))
        os._exit(1)
    tell("over")


def _kind(orders: Mapping[str, Any]) -> Any:
    from bench.process.startup import set_default_method

    random.seed(orders["seed"])
    set_default_method(orders["method"])
    if orders["root"] and orders["root"] not in sys.path:
        sys.path.insert(0, orders["root"])
    return getattr(importlib.import_module(orders["module"]), orders["name"])


class Group:
    """States, the actors that go through them, and what is known so far."""

    def __init__(self, orders: Mapping[str, Any], kind: Any, tell: Any) -> None:
        self.orders, self.kind, self.tell = orders, kind, tell
        self.actors: tuple[str, ...] = tuple(orders["actors"])
        self.apart = len(self.actors) <= orders["cpus"]
        self.context: Any = multiprocessing.get_context(orders["method"])
        self.counts = Counts()
        self.taken = self.rebuilt = self.stamped = self.overlapped = self.batch = 0
        self.why_rebuilt = ""
        self.singly = False  # one sample for each process, as something stays in it from sample to sample
        self.size = int(orders["size"])
        self.running_s = 0.0
        self.deadline: float | None = None
        self.told = 0.0

    def run(self) -> None:
        """Make states and actors, as often as needed, until the time is over."""
        while not self.over():
            generation = Generation(self)
            generation.run()
            generation.end()
            self.tell_counts()

    def cpu_of(self, me: int) -> int | None:
        """Return the CPU to pin an actor to: left to itself, the kernel now and then has two actors share one."""
        usable = usable_cpus()[: self.orders["cpus"]]
        return usable[me % len(usable)] if usable else None

    def over(self) -> bool:
        """Tell whether the time is over, or all samples are taken that were asked for."""
        most = self.orders["samples"]
        late = self.deadline is not None and time.monotonic() >= self.deadline
        return late or (most is not None and self.taken >= most)

    def tell_counts(self, *, stalled: bool = False, lost: int = 0) -> None:
        """Journal what was counted since the last time, and how many samples are lost if the group ends here."""
        running_ns, self.running_s = int(self.running_s * 1e9), 0.0
        figures = {"rebuilt": self.rebuilt, "stamped": self.stamped, "overlapped": self.overlapped, "lost": lost}
        self.tell(
            "counts",
            **self.counts.take(),
            **figures,
            running_ns=running_ns,
            why_rebuilt=self.why_rebuilt,
            size=self.size,
            stalled=stalled,
        )
        self.rebuilt = self.stamped = self.overlapped = 0
        self.told = time.monotonic()

    def tell_sometimes(self) -> None:
        """Journal the counts, or that there is life, if it was long ago."""
        if time.monotonic() - self.told >= TELL_S:
            self.tell_counts()


class Generation:
    """States made once, and the actors that were given them."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.folders = False
        self.states = self._made()
        self.watch: Watch | None = None
        self.restorer = self._restorer()
        self.dropped: set[int] = set()
        self.live = list(range(len(self.states)))
        self.memory = group.context.RawArray("q", size(len(group.actors)))
        self.places = view_of(self.memory)
        self.turn = 0
        self.counted = 0  # states at the front of the batch, of which nothing more is asked
        self.raised = 0
        self.wires: list[Any] = []
        self.processes: list[Any] = []
        self.selector = getattr(selectors, "PollSelector", selectors.DefaultSelector)()  # epoll's would be inherited

    def _made(self) -> list[Any]:
        """Make states until there are enough, they took long enough to make, or they hold many descriptors."""
        group = self.group
        wanted = min(MOST_STATES, group.orders["samples"] or MOST_STATES)
        begun, made = time.monotonic(), [group.kind(group.context)]
        if group.singly:
            return made
        first = open_descriptors()  # the first state also opens what all share: a tracker, a forkserver, the heap
        made.append(group.kind(group.context))
        opened = open_descriptors().items() - first.items()
        if opened:
            wanted = min(wanted, MOST_DESCRIPTORS // len(opened))
        if group.why_rebuilt or self._is_unrestorable(made[1], {target for _, target in opened}):
            wanted = min(wanted, group.size)
        elif self.folders:
            wanted = min(wanted, MOST_FOLDERS)
        while len(made) < wanted and time.monotonic() - begun < MAKING * group.orders["seconds"]:
            made.append(group.kind(group.context))
        return made

    def _is_unrestorable(self, state: Any, opened: set[str]) -> bool:
        """Tell whether states cannot be shown to be restorable, and keep why."""
        try:
            parts = survey(state)
        except Unrestorable as error:
            self.group.why_rebuilt = str(error)
        else:
            numbers = {number for _, number in parts.readers} | {segment._fd for segment in parts.segments}
            if not opened - _targets(numbers) - _heap():
                self.folders = bool(parts.folders)
                return False
            self.group.why_rebuilt = "descriptors are open that no attribute accounts for"
        return True

    def _restorer(self) -> Restorer | None:
        if not self.group.why_rebuilt:
            try:
                return Restorer(self.states)
            except Unrestorable as error:
                self.group.why_rebuilt = str(error)
        return None

    def run(self) -> None:
        """Start the actors and have them go through the states, batch after batch."""
        group = self.group
        begun = time.monotonic()
        self._start()
        started_s = time.monotonic() - begun if self.restorer is None else 0.0
        if self.restorer is not None:
            self.watch = Watch(self.states)
        _settle()
        group.tell("running", states=len(self.states))
        if group.deadline is None:
            group.deadline = time.monotonic() + group.orders["seconds"]
        while not group.over() and self.live:
            count = min(group.size, len(self.live), (group.orders["samples"] or 1 << 60) - group.taken)
            begun = time.monotonic()
            self._batch(count)
            took_s = time.monotonic() - begun
            group.running_s += took_s
            group.size = 1 if group.singly else _next_size(group.size, count, took_s, started_s)
            group.tell_sometimes()
            if self.restorer is None or group.why_rebuilt or len(self.live) * 2 < len(self.states):
                break

    def _start(self) -> None:
        group = self.group
        watched = self.restorer is not None
        for me, name in enumerate(group.actors):
            ours, theirs = group.context.Pipe()
            seat = Seat(me, name, len(group.actors), group.orders["seed"], group.apart, group.cpu_of(me), watched)
            process = group.context.Process(target=reside, name=name, args=(seat, theirs, self.memory, self.states))
            try:
                process.start()
            except (TypeError, AttributeError, RuntimeError, ValueError, ImportError) as error:
                self._refuse(error)
            except Exception as error:
                if type(error).__name__ != "PicklingError":
                    raise
                self._refuse(error)
            group.tell("started", child=process.pid, name=name)
            self.wires.append(ours)
            self.processes.append(process)
            if group.orders["method"] != "fork":
                theirs.close()
            self.selector.register(ours, selectors.EVENT_READ, me)
            self.selector.register(process.sentinel, selectors.EVENT_READ, process)
        self._receive()

    def _refuse(self, error: BaseException) -> None:
        text = f"its state cannot be sent to a process: {type(error).__name__}: {error}"
        self.group.tell("refused", message=text)
        raise _Ended from None

    def _batch(self, count: int) -> None:
        group = self.group
        number, group.batch = group.batch, group.batch + 1
        self.counted, self.raised = 0, sum(raises(self.places, len(self.processes)))
        for wire in self.wires:
            wire.send((number, count, self.dropped))
        self.dropped = set()
        strides = plan.strides(group.orders["seed"], number % plan.PLANS, count, len(self.wires), apart=group.apart)
        reports = self._receive(strides)
        self.turn += len(strides)
        self._note(reports)
        if count > 1 and (kept := next((report[3] for report in reports if report[3]), "")):
            self._singly(kept)
            return
        raised = {index: described for report in reversed(reports) for index, described in report[0]}
        self._collect(count, raised)
        if kept := next((report[3] for report in reports if report[3]), ""):
            self._singly(kept)

    def _singly(self, kept: str) -> None:
        """Go over to one sample for each process; what a batch of several gave does not count."""
        self.group.singly, self.group.why_rebuilt = True, f"from sample to sample an actor keeps {kept}"

    def _receive(self, strides: Sequence[plan.Stride] = ()) -> list[Any]:
        """Wait for each actor's report; meanwhile see whether one died, and whether anybody gets anywhere."""
        reports: dict[int, Any] = {}
        seen, since, stalled = reached(self.places, len(self.processes)), time.monotonic(), False
        while len(reports) < len(self.wires):
            died = None
            for key, _ in self.selector.select(_POLL_S):
                if isinstance(key.data, int):
                    with contextlib.suppress(EOFError, OSError):
                        reports[key.data] = self.wires[key.data].recv()
                else:
                    died = key.data
            if died is not None:
                self._died(died, strides)
            now = reached(self.places, len(self.processes))
            if now != seen:
                seen, since = now, time.monotonic()
                self.group.tell_sometimes()
            elif strides and not stalled and time.monotonic() - since > self.group.orders["deadline_s"] / 2:
                stalled = True
                self._collect_finished(strides)
        return [reports[me] for me in range(len(self.wires))]

    def _died(self, process: Any, strides: Sequence[plan.Stride]) -> None:
        process.join()
        code = process.exitcode
        if strides:
            self._collect_finished(strides)
        self.group.tell("died", name=process.name, code=code)
        raise _Ended

    def _collect_finished(self, strides: Sequence[plan.Stride]) -> None:
        """Count the states of the strides that every actor is through with, before the group is given up.

        In the stride that they are in, samples were taken as well, which are lost: an actor was through with less than
        all of it, and where any raised it is not known in which of the samples before.
        """
        group, actors = self.group, len(self.processes)
        through = min(len(strides), max(0, min(reached(self.places, actors)) - self.turn - 1))
        stop = strides[through - 1].stop if through else 0
        lost = strides[through].stop - stop - 1 if through < len(strides) else 0
        if sum(raises(self.places, actors)) > self.raised:
            lost += stop - self.counted
        elif stop > self.counted:
            positions = range(self.counted, stop)
            self._count(positions, self._results(positions), {}, {})
            self.counted = stop
        group.tell_counts(stalled=True, lost=lost)

    def _note(self, reports: Sequence[Any]) -> None:
        group = self.group
        if returned := next((report[2] for report in reports if report[2]), None):
            text = f"its actor {returned} returns something; what an actor observes belongs into the state"
            group.tell("refused", message=text)
            raise _Ended
        for stamps in zip(*(report[1] for report in reports)):  # noqa: B905  # Python 3.10 has strict, all are equal
            group.stamped += len(stamps[0]) - 1
            group.overlapped += plan.overlapped(list(stamps))

    def _collect(self, count: int, raised: Mapping[int, Any]) -> None:
        group, positions = self.group, range(self.counted, count)
        found = self._results(positions)
        among = self.live[:count]
        # After the results, which may empty queues.
        left = {} if self.restorer is None else self.restorer.inspect(among=set(among) if self.folders else among)
        self._count(positions, found, raised, left)
        group.taken += count
        if self.restorer is None:
            group.rebuilt += count
            return
        if self.watch is not None:
            self.watch.undo()
        group.why_rebuilt = self.restorer.unrestorable
        gone = self.restorer.restore(without={index for index, one in left.items() if one.spoiled})
        if gone:
            self.dropped = {position for position, index in enumerate(self.live) if index in gone}
            self.live = [index for index in self.live if index not in gone]
            group.rebuilt += len(self.dropped)

    def _results(self, positions: range) -> Results:
        states = [self.states[index] for index in self.live[positions.start : positions.stop]]
        return results(states, self.group.kind.result)

    def _count(
        self, positions: range, found: Results, raised: Mapping[int, Any], left: Mapping[int, Leftovers]
    ) -> None:
        """Count what the live states at some positions gave: what their actors raised first of all."""
        counts, live = self.group.counts, self.live[positions.start : positions.stop]
        values, failed = found
        if not raised and not failed and not left:
            counts.values(values)
            return
        plain = []
        for offset, (index, value) in enumerate(zip(live, values)):  # noqa: B905  # Python 3.10 has strict; equal
            if described := raised.get(positions[offset]):
                counts.other(described["kind"], described["detail"])
            elif offset in failed:
                counts.other("raised", _of_result(failed[offset]))
            elif index in left and (left[index].locks or left[index].items):
                counts.other("leak", _leak(left[index]))
            else:
                plain.append(value)
        counts.values(plain)

    def end(self) -> None:
        """Let the actors end; who does not in a moment is killed."""
        for wire in self.wires:
            with contextlib.suppress(OSError):
                wire.send(None)
        for process in self.processes:
            process.join(1)
            if process.exitcode is None:
                process.kill()
                process.join()
        self.selector.close()
        for wire in self.wires:
            wire.close()


def _settle() -> None:
    gc.collect()
    if hasattr(gc, "freeze"):
        gc.freeze()


def _next_size(size_now: int, count: int, seconds: float, started_s: float) -> int:
    """Say how many states the next batch goes through, so that it is short, but not against what it takes to start."""
    wanted_s = max(BATCH_S, started_s)
    if count < size_now and seconds < wanted_s:
        return size_now
    if seconds < wanted_s:
        return min(size_now * (4 if seconds < wanted_s / 4 else 2), MOST_STATES)
    return max(1, size_now // 2) if seconds > wanted_s * 2 else size_now


def _of_result(error: BaseException) -> dict[str, Any]:
    from bench.process.instrument import describe

    return {**describe(error), "process": "result", "role": "main"}


def _leak(left: Any) -> dict[str, Any]:
    found = {"locks": left.locks, "items": left.items}
    parts = [*(f"{name} is still held" for name in left.locks), *(f"{name} is not empty" for name in left.items)]
    return {**{kind: names for kind, names in found.items() if names}, "summary": "; ".join(parts)}


def _targets(numbers: set[int]) -> set[str]:
    """Give what descriptors lead to: that is what a duplicate, such as a mapping keeps, has in common with it."""
    return {target for number, target in open_descriptors().items() if number in numbers}


def _heap() -> set[str]:
    heap = sys.modules.get("multiprocessing.heap")
    return set() if heap is None else _targets({arena.fd for arena in heap.BufferWrapper._heap._arenas})
