"""Inputs of a command: the programs of its targets, start methods, folders for records."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import secrets
import sys
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.output import say
from bench.errors import NothingToRun, UsageError
from bench.modes import modes_of, why_none
from bench.outcomes import METHODS
from bench.report.lines import counted
from bench.targets import find

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bench.sampling import Mode
    from bench.targets import Found

RUNS = "bench-runs"
"""The folder, in the current one, that runs are kept in unless `--out` says otherwise."""


def programs(targets: Iterable[str]) -> tuple[Found, ...]:
    """Return the programs that targets name; modules are searched in the current folder too, as `python -m` does.

    Raises:
        UsageError: if a target does not exist, cannot be read or imported, or two programs have one name.
        NothingToRun: if the targets hold no program.
    """
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        with contextlib.redirect_stdout(sys.stderr):  # a module that prints must not write into the command's output
            return tuple(map(_importable, find(targets)))
    except OSError as error:
        raise UsageError(f"cannot read {error.filename or 'a target'}: {error.strerror}") from None


def _importable(found: Found) -> Found:
    """Return a target with the current folder as its root if it was found there: other processes may lack that path."""
    here = Path.cwd()
    ours = found.place.module.partition(".")[0] == "bench"
    if found.place.root is not None or ours or not Path(found.program.file).is_relative_to(here):
        return found
    return replace(found, place=replace(found.place, root=str(here)))


def platform_methods() -> list[str]:
    """Return the start methods that this platform has, in the order in which reports name them."""
    there = multiprocessing.get_all_start_methods()
    return [method for method in METHODS if method in there]


def run_name() -> str:
    """Return a new name for a run."""
    from bench.matrix.plan import run_id  # imported here: `bench list` and `bench replay` have no runs

    return run_id(datetime.now(timezone.utc), secrets.token_hex(3))


def observable(found: tuple[Found, ...], modes: Sequence[Mode]) -> tuple[Found, ...]:
    """Return the targets that can be observed in some of the modes, and report how many cannot, and why.

    Raises:
        NothingToRun: if none can.
    """
    kept = tuple(one for one in found if modes_of(one.program, modes))
    if not kept:
        raise NothingToRun(f"no target can be run with --mode {','.join(modes)}: {why_none(modes)}")
    if left := len(found) - len(kept):
        say(f"{counted(left, 'target')} left out: {why_none(modes)}")
    return kept


def records_folder(out: str | None, run: str) -> Path:
    """Return the folder for the records of a run, which is made if need be.

    Raises:
        UsageError: if it cannot be written to, or holds another run.
    """
    folder = Path(out) if out is not None else Path(RUNS) / run
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}; give another folder with --out") from None
    if (folder / "run.json").exists() or (folder / "cells").exists():
        raise UsageError(f"{folder} holds a run already; give another folder with --out")
    return folder
