"""The engine `local`: a cell is a tree of processes of this host, pinned by affinity. Only the time is limited."""

from __future__ import annotations

import contextlib
import os
import secrets
import selectors
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from bench.cells import Python
from bench.errors import Interrupted, Unavailable
from bench.matrix.engines.base import Ended, Job, Lines, Ready, Refused, main_arguments
from bench.process import seen, stacks, tree
from bench.process.agreed import METHOD, STACKS
from bench.process.cpus import usable_cpus
from bench.process.ended import end_descriptor
from bench.process.owners import is_dead, this_owner

if TYPE_CHECKING:
    from bench.matrix.images import Project

CELL = "BENCH_CELL_ID"
OWNER = "BENCH_OWNER"
"""Environment variables that every process of a cell carries, wherever it goes."""

_MISLEADING = {"PYTHONHOME", "PYTHONPATH", "__PYVENV_LAUNCHER__"}
_PREFIX = "forkbench-cell-"
_OWNER_FILE = ".owner"
_POLL_S = 0.05
_KILL_S = 3.0
_DRAIN_S = 1.0
_MOST_STACKS = 64


class LocalEngine:
    """Cells as processes of this host.

    Args:
        folder: where the environments of cells are kept; `None` means the user's cache folder.
    """

    name = "local"

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def cpus(self) -> tuple[int, ...]:
        """Return the CPUs that this process may use.

        Raises:
            Unavailable: where processes cannot be pinned.
        """
        if not (usable := usable_cpus()):
            raise Unavailable("the local engine pins cells by CPU affinity, which needs Linux; use --engine docker")
        return usable

    def prepare(
        self,
        pythons: Sequence[Python],
        project: Project | None,
        progress: Callable[[str], None],
        *,
        stop: threading.Event | None = None,
    ) -> Mapping[Python, Ready | Refused]:
        """Find the interpreters and make their environments."""
        from bench.matrix.engines import venvs

        self.cpus()
        found: dict[Python, Ready | Refused] = {}
        for python in pythons:
            if stop is not None and stop.is_set():
                raise Interrupted("stopped while environments were made")
            found[python] = venvs.prepare(python, project, progress, folder=self._folder)
        return found

    def run(
        self,
        job: Job,
        ready: Ready,
        *,
        records: Callable[[bytes], None],
        log: Callable[[bytes], None],
        stop: threading.Event,
    ) -> Ended:
        """Run one cell as a tree of processes, and end all of them."""
        began = time.monotonic()
        if job.cell.quota is not None:
            return Ended(error="the local engine cannot hold a quota of CPU time; use --engine docker")
        if stop.is_set():
            return Ended(interrupted=True)
        try:
            with _own_folder() as folder, _Tree(job, _with_copy(ready, folder), folder) as cell:
                ended = cell.follow(Lines(records), log, stop)
        except (OSError, Unavailable) as error:
            ended = Ended(error=f"the local engine failed: {error}")
        return replace(ended, seconds=time.monotonic() - began)

    def clean(self) -> list[str]:
        """Kill the processes of cells whose owner died, remove their folders, and return the names of both."""
        removed = []
        for cell in sorted({name for proc in tree.processes() if (name := _dead_cell(proc.pid)) is not None}):
            tree.end_all(lambda cell=cell: tree.find(f"{CELL}={cell}"), timeout_s=_KILL_S)  # type: ignore[misc]  # a default binds the loop variable
            removed.append(cell)
        for file in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_OWNER_FILE}"):
            with contextlib.suppress(OSError):
                if is_dead(file.read_text()):
                    shutil.rmtree(file.parent)
                    removed.append(str(file.parent))
        return removed


def _dead_cell(pid: int) -> str | None:
    found = tree.environment(pid)
    return found.get(CELL) if CELL in found and is_dead(found.get(OWNER, "")) else None


@contextlib.contextmanager
def _own_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        (folder / _OWNER_FILE).write_text(this_owner())
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _with_copy(ready: Ready, folder: Path) -> Ready:
    """Return a Python with a copy of the project for one cell, where its files are a copy already."""
    if not ready.copied or ready.cwd is None:
        return ready
    shutil.copytree(ready.cwd, folder / "project", symlinks=True)
    return replace(ready, cwd=str(folder / "project"))


def environment(job: Job, ready: Ready, folder: Path, cell: str, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a cell: this process's, with the cell's interpreter first on the path."""
    own = {name: text for name, text in inherited.items() if name not in _MISLEADING}
    bin_folder = Path(ready.where).parent
    return {
        **own,
        "PATH": f"{bin_folder}{os.pathsep}{inherited.get('PATH', os.defpath)}",
        "VIRTUAL_ENV": str(bin_folder.parent),
        "TMPDIR": str(folder),
        METHOD: job.cell.method,
        STACKS: str(folder / ".stacks"),
        CELL: cell,
        OWNER: this_owner(),
        **seen.environment(job.cell.seen),
        **job.environment,
    }


class _Tree:
    """A cell's processes, from the start of the main one; leaving the block ends all of them."""

    def __init__(self, job: Job, ready: Ready, folder: Path) -> None:
        self._job = job
        self._id = f"{job.run}:{job.cell.name}:{secrets.token_hex(4)}"
        pin = ("--pin", ",".join(map(str, job.cpus)))
        self._main = subprocess.Popen(
            [ready.where, *main_arguments(replace(job, arguments=(*pin, *job.arguments)))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd=ready.cwd,
            env=environment(job, ready, folder, self._id, os.environ),
            bufsize=0,
        )

    def __enter__(self) -> _Tree:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_all()
        for stream in (self._main.stdout, self._main.stderr):
            if stream is not None:
                stream.close()

    def follow(self, lines: Lines, log: Callable[[bytes], None], stop: threading.Event) -> Ended:
        """Pass output on until the main process ends, the time passes, or `stop` is set; then end the others."""
        with selectors.DefaultSelector() as selector:
            self._watch(selector, self._main.stdout, lines.feed)
            self._watch(selector, self._main.stderr, log)
            ended = self._until_end(selector, log, stop)
            self._end_all()
            self._drain(selector)
        if lines.torn:
            log(b"\nbench: the last record was torn: " + lines.torn + b"\n")
        return ended

    def _watch(self, selector: selectors.BaseSelector, stream: IO[bytes] | None, sink: Callable[[bytes], None]) -> None:
        assert stream is not None
        os.set_blocking(stream.fileno(), False)
        selector.register(stream, selectors.EVENT_READ, sink)

    def _until_end(
        self, selector: selectors.BaseSelector, log: Callable[[bytes], None], stop: threading.Event
    ) -> Ended:
        until = time.monotonic() + self._job.limits.timeout_s
        with _noticing_end(selector, self._main.pid):
            while (ended := _ended(self._main.pid)) is None:
                if stop.is_set():
                    return Ended(interrupted=True)
                if time.monotonic() > until:
                    found = "\n\n".join(stack.text() for stack in stacks.ask(self._find()[:_MOST_STACKS]))
                    log(b"\nbench: the time limit passed; the stacks of every process:\n" + found.encode() + b"\n")
                    return Ended(timed_out=True, stacks=found)
                _pass_on(selector, _POLL_S)
        return ended

    def _drain(self, selector: selectors.BaseSelector) -> None:
        """Read what is left in the pipes, but not until their ends, which a process that escaped may keep open."""
        until = time.monotonic() + _DRAIN_S
        while selector.get_map() and time.monotonic() < until and _pass_on(selector, 0):
            pass

    def _find(self) -> list[tree.Proc]:
        return tree.find(f"{CELL}={self._id}", session=self._main.pid)

    def _end_all(self) -> None:
        def reap() -> None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._main.wait(_KILL_S)

        tree.end_all(self._find, timeout_s=_KILL_S, reap=reap)


def _ended(pid: int) -> Ended | None:
    """Return how a child ended, `None` if it runs; it stays a zombie, so that its pid and session are not reused."""
    found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if found is None:
        return None
    return Ended(exit_status=found.si_status) if found.si_code == os.CLD_EXITED else Ended(signal=found.si_status)


@contextlib.contextmanager
def _noticing_end(selector: selectors.BaseSelector, pid: int) -> Iterator[None]:
    """Register the end of a process with the selector for the duration of the block, where the platform has pidfds."""
    if (handle := end_descriptor(pid)) is None:
        yield
        return
    try:
        selector.register(handle, selectors.EVENT_READ)
        yield
        selector.unregister(handle)
    finally:
        os.close(handle)


def _pass_on(selector: selectors.BaseSelector, timeout_s: float) -> bool:
    """Pass on what the pipes hold, and return whether they held anything."""
    passed = False
    for key, _ in selector.select(timeout_s):
        if key.data is None:
            continue
        data = os.read(key.fd, 1 << 16)
        if data:
            key.data(data)
        else:
            selector.unregister(key.fileobj)
        passed = True
    return passed
