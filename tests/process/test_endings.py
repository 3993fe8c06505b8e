"""How samples end, where that is easily overlooked: in every mode, under every start method."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from bench.explore.observe import observe as explore
from bench.observation import Observation
from bench.outcomes import METHODS, Conditions
from bench.process import tree
from bench.repeat.observe import observe as repeat
from bench.stress.observe import observe as stress
from bench.targets import Found, find
from bench.verdict import Verdict, judge

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="process trees are read from /proc")

FILE = Path(__file__).parent.parent / "fixtures" / "bad_ends.py"
VERSION = ".".join(map(str, sys.version_info[:3]))
MODES: dict[str, tuple[Any, dict[str, Any]]] = {
    "repeat": (repeat, {"samples": 1}),
    "stress": (stress, {"seconds": 0.2}),
    "explore": (explore, {"schedules": 2}),
}


def named(name: str) -> Found:
    (found,) = find([f"{FILE}::{name}"])
    return found


def observed(name: str, mode: str, method: str) -> Observation:
    observe, more = MODES[mode]
    found: Observation = observe(named(name), method=method, seed=1, **more)
    return found


def verdict(name: str, observation: Observation, method: str) -> Verdict:
    return judge(named(name).program.expectations, observation, Conditions(method, VERSION, 1))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("mode", MODES)
def test_of_several_processes_that_raise_all_are_told_and_the_worst_grade_counts(mode: str, method: str) -> None:
    seen = observed("BothRaise", mode, method)
    assert [one.outcome.kind for one in seen.outcomes] == ["raised"], "one outcome, whichever was first"
    assert len(seen.outcomes[0].outcome.parts) == 2
    assert verdict("BothRaise", seen, method).status == "fail"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("mode", MODES)
def test_a_value_that_looks_like_another_does_not_pass_for_it(mode: str, method: str) -> None:
    found = verdict("AlwaysAnother", observed("AlwaysAnother", mode, method), method)
    assert found.status == "unknown"
    assert "cannot be told apart" in found.why


@pytest.mark.parametrize(("name", "status"), [("another_total", "unknown"), ("the_total", "pass"), ("endless", "pass")])
def test_values_of_programs_are_known_by_their_content(name: str, status: str) -> None:
    found = verdict(name, observed(name, "repeat", "spawn"), "spawn")
    assert found.status == status, found.why


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["fork_fails", "fork_is_killed", "deleted_in_child", "worker_dies", "escapes"])
def test_a_bad_end_is_told_under_every_method(name: str, method: str) -> None:
    found = verdict(name, observed(name, "repeat", method), method)
    assert found.status == "pass", found.why
    assert not survivors()


@pytest.mark.parametrize(
    "name",
    [
        "fork_is_forgotten",
        "forks_well",
        "program_dies",
        "system_dies",
        "spawned_is_forgotten",
        "programs_well",
        "finalizer_in_child",
        "weakly_in_child",
        "thread_in_child",
        "at_exit",
        "thread_ends",
        "workers_well",
    ],
)
def test_what_is_easily_overlooked_is_told_and_what_went_well_is_a_value(name: str) -> None:
    found = verdict(name, observed(name, "repeat", "fork"), "fork")
    assert found.status == "pass", found.why


@pytest.mark.parametrize(("name", "kind"), [("fork_fails", "crash"), ("deleted_in_child", "raised")])
def test_bad_ends_are_told_by_explore_as_well(name: str, kind: str) -> None:
    assert [one.outcome.kind for one in observed(name, "explore", "spawn").outcomes] == [kind]


@pytest.mark.parametrize("mode", ["stress", "explore"])
def test_what_python_ignores_in_an_actor_is_told(mode: str) -> None:
    assert "raised" in {one.outcome.kind for one in observed("Deletes", mode, "fork").outcomes}


@pytest.mark.parametrize(("name", "mode"), [("Escapes", "stress"), ("Escapes", "explore"), ("escapes", "explore")])
def test_nothing_outlives_a_group_or_an_exploration(name: str, mode: str) -> None:
    seen = observed(name, mode, "fork")
    assert not survivors()
    assert mode == "explore" or "leak" in {one.outcome.kind for one in seen.outcomes}


@pytest.mark.parametrize(
    ("name", "mode", "status"),
    [
        ("killed_on_purpose", "repeat", "pass"),
        ("killed_on_purpose", "explore", "pass"),
        ("KillsItself", "repeat", "pass"),
        ("KillsItself", "stress", "unknown"),
        ("KillsItself", "explore", "unknown"),
    ],
)
def test_beside_an_end_that_is_meant_the_value_is_graded(name: str, mode: str, status: str) -> None:
    found = verdict(name, observed(name, mode, "spawn"), "spawn")
    assert found.status == status, found.why
    assert status == "pass" or "mode repeat has the value" in found.why


def survivors() -> list[tree.Proc]:
    """The programs that the fixtures let escape, and that still run."""
    return [one for one in tree.processes() if one.command == "sleep 61.25"]
