"""Files under exploration: each outcome that they can have, as worked out by hand, by both searches, and no other."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any

import pytest

from bench.explore.findings.words import step_text
from bench.explore.observe import observe
from bench.observation import Observation
from bench.outcomes import METHODS
from bench.targets import find
from tests.fixtures.auditing import audited
from tests.fixtures.figures import figures_of

pytestmark = [
    pytest.mark.pinned,
    pytest.mark.skipif(sys.platform != "linux", reason="what is open is looked at as Linux shows it"),
]

EITHER = {(0, 1), (1, 0)}
SEEN_OR_NOT = {(0, 0), (0, 1)}
ALONE_OR_NOT = {(1, 1), (0, 1), (1, 0)}  # who comes while the other one holds the lock does not get it

OUTCOMES: dict[str, set[tuple[int, int]]] = {
    "OneOffset": {(1, 2), (2, 1)},
    "OneOffsetOfCopies": {(1, 2), (2, 1)},
    "OneOffsetOfAFile": {(1, 2), (2, 1)},
    "one_offset_of_children": {(1, 2), (2, 1)},
    "OffsetSetAndAsked": {(0, 0), (0, 2)},
    "FolderMade": SEEN_OR_NOT,
    "FolderMoved": SEEN_OR_NOT,
    "FolderRemoved": EITHER,
    "FolderAsked": SEEN_OR_NOT,
    "LinkTurned": {(0, 1), (0, 2)},
    "TwoNames": {(0, 0), (0, 3)},
    "MovedWhileOpen": SEEN_OR_NOT,
    "ByPathlib": SEEN_OR_NOT,
    "Temporary": SEEN_OR_NOT,
    "Sent": {(0, 0), (0, 3)},
    "MadeOnce": EITHER,
    "PipeAsFile": SEEN_OR_NOT,
    "TriedByFlock": ALONE_OR_NOT,
    "TriedByLockf": ALONE_OR_NOT,
    "TriedByCommand": ALONE_OR_NOT,
    "TriedForOpenFile": ALONE_OR_NOT,
    "CountedByFlock": {(2, 0)},
    "CountedByLockf": {(2, 0)},
    "LockOfOneOpenFile": {(1, 0), (2, 0)},
    "LockConverted": {(2, 0)},
    "CounterWaitedFor": {(0, 2)},
    "CounterTried": {(0, 0), (0, 2)},
}


def explored(name: str, method: str, strategy: str, **bounds: Any) -> Observation:
    (found,) = find([f"tests.process.filed:{name}"])
    return observe(found, method=method, strategy=strategy, **{"seconds": 60, **audited(method), **bounds})


def values(observation: Observation) -> set[Any]:
    assert not observation.limits
    assert figures_of(observation)["complete"]
    assert {one.outcome.kind for one in observation.outcomes} == {"value"}
    seen: list[Any] = [one.outcome.value for one in observation.outcomes]
    return {tuple(one) for one in seen}


@pytest.mark.parametrize(
    ("name", "strategy"),
    [
        *((name, "dpor") for name in OUTCOMES),
        ("FolderRemoved", "dfs"),
        ("MovedWhileOpen", "dfs"),
        ("TriedByLockf", "dfs"),
    ],
)
def test_files_have_the_outcomes_that_they_can_have_and_no_others(name: str, strategy: str) -> None:
    if name.startswith("Counter") and not hasattr(os, "eventfd"):
        pytest.skip("no event counters")
    assert values(explored(name, "fork", strategy)) == OUTCOMES[name]


@pytest.mark.parametrize("method", METHODS[1:])
@pytest.mark.parametrize("name", ["FolderMade", "LinkTurned", "TriedByLockf"])
def test_the_same_under_the_other_start_methods(name: str, method: str) -> None:
    assert values(explored(name, method, "dpor")) == OUTCOMES[name]


@pytest.mark.parametrize("name", ["CountedByFlock", "CountedByLockf"])
def test_a_lock_on_a_file_is_free_as_soon_as_its_holder_is_killed(name: str) -> None:
    # Killed before any of its steps, also by itself while it has the baton; the other one then gets the lock.
    found = explored(name, "fork", "dfs", kills=1)
    assert {one.outcome.kind for one in found.outcomes} == {"value"}
    assert figures_of(found)["complete"]


def test_a_lock_that_two_share_keeps_a_third_one_out() -> None:
    # It gets the lock only before both of them; a lane that asks whether it would get it takes it from nobody.
    found = explored("LockOfOneOpenFileKept", "fork", "dpor")
    assert values(found) == SEEN_OR_NOT
    witnesses: list[Any] = [one.witness for one in found.outcomes if one.outcome.value == [0, 1]]
    assert [next(step[0] for step in one["steps"] if step[1] == "lock") for one in witnesses] == [2]


def test_record_locks_that_wait_for_each_other_are_no_deadlock() -> None:
    # The system refuses one of them (fcntl(2), EDEADLK). Which one comes last is no step, so no claim is made.
    found = explored("LockedCrosswise", "fork", "dfs", preemptions=1)
    seen = {str(one.outcome.value) for one in found.outcomes if one.outcome.kind == "value"}
    assert len(seen) == len(found.outcomes) > 1
    assert seen <= {"[1, 1]", f"[{errno.EDEADLK}, 1]", f"[1, {errno.EDEADLK}]"}
    assert any("record locks that wait for each other" in one for one in found.limits)
    assert not figures_of(found)["complete"]


def test_the_number_of_a_process_is_no_part_of_a_files_name() -> None:
    # The process of an actor that ends itself is another one in each schedule.
    assert values(explored("LooksAtItself", "fork", "dfs")) == {(1, 1)}


@pytest.mark.parametrize(("name", "what"), [("WithOldSocket", "a socket")])
def test_what_goes_past_the_points_is_named(name: str, what: str) -> None:
    found = explored(name, "fork", "dfs", schedules=3)
    assert [one for one in found.limits if one.startswith(f"not controlled: {what}, tests/process/filed.py:")]


def test_stories_name_what_is_done_to_files() -> None:
    witnesses: list[Any] = [one.witness for one in explored("MovedWhileOpen", "fork", "dpor").outcomes]
    told = {step_text(kind, label, part, saw) for one in witnesses for _, kind, label, part, _, saw in one["steps"]}
    for words in ("writes to log: 1 byte", "renames log to log.1", "opens log"):
        assert any(words in text.replace("tmp*/", "") for text in told), (words, told)
