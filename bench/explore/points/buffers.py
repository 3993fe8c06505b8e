"""Shared memory that is asked for as a buffer: by `bytes`, `struct`, `memoryview`, numpy and other C code.

What asks for a buffer and gives it back within one call (`bytes(array)`, `struct.pack_into`) is an access that moves
memory. Whatever keeps it (a memoryview, an array of numpy) reads and writes past all points: that is named with the
line that asked for it, also where that was before the actors began.

From Python 3.12 on a class can say which buffer it provides. Before that, this is set in the type itself, as C code
does it.
"""

from __future__ import annotations

import ctypes
import sys
import weakref
from contextlib import suppress
from sys import _getframe

from bench.explore.points.uncontrolled import addresses, line_of
from bench.explore.runtime import control

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

    from bench.explore.runtime.lane import Runtime

_KEPT = "shared memory, reached by its address or a buffer"
_WRITABLE = 1
"""`PyBUF_WRITABLE`, of the flags with which a buffer is asked for."""


class _Lease:
    """A buffer that is out: where it was asked for, and by which call."""

    __slots__ = ("call", "keeps", "line", "noted", "owner")

    def __init__(self, owner: Any, keeps: object, flags: int, frame: FrameType) -> None:
        self.keeps, self.call = (owner, keeps), _call(frame)
        self.line = line_of(frame)
        self.noted = False
        # numpy gives a buffer back at once, and keeps the address, with a reference to what provided it.
        self.owner = weakref.ref(owner) if flags & _WRITABLE and "numpy" in sys.modules else None


def _call(frame: FrameType) -> tuple[int, int]:
    """Return what tells a call from all others that go on at the same time."""
    return id(frame), frame.f_lasti


_leases: dict[int, list[_Lease]] = {}
"""By address of what provides the buffers."""

_addresses: list[_Lease] = []
"""Buffers that were given back before the lanes began, and whose addresses may be kept all the same."""


def ask(owner: Any, keeps: Any, flags: int, frame: FrameType, move: Callable[[Runtime, str], None]) -> None:
    """Take the step of a request for a buffer.

    Args:
        owner: what provides it.
        keeps: what is to be kept alive until it is given back; not the buffer, which is given back as it ends.
        flags: those of the request.
        frame: of the code that asks.
        move: passes the points of an access, `read` or `write`, to all of it.
    """
    in_schedule = control.active is not None or _in_schedule()
    if not in_schedule and str(frame.f_globals.get("__name__")).startswith("bench."):
        return
    lease = _Lease(owner, keeps, flags, frame)
    _leases.setdefault(id(owner), []).append(lease)
    runtime = control.active
    if runtime is not None:
        move(runtime, "write" if flags & _WRITABLE else "read")
    elif in_schedule:  # in what is one step to others, which does not say that it reads this
        _note(lease)


def give_back(owner: int, frame: FrameType) -> None:
    """Take back a buffer of what has that address. If it was kept for longer than a call, that is noted."""
    leases, call = _leases.get(owner), _call(frame)
    if not leases:
        return
    lease = next((one for one in leases if one.call == call), leases[-1])
    leases.remove(lease)
    if not leases:
        del _leases[owner]
    if not lease.owner and lease.call == call:
        return
    if control.active is not None or _in_schedule():
        _note(lease)
    elif lease.owner:
        _addresses.append(lease)


def _in_schedule() -> bool:
    registry = control.registry
    return registry is not None and registry.is_present()


def _note(lease: _Lease) -> None:
    if not lease.noted:
        lease.noted = True
        _note_line(lease.line)


def _note_line(line: str) -> None:
    if control.registry is not None:
        control.registry.board.note_uncontrolled(f"{_KEPT}, {line}" if line else _KEPT)


_at_import: int | None = None
"""How many addresses were got before the first state was made; `None` before that."""


def begin_state() -> None:
    """Forget the addresses that earlier states, and their results, have got."""
    global _at_import  # noqa: PLW0603  # there is one number for the process
    if _at_import is None:
        _at_import = len(addresses)
    del addresses[_at_import:]


def note_kept() -> None:
    """Note the buffers that are out, which somebody keeps, and the addresses that somebody may keep."""
    if not (addresses or _leases or _addresses):  # as mostly, at the end of each schedule
        return
    for line in addresses:
        _note_line(line)
    addresses.clear()
    for lease in [one for leases in _leases.values() for one in leases]:
        _note(lease)
    for lease in _addresses:
        if lease.owner is not None and lease.owner() is not None:
            _note(lease)
    _addresses.clear()


def provide(kind: Any, own: dict[str, Any], move: Callable[[Any, Runtime, str, FrameType], None]) -> None:
    """Add to the attributes of a new class that its requests for buffers are seen, where a class can say so.

    Args:
        kind: the class that it is derived from.
        own: the attributes.
        move: passes the points of an access to all of an object of the class.
    """
    if not hasattr(kind, "__buffer__"):
        return

    def hand_out(self: Any, flags: int) -> Any:
        found, frame = kind.__buffer__(self, flags), _getframe(1)
        ask(self, None, flags, frame, lambda runtime, way: move(self, runtime, way, frame))
        return found

    def release(self: Any, buffer: Any) -> None:  # noqa: ARG001  # another view than the one that was provided
        give_back(id(self), _getframe(1))

    own["__buffer__"], own["__release_buffer__"] = hand_out, release


# Before Python 3.12: the table of a type has a function that provides a buffer, and one that takes it back.

_TABLE_AT = 0xA0
"""Where a type of 64 bits has the address of its `PyBufferProcs` (`tp_as_buffer`), in Python 3.10 and 3.11."""

SET_BY_HAND = sys.version_info < (3, 12) and sys.implementation.name == "cpython" and sys.maxsize > 1 << 32
"""Whether the table of a type is set here."""

_kept: list[object] = []
"""What the tables point to."""


def provide_by_table(made: Any, move: Callable[[Any, Runtime, str, FrameType], None]) -> None:
    """Have the requests for buffers of a new class be seen on Pythons where a class cannot say so.

    Args:
        made: a class of ctypes that was just made, and has a table of its own.
        move: as of `provide`.
    """
    if not SET_BY_HAND:
        return
    table = _table(made)
    real = _GET(table[0])

    def hand_out(item: Any, view: int, flags: int) -> int:
        got: int = real(item, view, flags)
        frame = _getframe(1)
        with suppress(control.Abandoned):  # no exception gets out of here; the next point raises it
            ask(item, None, flags, frame, lambda runtime, way: move(item, runtime, way, frame))
        return got

    def release(item: Any, view: int) -> None:  # noqa: ARG001  # as C code calls it
        give_back(id(item), _getframe(1))

    _set(table, _GET(hand_out), _RELEASE(release))


def hand_on_by_table(kind: Any, move: Callable[[Any, Runtime, str, FrameType], None]) -> None:
    """Have objects of a class hand on the buffer of their attribute `_view`, on Pythons where a class cannot do that.

    Args:
        kind: the class.
        move: as of `provide`.
    """
    if not SET_BY_HAND:
        return
    real = _GET(("PyObject_GetBuffer", ctypes.pythonapi))

    def hand_out(item: Any, view: int, flags: int) -> int:
        frame, own = _getframe(1), item._view[:]
        try:
            real(own, view, flags)
        except BufferError:
            return -1
        owner = id(item)
        ref = weakref.ref(own, lambda _: give_back(owner, _getframe(1)))
        with suppress(control.Abandoned):  # as above
            ask(item, ref, flags, frame, lambda runtime, way: move(item, runtime, way, frame))
        return 0

    _set(_table(kind), _GET(hand_out), None)


if SET_BY_HAND:
    _GET = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_void_p, ctypes.c_int)
    _RELEASE = ctypes.PYFUNCTYPE(None, ctypes.py_object, ctypes.c_void_p)


def _table(kind: Any) -> Any:
    return (ctypes.c_void_p * 2).from_address(ctypes.c_void_p.from_address(id(kind) + _TABLE_AT).value or 0)


def _set(table: Any, *functions: Any) -> None:
    _kept.append(functions)
    for index, one in enumerate(functions):
        table[index] = ctypes.cast(one, ctypes.c_void_p).value if one is not None else None
