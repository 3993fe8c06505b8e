"""What a state consists of: everything that samples can change in it, or the reason why that cannot be shown.

A state is looked through once for things whose whole content is known (shared memory, semaphores, pipes, folders of
its own) and for plain values that cannot change. Anything else, such as a path to elsewhere, makes it unrestorable:
then states are made anew. What stands in attributes of the classes or in globals of their modules cannot be restored
either, but `bench.state.watching` sees it change; globals of other modules are not looked at.
"""

from __future__ import annotations

import ctypes
import enum
import os
import sys
import types
from multiprocessing.process import BaseProcess

from bench.state import folders

TYPE_CHECKING = False  # as type checkers know it: each actor imports this

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_PLAIN = (type(None), bool, int, float, complex, range, type, types.FunctionType, types.BuiltinFunctionType, enum.Enum)
_SHARED = (ctypes._SimpleCData, ctypes.Array, ctypes.Structure, ctypes.Union)


class Unrestorable(Exception):
    """It cannot be shown that a state can be restored; the message names the part that stands in the way."""


# Neither this class nor others that an actor or a group imports are dataclasses: to import and make them takes 10 ms.


class Parts:
    """What a state consists of; names are those of its attributes.

    Attributes:
        memory: address and size of each piece of shared memory.
        semaphores: semaphores and locks that the actors use.
        counters: semaphores by which queues count their items.
        guards: locks inside queues, which only the queues use.
        readers: descriptors of pipes and queues that must be empty between samples.
        segments: segments of shared memory, which must still exist; their memory is not in `memory`.
        containers: lists, sets and dicts that must not change.
        owners: objects that have the attributes.
        folders: folders of the state's own.
    """

    def __init__(self) -> None:
        self.memory: list[tuple[int, int]] = []
        self.semaphores: list[tuple[str, Any]] = []
        self.counters: list[tuple[str, Any]] = []
        self.guards: list[tuple[str, Any]] = []
        self.readers: list[tuple[str, int]] = []
        self.segments: list[Any] = []
        self.containers: list[Any] = []
        self.owners: list[Any] = []
        self.folders: list[tuple[str, str]] = []


def survey(state: object) -> Parts:
    """Return what a state consists of.

    Raises:
        Unrestorable: if it holds anything whose whole content is not known.
    """
    parts = Parts()
    _Surveyor(parts).owner("", state)
    return parts


class _Surveyor:
    """Walks through a state and sorts what it meets into `Parts`.

    Invariant: what a method returns from without an exception is either immutable or listed in `parts`. A type that no
    method knows is refused, so a new kind of shared object makes states slower, never wrong.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.seen: set[int] = set()

    def owner(self, name: str, item: Any) -> None:
        kind = type(item)
        setting: Any = kind.__setattr__
        # With a __setattr__ of its own, or with slots, an object keeps values where vars() does not show them.
        plain = setting is object.__setattr__ or hasattr(setting, "watches")
        if not plain or not hasattr(item, "__dict__") or any("__slots__" in vars(k) for k in kind.__mro__[:-1]):
            raise Unrestorable(f"{name or 'the state'}: {kind.__name__}")
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
        if (folder := folders.top_folder(text)) is None:
            raise Unrestorable(f"{name}: perhaps a path, and what is there is not known")
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
            raise Unrestorable(f"{name}: {type(item).__name__}")
        else:
            self.owner(name, item)

    def memory(self, address: int, size: int) -> None:
        self.parts.memory.append((address, size))

    def synchronize(self, name: str, item: Any) -> None:
        kind = type(item).__name__
        if hasattr(item, "_semlock"):
            self.parts.semaphores.append((name, item))
        elif kind == "Condition":
            self.attributes(name, item, "_lock", "_sleeping_count", "_woken_count", "_wait_semaphore")
        elif kind == "Event":
            self.attributes(name, item, "_cond", "_flag")
        elif kind == "Barrier":
            self.item(f"{name}._cond", item._cond)
            buffer = item._wrapper.create_memoryview()
            self.memory(ctypes.addressof(ctypes.c_char.from_buffer(buffer)), len(buffer))
        else:
            raise Unrestorable(f"{name}: {kind}")

    def attributes(self, name: str, item: Any, *attributes: str) -> None:
        for attribute in attributes:
            self.item(f"{name}.{attribute}", getattr(item, attribute))

    def shared(self, name: str, item: Any) -> None:
        """A value or array with its lock."""
        self.attributes(name, item, "_obj")
        self.item(f"the lock of {name}", item._lock)

    def queue(self, name: str, item: Any) -> None:
        self.parts.readers.append((name, item._reader.fileno()))
        self.parts.guards += [(name, lock) for lock in (item._rlock, item._wlock) if lock is not None]
        if hasattr(item, "_sem"):
            # put() takes it before it hands an item to the feeder thread, and get() gives it back: so it also counts
            # items that have not reached the pipe yet.
            self.parts.counters.append((name, item._sem))
        if hasattr(item, "_unfinished_tasks"):
            self.attributes(name, item, "_unfinished_tasks", "_cond")

    def connection(self, name: str, item: Any) -> None:
        if item.closed:
            raise Unrestorable(f"{name}: closed")
        if item.readable:
            self.parts.readers.append((name, item.fileno()))

    def segment(self, name: str, item: Any) -> None:
        segment = getattr(item, "shm", item)  # a ShareableList has one
        if not hasattr(segment, "_name") or segment.buf is None:
            raise Unrestorable(f"{name}: {type(item).__name__}")
        self.parts.segments.append(segment)

    def context(self, name: str, item: Any) -> None:
        """The context itself holds nothing of a sample; its classes of processes are of the same module."""
        if isinstance(item, BaseProcess):
            raise Unrestorable(f"{name}: a process")


_KNOWN: dict[str, Callable[[_Surveyor, str, Any], None]] = {
    "multiprocessing.synchronize": _Surveyor.synchronize,
    "multiprocessing.sharedctypes": _Surveyor.shared,
    "multiprocessing.queues": _Surveyor.queue,
    "multiprocessing.connection": _Surveyor.connection,
    "multiprocessing.shared_memory": _Surveyor.segment,
    "multiprocessing.context": _Surveyor.context,
}
"""How to look through objects of `multiprocessing`, by the module of their class."""
