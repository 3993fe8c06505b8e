"""States put back to how they were made, where it can be shown that this is all there is to them.

A state is *surveyed* once: what it holds is looked through for things whose whole state is known - shared memory,
semaphores, pipes, folders of its own - and for plain values that cannot change. Anything else, such as a path to
elsewhere, is `Unshown`: then states are made anew. What is kept in attributes of the classes or in globals of their
modules cannot be put back, but is seen to change; globals of other modules are not looked at.
"""

from __future__ import annotations

import ctypes
import enum
import os
import select
import sys
import time
import types
from dataclasses import dataclass, field
from operator import is_

from bench.process.descriptors import open_descriptors
from bench.state import folders

TYPE_CHECKING = False  # as type checkers know it: each actor imports this

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence
    from typing import Any

_PLAIN = (type(None), bool, int, float, complex, range, type, types.FunctionType, types.BuiltinFunctionType, enum.Enum)
_SHARED = (ctypes._SimpleCData, ctypes.Array, ctypes.Structure, ctypes.Union)
_MISSING = object()
SETTLING_S = 0.2
"""How long feeder threads may take, after the actors are through, to let go of their queues."""

_ALIGNMENT = 8
"""Bytes to which `multiprocessing.heap` aligns what it hands out."""


class Unshown(Exception):
    """It cannot be shown that a state can be put back; the message says of what."""


@dataclass
class Parts:
    """What a state consists of; names are those of its attributes.

    `counters` holds the semaphores by which queues count their items and `guards` the locks inside queues, which are
    nobody's but theirs; `readers` what must be found empty; `segments` what must still be there; `containers` what may
    not change; `owners` the objects that have the attributes; `folders` what is theirs on the disk.
    """

    memory: list[tuple[int, int]] = field(default_factory=list)
    semaphores: list[tuple[str, Any]] = field(default_factory=list)
    counters: list[tuple[str, Any]] = field(default_factory=list)
    guards: list[tuple[str, Any]] = field(default_factory=list)
    readers: list[tuple[str, int]] = field(default_factory=list)
    segments: list[Any] = field(default_factory=list)
    containers: list[Any] = field(default_factory=list)
    owners: list[Any] = field(default_factory=list)
    folders: list[tuple[str, str]] = field(default_factory=list)


def survey(state: object) -> Parts:
    """Look through a state.

    Raises:
        Unshown: if it holds anything whose whole state is not known.
    """
    parts = Parts()
    _Surveyor(parts).owner("", state)
    return parts


class _Surveyor:
    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.seen: set[int] = set()

    def owner(self, name: str, item: Any) -> None:
        kind = type(item)
        setting: Any = kind.__setattr__
        plain = setting is object.__setattr__ or hasattr(setting, "watches")
        if not plain or not hasattr(item, "__dict__") or any("__slots__" in vars(k) for k in kind.__mro__[:-1]):
            raise Unshown(f"{name or 'the state'}: {kind.__name__}")
        self.parts.owners.append(item)
        for attribute, inner in list(vars(item).items()):
            self.item(f"{name}.{attribute}".lstrip("."), inner)

    def item(self, name: str, item: Any) -> None:
        if id(item) in self.seen or isinstance(item, _PLAIN):
            return
        if isinstance(item, (str, bytes, os.PathLike)):
            self.text(name, item)
            return
        self.seen.add(id(item))
        if isinstance(item, (tuple, list, frozenset, set)):
            self.many(name, item, enumerate(item))
        elif type(item) is dict:
            self.many(name, item, item.items())
        else:
            self.thing(name, item)

    def text(self, name: str, item: str | bytes | os.PathLike[Any]) -> None:
        text = os.fsdecode(item)
        if os.sep not in text and isinstance(item, (str, bytes)):
            return
        if (folder := folders.folder_of(text)) is None:
            raise Unshown(f"{name}: perhaps a path, and what is there is not known")
        self.parts.folders.append((name, folder))

    def many(self, name: str, item: Any, inner: Iterable[tuple[Any, Any]]) -> None:
        if not isinstance(item, (tuple, frozenset)):
            self.parts.containers.append(item)
        for key, one in inner:
            self.item(f"{name}[{key!r}]", one)

    def thing(self, name: str, item: Any) -> None:
        module = type(item).__module__
        if hasattr(item, "_wrapper") and isinstance(item, _SHARED):
            self.memory(ctypes.addressof(item), ctypes.sizeof(item))
        elif (look := _KNOWN.get(module)) is not None:
            look(self, name, item)
        elif module.partition(".")[0] in sys.stdlib_module_names:
            raise Unshown(f"{name}: {type(item).__name__}")
        else:
            self.owner(name, item)

    def memory(self, address: int, size: int) -> None:
        self.parts.memory.append((address, size))

    def synchronize(self, name: str, item: Any) -> None:
        kind = type(item).__name__
        if hasattr(item, "_semlock"):
            self.parts.semaphores.append((name, item))
        elif kind == "Condition":
            self.all_of(name, item, "_lock", "_sleeping_count", "_woken_count", "_wait_semaphore")
        elif kind == "Event":
            self.all_of(name, item, "_cond", "_flag")
        elif kind == "Barrier":
            self.item(f"{name}._cond", item._cond)
            buffer = item._wrapper.create_memoryview()
            self.memory(ctypes.addressof(ctypes.c_char.from_buffer(buffer)), len(buffer))
        else:
            raise Unshown(f"{name}: {kind}")

    def all_of(self, name: str, item: Any, *attributes: str) -> None:
        for attribute in attributes:
            self.item(f"{name}.{attribute}", getattr(item, attribute))

    def shared(self, name: str, item: Any) -> None:
        """A value or array with its lock."""
        self.all_of(name, item, "_obj")
        self.item(f"the lock of {name}", item._lock)

    def queue(self, name: str, item: Any) -> None:
        self.parts.readers.append((name, item._reader.fileno()))
        self.parts.guards += [(name, lock) for lock in (item._rlock, item._wlock) if lock is not None]
        if hasattr(item, "_sem"):
            # Taken before an item is handed to the feeder and given back by who gets it: so it also tells of items
            # that are on their way.
            self.parts.counters.append((name, item._sem))
        if hasattr(item, "_unfinished_tasks"):
            self.all_of(name, item, "_unfinished_tasks", "_cond")

    def connection(self, name: str, item: Any) -> None:
        if item.closed:
            raise Unshown(f"{name}: closed")
        if item.readable:
            self.parts.readers.append((name, item.fileno()))

    def segment(self, name: str, item: Any) -> None:
        segment = getattr(item, "shm", item)  # a ShareableList has one
        if not hasattr(segment, "_name") or segment.buf is None:
            raise Unshown(f"{name}: {type(item).__name__}")
        self.parts.segments.append(segment)
        self.memory(ctypes.addressof(ctypes.c_char.from_buffer(segment.buf)), len(segment.buf))

    def context(self, name: str, item: Any) -> None:
        """The context itself holds nothing of a sample."""


_KNOWN: dict[str, Callable[[_Surveyor, str, Any], None]] = {
    "multiprocessing.synchronize": _Surveyor.synchronize,
    "multiprocessing.sharedctypes": _Surveyor.shared,
    "multiprocessing.queues": _Surveyor.queue,
    "multiprocessing.connection": _Surveyor.connection,
    "multiprocessing.shared_memory": _Surveyor.segment,
    "multiprocessing.context": _Surveyor.context,
}


def joined(memory: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join pieces of memory that follow each other, with nothing but padding in between."""
    found: list[tuple[int, int]] = []
    for address, size in sorted(set(memory)):
        if found and found[-1][0] + _padded(found[-1][1]) == address:
            found[-1] = (found[-1][0], address + size - found[-1][0])
        else:
            found.append((address, size))
    return found


def _padded(size: int) -> int:
    return (size + _ALIGNMENT - 1) // _ALIGNMENT * _ALIGNMENT


@dataclass
class Left:
    """What the actors left in a state: locks held, items in queues and pipes; `spoiled` if it cannot be used again."""

    locks: list[str] = field(default_factory=list)
    items: list[str] = field(default_factory=list)
    spoiled: bool = False


class Restorer:
    """Puts states back; to be used while no actor runs.

    `unshown` says, once `look` has found it, why no state can be put back any more; it is empty until then.

    Raises:
        Unshown: if it cannot be shown that they can be put back, on being made.
    """

    def __init__(self, states: Sequence[object]) -> None:
        self._parts = [survey(state) for state in states]
        self._memory = [
            (address, size, ctypes.string_at(address, size))
            for address, size in joined(piece for parts in self._parts for piece in parts.memory)
        ]
        self._semaphores = [
            (index, name, item, item._semlock._get_value())
            for index, parts in enumerate(self._parts)
            for name, item in parts.semaphores
        ]
        self._inner = [
            (index, name, item, item._semlock._get_value())
            for index, parts in enumerate(self._parts)
            for name, item in (*parts.counters, *parts.guards)
        ]
        self._guards = [
            (item._semlock._get_value, item._semlock._get_value()) for parts in self._parts for _, item in parts.guards
        ]
        self._get = [one[2]._semlock._get_value for one in (*self._semaphores, *self._inner)]
        self._initial = [get() for get in self._get]
        self._readers = {number: (i, name) for i, parts in enumerate(self._parts) for name, number in parts.readers}
        self._poll = _polling(self._readers)
        self._segments = [(index, one) for index, parts in enumerate(self._parts) for one in parts.segments]
        self._folders = _kept(self._parts)
        self._beside = folders.beside() if self._folders else set()
        self._changed: set[int] = set()
        self.unshown = ""
        if self._with_items() or any(is_lock(item) and not value for _, _, item, value in self._semaphores):
            raise Unshown("a lock is held, or a queue is not empty, from the start")

    def look(self, wait_s: float = SETTLING_S, among: Container[int] | None = None) -> dict[int, Left]:
        """Say of the states that are not as they were, apart from their memory and folders, what was left in them.

        Args:
            wait_s: how long the feeder threads of queues may take to be done.
            among: the states whose folders may have changed; `None` looks at all of them.
        """
        deadline = time.monotonic() + wait_s
        while any(get() != before for get, before in self._guards) and time.monotonic() < deadline:
            time.sleep(0.001)
        found: dict[int, Left] = {}
        for index, name in self._with_items():
            left = found.setdefault(index, Left(spoiled=True))
            left.items += [] if name in left.items else [name]
        if not self._as_at_first():
            for index, name, item, before in self._semaphores:
                if is_lock(item) and item._semlock._get_value() < before:
                    left = found.setdefault(index, Left())
                    left.locks.append(name)
                    left.spoiled |= type(item).__name__ == "RLock"  # only its owner can release it
        for index, segment in self._segments:
            if segment._buf is None or not os.path.exists(f"/dev/shm/{segment._name.lstrip('/')}"):
                found.setdefault(index, Left()).spoiled = True
        for index in self._look_at_folders(among):
            found.setdefault(index, Left()).spoiled = True
        return found

    def _look_at_folders(self, among: Container[int] | None) -> set[int]:
        """Note which folders have changed; give the states of those that cannot be looked at."""
        self._changed, lost = set(), set()
        if self._folders and (new := folders.beside() - self._beside):
            self.unshown = f"{min(new)} was left beside the folders of the states"
        for number, (index, folder) in enumerate(self._folders):
            try:
                if (among is None or index in among) and folder.changed():
                    self._changed.add(number)
            except OSError:
                lost.add(index)
        return lost

    def _as_at_first(self) -> bool:
        return [get() for get in self._get] == self._initial

    def _with_items(self) -> list[tuple[int, str]]:
        """Name the queues and pipes that are not empty, or not at rest."""
        if not self._readers:
            return []
        found = [self._readers[number] for number, _ in self._poll(0)]
        for index, name, item, before in self._inner:
            # What a counter was at first is what an empty queue has: the most.
            wanted = item._semlock.maxvalue if item._semlock.maxvalue > 1 else before
            if item._semlock._get_value() != wanted:
                found.append((index, name))
        return found

    def restore(self, without: Iterable[int] = ()) -> set[int]:
        """Put the states back; give the numbers of those that cannot be, among them those that are `without`."""
        for address, size, content in self._memory:
            ctypes.memmove(address, content, size)
        lost = set(without)
        if not self._as_at_first():
            for index, _, item, before in self._semaphores:
                if index not in lost and not _set(item, before):
                    lost.add(index)
        for index, folder in (self._folders[number] for number in sorted(self._changed)):
            try:
                folder.put_back()
            except OSError:
                lost.add(index)
        return lost


def _kept(parts: Sequence[Parts]) -> list[tuple[int, folders.Kept]]:
    """Keep the folders of states, each with the number of its state."""
    by_folder: dict[str, tuple[int, str]] = {}
    for index, each in enumerate(parts):
        for name, folder in each.folders:
            if by_folder.setdefault(folder, (index, name))[0] != index:
                raise Unshown(f"{name}: a folder that several states have")
    if not by_folder:
        return []
    if inside := folders.beneath(open_descriptors().values(), by_folder):
        raise Unshown(f"{by_folder[inside][1]}: a folder in which something is open")
    found = []
    for folder, (index, name) in by_folder.items():
        try:
            found.append((index, folders.Kept(folder)))
        except (ValueError, OSError) as error:
            raise Unshown(f"{name}: {error}") from None
    return found


def _polling(numbers: Iterable[int]) -> Callable[[int], list[tuple[int, int]]]:
    if not hasattr(select, "poll"):
        raise Unshown("whether pipes are empty cannot be seen on this platform")
    poll = select.poll()
    for number in numbers:
        poll.register(number, select.POLLIN)
    return poll.poll


def is_lock(item: Any) -> bool:
    """Tell a lock, which is held or free, from a semaphore, which counts."""
    return type(item).__name__ in ("Lock", "RLock")


def _set(item: Any, wanted: int) -> bool:
    """Bring a semaphore to a value, which is all there is to it; a recursive lock belongs to its owner alone."""
    semlock = item._semlock
    value = semlock._get_value()
    if value != wanted and type(item).__name__ == "RLock":
        return False
    for _ in range(value, wanted):
        semlock.release()
    for _ in range(wanted, value):
        semlock.acquire(False)
    return bool(semlock._get_value() == wanted)


class Globals:
    """Sees attributes of classes and globals of their modules change: by name, and in what small containers hold.

    Names with two underscores at both ends are not looked at: Python itself sets some.
    """

    def __init__(self, kind: type) -> None:
        kinds = [one for one in kind.__mro__ if one.__module__.partition(".")[0] not in sys.stdlib_module_names]
        modules = {one.__module__: sys.modules[one.__module__] for one in kinds if one.__module__ in sys.modules}
        self._spaces: list[tuple[str, Any]] = [(f"{one.__qualname__}.", vars(one)) for one in kinds]
        self._spaces += [(f"{name}.", vars(module)) for name, module in modules.items()]
        self._values: list[list[object]] = []
        self._names: list[list[str]] = []
        self._containers: list[tuple[str, Any, Any]] = []
        self._note()

    def _note(self) -> None:
        self._values = [list(space.values()) for _, space in self._spaces]
        self._names = [list(space) for _, space in self._spaces]
        self._containers = [
            (label + name, item, item.copy())
            for label, space in self._spaces
            for name, item in space.items()
            if type(item) in (list, dict, set) and len(item) <= _SMALL and not _of_python(name)
        ]

    def changed(self) -> str:
        """Name what has changed since the last time; nothing if nothing has."""
        for number, (label, space) in enumerate(self._spaces):
            before = self._values[number]
            if len(space) == len(before) and all(map(is_, space.values(), before)):
                continue
            found = self._differing(label, space, dict(zip(self._names[number], before, strict=True)))
            self._note()
            if found:
                return found
        for name, item, copy in self._containers:
            if not _equal(item, copy):
                self._note()
                return name
        return ""

    def _differing(self, label: str, now: Any, before: dict[str, object]) -> str:
        names = (name for name in {**before, **now} if not _of_python(name))
        return next((label + name for name in names if now.get(name, _MISSING) is not before.get(name, _MISSING)), "")


_SMALL = 1_000
"""Items of a container in a global, up to which it is compared."""


def _equal(item: object, copy: object) -> bool:
    try:
        return bool(item == copy)
    except Exception:  # noqa: BLE001  # of what the container holds: arrays, for one, have no single answer
        return False


def _of_python(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


class Watch:
    """Hears of attributes that are set, and containers that change, in this process's own copies of the states."""

    def __init__(self, states: Sequence[object]) -> None:
        parts = [survey(state) for state in states]
        self._globals = Globals(type(states[0])) if states else None
        self._folders = {folder for each in parts for _, folder in each.folders}
        self._written: list[tuple[Any, str, Any]] = []
        self._containers = [(one, one.copy()) for each in parts for one in each.containers]
        for kind in {type(owner) for each in parts for owner in each.owners}:
            self._hear(kind)

    def _hear(self, kind: type) -> None:
        written = self._written

        def setting(owner: Any, name: str, value: Any) -> None:
            written.append((owner, name, vars(owner).get(name, _MISSING)))
            object.__setattr__(owner, name, value)

        def deleting(owner: Any, name: str) -> None:
            written.append((owner, name, vars(owner).get(name, _MISSING)))
            object.__delattr__(owner, name)

        setting.watches = True  # type: ignore[attr-defined]  # a mark on a function
        kind.__setattr__ = setting  # type: ignore[assignment]  # hung in, and taken out again by undo()
        kind.__delattr__ = deleting  # type: ignore[assignment]  # hung in, and taken out again by undo()

    def undo(self) -> str:
        """Take back what was set and what changed; name what cannot be, and is kept from sample to sample by this."""
        for owner, name, before in reversed(self._written):
            if before is _MISSING:
                vars(owner).pop(name, None)
            else:
                vars(owner)[name] = before
        self._written.clear()
        for one, copy in self._containers:
            if one != copy:
                _refill(one, copy)
        if self._folders and (inside := folders.beneath(open_descriptors().values(), self._folders)):
            return f"a file open in {os.path.basename(inside)}"
        return self._globals.changed() if self._globals else ""


def _refill(container: Any, copy: Any) -> None:
    container.clear()
    if isinstance(container, list):
        container.extend(copy)
    else:
        container.update(copy)
