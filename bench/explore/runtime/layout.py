"""The layout of the board: one table of its fields, and the offsets that follow from it.

Each field is declared once, by its name, a line of meaning and how many entries it has; the constant of that name is
its offset. There are four areas, which follow each other in the file:

- `schedule`: numbers of 64 bits that are reset before each schedule.
- `lane`: the cells of one lane's record, relative to its beginning; the records are the field `LANES` of `schedule`.
- `exploration`: numbers that stay from schedule to schedule.
- `bytes`: the plan, and texts.

A set of lanes is a number with a bit for each. This module is imported as `at` everywhere: `numbers[at.STEPS]`. Each
controlled process imports it, so it needs nothing but `bench.explore.model`.
"""

from __future__ import annotations

from bench.explore import model

MOST_LANES = model.MOST_LANES
MOST_OBJECTS = 1024
MOST_PLACES = 1024
MOST_STEPS = 100_000
MOST_CHANGES = 16
MOST_UNCONTROLLED = 32
SEMAPHORE = 8
"""Numbers that a `sem_t` has room in, and a cache line of its own; it takes 16 or 32 bytes on Linux."""


class Field:
    """A row of the table.

    `offset`, and `size`, the length of one entry, are in numbers; in the area `bytes` they are in bytes.
    """

    __slots__ = ("area", "count", "meaning", "name", "offset", "size")

    def __init__(self, area: str, name: str, offset: int, count: int, size: int, meaning: str) -> None:
        self.area, self.name, self.offset, self.count, self.size = area, name, offset, count, size
        self.meaning = meaning


TABLE: list[Field] = []
"""All fields, in the order of their declaration."""


class _Area:
    """Assigns the offsets of one area, one behind the other, and adds each field to the table."""

    __slots__ = ("end", "name")

    def __init__(self, name: str, start: int = 0) -> None:
        self.name, self.end = name, start

    def __call__(self, name: str, meaning: str, count: int = 1, size: int = 1) -> int:
        offset = self.end
        self.end += count * size
        TABLE.append(Field(self.name, name, offset, count, size, meaning))
        return offset


_schedule = _Area("schedule")
STEPS = _schedule("STEPS", "steps taken")
END = _schedule("END", "how the schedule ended, as an index of ENDS; 0 while it goes on")
SLOW = _schedule("SLOW", "reasons (STARTING, ...) for which no step may be taken on the fast path; 0 if there is none")
GONE = _schedule("GONE", "lanes whose process was killed by a step of another lane")
EXITED = _schedule("EXITED", "actors that have ended their process, and well")
LIMIT = _schedule("LIMIT", "steps after which the schedule is ended")
PLANNED = _schedule("PLANNED", "steps that the plan dictates")
ENABLED = _schedule("ENABLED", "lanes that wait for the baton and whose pending step could be taken")
WAITING = _schedule("WAITING", "lanes that wait for the baton and whose pending step wants a counter above 0")
PRESENT = _schedule("PRESENT", "lanes that have not left; a feeder is one only while it is blocked")
ASLEEP = _schedule("ASLEEP", "the sleep set: lanes that do not run until a step depends on their pending one")
YIELDING = _schedule("YIELDING", "lanes in a loop that only a step of another lane can end")
DIRTY = _schedule("DIRTY", "lanes that have to probe again what they wait for, before anything is decided")
TIMED = _schedule("TIMED", "lanes whose pending step has a deadline")
CLOCK = _schedule("CLOCK", "virtual time: ns since the beginning of the schedule")
CHANGED = _schedule("CHANGED", "the last step that changed anything, or -1")
STARTED = _schedule("STARTED", "actors that have been started")
POLICY = _schedule("POLICY", "which lane runs where the plan does not say, as an index of POLICIES")
RANDOM = _schedule("RANDOM", "state of the generator of the policy random")
LOWEST = _schedule("LOWEST", "the lowest priority that the policy pct has assigned")
CLOCK_READ = _schedule("CLOCK_READ", "1 once a lane has read the clock")
PROBING = _schedule("PROBING", "lanes that wait for something that only their own process can probe")
FEEDERS = _schedule("FEEDERS", "lanes of the feeders of this schedule")
PATIENCE = _schedule("PATIENCE", "until when what is outside of the lanes is waited for: real ns; -1 no longer")
CHANGES = _schedule("CHANGES", "the policy pct's changes of priority: how many, then their steps", 1 + MOST_CHANGES)

_lane = _Area("lane")
WORD = _lane("WORD", "the pending step, packed")
WANTS = _lane("WANTS", "the object whose counter the pending step wants above 0, or 0")
COMMAND = _lane("COMMAND", "what the lane is woken for: GO, ..., with another lane from bit 8 on")
DEADLINE = _lane("DEADLINE", "the virtual time until which the pending step waits; 0 for ever")
TIMED_OUT = _lane("TIMED_OUT", "1 once the deadline has passed")
PRIORITY = _lane("PRIORITY", "the priority that the policy pct has given the lane")
RAISED = _lane("RAISED", "what the actor raised, by a number of its own; -1 if it returned a value; 0 for a good end")
SPOILED = _lane("SPOILED", "1 once the lane has closed something that belongs to the state")
BLOCKER = _lane("BLOCKER", "the process whose record lock the pending step waits for, as it last probed; 0 for none")
LANE = _lane.end
"""Numbers of a lane's record."""

LANES = _schedule("LANES", "the records of the lanes", MOST_LANES, LANE)
RESET = _schedule.end
"""Numbers that are reset before each schedule."""

_exploration = _Area("exploration", RESET)
ACTORS = _exploration("ACTORS", "lanes that are there from the start of each schedule")
OBJECTS = _exploration("OBJECTS", "objects registered, with object 0, which is none")
PLACES = _exploration("PLACES", "lines of code registered")
VERSION = _exploration("VERSION", "changes whenever an object gets another key")
FINER = _exploration("FINER", "changes whenever the steps on an object have to become finer")
DETAIL = _exploration("DETAIL", "1 if each step is to record the value that it saw")
UNCONTROLLED = _exploration("UNCONTROLLED", "things noted that cannot be controlled")
DRAWN = _exploration("DRAWN", "1 once chance of the system was asked for")
CHANCE = _exploration("CHANCE", "which chance there is: 0 for that of the seed, others to compare with it")
OUTSIDERS = _exploration("OUTSIDERS", "1 once something runs that could end a wait, and is no lane")
NAMED_LANES = _exploration("NAMED_LANES", "lanes that have a name")
AUDIT = _exploration(
    "AUDIT", "the process that traces those started from now on; -1: they note events alone; 0: nothing"
)
NEW_LINES = _exploration("NEW_LINES", "how many of the user's lines were run in some process for the first time")
AUDIT_CUT = _exploration(
    "AUDIT_CUT", "why a process is not audited to its end, or not from its beginning: TOO_MANY_CALLS, NOT_IN_TIME"
)
TRACED = _exploration(
    "TRACED", "by lane, whether its process is traced: ASKS, TRACES, LEAVES, or an error below 0", MOST_LANES
)
MEMORY = _exploration(
    "MEMORY", "by lane, whether its process can reach shared memory now: CLOSED, OPEN or FREE", MOST_LANES
)
MAPPED = _exploration(
    "MAPPED", "by lane, how many times its process has mapped shared memory, or unmapped any", MOST_LANES
)
WHERE = _exploration("WHERE", "by lane, where its process is, as `audit.calls` numbers that", MOST_LANES)
HOSTS = _exploration("HOSTS", "by lane, the lane in whose process it runs: its own, but for feeders", MOST_LANES)
PIDS = _exploration("PIDS", "by lane, its process", MOST_LANES)
COUNTERS = _exploration("COUNTERS", "by object, its counter: above 0 where a step that wants it can go", MOST_OBJECTS)
OWNERS = _exploration("OWNERS", "by object, the lane that may go whatever its counter (recursive locks)", MOST_OBJECTS)
HOLDERS = _exploration("HOLDERS", "by object, the lane that holds it: for the story of a deadlock", MOST_OBJECTS)
GRAINS = _exploration("GRAINS", "by object, how lanes use it: the bits COARSE, APART, SPLIT, LOOKED", MOST_OBJECTS)
INITIAL_COUNTERS = _exploration("INITIAL_COUNTERS", "by object, its counter as a schedule begins", MOST_OBJECTS)
SEMAPHORES = _exploration("SEMAPHORES", "by lane, then the exploring process, its semaphore", MOST_LANES + 1, SEMAPHORE)
LOG = _exploration("LOG", "by step, its word with the lane; then the lanes enabled, with what it wanted", MOST_STEPS, 2)
NUMBERS = _exploration.end
"""Numbers of the board."""

KEY_SIZE, ORIGIN_SIZE, LABEL_SIZE, PLACE_SIZE, NAME_SIZE, VALUE_SIZE, UNCONTROLLED_SIZE = 192, 64, 256, 256, 64, 64, 256
CALL_SIZE = 384
"""Bytes of one text of each kind, with the zero byte at its end."""

_bytes = _Area("bytes", 8 * NUMBERS)
PLAN = _bytes("PLAN", "by step, the lane that takes it, a kill (below 0), FIRST_COME or DECIDE", MOST_STEPS)
KEYS = _bytes("KEYS", "by object, the key that all processes know it by", MOST_OBJECTS, KEY_SIZE)
ORIGINS = _bytes("ORIGINS", "by object, the lane that made it, and as which of its objects", MOST_OBJECTS, ORIGIN_SIZE)
LABELS = _bytes("LABELS", "by object, its name for people", MOST_OBJECTS, LABEL_SIZE)
LINES = _bytes("LINES", "by place, file:line", MOST_PLACES, PLACE_SIZE)
NAMES = _bytes("NAMES", "by lane, its name", MOST_LANES, NAME_SIZE)
VALUES = _bytes("VALUES", "by step, the value that it saw", MOST_STEPS, VALUE_SIZE)
NOTES = _bytes("NOTES", "what cannot be controlled", MOST_UNCONTROLLED, UNCONTROLLED_SIZE)
CALLS = _bytes("CALLS", "by lane, the function that it calls, a line break, and the user's line", MOST_LANES, CALL_SIZE)
SIZE = _bytes.end
"""Bytes of the file."""

COORDINATOR = MOST_LANES
"""The number of the semaphore that the exploring process waits for."""

STARTING, SOME_YIELD, ABANDONED, SOME_DIRTY = 1, 2, 4, 8
"""Bits of `SLOW`: actors are still to be started; a lane yields; the schedule is given up; a lane is dirty."""

TOO_MANY_CALLS, NOT_IN_TIME = 1, 2
"""Bits of `AUDIT_CUT`: a process has made too many calls; the tracer did not come to it in time."""

ASKS, TRACES, LEAVES = 1, 2, 3
"""Of a process that is to be traced: it waits for that; it is; it shall be no more."""

FREE, OPEN, CLOSED = range(3)
"""Of the shared memory of a process: it is not audited; it can be reached now, in a point; it cannot."""

ENDS = ("", "done", "stuck", "limit", "asleep", "diverged", "died", "uncontrolled")
DONE, STUCK, OVER_LIMIT, ALL_ASLEEP, DIVERGED, DIED, OUT_OF_CONTROL = range(1, 8)
POLICIES = ("on", "random", "pct")

FIRST_COME = 100
"""In the plan, behind the last step that it dictates: the lane that comes to this step takes it, if it can be taken."""

DECIDE = 101
"""In the plan: the scheduler has to decide which lane takes this step."""

GO, BEGIN, ABANDON, FEED, PROBE, QUIT, SEND_STACK, REAP, BURY = range(9)
"""Commands: take your step; begin a schedule; leave the one that is given up; take a step of the feeder that you host;
probe what you wait for; end; send where you wait; wait for the end of the process of a lane that has left; wait for
the end of a process that is ending while nobody else goes on, then decide."""

COARSE, APART, SPLIT, LOOKED = 1, 2, 4, 8
"""Bits of `GRAINS`: lanes do in one step what takes several; a lane does what tells these apart; no lane does the
former, whatever the latter; to look whether a release is one too many is a step of its own."""

NEVER = MOST_OBJECTS - 1
"""The number of an object whose counter stays 0: what a lane wants that waits for a time alone."""

WANTED_AT = 32
"""In the second number of a log entry: from this bit on, what the step wanted; below it, the lanes enabled."""


def table() -> list[tuple[str, str, int, int, str]]:
    """Return the table for a document: of each field its area, name, offset, how many numbers or bytes, meaning."""
    return [(one.area, one.name, one.offset, one.count * one.size, one.meaning) for one in TABLE]
