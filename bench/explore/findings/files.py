"""Schedule files of findings, made from the record of an observation alone.

A place of observation may be no place for files, such as a container with a read-only root. So `name_schedules` first
adds to an observation the names of its schedules and what they need besides, and `save_schedules` writes the files
where the record is.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench.called import command_name
from bench.explore.findings.schedule import Schedule, anchors_of, relative_to, write
from bench.figures import ExploreFigures, Origin
from bench.observation import Tally
from bench.process.folders import cache_folder
from bench.record import Judged
from bench.targets import Found
from bench.values import Json

FOLDER = "schedules"
"""The folder of schedule files in the folder of a run."""

MOST = 20
"""Findings of an observation that are saved: of a race with a thousand outcomes nobody replays them all."""


def name_schedules(judged: Judged, found: Found, *, python: str, pythonpath: Sequence[str] = ()) -> Judged:
    """Return the observation with the names of the schedule files of the outcomes that are not acceptable.

    Args:
        judged: the observation; returned as it is if it is not one of mode explore.
        found: the target.
        python: the version of Python it ran on.
        pythonpath: what else must be on the path for the target to be imported.
    """
    figures = judged.figures
    if not isinstance(figures, ExploreFigures):
        return judged
    root, module = found.place.root, found.place.module
    origin = Origin(module, root, _source_file(root, module, found.program.file), python, tuple(pythonpath))
    judged = replace(judged, figures=figures.with_schedules(origin, None))
    findings = [one for one in judged.outcomes if one.grade != "acceptable"]
    outcomes, first = [], None
    for one in judged.outcomes:
        made = schedule_of(judged, one) if one in findings[:MOST] else None
        if made is not None:
            first = first or f"{FOLDER}/{made.file_name}"
            one = replace(one, witness={**one.witness, "schedule": f"{FOLDER}/{made.file_name}"})  # noqa: PLW2901  # the same outcome, with its schedule
        outcomes.append(one)
    return replace(judged, outcomes=tuple(outcomes), figures=figures.with_schedules(origin, first))


def _source_file(root: str | None, module: str, file: str) -> str:
    """Return the path of a module's file from the root; without a root, from the folder of its outermost package."""
    path = Path(file)
    names = module.count(".") + 1 + (path.name == "__init__.py")
    return relative_to(root, file) if root is not None else "/".join(path.parts[-names:])


def save_schedules(judged: Judged, run: Path | None) -> Judged:
    """Write the schedule files that an observation names, and return it with the commands that replay them.

    Args:
        judged: the observation, as `name_schedules` returns it.
        run: the folder of the run; `None` writes them into the user's cache, where the same finding has the same file.
    """
    outcomes = []
    for one in judged.outcomes:
        made = schedule_of(judged, one) if one.witness.get("schedule") else None
        if made is not None and (path := _save(made, run)) is not None:
            one = replace(one, witness={**one.witness, "replay": replay_command(path)})  # noqa: PLW2901  # the same outcome, with its command
        outcomes.append(one)
    return replace(judged, outcomes=tuple(outcomes))


def schedule_of(judged: Judged, one: Tally) -> Schedule | None:
    """Return the schedule of an outcome from the record of its observation; `None` where that does not hold one."""
    import bench

    figures, witness = judged.figures, one.witness
    anchors = anchors_of(witness)
    if not anchors or not isinstance(figures, ExploreFigures) or (origin := figures.origin) is None:
        return None
    outcome = {"key": one.outcome.key, "kind": one.outcome.kind, "text": one.outcome.text()}
    return Schedule(
        judged.target,
        origin.module,
        origin.root,
        origin.file,
        judged.method or "",
        origin.python,
        outcome,
        tuple(anchor._replace(at=relative_to(origin.root, anchor.at)) for anchor in anchors),
        origin.pythonpath,
        figures.strategy or "",
        figures.seed,
        _number(witness, "preemptions"),
        _number(witness, "depth"),
        judged.cell,
        bench.__version__,
    )


def _number(record: Mapping[str, Json], name: str) -> int:
    return number if isinstance(number := record.get(name), int) else 0


def _save(schedule: Schedule, run: Path | None) -> Path | None:
    for folder in [run / FOLDER] if run is not None else _shared_folders():
        try:
            return write(schedule, folder)
        except OSError:  # read-only, full, or not ours: a finding counts without its file too
            continue
    return None


def _shared_folders() -> list[Path]:
    user: Callable[[], int] = getattr(os, "getuid", lambda: 0)
    return [cache_folder(os.environ) / FOLDER, Path(tempfile.gettempdir()) / f"forkbench-{FOLDER}-{user()}"]


def replay_command(path: Path) -> str:
    """Return the command that replays a schedule from the current folder."""
    inside = path.resolve().is_relative_to(Path.cwd())
    return shlex.join([command_name(), "replay", os.path.relpath(path) if inside else str(path.resolve())])
