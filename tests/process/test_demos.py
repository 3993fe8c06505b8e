"""The fourteen demos for real, under every start method, and that a broken one would show."""

from __future__ import annotations

import multiprocessing
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest

from bench.declared import Program
from bench.demos import account
from bench.outcomes import Conditions, Outcome
from bench.repeat.observe import observe
from bench.repeat.sample import run_sample
from bench.targets import Found, Place, find
from bench.verdict import judge

METHODS = multiprocessing.get_all_start_methods()
FOUND = [found for found in find([]) if isinstance(found.program, Program)]
ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30.0

each_method = pytest.mark.parametrize("method", METHODS)


def conditions(method: str) -> Conditions:
    return Conditions(method, platform.python_version(), len(os.sched_getaffinity(0)))


def broken(name: str, module: str = "tests.process.mutants") -> Found:
    return Found(Program(module, name, f"{name}.py", 1, "", ()), Place(str(ROOT), module))


def outcome_of(found: Found, method: str) -> Outcome:
    return run_sample(found, method=method, deadline_s=PATIENCE_S, seed=1).outcome


@each_method
@pytest.mark.parametrize("found", FOUND, ids=lambda found: found.program.name)
def test_a_demo_gives_what_is_expected_of_it(found: Found, method: str) -> None:
    observation = observe(found, method=method, samples=1)
    verdict = judge(found.program.expectations, observation, conditions(method))
    assert verdict.status == "pass", f"{verdict.why}\n{dict(observation.outcomes[0].outcome.detail)}"
    assert observation.warnings == ()


@each_method
def test_the_stacks_of_the_hang_show_the_join_and_the_feeder_that_it_waits_for(method: str) -> None:
    (found,) = find(["bench.demos.queues:joined_first"])
    outcome = run_sample(found, method=method, deadline_s=5.0, seed=1).outcome
    stacks = {one["name"]: str(one["stack"]) for one in cast(list[Mapping[str, object]], outcome.detail["processes"])}
    assert outcome.kind == "hang"
    assert "in join\n" in stacks["MainProcess"]
    assert "in _feed\n" in stacks["Putter"]
    assert "in _finalize_join\n" in stacks["Putter"]


@each_method
@pytest.mark.parametrize(
    "name",
    [
        "reporter_dies",
        "appender_dies",
        "squarer_dies",
        "child_dies_before_it_sends",
        "partner_dies",
        "workers_die",
        "producer_dies",
        "consumer_dies",
        "both_senders_die",
        "number_writer_dies",
        "connection_writer_dies",
    ],
)
def test_a_child_that_dies_ends_a_demo_at_once_rather_than_leave_it_waiting(name: str, method: str) -> None:
    outcome = outcome_of(broken(name), method)
    assert outcome.kind in ("raised", "crash")
    assert "ended with exit status 3" in outcome.text()


@each_method
def test_a_queue_that_nobody_fills_is_given_up(method: str) -> None:
    outcome = outcome_of(broken("putter_dies"), method)
    assert (outcome.kind, outcome.detail["type"]) == ("raised", "Empty"), outcome.text()


@each_method
@pytest.mark.parametrize(
    ("name", "demo"),
    [
        ("idle_writer", "memory:shared_value_and_array"),
        ("idle_account", "account:with_lock"),
        ("idle_account_unequal", "account:with_lock_unequal"),
        ("account_without_steps", "account:with_lock_unequal"),
        ("certain_race", "account:with_lock"),
        ("right_balance_and_a_failed_child", "account:with_lock"),
    ],
)
def test_what_is_broken_does_not_pass(name: str, demo: str, method: str) -> None:
    (whole,) = find([f"bench.demos.{demo}"])
    observation = observe(broken(name), method=method, samples=1)
    assert observation.outcomes[0].outcome.detail.get("role") != "main"
    assert judge(whole.program.expectations, observation, conditions(method)).status == "fail"


def test_a_failed_child_hides_the_right_balance() -> None:
    outcome = outcome_of(broken("right_balance_and_a_failed_child"), "fork")
    assert (outcome.kind, outcome.detail["process"], outcome.value) == ("raised", "Change by -1", None)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_without_a_main_guard_the_right_balance_is_no_value(method: str) -> None:
    outcome = outcome_of(broken("opening_balance", "tests.process.unguarded"), method)
    assert (outcome.kind, outcome.detail["type"]) == ("raised", "RuntimeError"), outcome.text()


@each_method
def test_sizes_and_pauses_are_options(method: str) -> None:
    call = f"account.with_lock(multiprocessing.get_context({method!r}), steps=20, pause_s=account.ORIGINAL_PAUSE_S)"
    code = f"import multiprocessing\nfrom bench.demos import account\nprint({call})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert (done.stdout, done.stderr) == (f"{account.OPENING}\n", "")


@pytest.mark.parametrize("module", sorted({found.program.module for found in FOUND}))
@each_method
def test_a_module_is_a_script_that_prints_what_its_programs_return(module: str, method: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, method],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    names = [found.program.name for found in FOUND if found.program.module == module]
    assert done.returncode == 0
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == names
    if not module.endswith("descriptors"):
        assert done.stderr == ""


def test_a_script_runs_the_programs_that_are_named() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.demos.account", "spawn", "with_lock"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("with_lock: 200\n", "")
