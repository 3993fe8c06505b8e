"""The interface of engines: the job of a cell, and how the cell ended.

An engine runs `python -m bench.inside ARGUMENTS` somewhere, passes its output on as it comes, and leaves no trace.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from bench.cells import Cell, Python

if TYPE_CHECKING:
    from bench.matrix.images import Project

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """The limits of a cell. The local engine enforces only the time."""

    timeout_s: float = 300.0
    memory_bytes: int = 2048 * MIB
    pids: int = 256
    shm_bytes: int = 64 * MIB
    tmp_bytes: int = 64 * MIB


@dataclass(frozen=True)
class Job:
    """One cell to run: `arguments` are those of `bench.inside`; `cpus` are exact ids, none for a time quota."""

    run: str
    cell: Cell
    cpus: tuple[int, ...]
    arguments: tuple[str, ...]
    limits: Limits = Limits()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ready:
    """A Python that cells can run under: `where` is an image's id or an interpreter's path, `what` describes it.

    `cwd` is the folder of this host that cells run in; `None` means that of this process, or the image's. Where it is
    `copied`, each cell gets a copy of its own.
    """

    python: Python
    where: str
    what: str = ""
    cwd: str | None = None
    copied: bool = False


@dataclass(frozen=True)
class Refused:
    """A Python that this engine cannot provide, and why; `output` has the last lines of what failed."""

    python: Python
    why: str
    output: str = ""


@dataclass(frozen=True)
class Ended:
    """How a cell's main process ended.

    `exit_status` is `None` if it did not exit; `signal` is the one that killed it, unless the engine sent it. `error`
    is trouble of the engine. `stacks` are those of every process when the time limit passed.
    """

    exit_status: int | None = None
    signal: int | None = None
    oom: bool = False
    timed_out: bool = False
    interrupted: bool = False
    error: str | None = None
    stacks: str | None = None
    seconds: float = 0.0


class Engine(Protocol):
    """A place where cells run. `run` is called by several threads at once."""

    name: str

    def cpus(self) -> tuple[int, ...]:
        """Return the ids of the CPUs that cells can be pinned to.

        Raises:
            Unavailable: if the engine does not answer.
        """

    def prepare(
        self,
        pythons: Sequence[Python],
        project: Project | None,
        progress: Callable[[str], None],
        *,
        stop: threading.Event | None = None,
    ) -> Mapping[Python, Ready | Refused]:
        """Prepare what cells of these Pythons need, such as images or environments.

        Args:
            pythons: which Pythons.
            project: the user's project, which cells then find in their working folder.
            progress: called with one line for each step that takes a while, from several threads.
            stop: once set, the preparation ends.

        Raises:
            Unavailable: if the engine does not answer.
            UsageError: if the project cannot be read.
            Interrupted: if `stop` was set.
        """

    def run(
        self,
        job: Job,
        ready: Ready,
        *,
        records: Callable[[bytes], None],
        log: Callable[[bytes], None],
        stop: threading.Event,
    ) -> Ended:
        """Run one cell to its end, and remove every trace of it.

        Args:
            job: the cell.
            ready: its Python, as `prepare` returned it.
            records: called with each line of the records as it comes, newline included.
            log: called with the log as it comes, in pieces of any size.
            stop: once set, the cell is killed at once.
        """

    def clean(self) -> list[str]:
        """Remove what dead runs left behind, and only that; return the names of what was removed."""


class Lines:
    """Cuts a stream into whole lines, and passes each to a sink."""

    def __init__(self, sink: Callable[[bytes], None]) -> None:
        self._sink = sink
        self.torn = b""
        """The bytes after the last whole line; at the end, the line that a killed writer did not finish."""

    def feed(self, data: bytes) -> None:
        """Add a piece of the stream, and pass on each line that it completes."""
        *whole, self.torn = (self.torn + data).split(b"\n")
        for line in whole:
            self._sink(line + b"\n")


def main_arguments(job: Job) -> list[str]:
    """Return the interpreter's arguments for a cell's main process."""
    return ["-m", "bench.inside", *job.arguments]


def ended_by_status(status: int) -> Ended:
    """Read an exit status in the convention of containers and shells, in which 128 + n is signal n."""
    return Ended(signal=status - 128) if 128 < status < 128 + 65 else Ended(exit_status=status)
