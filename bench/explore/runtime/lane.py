"""The runtime of one lane: its points, at which other lanes may run, and what its points tell the scheduler.

For the authors of points (`bench.explore.points`): an instrumented operation looks whether this process is controlled
right now, announces what it is about to do, and then does it for real:

    runtime = control.active
    if runtime is None:                       # outside an exploration, or inside `raw()`
        return original(self)
    number = runtime.object(key, label)       # cache it on the object, where the object lives as long as its key
    runtime.point("send", number)             # other lanes may run here; on return this lane has the baton
    with runtime.raw():
        return original(self)

What is shared and made anew is registered where it is made, also while no lane is controlled:
`if control.registry is not None: number = control.registry.new_object(key, label, counter)`.
"""

from __future__ import annotations

import os
from sys import _getframe

from bench.explore.runtime import control
from bench.explore.runtime import layout as at
from bench.explore.runtime.board import VARIABLE, Board
from bench.explore.runtime.control import Raw
from bench.explore.runtime.handover import Handover
from bench.explore.runtime.packing import READ, placed, word
from bench.explore.runtime.registry import Registry
from bench.explore.runtime.spinning import Spinning

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

# What the fast path reads at each step, as globals: `numbers[at.STEPS]` takes 47 ns more than `numbers[STEPS]` on
# Python 3.10, and 1 to 9 ns more on 3.11 to 3.13; a step takes about 700 ns, and reads a dozen of them.
STEPS, SLOW, CHANGED, ENABLED, LOG = at.STEPS, at.SLOW, at.CHANGED, at.ENABLED, at.LOG
COUNTERS, OWNERS, FIRST_COME, WANTED_AT = at.COUNTERS, at.OWNERS, at.FIRST_COME, at.WANTED_AT

_MOST_AFTER = 1_000
"""Points that a lane may pass on its way out of a schedule that is given up, before each of them throws it out."""

EPOCH_NS = 1_000_000_000_000_000_000
"""What the virtual clock shows at the beginning of a schedule, in nanoseconds: a day in 2001."""

_EPOCH_S = EPOCH_NS / 1e9

_LATE_NS = 1_000
"""How much later than asked for a sleep or a timeout ends, as it does for real: by the clocks, whose readings are
rounded, it must not have been shorter."""


class Runtime(Handover):
    """The runtime of one lane, to be used only while the lane has the baton.

    Attributes:
        detail: whether each step is to record the value that it saw.
        holding: 0 if the lane holds no lock.
        schedule: counts the schedules that this lane took part in.
        places: what a word holds of a position in the code, see `Registry`.
    """

    __slots__ = (
        "_deadline",
        "_finer",
        "_passed",
        "_probe",
        "_read_at",
        "_spinning",
        "detail",
        "holding",
        "places",
        "registry",
        "schedule",
    )

    def __init__(self, board: Board, lane: int) -> None:
        super().__init__(board, lane)
        self.registry = Registry(board, lane)
        control.use_registry(self.registry)
        self.places = self.registry.places
        self.schedule = self._finer = 0
        self._read_at: dict[int, int] = {}
        self._spinning = Spinning(self.numbers)
        self.reset()

    def reset(self) -> None:
        """Forget what belongs to the schedule before."""
        super().reset()
        self.schedule += 1
        self.detail = bool(self.numbers[at.DETAIL])
        self._passed = self._deadline = self.holding = 0
        self._probe: Callable[[], bool] | None = None
        if self._read_at:
            self._read_at.clear()
            self._spinning.reset()
        self.registry.reset()
        if self._finer != self.numbers[at.FINER]:
            self._finer = self.numbers[at.FINER]
            for forget in control.on_finer:
                forget()

    def begin(self) -> bool:
        """Wait for the next schedule, and be controlled from here on; return `False` if there is none."""
        begun = super().begin()
        if begun:
            control.begun = True
            control.activate(self)
        return begun

    # The point.

    def point(self, kind: str, number: int, part: int = -1, wants: int = 0) -> bool:
        """Announce an operation, let others run, and return when this lane may do it.

        Args:
            kind: one of `model.KINDS`.
            number: of the object, from `object()` or `new_object()`; `model.NOTHING`, `model.ANYTHING`.
            part: the part of it, at least 0 and below 2**30 - 1, or `model.WHOLE`.
            wants: the number of an object whose counter must be above 0, or which this lane must own, before the
                operation can be done; 0 if it can always be done.

        Returns:
            Whether it was granted; `False` when the deadline of `set_deadline()` passed instead.

        Raises:
            Abandoned: the schedule is given up; a `BaseException` that the user's code lets through.
        """
        packed = word(kind, number, part)
        if self._deadline or self._probe is not None:
            return self._wait(packed | self.registry.place_of(_getframe(1)), wants)
        return self.arrive(packed, wants, _getframe(1))

    def arrive(self, packed: int, wants: int, frame: FrameType) -> bool:
        """Pass a point: on the fast path, as far as possible.

        The fast path logs a step of this lane without deciding anything, where `decide` could choose no other lane:

        - `SLOW` is 0: no actor is still to be started, no lane yields or must probe first, nothing is given up.
        - The plan has this lane at this step, or `FIRST_COME`. That stands in the plan only while the policy is `on`
          and no lane sleeps, so that `decide` lets the lane go on that took the last step. It is this one: a lane has
          the baton because its step was the last one on the log. Nor is the limit reached, where `DECIDE` stands.
        - The step can be taken now.

        No other lane runs until the step is carried out, since this one keeps the baton. So no other lane's pending
        step changes, and the entry in the log is that of the slow path (a test of the board holds that).

        Args:
            packed: the operation, as `packing.word` packs it.
            wants: as of `point`.
            frame: of the user's line, or of one that it called.
        """
        numbers = self.numbers
        packed |= self.places.get((id(frame.f_code) << 16) + frame.f_lasti) or self.registry.place_of(frame)
        step = numbers[STEPS]
        planned = self.plan[step]
        if (
            numbers[SLOW]
            or (planned != self.lane and planned != FIRST_COME)  # noqa: PLR1714  # twice as fast as `not in`
            or (wants and numbers[COUNTERS + wants] <= 0 and numbers[OWNERS + wants] != self.lane)
        ):
            return self._wait(packed, wants, frame)
        if not packed & READ:
            numbers[CHANGED] = step
        elif numbers[CHANGED] < step - 1:  # a read right after a change is new, and not worth remembering
            if self._read_at.get(packed, -1) > numbers[CHANGED] and self._spins(frame):
                return self._wait(packed, wants)
            self._read_at[packed] = step
        entry = LOG + 2 * step
        numbers[entry] = packed
        numbers[entry + 1] = numbers[ENABLED] | self.bit | wants << WANTED_AT
        numbers[STEPS] = step + 1
        return True

    def forget_read(self, packed: int, frame: FrameType) -> None:
        """Forget that this lane has read something, so that to read it again is no loop."""
        self._read_at.pop(packed | self.registry.place_of(frame), None)

    def announce(self, packed: int, frame: FrameType) -> None:
        """Pass a point at which the lane never yields, as it would keep what it holds; arguments as of `arrive`."""
        self._wait(packed | self.registry.place_of(frame), 0)

    def _spins(self, frame: FrameType) -> bool:
        """Return whether a lane that reads the same again, and nothing changed since, can only go on like that."""
        if not self._spinning.waits(frame):
            return False
        self.numbers[at.YIELDING] |= self.bit
        self.numbers[SLOW] |= at.SOME_YIELD
        return True

    def _wait(self, packed: int, wants: int, frame: FrameType | None = None) -> bool:
        """Announce a step, pass the baton, and return when the step is this lane's; return whether it was granted.

        All that others need to know of the step is on the board before the baton is passed: its word and what it wants
        in the lane's record; in the sets, whether it could be taken (`ENABLED`), and what can change that: a counter
        (`WAITING`), a probe by this process (`PROBING`), the time (`TIMED`). The lane with the baton keeps `ENABLED`
        true as counters change (`set_counter`), and `decide` takes the lane out of all sets as it logs the step. When
        this function goes on, the step is on the log; so what it wants is still there, as no other lane has run since.
        """
        numbers, slot = self.numbers, self._slot
        deadline, probe = self._deadline, self._probe
        self._deadline, self._probe = 0, None
        possible = self._is_possible(wants, probe)
        if self.abandoning:
            self._pass_abandoning(possible=possible)
            return True
        numbers[slot + at.WORD], numbers[slot + at.WANTS], numbers[slot + at.DEADLINE] = packed, wants, deadline
        numbers[slot + at.TIMED_OUT] = 0
        if frame is not None and packed & READ and self._read_at.get(packed, -1) > numbers[CHANGED]:
            self._spins(frame)
        if possible:
            numbers[ENABLED] |= self.bit
        if deadline:  # also if it is possible now: another lane may take what it wants first
            numbers[at.TIMED] |= self.bit
        if probe is not None:
            numbers[at.PROBING] |= self.bit
        elif wants:
            numbers[at.WAITING] |= self.bit
        self._pass_baton(probe)
        if packed & READ:
            self._read_at[packed] = numbers[STEPS] - 1
        return not deadline or self._is_possible(wants, probe)

    def _is_possible(self, wants: int, probe: Callable[[], bool] | None) -> bool:
        if probe is not None:
            return self._passes(probe)
        numbers = self.numbers
        return not wants or numbers[COUNTERS + wants] > 0 or numbers[OWNERS + wants] == self.lane

    def _pass_abandoning(self, *, possible: bool) -> None:
        """Let a lane that is thrown out of the user's code pass the points of its clean-up, as far as they go.

        Raises:
            Abandoned: if it would block there, or does not come to an end.
        """
        self._passed += 1
        if not possible or self._passed > _MOST_AFTER:
            raise control.Abandoned

    # Objects.

    def raw(self) -> Raw:
        """Do instrumented operations without points for the duration of the block: the real operation itself."""
        return Raw()

    def object(self, key: str, label: str, counter: int = 0) -> int:
        """Return the number of a shared object, which is found by its key, or else registered.

        Args:
            key: what all processes know it by: the name of a semaphore, inode and offset, a path.
            label: for people. If the object was labelled before, as an attribute of the state, that one stays.
            counter: its counter at the beginning of each schedule; also now, if it is registered now.
        """
        return self.registry.object(key, label, counter)

    def new_object(self, key: str, label: str, counter: int = 0) -> int:
        """Return the number of an object that this lane has just made, known to all by `key` from now on.

        In each schedule the n-th object that a lane makes under a label has the same number, so that the steps of two
        schedules can be compared: inodes, descriptors and addresses differ. Its counter is set now.
        """
        return self.registry.new_object(key, label, counter)

    def counter(self, number: int) -> int:
        """Return the counter of an object."""
        return self.numbers[COUNTERS + number]

    def set_counter(self, number: int, value: int) -> None:
        """Set the counter of an object; lanes that want the object can run while it is above zero."""
        numbers = self.numbers
        before = numbers[COUNTERS + number]
        numbers[COUNTERS + number] = value
        if numbers[at.WAITING] and (before > 0) is not (value > 0):
            self._enable_waiting(number, possible=value > 0)

    def add_to_counter(self, number: int, by: int) -> int:
        """Add to the counter of an object, and return what it is then."""
        value: int = self.numbers[COUNTERS + number] + by
        self.set_counter(number, value)
        return value

    def _enable_waiting(self, number: int, *, possible: bool) -> None:
        """Note of the lanes that want an object whether their steps can be taken."""
        numbers = self.numbers
        waiting, lane, slot = numbers[at.WAITING], 0, at.LANES
        while waiting:
            if waiting & 1 and numbers[slot + at.WANTS] == number:
                if possible or numbers[OWNERS + number] == lane:
                    numbers[ENABLED] |= 1 << lane
                elif not numbers[slot + at.TIMED_OUT]:
                    numbers[ENABLED] &= ~(1 << lane)
            waiting >>= 1
            lane += 1
            slot += at.LANE

    def probe(self, number: int, ask: Callable[[], bool]) -> None:  # noqa: ARG002  # read with the point that follows
        """Let the next `point(..., wants=number)` of this lane be enabled by probing the real thing.

        Args:
            number: the object; its counter is not looked at.
            ask: returns whether the operation would not block. It is called in this process, raw, now and whenever
                `number` is marked dirty while this lane waits. Forgotten after that point.
        """
        self._probe = ask

    def mark_changed(self) -> None:
        """Note that the step just taken changed something after all, though it was announced as one that does not."""
        numbers = self.numbers
        numbers[CHANGED] = numbers[STEPS] - 1
        numbers[at.YIELDING] = 0
        numbers[SLOW] &= ~at.SOME_YIELD

    # Time.

    def set_deadline(self, time_s: float) -> None:
        """Let the next `point()` of this lane also end when the virtual clock is at `time_s`, as `now()` returns it."""
        self._deadline = max(1, round((time_s - _EPOCH_S) * 1e9) + _LATE_NS)

    def now(self) -> float:
        """Return the virtual time: seconds since the beginning of the schedule, plus a fixed epoch."""
        self.numbers[at.CLOCK_READ] = 1
        return _EPOCH_S + self.numbers[at.CLOCK] / 1e9

    def now_ns(self) -> int:
        """Return what `now` does, in whole nanoseconds."""
        self.numbers[at.CLOCK_READ] = 1
        return EPOCH_NS + self.numbers[at.CLOCK]

    def sleep(self, seconds: float) -> None:
        """Take a step `sleep`, which can be taken when the virtual time has passed."""
        self._deadline = self.numbers[at.CLOCK] + max(1, round(seconds * 1e9)) + _LATE_NS
        self.point("sleep", 0, wants=at.NEVER)

    # Lanes.

    def add_feeder(self, key: str, feed: Callable[[], None], number: int, wants: int) -> int:
        """Add a lane for the feeder of a queue, hosted by this process, and return its number.

        A feeder that waits for more to feed is no reason for a schedule to go on, nor for a deadlock. Called again with
        the same key, as each `put` may, this changes nothing but `feed`.

        Args:
            key: the name of the lane.
            feed: takes a step of the feeder; called in this process, raw, with `runtime.lane` being the feeder's. It
                should lower the counter of `wants`.
            number: the object of the steps `feed`.
            wants: the object whose counter is above zero while there is something to feed.
        """
        lane = self.registry.lane(key)
        self._feeds[lane] = feed
        if not self.numbers[at.FEEDERS] >> lane & 1:
            self.numbers[at.FEEDERS] |= 1 << lane
            record = self.board.lane(lane)
            record.host, record.pid = self.lane, os.getpid()
            self._announce(lane, word("feed", number) | placed(0, lane), wants)
        return lane

    def add_lane(self, name: str, number: int) -> int:
        """Add a lane for a process that is about to be started, and return its number.

        Its pending step is `begin` on the object `number`. The child calls `enter(lane)` before anything else, which
        waits for the baton. The lane that starts the process notes its pid by `set_pid`, so that it can be killed
        before it has come that far.
        """
        lane = self.registry.lane(name)
        self.numbers[at.PRESENT] |= 1 << lane
        self.board.lane(lane).host = lane
        self._announce(lane, word("begin", number) | placed(0, lane), 0)
        return lane

    def set_pid(self, lane: int, pid: int) -> None:
        """Note the process of a lane."""
        self.board.lane(lane).pid = pid

    # What people are told.

    def note_value(self, text: str) -> None:
        """Record the value that the step just taken saw; to be called only if `detail` is set."""
        self.board.set_value(self.numbers[STEPS] - 1, text)

    def note_uncontrolled(self, what: str) -> None:
        """Note something that cannot be controlled: the verdict will be `unknown`."""
        self.board.note_uncontrolled(what)


def enter(lane: int) -> Runtime:
    """Become a lane that `add_lane` has announced, in a process that was just started, and wait for the baton.

    Raises:
        Abandoned: the schedule was given up meanwhile; this lane has left, and its process should end.
    """
    inherited = control.registry
    board = inherited.board if inherited is not None else Board(os.environ[VARIABLE])
    runtime = Runtime(board, lane)
    try:
        runtime._await()
    except control.Abandoned:
        runtime.leave()
        raise
    control.begun = True
    control.activate(runtime)
    return runtime
