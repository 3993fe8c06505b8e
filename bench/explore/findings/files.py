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
    figures = judged.observation.extra.get("explore")
    if not isinstance(figures, dict):
        return judged
    root, module = found.place.root, found.place.module
    origin: dict[str, Json] = {
        "module": module,
        "root": root,
        "file": _source_file(root, module, found.program.file),
        "python": python,
        "pythonpath": list(pythonpath),
    }
    judged = _with_outcomes(judged, judged.observation.outcomes, {**figures, "found": origin})
    findings = [one for index, one in enumerate(judged.observation.outcomes) if _grade(judged, index) != "acceptable"]
    outcomes, first = [], None
    for one in judged.observation.outcomes:
        made = schedule_of(judged, one) if one in findings[:MOST] else None
        if made is not None:
            first = first or f"{FOLDER}/{made.file_name}"
            one = replace(one, witness={**one.witness, "schedule": f"{FOLDER}/{made.file_name}"})  # noqa: PLW2901  # the same outcome, with its schedule
        outcomes.append(one)
    return _with_outcomes(judged, outcomes, {**figures, "found": origin, "schedule": first})


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
    for one in judged.observation.outcomes:
        made = schedule_of(judged, one) if one.witness.get("schedule") else None
        if made is not None and (path := _save(made, run)) is not None:
            one = replace(one, witness={**one.witness, "replay": replay_command(path)})  # noqa: PLW2901  # the same outcome, with its command
        outcomes.append(one)
    return replace(judged, observation=replace(judged.observation, outcomes=tuple(outcomes)))


def schedule_of(judged: Judged, one: Tally) -> Schedule | None:
    """Return the schedule of an outcome from the record of its observation; `None` where that does not hold one."""
    import bench

    seen, witness = judged.observation, one.witness
    anchors = anchors_of(witness)
    figures = seen.extra.get("explore")
    origin = figures.get("found") if isinstance(figures, dict) else None
    if not anchors or not isinstance(figures, dict) or not isinstance(origin, dict):
        return None
    root, path = origin.get("root"), origin.get("pythonpath")
    root = None if root is None else str(root)
    outcome = {"key": one.outcome.key, "kind": one.outcome.kind, "text": one.outcome.text()}
    return Schedule(
        seen.target,
        str(origin.get("module")),
        root,
        str(origin.get("file")),
        judged.method or "",
        str(origin.get("python")),
        outcome,
        tuple(anchor._replace(at=relative_to(root, anchor.at)) for anchor in anchors),
        tuple(map(str, path)) if isinstance(path, list) else (),
        str(figures.get("strategy") or ""),
        _number(figures, "seed"),
        _number(witness, "preemptions"),
        _number(witness, "depth"),
        seen.cell,
        bench.__version__,
    )


def _number(record: Mapping[str, Json], name: str) -> int:
    return number if isinstance(number := record.get(name), int) else 0


def _grade(judged: Judged, index: int) -> str | None:
    return judged.grades[index][0] if index < len(judged.grades) else None


def _with_outcomes(judged: Judged, outcomes: Sequence[Tally], figures: Mapping[str, Json]) -> Judged:
    seen = judged.observation
    extra = {**seen.extra, "explore": dict(figures)}
    return replace(judged, observation=replace(seen, outcomes=tuple(outcomes), extra=extra))


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
