"""What processes keep from sample to sample is found by experiment, under stress and explore."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.explore.observe import observe as explore
from bench.observation import Observation
from bench.outcomes import Conditions
from bench.stress.observe import observe as stress
from bench.targets import Found, find
from bench.verdict import judge
from tests.fixtures.auditing import audited
from tests.fixtures.figures import figures_of as figures

pytestmark = [
    pytest.mark.pinned,
    pytest.mark.skipif(sys.platform != "linux", reason="process trees are read from /proc"),
]

KEEPING = Path(__file__).parent.parent / "fixtures" / "keeping.py"
VERSION = ".".join(map(str, sys.version_info[:3]))

EVERYWHERE = [(name, "fork") for name in ("DefaultArgument", "ClosedOver", "Environment", "MadeInMain", "ReadInMain")]
EVERYWHERE += [("ClosedOver", "spawn"), ("ReadInMain", "forkserver"), ("SometimesKept", "fork")]

REMOVING = [(name, "fork") for name in ("RemovesItsFolder", "RemovesItsSegment", "ClosesItsPipe")]
REMOVING += [("RemovesItsSegment", "spawn"), ("RemovesItsFolder", "forkserver")]


def named(name: str) -> Found:
    (found,) = find([f"{KEEPING}::{name}"])
    return found


def values(seen: Observation) -> set[object]:
    return {one.outcome.value if one.outcome.kind == "value" else one.outcome.text() for one in seen.outcomes}


def verdict(seen: Observation, name: str, method: str) -> str:
    return judge(named(name).program.expectations, seen, Conditions(method, VERSION, 2)).status


@pytest.mark.parametrize(("name", "method"), EVERYWHERE)
def test_explore_makes_processes_anew_where_they_keep_something(name: str, method: str) -> None:
    seen = explore(named(name), method=method, seconds=20.0, seed=1, **audited(method))
    assert (values(seen), verdict(seen, name, method)) == ({1}, "pass")
    if name != "MadeInMain":  # whose state is made once, and then restored
        assert "something stays from schedule to schedule" in str(figures(seen)["why_rebuilt"])


def test_explore_finds_the_race_of_what_a_process_does_once() -> None:
    seen = explore(named("RacesOnce"), method="fork", seconds=20.0, seed=1)
    assert values(seen) == {1, 2}
    assert figures(seen)["complete"] is True


@pytest.mark.parametrize(("name", "method"), REMOVING)
def test_explore_makes_the_state_anew_where_its_result_removes_it(name: str, method: str) -> None:
    seen = explore(named(name), method=method, seconds=20.0, seed=1, **audited(method))
    assert verdict(seen, name, method) == "pass", [one.outcome.text() for one in seen.outcomes]
    assert ("closed" if name == "ClosesItsPipe" else "removed") in str(figures(seen)["why_rebuilt"])


KEPT = [("DefaultArgument", "fork"), ("MadeInMain", "fork"), ("ReadInMain", "fork"), ("ClosedOver", "spawn")]


@pytest.mark.parametrize(("name", "method"), KEPT)
def test_stress_makes_processes_anew_where_they_keep_something(name: str, method: str) -> None:
    # Each life gives the same order of different values, so two of them decide, whatever the load.
    seen = stress(named(name), method=method, seconds=0.5, deadline_s=30.0, seed=1)
    assert values(seen) == {1}
    assert verdict(seen, name, method) in ("pass", "unknown")  # the latter if the actors never overlapped
    assert "something stays from sample to sample" in str(figures(seen)["why_rebuilt"])


@pytest.mark.parametrize(("name", "method"), REMOVING)
def test_stress_makes_the_state_anew_where_its_result_removes_it(name: str, method: str) -> None:
    seen = stress(named(name), method=method, seconds=0.3, deadline_s=30.0, seed=1)
    assert len(values(seen)) == 1
    assert verdict(seen, name, method) in ("pass", "unknown"), [one.outcome.text() for one in seen.outcomes]
    assert ("closed" if name == "ClosesItsPipe" else "removed") in str(figures(seen)["why_rebuilt"])


def test_stress_also_looks_at_samples_in_new_processes() -> None:
    # What only the first sample of a process can give may be hidden by what processes keep.
    seen = stress(named("OtherInNewProcesses"), method="fork", seconds=0.5, deadline_s=30.0, seed=1)
    assert values(seen) == {1, 2}
    assert verdict(seen, "OtherInNewProcesses", "fork") == "fail"


def test_how_many_those_were_is_recorded_where_they_gave_nothing_else() -> None:
    seen = stress(named("ClosesItsPipe"), method="fork", samples=20, deadline_s=30.0, seed=1)
    assert seen.samples == 20
    assert int(str(figures(seen)["in_new_processes"])) >= 1


def test_an_actor_that_ends_its_process_well_is_no_crash_under_stress() -> None:
    seen = stress(named("EndsItself"), method="fork", seconds=0.3, deadline_s=30.0, seed=1)
    assert verdict(seen, "EndsItself", "fork") == "unknown"
    assert any("counts ended with exit status 0" in one for one in seen.limits)
