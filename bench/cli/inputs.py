"""What a command is given by name: programs, start methods, folders for records."""

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

from bench.errors import UsageError
from bench.outcomes import METHODS
from bench.targets import find

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.targets import Found

RUNS = "bench-runs"
"""The folder, in the current one, that runs are kept in unless `--out` says otherwise."""


def programs(targets: Iterable[str]) -> tuple[Found, ...]:
    """Find the programs that targets name; modules are looked for in the current folder too, as `python -m` does.

    Raises:
        UsageError: if a target does not exist, cannot be read or imported, or two programs have one name.
        NothingToRun: if the targets hold no program.
    """
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        with contextlib.redirect_stdout(sys.stderr):  # what a module prints is no output of the command
            return tuple(map(_importable, find(targets)))
    except OSError as error:
        raise UsageError(f"cannot read {error.filename or 'a target'}: {error.strerror}") from None


def _importable(found: Found) -> Found:
    """Tell other processes where a module is that was found in the current folder: their path may not have that."""
    here = Path.cwd()
    ours = found.place.module.partition(".")[0] == "bench"
    if found.place.root is not None or ours or not Path(found.program.file).is_relative_to(here):
        return found
    return replace(found, place=replace(found.place, root=str(here)))


def platform_methods() -> list[str]:
    """Give the start methods that this platform has, in the order in which reports name them."""
    there = multiprocessing.get_all_start_methods()
    return [method for method in METHODS if method in there]


def run_name() -> str:
    """Make a name for a run that sorts by time and no other run has."""
    return f"{datetime.now(timezone.utc):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def records_folder(out: str | None, run: str) -> Path:
    """Make the folder that a run is recorded in.

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
