"""States set back to how they were made, many at a time, where `bench.state.survey` shows that this is all of them."""

from __future__ import annotations

import ctypes
import os
import select
import time

from bench.process.descriptors import open_descriptors
from bench.state import folders
from bench.state.survey import Unrestorable, survey

TYPE_CHECKING = False  # as type checkers know it: each group imports this

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence
    from typing import Any

    from bench.state.survey import Parts

SETTLING_S = 0.2
"""How long feeder threads may take, after the actors are through, to let go of their queues."""

_CLOSED = getattr(select, "POLLNVAL", 0)
"""What `poll` returns for a descriptor that is no longer open."""

_ALIGNMENT = 8
"""Bytes to which `multiprocessing.heap` aligns what it hands out."""


def merged(memory: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return pieces of memory with those merged that follow each other with only padding in between."""
    found: list[tuple[int, int]] = []
    for address, size in sorted(set(memory)):
        if found and found[-1][0] + _padded(found[-1][1]) == address:
            found[-1] = (found[-1][0], address + size - found[-1][0])
        else:
            found.append((address, size))
    return found


def _padded(size: int) -> int:
    return (size + _ALIGNMENT - 1) // _ALIGNMENT * _ALIGNMENT


class Leftovers:
    """What a sample left: locks held and items in queues and pipes of its state, segments that it made.

    `spoiled` if the state cannot be used again.
    """

    def __init__(self, *, spoiled: bool = False) -> None:
        self.locks: list[str] = []
        self.items: list[str] = []
        self.segments: list[str] = []
        self.spoiled = spoiled

    def detail(self, *, items: bool) -> dict[str, Any] | None:
        """Return the detail of an outcome of kind `leak`; `None` if there is none.

        Args:
            items: whether what is left in queues and pipes is one.
        """
        if not self.locks and not self.segments and not (items and self.items):
            return None
        found = {"locks": self.locks, "items": self.items, "segments": self.segments}
        parts = [f"{name} is still held" for name in self.locks] + [f"{name} is not empty" for name in self.items]
        parts += [f"the segment {name} was not removed" for name in self.segments]
        return {**{kind: names for kind, names in found.items() if names}, "summary": "; ".join(parts)}


class Restorer:
    """Restores states; to be used while no actor runs.

    After each batch come `inspect` and then `restore`: what `restore` writes is what `inspect` would have found.

    Attributes:
        unrestorable: why no state can be restored any more, once `inspect` has found that; empty until then.
        lost: what is gone of a state, as `inspect` found last: a folder, a segment; empty if nothing is.

    Args:
        states: the states.
        filled: whether queues may have been filled, with items that are counted and not in their pipes: whoever feeds
            them to each sample sets the counts as well.

    Raises:
        Unrestorable: on creation, if it cannot be shown that the states can be restored.
    """

    # Most samples leave semaphores and folders as they were. So all values are compared at once (`_is_initial`), and
    # single ones are looked at only where that fails; memory, which nearly every sample changes, is written without
    # being compared.

    def __init__(self, states: Sequence[object], *, filled: bool = False) -> None:
        self._parts = [survey(state) for state in states]
        self._memory = [
            (address, size, ctypes.string_at(address, size))
            for address, size in merged(piece for parts in self._parts for piece in parts.memory)
        ]
        # Apart from the rest: the memory of a segment that was closed is no longer there to be written to.
        self._segments = [
            (index, segment, bytes(segment._buf))
            for index, parts in enumerate(self._parts)
            for segment in parts.segments
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
        self._folders = _snapshots(self._parts)
        self._others = folders.names() if self._folders else set()
        self._changed: set[int] = set()
        self.unrestorable = self.lost = ""
        held = self._poll(0) if filled else self._with_items()
        if held or any(is_lock(item) and not value for _, _, item, value in self._semaphores):
            raise Unrestorable("a lock is held, or a queue is not empty, from the start")

    def inspect(self, wait_s: float = SETTLING_S, among: Container[int] | None = None) -> dict[int, Leftovers]:
        """Return what was left in states, by their numbers; changes of their memory and folders are no leftovers.

        Args:
            wait_s: how long the feeder threads of queues may take to finish.
            among: the states whose folders may have changed; `None` looks at all of them.
        """
        if self._guards:
            self._await_feeders(wait_s)
        found: dict[int, Leftovers] = {}
        for index, name in self._with_items():
            left = found.setdefault(index, Leftovers(spoiled=True))
            left.items += [] if name in left.items else [name]
        if not self._is_initial():
            for index, name, item, before in self._semaphores:
                if is_lock(item) and item._semlock._get_value() < before:
                    left = found.setdefault(index, Leftovers())
                    left.locks.append(name)
                    left.spoiled |= type(item).__name__ == "RLock"  # only its owner can release it
        self.lost = ""
        for number, event in self._poll(0) if self._readers else ():
            if event & _CLOSED:
                found.setdefault(self._readers[number][0], Leftovers()).spoiled = True
                self.lost = f"{self._readers[number][1]} was closed"
        for index, segment, _ in self._segments:
            if segment._buf is None or not os.path.exists(f"/dev/shm/{segment._name.lstrip('/')}"):
                found.setdefault(index, Leftovers()).spoiled = True
                self.lost = "a segment of its shared memory was closed or removed"
        for index in self._inspect_folders(among):
            found.setdefault(index, Leftovers()).spoiled = True
            self.lost = "a folder of its own was removed"
        return found

    def _await_feeders(self, wait_s: float) -> None:
        deadline = time.monotonic() + wait_s
        while any(get() != before for get, before in self._guards) and time.monotonic() < deadline:
            time.sleep(0.001)  # the semaphores of feeders, of other processes, announce nothing

    def _inspect_folders(self, among: Container[int] | None) -> set[int]:
        """Note which folders have changed; return the states of those that cannot be read."""
        self._changed, lost = set(), set()
        if self._folders and (new := folders.names() - self._others):
            self.unrestorable = f"{min(new)} was left beside the folders of the states"
        for number, (index, folder) in enumerate(self._folders):
            try:
                if (among is None or index in among) and folder.changed():
                    self._changed.add(number)
            except OSError:
                lost.add(index)
        return lost

    def _is_initial(self) -> bool:
        return [get() for get in self._get] == self._initial

    def _with_items(self) -> list[tuple[int, str]]:
        """Return state and name of the queues and pipes that are not empty, or not at rest."""
        if not self._readers:
            return []
        found = [self._readers[number] for number, event in self._poll(0) if not event & _CLOSED]
        for index, name, item, before in self._inner:
            # A queue's counter starts at its highest value, the room of an empty queue; a guard starts free.
            wanted = item._semlock.maxvalue if item._semlock.maxvalue > 1 else before
            if item._semlock._get_value() != wanted:
                found.append((index, name))
        return found

    def restore(self, without: Iterable[int] = ()) -> set[int]:
        """Restore the states; return the numbers of those that cannot be, among them those of `without`."""
        for address, size, content in self._memory:
            ctypes.memmove(address, content, size)
        lost = set(without)
        for index, segment, content in self._segments:
            if index not in lost:
                segment._buf[:] = content
        if not self._is_initial():
            for index, _, item, before in self._semaphores:
                if index not in lost and not _set(item, before):
                    lost.add(index)
        for index, folder in (self._folders[number] for number in sorted(self._changed)):
            try:
                folder.restore()
            except OSError:
                lost.add(index)
        return lost


def _snapshots(parts: Sequence[Parts]) -> list[tuple[int, folders.Snapshot]]:
    """Take snapshots of the folders of states, each with the number of its state."""
    by_folder: dict[str, tuple[int, str]] = {}
    for index, each in enumerate(parts):
        for name, folder in each.folders:
            if by_folder.setdefault(folder, (index, name))[0] != index:
                raise Unrestorable(f"{name}: a folder that several states have")
    if not by_folder:
        return []
    if inside := folders.first_containing(open_descriptors().values(), by_folder):
        raise Unrestorable(f"{by_folder[inside][1]}: a folder in which something is open")
    found = []
    for folder, (index, name) in by_folder.items():
        try:
            found.append((index, folders.Snapshot(folder)))
        except (ValueError, OSError) as error:
            raise Unrestorable(f"{name}: {error}") from None
    return found


def _polling(numbers: Iterable[int]) -> Callable[[int], list[tuple[int, int]]]:
    if not hasattr(select, "poll"):
        raise Unrestorable("whether pipes are empty cannot be seen on this platform")
    poll = select.poll()
    for number in numbers:
        poll.register(number, select.POLLIN)
    return poll.poll


def is_lock(item: Any) -> bool:
    """Return whether it is a lock, which is held or free, and not a semaphore, which counts."""
    return type(item).__name__ in ("Lock", "RLock")


def _set(item: Any, wanted: int) -> bool:
    """Bring a semaphore to a value, which is all of its content; return whether it has that value now."""
    semlock = item._semlock
    value = semlock._get_value()
    if value != wanted and type(item).__name__ == "RLock":  # it also has an owner, who alone can release it
        return False
    for _ in range(value, wanted):
        semlock.release()
    for _ in range(wanted, value):
        semlock.acquire(False)
    return bool(semlock._get_value() == wanted)
