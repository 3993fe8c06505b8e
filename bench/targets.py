"""From a TARGET to programs and scenarios: a file, a file's `::Name`, a module, a module's `:Name`, or the demos."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pkgutil
import re
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from bench.declared import Target, defined_in
from bench.errors import NothingToRun, UsageError
from bench.parameters import declared_name

DEMOS = "bench.demos"
"""The package of the demos, which are run where no target is given."""

_DECLARING = ("bench", "bench.declared")
_DECORATORS = frozenset({"program", "scenario"})
_DECORATED = re.compile(r"^\s*@(\w+\.)*(program|scenario)\b", re.MULTILINE)


@dataclass(frozen=True)
class Place:
    """Where a fresh interpreter finds a module: by its name, with `root` (unless `None`) first on the path."""

    root: str | None
    module: str


@dataclass(frozen=True)
class Found:
    """A program or a scenario, and the place of its module."""

    program: Target
    place: Place


def place_of_file(path: Path) -> Place:
    """Return the place of a file's module, whose name begins below the first folder upwards that is no package."""
    path = path.resolve()
    parts = [] if path.stem == "__init__" else [path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return Place(str(folder), ".".join(parts))


def load(place: Place) -> ModuleType:
    """Import a module by its place.

    Raises:
        UsageError: if it cannot be imported; the message names the line that failed.
    """
    if place.root is not None and place.root not in sys.path:
        sys.path.insert(0, place.root)
    try:
        module = importlib.import_module(place.module)
    except UsageError as error:
        at = _place_of(error, Path(__file__).parent)
        raise UsageError(f"{at}: {error}" if at else str(error)) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a user's module may raise anything
        raise UsageError(_import_trouble(place, error)) from None
    _check_origin(place, module)
    return module


def _check_origin(place: Place, module: ModuleType) -> None:
    if place.root is None or not (file := getattr(module, "__file__", None)):
        return
    if not Path(file).resolve().is_relative_to(place.root):
        raise UsageError(
            f"{place.module} in {place.root} is hidden by {file}, which has the same module name; rename one"
        )


def _import_trouble(place: Place, error: BaseException) -> str:
    at = _place_of(error, Path(__file__))
    if isinstance(error, SyntaxError):
        at = f"{error.filename}:{error.lineno}"
    return f"cannot import {place.module}: {type(error).__name__}: {error}{at and f' at {at}'}"


def _place_of(error: BaseException, ours: Path) -> str:
    """Return file and line of the innermost frame that is neither the import system's nor below `ours`, or nothing."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "importlib" not in f.filename]
    frames = [f for f in frames if not Path(f.filename).is_relative_to(ours)]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""


def find(targets: Iterable[str]) -> tuple[Found, ...]:
    """Return the programs and scenarios that the targets name; with none given, the demos.

    Raises:
        UsageError: if a target does not exist, cannot be imported, or two programs have one name.
        NothingToRun: if the targets hold no program.
    """
    found: dict[str, Found] = {}
    for target in tuple(targets) or (DEMOS,):
        for one in _targets_of(target):
            other = found.setdefault(one.program.target, one)
            if other.program.file != one.program.file:
                raise UsageError(
                    f"two programs named {one.program.target}: in {other.program.file} and {one.program.file}"
                )
    if not found:
        raise NothingToRun(
            f"no program in {', '.join(targets)}; decorate a function f(mp) with @program(...), "
            "or a class with @scenario(...)"
        )
    return tuple(found.values())


def _targets_of(target: str) -> tuple[Found, ...]:
    if "::" in target or target.endswith(".py") or "/" in declared_name(target):
        file, _, name = target.partition("::")
        return _select(_targets_in_path(Path(file)), name, target)
    module, _, name = target.partition(":")
    if module == target and Path(target).is_dir() and not _is_module(target):
        return _targets_in_path(Path(target))
    if not all(part.isidentifier() for part in module.split(".")):
        raise UsageError(f"{target!r} is no target; give file.py, file.py::Name, package.module or package.module:Name")
    return _select(_targets_in_module(Place(None, module)), name, target)


def _is_module(name: str) -> bool:
    # A folder without __init__.py would be found as a namespace package, which holds nothing.
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    return spec is not None and spec.origin is not None


def _targets_in_path(path: Path) -> tuple[Found, ...]:
    if path.is_dir():
        files = sorted(one for one in path.rglob("*.py") if declares_targets(one.read_text("utf-8", "replace")))
        return tuple(found for file in files for found in _targets_in_module(place_of_file(file)))
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    return _targets_in_module(place_of_file(path))


def declares_targets(source: str) -> bool:
    """Return whether a file of this source declares programs or scenarios, without importing it.

    A decorator counts by its last name, or by the other name under which it was imported from `bench`. A file that
    does not mention `bench` counts for none: other libraries have decorators of these names too.
    """
    if "bench" not in source:
        return False
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError):  # whoever imports it says what is wrong with it
        return _DECORATED.search(source) is not None
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module in _DECLARING]
    aliases = {alias.asname for node in imports for alias in node.names if alias.name in _DECORATORS}
    return any(
        _last_name(decorator) in _DECORATORS | aliases
        for node in nodes
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        for decorator in node.decorator_list
    )


def _last_name(decorator: ast.expr) -> str | None:
    match decorator.func if isinstance(decorator, ast.Call) else decorator:
        case ast.Name(name) | ast.Attribute(attr=name):
            return name
    return None


def _targets_in_module(place: Place) -> tuple[Found, ...]:
    module = load(place)
    places = [place]
    if hasattr(module, "__path__"):
        names = sorted(info.name for info in pkgutil.walk_packages(module.__path__, f"{module.__name__}."))
        places += [Place(place.root, name) for name in names if not name.endswith(".__main__")]
    return tuple(Found(program, one) for one in places for program in defined_in(load(one)))


def _select(found: tuple[Found, ...], name: str, target: str) -> tuple[Found, ...]:
    if not name:
        return found
    chosen = tuple(one for one in found if name in (one.program.name, one.program.declared_name))
    if not chosen:
        import difflib  # not at the top: every sample imports this module

        names = [one.program.name for one in found]
        near = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names) or 'none'}"
        raise UsageError(f"no program {name} in {target.partition(':')[0]}; {hint}")
    return chosen
