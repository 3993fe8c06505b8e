"""Runs a plan on the processes that wait for it, and reads the trace of the schedule from the board."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time

from bench.explore.driver.labels import Labels
from bench.explore.model import Step, Trace
from bench.explore.runtime import layout as at
from bench.explore.runtime.board import Board
from bench.explore.runtime.packing import KILLED, kind_of, lane_of, op_of
from bench.process.ended import wait_for_end

TYPE_CHECKING = False  # as type checkers know it: each exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.explore.model import End, Op, Plan

_LOOK_S = 0.01
"""How often to check for a dead process: one that dies holding the baton never passes it on."""

_ANSWER_S = 1.0
"""How long a lane may take to leave a schedule that is abandoned, or to send its stack."""

_MOST_KNOWN = 100_000
"""How many steps are cached in their unpacked form."""


class Executor:
    """Writes plans on the board, runs them, and reads the traces of their schedules.

    Args:
        board: the board.
        actors: how many lanes there are from the start of each schedule.
        limit: the steps after which a schedule is ended.
    """

    def __init__(self, board: Board, actors: int, limit: int) -> None:
        self.board, self.actors = board, actors
        self.numbers = board.numbers
        self.labels = Labels(board)
        board.actors = actors
        self.limit = min(limit, at.MOST_STEPS - 1)
        self.begins_ns = 0
        """The virtual time at which schedules begin."""
        self.steps = 0
        """Steps taken so far, in all schedules."""
        self.differed = ""
        """Where a schedule that was repeated first went on differently; empty if none ever did."""
        # Views of one cell of each actor's record: read after each schedule, in 0.2 us; by `board.lane`, in 2 us.
        self.raised = self._cells(at.RAISED)
        """What each actor has raised in the last schedule, as its record has it."""
        self._spoiled = self._cells(at.SPOILED)
        self._semaphore = board.semaphore(at.COORDINATOR)
        self.new_place = True
        """Whether a step was taken on a line on which none was taken before; or nothing was run."""
        self._places: set[int] = set()
        self._known: dict[tuple[int, int], Step] = {}
        self._lanes: tuple[int, ...] = ()
        self._taken: list[Step] = []
        self._log = b""
        self.kills = False
        """Whether the plan of the last schedule kills."""
        self._fresh = self._template()
        self._anybody = bytes([at.FIRST_COME]) * self.limit + bytes([at.DECIDE])
        self._decided = bytes([at.DECIDE]) * (self.limit + 1)

    def _template(self) -> bytes:
        numbers = [0] * at.RESET
        numbers[at.LIMIT] = self.limit
        numbers[at.CHANGED] = -1
        numbers[at.PRESENT] = (1 << self.actors) - 1
        numbers[at.SLOW] = at.STARTING
        return b"".join(number.to_bytes(8, "little", signed=True) for number in numbers)

    def _cells(self, cell: int) -> memoryview:
        return self.numbers[at.LANES + cell : at.LANES + self.actors * at.LANE : at.LANE]

    @property
    def distinct(self) -> int:
        """How many distinct operations there were, by what is done to what on which line."""
        return len({step.op for step in self._known.values()})

    # A schedule.

    def run(self, plan: Plan, look_after: Callable[[], bool]) -> End:
        """Run a plan until its schedule has ended; lanes that are not through then still wait, see `abandon`.

        Args:
            plan: the plan.
            look_after: called every `_LOOK_S` meanwhile; returns whether the schedule can go on. If it cannot, the
                schedule ends as `died`.
        """
        self._write(plan)
        numbers = self.numbers
        numbers[at.LANES + at.COMMAND] = at.BEGIN  # of lane 0; by `board.lane`, 0.5 us more in each schedule
        self.board.semaphore(0).release()
        wait = self._semaphore.acquire
        while not wait(True, _LOOK_S):
            if not look_after():
                numbers[at.END] = at.DIED
                break
        self.steps += numbers[at.STEPS]
        return at.ENDS[numbers[at.END]]  # type: ignore[return-value]  # they are the same words

    def _write(self, plan: Plan) -> None:
        board, numbers = self.board, self.numbers
        board.bytes[: len(self._fresh)] = self._fresh
        if self.begins_ns:
            numbers[at.CLOCK] = self.begins_ns
        count = numbers[at.OBJECTS]
        numbers[at.COUNTERS : at.COUNTERS + count] = numbers[at.INITIAL_COUNTERS : at.INITIAL_COUNTERS + count]
        nobody = b"\xff" * (8 * count)  # -1 each
        for table in (8 * at.OWNERS, 8 * at.HOLDERS):
            board.bytes[table : table + 8 * count] = nobody
        lanes = plan.lanes[: self.limit]
        self.kills = bool(lanes) and min(lanes) < 0
        dictated = bytes([lane & 255 for lane in lanes]) if self.kills else bytes(lanes)
        numbers[at.PLANNED] = len(lanes)
        board.bytes[at.PLAN : at.PLAN + self.limit + 1] = (
            dictated + (self._decided if plan.asleep or plan.then != "on" else self._anybody)[len(lanes) :]
        )
        if plan.asleep:
            numbers[at.ASLEEP] = sum(1 << lane for lane in plan.asleep)
        if plan.then != "on":
            self._write_policy(plan)

    def _write_policy(self, plan: Plan) -> None:
        numbers = self.numbers
        numbers[at.POLICY] = at.POLICIES.index(plan.then)
        numbers[at.RANDOM] = (plan.seed + 1) * 0x9E3779B97F4A7C15 & (1 << 62) - 1  # neighbours far from each other
        if plan.then != "pct":
            return
        order = list(range(max(self.actors, numbers[at.NAMED_LANES])))
        random.Random(plan.seed).shuffle(order)
        for lane, priority in enumerate(order):
            self.board.lane(lane).priority = priority + 1
        changes = sorted(plan.changes)[: at.MOST_CHANGES]
        numbers[at.CHANGES] = len(changes)
        for index, step in enumerate(changes):
            numbers[at.CHANGES + 1 + index] = step

    def abandon(self, dead: Callable[[], int | None]) -> bool:
        """Make the lanes that still wait leave the schedule; return whether all of them did.

        Processes that the actors started are killed: they are of no more use. Their ends are waited for, since the next
        process of the same lane waits for the same semaphore, and one that is dying could take the baton meant for it.

        Args:
            dead: returns a lane whose process has ended; then the others are not waited for.
        """
        numbers = self.numbers
        numbers[at.SLOW] |= at.ABANDONED
        for lane in range(self.actors, at.MOST_LANES):
            if (numbers[at.PRESENT] & ~numbers[at.FEEDERS]) >> lane & 1:  # a feeder has no process of its own
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.board.lane(lane).pid, signal.SIGKILL)
                wait_for_end(self.board.lane(lane).pid)
        for lane in range(self.actors):
            if numbers[at.PRESENT] >> lane & 1:
                self.board.lane(lane).command = at.ABANDON
                self.board.semaphore(lane).release()
                if not self._answered(dead):
                    return False
        return True

    def _answered(self, dead: Callable[[], int | None]) -> bool:
        deadline = time.monotonic() + _ANSWER_S
        while (left := deadline - time.monotonic()) > 0:
            if self._semaphore.acquire(True, min(left, _LOOK_S)):
                return True
            if dead() is not None:
                return False
        return False

    def ask_stack(self, lane: int, dead: Callable[[], int | None]) -> None:
        """Make a lane that waits send its stack, and wait until it has; `dead` as for `abandon`."""
        self.board.lane(lane).command = at.SEND_STACK
        self.board.semaphore(lane).release()
        self._answered(dead)

    def drain(self) -> None:
        """Set all semaphores to 0: a process that has died may have left a baton untaken."""
        for lane in range(at.MOST_LANES + 1):
            semaphore = self.board.semaphore(lane)
            while semaphore.acquire(False):
                pass

    # Its trace.

    def trace(self, plan: Plan, end: End, outcome: str) -> Trace:
        """Return the trace of the schedule that has just ended.

        Args:
            plan: its plan.
            end: how it ended.
            outcome: the key of its outcome, or empty.
        """
        steps = self._read(plan.lanes)
        if steps is None:
            return Trace(tuple(self._decode(0, self.board.steps)), "diverged")
        pending = self.pending() if end not in ("done", "diverged") else {}
        gone = self._ops(gone) if (gone := self.board.gone) else {}
        return Trace(steps, end, pending, outcome if end not in ("diverged", "asleep") else "", gone)

    def forget(self) -> None:
        """Compare the next schedule with none before: its processes, and the objects that they make, are others."""
        self._lanes, self._taken, self._log = (), [], b""

    def _read(self, lanes: tuple[int, ...]) -> tuple[Step, ...] | None:
        """Return the steps of the log; `None` where the same choices have led to other steps than before."""
        # A plan mostly begins with the choices of the schedule before it, as strategies search one branch after the
        # other. The steps of that common prefix are not unpacked again; but strategies build on it: they have stored
        # its states, and go back to them. So its part of the log, which has for each step the operation, the line and
        # the lanes that were enabled, must be the same, byte by byte. If it is not, something other than the schedule
        # decides what the processes do, and no claim holds: the trace has diverged, and the difference is noted.
        # Behind the plan's own choices nothing is compared: there the policy chose, which may choose otherwise.
        count = self.numbers[at.STEPS]
        log = bytes(self.board.bytes[8 * at.LOG : 8 * at.LOG + 16 * count])
        same = common_prefix(lanes, self._lanes)
        if log[: 16 * same] != self._log[: 16 * same]:
            self._note_difference(log, same)
            self.forget()
            return None
        steps = self._taken[:same] + self._decode(same, count)
        self._lanes, self._taken, self._log = tuple([step.lane for step in steps]), steps, log
        return tuple(steps)

    def _note_difference(self, log: bytes, same: int) -> None:
        labels = self.labels
        first = next(step for step in range(same) if log[16 * step :][:16] != self._log[16 * step :][:16])
        came = self._decode(first, first + 1) if 16 * first < len(log) else []
        self.differed = self.differed or (
            f"after the same {first} choices {_describe(self._taken[first], labels)} came once, and "
            f"{_describe(came[0], labels) if came else 'nothing'} another time"
        )

    def _decode(self, start: int, stop: int) -> list[Step]:
        numbers, known = self.numbers, self._known
        found = []
        flat = numbers[at.LOG + 2 * start : at.LOG + 2 * stop].tolist()
        for pair in zip(flat[::2], flat[1::2]):  # noqa: B905  # Python 3.10 has strict, both are equal
            if (step := known.get(pair)) is None:
                if len(known) > _MOST_KNOWN:
                    known.clear()
                step = known[pair] = _unpack(*pair)
                if step.op.place not in self._places:
                    self._places.add(step.op.place)
                    self.new_place = True
            found.append(step)
        return found

    def pending(self) -> Mapping[int, Op]:
        """Return the next operation of each lane that is not through."""
        return self._ops(self.board.present | self.board.enabled)

    def _ops(self, lanes: int) -> dict[int, Op]:
        numbers = self.numbers
        found = {}
        for lane in range(at.MOST_LANES):
            if lanes >> lane & 1:
                slot = at.LANES + lane * at.LANE
                wants = numbers[slot + at.WANTS]
                found[lane] = op_of(numbers[slot + at.WORD], 0 if wants == at.NEVER else wants)
        return found

    def present(self) -> list[int]:
        """Return the lanes that are not through, and feeders that cannot feed."""
        present = self.board.present
        return [lane for lane in range(at.MOST_LANES) if present >> lane & 1]

    def killed(self) -> set[int]:
        """Return the lanes that the plan has killed in the last schedule."""
        if not self.kills:
            return set()
        words = self.numbers[at.LOG : at.LOG + 2 * self.numbers[at.STEPS] : 2].tolist()
        return {lane_of(word) for word in words if kind_of(word) == KILLED}

    def exited(self) -> set[int]:
        """Return the actors that have ended their processes in the last schedule, and well."""
        exited = self.numbers[at.EXITED]
        return {lane for lane in range(self.actors) if exited >> lane & 1} if exited else set()

    @property
    def overlong(self) -> bool:
        """Whether the last schedule took all steps that there may be; where it was found to loop, it ended before."""
        return bool(self.board.steps >= self.limit)

    def spoiled(self) -> bool:
        """Return whether an actor has closed something, in the last schedule, that the state has open."""
        return any(self._spoiled)

    def holder(self, number: int) -> int:
        """Return the lane that holds an object, or -1."""
        return self.board.holder(number)

    @contextlib.contextmanager
    def in_detail(self):  # type: ignore[no-untyped-def]  # a generator, whose types are not imported here
        """Have each step record the value that it saw, for the duration of the block; see `values`."""
        self.board.clear_values(self.limit)
        self.board.detail = 1
        try:
            yield
        finally:
            self.board.detail = 0

    def values(self) -> list[str]:
        """Return the values that the steps of the last schedule saw, which ran in detail."""
        return [self.board.value(step) for step in range(self.board.steps)]


def _unpack(word: int, second: int) -> Step:
    enabled, wants = second & 0xFFFFFFFF, second >> at.WANTED_AT
    lane = lane_of(word)
    return Step(-1 - lane if kind_of(word) == KILLED else lane, op_of(word, wants), enabled)


def common_prefix(lanes: tuple[int, ...], before: tuple[int, ...]) -> int:
    """Return how many choices two schedules have in common at their beginning.

    That is all but the last of the shorter one, most often: this is asked first, since it is done in C.
    """
    count = min(len(lanes), len(before))
    if count and lanes[: count - 1] == before[: count - 1]:
        return count if lanes[count - 1] == before[count - 1] else count - 1
    return next((index for index in range(count) if lanes[index] != before[index]), count)


def _describe(step: Step, labels: Labels) -> str:
    op = step.op
    return f"{labels.lane(step.lane)}: {op.kind} {labels.object(op.object)} at {labels.place(op.place)}"
