"""What a process that is to be audited is given, unpickled only once its audit has begun.

A user's `__setstate__`, or what `__reduce__` names, runs while that is unpickled, and may reach what is shared. Under
fork nothing is pickled.
"""

from __future__ import annotations

import contextlib
import importlib
from multiprocessing.reduction import ForkingPickler

from bench.explore.runtime import control

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from typing import Any

_DEEP = 3
"""How deep in a value the classes are looked for whose modules are imported before the audit."""


class Sealed:
    """A value that is pickled by itself, and unpickled when it is opened."""

    def __init__(self, value: object = None, pickled: bytes | None = None) -> None:
        self._value, self._pickled = value, pickled

    def __reduce__(self) -> tuple[Any, tuple[bytes, list[str]]]:
        return _sealed, (bytes(ForkingPickler.dumps(self._value)), sorted(_modules(self._value)))

    def open(self) -> Any:
        """Return the value; what it does while it is unpickled takes no steps."""
        if self._pickled is None:
            return self._value
        control.unpickling = True
        try:
            with control.Raw():
                return ForkingPickler.loads(self._pickled)
        finally:
            control.unpickling = False


def _sealed(pickled: bytes, modules: list[str]) -> Sealed:
    """Return what was sealed, once the modules of its classes are imported, which is not audited."""
    for name in modules:
        with contextlib.suppress(Exception):  # it is raised again where it is opened
            importlib.import_module(name)
    return Sealed(None, pickled)


def _modules(value: object, depth: int = _DEEP) -> set[str]:
    """Return the names of the modules of a value's class, and of those of what it holds."""
    found = {str(type(value).__module__)}
    held: list[object] = list(getattr(value, "__dict__", {}).values())
    if isinstance(value, dict):
        held += value.values()
    elif isinstance(value, (tuple, list)):
        held += value
    for one in held if depth else ():
        found |= _modules(one, depth - 1)
    return found - {"__main__"}
