"""The board: the shared memory in which an exploration's processes see each other's pending steps, and log those taken.

One file in the group's folder, mapped by every process, and named semaphores to hand the baton on by. Only who has the
baton reads or writes it, so that nothing on it needs a lock. Numbers are viewed as 64-bit ones, which is what a
`memoryview` reads fastest.
"""

from __future__ import annotations

import _multiprocessing  # type: ignore[import-not-found,unused-ignore]  # without stubs
import contextlib
import mmap
import os
import sys
import zlib

from bench.explore.model import ANYTHING, KINDS, OF_ENDS, OWN, READS, WHOLE, Op

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from typing import Any

VARIABLE = "BENCH_EXPLORE"
"""Environment variable that names the file of the board."""

EVENTS = "BENCH_EXPLORE_EVENTS"
"""Environment variable that names the folder in which the processes of a program journal, schedule by schedule."""

MOST_LANES = 32
MOST_OBJECTS = 1024
MOST_PLACES = 1024
MOST_STEPS = 100_000
MOST_CHANGES = 16
MOST_UNCONTROLLED = 32

COORDINATOR = MOST_LANES
"""The number of the semaphore that the coordinator waits for."""

# Cells of the header, by their place among the numbers.
STEPS = 0
"""How many steps were taken."""
END = 1
"""How the schedule ended, by its number in `ENDS`; 0 while it goes on."""
ODD = 2
"""Bits (`START` ...) for what happens seldom; while 0, a step can be taken the short way."""
GONE = 3
"""Lanes whose process was killed by a step of another one."""
LIMIT = 4
"""After how many steps a schedule is given up."""
FIRST = 5
"""How many steps the plan says outright."""
ENABLED = 6
"""Lanes that wait, and whose step could be taken: a bit for each."""
WAITING = 7
"""Lanes that wait, and whose step wants a counter."""
PRESENT = 8
"""Lanes that are not through; without the feeders, which never are."""
ASLEEP = 9
"""Lanes that are not run until a step depends on what they are about to do."""
YIELDING = 10
"""Lanes that are in a loop in which nothing changes until somebody else runs."""
DIRTY = 11
"""Lanes that wait for something outside which has to be asked again."""
TIMED = 12
"""Lanes that wait for a time as well."""
CLOCK = 13
"""The virtual time, in ns since the beginning of the schedule."""
CHANGED = 14
"""The step that last changed anything, or -1."""
STARTED = 15
"""How many of the actors have been started."""
POLICY = 16
RANDOM = 17
"""The state of the generator of the policy `random`."""
LOWEST = 18
"""The lowest priority given so far, of the policy `pct`."""
CLOCK_READ = 19
"""Whether anybody has looked at the clock."""
PROBING = 20
"""Lanes that wait for something outside."""
FEEDERS = 21
"""Lanes of feeders that were there in this schedule."""
CHANGES = 22
"""How many changes of priority follow; then their steps."""
HEADER = CHANGES + 1 + MOST_CHANGES

# Of each lane, from LANES + lane * LANE on.
WORD, WANTS, COMMAND, UNTIL, BY_TIME, PRIORITY, RAISED, SPOILED, LANE = range(9)
"""Its pending step; what it wants; what it is to do when it is woken; until which virtual time it waits at most, or 0;
whether that has come; its priority; what became of it; whether it closed what its state has open; and how many numbers
there are of each lane."""

LANES = HEADER
LANES_END = LANES + MOST_LANES * LANE

# What schedules have in common.
ACTORS = LANES_END
OBJECTS = ACTORS + 1
PLACES = ACTORS + 2
VERSION = ACTORS + 3
"""Changes when a known object gets another key."""
DETAIL = ACTORS + 4
UNCONTROLLED = ACTORS + 5
NAMES = ACTORS + 6
"""How many lanes have names."""
HOSTS = ACTORS + 8
"""The lane in whose process each lane runs: its own, but for feeders."""
PIDS = HOSTS + MOST_LANES
COUNTERS = PIDS + MOST_LANES
OWNERS = COUNTERS + MOST_OBJECTS
HOLDERS = OWNERS + MOST_OBJECTS
COUNTERS_AT_FIRST = HOLDERS + MOST_OBJECTS
LOG = COUNTERS_AT_FIRST + MOST_OBJECTS
"""Two numbers for each step: its word with the lane, and who was enabled with what it wanted."""
NUMBERS = LOG + 2 * MOST_STEPS

# In bytes.
PLAN = 8 * NUMBERS
_OBJECT, _PLACE, _NAME, _SEEN, _THING = 512, 256, 64, 64, 256
OBJECT_TEXTS = PLAN + MOST_STEPS
PLACE_TEXTS = OBJECT_TEXTS + _OBJECT * MOST_OBJECTS
NAME_TEXTS = PLACE_TEXTS + _PLACE * MOST_PLACES
SEEN_TEXTS = NAME_TEXTS + _NAME * MOST_LANES
UNCONTROLLED_TEXTS = SEEN_TEXTS + _SEEN * MOST_STEPS
SIZE = UNCONTROLLED_TEXTS + _THING * MOST_UNCONTROLLED

# Bits of ODD.
START, YIELDS, GIVEN_UP, PROBES = 1, 2, 4, 8

ENDS = ("", "done", "stuck", "limit", "asleep", "diverged", "died", "uncontrolled")
DONE, STUCK, OVER_LIMIT, ALL_ASLEEP, DIVERGED, DIED, OUT_OF_CONTROL = range(1, 8)
POLICIES = ("on", "random", "pct")

# What stands in the plan beside lanes and kills: after the last step that it says outright.
ANYBODY = 100
"""Whoever comes to this step takes it, if that can be done."""
DECIDED = 101
"""Who takes it has to be decided."""

# Commands.
GO, BEGIN, ABANDON, FEED, PROBE, QUIT, TELL, REAP = range(8)

NEVER = MOST_OBJECTS - 1
"""The number of an object whose counter stays 0: what a lane wants that waits for a time alone."""

# A word, from the lowest bit on: 5 of the lane, 5 of the kind, 11 of the object, 11 of the place, 1 if it changes
# nothing, 30 of the part plus 1.
_LANE_BITS, _KIND_AT, _OBJECT_AT, _PLACE_AT, _PART_AT = 31, 5, 10, 21, 33
READ = 1 << 32
_ANY = 2047
KILLED = 31
"""The kind of a step that kills a lane."""
KIND_NUMBERS = {kind: number for number, kind in enumerate(KINDS)}
WANTED_AT = 32


def word(kind: str, number: int, part: int = WHOLE) -> int:
    """Pack a step, without who takes it and where."""
    known = _ANY if number == ANYTHING else number
    read = READ if kind in READS else 0
    return KIND_NUMBERS[kind] << _KIND_AT | known << _OBJECT_AT | read | (part + 1) << _PART_AT


PART = 1 << _PART_AT
"""What is added to a word that concerns a whole object, for its part 0; for part n, n times more."""


KILLED_WORD = KILLED << _KIND_AT | _ANY << _OBJECT_AT
_READING_KINDS = sum(1 << KIND_NUMBERS[kind] for kind in READS)
_KILL, _EXIT = KIND_NUMBERS["kill"], KIND_NUMBERS["exit"]
_OF_ENDS = sum(1 << KIND_NUMBERS[kind] for kind in OF_ENDS)
_OWN_KINDS = sum(1 << KIND_NUMBERS[kind] for kind in OWN)


def words_dependent(one: int, one_wants: int, other: int, other_wants: int) -> bool:
    """Tell of two words and what they want what `steps.dependent` tells of the operations."""
    if (_OWN_KINDS >> (one >> _KIND_AT & 31) | _OWN_KINDS >> (other >> _KIND_AT & 31)) & 1:
        return False
    here, there = one >> _OBJECT_AT & _ANY, other >> _OBJECT_AT & _ANY
    if not here or not there:
        return False
    kinds = one >> _KIND_AT & 31, other >> _KIND_AT & 31
    if _ANY in (here, there) or _KILL in kinds:
        return True
    if _EXIT in kinds and _OF_ENDS >> kinds[kinds[0] == _EXIT] & 1:
        return True
    if here == there:
        part, other_part = one >> _PART_AT, other >> _PART_AT
        if not part or not other_part or part == other_part:
            return not _reads(one) or not _reads(other)
    return (here == other_wants and not _reads(one)) or (there == one_wants and not _reads(other))


def _reads(packed: int) -> int:
    # Not by the bit, which a `try` that is going to fail has as well.
    return _READING_KINDS >> (packed >> _KIND_AT & 31) & 1


def placed(place: int, lane: int) -> int:
    """Pack who takes a step, and where."""
    return place << _PLACE_AT | lane


def lane_of(packed: int) -> int:
    """Give the lane of a word."""
    return packed & _LANE_BITS


def kind_of(packed: int) -> int:
    """Give the number of a word's kind."""
    return packed >> _KIND_AT & 31


def op_of(packed: int, wants: int) -> Op:
    """Unpack a step."""
    kind = packed >> _KIND_AT & 31
    number = packed >> _OBJECT_AT & _ANY
    return Op(
        "kill" if kind == KILLED else KINDS[kind],
        ANYTHING if number == _ANY else number,
        (packed >> _PART_AT) - 1,
        packed >> _PLACE_AT & 2047,
        wants,
    )


def semaphore_name(path: str, lane: int) -> str:
    """Name the semaphore of a lane, by the folder of the board, which is nobody else's."""
    return f"/{os.path.basename(os.path.dirname(path))}-{lane}"


def remove_semaphores(path: str) -> None:
    """Remove the semaphores of a board from the system, as far as they are there."""
    for lane in range(MOST_LANES + 1):
        with contextlib.suppress(FileNotFoundError):
            _multiprocessing.sem_unlink(semaphore_name(path, lane))


_OUT_OF_THE_WAY = 200
"""The least number of a descriptor that programs hardly come to."""


def _mapped(handle: int) -> mmap.mmap:
    """Map a file without a descriptor that a program could take for its own.

    A map keeps one, before Python 3.13 in any case, and takes the lowest number: a child that writes to a number that
    was a pipe in its parent would write to the board.
    """
    if sys.version_info >= (3, 13):
        return mmap.mmap(handle, SIZE, trackfd=False)
    lower: list[int] = []
    try:
        with contextlib.suppress(OSError):  # there are no more: it is where it is
            while not lower or lower[-1] < _OUT_OF_THE_WAY:
                lower.append(os.dup(handle))
            os.close(lower.pop())
        return mmap.mmap(handle, SIZE)
    finally:
        for number in lower:
            os.close(number)


class Board:
    """The mapped file, and the semaphores of its lanes.

    Args:
        path: the file.
        create: whether it is made here, as the coordinator does.
    """

    def __init__(self, path: str, *, create: bool = False) -> None:
        self.path = path
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if create else 0), 0o600)
        try:
            if create:
                os.ftruncate(handle, SIZE)
            self._map = _mapped(handle)
        finally:
            os.close(handle)
        self.bytes = memoryview(self._map)
        self.numbers = self.bytes[:PLAN].cast("q")
        self.plan = self.bytes[PLAN:OBJECT_TEXTS].cast("b")
        self._semaphores: dict[int, Any] = {}
        if create:
            self._create()

    def _create(self) -> None:
        for lane in range(MOST_LANES + 1):
            name = semaphore_name(self.path, lane)
            self._semaphores[lane] = _multiprocessing.SemLock(1, 0, 1 << 30, name, False)
        numbers = self.numbers
        numbers[OBJECTS] = 1  # 0 is nothing
        for number in range(MOST_OBJECTS):
            numbers[OWNERS + number] = numbers[HOLDERS + number] = -1
        for lane in range(MOST_LANES):
            numbers[HOSTS + lane] = lane

    def semaphore(self, lane: int) -> Any:
        """Give the semaphore of a lane, or of the coordinator."""
        if (known := self._semaphores.get(lane)) is None:
            name = semaphore_name(self.path, lane)
            known = self._semaphores[lane] = _multiprocessing.SemLock._rebuild(0, 1, 1 << 30, name)
        return known

    # Texts; they are read and written seldom.

    def _text(self, at: int, size: int) -> str:
        return bytes(self.bytes[at : at + size]).partition(b"\0")[0].decode("utf-8", "replace")

    def _set_text(self, at: int, size: int, text: str) -> None:
        raw = text.encode("utf-8", "replace")[: size - 1] + b"\0"
        self.bytes[at : at + len(raw)] = raw

    def object_key(self, number: int) -> str:
        """Give the key that an object is known by now."""
        return self._text(OBJECT_TEXTS + _OBJECT * number, 192)

    def object_origin(self, number: int) -> str:
        """Give who made an object, as its how manieth; empty if it is not known."""
        return self._text(OBJECT_TEXTS + _OBJECT * number + 192, 64)

    def object_label(self, number: int) -> str:
        """Name an object for people."""
        return self._text(OBJECT_TEXTS + _OBJECT * number + 256, 256) or f"object {number}"

    def label_object(self, number: int, label: str) -> None:
        """Name an object for people."""
        self._set_text(OBJECT_TEXTS + _OBJECT * number + 256, 256, label)

    def key_object(self, number: int, key: str) -> None:
        """Have an object known by another key."""
        self._set_text(OBJECT_TEXTS + _OBJECT * number, 192, key)

    def add_object(self, key: str, origin: str, label: str, counter: int) -> int:
        """Register an object; 0 if there are too many."""
        numbers = self.numbers
        number = numbers[OBJECTS]
        if number >= NEVER:
            return 0
        self.key_object(number, key)
        self._set_text(OBJECT_TEXTS + _OBJECT * number + 192, 64, origin)
        self.label_object(number, label)
        numbers[COUNTERS + number] = numbers[COUNTERS_AT_FIRST + number] = counter
        numbers[OBJECTS] = number + 1
        return number

    def start_object(self, number: int, counter: int) -> None:
        """Have an object as it is when it was just made."""
        numbers = self.numbers
        numbers[COUNTERS + number] = numbers[COUNTERS_AT_FIRST + number] = counter
        numbers[OWNERS + number] = numbers[HOLDERS + number] = -1

    def place(self, number: int) -> str:
        """Give a line of the user's, as `file:line`; empty if there is none of that number."""
        return self._text(PLACE_TEXTS + _PLACE * number, _PLACE)

    def add_place(self, text: str) -> int:
        """Register a line of the user's; if there are too many, all others are one."""
        number = min(self.numbers[PLACES] + 1, MOST_PLACES - 1)
        self._set_text(PLACE_TEXTS + _PLACE * number, _PLACE, text)
        self.numbers[PLACES] = number
        return number

    def name(self, lane: int) -> str:
        """Name a lane."""
        return self._text(NAME_TEXTS + _NAME * lane, _NAME) or f"lane {lane}"

    def add_name(self, name: str) -> int:
        """Give the lane of that name, a new one if there is none; -1 if there are too many."""
        numbers = self.numbers
        wanted = name.encode("utf-8", "replace")[: _NAME - 1].decode("utf-8", "ignore")
        for lane in range(numbers[NAMES]):
            if self.name(lane) == wanted:
                return lane
        lane = numbers[NAMES]
        if lane >= MOST_LANES:
            return -1
        self._set_text(NAME_TEXTS + _NAME * lane, _NAME, wanted)
        numbers[NAMES] = lane + 1
        return lane

    def see(self, step: int, text: str) -> None:
        """Leave the value that a step saw."""
        self._set_text(SEEN_TEXTS + _SEEN * step, _SEEN, text)

    def seen(self, step: int) -> str:
        """Give the value that a step saw."""
        return self._text(SEEN_TEXTS + _SEEN * step, _SEEN)

    def forget_seen(self, steps: int) -> None:
        """Forget what the first steps saw."""
        for step in range(steps):
            self.bytes[SEEN_TEXTS + _SEEN * step] = 0

    def note_uncontrolled(self, what: str) -> None:
        """Name something that cannot be controlled, once."""
        known = self.uncontrolled()
        if what[:100] not in {one[:100] for one in known} and len(known) < MOST_UNCONTROLLED:
            self._set_text(UNCONTROLLED_TEXTS + _THING * len(known), _THING, what)
            self.numbers[UNCONTROLLED] = len(known) + 1

    def uncontrolled(self) -> list[str]:
        """Give what cannot be controlled."""
        return [
            self._text(UNCONTROLLED_TEXTS + _THING * number, _THING) for number in range(self.numbers[UNCONTROLLED])
        ]

    def close(self) -> None:
        """Let go of the memory; views of it that others hold keep it."""
        with contextlib.suppress(BufferError):
            self.plan.release()
            self.numbers.release()
            self.bytes.release()
            self._map.close()


def short_key(key: str) -> str:
    """Cut a key to what fits, and keep it different from others."""
    raw = key.encode("utf-8", "replace")
    return key if len(raw) < 180 else f"{raw[-160:].decode('utf-8', 'ignore')}#{zlib.crc32(raw):x}"
