"""Neighbours that are taken as independent change places, and nothing may differ."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.explore.model import Op, Plan, Trace, dependent
from bench.explore.search import make
from bench.explore.search.dpor import PartialOrder
from bench.explore.search.swaps import LEAST, MOST, SHARE, Pairs, Swap, difference
from bench.testing import FakeMachine, Program
from bench.testing.machine import Lane, acquire, explore, read, release, write


def program(*lanes: Callable[[], Lane]) -> Program:
    return Program({f"lane {number}": lane for number, lane in enumerate(lanes)}, {"L": 1, "M": 1})


def adding(name: str, lock: str = "L") -> Callable[[], Lane]:
    def lane() -> Lane:
        yield read(f"before {name}")
        yield acquire(lock)
        seen = yield read(name, place=1)
        yield write(name, seen + 1)
        yield release(lock)

    return lane


def writing(name: str, value: int) -> Callable[[], Lane]:
    def lane() -> Lane:
        yield write(name, value)

    return lane


def looking(name: str) -> Callable[[], Lane]:
    def lane() -> Lane:
        yield read(name)

    return lane


def differences(of: Program, depends: Callable[[Op, Op], bool] = dependent) -> list[str]:
    machine, pairs = FakeMachine(of, depends=depends), Pairs(depends=depends)
    strategy = PartialOrder(depends=depends)
    for trace in explore(strategy, machine):
        pairs.look(trace)
    assert strategy.complete
    swaps = pairs.chosen()
    return [difference(swap, machine.run(Plan(swap.lanes))) for swap in swaps]


@pytest.mark.parametrize(
    "lanes",
    [
        (adding("x"), adding("x")),
        (adding("x"), adding("y", "M"), writing("x", 5)),
        (writing("x", 1), writing("y", 1), writing("z", 1)),
    ],
)
def test_independent_neighbours_make_no_difference(lanes: tuple[Callable[[], Lane], ...]) -> None:
    found = differences(program(*lanes))
    assert found
    assert not any(found)


def writes_do_not_matter(one: Op, other: Op) -> bool:
    return dependent(one, other) and (one.kind, other.kind) != ("write", "write")


def reads_do_not_matter(one: Op, other: Op) -> bool:
    return dependent(one, other) and "read" not in (one.kind, other.kind)


@pytest.mark.parametrize(
    ("wrong", "lanes"),
    [
        (writes_do_not_matter, (writing("x", 1), writing("x", 2))),
        (reads_do_not_matter, (writing("x", 1), looking("x"))),
    ],
)
def test_a_wrong_idea_of_what_depends_on_what_shows(
    wrong: Callable[[Op, Op], bool], lanes: tuple[Callable[[], Lane], ...]
) -> None:
    assert any("and gave" in one for one in differences(program(*lanes), wrong))


def test_lanes_that_do_other_things_afterwards_are_a_difference() -> None:
    machine = FakeMachine(program(writing("x", 1), writing("y", 2)))
    trace = machine.run(Plan((0, 1)))
    swap = Swap(trace, 0)
    assert swap.lanes == (1, 0)
    other = machine.run(Plan((1, 0)))
    assert difference(swap, other) == ""
    changed = [step._replace(op=step.op._replace(place=7)) for step in other.steps]
    assert difference(swap, other._replace(steps=tuple(changed))) == "its lanes do other things"
    longer = machine.run(Plan((0, 1)))
    later = Swap(Trace((*longer.steps, longer.steps[0]), "done", {}, longer.outcome), 0)
    swapped = Trace((*other.steps, longer.steps[0]._replace(enabled=4)), "done", {}, longer.outcome)
    assert difference(later, swapped) == "other lanes can go on"


def test_of_a_schedule_in_which_a_lane_waits_nothing_is_swapped() -> None:
    def waiting() -> Lane:
        while not (yield read("x", waits=True)):
            pass

    def twice() -> Lane:
        yield write("y", 1)
        yield write("x", 1)

    pairs = Pairs()
    pairs.look(FakeMachine(program(waiting, twice)).run(Plan((0, 1, 0, 1))))
    assert pairs.chosen() == []


def test_there_are_few_of_a_small_exploration_and_never_many() -> None:
    def busy(number: int) -> Callable[[], Lane]:
        def lane() -> Lane:
            for one in range(4):
                yield write(f"{number} {one}", 1)

        return lane

    machine, pairs = FakeMachine(program(busy(1), busy(2))), Pairs()
    trace = machine.run(Plan((0, 1) * 4))
    pairs.look(trace)
    assert len(pairs.chosen()) == LEAST
    for _ in range(SHARE * MOST):
        pairs.look(trace)
    assert len(pairs.chosen()) == 7


def test_only_what_a_reduction_covers_rests_on_it() -> None:
    assert [make(name, lanes=2).reduces for name in ("dpor", "dfs", "pct", "random", "portfolio")] == [
        True,
        False,
        False,
        False,
        False,
    ]
    portfolio = make("portfolio", lanes=2)
    explore(portfolio, FakeMachine(program(writing("x", 1), writing("x", 2))))
    assert portfolio.reduces
