"""An engine without processes: each cell does what a script says, and what ran beside what is kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bench.matrix.engines.base import Ended, Job, Ready, Refused
from bench.observation import SampleOutcome, tally
from bench.outcomes import Grade, Outcome, value
from bench.record import Facts, Graded, Judged, Lock, RecordLine, dump

if TYPE_CHECKING:
    from bench.cells import Cell, Python
    from bench.errors import BenchError
    from bench.matrix.images import Project
    from bench.testing.clock import FakeClock
    from bench.values import Json
    from bench.verdict import Status

__all__ = ["FakeEngine", "Script", "failing", "granted", "judged", "passing"]

STOP_S = 10.0
"""How long, in real seconds, a cell that waits to be stopped waits before it counts as forgotten."""


@dataclass(frozen=True)
class Script:
    """What a cell does: it logs, records, and ends.

    Attributes:
        records: lines of the records, in order; bytes go out as they are, whatever they hold.
        log: what goes to the log first.
        ended: how it ends; the seconds are those of `takes_s`.
        takes_s: how long it takes: waited for on the engine's clock, if there is one, else only reported. A cell that
            takes longer than its limit has timed out.
        until_stopped: whether it ends only when the run is stopped.
        then: called once the records are out.
        raises: raised in place of an end, as by an engine that is broken.
    """

    records: tuple[RecordLine | bytes, ...] = ()
    log: bytes = b"hello\n"
    ended: Ended = field(default_factory=lambda: Ended(0))
    takes_s: float = 1.0
    until_stopped: bool = False
    then: Callable[[], None] | None = None
    raises: Exception | None = None


def granted(job: Job, engine: str = "fake") -> Facts:
    """Return the facts of a cell that was granted all that it asked for."""
    cell, count = job.cell, len(job.cpus)
    python = f"{cell.python.version}.{1 if cell.python.patch is None else cell.python.patch}"
    return Facts(
        cell.name,
        python,
        cell.python.implementation,
        method_asked=cell.method,
        method_granted=cell.method,
        cpus_asked=count or None,
        affinity=job.cpus,
        cpus_os=2,
        cpus_process=None,
        cpus_usable=count,
        engine=engine,
        seed=7,
        more=_more(cell),
    )


def _more(cell: Cell) -> dict[str, Json]:
    """Return the further facts of a cell whose name asks for more than a plain Python on exact CPUs."""
    found: dict[str, Json] = {} if cell.quota is None else {"quota": cell.quota}
    if cell.python.free_threaded:
        found |= {"free_threaded": True, "gil": False}
    if cell.seen is not None:
        found["seen"] = {"asked": cell.seen, "by": "shim", "os": cell.seen, "multiprocessing": cell.seen}
    return found


def judged(
    job: Job, outcome: Outcome, *, target: str = "demo:program", grade: Grade = "acceptable", why: str = ""
) -> Judged:
    """Return the observation of one sample with one outcome, of which the verdict is what its grade says."""
    (only,) = tally([[SampleOutcome(outcome, {"seed": 7})]])
    graded = Graded(only.outcome, only.count, only.rate, only.witness, grade, why)
    verdict: Status = "fail" if grade == "forbidden" else "pass"
    return Judged(target, "repeat", job.cell.name, 1, 0.5, (graded,), verdict=verdict, method=job.cell.method)


def passing(job: Job) -> Script:
    """Return the script of a cell that passes: its facts, one acceptable value, exit status 0."""
    locks = (Lock(job.cell.name, 1),) if job.cell.python.free_threaded else ()
    return Script((granted(job), judged(job, value(3)), *locks))


def failing(job: Job) -> Script:
    """Return the script of a cell that fails: its facts, one forbidden value, exit status 1."""
    seen = judged(job, value(4), grade="forbidden", why="nobody listed it")
    return Script((granted(job), seen), ended=Ended(1))


class FakeEngine:
    """Implements `bench.matrix.engines.base.Engine` in this process.

    Args:
        script: returns what the cell of a job does.
        name: as which it is recorded.
        cpus: the CPUs of its host.
        refused: why a Python cannot be had, by its name such as `3.13`.
        error: raised in place of making Pythons ready.
        left_behind: what `clean` says that it removed.
        clock: what cells take their time on, from before their first record; the test moves it. `None` has none wait.

    Attributes:
        jobs: each job, in the order in which they were started.
        running: how many cells run now.
        most_running: how many ran at once at most.
        project: the project that was to be made ready, once it was.
    """

    def __init__(
        self,
        script: Callable[[Job], Script] = passing,
        *,
        name: str = "fake",
        cpus: Sequence[int] = (0, 1),
        refused: Mapping[str, str] | None = None,
        error: BenchError | None = None,
        left_behind: Sequence[str] = (),
        clock: FakeClock | None = None,
    ) -> None:
        self.name = name
        self.jobs: list[Job] = []
        self.running = 0
        self.most_running = 0
        self.project: Project | None = None
        self._script = script
        self._cpus = tuple(cpus)
        self._refused = refused or {}
        self._error = error
        self._left_behind = list(left_behind)
        self._clock = clock
        self._lock = threading.Lock()
        self._busy: set[int] = set()

    def cpus(self) -> tuple[int, ...]:
        """Return the CPUs of its host."""
        return self._cpus

    def prepare(
        self,
        pythons: Sequence[Python],
        project: Project | None,
        progress: Callable[[str], None],
        *,
        stop: threading.Event | None = None,  # noqa: ARG002  # of the interface
    ) -> Mapping[Python, Ready | Refused]:
        """Return each Python ready, or refused if it is to be."""
        if self._error is not None:
            raise self._error
        progress("preparing")
        self.project = project
        whys = {python: self._refused.get(str(python)) for python in pythons}
        return {python: Refused(python, why) if why else Ready(python, "somewhere") for python, why in whys.items()}

    def run(
        self,
        job: Job,
        ready: Ready,  # noqa: ARG002  # of the interface
        *,
        records: Callable[[bytes], None],
        log: Callable[[bytes], None],
        stop: threading.Event,
    ) -> Ended:
        """Carry out the script of a job.

        Raises:
            RuntimeError: if a CPU of the job is that of a cell which still runs.
            TimeoutError: if nobody stops a cell that waits for it.
        """
        began_s = self._clock() if self._clock is not None else 0.0  # before anybody hears of the cell, and moves it
        with self._counted(job):
            script = self._script(job)
            log(script.log)
            for one in script.records:
                records(one if isinstance(one, bytes) else dump(one))
            if script.then is not None:
                script.then()
            return self._end(job, script, began_s, stop)

    def clean(self) -> list[str]:
        """Return, once, what was left behind."""
        removed, self._left_behind = self._left_behind, []
        return removed

    @contextmanager
    def _counted(self, job: Job) -> Iterator[None]:
        with self._lock:
            if self._busy & set(job.cpus):
                raise RuntimeError(f"two cells on CPU {min(self._busy & set(job.cpus))}")
            self._busy |= set(job.cpus)
            self.jobs.append(job)
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        try:
            yield
        finally:
            with self._lock:
                self._busy -= set(job.cpus)
                self.running -= 1

    def _end(self, job: Job, script: Script, began_s: float, stop: threading.Event) -> Ended:
        if script.raises is not None:
            raise script.raises
        if script.until_stopped:
            if not stop.wait(STOP_S):
                raise TimeoutError(f"nobody stopped {job.cell.name}")
            return Ended(interrupted=True, seconds=script.takes_s)
        seconds = min(script.takes_s, job.limits.timeout_s)
        if self._clock is not None and not self._clock.wait_until(began_s + seconds, stop):
            return Ended(interrupted=True, seconds=self._clock() - began_s)
        if script.takes_s > job.limits.timeout_s:
            return Ended(timed_out=True, stacks="", seconds=seconds)
        return replace(script.ended, seconds=seconds)
