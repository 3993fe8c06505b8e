"""One exploration as its observer sees it: started, listened to, given up when stuck, and ended."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.declared import actors_of
from bench.explore.messages import Anew, Counts, Figures, NewOutcome, Orders, Replay, Witness, from_fields
from bench.explore.runtime import layout as at
from bench.explore.runtime.board import EVENTS, VARIABLE, Board
from bench.outcomes import Outcome, grades_items, signals_of
from bench.process import groups, hangs
from bench.process.folders import sample_folder
from bench.process.messages import HadRaised, to_argument
from bench.process.stacks import Stack, stack_record
from bench.process.watcher import Watcher
from bench.targets import Found
from bench.values import Json

if TYPE_CHECKING:
    from bench.explore.messages import Event

STEPS = 10_000
"""Steps of a schedule of a scenario after which it is given up, unless ordered otherwise; of a program, all that there
is room for. It counts for nothing then. The limit of scenarios is lower as loops that never end are run up to it, in
schedule after schedule."""

_POLL_S = 0.01


@dataclass
class ExplorationResult:
    """What an exploration gave.

    `counts` are by the outcomes' keys, `outcomes` the first of each, `witnesses` the shrunk schedules of the first few
    outcomes. `stuck` says why it was given up, if it was. `replay` is what became of a schedule that was replayed.
    """

    counts: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    witnesses: dict[str, Mapping[str, Json]] = field(default_factory=dict)
    figures: Figures = field(default_factory=Figures)
    stuck: str = ""
    replay: Replay | None = None
    seconds: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """Count an outcome once."""
        self.outcomes.setdefault(outcome.key, outcome)
        self.counts[outcome.key] = self.counts.get(outcome.key, 0) + 1


def make_orders(found: Found, *, method: str, seed: int = 0, deadline_s: float, **others: Any) -> Orders:
    """Return the orders of an exploration.

    Args:
        found: the target.
        method: the start method.
        seed: of all that is random.
        deadline_s: how long nothing may move.
        others: what differs from the defaults of `Orders`.
    """
    place, target = found.place, found.program
    actors = actors_of(target)
    return Orders(
        root=place.root or "",
        module=place.module,
        name=target.name,
        method=method,
        seed=seed,
        actors=actors,
        limit=STEPS if actors else at.MOST_STEPS - 1,
        deadline_s=deadline_s,
        grades_kills=any(one.after_kill for one in target.expectations),
        tolerates=signals_of(target.tolerates),
        items=grades_items(target.expectations),
    )._replace(**others)


def run_group(found: Found, orders: Orders, on_counts: Callable[[ExplorationResult], None]) -> ExplorationResult:
    """Explore until all is seen that the strategy wants to see, or nothing moves for the deadline.

    Args:
        found: the target.
        orders: for the exploration.
        on_counts: called with the result so far whenever there are new counts.

    Raises:
        UsageError: if the target cannot be run as it is, since an actor returns something.
    """
    with sample_folder() as folder:
        started, board = time.monotonic(), str(folder / "board")
        env = {VARIABLE: board, **_events(orders, folder)}
        main = groups.start("bench.explore.driver.main", [to_argument(orders)], folder, orders.seed, env)
        listener = _Listener(folder, main.pid, on_counts)
        try:
            Watcher(found, main, folder, listener, deadline_s=orders.deadline_s, poll_s=_POLL_S).watch()
        finally:  # also where we are interrupted ourselves: nothing may run on
            groups.end(main, folder)
        listener.result.seconds = time.monotonic() - started
    return listener.result


def _events(orders: Orders, folder: Path) -> dict[str, str]:
    """Return the environment in which the processes of a program journal in a folder of their own."""
    if orders.actors:
        return {}
    (folder / "events").mkdir()
    return {EVENTS: str(folder / "events")}


class _Listener:
    def __init__(self, folder: Path, main_pid: int, on_counts: Callable[[ExplorationResult], None]) -> None:
        self.folder, self.main_pid, self.on_counts = folder, main_pid, on_counts
        self.result = ExplorationResult()
        self.keys: dict[int, str] = {}
        self.raised: list[Outcome] = []
        """What threads have raised."""

    def parse(self, fields: Mapping[str, Any]) -> Event:
        return from_fields(fields)

    def hear(self, event: Event) -> bool:
        result = self.result
        if isinstance(event, NewOutcome):
            outcome = Outcome(event.kind, event.value, event.detail)
            self.keys[event.number] = outcome.key
            result.outcomes.setdefault(outcome.key, self.with_output(outcome))
            result.counts.setdefault(outcome.key, 1)
        elif isinstance(event, Counts):
            result.counts.update({self.keys[number]: count for number, count in event.counts.items()})
            result.figures = result.figures._replace(schedules=event.schedules, steps=event.steps)
            self.on_counts(result)
        elif isinstance(event, Anew):
            self.keys.clear()
            self.result = ExplorationResult()
        elif isinstance(event, Witness):
            result.witnesses[self.keys[event.number]] = event.witness
        elif isinstance(event, Figures):
            result.figures = event
        elif isinstance(event, Replay):
            result.replay = event
        elif isinstance(event, HadRaised):
            self.raised.append(Outcome(event.kind, detail=event.detail))
        return True

    def end(self, outcome: Outcome) -> None:
        self.result.add(self.with_output(outcome))

    def with_output(self, outcome: Outcome) -> Outcome:
        if outcome.kind == "crash" and (text := groups.stderr(self.folder)):
            return Outcome(outcome.kind, outcome.value, {**outcome.detail, "stderr": text})
        return outcome

    def stuck(self, asked: Sequence[Stack], *, waited_s: float, running: bool) -> None:
        """Take in where all processes are: in the result, which is a hang, or where the scheduler cannot see it."""
        asked = [one for one in asked if one.role == "process" and not _is_idle(one.stack)]
        names = self.names()
        main = next((one for one in asked if _in_result(one.stack)), None)
        if main is not None and running:
            names[main.pid] = "MainProcess"
            processes: list[Json] = [stack_record(one, names.get(one.pid)) for one in asked]
            told = hangs.members([main], {main.pid: "result"})
            detail: dict[str, Json] = {
                "phase": "program",
                "deadline_s": waited_s,
                "slow": hangs.is_slow(told),
                "summary": hangs.summary(told, waited_s),
                "processes": processes,
            }
            self.result.add(Outcome("hang", detail=detail))
        else:
            busy = [one for one in asked if not _at_a_point(one.stack) and one.pid != self.main_pid]
            told = hangs.members(busy, names) or hangs.members(asked, names)
            where = hangs.where(told) or "the processes were not there yet"
            stuck = f"nothing moved for {waited_s:g} s: {where}" + self.raised_before()
            self.result.stuck = "; ".join([*(f"not controlled: {one}" for one in self.uncontrolled()), stuck])

    def raised_before(self) -> str:
        """Return in words what threads have raised, which may be why nothing moves."""
        return "".join(f"; first {one.text()}" for one in self.raised[:1])

    def uncontrolled(self) -> list[str]:
        """Return what the board has of things that are not controlled."""
        with contextlib.suppress(OSError):
            board = Board(str(self.folder / "board"))
            found = board.uncontrolled()
            board.close()
            return found
        return []

    def names(self) -> dict[int, str]:
        """Return the names of the processes: those of their lanes, which the board has."""
        names = {self.main_pid: "MainProcess"}
        with contextlib.suppress(OSError):
            board = Board(str(self.folder / "board"))
            for lane in range(board.named_lanes):
                names[board.lane(lane).pid] = board.name(lane)
            board.close()
        return names


def _in_result(stack: str) -> bool:
    return f'{os.sep}actors.py"' in stack and "in read_result" in stack


def _is_idle(stack: str) -> bool:
    """Return whether it is a process of ours from which those of schedules are forked."""
    return "in _be_template" in stack and not _in_result(stack)


def _at_a_point(stack: str) -> bool:
    """Return whether a process waits for the baton."""
    return "in _await" in stack or "in begin" in stack
