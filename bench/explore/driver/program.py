"""A program as the subject of an exploration: its main process and each child that is started are lanes.

For each schedule the main process is forked anew from this one, which has imported the program's module; so nothing is
left over from the schedule before. A module that shares something when it is imported (a global lock) is imported in
each main process instead. The start method is that of the context which the program is given, and the default one: it
is that of its children alone.

After each schedule all its processes are ended, and the names of semaphores and segments that are left are removed. Of
what a program leaves behind, segments, semaphores and descriptors are an outcome (`leak`); processes and threads are
for mode repeat to find.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from multiprocessing import resource_tracker

from bench.explore.driver.program_process import MAIN_LANE, run_program
from bench.explore.driver.subject import Caveats, Refused, deadlock, given_up, livelock
from bench.explore.points import chance, clock, processes, uncontrolled
from bench.explore.runtime import control
from bench.explore.runtime import layout as at
from bench.explore.runtime.board import EVENTS
from bench.explore.runtime.packing import lane_of, op_of
from bench.explore.runtime.registry import Registry
from bench.explore.runtime.scheduler import remove_process
from bench.outcomes import Outcome, crashes, with_others
from bench.parameters import load
from bench.process import journal
from bench.process.ended import has_ended, wait_for_end
from bench.process.evidence import Evidence, decide, failures
from bench.process.messages import Running
from bench.process.shared_names import names_left, path_of, shared_names

TYPE_CHECKING = False  # as type checkers know it: each exploration of a program imports this

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from bench.explore.driver.executor import Executor
    from bench.explore.messages import Event, Orders
    from bench.explore.model import End

_PRELOADED = (
    "multiprocessing.queues",
    "multiprocessing.sharedctypes",
    "bench.process.instrument",
    "bench.explore.audit.lines",
    "bench.process.death_signal",
    *(
        f"bench.explore.points.{name}"
        for name in (
            "barriers",
            "buffers",
            "chance",
            "clock",
            "files",
            "locks",
            "pipes",
            "queues",
            "shared",
            "signals",
            "values",
        )
    ),
)
"""What each child imports, so that a forkserver, which has it, need not have each import it anew: that takes 100 ms.

All but `points.processes`, which has to be imported when `instrument` is installed, in the child.
"""

_SET_CHILD_SUBREAPER = 36
"""`PR_SET_CHILD_SUBREAPER` of prctl(2): orphans below this process become its children."""


class ProgramSubject:
    """A program: its main process, forked anew for each schedule, and all that it starts."""

    shrinking_s = 10.0

    def __init__(self, orders: Orders, executor: Executor, send: Callable[[Event], None]) -> None:
        if orders.kills:
            raise Refused("the processes of a program are not killed by plan; write what is to be killed as a scenario")
        self.orders, self.executor, self.board = orders, executor, executor.board
        self.events = os.environ[EVENTS]
        self.overlong = 0
        """Schedules that were ended for their number of steps, which says nothing of the program."""
        self.deaths = 0
        """Processes that ended other than by a step, and so at a time that is no choice."""
        self.main = 0
        self.main_status: int | None = None
        control.use_registry(Registry(self.board, at.COORDINATOR))
        _adopt_orphans()
        resource_tracker.ensure_running()
        if orders.method == "forkserver":
            _start_forkserver()
        if not self._shares_at_import():
            self._load()
            executor.begins_ns = clock.end_import()
            uncontrolled.note_running(self.board)
            chance.mark_early(self.board)
        send(Running())

    def _load(self) -> Any:
        return load(self.orders.module, self.orders.name)

    def _shares_at_import(self) -> bool:
        """Return whether the import of the program makes anything shared, by importing it in a process of its own."""
        pid = os.fork()
        if not pid:
            shares = False
            try:
                registry = Registry(self.board, at.COORDINATOR)
                control.use_registry(registry)
                self._load()
                shares = registry.count_created() > 0
            finally:  # what it raises it will raise again, where it counts
                processes.end_now(3 if shares else 0)
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status) == 3

    def ready(self) -> None:
        """Fork a main process that waits for its schedule, unless there is one."""
        if self.main:
            return
        self.board.numbers[at.PIDS + 1 : at.PIDS + at.MOST_LANES] = _NO_PIDS
        self.main_status = None
        _flush()
        pid = os.fork()
        if not pid:
            run_program(self.board, self.events, self._load, self.orders.method, self.orders.seed)
        with suppress(OSError):  # parent and child both do it: the one that comes first makes the group
            os.setpgid(pid, pid)
        self.main = pid

    def changed(self) -> set[int]:
        """Return nothing: what the main process makes is not in the memory of this one."""
        return set()

    def contents(self) -> object:
        """Return nothing: what the main process makes is not in the memory of this one."""
        return None

    # The outcome of a schedule.

    def outcome(self, end: End) -> Outcome | None:
        """Wait for the main process, unless the schedule stands still, and return what the program gave."""
        if end in ("done", "died"):
            tolerates = [crashes(number or None) for number in self.orders.tolerates]
            return decide(self._evidence(wait=end == "done"), tolerates)
        if end == "stuck":
            found = deadlock(self.executor)
            return None if found is None else self._with_failures(found)
        if end == "limit" and not self.executor.overlong:
            return self._with_failures(livelock(self.executor))
        return None

    def _evidence(self, *, wait: bool) -> Evidence:
        if wait and self.main_status is None:
            self._await_main()
        if self.main_status is None:  # a child has ended that no lane could wait for, and the main process waits on
            os.kill(self.main, signal.SIGKILL)
            self._await_main()
        events = journal.read(self.events)
        adopted, alive = self._others(events)
        names = shared_names(events)
        return Evidence(
            self.main_status or 0,
            [*events, *adopted],
            self.main,
            (),
            (),
            names_left(names, "shared_memory"),
            names_left(names, "semaphore"),
            left_pids=alive,
        )

    def _others(self, events: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[int]]:
        """Return how processes ended whose statuses nobody collected, as events, and the pids of those that run on.

        Of the processes that were started past `multiprocessing`; they are no lanes, and become children of this one.
        """
        adopted, alive = [], []
        for event in events:
            if event["event"] in _OTHERS:
                pid, code = event["child"], _collect(event["child"])
                if code is not None:
                    adopted.append({"event": "adopted", "pid": os.getpid(), "child": pid, "code": code})
                elif not has_ended(pid):
                    alive.append(pid)
        return adopted, alive

    def _await_main(self) -> None:
        _, status = os.waitpid(self.main, 0)
        self.main_status = os.waitstatus_to_exitcode(status)

    def _with_failures(self, outcome: Outcome) -> Outcome:
        """Return an outcome with the failures of processes so far, one of which may be its cause."""
        return with_others(outcome, failures(Evidence(None, journal.read(self.events), self.main)))

    def stacks(self) -> list[dict[str, Any]]:
        """Return the stack of each process that is not through."""
        lanes = [lane for lane in self.executor.present() if not self._is_feeder(lane)]
        for lane in lanes:
            self.executor.ask_stack(lane, self.dead)
        sent = {event["lane"]: event["stack"] for event in journal.read(self.events) if event["event"] == "stack"}
        return [
            {
                "name": self.board.name(lane),
                "pid": self.board.lane(lane).pid,
                "role": "process",
                "stack": sent.get(lane, ""),
            }
            for lane in lanes
        ]

    def _is_feeder(self, lane: int) -> bool:
        return bool(self.board.feeders >> lane & 1)

    # Processes that end other than by a step.

    def dead(self) -> int | None:
        """Return the lane of a process that has ended with the baton, or the main process's where that has."""
        if self.main_status is None:
            pid, status = os.waitpid(self.main, os.WNOHANG)
            if pid:
                self.main_status = os.waitstatus_to_exitcode(status)
        if self.main_status is not None and self.board.present & 1:
            return MAIN_LANE
        return self._lost()

    def _lost(self) -> int | None:
        board = self.board
        steps = board.steps
        last = board.lane(lane_of(board.numbers[at.LOG + 2 * steps - 2])).host if steps else -1
        for lane in range(1, at.MOST_LANES):
            if board.present >> lane & 1 and (lane == last or board.lane(lane).command):
                pid = board.lane(lane).pid
                if pid and not self._is_feeder(lane) and has_ended(pid):
                    return lane
        return None

    def revive(self, lane: int) -> bool:
        """Pass the baton of a lane that has ended to the lane that started it; none has started the main process."""
        board = self.board
        if lane == MAIN_LANE:
            self.deaths += 1
            return False
        parent = self._parent_of(lane)
        if not board.present >> lane & 1:  # it has passed the baton on by itself, in between
            return True
        self.deaths += 1
        remove_process(board.numbers, lane)
        if parent < 0 or not board.present >> parent & 1:
            return False
        board.lane(parent).command = at.REAP | lane << 8
        board.semaphore(parent).release()
        return True

    def _parent_of(self, lane: int) -> int:
        """Return the lane that started another one; -1 where no step did."""
        words = self.board.numbers[at.LOG : at.LOG + 2 * self.board.steps : 2].tolist()
        ops = [(lane_of(word), op_of(word, 0)) for word in words]
        begun = next((op.object for who, op in ops if who == lane and op.kind == "begin"), None)
        return next((who for who, op in ops if op.kind == "start" and op.object == begun), -1)

    # Between schedules.

    def put_back(self, end: End) -> None:
        """End all processes of the schedule, and remove what they left."""
        self.overlong += end == "limit" and self.executor.overlong
        self._end_processes()
        self.executor.drain()
        events = journal.read(self.events)
        if any(event["event"] in _OTHERS for event in events):
            _end_orphans()
        for kind, name in shared_names(events):
            if os.path.exists(path := path_of(kind, name)):
                os.unlink(path)
                resource_tracker.unregister(name, kind)
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(self.events, "journal"))

    def _end_processes(self) -> None:
        main = self.main
        present = [self.board.lane(lane).pid for lane in self.executor.present() if lane and not self._is_feeder(lane)]
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

    def caveats(self, schedules: int) -> Caveats:
        """Return what is not known for processes that ended by themselves and schedules that were ended."""
        died = "processes ended between two steps, whose order with others is not known"
        limits = given_up(self.overlong, schedules, self.executor.limit)
        return Caveats((died,) if self.deaths else (), limits=limits)

    def close(self) -> None:
        """End the main process that waits for the next schedule."""
        if self.main:
            self._end_processes()


def _collect(pid: int) -> int | None:
    """Return the exit code of a process that has ended, if it is a child of this one, and nobody collected it."""
    with suppress(ChildProcessError):
        found, status = os.waitpid(pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if found else None
    return None


def _end_orphans() -> None:
    """End the processes that a program has left, whatever session they went to: they are children of this one now."""
    from bench.process import tree

    def left() -> list[tree.Proc]:
        return [one for one in tree.processes() if one.ppid == os.getpid() and one.role == "process"]

    for proc in tree.kill_all(left):
        journal.append(os.environ[EVENTS], "warned", type="Left", message=f"could not end process {proc.pid}")


_OTHERS = ("forked", "spawned")
"""Events of processes that were started past `multiprocessing`."""

_NO_PIDS = memoryview(bytes(8 * (at.MOST_LANES - 1))).cast("q")


def _start_forkserver() -> None:
    from multiprocessing import forkserver

    forkserver.set_forkserver_preload(["__main__", *_PRELOADED])
    forkserver.ensure_running()


def _adopt_orphans() -> None:
    if sys.platform != "linux":
        return
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
