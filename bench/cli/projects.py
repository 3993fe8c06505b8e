"""The user's project: which folder is copied to where cells run, and what targets are called there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.inputs import programs
from bench.cli.output import say
from bench.errors import NothingToRun, UsageError
from bench.matrix.images import Project
from bench.modes import modes_of, why_none
from bench.report.lines import counted
from bench.targets import DEMOS, place_of_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.matrix.config import Config
    from bench.record import Judged
    from bench.sampling import Mode
    from bench.targets import Found


def checked_targets(targets: Sequence[str], config: Config, modes: Sequence[Mode]) -> tuple[str, ...]:
    """Make sure that there is something to run, before anything is built; give targets as the project's root sees them.

    A project with requirements may not be importable on this host: there only its files are looked for.

    Raises:
        UsageError: if a target does not exist, cannot be imported, or is outside of the project.
        NothingToRun: if the targets hold no program, or none that can be observed in any of the modes.
    """
    if not config.requirements or all(map(_is_demo, targets)):
        check_modes(_imported(targets), modes)
    root = project_root(targets, config)
    return tuple(_seen_from(root, target) for target in targets)


def _imported(targets: Sequence[str]) -> tuple[Found, ...]:
    before = list(sys.path)
    found = programs(targets)
    sys.path[:] = before  # lest a module of the user's that is called `docker` is taken for the library
    return found


def check_modes(found: Sequence[Found], modes: Sequence[Mode]) -> tuple[Found, ...]:
    """Give the targets that can be observed in some of the modes, and say how many cannot, and why.

    Raises:
        NothingToRun: if none can.
    """
    kept = tuple(one for one in found if modes_of(one.program, modes))
    if not kept:
        raise NothingToRun(f"no target can be run with --mode {','.join(modes)}: {why_none(modes)}")
    if left := len(found) - len(kept):
        say(f"{counted(left, 'target')} left out: {why_none(modes)}")
    return kept


def schedule_saver(targets: Sequence[str], config: Config, folder: Path | None) -> Callable[[Judged], Judged]:
    """Give what keeps the schedules that cells find, to be replayed on this host.

    Args:
        targets: as they were checked.
        config: of the project.
        folder: the run's; `None` keeps them in the user's cache.
    """
    found: dict[str, Found] = {}
    if targets and (not config.requirements or all(map(_is_demo, targets))):
        root = project_root(targets, config)
        found = {one.program.target: one for one in _imported([f"{root}/{t}" if is_path(t) else t for t in targets])}

    def save(judged: Judged) -> Judged:
        from bench.explore.findings.files import name_schedules, save_schedules

        if (one := found.get(judged.observation.target)) is not None:
            judged = name_schedules(
                judged, one, python=_version(judged)
            )  # its place on this host, in place of the cell's
        return save_schedules(judged, folder)

    return save


def _version(judged: Judged) -> str:
    figures = judged.observation.extra.get("explore")
    origin = figures.get("found") if isinstance(figures, dict) else None
    return str(origin.get("python")) if isinstance(origin, dict) else ""


def project_of(targets: Sequence[str], command: Sequence[str], config: Config) -> Project | None:
    """Give the project that cells need: none for the demos alone."""
    if not command and all(map(_is_demo, targets)):
        return None
    root = project_root(targets, config)
    # A folder that nothing marks as a project may be anything, a home folder too: of that only the Python files.
    include = config.include or (("*.py",) if config.root is None and not command else ())
    return Project(root, include, config.requirements, config.exclude)


def project_root(targets: Sequence[str], config: Config) -> Path:
    """Give the folder of the nearest pyproject.toml, else the one that the first file is imported from, else this."""
    if config.root is not None:
        return config.root.resolve()
    files = [Path(target.partition("::")[0]) for target in targets if is_path(target)]
    found = next((one for one in files if one.exists()), None)
    if found is None:
        return Path.cwd()
    return found.resolve() if found.is_dir() else Path(place_of_file(found).root or ".")


def is_path(target: str) -> bool:
    """Tell whether a target is a file or folder, and no module."""
    return "/" in target or "::" in target or target.endswith(".py")


def _is_demo(target: str) -> bool:
    return target == DEMOS or target.startswith((f"{DEMOS}.", f"{DEMOS}:"))


def _seen_from(root: Path, target: str) -> str:
    if not is_path(target):
        return target
    file, colons, name = target.partition("::")
    path = Path(file).resolve()
    if not path.is_relative_to(root):
        raise UsageError(f"{file} is outside of the project {root}; only what is in it is copied to where cells run")
    return f"{path.relative_to(root)}{colons}{name}"
