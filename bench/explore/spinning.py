"""Whether a lane that reads the same again is in a loop that only somebody else's step can end."""

from __future__ import annotations

import types

from bench.process.instrument import is_users

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from types import FrameType

_PLAIN = (type(None), bool, int, float, complex, str, bytes, range)
_STEADY = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType, types.MethodType)
_LONGEST = 64
"""Items of a container, or attributes of an object, above which it is not compared."""


def snapshot(frame: FrameType) -> object:
    """Give what the user's code at a frame goes on from: where it is, and its local variables, also its callers'.

    If two of them are equal, and what is shared did not change in between, the code goes on as it did before: it
    waits for somebody else. `None` if what it goes on from cannot be compared, such as an iterator. What a `for` keeps
    to itself is not seen, only its variable: who reads the same in a loop over equal items is taken to wait.
    """
    found: list[object] = []
    at: FrameType | None = frame
    while at is not None:
        if is_users(at.f_code.co_filename):
            found.append((id(at.f_code), at.f_lasti))
            for name, value in at.f_locals.items():
                known = _known(value, 2)
                if known is None:
                    return None
                found.append((name, known))
        at = at.f_back
    return found


def _known(value: object, depth: int) -> object:  # noqa: PLR0911  # one for each kind of value
    """Give what tells a value from others, or `None` where that is not known."""
    if isinstance(value, _PLAIN):
        return (type(value), value)
    if isinstance(value, _STEADY) or _is_shared(value):
        return id(value)
    if not depth:
        return None
    if isinstance(value, (list, tuple)) and len(value) <= _LONGEST:
        return _all_known(type(value), value, depth)
    if isinstance(value, dict) and len(value) <= _LONGEST:
        return _all_known(dict, (*value.keys(), *value.values()), depth)
    inner = getattr(value, "__dict__", None)
    if isinstance(inner, dict) and len(inner) <= _LONGEST:
        return _all_known(id(value), (*inner.keys(), *inner.values()), depth)
    return None


def _is_shared(value: object) -> bool:
    """Tell what is shared, whose changes are steps."""
    module = type(value).__module__
    return module.partition(".")[0] in ("multiprocessing", "ctypes", "_ctypes") or hasattr(value, "_wrapper")


def _all_known(first: object, values: object, depth: int) -> object:
    found = [first]
    for value in values:  # type: ignore[attr-defined]  # one of the tuples and lists above
        if (known := _known(value, depth - 1)) is None:
            return None
        found.append(known)
    return found
