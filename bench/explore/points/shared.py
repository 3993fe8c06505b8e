"""Points of `multiprocessing.shared_memory`: the bytes of a segment, and the items of a `ShareableList`.

An index into the buffer of a segment is a step on that byte; a slice is a step on the whole segment, and so is what
`struct` does. Code that keeps the memory itself, as `numpy` does, is noted as not controlled: its accesses are not
seen. Before Python 3.12 a class cannot provide the buffer of another object, and each use of a buffer is noted.
"""

from __future__ import annotations

import functools
import sys

from bench.explore.model import WHOLE
from bench.explore.points.uncontrolled import note
from bench.explore.runtime import control

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from bench.explore.runtime.lane import Runtime

_MODULE = "multiprocessing.shared_memory"
_PROVIDES_BUFFERS = sys.version_info >= (3, 12)
_TAKEN = "the memory of a shared segment, taken as a whole"


def install() -> None:
    """Patch `multiprocessing.shared_memory`: now, or when it is imported."""
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
    segment.buf = property(_buffer, doc=segment.buf.__doc__)
    items.__getitem__ = _item(items.__getitem__, "read")
    items.__setitem__ = _item(items.__setitem__, "write")
    items.__init__, items.__len__ = _without_points(items.__init__), _without_points(items.__len__)


def _number(runtime: Runtime, segment: Any) -> int:
    number: int = runtime.object(f"segment:{segment.name}", "a shared segment")
    return number


def _item(real: Callable[..., Any], kind: str) -> Callable[..., Any]:
    @functools.wraps(real)
    def item(self: Any, position: int, *value: Any) -> Any:
        runtime = control.active
        part = position if position >= 0 else position + self._list_len
        if runtime is None or not 0 <= part < self._list_len:
            return real(self, position, *value)
        runtime.point(kind, _number(runtime, self.shm), part)
        with runtime.raw():
            found = real(self, position, *value)
        if runtime.detail:
            runtime.note_value(repr(value[0] if value else found))
        return found

    return item


def _without_points(real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def called(*args: Any, **named: Any) -> Any:
        runtime = control.active
        if runtime is None:
            return real(*args, **named)
        with runtime.raw():
            return real(*args, **named)

    return called


def _buffer(self: Any) -> Any:
    view = self._buf
    if view is None or sys._getframe(1).f_globals.get("__name__") == _MODULE:
        return view
    if not _PROVIDES_BUFFERS:
        note(_TAKEN)
        return view
    return _Buffer(self, view)


class _Buffer:
    """The buffer of a segment, or a slice of it, whose accesses are points."""

    def __init__(self, segment: Any, view: memoryview) -> None:
        self._segment, self._view = segment, view

    def _step(self, kind: str, part: int = WHOLE) -> Any:
        runtime = control.active
        if runtime is not None:
            runtime.point(kind, _number(runtime, self._segment), part)
        return runtime

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return _Buffer(self._segment, self._view[index])
        runtime = self._step("read", self._part(index))
        value = self._view[index]
        if runtime is not None and runtime.detail:
            runtime.note_value(repr(value))
        return value

    def __setitem__(self, index: Any, value: Any) -> None:
        runtime = self._step("write", WHOLE if isinstance(index, slice) else self._part(index))
        self._view[index] = value
        if runtime is not None and runtime.detail:
            runtime.note_value(repr(value))

    def _part(self, index: int) -> int:
        """Return the number of a byte from the beginning of the segment, whatever slice it is seen through."""
        own = index if index >= 0 else index + len(self._view)
        return max(self._offset() + own, 0)

    def _offset(self) -> int:
        import ctypes

        whole, mine = (ctypes.addressof(ctypes.c_char.from_buffer(v)) for v in (self._segment._buf, self._view))
        return mine - whole

    def __bytes__(self) -> bytes:
        self._step("read")
        return bytes(self._view)

    def __eq__(self, other: object) -> bool:
        self._step("read")
        return bool(self._view == (other._view if isinstance(other, _Buffer) else other))

    __hash__ = None  # type: ignore[assignment]  # as a memoryview that can be written to

    def __len__(self) -> int:
        return len(self._view)

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def __buffer__(self, flags: int) -> memoryview:
        if flags in (0, 1) and "numpy" not in sys.modules:  # simple, or writable: such callers release it at once
            self._step("write" if flags else "read")
        elif flags:
            note(_TAKEN)
        return self._view

    def __getattr__(self, name: str) -> Any:
        if name in ("tobytes", "tolist", "hex"):
            self._step("read")
        elif name in ("cast", "toreadonly"):
            note(_TAKEN)
        return getattr(self._view, name)
