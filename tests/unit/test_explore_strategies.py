from __future__ import annotations

from math import comb
from typing import TYPE_CHECKING

import pytest

from bench.explore.steps import Trace
from bench.explore.strategies import make
from tests.fixtures.machine import Lane, Machine, Program, read

if TYPE_CHECKING:
    from bench.explore.strategies.base import Strategy


def explore(strategy: Strategy, machine: Machine, most: int = 100_000) -> list[Trace]:
    """Run a strategy until it has no more plans, or `most` times."""
    traces: list[Trace] = []
    while len(traces) < most and (plan := strategy.next()) is not None:
        traces.append(machine.run(plan))
        strategy.learn(traces[-1])
    return traces


def stepping(steps: int) -> Lane:
    for place in range(steps):
        yield read("x", place=place)


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_two_lanes_of_k_steps_have_2k_over_k_interleavings(steps: int) -> None:
    strategy = make("dfs", lanes=2)
    traces = explore(strategy, Machine(Program(lanes=(lambda: stepping(steps),) * 2)))
    assert len(traces) == len({trace.lanes for trace in traces}) == comb(2 * steps, steps)
    assert strategy.complete
    assert strategy.claim() == f"all {comb(2 * steps, steps)} interleavings"
