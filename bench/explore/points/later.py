"""Patches of modules that a program may or may not import: made when it does, as to import one for nothing costs time.

`replace_in` also patches types that are written in C, so that it makes no difference whether a program has taken a name
out of a module before.
"""

from __future__ import annotations

import gc
import sys

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_waiting: dict[str, Callable[[Any], None]] = {}
"""By name of a module that is not imported yet, what patches it."""


def when_imported(name: str, patch: Callable[[Any], None]) -> None:
    """Patch a module of the standard library: now if it is imported, else when that happens."""
    if name in sys.modules:
        patch(sys.modules[name])
        return
    if not any(isinstance(one, _Finder) for one in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    _waiting[name] = patch


class _Finder:
    """Has a module patched once it is imported."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in _waiting:
            return None
        from importlib.machinery import PathFinder

        patch, spec = _waiting.pop(name), PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        loader: Any = spec.loader
        execute = loader.exec_module

        def executed(module: Any) -> None:
            execute(module)
            patch(module)

        loader.exec_module = executed
        return spec


def replace_in(kind: type, name: str, value: object) -> None:
    """Replace an attribute of a type, also of one written in C, which allows no such thing by itself.

    The type stays the same object, so `isinstance`, pickles, and names that were imported earlier hold as before. Its
    dictionary is reached as forbiddenfruit does it; then its cache of attributes is cleared. Where an interpreter has
    no such dictionary, nothing is replaced.
    """
    try:
        setattr(kind, name, value)
    except TypeError:
        import ctypes

        spaces: list[Any] = [one for one in gc.get_referents(vars(kind)) if isinstance(one, dict) and name in one]
        if spaces and hasattr(ctypes, "pythonapi"):
            spaces[0][name] = value
            ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))
