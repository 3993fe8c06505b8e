"""Audited schedules: what reaches shared things past every point is named, and nothing else is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import pytest

from bench.explore.observe import observe
from bench.observation import Observation
from bench.outcomes import METHODS, Conditions
from bench.targets import find
from bench.verdict import Verdict, judge
from tests.fixtures.figures import figures_of

pytestmark = [
    pytest.mark.pinned,
    pytest.mark.skipif(sys.platform != "linux", reason="system calls are traced on Linux"),
]

FIXTURES = Path(__file__).parent.parent / "fixtures"
VERSION = ".".join(map(str, sys.version_info[:3]))


def explored(name: str, method: str = "fork", file: str = "audited", **more: Any) -> tuple[Observation, Verdict]:
    (found,) = find([f"{FIXTURES / file}.py::{name}"])
    observation = observe(found, method=method, seconds=60.0, seed=1, **more)
    return observation, judge(found.program.expectations, observation, Conditions(method, VERSION, 1))


def audit_of(observation: Observation) -> dict[str, Any]:
    return cast("dict[str, Any]", figures_of(observation)["audit"])


@pytest.mark.parametrize("method", METHODS)
def test_what_a_library_does_in_c_is_named_with_the_users_line(method: str) -> None:
    observation, verdict = explored("InDatabase", method)
    assert verdict.status == "unknown"
    function = "sqlite3.connect (" if sys.implementation.name == "cpython" else ""  # elsewhere it is no function of C
    assert any(f"not controlled: {function}" in limit and "audited.py:" in limit for limit in observation.limits)
    assert audit_of(observation)["why_not"] is None
    assert {f"not controlled: {one}" for one in audit_of(observation)["named"]} == set(observation.limits)


@pytest.mark.parametrize("method", METHODS)
def test_calls_of_a_programs_children_are_named(method: str) -> None:
    observation, verdict = explored("child_that_calls", method)
    assert verdict.status == "unknown"
    assert {one.partition(",")[0] for one in audit_of(observation)["named"]} == {"openat", "write"}


@pytest.mark.parametrize("method", METHODS)
def test_what_no_other_process_sees_and_what_points_do_is_not_named(method: str) -> None:
    observation, verdict = explored("Harmless", method)
    assert (verdict.status, verdict.why) == ("pass", "")
    assert (audit_of(observation)["named"], audit_of(observation)["why_not"]) == ([], None)
    assert "not audited" not in str(figures_of(observation)["claim"])


@pytest.mark.parametrize(
    ("name", "method"),
    [*((name, method) for name in ("ByFunctionOfC", "ByKernel") for method in METHODS), ("ByViewOfState", "fork")],
)
def test_an_access_to_shared_memory_past_the_points_is_named(name: str, method: str) -> None:
    observation, verdict = explored(name, method)
    assert verdict.status == "unknown"
    assert any("shared memory" in limit and "audited.py:" in limit for limit in observation.limits)


@pytest.mark.parametrize("method", METHODS)
def test_shared_memory_that_is_reached_in_points_is_not_named(method: str) -> None:
    observation, verdict = explored("InMemory", method, schedules=20)
    assert (verdict.status, verdict.why) == ("pass", "")
    assert audit_of(observation)["why_not"] is None


def test_a_line_that_only_a_later_schedule_comes_to_is_audited_there() -> None:
    # Two schedules are all that there are; the second one is found by its new line, or else as a sample.
    for name in ("LaterWithAStep", "LaterWithoutAStep"):
        observation, verdict = explored(name)
        assert verdict.status == "unknown"
        assert [one.partition(",")[0] for one in audit_of(observation)["named"]] == ["mkdir"]


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="elsewhere a semaphore is no object of C")
def test_a_look_into_a_semaphore_is_named() -> None:
    observation, _ = explored("BySemaphore")
    assert any("a semaphore, reached past its points, " in limit for limit in observation.limits)


def test_calls_of_the_users_code_are_named_where_no_points_are() -> None:
    observation, verdict = explored("ByPickling")
    assert verdict.status == "unknown"
    assert [one.partition(",")[0] for one in audit_of(observation)["named"]] == ["access"]


def test_where_nothing_can_be_traced_events_are_named_and_the_claim_says_less() -> None:
    observation, verdict = explored("InDatabase", file="audit_refused")
    assert verdict.status == "unknown"
    assert any("sqlite3.connect" in one for one in audit_of(observation)["named"])
    observation, verdict = explored("Locked", file="audit_refused")
    assert verdict.status == "pass"
    assert str(audit_of(observation)["why_not"]).startswith("ptrace is refused here: ")
    assert "; not audited: ptrace is refused here" in str(figures_of(observation)["claim"])


def test_a_claim_that_is_not_audited_says_so() -> None:
    observation, _ = explored("Harmless", audited=False)
    assert audit_of(observation) == {"schedules": 0, "named": (), "why_not": "that was not asked for"}
    assert str(figures_of(observation)["claim"]).endswith("; not audited: that was not asked for")


def test_a_module_whose_file_another_process_writes_is_named() -> None:
    observation, verdict = explored("ImportedMeanwhile")
    assert verdict.status == "unknown"
    assert any("module" not in one and "audited.py:" in one for one in audit_of(observation)["named"])


def test_what_is_looked_at_as_the_state_is_unpickled_is_named() -> None:
    observation, verdict = explored("ByUnpickling", "spawn")
    assert verdict.status == "unknown"
    assert [one.partition(", tests")[0] for one in audit_of(observation)["named"]] == [
        "shared memory, accessed past its points"
    ]


@pytest.mark.parametrize(("name", "method"), [("RacingInInit", "__init__"), ("RacingInResult", "result")])
def test_processes_that_run_at_once_outside_of_schedules_are_named(name: str, method: str) -> None:
    observation, verdict = explored(name)
    assert verdict.status == "unknown"
    assert any(f"not controlled: a process, in {method}, " in limit for limit in observation.limits)
