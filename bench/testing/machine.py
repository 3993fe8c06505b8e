"""A machine that runs a strategy's plans on lanes that are generators: no processes, and no time but a counter.

A lane yields what it is about to do, and is sent what came of it::

    def deposit() -> Lane:
        seen = yield read("balance")
        yield write("balance", seen + 1)

    machine = FakeMachine(Program({"deposit": deposit, "withdraw": withdraw}))
    traces = explore(make("dfs", lanes=2), machine)

A step is taken as the executor of an exploration takes it: one lane at a time, of those that can go on.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.explore.model import NOTHING, READS, WHOLE, End, Op, Plan, Step, Trace, dependent, killing

if TYPE_CHECKING:
    from bench.explore.search.strategy import Strategy

__all__ = [
    "Do",
    "FakeMachine",
    "Lane",
    "Program",
    "acquire",
    "attempt",
    "begin",
    "explore",
    "join",
    "leave",
    "look",
    "read",
    "receive",
    "release",
    "send",
    "sleep",
    "start",
    "write",
]


@dataclass(frozen=True)
class Do:
    """What a lane asks for.

    Attributes:
        kind: the kind of operation, one of `bench.explore.model.KINDS`.
        name: the object that it is done to.
        part: the part of the object, or `WHOLE`.
        value: what is written or sent; of a sleep, the time that it ends at.
        wants: the counter that must be above 0 before it can be done; empty for none.
        place: the line of the program that does it.
        waits: whether it is all that a loop does, which goes round until it reads something else.
    """

    kind: str
    name: str = ""
    part: int = WHOLE
    value: int = 0
    wants: str = ""
    place: int = 0
    waits: bool = False


Lane = Generator[Do, int, None]
"""A process: yields what it is about to do, is sent the result."""


def read(name: str, part: int = WHOLE, *, guard: str = "", place: int = 0, waits: bool = False) -> Do:
    """Read a value, which is 0 at first; `guard` is a lock that nobody else may hold meanwhile."""
    return Do("read", name, part, wants=guard, place=place, waits=waits)


def write(name: str, value: int, part: int = WHOLE, *, guard: str = "", place: int = 0) -> Do:
    """Write a value."""
    return Do("write", name, part, value, wants=guard, place=place)


def acquire(name: str, *, place: int = 0) -> Do:
    """Take one from a counter, such as a lock's, once it is above 0."""
    return Do("acquire", name, wants=name, place=place)


def attempt(name: str, *, place: int = 0) -> Do:
    """Take one from a counter if it is above 0; the result is 1 if it was, else 0."""
    return Do("try", name, place=place)


def release(name: str, *, place: int = 0) -> Do:
    """Add one to a counter."""
    return Do("release", name, place=place)


def send(name: str, value: int, *, place: int = 0) -> Do:
    """Put a value into a channel, which takes any number."""
    return Do("send", name, value=value, place=place)


def receive(name: str, *, place: int = 0) -> Do:
    """Take the oldest value from a channel, once it holds one."""
    return Do("receive", name, wants=name, place=place)


def leave(name: str, *, place: int = 0) -> Do:
    """End as the process of that name, for which a `join` waits."""
    return Do("exit", name, place=place)


def join(name: str, *, place: int = 0) -> Do:
    """Wait for the end of a process."""
    return Do("join", name, wants=name, place=place)


def start(name: str, *, place: int = 0) -> Do:
    """Start a process, whose lane waits to `begin`."""
    return Do("start", name, place=place)


def begin(name: str, *, place: int = 0) -> Do:
    """Begin as the process of that name, once it was started."""
    return Do("begin", name, wants=name, place=place)


def sleep(until: int) -> Do:
    """Sleep until a time, which comes when nobody else can go on."""
    return Do("sleep", value=until)


def look(name: str, *, place: int = 0) -> Do:
    """Look at something that nobody changes."""
    return Do("look", name, place=place)


@dataclass(frozen=True)
class Program:
    """What a machine runs, from its beginning for each plan.

    Attributes:
        lanes: the processes, by their names.
        counters: what counters begin at: a lock at 1. One that is not here begins at 0.
        recursive: locks that their holder may take again.
        values: what values begin at. One that is not here begins at 0.
        result: returns the value that a schedule gives, from the values at its end. With `None`, the outcome of a
            schedule is all that its lanes saw: two of one outcome cannot be told apart by any lane.
        file: the file that places are in, for people.
    """

    lanes: Mapping[str, Callable[[], Lane]]
    counters: Mapping[str, int] = field(default_factory=dict)
    recursive: frozenset[str] = frozenset()
    values: Mapping[str, int] = field(default_factory=dict)
    result: Callable[[Mapping[str, int]], object] | None = None
    file: str = "prog.py"


class FakeMachine:
    """Runs plans of one program, and names what is in their traces.

    Args:
        program: what is run.
        limit: the most steps of a schedule.
        sleeps: whether lanes asleep are passed over, as `Plan.asleep` asks for.
        depends: which operations wake a lane that is asleep.

    Attributes:
        schedules: how many plans were run.
        steps: how many steps were taken in all of them.
    """

    def __init__(
        self,
        program: Program,
        *,
        limit: int = 1000,
        sleeps: bool = True,
        depends: Callable[[Op, Op], bool] = dependent,
    ) -> None:
        self.program = program
        self.limit = limit
        self.sleeps = sleeps
        self.depends = depends
        self.schedules = 0
        self.steps = 0
        self._numbers: dict[str, int] = {"": NOTHING}

    def run(self, plan: Plan) -> Trace:
        """Run a plan to its end, and on from there as it says."""
        self.schedules += 1
        run = _Run(self, plan)
        end = run.to_the_end()
        self.steps += len(run.steps)
        pending = {lane: self.op(do) for lane, do in sorted(run.pending.items())}
        outcome = run.outcome(end) if end in {"done", "stuck", "limit"} else ""
        return Trace(tuple(run.steps), end, pending, outcome)

    def op(self, do: Do) -> Op:
        """Return the operation of what a lane asks for; objects are numbered as they come, from 1."""
        number = self._numbers.setdefault(do.name, len(self._numbers))
        return Op(do.kind, number, do.part, do.place, self._numbers.setdefault(do.wants, len(self._numbers)))

    def lane(self, number: int) -> str:
        """Return the name of a lane; empty if there is none."""
        return list(self.program.lanes)[number] if number < len(self.program.lanes) else ""

    def object(self, number: int) -> str:
        """Return the name of an object."""
        return list(self._numbers)[number]

    def part(self, number: int, part: int) -> int:  # noqa: ARG002  # of the interface
        """Return a part of an object as the user knows it."""
        return part

    def place(self, number: int) -> str:
        """Return a place as `file:line`."""
        return f"{self.program.file}:{number}"


def explore(strategy: Strategy, machine: FakeMachine, most: int = 5_000) -> list[Trace]:
    """Run a strategy's plans until it has no more, or `most` of them, and return their traces."""
    traces: list[Trace] = []
    while len(traces) < most and (plan := strategy.next()) is not None:
        traces.append(machine.run(plan))
        strategy.learn(traces[-1])
    return traces


class _Run:
    """One schedule."""

    def __init__(self, machine: FakeMachine, plan: Plan) -> None:
        program = machine.program
        self.machine = machine
        self.plan = plan
        self.steps: list[Step] = []
        self.lanes = [lane() for lane in program.lanes.values()]
        firsts = {number: next(lane, None) for number, lane in enumerate(self.lanes)}
        self.pending: dict[int, Do] = {lane: do for lane, do in firsts.items() if do}
        self.values: dict[tuple[str, int], int] = {(name, WHOLE): value for name, value in program.values.items()}
        self.counters: dict[str, int] = dict(program.counters)
        self.owners: dict[str, list[int]] = {}
        self.channels: dict[str, deque[int]] = {}
        self.seen: list[list[int]] = [[] for _ in self.lanes]
        self.asleep: set[int] = set()
        self.clock = 0
        self.changed = -1  # the step that changed something last
        self.looked: dict[int, tuple[Do, int]] = {}  # the last step of a lane, and when
        self.random = random.Random(plan.seed)
        self.priorities = self.random.sample(range(1, len(self.lanes) + 1), len(self.lanes))

    def to_the_end(self) -> End:
        """Take steps until none is left, and return how it ended."""
        last = -1
        while self.pending:
            enabled, index = self.enabled(), len(self.steps)
            if (killed := self.killed(index)) is not None:
                self.kill(killed, enabled or [])
                continue
            if enabled is None:
                return "stuck"
            if not enabled or index >= self.machine.limit:
                return "limit"
            lane = self.planned(index, enabled, last)
            if isinstance(lane, str):
                return lane
            self.take(lane, enabled)
            last = lane
        return "done"

    def killed(self, index: int) -> int | None:
        """Return the choice of the plan that kills a lane, if it has one for this step."""
        choice = self.plan.lanes[index] if index < len(self.plan.lanes) else 0
        return choice if choice < 0 and killing(choice) in self.pending else None

    def planned(self, index: int, enabled: list[int], last: int) -> int | End:
        """Return the lane to run, or how the schedule ends if there is none."""
        plan = self.plan
        if index == len(plan.lanes) and self.machine.sleeps:
            self.asleep = set(plan.asleep)
        if index < len(plan.lanes):
            return plan.lanes[index] if plan.lanes[index] in enabled else "diverged"
        awake = [lane for lane in enabled if lane not in self.asleep]
        return self.choose(awake, last) if awake else "asleep"

    def choose(self, enabled: list[int], last: int) -> int:
        if self.plan.then == "random":
            return self.random.choice(enabled)
        if self.plan.then == "pct":
            if len(self.steps) in self.plan.changes and last >= 0:
                self.priorities[last] = -len(self.steps)
            return max(enabled, key=self.priorities.__getitem__)
        return last if last in enabled else enabled[0]

    def can(self, lane: int, do: Do) -> bool:
        if do.kind == "sleep":
            return self.clock >= do.value
        if not do.wants or self.counters.get(do.wants, 0) > 0:
            return True
        owners = self.owners.get(do.wants, [])
        return lane in owners and (do.wants in self.machine.program.recursive or do.kind != "acquire")

    def enabled(self) -> list[int] | None:
        """Return the lanes that can go on: none if all that can wait busily, `None` if nobody can."""
        while True:
            able = [lane for lane, do in sorted(self.pending.items()) if self.can(lane, do)]
            active = [lane for lane in able if not self.waits_busily(lane)]
            times = [do.value for do in self.pending.values() if do.kind == "sleep" and do.value > self.clock]
            if active or not times:
                return active if able else None
            self.clock = min(times)

    def waits_busily(self, lane: int) -> bool:
        """Return whether the lane would read again what it read, and nothing changed in between."""
        do, at = self.looked.get(lane, (None, 0))
        return do == self.pending[lane] and do.waits and self.changed < at

    def kill(self, choice: int, enabled: list[int]) -> None:
        self.steps.append(Step(choice, Op("kill", NOTHING), sum(1 << lane for lane in enabled)))
        del self.pending[killing(choice)]

    def take(self, lane: int, enabled: list[int]) -> None:
        do = self.pending[lane]
        op = self.machine.op(do)
        result = self.perform(lane, do)
        index = len(self.steps)
        if op.kind not in READS:
            self.changed = index
        if not (do.waits and self.seen[lane][-1:] == [result] and self.looked.get(lane, (None, 0))[0] == do):
            self.seen[lane].append(result)
        self.looked[lane] = (do, index)
        self.steps.append(Step(lane, op, sum(1 << one for one in enabled)))
        self.asleep -= {one for one in self.asleep if self.machine.depends(self.machine.op(self.pending[one]), op)}
        try:
            self.pending[lane] = self.lanes[lane].send(result)
        except StopIteration:
            del self.pending[lane]

    def perform(self, lane: int, do: Do) -> int:
        match do.kind:
            case "read":
                return self.values.get((do.name, do.part), 0)
            case "write":
                self.values[do.name, do.part] = do.value
            case "acquire" | "try":
                return self.acquire(lane, do.name)
            case "release":
                self.release(lane, do.name)
            case "send":
                self.channels.setdefault(do.name, deque()).append(do.value)
                self.counters[do.name] = self.counters.get(do.name, 0) + 1
            case "receive":
                self.counters[do.name] -= 1
                return self.channels[do.name].popleft()
            case "exit" | "start":
                self.counters[do.name] = 1
            case _:
                pass
        return 0

    def acquire(self, lane: int, name: str) -> int:
        owners = self.owners.setdefault(name, [])
        if self.counters.get(name, 0) > 0:
            self.counters[name] -= 1
        elif not (lane in owners and name in self.machine.program.recursive):
            return 0
        owners.append(lane)
        return 1

    def release(self, lane: int, name: str) -> None:
        owners = self.owners.setdefault(name, [])
        if lane in owners:
            owners.remove(lane)
        if not (lane in owners and name in self.machine.program.recursive):
            self.counters[name] = self.counters.get(name, 0) + 1

    def outcome(self, end: End) -> str:
        """Return the key of what came of the schedule."""
        values = {name if part == WHOLE else f"{name}[{part}]": at for (name, part), at in sorted(self.values.items())}
        result = self.machine.program.result
        if result is None:
            # What a lane saw while it waited busily counts once: how often it looked is not what came of it.
            blocked = {lane: do.name for lane, do in sorted(self.pending.items())} if end == "stuck" else {}
            return f"{end} {blocked} {values} {self.seen}"
        if end == "done":
            return f"value {result(values)}"
        waits = [f"{self.machine.lane(lane)} waits for {do.name}" for lane, do in sorted(self.pending.items())]
        return f"deadlock {', '.join(waits)}" if end == "stuck" else "hang livelock"
