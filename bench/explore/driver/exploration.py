"""The main process of an exploration: has schedules run one after the other, and journals what they gave."""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import multiprocessing
import os
import random
import signal
import sys
import time

from bench.explore.driver.actor_process import RETURNED
from bench.explore.driver.executor import Labels, Machine
from bench.explore.driver.scenario import Cast, NotStarted, Refused, name_lanes, pin
from bench.explore.model import READS, Plan
from bench.explore.runtime.board import LANE, LANES, MOST_LANES, PRESENT, RAISED, STEPS, VARIABLE, Board
from bench.explore.runtime.death_signal import clean_up_with_parent
from bench.explore.search import make
from bench.outcomes import Outcome
from bench.process import journal
from bench.values import encode

TYPE_CHECKING = False  # as type checkers know it: each exploration imports this

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from bench.explore.model import End, Trace

TELL_S = 0.2
"""How often the counts are journalled: what shows on a terminal, and what tells that somebody gets anywhere."""

MOST_WITNESSES = 8
"""Outcomes whose schedules are made shorter and told step by step."""

MOST_SHRINKING = 200
SHRINKING_S = 3.0
"""Schedules, and about how long, that making one shorter may take."""

SCHEDULES_LOOKED_AT = 16
"""The first schedules, in which, as in those that are told, it is looked whether memory changed without a step."""

_BY_THEMSELVES = (int, str, bool, bytes)
"""Types of values whose key is known by the value."""


class _Ended(Exception):
    """The exploration is over before its time; what there is to say is journalled."""


def run(folder: str, orders: Mapping[str, Any]) -> None:
    """Explore to the end: all is seen, the time is over, or it cannot go on."""
    tell = functools.partial(journal.append, folder)
    try:
        clean_up_with_parent(folder, os.environ[VARIABLE])
        pin()
        _begin(orders)
        if orders["actors"]:
            kind = getattr(importlib.import_module(orders["module"]), orders["name"])
            exploration = Exploration(orders, kind, tell, Board(os.environ[VARIABLE], create=True))
        else:
            from bench.explore.driver.program import ProgramExploration

            exploration = ProgramExploration(orders, tell, Board(os.environ[VARIABLE], create=True))
        exploration.run()
    except _Ended:
        pass
    except Refused as error:
        tell("refused", message=str(error))
    except Exception as error:  # noqa: BLE001  # of the scenario's making of state, or a mistake of the bench: told
        from bench.process.instrument import describe

        tell("failed", **describe(error))
        os._exit(1)
    tell("over")
    os._exit(0)  # who started us ends the other processes


def _begin(orders: Mapping[str, Any]) -> None:
    from bench.process.startup import set_default_method

    random.seed(orders["seed"])
    set_default_method(orders["method"])
    if orders["root"] and orders["root"] not in sys.path:
        sys.path.insert(0, orders["root"])


class Seen:
    """An outcome: what it is, how often it came, and the choices that led to it first."""

    __slots__ = ("count", "lanes", "number", "outcome")

    def __init__(self, number: int, outcome: Outcome, lanes: tuple[int, ...]) -> None:
        self.number, self.outcome, self.lanes, self.count = number, outcome, lanes, 0


class Exploration:
    """The cast, the machine, the strategy, and what is known so far."""

    def __init__(self, orders: Mapping[str, Any], kind: Any, tell: Any, board: Board) -> None:
        self.orders, self.kind, self.tell, self.board = orders, kind, tell, board
        self.actors: tuple[str, ...] = tuple(orders["actors"])
        self.context: Any = multiprocessing.get_context(orders["method"])
        self.cast: Cast | None = None
        self.why_rebuilt = self.spoiled_by = ""
        self.seen: dict[str, Seen] = {}
        self.keys: dict[object, str] = {}
        self.schedules = self.rebuilt = self.asleep = 0
        self.counting = True
        self.told = 0.0
        name_lanes(board, self.actors)
        self.labels = Labels(board)
        self.machine = Machine(board, len(self.actors), orders["limit"], self.died)

    def run(self) -> None:
        """Explore, or follow the schedule that is given."""
        self.ready()
        _settle()
        if self.orders.get("replay") is not None:
            self.replay(self.orders["replay"])
        else:
            self.explore()
        if self.cast is not None:
            self.cast.end(kill=True)

    def ready(self) -> Cast:
        """Give the cast, a new one if there is none."""
        if self.cast is None:
            self.tell("starting")
            try:
                self.cast = Cast(self.kind, self.context, self.actors, self.board, self.why_rebuilt)
            except NotStarted as error:
                raise Refused(str(error)) from None
            self.why_rebuilt = self.cast.why_rebuilt
            self.tell("running")
            self.labels.sizes = self.cast.sizes
        return self.cast

    def explore(self) -> None:
        """Run what the strategy wants run, and tell of it."""
        orders, begun = self.orders, time.monotonic()
        strategy = make(
            orders["strategy"],
            preemptions=orders["preemptions"],
            schedules=orders["schedules"],
            seed=orders["seed"],
            lanes=len(self.actors),
            kills=orders["kills"],
        )
        deadline = begun + orders["seconds"] if orders["seconds"] is not None else float("inf")
        while time.monotonic() < deadline and (plan := strategy.next()) is not None:
            strategy.learn(self.play(plan))
            if time.monotonic() - self.told >= TELL_S:
                self.tell_counts()
        took_s = time.monotonic() - begun
        figures = {"schedules": self.schedules, "steps": self.machine.steps, "seconds": took_s}
        self.tell_counts()
        self.tell_witnesses()
        but = self.but()
        self.tell(
            "explored",
            **figures,
            strategy=strategy.name,
            complete=strategy.complete and not but,
            claim="; ".join((strategy.claim(), *but)),
            points=self.machine.different,
            rebuilt=self.rebuilt,
            why_rebuilt=self.why_rebuilt or self.spoiled_by,
            uncontrolled=self.board.uncontrolled(),
            differed=self.machine.differed,
            asleep=self.asleep,
            limits=self.limits(),
        )

    def replay(self, wanted: Mapping[str, Any]) -> None:
        """Follow a schedule that was found elsewhere, and tell what became of it."""
        from bench.explore.findings.following import follow

        told = follow(wanted, self._play_and_tell, self.labels)
        self.tell_counts()
        trace = self.play_in_detail(tuple(told["lanes"]))
        self.tell(
            "replayed",
            **told,
            outcome=trace[0].outcome,
            witness=trace[1],
            uncontrolled=self.board.uncontrolled(),
        )

    def but(self) -> list[str]:
        """Say what keeps a strategy's claim from holding as it is."""
        return []

    def limits(self) -> list[str]:
        """Say what kept schedules from their ends."""
        return []

    # One schedule.

    def play(self, plan: Plan) -> Trace:
        """Run a plan, take down its outcome, and put everything back."""
        cast, machine = self.ready(), self.machine
        end = machine.run(plan)
        changed = cast.memory.changed() if self.schedules < SCHEDULES_LOOKED_AT or not self.counting else set()
        key, killed, spoiled = self._outcome(cast, end)
        # After a process has died nobody runs on: to a strategy that is as if nobody could.
        trace = machine.trace(plan, "stuck" if end == "died" else end, key)
        for number in changed - {step.op.object for step in trace.steps if step.op.kind not in READS}:
            self.board.note_uncontrolled(f"{self.labels.object(number)}: changed by something that is not seen")
        if self.counting:
            self.schedules += 1
        if trace.outcome:
            self._count(trace)
        elif end == "asleep":
            self.asleep += 1
        if end not in ("done", "died") and not machine.give_up():
            spoiled = spoiled or "a process did not come out of a schedule that was given up"
        if machine.spoiled():
            spoiled = "an actor closed what the state has open"
        if killed or end == "died":
            spoiled = "a process of it died"
        if not cast.put_back(spoiled=bool(spoiled)):
            self._drop(spoiled)
        return trace

    def _drop(self, why: str = "") -> None:
        """Do without the cast; the next schedule has another."""
        assert self.cast is not None
        self.spoiled_by = self.spoiled_by or why
        self.cast.end(kill=True)
        self.cast = None
        self.machine.drain()
        self.rebuilt += 1

    def _count(self, trace: Trace) -> None:
        one = self.seen[trace.outcome]
        if not one.count:
            one.lanes = trace.lanes
            self.tell(
                "outcome",
                number=one.number,
                kind=one.outcome.kind,
                value=one.outcome.value,
                detail=dict(one.outcome.detail),
            )
        one.count += self.counting or not one.count

    def _outcome(self, cast: Cast, end: End) -> tuple[str, bool, str]:
        """Give the key of the outcome, whether a process was killed, and why the state cannot be put back, if so."""
        killed = self.orders["kills"] and bool(self.machine.killed())
        if end == "done":
            if killed:  # what the others made of it is no finding
                return "", True, ""
            return self._of_done(cast)
        if end == "stuck":
            return self._of_stuck(cast), killed, ""
        if end == "limit":
            return self._of_limit(cast), killed, ""
        if end == "died":
            return self._of_death(cast), killed, ""
        return "", killed, ""

    def _of_done(self, cast: Cast) -> tuple[str, bool, str]:
        numbers = self.board.numbers
        raised = [numbers[LANES + lane * LANE + RAISED] for lane in range(len(self.actors))]
        if any(raised):
            return self._of_raised(cast, raised), False, ""
        try:
            value = cast.result()
        except BaseException as error:  # noqa: BLE001  # the user's
            from bench.process.instrument import describe

            detail = {**describe(error), "process": "result", "role": "main"}
            return self._known(Outcome("raised", detail=detail)), False, ""
        left = cast.left()  # what the result has taken is not left
        if left is not None and (left.locks or left.items):
            return self._known(Outcome("leak", detail=_leak(left))), False, ""
        return self._of_value(value), False, ""

    def _of_value(self, value: object) -> str:
        kind = type(value)
        short = (kind, value if kind in _BY_THEMSELVES else repr(value))
        if (key := self.keys.get(short)) is None:
            key = self.keys[short] = self._known(Outcome("value", encode(value)))
        return key

    def _of_raised(self, cast: Cast, raised: list[int]) -> str:
        lane = next(lane for lane, number in enumerate(raised) if number)
        if raised[lane] == RETURNED or RETURNED in raised:
            name = self.actors[raised.index(RETURNED)]
            raise Refused(f"its actor {name} returns something; what an actor observes belongs into the state")
        if (lane, raised[lane]) not in cast.raised:
            cast.hear()
        kind, detail = cast.raised[lane, raised[lane]]
        return self._known(Outcome(kind, detail=detail))  # type: ignore[arg-type]  # raised or crash

    def _of_death(self, cast: Cast) -> str:
        process = cast.dead()[0]
        process.join()
        code = process.exitcode
        how = {"exit": code} if code is None or code >= 0 else {"signal": _signal_name(-code)}
        return self._known(Outcome("crash", detail={"process": process.name, "role": "child", **how}))

    def _of_stuck(self, cast: Cast) -> str:
        waits = [self._wait_of(lane) for lane in self._present()]
        cycle = "; ".join(
            f"{one['lane']} waits for {one['object']}" + (f", held by {one['holder']}" if one["holder"] else "")
            for one in waits
        )
        detail: dict[str, Any] = {"cycle": cycle, "waits": waits}
        return self._known(Outcome("deadlock", detail=detail), cast)

    def _of_limit(self, cast: Cast) -> str:
        lanes = self._present()
        names = ", ".join(self.board.name(lane) for lane in lanes)
        summary = f"{names} still at it after {self.board.numbers[STEPS]} steps"
        return self._known(Outcome("hang", detail={"phase": "livelock", "summary": summary}), cast)

    def _known(self, outcome: Outcome, stuck: Cast | None = None) -> str:
        """Give the key of an outcome; keep it, with the stacks of those that wait, when it is new."""
        key = outcome.key
        if key not in self.seen:
            if stuck is not None:
                stacks: Any = self._stacks(stuck)
                outcome = Outcome(outcome.kind, outcome.value, {**outcome.detail, "processes": stacks})
            self.seen[key] = Seen(len(self.seen), outcome, ())
        return key

    def _present(self) -> list[int]:
        """Give the lanes that are not through, and feeders that cannot feed."""
        present = self.board.numbers[PRESENT]
        return [lane for lane in range(MOST_LANES) if present >> lane & 1]

    def _wait_of(self, lane: int) -> dict[str, Any]:
        op = self.machine.pending()[lane]
        holder = self.machine.holder(op.wants)
        labels = self.labels
        return {
            "lane": labels.lane(lane),
            "op": op.kind,
            "object": labels.object(op.wants or op.object),
            "at": labels.place(op.place),
            "holder": labels.lane(holder) if holder >= 0 else "",
        }

    def _stacks(self, cast: Cast) -> list[dict[str, Any]]:
        lanes = [lane for lane in self._present() if lane < len(self.actors)]
        for lane in lanes:
            self.machine.tell(lane)
        cast.hear()
        return [
            {
                "name": self.board.name(lane),
                "pid": cast.processes[lane].pid,
                "role": "process",
                "stack": cast.stacks.pop(lane, ""),
            }
            for lane in lanes
        ]

    def died(self) -> bool:
        """Tell whether a process ended that nobody killed by plan."""
        if self.cast is None:
            return False
        dead = {self.cast.processes.index(process) for process in self.cast.dead()}
        return bool(dead - self.machine.killed())

    # What is told.

    def tell_counts(self) -> None:
        """Journal the counts so far: also a sign of life."""
        counts = {one.number: one.count for one in self.seen.values() if one.count}
        self.tell("counts", counts=counts, schedules=self.schedules, steps=self.machine.steps)
        self.told = time.monotonic()

    def tell_witnesses(self) -> None:
        """Make the schedules of the first outcomes short, and tell them step by step."""
        self.counting = False
        for key, one in self.worth_telling():
            if one.count:
                lanes = self._short(key, one.lanes)
                trace, told = self.play_in_detail(lanes)
                if trace.outcome == key:
                    self.tell("witness", number=one.number, witness=told)
                self._repeat(trace)

    def worth_telling(self) -> list[tuple[str, Seen]]:
        """Give the outcomes whose schedules are told, by key."""
        return list(self.seen.items())[:MOST_WITNESSES]

    def _short(self, key: str, lanes: tuple[int, ...]) -> tuple[int, ...]:
        from bench.explore.search.shrinking import Unstable, shrink

        begun = time.monotonic()
        self.play(Plan(lanes))
        one_s = max(time.monotonic() - begun, 1e-6)
        try:
            found = shrink(lanes, key, self._play_and_tell, max(4, min(MOST_SHRINKING, int(SHRINKING_S / one_s))))
        except Unstable as error:
            self.machine.differed = self.machine.differed or str(error)
            return lanes
        return found.lanes

    def _play_and_tell(self, plan: Plan) -> Trace:
        if time.monotonic() - self.told >= TELL_S:
            self.tell_counts()
        return self.play(plan)

    def play_in_detail(self, lanes: tuple[int, ...]) -> tuple[Trace, dict[str, Any]]:
        """Run a schedule once with what each step sees; give it, and what a record keeps of it."""
        from bench.explore.findings.schedule import witness

        with self.machine.in_detail():
            trace = self.play(Plan(lanes))
            told = witness(trace, self.labels, self.machine.seen()[: len(trace.steps)])
        return trace, told

    def _repeat(self, before: Trace) -> None:
        again = self.play(Plan(before.lanes))
        if again != before and not self.machine.differed:
            self.machine.differed = f"it gave {before.outcome or before.end!r}, then {again.outcome or again.end!r}"


def _settle() -> None:
    gc.collect()
    if hasattr(gc, "freeze"):
        gc.freeze()


def _signal_name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"


def _leak(left: Any) -> dict[str, Any]:
    found = {"locks": left.locks, "items": left.items}
    parts = [*(f"{name} is still held" for name in left.locks), *(f"{name} is not empty" for name in left.items)]
    return {**{kind: names for kind, names in found.items() if names}, "summary": "; ".join(parts)}
