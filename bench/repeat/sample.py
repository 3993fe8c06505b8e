"""One sample: a program in a fresh interpreter, until it ends or its deadline passes; then nothing of it is left."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.declared import actors_of
from bench.outcomes import Outcome
from bench.process import groups, journal, stacks, tree
from bench.process.ended import wait_for_end
from bench.process.evidence import Evidence, decide, warnings_of
from bench.process.folders import sample_folder
from bench.process.shared_names import names_left, path_of, shared_names
from bench.targets import Found

_HELPER_GRACE_S = 3.0
"""How long trackers and forkservers may take to see that the program has ended."""

_ORPHAN_GRACE_S = 1.0
"""How long another process may outlive the program before it counts as left behind."""


@dataclass(frozen=True)
class Sample:
    """One sample: its outcome, what Python warned of, and how long it took."""

    outcome: Outcome
    warnings: tuple[str, ...]
    seconds: float
    seed: int
    stderr: str


def run_sample(found: Found, *, method: str, deadline_s: float, seed: int) -> Sample:
    """Run a program once, in a fresh interpreter of the version that runs this.

    Args:
        found: the program.
        method: the start method that its context has, and the default context too.
        deadline_s: how long it may take, its interpreter's start and exit included.
        seed: seeds `random` and string hashing in its main process.
    """
    with sample_folder() as folder:
        started = time.monotonic()
        evidence = _observe(folder, _arguments(found, method, seed), seed, deadline_s)
        seconds = time.monotonic() - started
    warned = tuple(warnings_of(evidence, method))
    return Sample(decide(evidence), warned, seconds, seed, evidence.stderr[-4_000:])


def _arguments(found: Found, method: str, seed: int) -> list[str]:
    place = found.place
    return [place.root or "", place.module, found.program.name, method, str(seed), *actors_of(found.program)]


def _observe(folder: Path, arguments: Sequence[str], seed: int, deadline_s: float) -> Evidence:
    main = groups.start("bench.repeat.main", arguments, folder, seed)
    evidence = None
    try:
        evidence = _watch(main, folder, deadline_s)
        return evidence
    finally:  # also where we are interrupted ourselves: nothing may run on
        if evidence is None or evidence.exit_status is None or evidence.left_processes:
            _end(main, folder)
        _remove_names(shared_names(journal.read(folder)))


def _end(main: subprocess.Popen[bytes], folder: Path) -> None:
    if left := tree.kill_all(lambda: _members(main, folder)):
        sys.stderr.write(f"bench: could not end {', '.join(str(proc.pid) for proc in left)}\n")
    main.kill()
    main.wait()


def _members(main: subprocess.Popen[bytes], folder: Path) -> list[tree.Proc]:
    return tree.find(f"{journal.VARIABLE}={folder}", main.pid)


def _watch(main: subprocess.Popen[bytes], folder: Path, deadline_s: float) -> Evidence:
    status = _wait(main, deadline_s)
    dumped: Sequence[stacks.Stack] = ()
    left: list[tree.Proc] = []
    if status is None:
        dumped = stacks.ask(_members(main, folder))
    else:
        left = _outliving(lambda: _members(main, folder))
    events = journal.read(folder)
    names = shared_names(events) if status is not None and not left else []
    return Evidence(
        status,
        events,
        main.pid,
        dumped,
        [f"{proc.role}: {proc.command}" if proc.role != "process" else proc.command for proc in left],
        names_left(names, "shared_memory"),
        names_left(names, "semaphore"),
        _text(folder / "stderr"),
        deadline_s,
    )


def _wait(main: subprocess.Popen[bytes], deadline_s: float) -> int | None:
    """Return the exit status; `None` if the deadline passes. `Popen.wait` would poll, for up to 50 ms a sample."""
    return main.wait() if wait_for_end(main.pid, deadline_s) else None


def _outliving(search: Callable[[], list[tree.Proc]]) -> list[tree.Proc]:
    """Return the processes that are still there when their grace is over."""
    begun = time.monotonic()
    pause_s = 0.001
    while left := search():
        waited = time.monotonic() - begun
        if waited > _HELPER_GRACE_S or (waited > _ORPHAN_GRACE_S and any(p.role == "process" for p in left)):
            return [p for p in left if p.role == "process"] or left
        time.sleep(pause_s)
        pause_s = min(0.02, pause_s * 2)
    return []


def _remove_names(names: Sequence[tuple[str, str]]) -> None:
    for kind, name in names:
        Path(path_of(kind, name)).unlink(missing_ok=True)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
