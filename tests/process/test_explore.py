"""Mode explore on real processes, under every start method."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.errors import UsageError
from bench.explore.observe import Progress, observe
from bench.observation import Observation
from bench.outcomes import METHODS, Conditions
from bench.process import tree
from bench.targets import Found, find
from bench.verdict import judge
from tests.fixtures.auditing import audited
from tests.fixtures.figures import figures_of as figures

pytestmark = [
    pytest.mark.pinned,
    pytest.mark.skipif(sys.platform != "linux", reason="process trees are read from /proc"),
]

FIXTURES = Path(__file__).parent.parent / "fixtures"
VERSION = ".".join(map(str, sys.version_info[:3]))
UNAUDITED = "; not audited: that was not asked for"


def named(name: str, file: str = "interleavings") -> Found:
    (found,) = find([f"bench.demos.account:{name}" if name.startswith("Account") else f"{FIXTURES / file}.py::{name}"])
    return found


def explored(
    name: str, method: str = "fork", strategy: str = "dfs", file: str = "interleavings", **more: Any
) -> Observation:
    wanted = {"seconds": 20.0, **audited(method), **more}
    return observe(named(name, file), method=method, strategy=strategy, seed=1, **wanted)


def values(observation: Observation) -> set[Any]:
    return {one.outcome.value for one in observation.outcomes if one.outcome.kind == "value"}


def kinds(observation: Observation) -> set[str]:
    return {one.outcome.kind for one in observation.outcomes}


def verdict(name: str, observation: Observation, method: str = "fork", file: str = "interleavings") -> str:
    return judge(named(name, file).program.expectations, observation, Conditions(method, VERSION, 1)).status


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the folder for temporary files; nothing may be left in it, nor any process or semaphore."""
    parent = Path(tempfile.mkdtemp(prefix="ex", dir="/tmp"))
    folders: list[str] = []
    make = tempfile.mkdtemp

    def made(*args: Any, **kwargs: Any) -> str:
        folders.append(make(*args, **kwargs))
        return folders[-1]

    monkeypatch.setenv("TMPDIR", str(parent))
    monkeypatch.setattr(tempfile, "tempdir", str(parent))
    monkeypatch.setattr(tempfile, "mkdtemp", made)
    yield parent
    assert not [p for p in tree.processes() if "BENCH_SAMPLE" in tree.environment(p.pid) and _is_ours(p)]
    assert not [name for one in folders for name in semaphores_of(Path(one))]
    parent.rmdir()  # which it can be if it is empty


def semaphores_of(folder: Path) -> list[str]:
    return [name for name in os.listdir("/dev/shm") if name.startswith(f"sem.{folder.name}-")]


def _is_ours(proc: tree.Proc) -> bool:
    seen = proc
    while (parent := tree.read(seen.ppid)) is not None and parent.pid > 1:
        if parent.pid == os.getpid():
            return True
        seen = parent
    return False


# Counted by hand: n actors of k steps each, none of which can wait, have (n k)! / k!^n interleavings.


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("name", "actors", "steps"),
    [
        ("TwoOfOne", 2, 1),
        ("TwoOfTwo", 2, 2),
        ("TwoOfThree", 2, 3),
        ("TwoOfFour", 2, 4),
        ("ThreeOfOne", 3, 1),
        ("ThreeOfTwo", 3, 2),
    ],
)
def test_depth_first_search_goes_through_as_many_interleavings_as_there_are(
    name: str, actors: int, steps: int, method: str
) -> None:
    seen = explored(name, method)
    there_are = math.factorial(actors * steps) // math.factorial(steps) ** actors
    assert seen.samples == there_are
    assert figures(seen)["complete"] is True
    assert figures(seen)["claim"] == f"all {there_are} interleavings" + ("" if method == "fork" else UNAUDITED)
    # The last write counts: of each actor in the same number of them.
    assert {one.outcome.value: one.count for one in seen.outcomes} == dict.fromkeys(
        range(1, actors + 1), there_are // actors
    )
    assert not seen.limits


@pytest.mark.parametrize("method", METHODS)
def test_an_unprotected_account_gives_its_three_balances_every_time(method: str) -> None:
    seen = explored("AccountWithoutLock", method)
    assert {one.outcome.value: one.count for one in seen.outcomes} == {200: 2, 199: 2, 201: 2}
    assert verdict("AccountWithoutLock", seen, method) == "pass"


@pytest.mark.parametrize("method", METHODS)
def test_an_account_under_a_lock_has_one_balance_in_every_interleaving(method: str) -> None:
    seen = explored("AccountWithLock", method)
    assert [one.outcome.value for one in seen.outcomes] == [200]
    assert figures(seen)["complete"] is True
    assert seen.samples >= 2  # either may come first
    assert verdict("AccountWithLock", seen, method) == "pass"


@pytest.mark.parametrize("strategy", ["dpor", "portfolio"])
def test_the_account_under_a_lock_is_decided_in_at_most_four_schedules(strategy: str) -> None:
    seen = explored("AccountWithLock", strategy=strategy)
    assert figures(seen)["complete"] is True
    assert seen.samples <= (4 if strategy == "dpor" else seen.samples)


@pytest.mark.parametrize("strategy", ["dfs", "dpor", "portfolio"])
@pytest.mark.parametrize("name", ["ReadsAndWrites", "UnderItsOwnLock", "TriesAndTimeouts", "Crossed", "OnlyOneOrder"])
def test_strategies_agree_on_the_outcomes(name: str, strategy: str) -> None:
    exhaustive = {one.outcome.key for one in explored(name).outcomes}
    assert {one.outcome.key for one in explored(name, strategy=strategy).outcomes} == exhaustive


@pytest.mark.parametrize("strategy", ["pct", "random"])
def test_random_strategies_find_the_lost_update_too(strategy: str) -> None:
    # Each of six interleavings comes with at least 1/16 (random), so that 200 miss one with less than 1e-5.
    seen = explored("ReadsAndWrites", strategy=strategy, schedules=200, seconds=None)
    assert values(seen) == {1, 2}
    assert seen.samples == 200
    again = explored("ReadsAndWrites", strategy=strategy, schedules=200, seconds=None)
    assert [one.count for one in again.outcomes] == [one.count for one in seen.outcomes]


def test_with_no_preemptions_only_whole_actors_follow_each_other() -> None:
    assert values(explored("ReadsAndWrites", preemptions=0)) == {2}
    assert values(explored("ReadsAndWrites", preemptions=1)) == {1, 2}


# Findings.


@pytest.mark.parametrize("method", METHODS)
def test_a_deadlock_says_who_waits_for_what_held_by_whom_and_where(method: str) -> None:
    seen = explored("Crossed", method)
    (deadlock,) = [one for one in seen.outcomes if one.outcome.kind == "deadlock"]
    assert deadlock.outcome.text() == "deadlock: forth waits for b, held by back; back waits for a, held by forth"
    processes: Any = deadlock.outcome.detail["processes"]
    assert {one["name"] for one in processes} == {"forth", "back"}
    assert all("interleavings.py" in one["stack"] for one in processes)
    assert verdict("Crossed", seen, method) == "pass"


def test_a_witness_is_short_and_tells_each_step() -> None:
    seen = explored("AccountWithoutLock")
    witness: Any = next(one for one in seen.outcomes if one.outcome.value == 201).witness
    assert witness["preemptions"] == 1
    assert witness["lane_names"] == ["deposit", "withdraw"]
    told = [(lane, op, label, saw) for lane, op, label, _, _, saw in witness["steps"]]
    assert len(told) == 4
    assert sorted(told) == [
        (0, "read", "balance", "200"),
        (0, "write", "balance", "201"),
        (1, "read", "balance", "200"),
        (1, "write", "balance", "199"),
    ]
    assert told[-1] == (0, "write", "balance", "201")
    assert all(at.startswith("bench/demos/account.py:") or ":" in at for _, _, _, _, at, _ in witness["steps"])


def test_a_lock_that_is_taken_twice_is_a_deadlock_with_itself() -> None:
    (outcome,) = explored("LockedTwice").outcomes
    assert outcome.outcome.text() == "deadlock: twice waits for lock, held by twice"


def test_a_value_under_its_own_lock_has_four_steps_each() -> None:
    seen = explored("UnderItsOwnLock")
    assert values(seen) == {2}
    witness: Any = seen.outcomes[0].witness
    assert [op for _, op, *_ in witness["steps"]] == ["acquire", "read", "write", "release"] * 2


@pytest.mark.parametrize("strategy", ["dfs", "dpor", "random"])
@pytest.mark.parametrize("name", ["BusyWaiting", "TriesAgainAndAgain"])
def test_who_waits_busily_lets_the_others_go_first(name: str, strategy: str) -> None:
    seen = explored(name, strategy=strategy, schedules=500)
    assert values(seen) == {1}
    assert kinds(seen) == {"value"}
    assert figures(seen)["steps"] / seen.samples < 16


def test_a_livelock_is_a_hang() -> None:
    seen = explored("Livelock")
    assert kinds(seen) == {"hang"}
    assert seen.outcomes[0].outcome.detail["phase"] == "livelock"
    assert verdict("Livelock", seen) == "pass"


def test_timeouts_pass_in_virtual_time() -> None:
    begun = time.monotonic()
    seen = explored("TimedOut")
    assert values(seen) == {"timed out"}
    assert time.monotonic() - begun < 20


def test_a_barrier_lets_all_through_together() -> None:
    seen = explored("MeetsAtBarrier", strategy="dpor", seconds=5)
    assert values(seen) == {3}
    assert kinds(seen) == {"value"}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("name", "text"), [("EndsItself", "exit status 3"), ("KillsItself", "SIGKILL")])
def test_a_process_that_ends_without_a_word_is_a_crash(name: str, text: str, method: str) -> None:
    seen = explored(name, method)
    assert kinds(seen) == {"value", "crash"}
    crash = next(one.outcome for one in seen.outcomes if one.outcome.kind == "crash")
    assert crash.text() == f"crash: ends ended with {text}"
    assert figures(seen)["complete"] is True


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("name", "outcomes"), [("EndsEarly", {1, 2}), ("EndsEarlyWithSystemExit", {1, 2}), ("EndsAtOnce", {1})]
)
def test_an_actor_that_ends_its_process_well_lets_the_others_go_on(name: str, outcomes: set[int], method: str) -> None:
    seen = explored(name, method, file="endings")
    assert values(seen) == outcomes
    assert kinds(seen) == {"value"}
    assert verdict(name, seen, method, "endings") == "pass"
    assert figures(seen)["complete"] is True


def test_correct_code_of_very_many_steps_is_no_hang_and_leaves_the_verdict_open() -> None:
    seen = explored("TakesLong", file="endings", strategy="portfolio", schedules=2)
    assert seen.outcomes == ()
    assert seen.limits == ("2 of 2 schedules were given up after 10,000 steps",)
    assert verdict("TakesLong", seen, file="endings") == "unknown"


# Kills.


def killed(name: str, method: str = "fork") -> Observation:
    return explored(name, method, file="endings", kills=1, preemptions=0)


@pytest.mark.parametrize("method", METHODS)
def test_a_lock_dies_with_its_holder_unless_the_system_frees_it(method: str) -> None:
    """Two after one another, and one after the other was killed, at any step; the former without a kill."""
    kept, freed = killed("CountsUnderLock", method), killed("CountsUnderFileLock", method)
    assert {one.outcome.text() for one in freed.outcomes} == {"2", "2, after a kill", "1, after a kill"}
    assert verdict("CountsUnderFileLock", freed, method, "endings") == "pass"
    assert "all" in str(figures(freed)["claim"])
    assert "deadlock" in kinds(kept)
    assert verdict("CountsUnderLock", kept, method, "endings") == "fail"


def test_where_nobody_says_what_a_kill_may_leave_the_claim_says_less() -> None:
    seen = killed("CountsUnderFileLockUngraded")
    assert {one.outcome.text() for one in seen.outcomes} == {"2"}
    assert str(figures(seen)["claim"]).endswith("and 1 kill; only deadlocks are looked for after a kill")
    assert verdict("CountsUnderFileLockUngraded", seen, file="endings") == "pass"


def test_what_a_survivor_raises_after_a_kill_is_graded() -> None:
    seen = killed("HalfWritten")
    texts = {one.outcome.text().partition(" (")[0] for one in seen.outcomes if one.outcome.kind == "raised"}
    assert texts == {"raised ValueError: torn"}
    assert any(one.outcome.kind == "raised" and one.outcome.killed == ("one",) for one in seen.outcomes)
    assert verdict("HalfWritten", seen, file="endings") == "fail"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Raises", "raised"),
        ("LockHeld", "leak"),
        ("Drops", "raised"),
        ("SetsAttributes", "value"),
        ("ResultRaises", "raised"),
        ("StateRaises", "raised"),
        ("ResultHangs", "hang"),
    ],
)
def test_each_kind_of_outcome_is_what_it_is_under_stress(name: str, kind: str) -> None:
    seen = explored(name, file="scenarios")
    assert kind in kinds(seen)
    assert verdict(name, seen, file="scenarios") in ("pass", "unknown"), [one.outcome.text() for one in seen.outcomes]


def test_what_an_actor_raised_is_told_with_its_name_and_place() -> None:
    raised = next(one.outcome for one in explored("OnlyOneOrder").outcomes if one.outcome.kind == "raised")
    assert (raised.detail["process"], raised.detail["role"]) == ("looks", "child")
    assert "interleavings.py" in str(raised.detail["where"])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["AllKindsOfValues", "Releases"])
def test_what_is_shared_behaves_as_ever(name: str, method: str) -> None:
    seen = explored(name, method)
    assert [one.outcome.text() for one in seen.outcomes] == ["'as it should be'"]
    assert not seen.limits


def test_each_access_to_a_part_is_a_step() -> None:
    witness: Any = explored("AllKindsOfValues").outcomes[0].witness
    steps = [(op, label, saw) for _, op, label, _, _, saw in witness["steps"]]
    assert steps[:4] == [
        ("read", "point", "1"),
        ("write", "point", "2"),
        ("read", "point", "2"),
        ("write", "point", "2"),
    ]
    assert ("write", "text", "b'abc'") in steps
    assert ("write", "raw_text", "b'xyz'") in steps
    assert ("write", "points", "9") in steps
    items = [("read", "numbers", "1"), ("read", "numbers", "2"), ("read", "numbers", "8")]  # a slice, item by item
    assert items in [steps[at : at + 3] for at in range(len(steps))]
    assert steps[-6:-2] == [
        ("acquire", "the lock of condition", "taken"),
        ("read", "with_condition", "4"),
        ("write", "with_condition", "5"),
        ("release", "the lock of condition", ""),
    ]


def test_parts_of_an_array_do_not_depend_on_each_other() -> None:
    assert explored("EightActors", file="scenarios", strategy="dpor").samples == 1


# What cannot be said, and what cannot be run.


def test_steps_that_are_wrongly_taken_as_independent_are_noticed_and_leave_the_verdict_open() -> None:
    seen = explored("WrittenByTwo", strategy="dpor", file="mistaken")
    (limit,) = seen.limits
    assert limit.startswith("write value at ")
    assert limit.endswith(
        "in the other order it gives 'value 1', and gave 'value 2' (a bug of forkbench: please report)"
    )
    assert figures(seen)["schedules"] == 1
    assert figures(seen)["complete"] is False
    assert verdict("WrittenByTwo", seen, file="mistaken") == "unknown"


def test_a_process_that_never_comes_to_a_point_leaves_the_verdict_open() -> None:
    seen = explored("RunsOn", deadline_s=0.5)
    assert "computes computes in computes at interleavings.py" in seen.limits[0]
    assert verdict("RunsOn", seen) == "unknown"


def test_without_a_point_nothing_is_said() -> None:
    seen = explored("SharesNothing")
    assert seen.limits == ("no scheduling points: the actors share nothing that is seen",)
    assert verdict("SharesNothing", seen) == "unknown"


def test_an_actor_that_returns_something_is_refused() -> None:
    with pytest.raises(UsageError, match="its actor one returns something"):
        explored("ReturnsSomething", file="scenarios")


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
@pytest.mark.parametrize(("name", "kind"), [("NotSent", "raised"), ("NotReceived", "crash")])
def test_a_state_that_cannot_be_sent_is_an_outcome(name: str, kind: str, method: str) -> None:
    seen = explored(name, method, file="scenarios")
    assert [(one.outcome.kind, one.count) for one in seen.outcomes] == [(kind, 1)]
    assert verdict(name, seen, method, "scenarios") == "fail"


# Ends.


@pytest.mark.parametrize("method", METHODS)
def test_an_exploration_ends_in_time_and_tells_how_far_it_is(method: str) -> None:
    told: list[Progress] = []
    begun = time.monotonic()
    seen = explored("Endless", method, seconds=0.5, on_progress=told.append)
    assert time.monotonic() - begun < 120  # of which shrinking takes 3 s for each of 8 outcomes where all is slow
    assert figures(seen)["complete"] is False
    assert told
    assert seen.samples >= told[-1].samples > 10


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_of_an_exploration_whose_starter_is_interrupted_or_killed(
    number: int, method: str, folder: Path
) -> None:
    code = (
        "import signal\nfrom bench.explore.observe import observe\nfrom bench.targets import find\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs ignore it
        f"(found,) = find(['{FIXTURES}/interleavings.py::Endless'])\n"
        "going = lambda _: print('going', flush=True)\n"
        f"observe(found, method={method!r}, strategy='dfs', seconds=60, on_progress=going)"
    )
    command = [sys.executable, "-c", code]
    starter = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert starter.stdout is not None
    with starter, starter.stdout:
        assert starter.stdout.readline() == "going\n"
        group = [p for p in tree.processes() if "BENCH_SAMPLE" in tree.environment(p.pid) and _is_ours(p)]
        assert len(group) >= 3  # the main process and two actors
        (inner,) = folder.iterdir()
        assert not semaphores_of(inner)  # those of its board have no names
        starter.send_signal(number)
        starter.wait()
    deadline = time.monotonic() + 10
    while [p for p in group if tree.read(p.pid)] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [p for p in group if tree.read(p.pid)]
    assert not inner.exists()


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_left_of_an_exploration_whose_main_process_is_killed(method: str) -> None:
    def kill(_: Progress) -> None:
        mains = [p for p in tree.processes() if "process/main.py" in p.command and p.ppid == os.getpid()]
        for main in mains:
            tree.send(main, signal.SIGKILL)

    seen = explored("Endless", method, on_progress=kill)
    assert "crash" in kinds(seen)
