"""Scenarios on shared memory: what is seen in the middle of an access, of values, barriers, slices and segments."""

from __future__ import annotations

import ctypes
from multiprocessing import sharedctypes
from typing import Any

from bench import acceptable, actor, scenario

PATIENCE_S = 3600.0
"""Virtual; nobody waits for it."""


class Saw:
    """A place for what an actor saw."""

    def __init__(self, mp: Any) -> None:
        self.saw = mp.RawValue("i", -1)

    def result(self) -> object:
        return self.saw.value


# The lock of a value


class Guarded(Saw):
    """One writes; the other looks at the lock of the value, which is taken meanwhile."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.value = mp.Value("i", 0)

    @actor
    def write(self) -> None:
        self.value.value = 1


@scenario(acceptable(bool))
class Tried(Guarded):
    def attempt(self) -> bool:
        return bool(self.value.get_lock().acquire(False))

    @actor
    def look(self) -> None:
        got = self.attempt()
        self.saw.value = got
        if got:
            self.value.get_lock().release()


@scenario(acceptable(bool))
class TriedForAMoment(Tried):
    def attempt(self) -> bool:
        return bool(self.value.acquire(timeout=0.01))


@scenario(acceptable(bool))
class WaitedForLong(Tried):
    def attempt(self) -> bool:
        return bool(self.value.acquire(timeout=PATIENCE_S))


@scenario(acceptable(bool))
class Shown(Guarded):
    @actor
    def look(self) -> None:
        self.saw.value = "None" in repr(self.value.get_lock())


@scenario(acceptable(int))
class WrittenByTwo(Guarded):
    """Each writes, and holds the lock for that alone."""

    @actor
    def write_too(self) -> None:
        self.value.value = 2

    def result(self) -> object:
        return self.value.value


@scenario(acceptable(bool))
class Released(Saw):
    """One writes; the other releases the lock, which it does not hold."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.value = mp.Value("i", 0, lock=mp.Lock())

    @actor
    def write(self) -> None:
        self.value.value = 1

    @actor
    def release(self) -> None:
        try:
            self.value.get_lock().release()
        except ValueError:
            self.saw.value = 1


# Barriers


@scenario(acceptable(bool))
class Waiting(Saw):
    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.barrier = mp.Barrier(2)

    @actor
    def wait(self) -> None:
        self.barrier.wait()

    @actor
    def look(self) -> None:
        self.saw.value = self.barrier.n_waiting
        self.barrier.wait()


@scenario(acceptable(bool))
class Broken(Saw):
    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.barrier = mp.Barrier(2)

    @actor
    def abort(self) -> None:
        self.barrier.abort()

    @actor
    def look(self) -> None:
        self.saw.value = self.barrier.broken


# Slices, and whole arrays


@scenario(acceptable(bool))
class Sliced:
    """One writes two items, first and last; the other reads both by a slice."""

    ITEMS = 2

    def __init__(self, mp: Any) -> None:
        self.items, self.saw = mp.RawArray("i", self.ITEMS), mp.RawArray("i", 2)

    @actor
    def write(self) -> None:
        self.items[0] = 1
        self.items[self.ITEMS - 1] = 1

    @actor
    def read(self) -> None:
        seen = self.items[:]
        self.saw[:] = [seen[0], seen[-1]]

    def result(self) -> object:
        return self.saw[:]


@scenario(acceptable(bool))
class SlicedLong(Sliced):
    ITEMS = 100


@scenario(acceptable(bool))
class SlicedLongInTurn(Sliced):
    """The same, under a lock; and each has items of its own, which it moves at any time."""

    ITEMS = 100

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.lock, self.own = mp.Lock(), mp.RawArray("i", 2 * self.ITEMS)

    @actor
    def write(self) -> None:
        self.own[: self.ITEMS] = [1] * self.ITEMS
        with self.lock:
            self.items[:] = [1] * self.ITEMS

    @actor
    def read(self) -> None:
        self.own[self.ITEMS :] = [2] * self.ITEMS
        with self.lock:
            seen = self.items[:]
        self.saw[:] = [seen[0], seen[-1]]


@scenario(acceptable(bool))
class SliceWritten(Sliced):
    @actor
    def write(self) -> None:
        self.items[:] = [1, 1]

    @actor
    def read(self) -> None:
        self.saw[1] = self.items[1]
        self.saw[0] = self.items[0]


@scenario(acceptable(bool))
class SlicedUnderItsLock(Sliced):
    """Both under the lock of the array: one step each."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.items = mp.Array("i", self.ITEMS)

    @actor
    def write(self) -> None:
        self.items[:] = [1, 1]


@scenario(acceptable(bool))
class SlicedPastItsLock(SlicedUnderItsLock):
    @actor
    def write(self) -> None:
        raw = self.items.get_obj()
        raw[0] = 1
        raw[1] = 1


@scenario(acceptable(bool))
class Named:
    """A text, which one writes while the other reads it."""

    def __init__(self, mp: Any) -> None:
        self.text, self.saw = mp.RawArray("c", 20), mp.RawValue("i", -1)

    @actor
    def write(self) -> None:
        self.text.value = b"long enough"

    @actor
    def read(self) -> None:
        self.saw.value = len(self.text.value)

    def result(self) -> object:
        return self.saw.value


@scenario(acceptable(bool))
class Copied(Named):
    @actor
    def read(self) -> None:
        self.saw.value = len(sharedctypes.copy(self.text).value)


# Structures


class Flags(ctypes.Structure):
    _fields_ = (("one", ctypes.c_int, 4), ("other", ctypes.c_int, 4))


@scenario(acceptable(bool))
class Bits:
    """Two bit fields of one number."""

    def __init__(self, mp: Any) -> None:
        self.flags = mp.RawValue(Flags)

    @actor
    def first(self) -> None:
        self.flags.one = 1

    @actor
    def second(self) -> None:
        self.flags.other = 1

    def result(self) -> object:
        return [self.flags.one, self.flags.other]


class Place(ctypes.Structure):
    _fields_ = (("x", ctypes.c_int), ("y", ctypes.c_int))


class Either(ctypes.Union):
    _fields_ = (("place", Place), ("both", ctypes.c_longlong))


class Nested(ctypes.Structure):
    _anonymous_ = ("either",)
    _fields_ = (("places", Place * 2), ("either", Either))


@scenario(acceptable(bool))
class PartOfValue:
    """Each adds to a number inside a value, which its lock does not keep together."""

    def __init__(self, mp: Any) -> None:
        self.value = mp.Value(Nested)

    def add(self) -> None:
        self.value.places[1].y += 1

    @actor
    def one(self) -> None:
        self.add()

    @actor
    def other(self) -> None:
        self.add()

    def result(self) -> object:
        return int(self.value.places[1].y)


@scenario(acceptable(bool))
class PartOfUnion:
    """One writes a part of what the other reads as a whole."""

    def __init__(self, mp: Any) -> None:
        self.value, self.saw = mp.RawValue(Nested), mp.RawValue("q", -1)

    @actor
    def write(self) -> None:
        self.value.place.x = 1

    @actor
    def read(self) -> None:
        self.saw.value = self.value.both

    def result(self) -> object:
        return self.saw.value


@scenario(acceptable(bool))
class StructureReplaced(PartOfUnion):
    @actor
    def write(self) -> None:
        self.value.places = (Place * 2)(Place(1, 1), Place(1, 1))

    @actor
    def read(self) -> None:
        self.saw.value = self.value.places[0].x


@scenario(acceptable(bool))
class ShownAndAsked(Saw):
    """The text of a value, and whether it is 0, are reads."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.value = mp.RawValue("i", 0)

    @actor
    def write(self) -> None:
        self.value.value = 1

    @actor
    def read(self) -> None:
        shown = repr(self.value)
        asked = bool(self.value)
        self.saw.value = 2 * (shown == "c_int(1)") + asked
