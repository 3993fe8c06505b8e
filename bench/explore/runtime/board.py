"""The board: the shared memory in which an exploration's processes see each other's pending steps and log those taken.

One file in the group's folder, mapped by every process. It also holds a semaphore for each lane, by which the baton is
handed to it: one with a name would outlive an exploration that is killed. Only the process that has the baton reads or
writes the board, so nothing on it needs a lock. `layout` has its fields.

Code that runs at each step or each switch reads `numbers[at.STEPS]`: that takes 35 ns, and `board.steps` 110 to 150.
"""

from __future__ import annotations

import _multiprocessing  # type: ignore[import-not-found,unused-ignore]  # without stubs
import contextlib
import ctypes
import mmap
import os
import sys
import zlib

from bench.explore.runtime import layout as at

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from typing import Any

VARIABLE = "BENCH_EXPLORE"
"""Environment variable that names the file of the board."""

EVENTS = "BENCH_EXPLORE_EVENTS"
"""Environment variable that names the folder in which the processes of a program journal, schedule by schedule."""


_OUT_OF_THE_WAY = 200
"""The least number of a descriptor that programs hardly come to."""


def _mapped(handle: int) -> mmap.mmap:
    """Map a file without a descriptor that a program could take for its own.

    A map keeps one, before Python 3.13 in any case, and takes the lowest number: a child that writes to a number that
    was a pipe in its parent would write to the board.
    """
    if sys.version_info >= (3, 13):
        return mmap.mmap(handle, at.SIZE, trackfd=False)
    lower: list[int] = []
    try:
        with contextlib.suppress(OSError):  # there are no more: it is where it is
            while not lower or lower[-1] < _OUT_OF_THE_WAY:
                lower.append(os.dup(handle))
            os.close(lower.pop())
        return mmap.mmap(handle, at.SIZE)
    finally:
        for number in lower:
            os.close(number)


class _Number:
    """A field of the board, or a cell of a lane's record, as an attribute; not for hot code."""

    __slots__ = ("_offset",)

    def __init__(self, offset: int) -> None:
        self._offset = offset

    def __get__(self, owner: Any, kind: Any = None) -> int:
        value: int = owner.numbers[owner.start + self._offset]
        return value

    def __set__(self, owner: Any, value: int) -> None:
        owner.numbers[owner.start + self._offset] = value


class Lane:
    """What the board has of one lane."""

    __slots__ = ("number", "numbers", "start")

    def __init__(self, numbers: memoryview, number: int) -> None:
        self.numbers, self.start, self.number = numbers, at.LANES + number * at.LANE, number

    word = _Number(at.WORD)
    wants = _Number(at.WANTS)
    command = _Number(at.COMMAND)
    raised = _Number(at.RAISED)
    spoiled = _Number(at.SPOILED)
    priority = _Number(at.PRIORITY)
    blocker = _Number(at.BLOCKER)

    @property
    def host(self) -> int:
        """The lane in whose process it runs."""
        return self.numbers[at.HOSTS + self.number]

    @host.setter
    def host(self, lane: int) -> None:
        self.numbers[at.HOSTS + self.number] = lane

    @property
    def pid(self) -> int:
        """Its process."""
        return self.numbers[at.PIDS + self.number]

    @pid.setter
    def pid(self, pid: int) -> None:
        self.numbers[at.PIDS + self.number] = pid


class Board:
    """The mapped file, with the semaphores of its lanes.

    Args:
        path: the file.
        create: whether it is made here, as the exploring process does.

    Attributes:
        made_at: when it was made, by the clock of files; 0 where it was not made here.
    """

    start = 0
    """Where the fields begin, among the numbers."""

    steps = _Number(at.STEPS)
    end = _Number(at.END)
    slow = _Number(at.SLOW)
    gone = _Number(at.GONE)
    present = _Number(at.PRESENT)
    enabled = _Number(at.ENABLED)
    feeders = _Number(at.FEEDERS)
    actors = _Number(at.ACTORS)
    objects = _Number(at.OBJECTS)
    places = _Number(at.PLACES)
    version = _Number(at.VERSION)
    detail = _Number(at.DETAIL)
    finer = _Number(at.FINER)
    drawn = _Number(at.DRAWN)
    chance = _Number(at.CHANCE)
    outsiders = _Number(at.OUTSIDERS)
    named_lanes = _Number(at.NAMED_LANES)
    audit = _Number(at.AUDIT)
    _uncontrolled = _Number(at.UNCONTROLLED)

    def __init__(self, path: str, *, create: bool = False) -> None:
        self.path = path
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if create else 0), 0o600)
        try:
            if create:
                os.ftruncate(handle, at.SIZE)
            self._map = _mapped(handle)
            self.made_at = os.fstat(handle).st_mtime if create else 0.0
        finally:
            os.close(handle)
        self.bytes = memoryview(self._map)
        self.numbers = self.bytes[: at.PLAN].cast("q")  # 64-bit numbers are what a memoryview reads fastest
        self.plan = self.bytes[at.PLAN : at.PLAN + at.MOST_STEPS].cast("b")
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        self._semaphores: dict[int, Any] = {}
        if create:
            self._create()

    def _create(self) -> None:
        initialize, shared_by_processes, value = ctypes.CDLL(None).sem_init, 1, 0
        for lane in range(at.MOST_LANES + 1):
            if initialize(ctypes.c_void_p(self._at(lane)), shared_by_processes, value):
                raise OSError("this platform has no semaphores in shared memory, by which an exploration goes on")
        self.objects = 1  # 0 is nothing
        for number in range(at.MOST_OBJECTS):
            self.numbers[at.OWNERS + number] = self.numbers[at.HOLDERS + number] = -1
        for number in range(at.MOST_LANES):
            self.lane(number).host = number

    def semaphore(self, lane: int) -> Any:
        """Return the semaphore of a lane, or of the coordinator."""
        if (known := self._semaphores.get(lane)) is None:
            # A SemLock without a name is the semaphore at the address that it is given as its handle.
            known = self._semaphores[lane] = _multiprocessing.SemLock._rebuild(self._at(lane), 1, 1 << 30, None)
        return known

    def _at(self, lane: int) -> int:
        return self._address + 8 * (at.SEMAPHORES + at.SEMAPHORE * lane)

    def lane(self, number: int) -> Lane:
        """Return what the board has of a lane."""
        return Lane(self.numbers, number)

    # Texts; they are read and written seldom.

    def _text(self, start: int, size: int, number: int) -> str:
        place = start + size * number
        return bytes(self.bytes[place : place + size]).partition(b"\0")[0].decode("utf-8", "replace")

    def _set_text(self, start: int, size: int, number: int, text: str) -> None:
        raw = text.encode("utf-8", "replace")[: size - 1] + b"\0"
        place = start + size * number
        self.bytes[place : place + len(raw)] = raw

    # Objects.

    def object_key(self, number: int) -> str:
        """Return the key that an object is known by now."""
        return self._text(at.KEYS, at.KEY_SIZE, number)

    def object_origin(self, number: int) -> str:
        """Return the lane that made an object, and as which of its objects; empty if that is not known."""
        return self._text(at.ORIGINS, at.ORIGIN_SIZE, number)

    def object_label(self, number: int) -> str:
        """Return the name of an object for people."""
        return self._text(at.LABELS, at.LABEL_SIZE, number) or f"object {number}"

    def label_object(self, number: int, label: str) -> None:
        """Name an object for people."""
        self._set_text(at.LABELS, at.LABEL_SIZE, number, label)

    def key_object(self, number: int, key: str) -> None:
        """Set the key that an object is known by from now on."""
        self._set_text(at.KEYS, at.KEY_SIZE, number, key)

    def add_object(self, key: str, origin: str, label: str, counter: int) -> int:
        """Register an object and return its number; 0 if there are too many."""
        number = self.objects
        if number >= at.NEVER:
            return 0
        self.key_object(number, key)
        self._set_text(at.ORIGINS, at.ORIGIN_SIZE, number, origin)
        self.label_object(number, label)
        self.numbers[at.COUNTERS + number] = self.numbers[at.INITIAL_COUNTERS + number] = counter
        self.objects = number + 1
        return number

    def start_object(self, number: int, counter: int) -> None:
        """Reset an object to what it is when it was just made."""
        numbers = self.numbers
        numbers[at.COUNTERS + number] = numbers[at.INITIAL_COUNTERS + number] = counter
        numbers[at.OWNERS + number] = numbers[at.HOLDERS + number] = -1

    def split_all(self) -> None:
        """Have all steps be fine: what takes several is never one."""
        for number in range(at.MOST_OBJECTS):
            self.numbers[at.GRAINS + number] = at.SPLIT

    def holder(self, number: int) -> int:
        """Return the lane that holds an object, or -1."""
        return self.numbers[at.HOLDERS + number]

    # Places and lanes.

    def place(self, number: int) -> str:
        """Return a line of the user's, as `file:line`; empty if there is none of that number."""
        return self._text(at.LINES, at.PLACE_SIZE, number)

    def add_place(self, text: str) -> int:
        """Register a line of the user's; if there are too many, all others share the last number."""
        number = min(self.places + 1, at.MOST_PLACES - 1)
        self._set_text(at.LINES, at.PLACE_SIZE, number, text)
        self.places = number
        return number

    def name(self, lane: int) -> str:
        """Return the name of a lane."""
        return self._text(at.NAMES, at.NAME_SIZE, lane) or f"lane {lane}"

    def add_name(self, name: str) -> int:
        """Return the lane of that name, a new one if there is none; -1 if there are too many."""
        wanted = name.encode("utf-8", "replace")[: at.NAME_SIZE - 1].decode("utf-8", "ignore")
        count = self.named_lanes
        for lane in range(count):
            if self.name(lane) == wanted:
                return lane
        if count >= at.MOST_LANES:
            return -1
        self._set_text(at.NAMES, at.NAME_SIZE, count, wanted)
        self.named_lanes = count + 1
        return count

    # What people are told.

    def set_value(self, step: int, text: str) -> None:
        """Record the value that a step saw."""
        self._set_text(at.VALUES, at.VALUE_SIZE, step, text)

    def value(self, step: int) -> str:
        """Return the value that a step saw."""
        return self._text(at.VALUES, at.VALUE_SIZE, step)

    def clear_values(self, steps: int) -> None:
        """Forget what the first steps saw."""
        for step in range(steps):
            self.bytes[at.VALUES + at.VALUE_SIZE * step] = 0

    def note_uncontrolled(self, what: str) -> None:
        """Note something that cannot be controlled, once."""
        known = self.uncontrolled()
        if what[:100] not in {one[:100] for one in known} and len(known) < at.MOST_UNCONTROLLED:
            self._set_text(at.NOTES, at.UNCONTROLLED_SIZE, len(known), what)
            self._uncontrolled = len(known) + 1

    def uncontrolled(self) -> list[str]:
        """Return what cannot be controlled."""
        return [self._text(at.NOTES, at.UNCONTROLLED_SIZE, number) for number in range(self._uncontrolled)]

    def set_call(self, lane: int, text: bytes) -> None:
        """Note what a lane calls, and the user's line."""
        place = at.CALLS + at.CALL_SIZE * lane
        self.bytes[place : place + len(text) + 1] = text + b"\0"

    def call(self, lane: int) -> str:
        """Return what a lane calls, a line break, and the user's line."""
        return self._text(at.CALLS, at.CALL_SIZE, lane)

    def close(self) -> None:
        """Release the memory; views of it that others hold keep it."""
        with contextlib.suppress(BufferError):
            self.plan.release()
            self.numbers.release()
            self.bytes.release()
            self._map.close()


def short_key(key: str) -> str:
    """Cut a key to what fits, and keep it different from others."""
    raw = key.encode("utf-8", "replace")
    return key if len(raw) < 180 else f"{raw[-160:].decode('utf-8', 'ignore')}#{zlib.crc32(raw):x}"
