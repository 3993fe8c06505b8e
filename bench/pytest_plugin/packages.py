"""Which modules hold programs, told by their text: importing them to see would run whatever they hold."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import cast

import pytest

_DECORATED = re.compile(r"^@(\w+\.)*(program|scenario)\b", re.MULTILINE)
_PACKAGES = pytest.StashKey[tuple[Path, ...]]()


def declares_programs(file: Path) -> bool:
    """Tell whether a file's text declares programs."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "bench" in text and _DECORATED.search(text) is not None


def modules_of_packages(file: Path, parent: pytest.Collector) -> list[pytest.Collector]:
    """Give the module that `file` is, if a package named on the command line has it and it declares programs."""
    if not any(file.is_relative_to(folder) for folder in _packages(parent.config)) or not declares_programs(file):
        return []
    hooks = parent.session.gethookproxy(file)
    module = hooks.pytest_pycollect_makemodule(module_path=file, parent=parent)
    return [] if module is None else [cast("pytest.Collector", module)]


def names_programs(config: pytest.Config, argument: str) -> bool:
    """Tell whether an argument names a module or a package that declares programs, without a look into folders."""
    name = argument.partition("[")[0].partition("::")[0]
    if (origin := _origin(name) if config.option.pyargs else None) is None:
        file = Path(config.invocation_params.dir, name)
        return file.suffix == ".py" and declares_programs(file)
    files = origin.parent.rglob("*.py") if origin.name == "__init__.py" else [origin]
    return any(declares_programs(file) for file in files)


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
