"""A machine in one thread that runs lanes by a plan, as the real executor does by real processes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.explore.model import Op, Plan, Step, Trace, killing

State = dict[str, Any]
Lane = Generator[Op, None, None]
LIMIT = 400


@dataclass
class Machine:
    """Lanes are generators that yield what they are about to do, and do it when they are resumed.

    An `acquire` can be taken only while nobody holds the object.
    """

    lanes: Mapping[str, Callable[[State], Lane]]
    start: Mapping[str, Any]
    result: Callable[[State], object]
    objects: Mapping[int, str] = field(default_factory=dict)
    places: Mapping[int, str] = field(default_factory=dict)
    runs: int = 0

    def run(self, plan: Plan) -> Trace:
        self.runs += 1
        return _Run(self, plan).to_its_end()

    def lane(self, number: int) -> str:
        return list(self.lanes)[number] if number < len(self.lanes) else ""

    def object(self, number: int) -> str:
        return self.objects.get(number, f"o{number}")

    def part(self, number: int, part: int) -> int:
        return part

    def place(self, number: int) -> str:
        return self.places.get(number, f"prog.py:{number}")


class _Run:
    def __init__(self, machine: Machine, plan: Plan) -> None:
        self.machine, self.plan = machine, plan
        self.state: State = dict(machine.start)
        self.held: set[int] = set()
        self.lanes = [make(self.state) for make in machine.lanes.values()]
        self.pending: dict[int, Op] = {}
        self.steps: list[Step] = []
        for number in range(len(self.lanes)):
            self.advance(number)

    def advance(self, number: int) -> None:
        try:
            self.pending[number] = next(self.lanes[number])
        except StopIteration:
            self.pending.pop(number, None)

    def enabled(self) -> int:
        can = [n for n, op in self.pending.items() if op.kind != "acquire" or op.object not in self.held]
        return sum(1 << number for number in can)

    def to_its_end(self) -> Trace:
        while self.pending:
            enabled = self.enabled()
            if (killed := self.killed()) in self.pending:
                self.steps.append(Step(killing(killed), Op("kill", 0), enabled))
                self.pending.pop(killed)
                continue
            if not enabled:
                circle = ", ".join(f"{self.machine.lane(n)} waits for {op.object}" for n, op in self.pending.items())
                return Trace(tuple(self.steps), "stuck", dict(self.pending), f"deadlock {circle}")
            if len(self.steps) >= LIMIT:
                return Trace(tuple(self.steps), "limit", dict(self.pending), "hang livelock")
            lane = self.chosen(enabled)
            if lane < 0 or not enabled >> lane & 1:
                return Trace(tuple(self.steps), "diverged")
            self.take(lane, enabled)
        return Trace(tuple(self.steps), "done", {}, f"value {self.machine.result(self.state)}")

    def killed(self) -> int:
        choice = self.plan.lanes[len(self.steps)] if len(self.steps) < len(self.plan.lanes) else 0
        return killing(choice) if choice < 0 else -1

    def chosen(self, enabled: int) -> int:
        at = len(self.steps)
        if at < len(self.plan.lanes):
            return self.plan.lanes[at]
        ran = [step.lane for step in self.steps if step.lane >= 0]
        if ran and enabled >> ran[-1] & 1:
            return ran[-1]
        return (enabled & -enabled).bit_length() - 1

    def take(self, lane: int, enabled: int) -> None:
        op = self.pending[lane]
        self.steps.append(Step(lane, op, enabled))
        if op.kind == "acquire":
            self.held.add(op.object)
        elif op.kind == "release":
            self.held.discard(op.object)
        self.advance(lane)


X, LOCK, OTHER = 1, 2, 3


def adds(name: str, amount: int, times: int = 1, line: int = 10) -> Callable[[State], Lane]:
    def lane(state: State) -> Lane:
        for _ in range(times):
            yield Op("read", X, place=line)
            seen = state["x"]
            yield Op("write", X, place=line)
            state["x"] = seen + amount

    return lane


def takes(first: int, second: int, line: int) -> Callable[[State], Lane]:
    def lane(state: State) -> Lane:
        yield Op("acquire", first, place=line)
        yield Op("acquire", second, place=line)
        state["x"] += 1
        yield Op("release", second, place=line + 1)
        yield Op("release", first, place=line + 1)

    return lane


def account(times: int = 1) -> Machine:
    return Machine(
        {"deposit": adds("deposit", 1, times, 10), "withdraw": adds("withdraw", -1, times, 20)},
        {"x": 200},
        lambda state: state["x"],
        {X: "balance"},
        {10: "account.py:10", 20: "account.py:20"},
    )


def crossed() -> Machine:
    return Machine(
        {"forth": takes(LOCK, OTHER, 10), "back": takes(OTHER, LOCK, 20)},
        {"x": 0},
        lambda state: state["x"],
        {LOCK: "a", OTHER: "b"},
    )
