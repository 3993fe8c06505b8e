"""A scenario as the subject of an exploration: its state, which is restored after each schedule, and its actors."""

from __future__ import annotations

import multiprocessing
import os

from bench.explore.driver.actor_process import RETURNED
from bench.explore.driver.actors import Actors, crash_of
from bench.explore.driver.subject import Caveats, Refused, deadlock, given_up, livelock
from bench.explore.points import clock
from bench.outcomes import Outcome, crashes, with_others
from bench.parameters import load
from bench.process import journal
from bench.process.messages import Running, Starting
from bench.process.segments import Segments
from bench.state.restoring import Leftovers
from bench.values import encode, identity

TYPE_CHECKING = False  # as type checkers know it: each exploration of a scenario imports this

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from bench.explore.driver.executor import Executor
    from bench.explore.messages import Event, Orders
    from bench.explore.model import End

ONLY_DEADLOCKS = "only deadlocks are looked for after a kill"
"""What a claim says where no expectation is about outcomes after a kill."""


class ScenarioSubject:
    """A scenario's state and actors; new ones are made where the state of the last schedule cannot be restored."""

    shrinking_s = float("inf")

    def __init__(self, orders: Orders, executor: Executor, send: Callable[[Event], None]) -> None:
        self.kind: Any = load(orders.module, orders.name)
        clock.end_import()
        self.context: Any = multiprocessing.get_context(orders.method)
        self.names = orders.actors
        self.kills, self.grades_kills = orders.kills > 0, orders.grades_kills
        self.items = orders.items
        self.executor, self.send = executor, send
        self.there: Actors | None = None
        self.overlong = 0
        """Schedules that were given up for their number of steps, which says nothing of the scenario."""
        self.rebuilt = 0
        self.why_rebuilt = ""
        """Why no state can be restored; empty if they can."""
        self.spoiled_by = ""
        """Why a state could not be restored, the first time; empty if each could."""
        self.tolerates = orders.tolerates
        self.tolerated = ""
        """An end of an actor's process that the author tolerates, the first there was; empty if there was none."""
        self.left: set[str] = set()
        """The queues and pipes that were not empty at the end of a schedule."""
        self.segments = Segments(os.environ[journal.VARIABLE])
        """Those that schedules make; what the state has is in the bench's keeping."""
        self._values: dict[object, Outcome] = {}

    @property
    def actors(self) -> Actors:
        """The state and the actors; there are some from `ready` to `put_back`."""
        assert self.there is not None
        return self.there

    def ready(self) -> None:
        """Make a state and start its actors, unless those of the last schedule are there."""
        if self.there is not None:
            self.segments.begin()
            return
        self.send(Starting())
        executor = self.executor
        self.there = actors = Actors(self.kind, self.context, self.names, executor.board, self.why_rebuilt)
        self.why_rebuilt, executor.labels.sizes = actors.why_rebuilt, actors.sizes
        executor.begins_ns = actors.begins_ns
        if self.kills and actors.filled.items:  # the first actor's process feeds them, and may be killed
            executor.board.note_uncontrolled("what __init__ has put into a queue, where actors are killed")
        self.segments.begin()
        self.send(Running())

    def dead(self) -> int | None:
        """Return the lane of an actor whose process has ended, other than by a kill of the plan, and not well."""
        if not (dead := self.actors.dead()):
            return None
        return min(dead - self.executor.killed() - self.executor.exited(), default=None)

    def revive(self, lane: int) -> bool:  # noqa: ARG002  # of the protocol
        """Revive nothing: no process takes the place of an actor's."""
        return False

    def changed(self) -> set[int]:
        """Return the objects whose memory has changed since the schedule began."""
        return self.actors.memory.changed()

    def contents(self) -> object:
        """Return what the values of the state hold."""
        return self.actors.memory.contents()

    # The outcome of a schedule.

    def outcome(self, end: End) -> Outcome | None:
        """Return what the actors made of the state."""
        killed = self.executor.killed()
        for lane in killed | self.executor.exited():
            self.actors.processes[lane].join()
        outcome = self._outcome(end, killed)
        return None if outcome is None else outcome.after_kill_of([self.names[lane] for lane in sorted(killed)])

    def _outcome(self, end: End, killed: set[int]) -> Outcome | None:
        if end == "done":
            # What the survivors of a kill make of the state is a finding only where the author says what it may be.
            return None if killed and not self.grades_kills else self._finished(killed)
        if end == "stuck":
            if self.dead() is not None:
                return self._crashed()
            standstill = deadlock(self.executor)
            return None if standstill is None else self._with_failures(standstill, killed)
        if end == "limit":
            self.overlong += self.executor.overlong
            return None if self.executor.overlong else self._with_failures(livelock(self.executor), killed)
        return self._crashed() if end == "died" else None

    def _finished(self, killed: set[int]) -> Outcome:
        if any(self.executor.raised) and any(raised := self._raised_numbers(killed)):
            return self._raised(raised)
        if killed:
            self.actors.free_locks()
        try:
            value = self.actors.read_result()
        except BaseException as error:  # noqa: BLE001  # the user's
            from bench.process.instrument import describe

            return Outcome("raised", detail={**describe(error), "process": "result", "role": "main"})
        # What the result has taken is not left. What a killed actor held or has put is left, and no leak.
        if killed:
            return self._value(value)
        left, segments = self.actors.left(), self.segments.take_left()
        if segments:
            left = left or Leftovers()
            left.segments = segments
        if left is not None:
            self.left.update(left.items)
            if (detail := left.detail(items=self.items)) is not None:
                return Outcome("leak", detail=detail)
        return self._value(value)

    def _value(self, value: object) -> Outcome:
        short = identity(value)
        if (outcome := self._values.get(short)) is None:
            outcome = self._values[short] = Outcome("value", encode(value))
        return outcome

    def _raised(self, raised: list[int]) -> Outcome:
        if RETURNED in raised:
            name = self.names[raised.index(RETURNED)]
            raise Refused(f"its actor {name} returns something; what an actor observes belongs into the state")
        first, *others = sorted(self._failures(raised), key=lambda one: one.kind != "raised")
        return with_others(first, others)

    def _with_failures(self, outcome: Outcome, gone: set[int]) -> Outcome:
        """Return an outcome with what actors had raised, one of which may be its cause; not those that are `gone`."""
        return with_others(outcome, self._failures(self._raised_numbers(gone)))

    def _raised_numbers(self, gone: set[int]) -> list[int]:
        """Return by lane what the board has of the actors that are through, 0 of all others.

        Of an actor that is not through, or whose process has ended, the board has what an earlier schedule gave.
        """
        without = gone.union(self.executor.present(), self.executor.exited())
        return [0 if lane in without else number for lane, number in enumerate(self.executor.raised.tolist())]

    def _failures(self, raised: list[int]) -> list[Outcome]:
        """Return what actors have raised in this schedule, in their order, given their numbers on the board."""
        actors = self.actors
        wanted = [(lane, number) for lane, number in enumerate(raised) if number not in (0, RETURNED)]
        if any(one not in actors.raised for one in wanted):
            actors.receive()
        return [Outcome(kind, detail=detail) for kind, detail in (actors.raised[one] for one in wanted)]

    def _crashed(self) -> Outcome | None:
        lane = self.dead()
        assert lane is not None
        crash = crash_of(self.actors.processes[lane])
        outcome = self._with_failures(crash, {lane, *self.actors.dead()})
        if len(outcome.parts) == 1 and any(crashes(one or None).matches(crash) for one in self.tolerates):
            self.tolerated = self.tolerated or crash.text()
            return None
        return outcome

    def stacks(self) -> list[dict[str, Any]]:
        """Return the stack of each actor that is not through."""
        actors, executor = self.actors, self.executor
        lanes = [lane for lane in executor.present() if lane < len(self.names)]
        for lane in lanes:
            executor.ask_stack(lane, self.dead)
        actors.receive()
        return [
            {
                "name": self.names[lane],
                "pid": actors.processes[lane].pid,
                "role": "process",
                "stack": actors.stacks.pop(lane, ""),
            }
            for lane in lanes
        ]

    # Between schedules.

    def put_back(self, end: End) -> None:
        """Restore the state; where that cannot be done, end the actors."""
        why = self.end_schedule(end)
        if not why and not (why := self.actors.put_back()):
            return
        self.spoiled_by = self.spoiled_by or why
        self.rebuilt += 1
        self.close()
        self.executor.drain()

    def end_schedule(self, end: End) -> str:
        """Make all lanes leave the schedule; return why its state cannot be used again, empty where it may be."""
        why = ""
        if end not in ("done", "died") and not self.executor.abandon(self.dead):
            why = "a process did not come out of a schedule that was given up"
        if self.executor.spoiled():
            why = "an actor closed what the state has open"
        if self.executor.exited():
            return "an actor ended its process"
        return "a process of it died" if end == "died" or self.executor.killed() else why

    def caveats(self, schedules: int) -> Caveats:
        """Return how many states were made anew, and why; which schedules were given up; what kills are graded by."""
        why = "which is tolerated, but ends the schedule: mode repeat has the value of such samples"
        tolerated = (f"{self.tolerated}, {why}",) if self.tolerated else ()
        return Caveats(
            narrowed=() if not self.kills or self.grades_kills else (ONLY_DEADLOCKS,),
            limits=(*given_up(self.overlong, schedules, self.executor.limit), *tolerated),
            rebuilt=self.rebuilt,
            why_rebuilt=self.why_rebuilt or self.spoiled_by,
            left=tuple(sorted(self.left)),
        )

    def close(self) -> None:
        """End the actors."""
        if self.there is not None:
            self.there.close()
            self.there = None
