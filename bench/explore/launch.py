"""One exploration as its observer sees it: started, listened to through its journal, given up when stuck, and ended."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.declared import actors_of
from bench.errors import UsageError
from bench.explore.runtime import layout as at
from bench.explore.runtime.board import EVENTS, VARIABLE, Board, remove_semaphores
from bench.outcomes import Outcome
from bench.process import groups, journal, stacks, tree
from bench.process.ended import how_it_ended
from bench.process.folders import sample_folder
from bench.process.stacks import stack_record, waits_at
from bench.targets import Found
from bench.values import Json

STEPS = 2_000
"""Steps of a schedule of a scenario after which it is given up, unless ordered otherwise; of a program, all there is
room for, since it counts for nothing then."""

_STARTING_S = 30.0
"""How long an exploration may take until the actors are there: imports, state, starts."""

_POLL_S = 0.01


@dataclass
class Explored:
    """What an exploration gave.

    `counts` are by the outcomes' keys, `outcomes` the first of each, `witnesses` the shrunk schedules, of the first few
    outcomes, as `findings.schedule.witness` makes them. `figures` are those of the event `explored`: `strategy`,
    `complete`, `claim`, `points` (different operations), `rebuilt`, `why_rebuilt`, `uncontrolled`, `differed`, `asleep`
    (schedules that were left off), `schedules`, `steps`, `seconds`; of an exploration that was given up only
    `schedules` and `steps`. `stuck` says why it was given up. `replayed` is what `following.follow` gave, with the
    key of the `outcome` and the `witness` of a last run.
    """

    counts: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    witnesses: dict[str, Mapping[str, Json]] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    stuck: str = ""
    replayed: dict[str, Any] | None = None
    seconds: float = 0.0


def orders(found: Found, *, method: str, seed: int = 0, **others: Any) -> dict[str, Any]:
    """Make the orders of an exploration.

    Args:
        found: the scenario.
        method: the start method.
        seed: of all that is random.
        others: what differs from the defaults: `strategy` ("portfolio"), `preemptions` (`None`), `schedules` (`None`),
            `seconds` (`None`, no bound), `kills` (0), `limit` (steps of a schedule), `deadline_s` (how long nothing
            may move), `replay` (`None`, or `anchors` and `times` as `following.follow` takes them: then nothing is
            explored).
    """
    place, target = found.place, found.program
    actors = actors_of(target)
    return {
        "root": place.root or "",
        "module": place.module,
        "name": target.name,
        "method": method,
        "seed": seed,
        "actors": actors,
        "strategy": "portfolio",
        "preemptions": None,
        "schedules": None,
        "seconds": None,
        "kills": 0,
        "limit": STEPS if actors else at.MOST_STEPS - 1,
        "deadline_s": 2.0,
        "replay": None,
        **others,
    }


def run_group(found: Found, orders: Mapping[str, Any], told: Callable[[Explored], None]) -> Explored:
    """Explore until all is seen that the strategy wants to see, or nothing moves for the deadline.

    Args:
        found: the scenario.
        orders: see `orders`.
        told: is told whenever there are new counts.

    Raises:
        UsageError: if the scenario cannot be run as it is: a state that cannot be sent, an actor that returns things.
    """
    with sample_folder() as folder:
        started, board = time.monotonic(), str(folder / "board")
        env = {VARIABLE: board, **_events(orders, folder)}
        main = groups.start("bench.explore.driver.main", [repr(dict(orders))], folder, orders["seed"], env)
        try:
            seen = _Watcher(found, orders, folder, main, told).watch()
        finally:  # also where we are interrupted ourselves: nothing may run on
            groups.end(main, folder)
            remove_semaphores(board)
        seen.seconds = time.monotonic() - started
    return seen


def _events(orders: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Have the processes of a program journal in a folder of their own."""
    if orders["actors"]:
        return {}
    (folder / "events").mkdir()
    return {EVENTS: str(folder / "events")}


class _Watcher:
    def __init__(
        self,
        found: Found,
        orders: Mapping[str, Any],
        folder: Path,
        main: subprocess.Popen[bytes],
        told: Callable[[Explored], None],
    ) -> None:
        self.found, self.orders, self.folder, self.main, self.told = found, orders, folder, main, told
        self.seen = Explored()
        self.keys: dict[int, str] = {}
        self.names: dict[int, str] = {main.pid: "MainProcess"}
        self.reader = groups.Reader(folder)
        self.running = self.over = False
        self.moved = time.monotonic()

    def watch(self) -> Explored:
        while not self.over:
            ended = self.main.poll() is not None
            for event in self.reader.new():
                self.hear(event)
            if ended and not self.over:
                self.main_died()
            elif time.monotonic() - self.moved > (self.orders["deadline_s"] if self.running else _STARTING_S):
                self.stuck()
            elif not self.over:
                time.sleep(_POLL_S)
        return self.seen

    def hear(self, event: Mapping[str, Any]) -> None:
        self.moved = time.monotonic()
        fields = {name: item for name, item in event.items() if name not in ("event", "pid")}
        handler = getattr(self, f"hear_{event['event']}", None)
        if handler is not None:
            handler(**fields)

    def hear_starting(self) -> None:
        self.running = False

    def hear_running(self) -> None:
        self.running = True

    def hear_outcome(self, number: int, kind: Any, value: Json, detail: dict[str, Json]) -> None:
        outcome = Outcome(kind, value, detail)
        self.keys[number] = outcome.key
        self.seen.outcomes.setdefault(outcome.key, self.with_output(outcome))
        self.seen.counts.setdefault(outcome.key, 1)

    def hear_counts(self, counts: Mapping[int, int], schedules: int, steps: int) -> None:
        self.seen.counts.update({self.keys[number]: count for number, count in counts.items()})
        self.seen.figures.update(schedules=schedules, steps=steps)
        self.told(self.seen)

    def hear_witness(self, number: int, witness: Mapping[str, Json]) -> None:
        self.seen.witnesses[self.keys[number]] = witness

    def hear_explored(self, **figures: Any) -> None:
        self.seen.figures.update(figures)

    def hear_replayed(self, **told: Any) -> None:
        self.seen.replayed = told

    def hear_refused(self, message: str) -> None:
        at = f"{self.found.program.file}:{self.found.program.line}: {self.found.program.name}"
        raise UsageError(f"{at}: {message}")

    def hear_failed(self, **detail: Json) -> None:
        self.add(Outcome("raised", detail={**detail, "process": "MainProcess", "role": "main"}))
        self.over = True

    def hear_over(self) -> None:
        self.over = True

    def add(self, outcome: Outcome) -> None:
        self.seen.outcomes.setdefault(outcome.key, outcome)
        self.seen.counts[outcome.key] = self.seen.counts.get(outcome.key, 0) + 1

    def with_output(self, outcome: Outcome) -> Outcome:
        if outcome.kind == "crash" and (text := self.stderr()):
            return Outcome(outcome.kind, outcome.value, {**outcome.detail, "stderr": text})
        return outcome

    def stderr(self) -> str:
        with contextlib.suppress(OSError):
            return (self.folder / "stderr").read_text("utf-8", "replace")[-4_000:]
        return ""

    def main_died(self) -> None:
        code = self.main.returncode
        detail: dict[str, Json] = {"process": "MainProcess", "role": "main", **how_it_ended(code)}
        self.add(self.with_output(Outcome("crash", detail=detail)))
        self.over = True

    def stuck(self) -> None:
        """Say where everybody is when nothing moves: in the result, which is a hang, or where nobody sees it."""
        members = [
            proc for proc in tree.find(f"{journal.VARIABLE}={self.folder}", self.main.pid) if proc.role == "process"
        ]
        self.read_names()
        asked = stacks.ask(members)
        for event in self.reader.new():
            self.hear(event)
        if self.over:
            return
        deadline_s = self.orders["deadline_s"] if self.running else _STARTING_S
        main = next((one for one in asked if one.pid == self.main.pid), None)
        if main is not None and self.running and _in_result(main.stack):
            told: list[Json] = [stack_record(one, self.names.get(one.pid)) for one in asked]
            summary = f"after {deadline_s:g} s result {waits_at(main.stack)}"
            detail: dict[str, Json] = {
                "phase": "program",
                "deadline_s": deadline_s,
                "summary": summary,
                "processes": told,
            }
            self.add(Outcome("hang", detail=detail))
        else:
            busy = [one for one in asked if not _at_a_point(one.stack) and one.pid != self.main.pid]
            where = "; ".join(f"{self.names.get(one.pid, 'a process')} {waits_at(one.stack)}" for one in busy or asked)
            self.seen.stuck = f"nothing moved for {deadline_s:g} s: {where or 'the processes were not there yet'}"
        self.over = True

    def read_names(self) -> None:
        """Read from the board which process is which lane's."""
        with contextlib.suppress(OSError):
            board = Board(str(self.folder / "board"))
            for lane in range(board.named_lanes):
                self.names[board.lane(lane).pid] = board.name(lane)
            board.close()


def _in_result(stack: str) -> bool:
    return f'{os.sep}actors.py"' in stack and "in read_result" in stack


def _at_a_point(stack: str) -> bool:
    """Tell whether a process waits for the baton."""
    return "in _await" in stack or "in begin" in stack
