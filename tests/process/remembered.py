"""Scenarios on shared memory: what is seen in the middle of an access, of values, barriers, slices and segments."""

from __future__ import annotations

import ctypes
import os
import struct
from multiprocessing import shared_memory, sharedctypes
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


# Buffers


@scenario(acceptable(bool))
class BytesTaken(Saw):
    """The first bytes of an array, twice: each is a look."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.items, self.between = mp.RawArray("i", 4), mp.RawValue("i", 0)

    @actor
    def write(self) -> None:
        self.between.value = 1
        self.items[0] = 1

    @actor
    def read(self) -> None:
        first = bytes(self.items)[0]
        self.between.value = 2
        self.saw.value = 10 * first + bytes(self.items)[0]


@scenario(acceptable(bool))
class BytesTakenInTurn(BytesTaken):
    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.lock = mp.Lock()

    @actor
    def write(self) -> None:
        with self.lock:
            self.items[0] = 1

    @actor
    def read(self) -> None:
        with self.lock:
            self.saw.value = bytes(self.items)[0]


@scenario(acceptable(bool))
class ViewKept(BytesTaken):
    """An actor keeps a view of an array, and reads by it."""

    @actor
    def read(self) -> None:
        view = memoryview(self.items).cast("B")
        self.saw.value = view[0]


@scenario(acceptable(bool))
class ViewOfState(BytesTaken):
    """The state has such a view, which a forked actor has too."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.view = memoryview(self.items).cast("B")

    @actor
    def read(self) -> None:
        self.saw.value = self.view[0]


@scenario(acceptable(bool))
class AddressOfState(BytesTaken):
    """The state has its address."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.address = ctypes.addressof(self.items)

    @actor
    def read(self) -> None:
        self.saw.value = ctypes.c_int.from_address(self.address).value


@scenario(acceptable(bool))
class TakenOnlyAtFirst(BytesTaken):
    """The state is filled by buffers that nobody keeps."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        struct.pack_into("i", self.items, 4, 7)
        self.first = bytes(self.items)[4]

    @actor
    def read(self) -> None:
        self.saw.value = self.first


# Segments


class Segment(Saw):
    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.segment = shared_memory.SharedMemory(create=True, size=64)
        self.lock = mp.Lock()
        struct.pack_into("ii", self.buf, 8, 3, 4)

    @property
    def buf(self) -> Any:
        return self.segment.buf


@scenario(acceptable(bool))
class LikeAMemoryview(Segment):
    """What is right on a memoryview is right on the buffer of a segment."""

    @actor
    def one(self) -> None:
        with self.buf as view, view[0:8].cast("i") as numbers:
            numbers[0] = 5
            assert isinstance(numbers, memoryview)
            assert (numbers[0], numbers.tolist(), numbers.format, numbers.itemsize) == (5, [5, 0], "i", 4)
            assert (numbers.nbytes, numbers.shape, numbers.readonly, len(numbers)) == (8, (2,), False, 2)
            assert bytes(view[:2]) == view[:2] == b"\5\0" == b"".join([view[:1], view[1:2]])
            assert list(view[:2]) == [5, 0]
            assert int.from_bytes(view[:4], "little") == 5
            assert view.toreadonly().readonly
            view[16:18] = b"ab"
            view[18:20] = view[16:18]
            assert (view[16:20].tobytes(), view[19:15:-1].tobytes(), view[16:20].hex()) == (
                b"abab",
                b"baba",
                "61626162",
            )
        for use in (lambda: view[0], lambda: hash(self.buf)):
            try:
                use()
            except ValueError:
                continue
            raise AssertionError

    @actor
    def other(self) -> None:
        self.saw.value = struct.unpack_from("i", self.buf, 24)[0]


@scenario(acceptable(bool))
class NumbersOfSegment(Segment):
    """Each adds to a number of the segment, without a lock."""

    def add(self) -> None:
        self.buf.cast("i")[2] += 1

    @actor
    def one(self) -> None:
        self.add()

    @actor
    def other(self) -> None:
        self.add()

    def result(self) -> object:
        return self.buf.cast("i")[2]


@scenario(acceptable(bool))
class PackedInTurn(NumbersOfSegment):
    def add(self) -> None:
        with self.lock:
            (found,) = struct.unpack_from("i", self.buf, 8)
            struct.pack_into("i", self.buf, 8, found + 1)


@scenario(acceptable(bool))
class PackedBeside(NumbersOfSegment):
    """Each packs a number of its own."""

    @actor
    def one(self) -> None:
        struct.pack_into("i", self.buf, 8, 7)

    @actor
    def other(self) -> None:
        struct.pack_into("i", self.buf, 16, 8)


@scenario(acceptable(bool))
class Packed(NumbersOfSegment):
    def add(self) -> None:
        (found,) = struct.unpack_from("i", self.buf, 8)
        struct.pack_into("i", self.buf, 8, found + 1)


@scenario(acceptable(bool))
class ViewOfSegment(Segment):
    """The state has a part of the buffer."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.part = self.buf[8:12]

    @actor
    def one(self) -> None:
        self.part[0] = 1

    @actor
    def other(self) -> None:
        self.saw.value = self.part[0]


@scenario(acceptable(bool))
class WrittenOut(Segment):
    """Written into a pipe, which is a step that does not say that it reads the segment."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.out, self.into = os.pipe()

    @actor
    def one(self) -> None:
        self.buf[8] = 1

    @actor
    def other(self) -> None:
        os.write(self.into, self.buf[8:9])
        self.saw.value = os.read(self.out, 1)[0]


# Lists


class Listed(Saw):
    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.items: Any = shared_memory.ShareableList([1, "a longer text"])
        self.lock = mp.Lock()

    def result(self) -> object:
        return repr(self.items[0])


@scenario(acceptable(bool))
class OfAnotherType(Listed):
    """One writes a float where an integer was; the other reads."""

    @actor
    def write(self) -> None:
        self.items[0] = 2.0

    @actor
    def read(self) -> None:
        assert self.items[0] == 1, repr(self.items[0])


@scenario(acceptable(bool))
class ListedInTurn(Listed):
    @actor
    def one(self) -> None:
        with self.lock:
            self.items[0] += 1

    @actor
    def other(self) -> None:
        with self.lock:
            self.items[0] += 1


@scenario(acceptable(bool))
class ListedAtOnce(Listed):
    @actor
    def write(self) -> None:
        self.items[0] = 2

    @actor
    def read(self) -> None:
        try:
            self.saw.value = self.items[0]
        except ValueError:
            self.saw.value = 9

    def result(self) -> object:
        return self.saw.value


@scenario(acceptable(bool))
class TextListed(Listed):
    """A text is moved piece by piece."""

    @actor
    def write(self) -> None:
        self.items[1] = "t x"

    @actor
    def read(self) -> None:
        self.saw.value = len(self.items[1])

    def result(self) -> object:
        return 0
