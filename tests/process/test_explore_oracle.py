"""Mode explore held against what is known: every interleaving, the corpus, and outcomes worked out by hand."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bench.explore.observe import observe
from bench.kernels.corpus import KERNELS, Kernel
from bench.observation import Observation
from bench.outcomes import METHODS, Conditions
from bench.targets import Found, find
from bench.verdict import judge
from tests.benchmarks.explore_oracle import Ways, both_ways, complete, is_bug, keys, of, seen
from tests.fixtures.figures import figures_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="process trees are read from /proc")

HUNTED = Path(__file__).parent.parent / "fixtures" / "hunted.py"
VERSION = ".".join(map(str, sys.version_info[:3]))
MOST = 2_000

each_kernel = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)


def target(kernel: Kernel, *, fixed: bool = False) -> Found:
    one = kernel.fixed if fixed else kernel.buggy
    return of(f"{one.__module__}:{one.__name__}")


def found_by(kernel: Kernel, **more: Any) -> tuple[bool, Observation]:
    observation = observe(target(kernel), method="fork", seed=1, deadline_s=10, audited=False, **more)
    return any(is_bug(kernel, one) for one in seen(observation)), observation


# All interleavings are the oracle; `python -m tests.benchmarks.explore_oracle` does the same for larger ones.


@pytest.mark.parametrize("fixed", [False, True], ids=["buggy", "fixed"])
@each_kernel
def test_one_interleaving_of_each_class_shows_what_all_of_them_show(kernel: Kernel, fixed: bool) -> None:
    ways = both_ways(target(kernel, fixed=fixed), kernel, "fork", MOST)
    assert not list(ways.wrongs())
    assert ways.exhaustive
    assert complete(ways.classes)
    assert ways.classes.samples <= ways.every.samples
    if fixed:
        status = judge(ways.found.program.expectations, ways.classes, Conditions("fork", VERSION, 1)).status
        assert status == "pass"
        assert figures_of(ways.classes)["claim"] == (
            f"all interleavings, up to the order of independent steps, in {ways.classes.samples} schedules"
        )


SMALL = ("LostUpdate", "CrossedLocks", "LostWakeupFixed")


@pytest.mark.parametrize("method", METHODS[1:])
@pytest.mark.parametrize("name", SMALL)
def test_the_same_under_the_other_start_methods(name: str, method: str) -> None:
    (kernel,) = [one for one in KERNELS if name in (one.buggy.__name__, one.fixed.__name__)]
    found = target(kernel, fixed=name.endswith("Fixed"))
    there, here = both_ways(found, kernel, method, MOST), both_ways(found, kernel, "fork", MOST)
    assert not list(there.wrongs())
    assert [(one.samples, keys(one)) for one in there[2:]] == [(one.samples, keys(one)) for one in here[2:]]


@pytest.mark.parametrize("strategy", ["pct", "random", "portfolio"])
@pytest.mark.parametrize("name", ["LostUpdate", "CrossedLocks", "TornPair"])
def test_other_strategies_see_it_all_in_the_limit(name: str, strategy: str) -> None:
    (kernel,) = [one for one in KERNELS if name in (one.buggy.__name__, one.fixed.__name__)]
    found = target(kernel, fixed=name.endswith("Fixed"))
    every = observe(found, method="fork", strategy="dfs", schedules=MOST, audited=False)
    # Of `random` an outcome comes with at least 1/32: five choices between two decide it; 600 miss it with 5e-9.
    union = observe(found, method="fork", strategy=strategy, schedules=600, seed=7, audited=False)
    assert complete(every)
    assert keys(union) == keys(every)


# What the corpus says.


@each_kernel
def test_a_bug_shows_with_its_preemptions_and_not_with_one_less(kernel: Kernel) -> None:
    fewest = kernel.preemptions
    shown, at_bound = found_by(kernel, strategy="dfs", preemptions=fewest, schedules=20_000)
    assert shown
    assert complete(at_bound)
    if fewest:
        shown, below = found_by(kernel, strategy="dfs", preemptions=fewest - 1, schedules=20_000)
        assert not shown
        assert complete(below)
        claim = str(figures_of(below)["claim"]).removesuffix("; not audited: that was not asked for")
        assert claim.endswith(f"with at most {fewest - 1} preemption{'s' * (fewest != 2)}")


def test_an_account_under_a_lock_is_decided_in_two_schedules() -> None:
    found = of("bench.demos.account:AccountWithLock")
    ways = both_ways(found, None, "fork", MOST)
    assert (ways.every.samples, ways.classes.samples) == (2, 2)  # one before the other, and the other way round


# Hunted: outcomes that were worked out by hand, of scenarios made to lead it astray.

BY_HAND: dict[str, set[str]] = {
    "HeldByTheOther": {"1", "2"},
    "HeldByTheOtherFixed": {"2"},
    "OneUnderTheLock": {"0", "1"},
    "Reentrant": {"4"},
    "GuardForTwo": {"1", "2"},
    "GuardForOne": {"2"},
    "GuardForTwoOfThree": {"1", "2", "3"},
    "GuardForTwoOfAValue": {"2", "deadlock: one waits for guard; other waits for guard"},
    "GivenBackTwice": {"0", "1", "2"},
    "EventSetAndCleared": {"0", "1"},
    "ConditionTimesOut": {"0", "1"},
    "MetByTwo": {"[[2, 2, 0], [0, 1]]"},
    "TimedAcquire": {"1", "2"},
    "TriesThrice": {"'[1, 0]'", "'[1, 1]'"},
    "TriesUntilItGetsIt": {"2"},
    "TriedByTwo": {"'[0, 0]'", "'[0, 1]'", "'[1, 0]'", "'[1, 1]'"},
    "TriedByTwoWhileHeld": {"'[0, 0]'", "'[0, 1]'", "'[1, 0]'", "'[1, 1]'"},
    "LooksThrice": {"0", "1", "2", "3"},
    "LooksInAList": {"0", "1", "2", "3"},
    "LooksInEqualItems": {"0", "1", "2", "3"},
    "LooksThroughMap": {"0", "1", "2", "3"},
    "LooksThroughGenerator": {"0", "1", "2", "3"},
    "LooksAndCountsElsewhere": {"0", "1", "2", "3"},
    "LooksAndCountsInC": {"0", "1", "2", "3"},
    "LooksAndCountsInADefault": {"0", "1", "2", "3"},
    "LooksAndCountsOnTheFlag": {"0", "1", "2", "3"},
    "LooksByChance": {"0", "3"},
    "LooksByChanceOfAll": {"0", "3"},
    "LooksInAFor": {"0", "3"},
    "WaitsBusily": {"1"},
    "WaitsInAFor": {"1"},
    "WaitsForAll": {"1"},
    "WaitsForAllInAList": {"1"},
    "KeepsCount": {"[1, 1, 1]"},
    "ChanceOfTheSystem": {"2"},
    "RandomSteps": {"2"},
    "RandomNumbers": {"2"},
}
COUNTED = {
    "HeldByTheOther": 3,  # see there
    "Reentrant": 2,  # one after the other
    "LooksThrice": 5,  # the write has five places among three looks and the note
    "TimedAcquire": 2,  # who is first
    "GivenBackTwice": 5,  # before, between, after; both look before either adds, in two orders: as classes
}
"""How many schedules there are: all interleavings, but where it says classes."""


@cache
def hunted() -> dict[str, Found]:
    return {found.program.name: found for found in find([str(HUNTED)])}


def explored(name: str, strategy: str, method: str = "fork", *, audited: bool = False) -> Observation:
    return observe(hunted()[name], method=method, strategy=strategy, schedules=3_000, deadline_s=1, audited=audited)


def texts(observation: Observation) -> set[str]:
    return {one.text() for one in seen(observation)}


def verdict(name: str, observation: Observation, method: str = "fork") -> str:
    return judge(hunted()[name].program.expectations, observation, Conditions(method, VERSION, 1)).status


WAITING = [name for name in BY_HAND if name.startswith(("Looks", "Waits", "Tries"))]


@pytest.mark.parametrize(
    ("name", "strategy"),
    [*((name, "dpor") for name in BY_HAND), *((name, "dfs") for name in sorted({*COUNTED, *WAITING}))],
)
def test_what_was_worked_out_by_hand_comes_and_nothing_else(name: str, strategy: str) -> None:
    observation = explored(name, strategy, audited=strategy == "dpor")
    assert texts(observation) == BY_HAND[name]
    assert complete(observation)
    assert not observation.limits
    if name in COUNTED and strategy == ("dpor" if name == "GivenBackTwice" else "dfs"):
        assert observation.samples == COUNTED[name]


@pytest.mark.parametrize("method", METHODS[1:])
@pytest.mark.parametrize(
    "name", ["HeldByTheOther", "GuardForTwo", "EventSetAndCleared", "TimedAcquire", "LooksInAFor", "KeepsCount"]
)
def test_the_same_by_hand_under_the_other_start_methods(name: str, method: str) -> None:
    assert texts(explored(name, "dpor", method)) == BY_HAND[name]


def test_a_flag_that_is_never_set_is_a_livelock_and_ends() -> None:
    observation = explored("WaitsForEver", "dfs")
    (outcome,) = seen(observation)
    assert (outcome.kind, outcome.detail["phase"]) == ("hang", "livelock")
    assert verdict("WaitsForEver", observation) == "fail"


@pytest.mark.parametrize(("name", "kind"), [("RaisesIfFirst", "raised"), ("EndsIfFirst", "crash")])
def test_an_actor_that_fails_in_one_order_is_seen_to(name: str, kind: str) -> None:
    observation = explored(name, "dpor")
    assert {one.kind for one in seen(observation)} == {"value", kind}
    assert verdict(name, observation) == "fail"


UNKNOWN = {
    "ByThread": "not controlled: a thread",
    "BySocket": "nothing moved",
    "BySleepOfC": "nothing moved",
    "InMappedMemory": "not controlled: a memory map",
    "InMappedMemoryBySlice": "not controlled: a memory map",
    "InMemoryByAddress": "not controlled: shared memory, reached by its address",
    "InMemoryByView": "not controlled: count: changed by something that is not seen",
    "InMemoryByPointer": "not controlled: shared memory, reached by its address",
    "InMemoryWithItsLock": "not controlled: count: changed by something that is not seen",
}
"""Why nothing is said."""


def test_what_stays_in_a_process_is_not_taken_for_an_outcome() -> None:
    observation = explored("KeepsCountInGlobal", "dfs", audited=True)
    assert [one.value for one in seen(observation)] == [[1, 1]]
    assert str(figures_of(observation)["why_rebuilt"]).startswith("something stays from schedule to schedule")
    assert complete(observation)


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_seen_or_not_repeated_never_passes(name: str) -> None:
    observation = explored(name, "dfs", audited=True)
    assert verdict(name, observation) == "unknown"
    assert any(UNKNOWN[name] in limit for limit in observation.limits), observation.limits


def test_the_oracle_names_what_is_missing() -> None:
    (kernel,) = [one for one in KERNELS if one.name == "lost update"]
    found = target(kernel)
    every = observe(found, method="fork", strategy="dfs", schedules=MOST, audited=False)
    one = observe(found, method="fork", strategy="dfs", preemptions=0, schedules=MOST, audited=False)
    wrongs = list(Ways(found, kernel, every, one).wrongs())
    assert any("does not see ['value 1']" in wrong for wrong in wrongs)
    assert "dpor does not find the bug" in wrongs
