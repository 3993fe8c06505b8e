"""Explores whole programs: their main process and each child that is started are lanes.

In each schedule the main process is forked anew from this one, which has imported the program's module; so nothing is
left over from the schedule before. What shares something when it is imported (a global lock) is imported in each main
process instead. The start method is that of the context which the program is given, and the default one: it is
that of its children alone.

After each schedule all processes of it are ended, and names of semaphores and segments that are left are removed. Of
what a program leaves behind, segments, semaphores and descriptors are an outcome (`leak`); processes and threads are
mode repeat's to find.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
from contextlib import suppress
from multiprocessing import resource_tracker

from bench.explore.driver.exploration import TELL_S, Exploration
from bench.explore.driver.program_process import perform
from bench.explore.driver.scenario import Refused
from bench.explore.points import processes
from bench.explore.runtime import board as at
from bench.explore.runtime import control
from bench.explore.runtime.board import (
    COMMAND,
    COORDINATOR,
    FEEDERS,
    HOSTS,
    LANE,
    LANES,
    LOG,
    MOST_LANES,
    PIDS,
    PRESENT,
    STEPS,
)
from bench.explore.runtime.registry import Names
from bench.explore.runtime.scheduler import gone
from bench.outcomes import Outcome
from bench.process import journal
from bench.process.ended import has_ended, wait_for_end
from bench.process.evidence import Evidence, decide, failures

TYPE_CHECKING = False  # as type checkers know it: each exploration of a program imports this

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from bench.explore.driver.exploration import Seen
    from bench.explore.model import End, Plan, Trace
    from bench.explore.runtime.board import Board

MAIN = "main"
"""What the lane of the main process is called."""

LONG = 5_000
"""Steps of a schedule above which it is neither told nor kept: nobody reads that."""

SHORTENING_S = 10.0
"""About how long making all schedules of a program shorter may take."""

_PRELOADED = (
    "multiprocessing.queues",
    "multiprocessing.sharedctypes",
    "bench.process.instrument",
    "bench.explore.runtime.death_signal",
    *(
        f"bench.explore.points.{name}"
        for name in ("clock", "files", "locks", "pipes", "queues", "shared", "threads", "values")
    ),
)
"""What each child imports, so that a forkserver, which has it, need not have each import it anew: that takes 100 ms.

All but `points.processes`, which has to be imported when `instrument` is installed, in the child.
"""

_SET_CHILD_SUBREAPER = 36
"""`PR_SET_CHILD_SUBREAPER` of prctl(2): orphans below this process become its children."""


class ProgramExploration(Exploration):
    """The exploration of a program: a new main process for each schedule."""

    def __init__(self, orders: Mapping[str, Any], tell: Any, board: Board) -> None:
        if orders["kills"]:
            raise Refused("the processes of a program are not killed by plan; write what is to be killed as a scenario")
        super().__init__({**orders, "actors": (MAIN,)}, None, tell, board)
        self.events = os.environ[at.EVENTS]
        self.overlong = 0
        """Schedules that were given up for their number of steps, which says nothing of the program."""
        self.deaths = 0
        """Processes that ended otherwise than by a step, and so at a time that is no choice."""
        self.main = 0
        self.main_status: int | None = None
        self._beat_at = 0
        self._shortening_until: float | None = None
        control.know(Names(board, COORDINATOR))
        _adopt_orphans()
        resource_tracker.ensure_running()
        if orders["method"] == "forkserver":
            from multiprocessing import forkserver

            forkserver.set_forkserver_preload(["__main__", *_PRELOADED])
            forkserver.ensure_running()
        self.shares_at_import = self._shares_at_import()
        if not self.shares_at_import:
            self._load()
        tell("running")

    def _load(self) -> Any:
        return getattr(importlib.import_module(self.orders["module"]), self.orders["name"])

    def _shares_at_import(self) -> bool:
        """Tell whether the import of the program makes anything shared, by importing it in a process of its own."""
        pid = os.fork()
        if not pid:
            shares = False
            try:
                names = Names(self.board, COORDINATOR)
                control.know(names)
                self._load()
                shares = names.count_made() > 0
            finally:  # what it raises it will raise again, where it counts
                processes.end_now(3 if shares else 0)
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status) == 3

    # One schedule.

    def ready(self) -> Any:
        """Have a main process that waits for its schedule."""
        if self.main:
            return None
        self.board.numbers[PIDS + 1 : PIDS + MOST_LANES] = _NO_PIDS
        self.main_status = None
        _flush()
        pid = os.fork()
        if not pid:
            perform(self.board, self.events, self._load, self.orders["method"], self.orders["seed"])
        with suppress(OSError):  # whoever comes first; it is the same group
            os.setpgid(pid, pid)
        self.main = pid
        return None

    def play(self, plan: Plan) -> Trace:
        """Run a plan, take down its outcome, and end what is left of it."""
        self.ready()
        self._beat_at = 0
        end = self.machine.run(plan)
        key = self._key(end)
        trace = self.machine.trace(plan, "stuck" if end == "died" else end, key)
        if self.counting:
            self.schedules += 1
        self.deaths += end == "died"
        if trace.outcome:
            self._count(trace)
        elif end == "asleep":
            self.asleep += 1
        self.clear()
        return trace

    def _key(self, end: End) -> str:
        """Give the key of the outcome of a schedule that has ended."""
        if end in ("done", "died"):
            return self._known(decide(self._evidence(wait=end == "done")))
        if end == "stuck":
            return self._of_stuck(self)  # type: ignore[arg-type]  # handed through to _stacks, which is ours
        if end == "limit" and self.board.numbers[STEPS] < self.machine.limit:
            return self._of_limit(self)  # type: ignore[arg-type]  # as above
        if end == "limit":
            self.overlong += 1
        return ""

    def _evidence(self, *, wait: bool) -> Evidence:
        if wait and self.main_status is None:
            self._await_main()
        status = self.main_status
        if status is None:  # a child ended whom nobody could wait for, and the main process stays where it is
            os.kill(self.main, signal.SIGKILL)
            self._await_main()
        events = journal.read(self.events)
        present = [(kind, name) for kind, name in _named(events) if os.path.exists(_path_of(kind, name))]
        return Evidence(
            status if status is not None else 0,
            events,
            self.main,
            (),
            (),
            [name for kind, name in present if kind == "shared_memory"],
            [name for kind, name in present if kind == "semaphore"],
        )

    def _await_main(self) -> None:
        _, status = os.waitpid(self.main, 0)
        self.main_status = os.waitstatus_to_exitcode(status)

    def _known(self, outcome: Outcome, stuck: Any = None) -> str:
        if stuck is not None:
            evidence = Evidence(None, journal.read(self.events), self.main)
            if others := failures(evidence):
                also: Any = [one.text() for one in others[:4]]
                outcome = Outcome(outcome.kind, outcome.value, {**outcome.detail, "also": also})
        return super()._known(outcome, stuck)

    def _stacks(self, _: Any) -> list[dict[str, Any]]:
        lanes = [lane for lane in self._present() if not self._is_feeder(lane)]
        for lane in lanes:
            self.machine.tell(lane)
        told = {event["lane"]: event["stack"] for event in journal.read(self.events) if event["event"] == "stack"}
        return [
            {
                "name": self.board.name(lane),
                "pid": self.board.numbers[PIDS + lane],
                "role": "process",
                "stack": told.get(lane, ""),
            }
            for lane in lanes
        ]

    def _is_feeder(self, lane: int) -> bool:
        return bool(self.board.numbers[FEEDERS] >> lane & 1)

    # Whoever ends otherwise than by a step.

    def died(self) -> bool:
        """Tell whether a schedule cannot go on since a process has ended, having seen to it that it can if possible."""
        self._give_sign()
        if self.main_status is None:
            pid, status = os.waitpid(self.main, os.WNOHANG)
            if pid:
                self.main_status = os.waitstatus_to_exitcode(status)
        if self.main_status is not None and self.board.numbers[PRESENT] & 1:
            return True
        lane = self._lost()
        return lane is not None and not self._go_on_without(lane)

    def _give_sign(self) -> None:
        """Say that a long schedule gets on."""
        steps = self.board.numbers[STEPS]
        if steps != self._beat_at and time.monotonic() - self.told >= TELL_S:
            self._beat_at = steps
            self.tell_counts()

    def _lost(self) -> int | None:
        """Give the lane that has ended with the baton, if there is one."""
        numbers = self.board.numbers
        steps = numbers[STEPS]
        last = numbers[HOSTS + at.lane_of(numbers[LOG + 2 * steps - 2])] if steps else -1
        for lane in range(1, MOST_LANES):
            if numbers[PRESENT] >> lane & 1 and (lane == last or numbers[LANES + lane * LANE + COMMAND]):
                pid = numbers[PIDS + lane]
                if pid and not self._is_feeder(lane) and has_ended(pid):
                    return lane
        return None

    def _go_on_without(self, lane: int) -> bool:
        """Hand the baton on to whoever started a lane that has ended; tell whether there is anybody."""
        numbers = self.board.numbers
        parent = self._parent_of(lane)
        if not numbers[PRESENT] >> lane & 1:  # it handed it on by itself, in between
            return True
        gone(numbers, lane)
        self.deaths += 1
        if parent < 0 or not numbers[PRESENT] >> parent & 1:
            return False
        numbers[LANES + parent * LANE + COMMAND] = at.REAP | lane << 8
        self.board.semaphore(parent).release()
        return True

    def _parent_of(self, lane: int) -> int:
        numbers = self.board.numbers
        words = numbers[LOG : LOG + 2 * numbers[STEPS] : 2].tolist()
        ops = [(at.lane_of(word), at.op_of(word, 0)) for word in words]
        begun = next((op.object for who, op in ops if who == lane and op.kind == "begin"), None)
        return next((who for who, op in ops if op.kind == "start" and op.object == begun), -1)

    # Between schedules.

    def clear(self) -> None:
        """End all processes of a schedule, and remove what they left."""
        numbers, main = self.board.numbers, self.main
        present = [numbers[PIDS + lane] for lane in self._present() if lane and not self._is_feeder(lane)]
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(main, signal.SIGKILL)
        for pid in filter(None, present):  # a forkserver's children are in its own group
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            wait_for_end(pid)
        with suppress(ChildProcessError):
            while True:
                os.waitpid(-main, 0)
        self.main = 0
        self.machine.drain()
        for kind, name in _named(journal.read(self.events)):
            if os.path.exists(path := _path_of(kind, name)):
                os.unlink(path)
                resource_tracker.unregister(name, kind)
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(self.events, "journal"))

    # What is told.

    def worth_telling(self) -> list[tuple[str, Seen]]:
        """Give the outcomes whose schedules are told, by key."""
        return [(key, one) for key, one in super().worth_telling() if len(one.lanes) <= LONG]

    def _short(self, key: str, lanes: tuple[int, ...]) -> tuple[int, ...]:
        now = time.monotonic()
        self._shortening_until = self._shortening_until or now + SHORTENING_S
        return lanes if now > self._shortening_until else super()._short(key, lanes)

    def but(self) -> list[str]:
        """Say what keeps a strategy's claim from holding as it is."""
        found = []
        if self.deaths:
            found.append("processes ended between two steps, whose order with others is not known")
        if any(len(one.lanes) > LONG for one in self.seen.values()):
            found.append(f"schedules of more than {LONG:,} steps are not kept")
        return found

    def limits(self) -> list[str]:
        """Say what kept schedules from their ends."""
        if not self.overlong:
            return []
        return [f"{self.overlong:,} of {self.schedules:,} schedules were given up after {self.machine.limit:,} steps"]


_NO_PIDS = memoryview(bytes(8 * (MOST_LANES - 1))).cast("q")


def _adopt_orphans() -> None:
    if sys.platform != "linux":
        return
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _named(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    found = [(event["type"], event["name"]) for event in events if event["event"] == "named"]
    return list(dict.fromkeys(one for one in found if one[0] in ("semaphore", "shared_memory")))


def _path_of(kind: str, name: str) -> str:
    stem = name.lstrip("/")
    return os.path.join("/dev/shm", f"sem.{stem}" if kind == "semaphore" else stem)  # shm_overview(7)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
