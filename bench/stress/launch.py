"""One fork group as its observer sees it: started, listened to, given up when stuck, and ended."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.observation import SampleOutcome
from bench.outcomes import Matcher, Outcome, with_others
from bench.process import groups, hangs
from bench.process.ended import how_it_ended
from bench.process.folders import sample_folder
from bench.process.messages import HadRaised, Running, to_argument
from bench.process.stacks import Stack, stack_record
from bench.process.tree import Proc
from bench.process.watcher import Watcher
from bench.stress.messages import Counts, Died, Orders, Started, Taken, from_fields
from bench.targets import Found
from bench.values import Json

if TYPE_CHECKING:
    from bench.stress.messages import Event

_FIGURES = ("rebuilt", "stamped", "overlapped", "running_ns", "lost")
_POLL_S = 0.02


@dataclass
class GroupResult:
    """What one fork group gave: counts by the outcomes' keys, the first of each, and figures.

    `cut_short` if it ended by a crash or a hang, before its time; then `lost` of the figures says how many samples at
    most had been taken that are not counted. `tolerated` is the end of an actor that ended it, and that is no
    finding, as the author tolerates it or it ended well: the value of that sample is not known.
    """

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, SampleOutcome] = field(default_factory=dict)
    figures: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_FIGURES, 0))
    why_rebuilt: str = ""
    states: int = 0
    size: int = 1
    seconds: float = 0.0
    cut_short: bool = False
    tolerated: str = ""
    order: list[Outcome] = field(default_factory=list)
    """The outcomes of a trial, in the order of its samples."""
    left: set[str] = field(default_factory=set)
    """The queues and pipes that were not empty at the end of a sample."""

    @property
    def samples(self) -> int:
        """How many samples gave an outcome."""
        return sum(self.counts.values())

    def add(self, outcome: Outcome, count: int, witness: Mapping[str, Json]) -> None:
        """Count an outcome."""
        self.counts[outcome.key] = self.counts.get(outcome.key, 0) + count
        self.first.setdefault(outcome.key, SampleOutcome(outcome, witness))


def run_group(found: Found, orders: Orders, on_counts: Callable[[GroupResult], None]) -> GroupResult:
    """Run a group until its time is over, or a process of it dies, or nothing moves for its deadline.

    Args:
        found: the scenario.
        orders: for the group.
        on_counts: called with the result so far whenever there are new counts.

    Raises:
        UsageError: if the scenario cannot be run as it is, since an actor returns something.
    """
    with sample_folder() as folder:
        started = time.monotonic()
        main = groups.start("bench.stress.main", [to_argument(orders)], folder, orders.seed)
        listener = _Listener(orders, folder, main.pid, on_counts)
        listener.tolerates = found.program.tolerates
        try:
            Watcher(found, main, folder, listener, deadline_s=orders.deadline_s, poll_s=_POLL_S).watch()
            listener.note_left(groups.left_behind(main, folder, listener.names))
        finally:  # also where we are interrupted ourselves: nothing may run on
            groups.end(main, folder)
        listener.result.seconds = time.monotonic() - started
    return listener.result


class _Listener:
    def __init__(self, orders: Orders, folder: Path, main_pid: int, on_counts: Callable[[GroupResult], None]) -> None:
        self.orders, self.folder, self.main_pid, self.on_counts = orders, folder, main_pid, on_counts
        self.result = GroupResult()
        self.tolerates: tuple[Matcher, ...] = ()
        self.names: dict[int, str] = {}
        self.described: dict[tuple[str, int], Outcome] = {}
        self.raised: list[Outcome] = []
        """What actors raised in the stride that they are stuck in."""

    def parse(self, fields: Mapping[str, Any]) -> Event:
        return from_fields(fields)

    def hear(self, event: Event) -> bool:
        if isinstance(event, Running):
            self.result.states = event.states
        elif isinstance(event, Started):
            self.names[event.child] = event.name
        elif isinstance(event, HadRaised):
            self.described[event.name, event.number] = Outcome(event.kind, detail=event.detail)
        elif isinstance(event, Counts):
            self.raised = [self.described[one] for one in event.raised if one in self.described]
            self.count(event)
            self.on_counts(self.result)
            return not event.stalled
        elif isinstance(event, Taken):
            self.result.order += [Outcome(*one) for one in event.outcomes]
        elif isinstance(event, Died):
            detail = {"process": event.name, "role": "child", **how_it_ended(event.code)}
            crash = Outcome("crash", detail=detail)
            if event.code == 0:  # by `os._exit`, which is no crash
                self.result.tolerated = f"{event.name} ended with exit status 0"
            elif any(one.matches(crash) for one in self.tolerates):
                self.result.tolerated = crash.text()
            else:
                self.end(crash)
        return True

    def count(self, event: Counts) -> None:
        for recorded, count in event.values:
            self.add(Outcome("value", recorded), count)
        for kind, detail, count in event.others:
            self.add(Outcome(kind, detail=detail), count)
        figures = self.result.figures
        lost_before = figures["lost"]
        for name in figures:
            figures[name] += getattr(event, name)
        figures["lost"] -= lost_before  # of the end alone: a group that goes on after all has lost nothing
        self.result.size = event.size
        self.result.left.update(event.left)
        self.result.why_rebuilt = event.why_rebuilt or self.result.why_rebuilt

    def add(self, outcome: Outcome, count: int = 1) -> None:
        witness: dict[str, Json] = {"seed": self.orders.seed}
        if outcome.kind in ("crash", "hang") and (text := groups.stderr(self.folder)):
            witness["stderr"] = text
        self.result.add(outcome, count, witness)

    def note_left(self, left: Sequence[Proc]) -> None:
        """Count a leak of processes that outlive the group; one that has ended before its time may have left any."""
        if left and not (self.result.cut_short or self.result.tolerated):
            commands: list[Json] = [one.command for one in left]
            summary = f"{len(left)} {'process' if len(left) == 1 else 'processes'} ({left[0].command})"
            self.add(Outcome("leak", detail={"processes": commands, "summary": summary}))

    def end(self, outcome: Outcome) -> None:
        self.result.cut_short |= outcome.kind in ("crash", "hang")
        self.result.order.append(outcome)
        self.add(outcome)

    def stuck(self, asked: Sequence[Stack], *, waited_s: float, running: bool) -> None:
        names = {**self.names, self.main_pid: "MainProcess"}
        told = hangs.members(asked, {**names, self.main_pid: "result"} if running else names)
        detail: dict[str, Json] = {
            "phase": "program",
            "deadline_s": waited_s,
            "slow": hangs.is_slow(told),
            "summary": hangs.summary(told, waited_s, nobody="the actors were not there yet"),
            "processes": [stack_record(one, names.get(one.pid)) for one in asked],
        }
        self.end(with_others(Outcome("hang", detail=detail), self.raised))
        if sum(_is_in_a_sample(one.stack) for one in asked if one.pid in self.names) > 1:
            # Two are stuck in the middle of one sample.
            self.result.figures["stamped"] += 1
            self.result.figures["overlapped"] += 1


def _is_in_a_sample(stack: str) -> bool:
    """Return whether an actor is in its method, and not waiting for others or for orders."""
    frames = re.findall(r"in (\w+)$", stack, re.M)
    return "reside" in frames and not {"wait_for_all", "recv", "send"}.intersection(frames[: frames.index("reside")])
