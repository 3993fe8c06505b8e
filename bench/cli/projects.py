"""The user's project: which folder is copied to where cells run, and what targets are called there."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.inputs import observable, programs
from bench.cli.output import say
from bench.errors import UsageError
from bench.figures import ExploreFigures
from bench.matrix.images import Project
from bench.matrix.install import NOTHING, Asked, Checkout, Install, choose, described
from bench.targets import DEMOS, place_of_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.matrix.config import Config
    from bench.record import Judged
    from bench.sampling import Mode
    from bench.targets import Found


def checked_targets(targets: Sequence[str], config: Config, modes: Sequence[Mode]) -> tuple[str, ...]:
    """Return targets as they are named from the project's root, checked before anything is built.

    A project for which something is installed may not be importable on this host: only its files are looked for.

    Raises:
        UsageError: if a target does not exist, cannot be imported, or is outside of the project.
        NothingToRun: if the targets hold no program, or none that can be observed in any of the modes.
    """
    if not _installs(config) or all(map(_is_demo, targets)):
        observable(_imported(targets), modes)
    root = project_root(targets, config)
    return tuple(_relative(target, root) for target in targets)


def _installs(config: Config) -> bool:
    return bool(config.requirements or config.extras or config.groups or config.install)


def _imported(targets: Sequence[str]) -> tuple[Found, ...]:
    before = list(sys.path)
    found = programs(targets)
    sys.path[:] = before  # a module of the user's that is named `docker` must not be imported as the library
    return found


def schedule_saver(targets: Sequence[str], config: Config, folder: Path | None) -> Callable[[Judged], Judged]:
    """Return a function that writes the schedules that a cell found, so that this host can replay them.

    Args:
        targets: the targets, as `checked_targets` returns them.
        config: the project's configuration.
        folder: the run's folder; `None` means the user's cache folder.
    """
    found: dict[str, Found] = {}
    if targets and (not _installs(config) or all(map(_is_demo, targets))):
        root = project_root(targets, config)
        found = {one.program.target: one for one in _imported([f"{root}/{t}" if is_path(t) else t for t in targets])}

    def save(judged: Judged) -> Judged:
        from bench.explore.findings.files import name_schedules, save_schedules

        if (one := found.get(judged.target)) is not None:
            judged = name_schedules(
                judged, one, python=_version(judged)
            )  # its place on this host, in place of the cell's
        return save_schedules(judged, folder)

    return save


def _version(judged: Judged) -> str:
    origin = judged.figures.origin if isinstance(judged.figures, ExploreFigures) else None
    return "" if origin is None else origin.python


def project_of(targets: Sequence[str], command: Sequence[str], config: Config) -> Project | None:
    """Return the project that cells need, and what is installed for it; `None` if they run only the demos.

    Raises:
        UsageError: if the project's files, or its settings, are not in order.
    """
    if not command and all(map(_is_demo, targets)):
        return None
    root = project_root(targets, config) if targets or config.root else _build_root(Path.cwd())
    # A folder without a pyproject.toml may be anything, a home folder too: only its Python files are copied.
    include = config.include or (("*.py",) if config.root is None and not command else ())
    project = Project(root, include, exclude=config.exclude, copied=bool(command))
    asked = Asked(
        config.requirements,
        config.extras,
        config.groups,
        config.install,
        None if config.wheels is None else _wheels(root / config.wheels),
    )
    if not command and asked == Asked(wheels=asked.wheels):
        return replace(project, install=Install(wheels=asked.wheels))
    checkout = Checkout(tuple(path.as_posix() for path in project.files()), partial(_text_of, root))
    return replace(project, install=choose(checkout, asked, version=partial(described, root)))


def say_install(project: Project | None) -> None:
    """Say in one line what is installed for a project, and why."""
    if project is not None and (project.copied or project.install != NOTHING):
        say(f"to install: {project.install.why}")


def _build_root(folder: Path) -> Path:
    """Return the nearest folder upwards with a setup.py, or setup.cfg, where there is no pyproject.toml."""
    names = ("setup.py", "setup.cfg")
    return next((one for one in (folder, *folder.parents) if any((one / name).is_file() for name in names)), folder)


def _wheels(folder: Path) -> Path:
    if not folder.is_dir():
        raise UsageError(f"`wheels` in [tool.bench]: {folder} is no folder; make it with pip download or pip wheel")
    return folder.resolve()


def _text_of(root: Path, name: str) -> str | None:
    try:
        return (root / name).read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(f"{root / name} cannot be read: {error.strerror}") from None


def project_root(targets: Sequence[str], config: Config) -> Path:
    """Return the folder of the configuration, else that which the first file is imported from, else the current one."""
    if config.root is not None:
        return config.root.resolve()
    files = [Path(target.partition("::")[0]) for target in targets if is_path(target)]
    found = next((one for one in files if one.exists()), None)
    if found is None:
        return Path.cwd()
    return found.resolve() if found.is_dir() else Path(place_of_file(found).root or ".")


def is_path(target: str) -> bool:
    """Return whether a target is a file or folder, not a module."""
    return "/" in target or "::" in target or target.endswith(".py")


def _is_demo(target: str) -> bool:
    return target == DEMOS or target.startswith((f"{DEMOS}.", f"{DEMOS}:"))


def _relative(target: str, root: Path) -> str:
    if not is_path(target):
        return target
    file, colons, name = target.partition("::")
    path = Path(file).resolve()
    if not path.is_relative_to(root):
        raise UsageError(f"{file} is outside of the project {root}; only what is in it is copied to where cells run")
    return f"{path.relative_to(root)}{colons}{name}"
