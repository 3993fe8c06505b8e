"""Schedules of findings, kept as files from what an observation says of each outcome."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.explore.schedule import Schedule, schedule_of, write
from bench.observation import Tally
from bench.record import Judged
from bench.targets import Found
from bench.values import Json

FOLDER = "schedules"
"""Where they stand in the folder of a run."""

MOST = 20
"""Findings of an observation that are kept: of a race with a thousand outcomes nobody replays them all."""


def keep(
    judged: Judged, found: Found, run: Path | None, *, python: str, pythonpath: Sequence[str] = ()
) -> Judged:  # fmt: skip
    """Write the schedules of what is not acceptable, and give the observation with their names and replay commands.

    Args:
        judged: what was observed; left as it is if it says of no schedule.
        found: the target.
        run: the folder of the run; `None` keeps them in the user's cache, where the same finding has the same file.
        python: the version of Python it ran on.
        pythonpath: what else must be on the path for the target to be imported.
    """
    outcomes, kept = [], list[str]()
    for index, one in enumerate(judged.observation.outcomes):
        grade = judged.grades[index][0] if index < len(judged.grades) else None
        made = None
        if grade != "acceptable" and len(kept) < MOST:
            made = _schedule(judged, found, one, python, pythonpath)
        if made is not None and (path := _written(made, run)) is not None:
            name = f"{FOLDER}/{path.name}" if run is not None else str(path)
            kept.append(name)
            one = replace(one, witness={**one.witness, "schedule": name, "replay": replay_command(path)})  # noqa: PLW2901  # the same outcome, told where it is kept
        outcomes.append(one)
    figures = judged.observation.extra.get("explore")
    if not isinstance(figures, dict):
        return judged
    explore: Json = {**figures, "schedule": kept[0] if kept else None}
    extra = {**judged.observation.extra, "explore": explore}
    return replace(judged, observation=replace(judged.observation, outcomes=tuple(outcomes), extra=extra))


def _schedule(judged: Judged, found: Found, one: Tally, python: str, pythonpath: Sequence[str]) -> Schedule | None:
    figures = judged.observation.extra.get("explore")
    told = figures if isinstance(figures, dict) else {}
    seed = told.get("seed")
    return schedule_of(
        found, one.outcome, one.witness, method=judged.method or "", python=python, pythonpath=pythonpath,
        strategy=str(told.get("strategy") or ""), seed=seed if isinstance(seed, int) else 0,
    )  # fmt: skip


def _written(schedule: Schedule, run: Path | None) -> Path | None:
    for folder in [run / FOLDER] if run is not None else _shared_folders():
        try:
            return write(schedule, folder)
        except OSError:  # read-only, full, or not ours: a finding counts without its file too
            continue
    return None


def _shared_folders() -> list[Path]:
    named = os.environ.get("XDG_CACHE_HOME", "")
    cache = Path(named) if Path(named).is_absolute() else Path("~/.cache").expanduser()
    user = os.getuid() if hasattr(os, "getuid") else 0
    return [cache / "forkbench" / FOLDER, Path(tempfile.gettempdir()) / f"forkbench-{FOLDER}-{user}"]


def replay_command(path: Path) -> str:
    """Give the command that replays a schedule, from the current folder."""
    inside = path.resolve().is_relative_to(Path.cwd())
    return shlex.join(["bench", "replay", os.path.relpath(path) if inside else str(path.resolve())])
