"""Shrinking finds schedules with few preemptions, and never one that gives another outcome."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from bench.explore.model import Plan, Trace, killing, preemptions
from bench.explore.search.shrinking import Unstable, depth, preempted_before, shrink
from bench.testing import FakeMachine, Program
from bench.testing.machine import Do, Lane, acquire, look, read, release, write
from tests.fixtures.machines import account, adds, crossed

VERBS: dict[str, Callable[[str], Do]] = {"read": read, "acquire": acquire, "release": release}


def walk(machine: FakeMachine, seed: int) -> Trace:
    """One random schedule, step by step."""
    chance, lanes = random.Random(seed), list[int]()
    while True:
        trace = machine.run(Plan(tuple(lanes)))
        if len(trace.steps) == len(lanes):
            return trace
        enabled = trace.steps[len(lanes)].enabled
        lanes.append(chance.choice([n for n in range(8) if enabled >> n & 1]))


def found(machine: FakeMachine, outcome: str, seeds: int = 60) -> Trace:
    traces = [walk(machine, seed) for seed in range(seeds)]
    return max((one for one in traces if one.outcome == outcome), key=lambda one: preemptions(one.steps))


@pytest.mark.parametrize("outcome", ["value 199", "value 201"])
def test_a_lost_update_needs_one_preemption(outcome: str) -> None:
    machine = account()
    shrunk = shrink(found(machine, outcome).lanes, outcome, machine.run)
    assert shrunk.outcome == outcome
    assert preemptions(shrunk.steps) == 1
    assert depth(shrunk) == 2


def test_what_every_order_gives_needs_none() -> None:
    machine = account()
    shrunk = shrink(found(machine, "value 200").lanes, "value 200", machine.run)
    assert shrunk.lanes == (0, 0, 1, 1)
    assert (preemptions(shrunk.steps), depth(shrunk)) == (0, 0)


def test_crossed_locks_need_one_preemption() -> None:
    machine = crossed()
    outcome = "deadlock forth waits for b, back waits for a"
    shrunk = shrink((1, 0), outcome, machine.run)
    assert (shrunk.lanes, preemptions(shrunk.steps), depth(shrunk)) == ((1, 0), 1, 2)


def test_an_outcome_that_depends_on_the_order_alone_has_depth_one() -> None:
    def writes(value: int) -> Callable[[], Lane]:
        def lane() -> Lane:
            yield write("x", value)

        return lane

    machine = FakeMachine(Program({"a": writes(1), "b": writes(2)}, result=lambda values: values["x"]))
    shrunk = shrink((1, 0), "value 1", machine.run)
    assert (preemptions(shrunk.steps), depth(shrunk)) == (0, 1)


def test_three_increments_each_that_leave_two_need_four_preemptions() -> None:
    lanes = {"a": adds(1, 3, name="x"), "b": adds(1, 3, name="x")}
    machine = FakeMachine(Program(lanes, result=lambda values: values["x"]))
    shrunk = shrink((0, 1, 1, 1, 1, 0, 1, 0, 0, 0, 0, 1), "value 2", machine.run, budget=3000)
    assert shrunk.outcome == "value 2"
    assert preemptions(shrunk.steps) == fewest(machine, "value 2")


def fewest(machine: FakeMachine, outcome: str) -> int:
    """The fewest preemptions by going through every interleaving."""
    best, stack = 99, [tuple[int, ...]()]
    while stack:
        prefix = stack.pop()
        trace = machine.run(Plan(prefix))
        if trace.outcome == outcome:
            best = min(best, preemptions(trace.steps))
        for at in range(len(prefix), len(trace.steps)):
            step = trace.steps[at]
            others = [n for n in range(8) if step.enabled >> n & 1 and n != step.lane]
            stack += [(*trace.lanes[:at], other) for other in others]
    return best


@pytest.mark.parametrize("seed", range(20))
def test_it_finds_the_fewest_there_are_on_random_machines(seed: int) -> None:
    machine = random_machine(random.Random(seed))
    traces = {trace.outcome: trace for trace in (walk(machine, walked) for walked in range(12))}
    for outcome, trace in traces.items():
        shrunk = shrink(trace.lanes, outcome, machine.run, budget=5000)
        assert shrunk.outcome == outcome
        assert machine.run(Plan(shrunk.lanes)).outcome == outcome
        assert preemptions(shrunk.steps) == fewest(machine, outcome)


def random_machine(chance: random.Random) -> FakeMachine:
    def lane_of(kinds: list[tuple[str, str]]) -> Callable[[], Lane]:
        def lane() -> Lane:
            kept = 0
            for kind, name in kinds:
                saw = yield write(name, kept + 1) if kind == "write" else VERBS[kind](name)
                kept += saw if kind == "read" else 0

        return lane

    def some() -> list[tuple[str, str]]:
        ops = [(chance.choice(["read", "write"]), chance.choice("xy")) for _ in range(chance.randint(2, 3))]
        if chance.random() < 0.5:
            at = chance.randint(0, len(ops))
            ops = [*ops[:at], ("acquire", "lock"), *ops[at:], ("release", "lock")]
        return ops

    lanes = {name: lane_of(some()) for name in "abc"[: chance.randint(2, 3)]}
    return FakeMachine(
        Program(lanes, {"lock": 1}, values={"x": 0, "y": 0}, result=lambda values: (values["x"], values["y"]))
    )


def test_the_budget_is_kept_and_the_outcome_too() -> None:
    machine = account(times=6)
    trace = walk(machine, 3)
    assert preemptions(trace.steps) > 3
    before = machine.schedules
    shrunk = shrink(trace.lanes, trace.outcome, machine.run, budget=7)
    assert machine.schedules - before <= 8
    assert shrunk.outcome == trace.outcome
    assert preemptions(shrunk.steps) <= preemptions(trace.steps)


def test_a_schedule_that_gives_something_else_is_refused() -> None:
    machine = account()
    with pytest.raises(Unstable, match="value 200") as caught:
        shrink((0, 0, 1, 1), "value 199", machine.run)
    assert caught.value.trace.outcome == "value 200"


def test_interruptions_are_where_preemptions_are_counted() -> None:
    machine = account(times=3)
    for seed in range(50):
        trace = walk(machine, seed)
        assert len(preempted_before(trace.steps)) == preemptions(trace.steps)


def test_a_kill_that_is_needed_stays_and_its_preemptions_are_shrunk() -> None:
    machine = crossed()
    held = machine.run(Plan((1, 0, killing(0))))
    assert held.outcome == "deadlock back waits for a"
    shrunk = shrink(held.lanes, held.outcome, machine.run)
    assert shrunk.outcome == held.outcome
    assert shrunk.lanes == (0, killing(0), 1)


def test_a_kill_comes_as_soon_as_it_can() -> None:
    machine = crossed()
    late = machine.run(Plan((0, 0, killing(0), 1)))
    assert late.outcome == "deadlock back waits for b"
    first = shrink(machine.run(Plan((0, 0, 0, killing(0), 1, 1))).lanes, "deadlock back waits for a", machine.run)
    assert first.lanes == (0, killing(0), 1)


def test_a_kill_beside_the_matter_is_left_out() -> None:
    def looks() -> Lane:
        yield look("elsewhere")

    machine = account(looks=looks)
    trace = machine.run(Plan((0, killing(2), 1, 1, 0)))
    assert trace.outcome == "value 201"
    shrunk = shrink(trace.lanes, "value 201", machine.run)
    assert shrunk.outcome == "value 201"
    assert min(shrunk.lanes) >= 0
    assert preemptions(shrunk.steps) == 1
