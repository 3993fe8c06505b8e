"""Values and arrays in shared memory as points: one step for each access, of the value or of the part of it.

Python moves slices item by item, and what is larger than a number piece by piece: the former are a step for each item,
the latter are moves, see `moves`. To write a bit field is to read and to write the number that it is in.

What `multiprocessing` makes in shared memory is made of a subclass here whose attributes and items are points. It is
sent to other processes as the original type, and instrumented there again. Accesses by address are not seen, but noted
as not controlled; of those by a buffer see `buffers`.
"""

from __future__ import annotations

import ctypes
import functools
import os
import weakref
from ctypes import addressof as _addressof
from ctypes import memmove as _memmove
from ctypes import string_at as _string_at
from sys import _getframe

from bench.explore.model import NOTHING
from bench.explore.points import buffers, grain, locks, moves
from bench.explore.runtime import control
from bench.explore.runtime.packing import PART, word
from bench.process.instrument import is_users

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from typing import Any

    from bench.explore.runtime.lane import Runtime

_MOST_PARTS = 1 << 29

_WORD = 8
"""The most bytes that a processor reads or writes at once."""

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

_instrumented: dict[tuple[type, bool], type] = {}


def instrumented(kind: Any, *, overlaps: bool = False) -> Any:
    """Return the instrumented subclass of a type of ctypes; the type itself if it has nothing to instrument.

    Args:
        kind: the type.
        overlaps: whether its parts are also reached as other ones, so that each access is one of the whole value.
    """
    if (found := _instrumented.get((kind, overlaps))) is None:
        found = _instrumented[kind, overlaps] = _subclass(kind, overlaps=overlaps)
    return found


def _subclass(kind: Any, *, overlaps: bool) -> Any:
    own: dict[str, Any] = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "_bench_base": kind}
    if issubclass(kind, ctypes._SimpleCData):
        own["value"] = _whole(kind.value) if ctypes.sizeof(kind) <= _WORD else _moved(kind.value, kind)
        own["__bool__"] = _looked(kind.__bool__)
        if kind.__base__ is ctypes._SimpleCData:  # whose text has the value
            own["__repr__"] = _shown
    elif issubclass(kind, ctypes.Array):
        own["__getitem__"], own["__setitem__"] = _item(kind, overlaps=overlaps), _set_item(kind, overlaps=overlaps)
        own.update({name: _moved(getattr(kind, name), kind) for name in ("value", "raw") if hasattr(kind, name)})
    elif issubclass(kind, (ctypes.Structure, ctypes.Union)):
        own.update({field.name: _attribute(field) for field in _fields(kind, overlaps=overlaps)})
    else:
        return kind
    buffers.provide(kind, own, _move_all)
    made = type(kind)(kind.__name__, (kind,), own)
    for name in ("value", "raw"):  # ctypes puts its own into each array of characters
        if name in own:
            setattr(made, name, own[name])
    buffers.provide_by_table(made, _move_all)
    return made


def _looked(original: Any) -> Any:
    def look(self: Any) -> Any:
        _arrive(self, "read", -1, _getframe(1))
        return original(self)

    return look


def _shown(self: Any) -> str:
    return f"{type(self).__name__}({self.value!r})"


def _move_all(item: Any, runtime: Runtime, kind: str, frame: Any) -> None:  # noqa: ARG001  # as `buffers` calls it
    if control.registry is not None:
        _move(item, kind, -1, 0, ctypes.sizeof(item), frame)


class _Field:
    """A field of a structure or union, or of an anonymous one in it.

    Attributes:
        part: the byte where the part of memory begins that an access reads or writes; -1 where parts overlap.
        bits: whether it is a bit field.
    """

    __slots__ = ("bits", "descriptor", "kind", "name", "offset", "part")

    def __init__(self, name: str, descriptor: Any, kind: Any, *, bits: bool, overlaps: bool) -> None:
        self.name, self.descriptor, self.kind, self.bits = name, descriptor, kind, bits
        self.offset = descriptor.offset
        self.part = -1 if overlaps else self.offset

    @property
    def size(self) -> int:
        """The bytes that an access reads or writes."""
        return ctypes.sizeof(self.kind)

    @property
    def moved(self) -> bool:
        """Whether an access is no single one: what is too large, lies across words, or can be reached otherwise."""
        return self.size > _WORD or self.part < 0 or bool(self.offset % self.size)


def _fields(kind: Any, *, overlaps: bool) -> list[_Field]:
    found = _declared(kind, kind, overlaps=overlaps)
    end, first = 0, None
    for field in sorted(
        found, key=lambda one: one.offset
    ):  # bit fields, and what lies in the same number, are one part
        if first is not None and field.offset < end and field.part >= 0:
            field.part = first.part
        else:
            first = field
        end = max(end, field.offset + field.size)
    return found


def _declared(kind: Any, whole: Any, *, overlaps: bool) -> list[_Field]:
    overlaps = overlaps or issubclass(kind, ctypes.Union)
    found = []
    for base in reversed(kind.__mro__):
        anonymous = vars(base).get("_anonymous_", ())
        for name, of, *bits in vars(base).get("_fields_", ()):
            found.append(_Field(name, getattr(whole, name), of, bits=bool(bits), overlaps=overlaps))
            if name in anonymous:
                found += _declared(of, whole, overlaps=overlaps)
    return found


def _compound(kind: Any) -> bool:
    """Return whether ctypes returns a view of a field of that type, rather than its value."""
    if issubclass(kind, ctypes.Array):
        return kind._type_ not in (ctypes.c_char, ctypes.c_wchar)
    return _is_view(kind)


def _is_view(kind: Any) -> bool:
    """Return whether ctypes returns a view of an item of that type, rather than its value."""
    if issubclass(kind, ctypes._SimpleCData):
        return kind.__base__ is not ctypes._SimpleCData
    return issubclass(kind, (ctypes.Array, ctypes.Structure, ctypes.Union))


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


def _move(item: Any, kind: str, part: int, low: int, high: int, frame: Any) -> Any:
    """Pass the points of an access that moves some bytes of a value, from `low` to `high`."""
    runtime = control.active
    if runtime is not None:
        own = item.__dict__.get("_bench_object") or object_of(item)
        packed = own.read if kind == "read" else own.write
        packed = packed if part < 0 else packed + PART * (own.offset + part + 1)
        start, size = _addressof(item) + low, high - low
        moves.move(runtime, packed, frame, lambda: _string_at(start, size), own.offset + low, own.offset + high)
    return runtime


def _moved(descriptor: Any, kind: Any) -> property:
    """Return an instrumented attribute that stands for a whole value, and moves its bytes."""
    get, put, size = descriptor.__get__, descriptor.__set__, ctypes.sizeof(kind)

    def read(self: Any) -> Any:
        runtime = _move(self, "read", -1, 0, size, _getframe(1))
        return _noted(runtime, get(self))

    def write(self: Any, value: Any) -> None:
        _noted(_move(self, "write", -1, 0, size, _getframe(1)), value)
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


def _item(kind: Any, *, overlaps: bool) -> Any:
    get, inner, size = kind.__getitem__, kind._type_, ctypes.sizeof(kind._type_)
    viewed, moved = _is_view(inner), overlaps or size > _WORD

    def read(self: Any, index: Any) -> Any:
        part = _part(index, kind._length_, size)
        if part == -1 and isinstance(index, slice) and control.active is not None:
            return read_slice(self, range(*index.indices(kind._length_)), index, _getframe(1))
        if viewed and part >= 0:  # an access to what is in it is the step
            return _view(self, inner, part, overlaps=overlaps)
        if moved and part >= 0:
            runtime = _move(self, "read", -1 if overlaps else part, part, part + size, _getframe(1))
        else:
            runtime = _arrive(self, "read", part, _getframe(1)) if part > -2 else None
        return _noted(runtime, get(self, index))

    def read_slice(self: Any, places: range, index: slice, frame: Any) -> Any:
        if viewed:
            return [_view(self, inner, at * size, overlaps=overlaps) for at in places]
        if len(places) > moves.MOST_STEPS or moved:
            runtime = _move(self, "read", -1, *_span(places, size), frame)
            return _noted(runtime, get(self, index))
        found = []
        for at in places:
            runtime = _arrive(self, "read", at * size, frame)
            found.append(_noted(runtime, get(self, at)))
        return found if not found or not isinstance(found[0], (bytes, str)) else type(found[0])().join(found)

    return read


def _span(places: range, size: int) -> tuple[int, int]:
    """Return the bytes in which items lie: the first, and the one after the last."""
    return (min(places) * size, (max(places) + 1) * size) if places else (0, 0)


def _set_item(kind: Any, *, overlaps: bool) -> Any:
    put, size = kind.__setitem__, ctypes.sizeof(kind._type_)
    moved = overlaps or size > _WORD or _is_view(kind._type_)

    def write(self: Any, index: Any, value: Any) -> None:
        part = _part(index, kind._length_, size)
        if part == -1 and isinstance(index, slice) and control.active is not None:
            write_slice(self, range(*index.indices(kind._length_)), index, value, _getframe(1))
            return
        if moved and part >= 0:
            _noted(_move(self, "write", -1, part, part + size, _getframe(1)), value)
        elif part > -2:
            _noted(_arrive(self, "write", part, _getframe(1)), value)
        put(self, index, value)

    def write_slice(self: Any, places: range, index: slice, value: Any, frame: Any) -> None:
        if not hasattr(value, "__len__") or len(value) != len(places):  # which is refused
            put(self, index, value)
        elif len(places) > moves.MOST_STEPS or moved:
            items = value if isinstance(value, (list, tuple, bytes, str)) else [value[at] for at in range(len(value))]
            _noted(_move(self, "write", -1, *_span(places, size), frame), items)
            put(self, index, items)
        else:
            for at, place in enumerate(places):
                item = value[at]
                _noted(_arrive(self, "write", place * size, frame), item)
                put(self, place, item)

    return write


def _attribute(field: _Field) -> property:
    """Return an instrumented field of a structure or union."""
    descriptor, part, low, high = field.descriptor, field.part, field.offset, field.offset + field.size
    compound, moved = _compound(field.kind), field.moved or _compound(field.kind)

    def read(self: Any) -> Any:
        if compound:
            return _view(self, field.kind, low, overlaps=part < 0)
        if moved:
            runtime = _move(self, "read", part, low, high, _getframe(1))
        else:
            runtime = _arrive(self, "read", part, _getframe(1))
        return _noted(runtime, descriptor.__get__(self))

    def write(self: Any, value: Any) -> None:
        frame = _getframe(1)
        if moved:
            _noted(_move(self, "write", -1 if compound else part, low, high, frame), value)
        elif field.bits:
            _set_bits(self, field, value, frame)
            return
        else:
            _noted(_arrive(self, "write", part, frame), value)
        descriptor.__set__(self, value)

    return property(read, write)


def _set_bits(item: Any, field: _Field, value: Any, frame: Any) -> None:
    """Write a bit field: read the number that it is in, and write that with other bits."""
    runtime = _arrive(item, "read", field.part, frame)
    if runtime is None:
        field.descriptor.__set__(item, value)
        return
    start = _addressof(item) + field.offset
    _noted(runtime, before := _string_at(start, field.size))
    _noted(_arrive(item, "write", field.part, frame), value)
    _memmove(start, before, field.size)  # as it was read: what others have written since is lost
    field.descriptor.__set__(item, value)


def _view(item: Any, kind: Any, part: int, *, overlaps: bool = False) -> Any:
    """Return an instrumented view of a part of an instrumented value, as ctypes itself returns a view.

    Args:
        item: the value.
        kind: the type of the view.
        part: the byte where it begins.
        overlaps: as of `instrumented`.
    """
    view = instrumented(kind, overlaps=overlaps).from_address(_addressof(item) + part)
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
    if own.number != NOTHING and "_bench_apart" in inner.__dict__:
        grain.tell_apart(own.number)
    if (guard >= 0 and grain.is_fine(guard)) | (own.number != NOTHING and grain.is_fine(own.number)):
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


def _guarded(item: Any, kind: str, part: int, at_once: Any, by_steps: Any, frame: Any) -> Any:
    """Access the value inside a synchronized one: in one step with its lock, if that is possible."""
    runtime = control.active
    if runtime is None:
        with item._lock:
            return at_once()
    guard, own = item.__dict__.get("_bench_guarded") or _guarded_object(item)
    if guard < 0:
        with item._lock:
            return by_steps()
    packed = own.read if kind == "read" else own.write
    runtime.arrive(packed if part < 0 else packed + PART * (part + 1), guard, frame)
    return at_once()


def _property(name: str) -> property:
    """Return the attribute of a synchronized value that reads and writes that of the value inside."""

    def read(self: Any) -> Any:
        inner = self._obj
        descriptor, part = getattr(_plain(inner), name), _offset(inner, name)
        if _is_part(inner, name):  # a view, by which it is reached without the lock
            tell_apart(inner)
            return _guarded(
                self, "read", part, lambda: getattr(inner, name), lambda: getattr(inner, name), _getframe(1)
            )
        found = _guarded(
            self, "read", part, lambda: descriptor.__get__(inner), lambda: getattr(inner, name), _getframe(1)
        )
        return _noted(control.active, found)

    def write(self: Any, value: Any) -> None:
        inner = self._obj
        descriptor, part = getattr(_plain(inner), name), _offset(inner, name)
        _guarded(
            self,
            "write",
            -1 if _is_part(inner, name) else part,
            lambda: descriptor.__set__(inner, value),
            lambda: setattr(inner, name, value),
            _getframe(1),
        )
        _noted(control.active, value)

    return property(read, write)


def _plain(inner: Any) -> Any:
    return getattr(type(inner), "_bench_base", type(inner))


def _field_of(inner: Any, name: str) -> _Field | None:
    kind = _plain(inner)
    if not issubclass(kind, (ctypes.Structure, ctypes.Union)):
        return None
    if (known := _known_fields.get(kind)) is None:
        known = _known_fields[kind] = {field.name: field for field in _fields(kind, overlaps=False)}
    return known.get(name)


_known_fields: dict[type, dict[str, _Field]] = {}


def _offset(inner: Any, name: str) -> int:
    """Return the part of the value inside that an attribute stands for: a field of a structure, or else the whole."""
    field = _field_of(inner, name)
    return -1 if field is None else field.part


def _is_part(inner: Any, name: str) -> bool:
    field = _field_of(inner, name)
    return field is not None and _compound(field.kind)


def tell_apart(inner: Any) -> None:
    """Note that the value inside a synchronized one is reached past its lock."""
    if not hasattr(inner, "__dict__"):
        return
    inner._bench_apart = True  # for this process, also before the value has a number
    if (control.active is not None or memory is not None) and hasattr(inner, "_wrapper"):
        grain.tell_apart(object_of(inner).number)


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
        if runtime is None and known is not None:
            with self._lock:
                return known.get(self._obj)
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
    if part < -1:
        return _refused(self, lambda: inner[index])
    if _is_view(inner._type_):
        tell_apart(inner)
        return _guarded(self, "read", part, lambda: inner[index], lambda: inner[index], _getframe(1))
    plain = _plain(inner)
    found = _guarded(self, "read", part, lambda: plain.__getitem__(inner, index), lambda: inner[index], _getframe(1))
    return _noted(control.active, found)


def _set_array_item(self: Any, index: Any, value: Any) -> None:
    inner = self._obj
    part = _part(index, len(inner), ctypes.sizeof(inner._type_))
    if part < -1:
        _refused(self, lambda: inner.__setitem__(index, value))
        return
    plain = _plain(inner)
    _guarded(
        self,
        "write",
        -1 if _is_view(inner._type_) else part,
        lambda: plain.__setitem__(inner, index, value),
        lambda: inner.__setitem__(index, value),
        _getframe(1),
    )
    _noted(control.active, value)


def _refused(item: Any, access: Any) -> Any:
    """Make an access past the end of an array, which holds the lock until it is refused: each iteration ends in one."""
    past = len(item._obj) * ctypes.sizeof(item._obj._type_)  # a part that no other access has
    return _guarded(item, "read", past, access, access, _getframe(2))


def _get_obj(original: Any) -> Any:
    @functools.wraps(original)
    def get_obj(self: Any) -> Any:
        tell_apart(self._obj)
        return original(self)

    return get_obj


def _synchronized(original: Any) -> Any:
    @functools.wraps(original)
    def synchronized(obj: Any, *args: Any, **named: Any) -> Any:
        if is_users(_getframe(1).f_code.co_filename):  # who has what is inside already, and can reach it as it is
            tell_apart(obj)
        return original(obj, *args, **named)

    return synchronized


def _copied(original: Any) -> Any:
    @functools.wraps(original)
    def copy(obj: Any) -> Any:
        if hasattr(type(obj), "_bench_base"):
            _move(obj, "read", -1, 0, ctypes.sizeof(obj), _getframe(1))
        with control.Raw():
            return original(obj)

    return copy


def install() -> None:
    """Patch what `multiprocessing.sharedctypes` makes, sends and receives."""
    from multiprocessing import sharedctypes

    shared: Any = sharedctypes
    shared.reduce_ctype, shared.rebuild_ctype = _reduced(shared.reduce_ctype, shared), _rebuilt(shared.rebuild_ctype)
    shared._new_value = _new(shared._new_value)
    for name in ("RawValue", "RawArray"):
        setattr(shared, name, _without_points(getattr(shared, name)))
    shared.copy, shared.synchronized = _copied(shared.copy), _synchronized(shared.synchronized)
    shared.SynchronizedBase.get_obj = _get_obj(shared.SynchronizedBase.get_obj)
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

    def contents(self) -> list[bytes]:
        """Return the contents of all."""
        return self._now()

    def changed(self) -> set[int]:
        """Return the numbers of the values whose contents differ from those at first."""
        pairs = zip(self._pieces, self._before, self._now())  # noqa: B905  # Python 3.10 has strict, all are equal
        return {piece[0] for piece, before, now in pairs if before != now}
