"""The loop of a running matrix: it owns the state, worker threads run the cells and hand values back.

Each line is on disk before its event is reported; `run.json` is written at the start and again at the end.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from bench import record
from bench.cells import Cell, Python
from bench.errors import Unavailable
from bench.leases import Lease, holders, try_lease
from bench.matrix import plan as plans
from bench.matrix.engines.base import Ended, Engine, Job, Limits, Ready, Refused
from bench.matrix.engines.status import status_of
from bench.matrix.placement import Waiting, choose, lower_bound_s, waiting
from bench.matrix.run.coverage import TMP_BYTES, take_coverage
from bench.matrix.run.events import CellEnded, CellLine, CellStarted, Event, Preparing, RunResult
from bench.matrix.run.files import Log, RunLock, host_facts, read_line
from bench.matrix.run.resuming import Begun, set_aside
from bench.matrix.run.tries import checked, merged
from bench.record import CellStatus, End, FileSink, Judged, RecordLine
from bench.testids import pack

if TYPE_CHECKING:
    from bench.matrix.images import Project
    from bench.matrix.plan import Plan
    from bench.values import Json

_POLL_S = 0.1
_STOP_S = 4.0

TEST_SHARE = 0.2
"""The share of a cell's time limit that one test of a command may take, where nothing else is said."""


@dataclass
class _Live:
    """A running cell: its job, its lease, its worker, and what it has recorded since it, or its repetition, began.

    `tries` are the statuses of the repetitions that have ended, and `seconds` is what they took.
    """

    job: Job
    lease: Lease
    thread: threading.Thread
    lines: list[RecordLine] = field(default_factory=list)
    tries: list[tuple[CellStatus, str]] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True)
class _Prepared:
    pythons: Mapping[Python, Ready | Refused]


@dataclass(frozen=True)
class _Failed:
    error: Exception


@dataclass(frozen=True)
class _Raw:
    cell: Cell
    data: bytes


@dataclass(frozen=True)
class _Done:
    cell: Cell
    ended: Ended
    last: bool


_Message: TypeAlias = "Preparing | _Prepared | _Failed | _Raw | _Done"


def run_matrix(
    plan: Plan,
    engine: Engine,
    folder: Path,
    *,
    on_event: Callable[[Event], None],
    stop: threading.Event,
    project: Project | None = None,
    earlier: Mapping[str, float] | None = None,
    leases: Path | None = None,
    save_schedules: Callable[[Judged], Judged] | None = None,
    begun: Begun | None = None,
) -> RunResult:
    """Run the cells of a plan, each on CPUs of its own, and record the run in `folder`.

    Args:
        plan: which cells, and how they run.
        engine: where.
        folder: the run's folder; it is made, and must not hold a run.
        on_event: called with each event, in this thread.
        stop: once set, running cells are killed, waiting ones are `interrupted`, and the records stay.
        project: the user's project, if cells need it.
        earlier: seconds by cell name from an earlier run, to place long cells first.
        leases: the folder of the CPU leases; `None` means the one that all users of this host share.
        save_schedules: called with each explored observation, since a cell has no folder to write to; it writes the
            schedules and returns the observation with the commands that replay them. `None` writes none.
        begun: what this run, in this folder, has done before it was cut; its finished cells do not run again.

    Raises:
        Unavailable: if the engine does not answer, or the folder cannot be written.
        UsageError: if another process writes into the folder.
    """
    loop = _Loop(plan, engine, folder, on_event, stop, leases, save_schedules, begun)
    try:
        with RunLock(folder):
            return loop.run(project, earlier)
    except OSError as error:
        raise Unavailable(f"cannot record the run in {folder}: {error.strerror or error}") from None
    finally:
        loop.close()


class _Loop:
    """The state of a running matrix. One thread reads and writes it; the others put messages into its inbox."""

    def __init__(
        self,
        plan: Plan,
        engine: Engine,
        folder: Path,
        on_event: Callable[[Event], None],
        stop: threading.Event,
        leases: Path | None,
        save_schedules: Callable[[Judged], Judged] | None,
        begun: Begun | None,
    ) -> None:
        self._plan = plan
        self._begun = begun
        self._engine = engine
        self._folder = folder
        self._on_event = on_event
        self._stop = stop
        self._leases = leases
        self._save_schedules = save_schedules
        self._cpus: tuple[int, ...] = ()
        # Bounded, so that a cell that records without end waits for the disk and does not fill this process.
        self._inbox: queue.Queue[_Message] = queue.Queue(maxsize=1024)
        self._live: dict[Cell, _Live] = {}
        self._waiting: list[Waiting] = []
        self._pythons: Mapping[Python, Ready | Refused] = {}
        self._ends: dict[Cell, End] = {}
        self._began = time.monotonic()
        now = record.timestamp()
        self._started_at = begun.started if begun else now
        self._resumed = (*begun.resumed, now) if begun else ()
        self._first_start: float | None = None
        self._last_end = 0.0
        self._reported_holders: frozenset[int] = frozenset()

    def run(self, project: Project | None, earlier: Mapping[str, float] | None) -> RunResult:
        """Prepare, run every cell, and write `run.json`."""
        for planned in self._plan.cells:
            if planned.decision != "run":
                self._ends[planned.cell] = End(planned.cell.name, planned.decision, planned.why, 0.0)
        self._cpus = self._engine.cpus()
        if self._begun is not None:
            self._ends.update(self._begun.ends)
            for cell in self._begun.left:
                set_aside(self._folder, cell)
        self._write_run()
        modes = self._plan.sampling.modes or ("repeat",)
        self._waiting = [waiting(cell, modes=modes, earlier=earlier) for cell in self._left()]
        if self._waiting:
            threading.Thread(target=self._prepare, args=(project,), daemon=True).start()
        elif self._begun is not None:  # cut after its last cell: what it left behind goes all the same
            self._engine.clean()
        while self._waiting or self._live:
            try:
                self._step()
            except KeyboardInterrupt:
                self._stop.set()
        self._write_run(ended=record.timestamp())
        return self._result()

    def _left(self) -> tuple[Cell, ...]:
        return self._begun.left if self._begun is not None else self._plan.to_run

    def close(self) -> None:
        """Stop the cells that still run after an error, and release their CPUs."""
        if self._live:
            self._stop.set()
        until = time.monotonic() + _STOP_S
        while any(live.thread.is_alive() for live in self._live.values()) and time.monotonic() < until:
            try:
                self._inbox.get(timeout=_POLL_S)  # a worker may wait for room
            except queue.Empty:
                continue
        for live in self._live.values():
            live.lease.release()

    def _step(self) -> None:
        if self._stop.is_set():
            for one in self._waiting:
                self._end(one.cell, "interrupted", "the run was stopped before the cell began", 0.0)
            self._waiting = []
        elif self._pythons:
            self._start_what_fits()
        try:
            message = self._inbox.get(timeout=_POLL_S)
        except queue.Empty:
            return
        self._take(message)

    def _take(self, message: _Message) -> None:
        match message:
            case Preparing():
                self._on_event(message)
            case _Prepared(pythons):
                self._take_pythons(pythons)
            case _Failed(error):
                if not self._stop.is_set():  # what a stop cuts off is no trouble
                    raise error
            case _Raw(cell, data):
                self._take_line(cell, data)
            case _Done(cell, ended, last):
                self._take_try(cell, ended)
                if last:
                    self._take_end(cell)

    def _prepare(self, project: Project | None) -> None:
        """Prepare the engine, in a thread, so that a stop need not wait for an image; put the result into the inbox."""
        pythons = list(dict.fromkeys(cell.python for cell in self._left()))
        try:
            for name in self._engine.clean():
                self._report(f"removed {name}, left by a run that died")
            found = self._engine.prepare(pythons, project, self._report, stop=self._stop)
        except Exception as error:  # noqa: BLE001  # raised again in the loop's thread
            self._inbox.put(_Failed(error))
        else:
            self._inbox.put(_Prepared(found))

    def _report(self, text: str) -> None:
        self._inbox.put(Preparing(text))

    def _take_pythons(self, pythons: Mapping[Python, Ready | Refused]) -> None:
        self._pythons = pythons
        for one in tuple(self._waiting):
            found = pythons.get(one.cell.python)
            if not isinstance(found, Ready):
                self._waiting.remove(one)
                if found and found.output:
                    with Log(self._log_of(one.cell)) as log:
                        log.write(f"{found.why}\n{found.output}\n".encode())
                why = found.why if found else f"Python {one.cell.python} was not prepared"
                self._end(one.cell, "unavailable", why, 0.0)

    def _start_what_fits(self) -> None:
        if not self._waiting or len(self._live) >= (self._plan.jobs or len(self._cpus)):
            return
        held = {cpu for live in self._live.values() for cpu in live.lease.cpus}
        if len(held) == len(self._cpus):
            return
        for one, cpus in choose(self._waiting, self._free(held)):
            if len(self._live) >= (self._plan.jobs or len(self._cpus)):
                return
            holder = f"{self._plan.run} {one.cell.name}"
            if (lease := try_lease(cpus, holder=holder, folder=self._leases)) is not None:
                self._start(one, lease)

    def _free(self, held: set[int]) -> frozenset[int]:
        """Return the CPUs that nobody holds; report once who holds those that all cells wait for."""
        others = [one for one in holders(self._leases) if one.cpu in self._cpus and one.cpu not in held]
        taken = frozenset(one.cpu for one in others)
        if not self._live and taken and taken != self._reported_holders:
            who = ", ".join(f"CPU {one.cpu} is held by {one.holder} (pid {one.pid})" for one in others)
            self._on_event(Preparing(f"waiting: {who}"))
        self._reported_holders = taken
        return frozenset(self._cpus) - held - taken

    def _start(self, one: Waiting, lease: Lease) -> None:
        self._waiting.remove(one)
        cpus = lease.cpus if one.cell.quota is None else ()
        job = make_job(self._plan, one.cell, cpus, self._engine.name)
        ready = self._pythons[one.cell.python]
        assert isinstance(ready, Ready)
        thread = threading.Thread(target=self._work, args=(job, ready), name=one.cell.name, daemon=True)
        self._live[one.cell] = _Live(job, lease, thread)
        self._first_start = self._first_start or time.monotonic()
        self._on_event(CellStarted(one.cell, lease.cpus, time.time()))
        thread.start()

    def _work(self, job: Job, ready: Ready) -> None:
        """Run a cell as often as it is to be, in a worker's thread, and put its lines and its ends into the inbox."""
        for number in range(1, self._plan.repeat + 1):
            ended = self._run_once(job, ready)
            last = number == self._plan.repeat or ended.interrupted or self._stop.is_set()
            self._inbox.put(_Done(job.cell, ended, last))
            if last:
                return

    def _run_once(self, job: Job, ready: Ready) -> Ended:
        try:
            with Log(self._log_of(job.cell)) as log:
                return self._engine.run(
                    job,
                    ready,
                    records=lambda data: self._inbox.put(_Raw(job.cell, data)),
                    log=log.write,
                    stop=self._stop,
                )
        except Exception as error:  # noqa: BLE001  # whatever an engine raises is its trouble, and not the cell's
            return Ended(error=f"{type(error).__name__}: {error}")

    def _log_of(self, cell: Cell) -> Path:
        return self._folder / "logs" / f"{cell.name}.log"

    def _sink(self, cell: Cell) -> FileSink:
        return FileSink(self._folder / "cells" / f"{cell.name}.jsonl")

    def _take_line(self, cell: Cell, data: bytes) -> None:
        if not data.strip():  # a cell begins a line anew where an earlier one may be torn
            return
        if take_coverage(self._folder, cell, data):
            return
        line = read_line(data)
        if line is None or isinstance(line, End) or (live := self._live.get(cell)) is None:
            with Log(self._log_of(cell)) as log:
                log.write(b"\nbench: not a record: " + data[:1000] + b"\n")
            return
        if self._save_schedules and isinstance(line, Judged) and line.mode == "explore":
            line = self._save_schedules(line)
            data = record.dump(line)
        self._sink(cell).write_bytes(data)
        live.lines.append(line)
        self._on_event(CellLine(cell, line))

    def _take_try(self, cell: Cell, ended: Ended) -> None:
        live = self._live[cell]
        status, why = status_of(ended, live.lines, cell=cell, cpus=live.job.cpus, command=self._plan.command)
        live.tries.append(checked(status, why, self._plan.only(cell), live.lines))
        live.seconds += ended.seconds
        live.lines.clear()

    def _take_end(self, cell: Cell) -> None:
        live = self._live.pop(cell)
        live.lease.release()
        self._last_end = time.monotonic()
        self._end(cell, *merged(live.tries), live.seconds)

    def _end(self, cell: Cell, status: CellStatus, why: str, seconds: float) -> None:
        end = End(cell.name, status, why, round(seconds, 3))
        self._sink(cell).write(end)
        self._ends[cell] = end
        self._on_event(CellEnded(cell, status, why, seconds))

    def _write_run(self, ended: str | None = None) -> None:
        data = plans.to_json(self._plan)
        data["cells"] = [self._cell_to_json(planned) for planned in self._plan.cells]
        pythons: dict[str, Json] = {
            str(python): {"ready": one.what, "where": one.where}
            if isinstance(one, Ready)
            else {"refused": one.why, **({"output": one.output} if one.output else {})}
            for python, one in self._pythons.items()
        }
        facts: dict[str, Json] = {
            "engine": self._engine.name,
            "started": self._started_at,
            "ended": ended,
            "host": host_facts(),
            "host_cpus": list(self._cpus),
            "pythons": pythons,
        }
        if self._begun is not None:
            facts |= {"resumed": list(self._resumed), "before_s": self._begun.seconds}
        if ended is not None:
            result = self._result()
            facts |= {"makespan_s": result.makespan_s, "lower_bound_s": result.lower_bound_s}
            facts["interrupted"] = result.interrupted
        record.write_run(self._folder, {**data, **facts})

    def _cell_to_json(self, planned: plans.Planned) -> dict[str, Json]:
        about = plans.cell_to_json(planned)
        if (end := self._ends.get(planned.cell)) is not None:
            about |= {"status": end.status, "why": end.why, "seconds": end.seconds}
        return about

    def _result(self) -> RunResult:
        ends = {planned.cell: self._ends[planned.cell] for planned in self._plan.cells if planned.cell in self._ends}
        ran = [one for one in ends.items() if one[1].seconds]
        sizes = [(waiting(cell).cpus_needed, end.seconds) for cell, end in ran]
        before_s = self._begun.seconds if self._begun is not None else 0.0
        return RunResult(
            self._folder,
            ends,
            any(end.status == "interrupted" for end in ends.values()),
            round(time.monotonic() - self._began, 3),
            round(before_s + max(0.0, self._last_end - (self._first_start or self._last_end)), 3),
            round(lower_bound_s(sizes, len(self._cpus)), 3) if sizes else 0.0,
        )


def make_job(plan: Plan, cell: Cell, cpus: tuple[int, ...], engine: str) -> Job:
    """Return the job by which an engine runs a cell of a plan."""
    own = plan.own(cell)
    timeout_s = own.timeout_s or plan.timeout_s
    options = ["--cell", cell.name, "--engine", engine, *plan.sampling.to_arguments()]
    if (word := pack(plan.only(cell))) is not None and plan.only(cell):
        options += ["--only", word]
    if plan.command:
        options += ["--test-timeout", f"{plan.test_timeout_s or timeout_s * TEST_SHARE:g}"]
        options += ["--strict-leaks"] if plan.strict_leaks else []
    if plan.coverage:
        options.append("--coverage")
    what: Sequence[str] = ("--", *plan.command) if plan.command else plan.targets
    given = {"memory_bytes": own.memory_bytes, "pids": own.pids, "shm_bytes": own.shm_bytes}
    if plan.coverage:
        given["tmp_bytes"] = TMP_BYTES
    limits = Limits(timeout_s=timeout_s, **{name: size for name, size in given.items() if size is not None})
    return Job(plan.run, cell, cpus, (*options, *what), limits, own.environment)
