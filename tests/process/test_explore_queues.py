"""Queues under exploration, held against an independent simulation of CPython's, and against what plain Python does."""

from __future__ import annotations

import math
import sys
from typing import Any

import pytest

from bench.explore.observe import observe
from bench.observation import Observation
from bench.outcomes import METHODS
from bench.targets import find
from tests.fixtures import queued
from tests.fixtures.auditing import audited
from tests.fixtures.figures import figures_of
from tests.fixtures.queued import DEADLOCK, Queued, outcomes, seen_in

pytestmark = [
    pytest.mark.pinned,
    pytest.mark.skipif(sys.platform != "linux", reason="pipes and processes are looked at as Linux has them"),
]

KINDS = [one for one in vars(queued).values() if isinstance(one, type) and Queued in one.__mro__[1:]]
BY_NAME: dict[str, type[Queued]] = {one.__name__: one for one in KINDS}


def explored(name: str, method: str, strategy: str = "dpor") -> Observation:
    (found,) = find([f"tests.fixtures.queued:{name}"])
    return observe(found, method=method, strategy=strategy, seconds=60, **audited(method))


def seen(observation: Observation, kind: type[Queued]) -> set[object]:
    """Return what the actors saw, as pairs, and `DEADLOCK`, of an exploration that claims to be complete."""
    assert not observation.limits
    assert figures_of(observation)["complete"]
    found: set[object] = set()
    for one in observation.outcomes:
        value: Any = one.outcome.value
        if one.outcome.kind == "value":
            both = zip(value, (kind.one, kind.other), strict=True)
            found.add(tuple(seen_in(total) if total else (None,) * len(does) for total, does in both))
        else:
            assert one.outcome.kind == "deadlock"
            found.add(DEADLOCK)
    return found


def test_the_reference_knows_what_is_known() -> None:
    assert outcomes(BY_NAME["PutSize"]) == {((None,), (0,)), ((None,), (1,))}
    assert outcomes(BY_NAME["PutTake"]) == {((None,), (1,)), ((None,), ("Empty",))}
    # Who merely looks holds the lock meanwhile, so both may find nothing although the item is in the pipe.
    assert ((None, "Empty"), (False, "Empty")) in outcomes(BY_NAME["TakeAfterLook"])
    assert DEADLOCK in outcomes(BY_NAME["BothGet"])


@pytest.mark.parametrize("name", BY_NAME)
def test_what_cpython_allows_comes_and_nothing_else(name: str) -> None:
    kind = BY_NAME[name]
    assert seen(explored(name, "fork"), kind) == outcomes(kind)


@pytest.mark.parametrize("method", METHODS[1:])
@pytest.mark.parametrize("name", ["TakeAfterLook", "OnePlaceNow", "JoinsTooEarly", "Filled"])
def test_the_same_under_the_other_start_methods(name: str, method: str) -> None:
    kind = BY_NAME[name]
    assert seen(explored(name, method), kind) == outcomes(kind)


@pytest.mark.parametrize(("name", "steps"), [("PutSize", (3, 2)), ("PutSizes", (6, 3))])
def test_all_interleavings_show_the_same(name: str, steps: tuple[int, int]) -> None:
    # One counts, puts and is fed; the other asks for the size and notes it once. Of two puts the second may come before
    # the first is fed: of their six steps, three of each in order, the first feed comes before the second.
    kind, (puts, asks) = BY_NAME[name], steps
    observation = explored(name, "fork", "dfs")
    assert seen(observation, kind) == outcomes(kind)
    of_puts = {3: 1, 6: 3}[puts]  # kpf; kpfkpf, kpkfpf, kpkpff
    assert observation.samples == of_puts * math.comb(puts + asks, asks)


@pytest.mark.parametrize(("name", "taken"), [("TakesUntilEmpty", {0, 1, 2}), ("TakesTwo", {2})])
def test_what_is_still_with_the_feeder_is_not_seen(name: str, taken: set[int]) -> None:
    observation = explored(name, "fork")
    assert {one.outcome.value for one in observation.outcomes} == taken
    assert figures_of(observation)["complete"]
    assert observation.warnings == (("queue was not empty at the end of a sample",) if len(taken) > 1 else ())


def test_an_item_that_changes_before_it_is_fed_is_named() -> None:
    (limit,) = explored("ChangedWhenPut", "fork").limits
    assert limit.startswith("not controlled: an item that was changed after it was put into queue, ")
    assert "queued.py:" in limit
    assert not explored("ChangedBeforePut", "fork").limits
