"""Whether a lane that reads the same again is in a loop that only somebody else's step can end.

To take a loop for one that waits although it would end by itself is to leave out interleavings, so what is not known
counts as different: a loop that waits and is not recognized merely runs into the limit of steps.
"""

from __future__ import annotations

import os
import sys
import types
from bisect import bisect_right

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import CodeType, FrameType
    from typing import Any

_PLAIN = (type(None), bool, int, float, complex, str, bytes, range)
_STEADY = (types.BuiltinFunctionType, types.ModuleType)
_ITEMS: tuple[Any, ...] = ([], (), range(0), "", "é", b"", {}, set())
_ITERATORS: tuple[type, ...] = (enumerate, zip, *{type(iter(one)) for one in _ITEMS})
_LONGEST = 64
"""Items of a container, or attributes of an object, above which it is not compared."""

_DEEPEST = 4
_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_OBJECT_SIZE = getattr(object, "__basicsize__", 0) + 16
"""Bytes of an object that has nothing but a dictionary and weak references; one with more has a state of its own."""


def snapshot(frame: FrameType) -> object:
    """Give what the code at a frame goes on from: where it is, its variables, those of its callers, and their globals.

    If two of them are equal, and what is shared did not change in between, the code goes on as it did before: it
    waits for somebody else. `None` if that cannot be known: what it goes on from has a state that cannot be compared,
    or no `while` is around it, so that the loop is one over items, which ends, equal as they may be.
    """
    found: list[object] = []
    waits = False
    spaces: dict[int, dict[str, object]] = {}
    at: FrameType | None = frame
    while at is not None:
        if not at.f_code.co_filename.startswith(_OWN):
            layout = _layout(at.f_code)
            position = layout.at(at.f_lasti)
            found.append((id(at.f_code), position))
            waits = waits or layout.waits(position)
            if (known := _variables(at)) is None:
                return None
            found.append(known)
            spaces[id(at.f_globals)] = at.f_globals
        elif found:  # what plays the actor
            break
        at = at.f_back
    if not waits:
        return None
    return [found, *(_attributes(space.items()) for space in spaces.values() if _is_users(space))]


def _variables(frame: FrameType) -> object:
    """Give the values of a frame's variables, `None` if one is not known that is the user's."""
    found: list[object] = []
    users = _is_users(frame.f_globals)
    for name, value in frame.f_locals.items():
        if (known := _known(value, _DEEPEST)) is None:
            if users:
                return None
            known = id(value)
        found.append((name, known))
    return found


def _is_users(space: dict[str, object]) -> bool:
    return str(space.get("__name__")).partition(".")[0] not in sys.stdlib_module_names


def _known(value: object, depth: int) -> object:  # noqa: PLR0911  # one for each kind of value
    """Give what tells a value from others, or `None` where that is not known."""
    if isinstance(value, _PLAIN):
        return (type(value), value)
    if isinstance(value, _STEADY) or _is_shared(value):
        return id(value)
    if isinstance(value, os.PathLike):
        return (type(value), os.fspath(value))
    if isinstance(value, (set, frozenset)) and all(isinstance(one, _PLAIN) for one in value):
        return (type(value), frozenset(value))
    if not depth:
        return None
    if isinstance(value, type):
        return (id(value), _of_class(value))
    if isinstance(value, types.FunctionType):
        return _all_known(id(value), [cell.cell_contents for cell in value.__closure__ or () if _filled(cell)], depth)
    if isinstance(value, types.MethodType):
        return _all_known(id(value.__func__), (value.__self__,), depth)
    if isinstance(value, (list, tuple)) and len(value) <= _LONGEST:
        return _all_known(type(value), value, depth)
    if isinstance(value, dict) and len(value) <= _LONGEST:
        return _all_known(dict, (*value.keys(), *value.values()), depth)
    if isinstance(value, _ITERATORS):
        return _all_known(type(value), value.__reduce__()[1:], depth)
    return _of_object(value, depth)


def _of_object(value: object, depth: int) -> object:
    inner, kind = getattr(value, "__dict__", None), type(value)
    if not isinstance(inner, dict) or len(inner) > _LONGEST or getattr(kind, "__basicsize__", 0) > _OBJECT_SIZE:
        return None
    own = _all_known(id(value), (*inner.keys(), *inner.values()), depth)
    return None if own is None else (own, _of_class(kind))


def _of_class(kind: type) -> object:
    """Give what is known of the attributes of a class of the user's, as far as it has any that can change."""
    ours = [one for one in kind.__mro__ if _is_users({"__name__": one.__module__})]
    return [(id(one), _attributes(vars(one).items())) for one in ours]


def _attributes(items: Iterable[tuple[str, object]]) -> object:
    """Give what is known of globals or attributes of classes; what is not known is taken to stay as it is."""
    found = []
    for name, value in list(items):
        if not name.startswith("__") and not isinstance(value, (*_STEADY, type, types.FunctionType, property)):
            known = _known(value, 1)
            found.append((name, id(value) if known is None else known))
    return found


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _is_shared(value: object) -> bool:
    """Tell what is shared, whose changes are steps."""
    if type(value).__module__.partition(".")[0] == "multiprocessing":
        return True
    own = getattr(value, "__dict__", ())
    return "_wrapper" in own or "_bench_access" in own


def _all_known(first: object, values: Any, depth: int) -> object:
    found = [first]
    for value in values:
        if (known := _known(value, depth - 1)) is None:
            return None
        found.append(known)
    return found


class _Layout:
    """Where the instructions of a code begin, and its loops that do not ask an iterator for the next item."""

    def __init__(self, code: CodeType) -> None:
        import dis

        steps = [step for step in dis.get_instructions(code) if step.opname not in ("EXTENDED_ARG", "CACHE")]
        self.begins = [step.offset for step in steps]
        self.whiles: list[tuple[int, int]] = []
        for jump in steps:
            is_jump = jump.opcode in dis.hasjrel or jump.opcode in dis.hasjabs
            if is_jump and jump.argval <= jump.offset:
                first = next(step for step in steps if step.offset >= jump.argval)
                if first.opname not in ("FOR_ITER", "SEND", "GET_ANEXT"):
                    self.whiles.append((jump.argval, jump.offset))

    def at(self, position: int) -> int:
        """Give where the instruction begins: a call that the interpreter inlines is told at the end of its caches."""
        return self.begins[bisect_right(self.begins, position) - 1]

    def waits(self, position: int) -> bool:
        """Tell whether a position is inside one of the loops."""
        return any(start <= position <= end for start, end in self.whiles)


_layouts: dict[CodeType, _Layout] = {}


def _layout(code: CodeType) -> _Layout:
    if (found := _layouts.get(code)) is None:
        found = _layouts[code] = _Layout(code)
    return found
