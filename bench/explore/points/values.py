"""Values and arrays in shared memory as points: one step for each access, of the value or of the part of it.

What `multiprocessing` makes in shared memory is made of a subclass here whose attributes and items are points. It is
sent to other processes as the original type, and instrumented there again. Accesses by address are not seen, but noted
as not controlled; so is a use as a buffer, from Python 3.12 on.
"""

from __future__ import annotations

import ctypes
import functools
import os
import weakref
from sys import _getframe

from bench.explore.model import NOTHING
from bench.explore.points import grain, locks
from bench.explore.points.uncontrolled import note_buffer
from bench.explore.runtime import control
from bench.explore.runtime.packing import PART, word

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from typing import Any

    from bench.explore.runtime.lane import Runtime

_MOST_PARTS = 1 << 29

memory: list[Any] | None = None
"""The values made in shared memory while a state is made; `None` at other times."""


class MemoryObject:
    """A piece of shared memory as an object: its number, the byte where this view of it begins, its steps as words."""

    __slots__ = ("number", "offset", "read", "write")

    def __init__(self, number: int, offset: int = 0) -> None:
        self.number, self.offset = number, offset
        self.read, self.write = word("read", number), word("write", number)


def object_of(item: Any) -> MemoryObject:
    """Return the shared object of an instrumented value; it is looked up once."""
    found: MemoryObject | None = item.__dict__.get("_bench_object")
    if found is None:
        assert control.registry is not None
        number = control.registry.object(key_of(item._wrapper), type(item).__name__)
        found = item._bench_object = MemoryObject(number)
    return found


def key_of(wrapper: Any) -> str:
    """Return the key of a block of shared memory, by its wrapper in `multiprocessing.heap`."""
    (arena, start, _), _ = wrapper._state
    return f"memory {os.fstat(arena.fd).st_ino} {start}"


# Kinds of ctypes, instrumented.

_instrumented: dict[type, type] = {}


def instrumented(kind: Any) -> Any:
    """Return the instrumented subclass of a type of ctypes; the type itself if it has nothing to instrument."""
    if (found := _instrumented.get(kind)) is None:
        found = _instrumented[kind] = _subclass(kind)
    return found


def _subclass(kind: Any) -> Any:
    own: dict[str, Any] = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "_bench_base": kind}
    if issubclass(kind, ctypes._SimpleCData):
        own["value"] = _whole(kind.value)
    elif issubclass(kind, ctypes.Array):
        own["__getitem__"], own["__setitem__"] = _item(kind), _set_item(kind)
        own.update({name: _whole(getattr(kind, name)) for name in ("value", "raw") if hasattr(kind, name)})
    elif issubclass(kind, (ctypes.Structure, ctypes.Union)):
        whole = issubclass(kind, ctypes.Union)  # whose fields overlap
        for name, of in _fields(kind):
            descriptor = getattr(kind, name)
            own[name] = _field(descriptor, of, -1 if whole else descriptor.offset)
    else:
        return kind
    if hasattr(kind, "__buffer__"):  # from Python 3.12 on
        own["__buffer__"] = _buffer(kind)
    made = type(kind)(kind.__name__, (kind,), own)
    for name in ("value", "raw"):  # ctypes puts its own into each array of characters
        if name in own:
            setattr(made, name, own[name])
    return made


def _buffer(kind: Any) -> Any:
    def buffer(self: Any, flags: int) -> Any:
        note_buffer()
        return kind.__buffer__(self, flags)

    return buffer


def _fields(kind: Any) -> list[tuple[str, Any]]:
    return [(field[0], field[1]) for base in reversed(kind.__mro__) for field in vars(base).get("_fields_", ())]


def _compound(kind: Any) -> bool:
    """Return whether ctypes returns a view of a part of that type, rather than its value."""
    if issubclass(kind, ctypes.Array):
        return kind._type_ not in (ctypes.c_char, ctypes.c_wchar)
    return issubclass(kind, (ctypes.Structure, ctypes.Union))


def _arrive(item: Any, kind: str, part: int, frame: Any) -> Any:
    """Arrive at a point on the part of a value that begins at a byte, or on all of it if `part` is below 0."""
    runtime = control.active
    if runtime is not None:
        own = item.__dict__.get("_bench_object") or object_of(item)
        packed = own.read if kind == "read" else own.write
        runtime.arrive(packed if part < 0 else packed + PART * (own.offset + part + 1), 0, frame)
    return runtime


def _noted(runtime: Runtime | None, value: Any) -> Any:
    if runtime is not None and runtime.detail:
        runtime.note_value(repr(value)[:60])
    return value


def _whole(descriptor: Any) -> property:
    """Return an instrumented attribute that stands for a whole value."""
    get, put = descriptor.__get__, descriptor.__set__

    def read(self: Any) -> Any:
        runtime = control.active
        if runtime is None:
            return get(self)
        try:
            own = self._bench_object
        except AttributeError:
            own = object_of(self)
        runtime.arrive(own.read, 0, _getframe(1))
        return _noted(runtime, get(self)) if runtime.detail else get(self)

    def write(self: Any, value: Any) -> None:
        runtime = control.active
        if runtime is not None:
            try:
                own = self._bench_object
            except AttributeError:
                own = object_of(self)
            runtime.arrive(own.write, 0, _getframe(1))
            if runtime.detail:
                _noted(runtime, value)
        put(self, value)

    return property(read, write)


def _part(index: Any, length: int, size: int) -> int:
    """Return the byte at which an item begins; -1 for a slice, -2 for an index that the array itself will refuse."""
    if not isinstance(index, int):
        return -1
    at = index + length if index < 0 else index
    if not 0 <= at < length:
        return -2
    return at * size if at * size < _MOST_PARTS else -1


def _item(kind: Any) -> Any:
    get, inner, size = kind.__getitem__, kind._type_, ctypes.sizeof(kind._type_)
    compound = _compound(inner)

    def read(self: Any, index: Any) -> Any:
        part = _part(index, kind._length_, size)
        if compound and part >= 0:  # an access to what is in it is the step
            return _view(self, instrumented(inner), part)
        runtime = _arrive(self, "read", part, _getframe(1)) if part > -2 else None
        return _noted(runtime, get(self, index))

    return read


def _set_item(kind: Any) -> Any:
    put, size = kind.__setitem__, ctypes.sizeof(kind._type_)
    compound = _compound(kind._type_)

    def write(self: Any, index: Any, value: Any) -> None:
        part = _part(index, kind._length_, size)
        if part > -2:
            _noted(_arrive(self, "write", -1 if compound else part, _getframe(1)), value)
        put(self, index, value)

    return write


def _field(descriptor: Any, kind: Any, offset: int) -> property:
    compound = _compound(kind)

    def read(self: Any) -> Any:
        if compound:
            return _view(self, instrumented(kind), max(offset, 0))
        runtime = _arrive(self, "read", offset, _getframe(1))
        return _noted(runtime, descriptor.__get__(self))

    def write(self: Any, value: Any) -> None:
        _noted(_arrive(self, "write", -1 if compound else offset, _getframe(1)), value)
        descriptor.__set__(self, value)

    return property(read, write)


def _view(item: Any, kind: Any, part: int) -> Any:
    """Return an instrumented view of a part of an instrumented value, as ctypes itself returns a view."""
    view = kind.from_address(ctypes.addressof(item) + part)
    view._bench_keeps = item
    if control.registry is not None:
        whole = item.__dict__.get("_bench_object") or object_of(item)
        view._bench_object = MemoryObject(whole.number, whole.offset + part)
    return view


# What `multiprocessing` makes.


def _rebuilt(rebuild: Any) -> Any:
    @functools.wraps(rebuild)
    def rebuilt(kind: Any, wrapper: Any, length: int | None) -> Any:
        return rebuild(instrumented(kind if length is None else kind * length), wrapper, None)

    return rebuilt


def _reduced(original: Any, module: Any) -> Any:
    @functools.wraps(original)
    def reduced(item: Any) -> Any:
        module.assert_spawning(item)
        kind = getattr(type(item), "_bench_base", type(item))
        if issubclass(kind, ctypes.Array):
            return module.rebuild_ctype, (kind._type_, item._wrapper, kind._length_)
        return module.rebuild_ctype, (kind, item._wrapper, None)

    return reduced


def _new(new_value: Any) -> Any:
    @functools.wraps(new_value)
    def new(kind: Any) -> Any:
        made = new_value(getattr(kind, "_bench_base", kind))
        if control.registry is not None and hasattr(made, "__dict__"):
            made._bench_object = MemoryObject(control.registry.new_object(key_of(made._wrapper), type(made).__name__))
            if memory is not None:
                memory.append(made)
        return made

    return new


def _without_points(original: Any) -> Any:
    @functools.wraps(original)
    def raw(*args: Any, **kwargs: Any) -> Any:
        with control.Raw():  # no other lane knows a value that is just made
            return original(*args, **kwargs)

    return raw


# Values with a lock. To acquire it, the access and to release it are one step, which can be taken while the lock is
# free or this lane's: in between, other lanes could only find the lock taken, and wait. Once a lane tries to acquire
# it, or looks whether it is free, they are three steps, as with a lock of a kind that is not known here.


def _guard(item: Any) -> int:
    """Return the number of the lock of a synchronized value; -1 for a lock of a kind that is not known here."""
    lock = item._lock
    if not hasattr(lock, "_semlock"):
        lock = getattr(lock, "_lock", None)  # that of a condition
    return locks.object_of(lock).number if hasattr(lock, "_semlock") else -1


def _guarded_object(item: Any) -> tuple[int, MemoryObject]:
    inner = item._obj
    own = object_of(inner) if hasattr(inner, "_wrapper") and hasattr(inner, "__dict__") else MemoryObject(NOTHING)
    guard = _guard(item)
    if guard >= 0 and grain.is_fine(guard):
        guard = -1
    found = item._bench_guarded = (guard, own)
    _bound.add(item)
    return found


_bound: weakref.WeakSet[Any] = weakref.WeakSet()
"""Synchronized values of this process that know their guards, and whether an access is one step with it."""


def _forget_guards() -> None:
    for item in _bound:
        item.__dict__.pop("_bench_guarded", None)
        item.__dict__.pop("_bench_fast", None)


def _guarded(item: Any, kind: str, part: int, action: Any, frame: Any) -> Any:
    """Access the value inside a synchronized one, in one step with its lock."""
    runtime = control.active
    if runtime is None:
        with item._lock:
            return action()
    guard, own = item.__dict__.get("_bench_guarded") or _guarded_object(item)
    packed = own.read if kind == "read" else own.write
    if part >= 0:
        packed += PART * (part + 1)
    if guard >= 0:
        runtime.arrive(packed, guard, frame)
        return action()
    with item._lock:
        runtime.arrive(packed, 0, frame)
        return action()


def _property(name: str) -> property:
    """Return the attribute of a synchronized value that reads and writes that of the value inside."""

    def read(self: Any) -> Any:
        inner = self._obj
        descriptor = getattr(_plain(inner), name)
        found = _guarded(self, "read", _offset(inner, name), lambda: descriptor.__get__(inner), _getframe(1))
        return _noted(control.active, found)

    def write(self: Any, value: Any) -> None:
        inner = self._obj
        descriptor = getattr(_plain(inner), name)
        _guarded(self, "write", _offset(inner, name), lambda: descriptor.__set__(inner, value), _getframe(1))
        _noted(control.active, value)

    return property(read, write)


def _plain(inner: Any) -> Any:
    return getattr(type(inner), "_bench_base", type(inner))


def _offset(inner: Any, name: str) -> int:
    """Return the part of the value inside that an attribute stands for: a field of a structure, or else the whole."""
    kind = _plain(inner)
    return int(getattr(kind, name).offset) if issubclass(kind, ctypes.Structure) else -1


class _FastPath:
    """What the fast path to a synchronized simple value needs: its guard, its steps, its reader and writer."""

    __slots__ = ("get", "guard", "put", "read", "write")

    def __init__(self, item: Any) -> None:
        self.guard, own = _guarded_object(item)
        self.read, self.write = own.read, own.write
        plain = _plain(item._obj)
        self.get, self.put = plain.value.__get__, plain.value.__set__


def _value() -> property:
    """Return the attribute `value` of a synchronized simple value: what `_property` returns, on a fast path."""
    slow = _property("value")

    def read(self: Any) -> Any:
        runtime = control.active
        try:
            known = self._bench_fast
        except AttributeError:
            known = self._bench_fast = _FastPath(self) if control.registry is not None else None
        if runtime is None or known is None or known.guard < 0 or runtime.detail:
            return slow.fget(self)  # type: ignore[misc]  # it has one
        runtime.arrive(known.read, known.guard, _getframe(1))
        return known.get(self._obj)

    def write(self: Any, value: Any) -> None:
        runtime = control.active
        try:
            known = self._bench_fast
        except AttributeError:
            known = self._bench_fast = _FastPath(self) if control.registry is not None else None
        if runtime is None or known is None or known.guard < 0 or runtime.detail:
            slow.fset(self, value)  # type: ignore[misc]  # it has one
            return
        runtime.arrive(known.write, known.guard, _getframe(1))
        known.put(self._obj, value)

    return property(read, write)


def _array_item(self: Any, index: Any) -> Any:
    inner = self._obj
    part = _part(index, len(inner), ctypes.sizeof(inner._type_))
    if part < -1 or (part >= 0 and _compound(inner._type_)):
        return inner[index]  # refused; or a view, which is not guarded by anything
    plain = _plain(inner)
    found = _guarded(self, "read", part, lambda: plain.__getitem__(inner, index), _getframe(1))
    return _noted(control.active, found)


def _set_array_item(self: Any, index: Any, value: Any) -> None:
    inner = self._obj
    part = _part(index, len(inner), ctypes.sizeof(inner._type_))
    if part < -1:
        inner[index] = value  # which is refused
        return
    part = -1 if _compound(inner._type_) else part
    plain = _plain(inner)
    _guarded(self, "write", part, lambda: plain.__setitem__(inner, index, value), _getframe(1))
    _noted(control.active, value)


def install() -> None:
    """Patch what `multiprocessing.sharedctypes` makes, sends and receives."""
    from multiprocessing import sharedctypes

    shared: Any = sharedctypes
    shared.reduce_ctype, shared.rebuild_ctype = _reduced(shared.reduce_ctype, shared), _rebuilt(shared.rebuild_ctype)
    shared._new_value = _new(shared._new_value)
    for name in ("RawValue", "RawArray", "copy"):
        setattr(shared, name, _without_points(getattr(shared, name)))
    shared.make_property = _property
    shared.Synchronized.value = _value()
    shared.SynchronizedString.value, shared.SynchronizedString.raw = _property("value"), _property("raw")
    array: Any = shared.SynchronizedArray
    array.__getitem__, array.__setitem__ = _array_item, _set_array_item
    control.on_finer.append(_forget_guards)


class Memory:
    """The contents of instrumented values at one time, to find out which have changed: also without a step."""

    def __init__(self, items: list[Any]) -> None:
        self._pieces = [(object_of(item).number, ctypes.addressof(item), ctypes.sizeof(item)) for item in items]
        self._before = self._now()

    def _now(self) -> list[bytes]:
        return [ctypes.string_at(address, size) for _, address, size in self._pieces]

    def changed(self) -> set[int]:
        """Return the numbers of the values whose contents differ from those at first."""
        pairs = zip(self._pieces, self._before, self._now())  # noqa: B905  # Python 3.10 has strict, all are equal
        return {piece[0] for piece, before, now in pairs if before != now}
