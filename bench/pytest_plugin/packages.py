"""Modules that pytest collects besides its own: those of packages that declare programs or scenarios."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import cast

import pytest

_PACKAGES = pytest.StashKey[tuple[Path, ...]]()


def _declares_targets(file: Path) -> bool:
    try:
        source = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    if "bench" not in source:
        return False  # as nearly every file of a plain suite, which is not to import what follows
    from bench.targets import declares_targets

    return declares_targets(source)


def modules_of_packages(file: Path, parent: pytest.Collector) -> list[pytest.Collector]:
    """Return the module that `file` is, if it is in a package named on the command line and declares targets."""
    if not any(file.is_relative_to(folder) for folder in _packages(parent.config)) or not _declares_targets(file):
        return []
    hooks = parent.session.gethookproxy(file)
    module = hooks.pytest_pycollect_makemodule(module_path=file, parent=parent)
    return [] if module is None else [cast("pytest.Collector", module)]


def names_targets(config: pytest.Config, argument: str) -> bool:
    """Return whether an argument names a module or a package that declares targets, without a look into folders."""
    name = argument.partition("[")[0].partition("::")[0]
    if (origin := _origin(name) if config.option.pyargs else None) is None:
        file = Path(config.invocation_params.dir, name)
        return file.suffix == ".py" and _declares_targets(file)
    files = origin.parent.rglob("*.py") if origin.name == "__init__.py" else [origin]
    return any(_declares_targets(file) for file in files)


def _packages(config: pytest.Config) -> tuple[Path, ...]:
    if _PACKAGES not in config.stash:
        origins = map(_origin, config.args)
        config.stash[_PACKAGES] = tuple(one.parent for one in origins if one is not None and one.name == "__init__.py")
    return config.stash[_PACKAGES]


def _origin(name: str) -> Path | None:
    if not all(part.isidentifier() for part in name.split(".")):
        return None
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None
    return None if spec is None or spec.origin is None or not spec.has_location else Path(spec.origin)
