"""One lane's part in passing the baton: it waits, is woken, decides which lane is next, and wakes that one.

The baton is the right to run the user's code and to touch the board. It exists once in an exploration, so that the
board needs no lock and real processes take their steps one after the other. Four rules keep that so:

1. Every process without the baton is blocked on the semaphore of its lane (in `_await` or `begin`), or has left and
   runs code that is not controlled. To release another lane's semaphore is to pass the baton: after `_wake` a process
   touches the board no more before it is woken itself.
2. A step is on the log before its lane is woken for it (`scheduler.decide` does both or neither). So a lane that is
   woken by `GO` carries its step out at once, and there is nothing left that two processes would have to agree on.
3. A process is only killed by the one that has the baton, at a point where it waits and so does not have it. A process
   that is to kill itself passes the baton first (`_die`), and from then on does nothing but die. Whoever gets the baton
   waits for its end before anything is decided: the system frees then what the process has locked or open.
4. A process that ends on its own leaves first (`leave`, `end`), which passes the baton.

A process that dies in any other way (a signal from outside, a crash of the interpreter) may take the baton with it. The
exploring process, which waits for the end of the schedule, looks for such a process every few milliseconds.
"""

from __future__ import annotations

import os
import signal
import time

from bench.explore.runtime import control
from bench.explore.runtime import layout as at
from bench.explore.runtime.control import Raw
from bench.explore.runtime.scheduler import LOOK_OUTSIDE, OVER, PROBE_FIRST, decide, remove_process
from bench.process.ended import wait_for_end

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import NoReturn

    from bench.explore.runtime.board import Board


_sleep, _now_ns = time.sleep, time.monotonic_ns
_kill, _getpid = os.kill, os.getpid
"""As they are at import: under control, the scheduling points replace them."""

_PATIENCE_NS = 500_000_000
"""How much real time a schedule has, in all, for what comes from processes and threads that are no lanes."""

_MOMENT_S = 0.002


class Handover:
    """The semaphore of one lane, the commands it is woken for, and the feeders that its process hosts.

    Attributes:
        send_stack: called where the lane waits, to send its stack; `None` if it has no way to.
        reap: called with a lane that has left, to wait until its process has ended; `None` if it started no process.
        abandoning: whether the lane is on its way out of a schedule that was given up.
    """

    __slots__ = (
        "_feeds",
        "_semaphore",
        "_slot",
        "abandoning",
        "bit",
        "board",
        "lane",
        "numbers",
        "plan",
        "reap",
        "send_stack",
    )

    def __init__(self, board: Board, lane: int) -> None:
        self.board, self.lane, self.bit = board, lane, 1 << lane
        self.numbers, self.plan = board.numbers, board.plan
        self.send_stack: Callable[[], None] | None = None
        self.reap: Callable[[int], None] | None = None
        self.abandoning = False
        self._feeds: dict[int, Callable[[], None]] = {}
        self._semaphore = board.semaphore(lane)
        self._slot = at.LANES + lane * at.LANE
        board.lane(lane).pid = os.getpid()

    def reset(self) -> None:
        """Forget what belongs to the schedule before."""
        self.abandoning = False

    # Passing the baton, and waiting for it.

    def _pass_baton(self, probe: Callable[[], bool] | None) -> None:
        """Decide which step is next, and return when it is this lane's own: at once, or when the baton comes back."""
        mine = self._start_next() if self.numbers[at.SLOW] & at.STARTING else self._decide(probe)
        self._await(probe, mine=mine)

    def _await(self, probe: Callable[[], bool] | None = None, *, mine: bool = False) -> None:
        """Wait until the baton is passed to this lane for its own step.

        `launch` knows a process that waits for the baton by this function's name, or that of `begin`, on its stack.
        """
        numbers, slot, wait = self.numbers, self._slot, self._semaphore.acquire
        while not mine:
            wait()
            command = numbers[slot + at.COMMAND]
            if not command:
                return
            numbers[slot + at.COMMAND] = at.GO
            mine = self._obey(command, probe)

    def _obey(self, command: int, probe: Callable[[], bool] | None) -> bool:
        """Carry out the command that a waiting lane was woken for; return whether its own step comes next."""
        kind = command & 255
        if kind == at.ABANDON:
            self.abandoning = True
            raise control.Abandoned
        if kind == at.SEND_STACK:
            if self.send_stack is not None:
                with Raw():
                    self.send_stack()
            self.board.semaphore(at.COORDINATOR).release()
            return False
        if kind == at.FEED:
            self._feed(command >> 8)
        if kind == at.REAP and self.reap is not None:
            with Raw():
                self.reap(command >> 8)
        if kind == at.BURY:
            self._await_end(self.board.lane(command >> 8).pid)
        return self._decide(probe)  # for PROBE too, which asks for nothing else

    def _decide(self, probe: Callable[[], bool] | None) -> bool:
        """Decide steps until one is this lane's own, or another process has to run; return whether it is its own.

        What the scheduler chooses is on the log already, and is carried out here where it concerns this process: a
        kill, a step of a feeder that it hosts, a probe of what this lane waits for.
        """
        numbers = self.numbers
        while True:
            chosen = decide(numbers, self.plan)
            if chosen == self.lane:
                return True
            if chosen == LOOK_OUTSIDE:
                self._look_outside()
            elif chosen <= OVER:
                return self._wake(at.COORDINATOR, at.GO)
            elif chosen < 0:
                if self._kill(-1 - chosen):
                    self._die()
            elif chosen >= PROBE_FIRST:
                if chosen != PROBE_FIRST + self.lane:
                    return self._wake(chosen - PROBE_FIRST, at.PROBE)
                self._probe_again(probe)
            elif (host := numbers[at.HOSTS + chosen]) == self.lane:
                self._feed(chosen)
            else:
                return self._wake(host, at.FEED | chosen << 8 if host != chosen else at.GO)

    def _wake(self, lane: int, command: int) -> bool:
        """Pass the baton to a lane, or to the coordinator; return `False`, since this lane's step is not next.

        Args:
            lane: the lane, or `COORDINATOR`.
            command: what it is woken for. `GO` stands in its record already, as what it was woken for last is cleared.
        """
        if command:
            self.numbers[at.LANES + lane * at.LANE + at.COMMAND] = command
        self.board.semaphore(lane).release()
        return False

    def _die(self) -> None:
        """Die of a kill by a step, once the baton is passed."""
        self._bequeath()
        _kill(_getpid(), signal.SIGKILL)

    def _bequeath(self) -> None:
        """Pass the baton, in a process that does nothing but end from here on, to one that waits for its end first.

        All lanes of this process are off the board already. Where no other is left, the coordinator waits for the end.
        """
        numbers = self.numbers
        left = numbers[at.PRESENT] | numbers[at.ENABLED]
        if left:
            heir = numbers[at.HOSTS + (left & -left).bit_length() - 1]
            self._wake(heir, at.BURY | self.lane << 8)
        else:
            self._decide(None)  # which can only end the schedule

    def _kill(self, lane: int) -> bool:
        """Kill the process of a lane, and wait for its end; return whether it is this one, which can die only later."""
        host = self.board.lane(self.board.lane(lane).host)
        if host.number == self.lane:
            return True
        _kill(host.pid, signal.SIGKILL)
        self._await_end(host.pid)
        return False

    def _await_end(self, pid: int) -> None:
        """Wait until a process that is killed or ends has ended, and have lanes probe what the system frees with it."""
        with Raw():
            wait_for_end(pid)
        self.mark_dirty(None)

    def _look_outside(self) -> None:
        """Have the lanes that wait for something outside of the board probe it again, after a moment of real time."""
        numbers, now = self.numbers, _now_ns()
        numbers[at.PATIENCE] = numbers[at.PATIENCE] or now + _PATIENCE_NS
        if now > numbers[at.PATIENCE]:
            numbers[at.PATIENCE] = -1
            return
        _sleep(_MOMENT_S)
        numbers[at.DIRTY] |= numbers[at.PROBING]
        numbers[at.SLOW] |= at.SOME_DIRTY

    def _probe_again(self, probe: Callable[[], bool] | None) -> None:
        """Probe what this lane waits for, and note whether its step could be taken now."""
        numbers = self.numbers
        if probe is not None and self._passes(probe):
            numbers[at.ENABLED] |= self.bit
        elif not numbers[self._slot + at.TIMED_OUT]:
            numbers[at.ENABLED] &= ~self.bit
        numbers[at.DIRTY] &= ~self.bit
        if not numbers[at.DIRTY]:
            numbers[at.SLOW] &= ~at.SOME_DIRTY

    def _passes(self, probe: Callable[[], bool]) -> bool:
        with Raw():
            return probe()

    def mark_dirty(self, number: int | None) -> None:
        """Make the lanes that wait for an object probe it again before anything is decided.

        Args:
            number: the object; `None` for all objects, as a process has ended.
        """
        numbers = self.numbers
        probing: int = numbers[at.PROBING]
        for lane in range(at.MOST_LANES) if probing else ():
            if probing >> lane & 1 and number in (None, numbers[at.LANES + lane * at.LANE + at.WANTS]):
                numbers[at.DIRTY] |= 1 << lane
                numbers[at.SLOW] |= at.SOME_DIRTY

    def _start_next(self) -> bool:
        """Start the next actor, which runs to its first point; after the last one, decide.

        Nothing is decided before all have come to a point, as the scheduler chooses among their pending steps.
        """
        numbers = self.numbers
        numbers[at.STARTED] += 1
        if (started := numbers[at.STARTED]) < numbers[at.ACTORS]:
            return self._wake(started, at.BEGIN)
        numbers[at.SLOW] &= ~at.STARTING
        return self._decide(None)

    # Beginning and leaving a schedule.

    def begin(self) -> bool:
        """Wait for the next schedule; return `False` if there is none."""
        numbers, command_at, wait = self.numbers, self._slot + at.COMMAND, self._semaphore.acquire
        while True:
            wait()
            command = numbers[command_at]
            numbers[command_at] = at.GO
            kind = command & 255
            if kind == at.BEGIN:
                self.reset()
                return True
            if kind == at.QUIT:
                return False
            if kind in (at.FEED, at.BURY):  # its feeders go on when it has left
                if kind == at.FEED:
                    self._feed(command >> 8)
                else:
                    self._await_end(self.board.lane(command >> 8).pid)
                self._decide(None)
            elif kind in (at.ABANDON, at.SEND_STACK):  # it has left already, and just confirms
                self.board.semaphore(at.COORDINATOR).release()

    def stop(self) -> None:
        """Stop controlling this process, which keeps the baton."""
        control.activate(None)

    def give_up(self, end: int = at.OUT_OF_CONTROL) -> NoReturn:
        """End the schedule here.

        Args:
            end: how it ends: as what happens next is nobody's step, and nothing can be said of it; or `DIED`.

        Raises:
            Abandoned: always, once the exploring process has all lanes leave.
        """
        self.numbers[at.END] = end
        self._wake(at.COORDINATOR, at.GO)
        self._await()
        raise control.Abandoned

    def leave(self) -> None:
        """Leave the schedule and pass the baton. What this lane does from now on is not controlled."""
        control.activate(None)
        numbers = self.numbers
        numbers[at.PRESENT] &= ~self.bit
        if self.abandoning:
            self.board.semaphore(at.COORDINATOR).release()
        elif numbers[at.SLOW] & at.STARTING:
            self._start_next()
        else:
            self._decide(None)

    def drop_feeders(self, lanes: Iterable[int] | None = None) -> None:
        """Remove feeders that this process hosts, as it ends: nobody can take their steps any more.

        Args:
            lanes: the feeders; `None` for all of them.
        """
        numbers, gone = self.numbers, 0
        for lane in list(self._feeds if lanes is None else lanes):
            gone |= 1 << lane
            self._feeds.pop(lane, None)
        if gone:
            numbers[at.GONE] |= (numbers[at.PRESENT] | numbers[at.ENABLED]) & gone
            for cell in (at.PRESENT, at.ENABLED, at.WAITING, at.FEEDERS, at.ASLEEP, at.YIELDING):
                numbers[cell] &= ~gone

    def end(self, parent: int) -> None:
        """Leave the schedule in a process that is about to end.

        The lane that started this process gets the baton, and decides only once the process has really ended: the
        system closes its descriptors then, which other lanes may see.
        """
        control.activate(None)
        self.drop_feeders()
        numbers = self.numbers
        if self.abandoning or not numbers[at.PRESENT] >> parent & 1:
            self.leave()
        else:
            numbers[at.PRESENT] &= ~self.bit
            self._wake(parent, at.REAP | self.lane << 8)

    def exit(self) -> None:
        """Leave the schedule in an actor's process that is about to end, and well; the baton goes to another one."""
        control.activate(None)
        numbers = self.numbers
        numbers[at.EXITED] |= self.bit
        self.drop_feeders()
        remove_process(numbers, self.lane)
        if numbers[at.SLOW] & at.STARTING and numbers[at.STARTED] + 1 < numbers[at.ACTORS]:
            self._start_next()
        else:
            numbers[at.SLOW] &= ~at.STARTING
            self._bequeath()

    # Steps of lanes that do not run by themselves.

    def _announce(self, lane: int, packed: int, wants: int) -> None:
        """Announce the pending step of a feeder, or of a process that is only about to run."""
        numbers, slot = self.numbers, at.LANES + lane * at.LANE
        numbers[slot + at.WORD], numbers[slot + at.WANTS] = packed, wants
        numbers[slot + at.DEADLINE] = numbers[slot + at.TIMED_OUT] = 0
        if wants:
            numbers[at.WAITING] |= 1 << lane
        if not wants or numbers[at.COUNTERS + wants] > 0:
            numbers[at.ENABLED] |= 1 << lane

    def _feed(self, lane: int) -> None:
        """Take the step of a feeder that this process hosts, and announce the next one."""
        record, mine = self.board.lane(lane), self.lane
        with Raw():
            self.lane = lane
            try:
                self._feeds[lane]()
            finally:
                self.lane = mine
        self._announce(lane, record.word, record.wants)  # the same again, unless the feeder has set another
