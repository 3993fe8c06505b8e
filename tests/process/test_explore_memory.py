"""Shared memory under exploration: which outcomes there are, where an access takes several steps."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import pytest

from bench.explore.observe import observe
from bench.observation import Observation
from bench.outcomes import METHODS
from bench.targets import find
from tests.fixtures.figures import figures_of as figures

pytestmark = [
    pytest.mark.pinned,
    pytest.mark.skipif(sys.platform != "linux", reason="shared memory is looked at as Linux has it"),
]

each_method = pytest.mark.parametrize("method", METHODS)


def explored(name: str, method: str = "fork", strategy: str = "dfs", **bounds: Any) -> Observation:
    (found,) = find([f"tests.process.remembered:{name}"])
    return observe(found, method=method, strategy=strategy, seconds=60, **bounds)


def counts(observation: Observation) -> Counter[Any]:
    """Count the values, of an exploration that saw all it wanted to."""
    assert not observation.limits
    assert figures(observation)["complete"]
    found: Counter[Any] = Counter()
    for one in observation.outcomes:
        value = one.outcome.value if one.outcome.kind == "value" else one.outcome.kind
        found[tuple(value) if isinstance(value, list) else value] += one.count
    return found


# The lock of a value


@each_method
@pytest.mark.parametrize("name", ["Tried", "TriedForAMoment"])
def test_a_try_finds_the_lock_of_a_value_taken_while_another_lane_writes(name: str, method: str) -> None:
    # acquire, write, release; try, note: fails between acquire and release. Or try, note, release; before or after.
    assert counts(explored(name, method)) == {0: 5, 1: 2}
    assert set(counts(explored(name, method, "dpor"))) == {0, 1}


def test_who_waits_long_for_the_lock_of_a_value_gets_it_and_the_access_is_one_step() -> None:
    assert counts(explored("WaitedForLong")) == {1: 2}  # the write comes before acquire, note, release; or after them


def test_the_text_of_a_lock_says_whether_it_is_taken() -> None:
    assert counts(explored("Shown")) == {0: 5, 1: 5}  # acquire, write, release; look, note


def test_a_lock_that_is_not_held_can_be_released_in_the_middle_of_an_access() -> None:
    assert set(counts(explored("Released"))) == {1, "raised"}  # the writer raises where its lock is free


def test_a_kill_in_the_middle_of_an_access_leaves_the_lock_taken() -> None:
    assert counts(explored("WrittenByTwo")) == {1: 1, 2: 1}
    assert "deadlock" in counts(explored("WrittenByTwo", kills=1))


# Barriers


@each_method
def test_how_many_wait_for_a_barrier_is_seen_at_each_time(method: str) -> None:
    assert set(counts(explored("Waiting", method, "dpor"))) == {0, 1}


@each_method
def test_a_barrier_is_seen_to_be_broken_or_not_yet(method: str) -> None:
    # acquire, write, release; look, note
    every = counts(explored("Broken", method))
    assert every == {0: 4 + 3, 1: 2 + 1}
