"""One sample: a program in a fresh interpreter, until it ends or its deadline passes; then nothing of it is left."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.declared import actors_of
from bench.outcomes import Outcome, grades_items
from bench.process import groups, journal, stacks, tree
from bench.process.evidence import Evidence, decide, warnings_of
from bench.process.folders import sample_folder
from bench.process.shared_names import names_left, path_of, shared_names
from bench.targets import Found

_HELPER_GRACE_S = 3.0
"""How long trackers and forkservers may take to see that the program has ended."""

_ORPHAN_GRACE_S = 1.0
"""How long another process may outlive the program before it counts as left behind."""


_FIRST_LOOK_S = 0.1
"""How long to wait for the end of all processes before the first look at which there are."""


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
    evidence = replace(evidence, items=grades_items(found.program.expectations))
    warned = tuple(warnings_of(evidence, method))
    return Sample(decide(evidence, found.program.tolerates), warned, seconds, seed, evidence.stderr[-4_000:])


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
            groups.end(main, folder)
        else:
            main.close()
        _remove_names(shared_names(journal.read(folder)))


def _watch(main: groups.Main, folder: Path, deadline_s: float) -> Evidence:
    status = main.wait(deadline_s)
    dumped: Sequence[stacks.Stack] = ()
    left: list[tree.Proc] = []
    if status is None:
        dumped = stacks.ask(groups.members(main, folder), active=True)
    else:
        left = _outliving(main, folder)
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
        [proc.pid for proc in left],
    )


def _outliving(main: groups.Main, folder: Path) -> list[tree.Proc]:
    """Return the processes that are still there when their grace is over."""
    begun = time.monotonic()
    pause_s = _FIRST_LOOK_S
    while not main.is_alone(pause_s):
        left = groups.members(main, folder)
        waited = time.monotonic() - begun
        if left and (waited > _HELPER_GRACE_S or (waited > _ORPHAN_GRACE_S and any(p.role == "process" for p in left))):
            return [p for p in left if p.role == "process"] or left
        if not left and waited > _HELPER_GRACE_S:  # its supervisor is all that is left
            break
        pause_s = 0.02
    return []


def _remove_names(names: Sequence[tuple[str, str]]) -> None:
    for kind, name in names:
        Path(path_of(kind, name)).unlink(missing_ok=True)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
