"""One fork group as its observer sees it: started, listened to through its journal, given up when stuck, and ended."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.observation import Seen
from bench.outcomes import Outcome
from bench.process import groups, journal, stacks, tree
from bench.process.ended import how_it_ended
from bench.process.folders import environment, sample_folder
from bench.process.stacks import waits_at
from bench.targets import Found
from bench.values import Json

_MAIN = Path(__file__).with_name("main.py")

_STARTING_S = 30.0
"""How long a group may take until its actors are there: imports, states, starts."""

_FIGURES = ("rebuilt", "stamped", "overlapped", "running_ns", "lost")
_POLL_S = 0.02


@dataclass
class GroupSeen:
    """What one fork group gave: counts by the outcomes' keys, the first of each, and figures.

    `cut_short` if it ended by a crash or a hang, before its time; then `lost` of the figures says how many samples at
    most had been taken that are not counted.
    """

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, Seen] = field(default_factory=dict)
    figures: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_FIGURES, 0))
    why_rebuilt: str = ""
    states: int = 0
    size: int = 1
    seconds: float = 0.0
    cut_short: bool = False

    @property
    def samples(self) -> int:
        """How many samples gave an outcome."""
        return sum(self.counts.values())

    def add(self, outcome: Outcome, count: int, witness: Mapping[str, Json]) -> None:
        """Count an outcome."""
        self.counts[outcome.key] = self.counts.get(outcome.key, 0) + count
        self.first.setdefault(outcome.key, Seen(outcome, witness))


def run_group(found: Found, orders: Mapping[str, Any], told: Callable[[GroupSeen], None]) -> GroupSeen:
    """Run a group until its time is over, or a process of it dies, or nothing moves for its deadline.

    Args:
        found: the scenario.
        orders: for `bench.stress.coordinator`.
        told: is told whenever there are new counts.

    Raises:
        UsageError: if the scenario cannot be run as it is: a state that cannot be sent, an actor that returns things.
    """
    with sample_folder() as folder:
        started = time.monotonic()
        main = groups.start(_MAIN, orders, folder, environment(folder, orders["seed"]))
        try:
            seen = _Watcher(found, orders, folder, main, told).watch()
        finally:  # also where we are interrupted ourselves: nothing may run on
            groups.end(main, folder)
        seen.seconds = time.monotonic() - started
    return seen


class _Watcher:
    def __init__(
        self,
        found: Found,
        orders: Mapping[str, Any],
        folder: Path,
        main: subprocess.Popen[bytes],
        told: Callable[[GroupSeen], None],
    ) -> None:
        self.found, self.orders, self.folder, self.main, self.told = found, orders, folder, main, told
        self.seen = GroupSeen()
        self.reader = groups.Reader(folder)
        self.running = self.over = False
        self.moved = time.monotonic()

    def watch(self) -> GroupSeen:
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
        kind = event["event"]
        if not event.get("stalled"):
            self.moved = time.monotonic()
        if kind == "running":
            self.running, self.seen.states = True, event["states"]
        elif kind == "counts":
            self.count(event)
            self.told(self.seen)
        elif kind == "refused":
            at = f"{self.found.program.file}:{self.found.program.line}: {self.found.program.name}"
            raise UsageError(f"{at}: {event['message']}")
        elif kind == "failed":
            detail = {key: item for key, item in event.items() if key not in ("event", "pid")}
            self.outcome(Outcome("raised", detail={**detail, "process": "MainProcess", "role": "main"}))
            self.over = True
        elif kind == "died":
            self.actor_died(event["name"], event["code"])
        elif kind == "over":
            self.over = True

    def count(self, event: Mapping[str, Any]) -> None:
        for recorded, count in event["values"]:
            self.outcome(Outcome("value", recorded), count)
        for kind, detail, count in event["others"]:
            self.outcome(Outcome(kind, detail=detail), count)
        lost_before = self.seen.figures["lost"]
        for name in self.seen.figures:
            self.seen.figures[name] += event[name]
        self.seen.figures["lost"] -= lost_before  # of the end alone: who goes on after all has lost nothing
        self.seen.size = event["size"]
        self.seen.why_rebuilt = event["why_rebuilt"] or self.seen.why_rebuilt

    def outcome(self, outcome: Outcome, count: int = 1) -> None:
        witness: dict[str, Json] = {"seed": self.orders["seed"]}
        if outcome.kind in ("crash", "hang") and (text := self.stderr()):
            witness["stderr"] = text
        self.seen.add(outcome, count, witness)

    def stderr(self) -> str:
        with contextlib.suppress(OSError):
            return (self.folder / "stderr").read_text("utf-8", "replace")[-4_000:]
        return ""

    def actor_died(self, name: str, code: int | None) -> None:
        self.seen.cut_short = True
        self.outcome(Outcome("crash", detail={"process": name, "role": "child", **how_it_ended(code)}))

    def main_died(self) -> None:
        code = self.main.returncode
        self.outcome(Outcome("crash", detail={"process": "MainProcess", "role": "main", **how_it_ended(code)}))
        self.over = self.seen.cut_short = True

    def stuck(self) -> None:
        members = tree.find(f"{journal.VARIABLE}={self.folder}", self.main.pid)
        asked = stacks.ask(members)
        for event in self.reader.new():  # what was counted in the meantime
            self.hear(event)
        names = {event["child"]: event["name"] for event in self.reader.started}
        actors = [one for one in asked if one.pid in names]
        deadline_s = self.orders["deadline_s"] if self.running else _STARTING_S
        waits = "; ".join(f"{names[one.pid]} {waits_at(one.stack)}" for one in actors)
        names[self.main.pid] = "MainProcess"
        detail: dict[str, Json] = {
            "phase": "program",
            "deadline_s": deadline_s,
            "summary": f"after {deadline_s:g} s {waits or 'the actors were not there yet'}",
            "processes": [groups.told(one, names.get(one.pid)) for one in asked],
        }
        self.seen.cut_short = True
        self.outcome(Outcome("hang", detail=detail))
        if sum(_is_at_it(one.stack) for one in actors) > 1:  # two are stuck in the middle of one sample
            self.seen.figures["stamped"] += 1
            self.seen.figures["overlapped"] += 1
        self.over = True


def _is_at_it(stack: str) -> bool:
    """Tell whether an actor is in its method, and not waiting for others or for orders."""
    frames = re.findall(r"in (\w+)$", stack, re.M)
    return "reside" in frames and not {"meet", "recv", "send"}.intersection(frames[: frames.index("reside")])
