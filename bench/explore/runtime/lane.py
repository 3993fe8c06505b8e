"""The runtime in each process of an exploration: one lane runs at a time, and at each point it decides who is next.

For the authors of points (`bench.explore.points`): an instrumented operation looks whether this process is controlled
right now, announces what it is about to do, and then does it for real:

    runtime = control.active
    if runtime is None:                       # outside an exploration, or inside `raw()`
        return original(self)
    number = runtime.object(key, label)       # cache it on the object, where the object lives as long as its key
    runtime.point("send", number)             # others may run here; when it returns, this lane has the baton
    with runtime.raw():
        return original(self)

What is shared and made anew is registered where it is made, also while no lane is controlled:
`if control.registry is not None: number = control.registry.made(key, label, counter)`.
"""

from __future__ import annotations

import os
import signal
from sys import _getframe

from bench.explore.runtime import control
from bench.explore.runtime import layout as at
from bench.explore.runtime.board import VARIABLE, Board
from bench.explore.runtime.control import Raw
from bench.explore.runtime.packing import READ, placed, word
from bench.explore.runtime.registry import Registry
from bench.explore.runtime.scheduler import ASK, OVER, decide
from bench.explore.runtime.spinning import snapshot
from bench.process.ended import wait_for_end

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

# What the fast path reads at each step, as globals: `numbers[at.STEPS]` takes 47 ns more than `numbers[STEPS]` on
# Python 3.10, and 1 to 9 ns more on 3.11 to 3.13; a step takes about 700 ns, and reads a dozen of them.
STEPS, SLOW, CHANGED, ENABLED, LOG = at.STEPS, at.SLOW, at.CHANGED, at.ENABLED, at.LOG
COUNTERS, OWNERS, FIRST_COME, WANTED_AT = at.COUNTERS, at.OWNERS, at.FIRST_COME, at.WANTED_AT

_MOST_AFTER = 1_000
"""Points that a lane may pass on its way out of a schedule that is given up, before it is thrown out of each."""

_EPOCH_S = 1_000_000_000.0
"""What the virtual clock shows at the beginning of a schedule, in seconds."""


class Runtime:
    """The runtime of one lane; to be used by the one that has the baton only.

    `detail` tells whether each step shall leave the text of the value it saw; `tell` is called where the lane waits and
    is to say where; `abandoning` tells that the lane is on its way out of a schedule that was given up; `holding` is 0
    if it holds no lock; `schedule` counts those that this lane took part in; `reap` is called with a lane whose process
    is about to end, and is to wait until it has.
    """

    __slots__ = (
        "_after",
        "_ask",
        "_feeds",
        "_looked",
        "_read_at",
        "_semaphore",
        "_slot",
        "_until",
        "abandoning",
        "bit",
        "board",
        "detail",
        "holding",
        "lane",
        "numbers",
        "places",
        "plan",
        "reap",
        "registry",
        "schedule",
        "tell",
    )

    def __init__(self, board: Board, lane: int) -> None:
        self.board, self.lane, self.bit = board, lane, 1 << lane
        self.numbers, self.plan = board.numbers, board.plan
        self.registry = Registry(board, lane)
        control.use_registry(self.registry)
        self.places = self.registry.places
        self.tell: Callable[[], None] | None = None
        self.reap: Callable[[int], None] | None = None
        self.schedule = 0
        self._feeds: dict[int, Callable[[], None]] = {}
        self._read_at: dict[int, int] = {}
        self._looked: dict[int, object] = {}
        self._semaphore = board.semaphore(lane)
        self._slot = at.LANES + lane * at.LANE
        self.numbers[at.PIDS + lane] = os.getpid()
        self.fresh()

    def fresh(self) -> None:
        """Forget what belongs to the schedule before."""
        self.schedule += 1
        self.detail = bool(self.numbers[at.DETAIL])
        self.abandoning = False
        self._after = self._until = self.holding = 0
        self._ask: Callable[[], bool] | None = None
        if self._read_at:
            self._read_at.clear()
            self._looked.clear()
        self.registry.fresh()

    # The point.

    def point(self, kind: str, number: int, part: int = -1, wants: int = 0) -> bool:
        """Announce an operation, let others run, and return when this lane may do it.

        Args:
            kind: one of `steps.KINDS`.
            number: of the object, from `object()` or `made()`; `steps.NOTHING`, `steps.ANYTHING`.
            part: the part of it, at least 0 and below 2**30 - 1, or `steps.WHOLE`.
            wants: the number of an object whose counter must be above 0, or which this lane must own, before the
                operation can be done; 0 if it can always be done.

        Returns:
            Whether it was granted; `False` when the time of `timeout()` passed instead.

        Raises:
            Abandoned: the schedule is given up; a `BaseException` that the user's code lets through.
        """
        packed = word(kind, number, part)
        if self._until or self._ask is not None:
            return self._wait(packed | self.registry.place_of(_getframe(1)), wants)
        return self.arrive(packed, wants, _getframe(1))

    def arrive(self, packed: int, wants: int, frame: FrameType) -> bool:
        """Pass a point: the short way, as far as possible.

        Args:
            packed: the operation, as `board.word` packs it.
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
        elif numbers[CHANGED] < step - 1:
            if self._read_at.get(packed, -1) > numbers[CHANGED] and self._spins(packed, frame):
                return self._wait(packed, wants)
            self._read_at[packed] = step
        entry = LOG + 2 * step
        numbers[entry] = packed
        numbers[entry + 1] = numbers[ENABLED] | self.bit | wants << WANTED_AT
        numbers[STEPS] = step + 1
        return True

    def _spins(self, packed: int, frame: FrameType) -> bool:
        """Tell whether a lane that reads the same again, and nothing changed since, can only go on like that."""
        before, now = self._looked.get(packed), (self.numbers[CHANGED], snapshot(frame))
        self._looked[packed] = now
        if before != now or now[1] is None:
            return False
        self.numbers[at.YIELDING] |= self.bit
        self.numbers[SLOW] |= at.SOME_YIELD
        return True

    def _wait(self, packed: int, wants: int, frame: FrameType | None = None) -> bool:
        """Announce a step, hand the baton on, and wait until the step is this lane's; tell whether it was granted."""
        numbers, slot = self.numbers, self._slot
        until, ask = self._until, self._ask
        self._until, self._ask = 0, None
        free = self._free(wants, ask)
        if self.abandoning:
            self._after += 1
            if not free or self._after > _MOST_AFTER:
                raise control.Abandoned
            return True
        numbers[slot + at.WORD], numbers[slot + at.WANTS], numbers[slot + at.DEADLINE] = packed, wants, until
        numbers[slot + at.TIMED_OUT] = 0
        if frame is not None and packed & READ and self._read_at.get(packed, -1) > numbers[CHANGED]:
            self._spins(packed, frame)
        if free:
            numbers[ENABLED] |= self.bit
        if until:  # also if it is free: somebody else may take it first
            numbers[at.TIMED] |= self.bit
        if ask is not None:
            numbers[at.PROBING] |= self.bit
        elif wants:
            numbers[at.WAITING] |= self.bit
        self._hand_on(ask)
        if packed & READ:
            self._read_at[packed] = numbers[STEPS] - 1
        return not until or self._free(wants, ask)

    def _free(self, wants: int, ask: Callable[[], bool] | None) -> bool:
        if ask is not None:
            with Raw():
                return ask()
        numbers = self.numbers
        return not wants or numbers[COUNTERS + wants] > 0 or numbers[OWNERS + wants] == self.lane

    # Handing on, and being woken.

    def _hand_on(self, ask: Callable[[], bool] | None) -> None:
        mine = self._start_next() if self.numbers[SLOW] & at.STARTING else self._go_on(ask)
        self._await(ask, mine=mine)

    def _await(self, ask: Callable[[], bool] | None = None, *, mine: bool = False) -> None:
        """Wait until the baton is handed to this lane for its own step."""
        numbers, slot, wait = self.numbers, self._slot, self._semaphore.acquire
        while not mine:
            wait()
            command = numbers[slot + at.COMMAND]
            if not command:
                return
            numbers[slot + at.COMMAND] = at.GO
            mine = self._obey(command, ask)

    def _obey(self, command: int, ask: Callable[[], bool] | None) -> bool:
        """Do what a lane that waits was woken for; tell whether it may then go on with its own step."""
        kind = command & 255
        if kind == at.ABANDON:
            self.abandoning = True
            raise control.Abandoned
        if kind == at.SEND_STACK:
            if self.tell is not None:
                with Raw():
                    self.tell()
            self.board.semaphore(at.COORDINATOR).release()
            return False
        if kind == at.FEED:
            self._feed(command >> 8)
        if kind == at.REAP and self.reap is not None:
            with Raw():
                self.reap(command >> 8)
        return self._go_on(ask)

    def _go_on(self, ask: Callable[[], bool] | None) -> bool:
        """Decide who is next, and hand the baton on, unless it stays here; tell whether it does."""
        numbers, dies = self.numbers, False
        while True:
            chosen = decide(numbers, self.plan)
            if chosen == self.lane:
                return True
            if chosen <= OVER:
                return self._wake(at.COORDINATOR, at.GO, dies=dies)
            if chosen < 0:
                dies |= self._kill(-1 - chosen)
            elif chosen >= ASK:
                if chosen != ASK + self.lane:
                    return self._wake(chosen - ASK, at.PROBE, dies=dies)
                self._look(ask)
            elif (host := numbers[at.HOSTS + chosen]) == self.lane:
                self._feed(chosen)
            else:
                return self._wake(host, at.FEED | chosen << 8 if host != chosen else at.GO, dies=dies)

    def _wake(self, lane: int, command: int, *, dies: bool = False) -> bool:
        if command:
            self.numbers[at.LANES + lane * at.LANE + at.COMMAND] = command
        self.board.semaphore(lane).release()
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)
        return False

    def _kill(self, lane: int) -> bool:
        """Kill a lane's process; if it is this one, say so, since the baton has to be handed on first."""
        host = self.numbers[at.HOSTS + lane]
        if host == self.lane:
            return True
        os.kill(self.numbers[at.PIDS + host], signal.SIGKILL)
        with Raw():
            wait_for_end(self.numbers[at.PIDS + host])
        self.dirty(None)
        return False

    def _look(self, ask: Callable[[], bool] | None) -> None:
        """Look again whether what this lane waits for has come."""
        numbers = self.numbers
        if ask is not None and self._free(0, ask):
            numbers[ENABLED] |= self.bit
        elif not numbers[self._slot + at.TIMED_OUT]:
            numbers[ENABLED] &= ~self.bit
        numbers[at.DIRTY] &= ~self.bit
        if not numbers[at.DIRTY]:
            numbers[SLOW] &= ~at.SOME_DIRTY

    def _start_next(self) -> bool:
        """Have the next actor run to its first point; after the last one, decide."""
        numbers = self.numbers
        numbers[at.STARTED] += 1
        if (started := numbers[at.STARTED]) < numbers[at.ACTORS]:
            return self._wake(started, at.BEGIN)
        numbers[SLOW] &= ~at.STARTING
        return self._go_on(None)

    # Between schedules.

    def begin(self) -> bool:
        """Wait for the next schedule, and be controlled from here on; `False` if there is none."""
        numbers, command_at, wait = self.numbers, self._slot + at.COMMAND, self._semaphore.acquire
        while True:
            wait()
            command = numbers[command_at]
            numbers[command_at] = at.GO
            kind = command & 255
            if kind == at.BEGIN:
                self.fresh()
                control.activate(self)
                return True
            if kind == at.QUIT:
                return False
            if kind == at.FEED:
                self._feed(command >> 8)
                self._go_on(None)
            elif kind in (at.ABANDON, at.SEND_STACK):  # it was through already
                self.board.semaphore(at.COORDINATOR).release()

    def stop(self) -> None:
        """Be controlled no more, but keep the baton."""
        control.activate(None)

    def leave(self) -> None:
        """Be through: hand the baton on for good. What this lane does from now on is not controlled."""
        control.activate(None)
        numbers = self.numbers
        numbers[at.PRESENT] &= ~self.bit
        if self.abandoning:
            self.board.semaphore(at.COORDINATOR).release()
        elif numbers[SLOW] & at.STARTING:
            self._start_next()
        else:
            self._go_on(None)

    def end(self, parent: int) -> None:
        """Be through, in a process that is about to end: who started it goes on when it really has ended."""
        control.activate(None)
        numbers = self.numbers
        if self.abandoning or not numbers[at.PRESENT] >> parent & 1:
            self.leave()
        else:
            numbers[at.PRESENT] &= ~self.bit
            self._wake(parent, at.REAP | self.lane << 8)

    # Objects.

    def raw(self) -> Raw:
        """Do instrumented operations without points for the duration of the block: the real operation itself."""
        return Raw()

    def object(self, key: str, label: str, counter: int = 0) -> int:
        """Give the number of a shared object, which is found, or else registered, by its key.

        Args:
            key: what all processes know it by: the name of a semaphore, inode and offset, a path.
            label: for people. If the object was labelled before, as an attribute of the state, that one stays.
            counter: its counter at the beginning of each schedule; also now, if it is registered now.
        """
        return self.registry.object(key, label, counter)

    def made(self, key: str, label: str, counter: int = 0) -> int:
        """Give the number of an object that this lane has just made, known to all by `key` from now on.

        The same number in each schedule in which this lane makes its n-th object, whatever its key then is, so that
        schedules can be compared: inodes, descriptors and addresses differ. Its counter is set now.
        """
        return self.registry.made(key, label, counter)

    def counter(self, number: int) -> int:
        """Give the counter of an object."""
        return self.numbers[COUNTERS + number]

    def set_counter(self, number: int, value: int) -> None:
        """Set it; lanes that want the object can run while it is above zero."""
        numbers = self.numbers
        before = numbers[COUNTERS + number]
        numbers[COUNTERS + number] = value
        if numbers[at.WAITING] and (before > 0) is not (value > 0):
            self._allow(number, may=value > 0)

    def add(self, number: int, by: int) -> int:
        """Add to it, and give what it is then."""
        value: int = self.numbers[COUNTERS + number] + by
        self.set_counter(number, value)
        return value

    def _allow(self, number: int, *, may: bool) -> None:
        """Say of those who want an object whether they can run."""
        numbers = self.numbers
        waiting, lane, slot = numbers[at.WAITING], 0, at.LANES
        while waiting:
            if waiting & 1 and numbers[slot + at.WANTS] == number:
                if may or numbers[OWNERS + number] == lane:
                    numbers[ENABLED] |= 1 << lane
                elif not numbers[slot + at.TIMED_OUT]:
                    numbers[ENABLED] &= ~(1 << lane)
            waiting >>= 1
            lane += 1
            slot += at.LANE

    def owner(self, number: int) -> int:
        """Give the lane that may go on although the counter is zero (a recursive lock), or -1."""
        return self.numbers[OWNERS + number]

    def set_owner(self, number: int, lane: int) -> None:
        """Set it; -1 for nobody."""
        self.numbers[OWNERS + number] = lane

    def held_by(self, number: int, lane: int) -> None:
        """Note who holds an object, or -1: only for the story of a deadlock."""
        self.numbers[at.HOLDERS + number] = lane

    def probe(self, number: int, ask: Callable[[], bool]) -> None:  # noqa: ARG002  # read with the point that follows
        """Let the next `point(..., wants=number)` of this lane be enabled by asking the real thing.

        `ask` is called in this process, raw, now and whenever `number` is dirty while this lane waits; `True` when
        the operation would not block. The counter of `number` is not looked at. Forgotten after that point.
        """
        self._ask = ask

    def dirty(self, number: int | None) -> None:
        """Say that something happened to an object that others may probe; `None`: to any (a process ended)."""
        numbers = self.numbers
        probing: int = numbers[at.PROBING]
        for lane in range(at.MOST_LANES) if probing else ():
            if probing >> lane & 1 and number in (None, numbers[at.LANES + lane * at.LANE + at.WANTS]):
                numbers[at.DIRTY] |= 1 << lane
                numbers[SLOW] |= at.SOME_DIRTY

    def changed(self) -> None:
        """Say that the step just taken changed something after all, though it was announced as one that does not."""
        numbers = self.numbers
        numbers[CHANGED] = numbers[STEPS] - 1
        numbers[at.YIELDING] = 0
        numbers[SLOW] &= ~at.SOME_YIELD

    # Time.

    def timeout(self, at: float) -> None:
        """Let the next `point()` of this lane also end when the virtual clock is at `at`, as `now()` tells it."""
        self._until = max(1, round((at - _EPOCH_S) * 1e9))

    def now(self) -> float:
        """Give the virtual time: seconds since the beginning of the schedule, plus a fixed epoch."""
        self.numbers[at.CLOCK_READ] = 1
        return _EPOCH_S + self.numbers[at.CLOCK] / 1e9

    def sleep(self, seconds: float) -> None:
        """Take a step `sleep`, which can be taken when the virtual time has passed."""
        self._until = self.numbers[at.CLOCK] + max(1, round(seconds * 1e9))
        self.point("sleep", 0, wants=at.NEVER)

    # Lanes.

    def feeder(self, key: str, feed: Callable[[], None], number: int, wants: int) -> int:
        """Have a lane for the feeder of a queue, hosted by this process; give its number.

        Whenever the counter of `wants` is above zero it can take a step `feed` on the object `number`: `feed` is called
        in this process, raw, with `runtime.lane` being the feeder's; it should lower that counter. Called again with
        the same key, as each `put` may, it changes nothing but `feed`. A feeder that waits for more to feed is no
        reason for a schedule to go on, nor for a deadlock.
        """
        numbers = self.numbers
        lane = self.registry.lane(key)
        self._feeds[lane] = feed
        if not numbers[at.FEEDERS] >> lane & 1:
            numbers[at.FEEDERS] |= 1 << lane
            numbers[at.HOSTS + lane] = self.lane
            numbers[at.PIDS + lane] = os.getpid()
            self._offer(lane, word("feed", number) | placed(0, lane), wants)
        return lane

    def _offer(self, lane: int, packed: int, wants: int) -> None:
        """Announce a step of another lane."""
        numbers, slot = self.numbers, at.LANES + lane * at.LANE
        numbers[slot + at.WORD], numbers[slot + at.WANTS] = packed, wants
        numbers[slot + at.DEADLINE] = numbers[slot + at.TIMED_OUT] = 0
        if wants:
            numbers[at.WAITING] |= 1 << lane
        if not wants or numbers[COUNTERS + wants] > 0:
            numbers[ENABLED] |= 1 << lane

    def _feed(self, lane: int) -> None:
        slot, mine = at.LANES + lane * at.LANE, self.lane
        packed, wants = self.numbers[slot + at.WORD], self.numbers[slot + at.WANTS]
        with Raw():
            self.lane = lane
            try:
                self._feeds[lane]()
            finally:
                self.lane = mine
        self._offer(lane, packed, wants)

    def new_lane(self, name: str, number: int) -> int:
        """Have a lane for a process that is about to be started; what it does next is `begin` on the object `number`.

        The child calls `enter(lane)` before anything else, which waits for the baton. Whoever starts the process
        notes its pid by `set_pid`, so that it can be killed before it has come that far.
        """
        lane = self.registry.lane(name)
        numbers = self.numbers
        numbers[at.PRESENT] |= 1 << lane
        numbers[at.HOSTS + lane] = lane
        self._offer(lane, word("begin", number) | placed(0, lane), 0)
        return lane

    def set_pid(self, lane: int, pid: int) -> None:
        """Note the process of a lane."""
        self.numbers[at.PIDS + lane] = pid

    def ended(self, lane: int) -> bool:
        """Tell whether a lane has left, or its process died."""
        return not self.numbers[at.PRESENT] >> lane & 1

    # What is told.

    def saw(self, text: str) -> None:
        """Leave the value that the step just taken saw; to be called if `detail` only."""
        self.board.set_value(self.numbers[STEPS] - 1, text)

    def uncontrolled(self, what: str) -> None:
        """Name something that cannot be controlled: the verdict will be `unknown`."""
        self.board.note_uncontrolled(what)


def enter(lane: int) -> Runtime:
    """Become a lane that `new_lane` has announced, in a process that was just started, and wait for the baton.

    Raises:
        Abandoned: the schedule was given up meanwhile; this lane is through, and its process should end.
    """
    inherited = control.registry
    board = inherited.board if inherited is not None else Board(os.environ[VARIABLE])
    runtime = Runtime(board, lane)
    try:
        runtime._await()
    except control.Abandoned:
        runtime.leave()
        raise
    control.activate(runtime)
    return runtime
