"""Points of `multiprocessing.shared_memory`: the bytes of a segment, and the items of a `ShareableList`.

An index into the buffer of a segment is a step; a slice is moved piece by piece, as is what C code reads or writes
(`struct`, `bytes`). Code that keeps the memory itself, as `numpy` does, is noted as not controlled: its accesses are
not seen. Where a class cannot provide the buffer of another object (PyPy), each use of a buffer is noted.

An item of a `ShareableList` is a format, the bytes of a value and the code of a conversion. `struct`, by which they are
written, sets the bytes to zero before it writes them: each of the two can be seen.
"""

from __future__ import annotations

import functools
import gc
import struct
import sys
import weakref
from sys import _getframe

from bench.explore.points import buffers, grain, moves
from bench.explore.points.uncontrolled import note
from bench.explore.runtime import control
from bench.explore.runtime.packing import word

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType
    from typing import Any

    from bench.explore.runtime.lane import Runtime

_MODULE = "multiprocessing.shared_memory"
_PROVIDES_BUFFERS = sys.version_info >= (3, 12) or buffers.SET_BY_HAND
_TAKEN = "the memory of a shared segment, taken as a whole"
_OF_A_LIST = "the memory of a ShareableList, reached otherwise than by its items"
_WORD = 8
"""The most bytes that a processor reads or writes at once."""


def install() -> None:
    """Patch `multiprocessing.shared_memory`: now, or when it is imported."""
    control.on_finer.append(_by_words.clear)
    if _MODULE in sys.modules:
        _install(sys.modules[_MODULE])
    else:
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Patches the module when it is imported: to import it for nothing costs too much."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != _MODULE:
            return None
        sys.meta_path.remove(self)
        from importlib.machinery import PathFinder

        spec: Any = PathFinder.find_spec(name, path, target)
        execute = spec.loader.exec_module

        def executed(module: Any) -> None:
            execute(module)
            _install(module)

        spec.loader.exec_module = executed
        return spec


def _install(module: Any) -> None:
    segment, items = module.SharedMemory, module.ShareableList
    segment.__init__ = _made(segment.__init__)
    segment.buf = property(_buffer, doc=segment.buf.__doc__)
    items.__init__ = _of_list(items.__init__)
    items.__getitem__, items.__setitem__ = _get_item(items.__getitem__), _set_item(items.__setitem__)
    items._get_packing_format = _format(items._get_packing_format)
    for name in ("pack_into", "unpack_from"):
        setattr(struct, name, _narrowed(getattr(struct, name)))


def _number(segment: Any, what: str = "segment", label: str = "a shared segment") -> int:
    assert control.registry is not None
    number: int = control.registry.object(f"{what}:{segment.name}", label)
    return number


def _made(init: Callable[..., None]) -> Callable[..., None]:
    """Return the constructor of a segment, which registers one that is made: its name is another each time."""

    @functools.wraps(init)
    def made(self: Any, name: str | None = None, create: bool = False, *args: Any, **named: Any) -> None:
        init(self, name, create, *args, **named)
        if create and control.registry is not None:
            control.registry.new_object(f"segment:{self.name}", "a shared segment")

    return made


# Lists.


def _of_list(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def made(self: Any, sequence: Any = None, *, name: str | None = None) -> None:
        attached = sequence is None and name is not None
        with control.Raw():
            init(self, sequence, name=name)
        self.shm._bench_list = True
        if not attached and control.registry is not None:
            for what, label in (_FORMATS, _CODES):
                control.registry.new_object(f"{what}:{self.shm.name}", label)

    return made


_FORMATS, _CODES = ("formats", "the types in a shared list"), ("codes", "the conversions in a shared list")


def _step(runtime: Runtime, segment: Any, kind: str, position: int, frame: FrameType, of: Any = ()) -> None:
    runtime.arrive(word(kind, _number(segment, *of), position), 0, frame)


def _format(real: Callable[..., str]) -> Callable[..., str]:
    @functools.wraps(real)
    def read(self: Any, position: int) -> str:
        runtime = control.active
        if runtime is not None and 0 <= position < self._list_len:
            _step(runtime, self.shm, "read", position, _getframe(1), _FORMATS)
        found = real(self, position)
        if runtime is not None and runtime.detail:
            runtime.note_value(repr(found))
        return found

    return read


def _position(items: Any, position: Any) -> int:
    """Return the position of an item from the beginning; -1 for one that the list itself will refuse."""
    if not isinstance(position, int):
        return -1
    own = position if position >= 0 else position + items._list_len
    return own if 0 <= own < items._list_len else -1


def _place(items: Any, position: int) -> tuple[int, int]:
    """Return the first byte of an item's value, and how many there is room for."""
    offsets = items._allocated_offsets
    return items._offset_data_start + offsets[position], offsets[position + 1] - offsets[position]


def _step_on_value(runtime: Runtime, items: Any, kind: str, position: int, size: int, frame: FrameType) -> None:
    """Pass the point of an access to a value; the points of a move, where it has more bytes than a number."""
    if size <= _WORD:
        _step(runtime, items.shm, kind, position, frame)
        return
    start, _ = _place(items, position)
    view = items.shm._buf
    packed = word(kind, _number(items.shm), position)
    moves.move(runtime, packed, frame, lambda: bytes(view[start : start + size]), position, position + 1)


def _get_item(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def read(self: Any, position: int) -> Any:
        runtime, own, frame = control.active, _position(self, position), _getframe(1)
        if runtime is None or own < 0:
            return real(self, position)
        kind = self._get_packing_format(own)
        start, _ = _place(self, own)
        _step_on_value(runtime, self, "read", own, struct.calcsize(kind), frame)
        (value,) = struct.unpack_from(kind, self.shm._buf, start)
        if runtime.detail:
            runtime.note_value(repr(value))
        _step(runtime, self.shm, "read", own, frame, _CODES)
        return self._get_back_transform(own)(value)

    return read


def _set_item(real: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(real)
    def write(self: Any, position: int, value: Any) -> None:
        runtime, own, frame = control.active, _position(self, position), _getframe(1)
        if runtime is None or own < 0:
            real(self, position, value)
            return
        before = self._get_packing_format(own)
        kind, raw = _encoded(self, own, value, before)
        view, (start, _) = self.shm._buf, _place(self, own)
        formats, codes = self._offset_packing_formats + 8 * own, self._offset_back_transform_codes + own
        _write(runtime, self, _FORMATS, (view, formats, 8), kind.encode("utf8"), 0, own, frame)
        code = struct.pack("b", self._extract_recreation_code(value))
        _write(runtime, self, _CODES, (view, codes, 1), code, 0, own, frame)
        size = struct.calcsize(kind)
        if size <= _WORD:
            at, packed = _packed(kind, raw)
            _write(runtime, self, (), (view, start, size), packed, at, own, frame)
        else:
            _step_on_value(runtime, self, "write", own, size, frame)
            struct.pack_into(kind, view, start, raw)
        if runtime.detail:
            runtime.note_value(repr(value))

    return write


def _write(
    runtime: Runtime,
    items: Any,
    of: Any,
    place: tuple[Any, int, int],
    raw: bytes,
    at: int,
    position: int,
    frame: FrameType,
) -> None:
    """Write bytes as `struct` does: all of the place is zero at first, then come the bytes that there are, at `at`.

    What lies beside those bytes is left as it is by then: others may have written there since.
    """
    view, start, size = place
    _step(runtime, items.shm, "write", position, frame, of)
    view[start : start + size] = bytes(size)
    if any(raw):
        _step(runtime, items.shm, "write", position, frame, of)
        view[start + at : start + at + len(raw)] = raw


def _packed(kind: str, raw: Any) -> tuple[int, bytes]:
    """Return what `struct` writes of a value beside zeros, and at which byte: no padding, of a text no more than it."""
    if kind[-1] == "s":
        return 0, raw
    packed = struct.pack(kind, raw)
    at = len(kind) - len(kind.lstrip("x"))
    return at, packed[at : at + 1] if at else packed


def _encoded(items: Any, position: int, value: Any, before: str) -> tuple[str, Any]:
    """Return the format in which the list holds a value, and what `struct` writes of it.

    Raises:
        ValueError: if there is no room for it, as the list itself does.
    """
    if not isinstance(value, (str, bytes)):
        return items._types_mapping[type(value)], value
    _, room = _place(items, position)
    raw = value.encode("utf8") if isinstance(value, str) else value
    if len(raw) > room:
        raise ValueError("bytes/str item exceeds available storage")
    return before if before[-1] == "s" else items._types_mapping[str] % (room,), raw


# Segments.


def _narrowed(real: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of `struct` that asks for those bytes of a segment that it uses, rather than for all."""

    @functools.wraps(real)
    def called(kind: Any, buffer: Any, *args: Any, **named: Any) -> Any:
        if control.active is not None and type(buffer) is Buffer:
            offset = args[0] if args else named.get("offset", 0)
            size = struct.calcsize(kind)
            if isinstance(offset, int) and 0 <= offset <= buffer.nbytes - size and buffer.itemsize == 1:
                return real(kind, buffer[offset : offset + size], 0, *args[1:])
        return real(kind, buffer, *args, **named)

    return called


_asked: weakref.WeakSet[Any] = weakref.WeakSet()
"""Segments whose own memory was handed out while no lane was controlled."""


def _buffer(self: Any) -> Any:
    view, frame = self._buf, _getframe(1)
    if view is None or frame.f_globals.get("__name__") == _MODULE:
        return view
    if getattr(self, "_bench_list", False):
        note(_OF_A_LIST)
    if _PROVIDES_BUFFERS:
        return Buffer(self, view, 0)
    if control.active is None:
        _asked.add(self)
    note(_TAKEN)
    return view


def note_kept() -> None:
    """Note the segments whose memory somebody keeps a view of, on Pythons where that is past all points."""
    for segment in list(_asked):
        if segment._buf is not None and _is_kept(segment) and control.registry is not None:
            control.registry.board.note_uncontrolled(f"{_TAKEN}, made with the state")
    _asked.clear()


def _is_kept(segment: Any) -> bool:
    """Return whether there is a view of the memory of a segment beside its own, or anybody else has that."""
    managers = [one for one in gc.get_referrers(segment._mmap) if type(one).__name__ == "managedbuffer"]
    views = {id(one) for manager in managers for one in gc.get_referrers(manager) if isinstance(one, memoryview)}
    return bool(views - {id(segment._buf)}) or sys.getrefcount(segment._buf) > 2  # the segment's, and the argument


_by_words: dict[int, bool] = {}
"""By the object of a segment, whether its parts are words: of one that is reached by other items than bytes."""


class Buffer:
    """The buffer of a segment, or a part of it, as a memoryview whose accesses are points."""

    __slots__ = ("__weakref__", "_offset", "_segment", "_view")

    def __init__(self, segment: Any, view: memoryview, offset: int) -> None:
        self._segment, self._view, self._offset = segment, view, offset

    @property  # type: ignore[misc]  # as mocks do it, so that `isinstance` finds a memoryview
    def __class__(self) -> type:
        return memoryview

    def _step(self, kind: str, index: Any, frame: FrameType) -> Any:
        """Pass the point of an access to an item; those of a move, where it is one to several."""
        runtime = control.active
        if runtime is None:
            return None
        view = self._view
        if isinstance(index, slice) and view.ndim == 1:
            self._slice(index)._move(runtime, kind, frame)
            return runtime
        if not isinstance(index, int) or view.ndim != 1 or not -len(view) <= index < len(view):
            self._move(runtime, kind, frame)
            return runtime
        at, number = self._byte(index), _number(self._segment)
        if (words := _by_words.get(number)) is None:
            words = _by_words[number] = grain.is_fine(number)
        if view.itemsize == 1 and not words:
            runtime.arrive(word(kind, number, at), 0, frame)
        elif at % _WORD + view.itemsize <= _WORD:
            runtime.arrive(word(kind, number, at - at % _WORD), 0, frame)
        else:
            self._slice(slice(index, index + 1))._move(runtime, kind, frame)
        return runtime

    def _byte(self, index: int) -> int:
        """Return the byte of the segment where an item begins."""
        own = index if index >= 0 else index + len(self._view)
        return self._offset + own * (self._view.strides or (1,))[0]

    def _slice(self, index: slice) -> Buffer:
        places = range(*index.indices(len(self._view)))
        return Buffer(self._segment, self._view[index], self._byte(places[0]) if places else self._offset)

    def _move(self, runtime: Runtime, kind: str, frame: FrameType) -> None:
        view, low, high = self._view, self._offset, self._offset + self._view.itemsize
        for length, stride in zip(view.shape or (), view.strides or ()):  # noqa: B905  # Python 3.10 has strict
            low, high = low + min((length - 1) * stride, 0), high + max((length - 1) * stride, 0)
        moves.move(runtime, word(kind, _number(self._segment)), frame, view.tobytes, low - low % _WORD, high)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._slice(index)
        runtime = self._step("read", index, _getframe(1))
        value = self._view[index]
        if runtime is not None and runtime.detail:
            runtime.note_value(repr(value))
        return value

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, Buffer):  # which is read first
            value = value.__bytes__()
        runtime = self._step("write", index, _getframe(1))
        self._view[index] = value
        if runtime is not None and runtime.detail:
            runtime.note_value(repr(value))

    # What else a memoryview has.

    def _whole(self) -> memoryview:
        """Return the view, after the step in which all of it is read."""
        self._step("read", None, _getframe(2))
        return self._view

    def __bytes__(self) -> bytes:
        return bytes(self._whole())

    def tobytes(self, *args: Any, **named: Any) -> bytes:
        """Return all of it, as a memoryview does."""
        return self._whole().tobytes(*args, **named)

    def tolist(self) -> list[Any]:
        """Return all of it, as a memoryview does."""
        return self._whole().tolist()

    def hex(self, *args: Any, **named: Any) -> str:
        """Return all of it, as a memoryview does."""
        return self._whole().hex(*args, **named)

    def __eq__(self, other: object) -> bool:
        mine = self._whole()
        return bool(mine == (other._whole() if isinstance(other, Buffer) else other))

    def __hash__(self) -> int:
        return hash(self._view)  # which refuses: it can be written to

    def __len__(self) -> int:
        return len(self._view)

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def __reversed__(self) -> Iterator[Any]:
        return (self[index] for index in reversed(range(len(self))))

    def __contains__(self, value: object) -> bool:
        return any(one == value for one in self)

    def count(self, value: object) -> int:
        """Return how many items are equal to a value, as from Python 3.14 on."""
        return sum(one == value for one in self)

    def __enter__(self) -> Buffer:
        len(self._view)  # raises where it was released
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Release the view. That of the segment itself stays, as the next schedule needs it."""
        if self._view is self._segment._buf:
            self._view = memoryview(b"")
        self._view.release()

    def cast(self, *args: Any, **named: Any) -> Buffer:
        """Return a view of the same bytes as other items."""
        found = self._view.cast(*args, **named)
        if found.itemsize > 1 and control.registry is not None:
            grain.tell_apart(_number(self._segment))
        return Buffer(self._segment, found, self._offset)

    def toreadonly(self) -> Buffer:
        """Return a view that cannot be written through."""
        return Buffer(self._segment, self._view.toreadonly(), self._offset)

    def __reduce__(self) -> Any:
        raise TypeError("cannot pickle 'memoryview' object")

    def __repr__(self) -> str:
        return f"<memory at {id(self):#x}>"

    def __buffer__(self, flags: int) -> memoryview:
        view, frame = self._view[:] if self._view.ndim else self._view, _getframe(1)
        buffers.ask(self, None, flags, frame, lambda runtime, kind: self._move(runtime, kind, frame))
        return view

    def __release_buffer__(self, view: memoryview) -> None:
        buffers.give_back(id(self), _getframe(1))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._view, name)  # format, shape and the like, which do not change


buffers.hand_on_by_table(Buffer, Buffer._move)
