"""What a process that is to be audited is given, unpickled only once its audit has begun.

A user's `__setstate__`, or what `__reduce__` names, runs while that is unpickled, and may reach what is shared. Under
fork nothing is pickled.
"""

from __future__ import annotations

from multiprocessing.reduction import ForkingPickler

from bench.explore.runtime import control

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from typing import Any


class Sealed:
    """A value that is pickled by itself, and unpickled when it is opened."""

    def __init__(self, value: object = None, pickled: bytes | None = None) -> None:
        self._value, self._pickled = value, pickled

    def __reduce__(self) -> tuple[type[Sealed], tuple[None, bytes]]:
        return Sealed, (None, bytes(ForkingPickler.dumps(self._value)))

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
