"""An exploration: runs the schedules that a strategy wants on a subject, and journals what they gave."""

from __future__ import annotations

import functools
import gc
import os
from itertools import islice

from bench.explore import messages
from bench.explore.audit.lines import NewLines
from bench.explore.driver.auditing import SAMPLES, Audited, audit
from bench.explore.driver.executor import Executor
from bench.explore.driver.subject import STANDSTILLS, EndedEarly, Refused
from bench.explore.model import READS, Plan
from bench.explore.points.clock import monotonic
from bench.explore.runtime import layout as at
from bench.explore.runtime.board import VARIABLE, Board
from bench.explore.search import make
from bench.explore.search.swaps import Pairs, difference
from bench.outcomes import Outcome
from bench.process import messages as common
from bench.process.cpus import usable_cpus
from bench.process.death_signal import clean_up_with_parent
from bench.process.startup import prepare

TYPE_CHECKING = False  # as type checkers know it: each exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from bench.explore.driver.afresh import FreshSubject
    from bench.explore.driver.subject import Subject
    from bench.explore.messages import Event, Orders
    from bench.explore.model import Step, Trace
    from bench.explore.search.strategy import Strategy

MAIN = "main"
"""What the lane of a program's main process is called."""

REPORT_S = 0.2
"""How often the counts are journalled, for a terminal that shows them and as a sign of life."""

MOST_WITNESSES = 8
"""Outcomes whose schedules are shrunk and recorded step by step."""

MOST_SHRINKING = 200
SHRINKING_S = 3.0
"""How many schedules, and about how many seconds, shrinking one may take."""

CHANCES = 32
CHANCES_S = 1.0
"""How many schedules are run with other chance, where any was drawn, and for how long at most: what comes with every
second chance is missed with 2**-32."""

LONG = 5_000
"""Steps of a schedule above which it is neither shrunk nor recorded: nobody reads that."""

COMPARING_S = 2.0
"""Seconds after which an exploration compares a schedule with one in processes made anew; all do so at the end too."""

MOST_COMPARED = 3
"""How many witnesses are compared so."""

SCHEDULES_SEARCHED = 16
"""How many schedules at first, beside those that are shrunk, are searched for memory that changed without a step."""


def run(folder: str, orders: Orders) -> None:
    """Explore to the end: everything is covered, the time is over, or the exploration cannot go on."""
    send = functools.partial(common.send, folder)
    try:
        clean_up_with_parent(folder)
        _pin()
        prepare(orders.root, orders.method, orders.seed)
        names = orders.actors or (MAIN,)
        executor = Executor(_board(names), len(names), orders.limit)
        Exploration(orders, *_subjects(orders, executor, send), executor, send).run()
    except Refused as error:
        send(common.Refused(str(error)))
    except EndedEarly as error:
        kind, value, detail = error.outcome.kind, error.outcome.value, dict(error.outcome.detail)
        send(messages.NewOutcome(0, kind, value, detail))
    except Exception as error:  # noqa: BLE001  # of the making of a state, or a mistake of the bench: journalled
        from bench.process.instrument import describe

        described = getattr(error, "described", None)  # of a process forked for it
        send(common.Failed(**(described or describe(error))))
        os._exit(1)
    send(common.Over())
    os._exit(0)  # the observer ends the other processes


def _pin() -> None:
    """Pin this process, and those it starts, to one CPU: where one runs at a time, a second CPU only costs wake-ups."""
    if usable := usable_cpus():
        os.sched_setaffinity(0, {usable[os.getpid() % len(usable)]})


def _board(names: Sequence[str]) -> Board:
    """Make the board, on which the first lanes have these names."""
    if len(names) > at.MOST_LANES:
        raise Refused(f"it has {len(names)} actors, and an exploration at most {at.MOST_LANES} processes")
    board = Board(os.environ[VARIABLE], create=True)
    for name in names:
        board.add_name(name)
    return board


def _subjects(orders: Orders, executor: Executor, send: Callable[[Event], None]) -> tuple[Subject, FreshSubject | None]:
    """Return what is explored, and the same with everything made anew; `None` where that is so in any case."""
    if orders.actors:
        from bench.explore.driver.afresh import FreshSubject
        from bench.explore.driver.scenario import ScenarioSubject

        scenario = ScenarioSubject(orders, executor, send)
        return scenario, FreshSubject(scenario)
    from bench.explore.driver.program import ProgramSubject

    return ProgramSubject(orders, executor, send), None


class Finding:
    """An outcome, how often it came, and the choices that led to it first."""

    __slots__ = ("count", "lanes", "number", "outcome")

    def __init__(self, number: int, outcome: Outcome) -> None:
        self.number, self.outcome, self.count = number, outcome, 0
        self.lanes: tuple[int, ...] = ()


class Exploration:
    """The subject, the executor, the strategy, and what is known so far."""

    def __init__(
        self,
        orders: Orders,
        subject: Subject,
        fresh: FreshSubject | None,
        executor: Executor,
        send: Callable[[Event], None],
    ) -> None:
        self.orders, self.subject, self.executor, self.send = orders, subject, executor, send
        self.fresh = fresh
        """The same subject with everything made anew for each schedule; `None` if `subject` is so."""
        self.last: Trace | None = None
        """The last schedule that gave an outcome."""
        self.latest: Trace | None = None
        """The same, also of those that were run to shrink one or to repeat it."""
        self.witnessed: list[Trace] = []
        """The schedules that are recorded as witnesses, of outcomes that did not come at first."""
        self.board, self.labels = executor.board, executor.labels
        self.found: dict[str, Finding] = {}
        self.schedules = self.asleep = 0
        self.counting = True
        self.auditing = False
        self.reported_at = 0.0
        self.steps_then = -1
        """Steps of the running schedule when it last gave a sign of life."""
        self.shrinking_until: float | None = None
        self.lines = NewLines(self.board)
        self.to_audit: list[tuple[int, ...]] = []
        """The choices of the schedules that will be audited."""
        self.samples: list[tuple[int, ...]] = []
        """Those of others that are too, if there is time."""
        self.pairs = Pairs()
        self.contents: object = None
        """What the shared memory held at the end of the last schedule, while pairs are swapped."""
        self.mistaken = ""
        """Which steps are not independent, though they are taken as such; empty if none is known."""

    def run(self) -> None:
        """Explore, or follow the schedule that is given."""
        if self.orders.kills:  # a lane may be killed in the middle of what is one step otherwise, and keep a lock
            self.board.split_all()
        self.subject.ready()
        _settle()
        if self.orders.replay is not None:
            self.replay(self.orders.replay)
        else:
            self.explore()
        self.subject.close()
        if self.fresh is not None:
            self.fresh.end()

    def explore(self) -> None:
        """Run the plans of the strategy, and journal what they gave.

        Where something stays from schedule to schedule, what was run counts for nothing: the exploration begins anew,
        with everything made anew for each schedule.
        """
        seconds = self.orders.seconds if self.orders.seconds is not None else float("inf")
        begun = monotonic()
        if self._explore(begun + seconds):
            return
        left = begun + seconds - monotonic()
        self._begin_afresh()
        self._explore(monotonic() + max(left, seconds / 2))

    def _explore(self, deadline: float) -> bool:
        """Run the plans of the strategy; return whether that counts, and then journal what they gave."""
        begun = monotonic()
        compare_at = begun + COMPARING_S if self.fresh is not None else float("inf")
        strategy, finer = self._strategy(), self.board.finer
        while monotonic() < deadline and (plan := strategy.next()) is not None:
            trace = self.play(plan)
            if monotonic() >= compare_at:
                compare_at = float("inf")
                if self._keeps_something():
                    return False
            if finer == self.board.finer:
                strategy.learn(trace)
                self.pairs.look(trace)
            else:  # what was run so far had steps that were too coarse
                strategy, finer, self.pairs = self._strategy(), self.board.finer, Pairs()
                self._begin_anew()
            if monotonic() - self.reported_at >= REPORT_S:
                self.report()
        took_s = monotonic() - begun
        schedules, steps = self.schedules, self.executor.steps  # before those of the shrinking
        self.report()
        if strategy.complete and strategy.reduces:
            self.swap_pairs()
        self.report_witnesses()
        if self.fresh is not None and self._keeps_something():
            return False
        chances = self._try_chances()
        caveats = self.subject.caveats(self.schedules)
        but = [*caveats.claim, *self._unrecorded()]
        audited = self._audit()
        # Where something is not controlled, it may be what makes the difference in the other order.
        mistaken = [] if self.board.uncontrolled() else [self.mistaken]
        limits = (*caveats.limits, *filter(None, mistaken))
        doubts = [*self.board.uncontrolled(), *filter(None, [self.executor.differed]), *limits]
        self.send(
            messages.Figures(
                schedules=schedules,
                steps=steps,
                seconds=took_s,
                strategy=strategy.name,
                complete=strategy.complete and not but and not doubts,
                claim="; ".join((strategy.claim(), *caveats.narrowed, *but, *chances, *audited.caveats())),
                points=self.executor.distinct,
                rebuilt=caveats.rebuilt,
                why_rebuilt=caveats.why_rebuilt,
                uncontrolled=self.board.uncontrolled(),
                differed=self.executor.differed,
                asleep=self.asleep,
                limits=limits,
                audit=audited._asdict(),
                left=caveats.left,
            )
        )
        return True

    def _keeps_something(self) -> bool:
        """Return whether schedules go otherwise in processes made anew, by running some of them there.

        What differs there from one time to the next as well is kept by no process: it is up to chance, and noted.
        """
        assert self.fresh is not None
        subject, differed, counting = self.subject, self.executor.differed, self.counting
        if self.last is None or (self.schedules < 2 and len(self.found) < 2 and not differed):
            return False  # the first schedule was run in new processes anyway
        subject.close()
        self.executor.drain()
        self.subject, self.counting = self.fresh, False
        try:
            compared = [self.last, *self.witnessed[-MOST_COMPARED:], *([self.latest] if differed else [])]
            for before in filter(None, compared):
                again = self._play_apart(before)
                if _differs(before, again):
                    if not _differs(again, self._play_apart(before)):
                        self.fresh.why_rebuilt = _what_stays(before, again)
                        return True
                    differed = differed or "it differs in processes made anew, from one time to the next"
        finally:
            self.subject, self.executor.differed, self.counting = subject, differed, counting
        return False

    def _play_apart(self, before: Trace) -> Trace:
        """Run a schedule again, compared to none before it."""
        self.executor.forget()
        trace = self.play_and_report(Plan(before.lanes))
        self.executor.forget()
        return trace

    def _begin_afresh(self) -> None:
        """Forget all that was run, and have everything made anew from here on."""
        assert self.fresh is not None
        self.subject, self.fresh = self.fresh, None
        self.found.clear()
        self.witnessed.clear()
        self.to_audit.clear()
        self.samples.clear()
        self.executor.new_place = True
        self.schedules = self.asleep = self.executor.steps = 0
        self.counting, self.last, self.executor.differed = True, None, ""
        self.shrinking_until = None
        self.pairs, self.mistaken = Pairs(), ""
        self.send(messages.Anew())

    def _strategy(self) -> Strategy:
        orders = self.orders
        return make(
            orders.strategy,
            preemptions=orders.preemptions,
            schedules=orders.schedules,
            seed=orders.seed,
            lanes=self.executor.actors,
            kills=orders.kills,
        )

    def _begin_anew(self) -> None:
        """Count from the beginning; outcomes that do not come again stay as they were journalled."""
        self.report()
        self.schedules = 0
        self.to_audit.clear()
        self.samples.clear()
        self.executor.new_place = True
        for one in self.found.values():
            one.count, one.lanes = 0, ()

    def _audit(self) -> Audited:
        if not self.orders.audited:
            return Audited(0, (), "that was not asked for")
        self.auditing = True
        try:
            return audit(self.executor, self.subject, self.play_and_report, self.to_audit, self.samples)
        finally:
            self.auditing = False

    def _try_chances(self) -> list[str]:
        """Run schedules with other chance, if any was drawn, and count what they gave; return what a claim says of it.

        They are neither shrunk nor recorded, since the chance of a schedule is that of the seed.
        """
        subject, board, until = self.subject, self.board, monotonic() + CHANCES_S
        if not board.drawn:
            return []
        try:
            while board.chance < CHANCES and monotonic() < until:
                board.chance += 1
                subject.ready()
                end = self.executor.run(Plan(), self._look_after)
                if (outcome := subject.outcome(end)) is not None:
                    self._count_one(self.found[self._register(outcome)])
                subject.put_back(end)
            return [f"with the chance of seed {self.orders.seed}, and once with each of {board.chance} others"]
        finally:
            board.chance = 0
            self.report()

    def replay(self, wanted: Mapping[str, Any]) -> None:
        """Follow a schedule that was recorded, and journal what became of it."""
        from bench.explore.findings.following import follow

        finer = -1
        while finer != self.board.finer:  # its steps become as fine as those of the file as its own ones want it
            finer = self.board.finer
            followed = follow(wanted, self.play_and_report, self.labels)
            if self.fresh is not None and (followed["divergence"] or len(followed["counts"]) > 1):
                self.subject.close()
                self.executor.drain()
                self._begin_afresh()  # what it differs by may be what its processes keep
                finer = -1
        self.report()
        trace, witness = self.play_in_detail(tuple(followed["lanes"]))
        uncontrolled = self.board.uncontrolled()
        self.send(messages.Replay(**followed, outcome=trace.outcome, witness=witness, uncontrolled=uncontrolled))

    # One schedule.

    def play(self, plan: Plan) -> Trace:
        """Run a plan, count its outcome, and put everything back; return its trace."""
        subject, executor = self.subject, self.executor
        subject.ready()
        self.steps_then = 0
        end = executor.run(plan, self._look_after)
        if not self.counting and not self.auditing:
            self.contents = subject.contents()
        changed = subject.changed() if self.schedules < SCHEDULES_SEARCHED or not self.counting else set()
        outcome = subject.outcome(end)
        # Under audit some accesses fail: what comes of that is no finding.
        key = self._register(outcome) if outcome is not None and not self.auditing else ""
        # After a process has died no other goes on: to a strategy that is as if none could.
        trace = executor.trace(plan, "stuck" if end == "died" else end, key)
        for number in changed - {step.op.object for step in trace.steps if step.op.kind not in READS}:
            self.board.note_uncontrolled(f"{self.labels.object(number)}: changed by something that is not seen")
        if self.counting:
            self.schedules += 1
            if self.executor.new_place or self.lines.came():
                self.executor.new_place = False
                self.to_audit.append(trace.lanes)
            elif len(self.samples) < SAMPLES:
                self.samples.append(trace.lanes)
        if trace.outcome:
            self._count(trace)
            if self.counting:
                self.last = trace
            self.latest = trace
        elif end == "asleep":
            self.asleep += 1
        subject.put_back(end)
        return trace

    def play_and_report(self, plan: Plan) -> Trace:
        """Run a plan, after a sign of life if there was none for `REPORT_S`."""
        if monotonic() - self.reported_at >= REPORT_S:
            self.report()
        return self.play(plan)

    def play_in_detail(self, lanes: tuple[int, ...]) -> tuple[Trace, dict[str, Any]]:
        """Run a schedule with the values that its steps see; return its trace, and what a record holds of it."""
        from bench.explore.findings.schedule import witness

        with self.executor.in_detail():
            trace = self.play(Plan(lanes))
            return trace, witness(trace, self.labels, self.executor.values()[: len(trace.steps)])

    def _look_after(self) -> bool:
        """Journal a sign of life of a schedule that takes long, and revive a dead lane; return whether it can go on."""
        steps = self.board.steps
        if steps != self.steps_then and monotonic() - self.reported_at >= REPORT_S:
            self.steps_then = steps
            self.report()
        dead = self.subject.dead()
        return dead is None or self.subject.revive(dead)

    def _register(self, outcome: Outcome) -> str:
        """Add an outcome to the findings if it is new, with the stacks of the processes that wait; return its key."""
        key = outcome.key
        if key not in self.found:
            if outcome.kind in STANDSTILLS:
                stacks: Any = self.subject.stacks()
                outcome = Outcome(outcome.kind, outcome.value, {**outcome.detail, "processes": stacks})
            self.found[key] = Finding(len(self.found), outcome)
        return key

    def _count(self, trace: Trace) -> None:
        one = self.found[trace.outcome]
        if not one.count:
            one.lanes = trace.lanes
        if self.counting or not one.count:
            self._count_one(one)

    def _count_one(self, one: Finding) -> None:
        if not one.count:
            outcome = one.outcome
            self.send(messages.NewOutcome(one.number, outcome.kind, outcome.value, dict(outcome.detail)))
        one.count += 1

    # The journal.

    def report(self) -> None:
        """Journal the counts so far, which is also a sign of life."""
        counts = {one.number: one.count for one in self.found.values() if one.count}
        self.send(messages.Counts(counts, self.schedules, self.executor.steps))
        self.reported_at = monotonic()

    def report_witnesses(self) -> None:
        """Shrink the schedules of the first outcomes, and journal them step by step."""
        self.counting = False
        for key, one in list(islice(self.found.items(), MOST_WITNESSES)):
            if one.count and len(one.lanes) <= LONG:
                trace, witness = self.play_in_detail(self._shrunk(key, one.lanes))
                if trace.outcome == key:
                    self.send(messages.Witness(one.number, witness))
                    self.to_audit.append(trace.lanes)
                    if one.number:
                        self.witnessed.append(trace)
                self._repeat(trace)

    def swap_pairs(self) -> None:
        """Let a few pairs of steps that are taken as independent change places; note where that matters."""
        self.counting = False
        before, contents = None, None
        for swap in self.pairs.chosen():
            if before is not swap.trace:
                before = self.play(Plan(swap.trace.lanes))
                contents = self.contents
                if before != swap.trace:  # it is not the order that makes the difference
                    self._note_difference(swap.trace, before)
                    return
            trace = self.play_and_report(Plan(swap.lanes))
            found = difference(swap, trace) or ("" if self.contents == contents else "the memory differs at its end")
            if found:
                one, other = (self._words(step) for step in swap.trace.steps[swap.first : swap.first + 2])
                self.mistaken = f"{one}, then {other}: in the other order {found} (a bug of forkbench: please report)"
                return

    def _words(self, step: Step) -> str:
        op, labels = step.op, self.labels
        return f"{op.kind} {labels.object(op.object)} at {labels.place(op.place)}"

    def _unrecorded(self) -> list[str]:
        """Return what keeps a claim from holding as it is: schedules that are too long to be recorded."""
        long = any(len(one.lanes) > LONG for one in self.found.values())
        return [f"schedules of more than {LONG:,} steps are not kept"] if long else []

    def _shrunk(self, key: str, lanes: tuple[int, ...]) -> tuple[int, ...]:
        """Return a shorter schedule of the outcome; the same one if there is no time left to look for it."""
        from bench.explore.search.shrinking import Unstable, shrink

        begun = monotonic()
        self.shrinking_until = self.shrinking_until or begun + self.subject.shrinking_s
        if begun > self.shrinking_until:
            return lanes
        self.play(Plan(lanes))
        one_s = max(monotonic() - begun, 1e-6)
        try:
            found = shrink(lanes, key, self.play_and_report, max(4, min(MOST_SHRINKING, int(SHRINKING_S / one_s))))
        except Unstable as error:
            self.executor.differed = self.executor.differed or str(error)
            return lanes
        return found.lanes

    def _repeat(self, before: Trace) -> None:
        """Run a schedule again, and note whether it differs."""
        again = self.play(Plan(before.lanes))
        if again != before:
            self._note_difference(before, again)

    def _note_difference(self, before: Trace, again: Trace) -> None:
        gave = f"it gave {before.outcome or before.end!r}, then {again.outcome or again.end!r}"
        self.executor.differed = self.executor.differed or gave


def _differs(one: Trace, other: Trace) -> bool:
    """Return whether two runs of the same choices went differently, whatever the names of what they used."""
    return _course(one) != _course(other)


def _course(trace: Trace) -> tuple[object, ...]:
    return trace.end, trace.outcome, [(step.lane, step.op.kind, step.op.place) for step in trace.steps]


def _what_stays(before: Trace, again: Trace) -> str:
    if before.outcome != again.outcome:
        what = f"gave {before.outcome or before.end} after others, and {again.outcome or again.end}"
    else:
        what = "took other steps after others than"
    return f"something stays from schedule to schedule: the same one {what} in processes made anew"


def _settle() -> None:
    """Collect garbage, and exempt what is left from later collections."""
    gc.collect()
    if hasattr(gc, "freeze"):
        gc.freeze()
