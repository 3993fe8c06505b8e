"""Whole programs in mode explore, under every start method."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.errors import UsageError
from bench.explore.findings.schedule import Schedule, anchors_of
from bench.explore.observe import observe
from bench.explore.replay import replay
from bench.observation import Observation
from bench.outcomes import METHODS, Conditions
from bench.process import tree
from bench.targets import Found, find
from bench.verdict import Verdict, judge
from tests.fixtures.auditing import audited
from tests.fixtures.figures import figures_of as figures

pytestmark = [
    pytest.mark.pinned,
    pytest.mark.skipif(sys.platform != "linux", reason="process trees are read from /proc"),
]

FIXTURES = Path(__file__).parent.parent / "fixtures"
VERSION = ".".join(map(str, sys.version_info[:3]))


def named(name: str, file: str = "explored_programs") -> Found:
    (found,) = find([f"bench.demos.{name}" if ":" in name else f"{FIXTURES / file}.py::{name}"])
    return found


def explored(name: str, method: str = "fork", file: str = "explored_programs", **more: Any) -> Observation:
    return observe(named(name, file), method=method, seed=1, **{"seconds": 60.0, **audited(method), **more})


def texts(observation: Observation) -> set[str]:
    return {one.outcome.text() for one in observation.outcomes}


def graded(name: str, observation: Observation, method: str = "fork") -> Verdict:
    return judge(named(name).program.expectations, observation, Conditions(method, VERSION, 1))


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the folder for temporary files; nothing may be left in it, nor any process or semaphore of it."""
    parent = Path(tempfile.mkdtemp(prefix="exp", dir="/tmp"))
    folders: list[str] = []
    make = tempfile.mkdtemp

    def made(*args: Any, **kwargs: Any) -> str:
        folders.append(make(*args, **kwargs))
        return folders[-1]

    monkeypatch.setenv("TMPDIR", str(parent))
    monkeypatch.setattr(tempfile, "tempdir", str(parent))
    monkeypatch.setattr(tempfile, "mkdtemp", made)
    yield parent
    for one in map(Path, folders):
        assert not tree.find(f"BENCH_SAMPLE={one}")
        assert not [name for name in os.listdir("/dev/shm") if name.startswith(f"sem.{one.name}-")]
    parent.rmdir()  # which it can be if it is empty


@pytest.mark.parametrize("method", METHODS)
def test_two_children_without_a_lock_race_and_all_interleavings_are_run(method: str) -> None:
    observation = explored("unlocked", method)
    assert texts(observation) == {"1", "2"}
    assert figures(observation)["complete"]
    assert graded("unlocked", observation, method).status == "pass"
    assert {tuple(one.witness["lane_names"]) for one in observation.outcomes} == {("main", "Process-1", "Process-2")}  # type: ignore[arg-type]  # names


@pytest.mark.parametrize("method", METHODS)
def test_under_a_lock_there_is_one_outcome_over_all_interleavings(method: str) -> None:
    observation = explored("locked", method)
    assert texts(observation) == {"2"}
    assert figures(observation)["complete"]
    assert graded("locked", observation, method).status == "pass"


@pytest.mark.parametrize("method", METHODS)
def test_a_program_may_use_multiprocessing_itself(method: str) -> None:
    observation = explored("directly", method)
    assert texts(observation) == {"1", "2"}
    assert figures(observation)["complete"]


def test_the_numbers_of_interleavings_are_those_counted_by_hand() -> None:
    # The parent takes 5 steps: start, read, write, join, read; of these the child's begin, read, write, exit come after
    # the first and before the join. So 4 and 2 steps interleave: 15.
    observation = explored("with_the_parent", strategy="dfs")
    assert figures(observation)["claim"] == "all 15 interleavings"
    assert texts(observation) == {"1", "2"}


@pytest.mark.parametrize("strategy", ["dfs", "dpor"])
def test_a_child_is_ended_between_any_two_of_its_steps(strategy: str) -> None:
    observation = explored("ended_at_work", strategy=strategy)
    assert texts(observation) == {"0", "1", "2", "deadlock: main waits for Lock, held by Worker"}
    assert figures(observation)["complete"]


@pytest.mark.parametrize("strategy", ["dfs", "dpor"])
@pytest.mark.parametrize(
    ("name", "outcomes"),
    [("ended_before_the_look", {"True", "False"}), ("ended_before_the_sending", {"'sent'", "'broken'"})],
)
def test_what_an_end_closes_is_seen_before_and_after_it(name: str, outcomes: set[str], strategy: str) -> None:
    for method in METHODS if strategy == "dpor" else METHODS[:1]:
        observation = explored(name, method, strategy=strategy)
        assert texts(observation) == outcomes
        assert figures(observation)["complete"]


@pytest.mark.parametrize(
    ("name", "outcomes"),
    [
        (
            "exit_codes",
            {"crash: Process-1 ended with exit status 3; also crash: Process-2 ended with exit status 4"},
        ),
        ("terminated", {"[True, -15, False]"}),
        ("killed_by_itself", {"crash: Process-1 ended with SIGKILL"}),
        (
            "dies_with_a_lock",
            {"deadlock: main waits for Lock, held by Process-1; first crash: Process-1 ended with SIGKILL"},
        ),
        ("slept", {"None"}),
        ("produced", {"[0, 1]"}),
        ("waits_for_each_other", {"deadlock: main waits for process Receiver; Receiver waits for a pipe"}),
        ("spins", {"hang: main, Process-1 still at it after 5 steps"}),
        ("keeps_state", {"[1]"}),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_what_children_do_is_an_outcome(method: str, name: str, outcomes: set[str]) -> None:
    observation = explored(name, method)
    said = {re.sub(r"\b(Fork|Spawn|ForkServer)Process", "Process", text) for text in texts(observation)}
    assert said == outcomes


@pytest.mark.parametrize("method", METHODS)
def test_what_is_raised_is_told_of_the_process_that_raised_it(method: str) -> None:
    for name, role, kind in (("fails", "child", "ValueError"), ("raises_itself", "main", "KeyError")):
        (one,) = explored(name, method).outcomes
        assert one.outcome.kind == "raised"
        assert (one.outcome.detail["role"], one.outcome.detail["type"]) == (role, kind)


def test_what_is_left_in_shared_memory_is_a_leak_and_is_removed() -> None:
    observation = explored("left_behind")
    (one,) = observation.outcomes
    assert one.outcome.key == "leak segments"
    segments: Any = one.outcome.detail["segments"]
    assert len(segments) == 1
    assert not Path(f"/dev/shm{segments[0]}").exists()


def test_what_a_module_shares_when_it_is_imported_is_made_anew_for_each_schedule() -> None:
    observation = explored("counted", file="sharing_at_import")
    assert texts(observation) == {"2"}
    assert figures(observation)["complete"]
    assert figures(observation)["schedules"] > 1


def test_too_many_steps_are_no_verdict() -> None:
    observation = explored("very_long", seconds=3.0)
    verdict = graded("very_long", observation)
    assert verdict.status == "unknown"
    assert any("given up after 99,999 steps" in limit for limit in observation.limits)


def test_a_race_of_40_000_steps_is_seen_and_nothing_is_claimed_that_was_not_shown() -> None:
    observation = explored("account:without_lock", seconds=15.0)
    assert len(observation.outcomes) > 1
    assert not figures(observation)["complete"]


@pytest.mark.parametrize("method", METHODS)
def test_a_join_that_waits_for_a_feeder_that_waits_for_a_reader(method: str) -> None:
    observation = explored("queues:joined_first", method, seconds=20.0)
    (one,) = observation.outcomes
    assert one.outcome.text() == (
        "deadlock: main waits for process Putter; Putter waits for a queue; a queue fed by Putter waits for a queue"
    )
    assert (
        judge(named("queues:joined_first").program.expectations, observation, Conditions(method, VERSION, 1)).status
        == "pass"
    )
    stacks: Any = one.outcome.detail["processes"]
    assert "child.join()" in next(stack["stack"] for stack in stacks if stack["name"] == "main")


@pytest.mark.parametrize("method", METHODS)
def test_children_of_children_are_lanes_with_names_of_their_own(method: str) -> None:
    (one,) = explored("nested", method).outcomes
    assert one.outcome.value == 3
    assert one.witness["lane_names"] == [
        "main",
        "Process-1",
        "Process-1: Process-1",
        "Process-1: Process-1: Process-1",
    ]


def test_a_child_that_never_comes_to_a_point_is_named() -> None:
    observation = explored("computes", deadline_s=1.0)
    assert graded("computes", observation).status == "unknown"
    assert observation.limits[0].startswith("nothing moved for 1 s: Process-1 computes in _compute")


def test_what_a_main_process_leaves_behind_is_ended_and_all_is_not_claimed() -> None:
    observation = explored("ends_at_once")
    assert {one.outcome.kind for one in observation.outcomes} == {"crash"}
    assert not figures(observation)["complete"]


@pytest.mark.parametrize("method", METHODS)
def test_a_number_that_is_no_descriptor_in_a_child_leads_nowhere_there(method: str) -> None:
    name = "descriptors:code_through_os_pipe"
    observation = explored(name, method)
    assert graded(name, observation, method).status == "pass", texts(observation)
    if method != "forkserver":  # there it may be one of the server's own
        assert {one.outcome.kind for one in observation.outcomes} == {"value" if method == "fork" else "raised"}


@pytest.mark.parametrize("other", METHODS)
def test_a_schedule_is_followed_again_under_any_method(other: str) -> None:
    observation = explored("unlocked")
    lost = next(one for one in observation.outcomes if one.outcome.value == 1)
    found = named("unlocked")
    said = {"key": lost.outcome.key, "kind": lost.outcome.kind, "text": lost.outcome.text()}
    schedule = Schedule(
        found.program.target,
        found.place.module,
        found.place.root,
        found.program.file,
        "fork",
        VERSION,
        said,
        anchors_of(lost.witness),
        seed=1,
    )
    replayed = replay(schedule, found, method=other, times=3)
    assert (replayed.happened, replayed.times) == (3, 3)
    assert not replayed.divergence


def test_processes_of_programs_are_not_killed_by_plan() -> None:
    with pytest.raises(UsageError, match="not killed by plan"):
        explored("unlocked", kills=1)


# Queues


def test_workers_until_the_queue_is_empty_may_wait_for_ever() -> None:
    observation = explored("shared_out_until_empty", strategy="dpor", schedules=40, seconds=None)
    assert "deadlock: main waits for process Process-1; Process-1 waits for a queue" in texts(observation)
    assert texts(explored("shared_out_until_told", strategy="dpor", schedules=40, seconds=None)) == {"1"}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("name", "outcomes"),
    [
        ("put_and_left", {"1"}),
        ("put_by_one_that_ends", {"False"}),
        ("put_by_one_that_ends_at_once", {"True", "False"}),
        ("put_by_one_that_joins_no_feeder", {"True", "False"}),
    ],
)
def test_what_became_of_an_item_when_its_process_has_ended(name: str, outcomes: set[str], method: str) -> None:
    observation = explored(name, method)
    assert texts(observation) == outcomes
    assert figures(observation)["complete"]
    assert graded(name, observation, method).status == "pass"


@pytest.mark.parametrize("method", METHODS)
def test_an_item_that_is_dropped_as_its_process_ends_is_raised(method: str) -> None:
    (one,) = explored("drops_as_it_ends", method).outcomes
    assert (one.outcome.kind, one.outcome.detail["thread"]) == ("raised", "QueueFeederThread")
