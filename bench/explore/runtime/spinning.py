"""Whether a lane that reads the same again is in a loop that only a step of another lane can end.

A mistake in one direction is harmless and in the other is not. A waiting loop that is not recognized merely runs into
the limit of steps. A loop that would end by itself but is taken for a waiting one leaves out interleavings. So whatever
cannot be compared counts as different.

The argument: between two reads of the same the lane has run deterministic code. If everything that this code goes on
from is equal at both (position, variables, those of its callers, globals), and no step has changed anything shared in
between, it comes to the same read a third time, and for ever.
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
    """Return what the code at a frame goes on from: its position, variables, those of its callers, and their globals.

    If two of them are equal, and nothing shared has changed in between, the code waits for another lane. `None` if
    that cannot be known: some state cannot be compared, or no `while` is around the position, so that the loop is one
    over items, which ends, equal as they may be.
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
        elif found:  # the bench's own code that calls the actor, and what is above
            break
        at = at.f_back
    if not waits:
        return None
    return [found, *(_attributes(space.items()) for space in spaces.values() if _is_users(space))]


def _variables(frame: FrameType) -> object:
    """Return the values of a frame's variables; `None` if one of the user's cannot be compared."""
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
    """Return what tells a value from others, by its contents; `None` where it cannot be compared."""
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
    """Return the attributes of a class and its bases that are the user's, as far as they can change."""
    ours = [one for one in kind.__mro__ if _is_users({"__name__": one.__module__})]
    return [(id(one), _attributes(vars(one).items())) for one in ours]


def _attributes(items: Iterable[tuple[str, object]]) -> object:
    """Return globals or attributes of classes, by their contents; what cannot be compared is taken to stay as it is."""
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
    """Return whether a value is shared: its changes are steps, and need not be looked for here."""
    if type(value).__module__.partition(".")[0] == "multiprocessing":
        return True
    own = getattr(value, "__dict__", ())
    return "_wrapper" in own or "_bench_object" in own


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
        """Return where the instruction at a position begins.

        The position (`f_lasti`) of a call that the interpreter inlines is at the end of the instruction's caches.
        """
        return self.begins[bisect_right(self.begins, position) - 1]

    def waits(self, position: int) -> bool:
        """Return whether a position is inside one of the loops."""
        return any(start <= position <= end for start, end in self.whiles)


_layouts: dict[CodeType, _Layout] = {}


def _layout(code: CodeType) -> _Layout:
    if (found := _layouts.get(code)) is None:
        found = _layouts[code] = _Layout(code)
    return found
