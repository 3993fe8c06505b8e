"""What explore shares with the world outside of the actors: time beside real clocks, signals, others that run."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from bench.explore.observe import observe
from bench.observation import Observation
from bench.outcomes import METHODS, Conditions
from bench.targets import Found, find
from bench.verdict import judge
from tests.fixtures.auditing import audited
from tests.fixtures.figures import figures_of as figures

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes and signals are looked at as Linux has them")

each_method = pytest.mark.parametrize("method", METHODS)


def target(name: str) -> Found:
    (found,) = find([f"tests.process.outside:{name}"])
    return found


def explored(name: str, method: str = "fork", **bounds: Any) -> Observation:
    return observe(target(name), method=method, strategy="dpor", **{"seconds": 60, **audited(method), **bounds})


def texts(observation: Observation) -> set[str]:
    return {one.outcome.text() for one in observation.outcomes}


def all_of(observation: Observation) -> set[str]:
    """The outcomes of an exploration that saw all that there is."""
    assert not observation.limits
    assert figures(observation)["complete"]
    return texts(observation)


def verdict(name: str, observation: Observation) -> str:
    version = ".".join(map(str, sys.version_info[:3]))
    return judge(target(name).program.expectations, observation, Conditions("fork", version, 1)).status


# Time


@each_method
@pytest.mark.parametrize("name", ["GivesWay", "HardlySleeps"])
def test_who_sleeps_for_no_time_keeps_nothing_apart(name: str, method: str) -> None:
    assert all_of(explored(name, method)) == {"0", "1", "2"}


def test_a_loop_that_gives_way_waits_for_the_other() -> None:
    assert all_of(explored("WaitsGivingWay")) == {"5"}


@each_method
@pytest.mark.parametrize(("name", "value"), [("ClocksAgree", "[]"), ("TimesInOrder", "[1, 1, 1, 1]")])
def test_all_clocks_show_one_time(name: str, value: str, method: str) -> None:
    assert all_of(explored(name, method)) == {value}


def test_beside_something_real_time_passes_as_it_really_does() -> None:
    found = explored("TimesAProgram")
    assert texts(found) == {"1"}
    assert verdict("TimesAProgram", found) == "unknown"


# Signals


@each_method
def test_a_signal_whose_handler_runs_anywhere_is_named(method: str) -> None:
    found = explored("Signals", method, schedules=20)
    assert verdict("Signals", found) == "unknown"
    assert any("a signal that its process handles: SIGUSR1, tests/process/outside.py:" in one for one in found.limits)


def test_a_timer_is_named() -> None:
    found = explored("SetsATimer", schedules=3)
    assert verdict("SetsATimer", found) == "unknown"
    assert any("a timer, tests/process/outside.py:" in one for one in found.limits)


@pytest.mark.each_python
@pytest.mark.parametrize(
    ("name", "outcomes"),
    [
        ("Asks", {"0", "1", "2"}),
        ("Ignores", {"0", "1", "2"}),
        ("SignalsItself", {"0", "1", "2"}),
    ],
)
def test_a_signal_that_no_handler_of_another_process_gets_is_a_step(name: str, outcomes: set[str]) -> None:
    found = explored(name)
    assert texts(found) == outcomes
    if name == "SignalsItself" and sys.version_info < (3, 11):
        # There `os.kill` itself calls the handler, whose steps the audit takes for what that function does (limits.md).
        assert all(limit.startswith("not controlled: ") for limit in found.limits)
    else:
        assert not found.limits


def test_a_signal_to_an_actor_that_is_through_is_named_unless_it_is_ignored() -> None:
    found = explored("Kills")
    assert texts(found) == {"-1", "crash: tells ended with SIGTERM"}  # the first if it is through by then
    (limit,) = found.limits
    assert limit.startswith("not controlled: a signal to an actor that is through, and may not have ended: SIGTERM, ")


# Others that run


@pytest.mark.parametrize(
    ("name", "method", "what"),
    [
        *(("ServedByManager", method, "a manager") for method in METHODS),
        ("ServedByProcess", "fork", "a process that was started before the actors"),
        ("ServedByProcess", "forkserver", "a process that was started before the actors"),
        ("ServedByThread", "fork", "a thread"),
    ],
)
def test_a_wait_that_somebody_else_can_end_is_no_deadlock(name: str, method: str, what: str) -> None:
    found = explored(name, method, schedules=3)
    assert "deadlock" not in {one.outcome.kind for one in found.outcomes}
    assert verdict(name, found) == "unknown"
    assert any(one.startswith(f"not controlled: {what}") and "outside.py:" in one for one in found.limits), found.limits


def test_locks_of_each_other_are_a_deadlock_whoever_else_runs() -> None:
    found = explored("CrossedBesideAProcess")
    assert "deadlock" in {one.outcome.kind for one in found.outcomes}
    assert verdict("CrossedBesideAProcess", found) == "fail"


# Chance


@each_method
def test_the_same_seed_draws_the_same_and_no_two_processes_do(method: str) -> None:
    first, again, other = (drawn(explored("Draws", method, seed=seed)) for seed in (7, 7, 8))
    assert first == again
    one, two, *_ = first
    assert len(one) == len(two) == 18  # nothing is drawn twice in a process
    assert not one & two
    assert not set().union(*first) & set().union(*other)


def drawn(observation: Observation) -> list[set[str]]:
    """What each actor has drawn with the chance of the seed, and what the making of the state has."""
    value: Any = observation.outcomes[0].outcome.value
    return [set(text.splitlines()) for text in value]


@pytest.mark.parametrize("name", ["BranchesByBytes", "BranchesByUuid", "BranchesByRandom"])
def test_where_chance_decides_other_chance_is_tried(name: str) -> None:
    # 32 schedules with other chance are alike with 2**-32.
    found = explored(name)
    assert all_of(found) == {"0", "1"}
    assert str(figures(found)["claim"]).endswith("; with the chance of seed 0, and once with each of 32 others")


def test_who_goes_by_the_number_of_its_process_is_named() -> None:
    found = explored("BranchesByNumber")
    assert verdict("BranchesByNumber", found) == "unknown"
    assert any(
        "the number of a process, which the system chooses, tests/process/outside.py:" in o for o in found.limits
    )


def test_a_process_may_tell_its_number() -> None:
    assert all_of(explored("NamesItsNumber")) == {"True", "False"}  # the other one may write over it


@each_method
def test_a_generator_that_is_seeded_goes_by_its_seed(method: str) -> None:
    assert all_of(explored("SeedsItself", method)) == {"[0.5714025946899135, 0.5714025946899135]"}


def test_a_process_that_multiprocessing_does_not_start_is_named() -> None:
    found = explored("started_in_its_own_way")
    assert any(
        "a process that multiprocessing does not start by itself, tests/process/outside.py:" in o for o in found.limits
    )
    assert verdict("started_in_its_own_way", found) == "unknown"
