"""Repeat mode on real processes, under every start method."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bench.outcomes import METHODS, Conditions, Outcome
from bench.process import tree
from bench.process.shared_names import path_of
from bench.repeat import sample as sample_module
from bench.repeat.observe import observe
from bench.repeat.sample import Sample, run_sample
from bench.targets import Found, find
from bench.verdict import judge

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="process trees are read from /proc")

PROGRAMS = Path(__file__).parent.parent / "fixtures" / "programs.py"
remove_names = sample_module._remove_names


def named(name: str) -> Found:
    (found,) = find([f"{PROGRAMS}::{name}"])
    return found


def sample(name: str, method: str, deadline_s: float = 30.0) -> Sample:
    found = named(name)
    return run_sample(found, method=method, deadline_s=found.program.deadline_s or deadline_s, seed=1)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    marked = [proc for proc in tree.processes() if "BENCH_SAMPLE" in tree.environment(proc.pid)]
    mine = [proc for proc in marked if _is_ours(proc)]
    assert not mine


def _is_ours(proc: tree.Proc) -> bool:
    # Other tests, in other workers, have samples of their own: theirs are descendants of another process.
    seen = proc
    while (parent := tree.read(seen.ppid)) is not None and parent.pid > 1:
        if parent.pid == os.getpid():
            return True
        seen = parent
    return False


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "name",
    [
        "right",
        "race",
        "raises_in_main",
        "starts_a_lambda",
        "segfault",
        "exit_status",
        "main_leaves",
        "hang",
        "deaf_to_sigterm",
        "orphan",
        "thread",
        "segment",
        "descriptor",
        "pool",
        "daemon",
        "unpicklable_in_queue",
        "unpicklable_in_queue_of_a_child",
        "put_and_left",
    ],
)
def test_each_program_gives_what_its_expectations_say(name: str, method: str) -> None:
    found = named(name)
    observation = observe(found, method=method, samples=1, seed=1)
    version = ".".join(map(str, sys.version_info[:3]))
    verdict = judge(found.program.expectations, observation, Conditions(method, version, 1))
    assert verdict.status == "pass", observation.outcomes[0].outcome


@pytest.mark.parametrize("method", METHODS)
def test_an_exception_in_a_child_is_told_with_its_process_and_place(method: str) -> None:
    outcome = sample("raises_in_child", method).outcome
    assert (outcome.kind, outcome.detail["type"], outcome.detail["message"]) == ("raised", "ValueError", "in the child")
    assert (outcome.detail["process"], outcome.detail["role"]) == ("failing", "child")
    assert "programs.py" in str(outcome.detail["where"])
    assert "Traceback" in str(outcome.detail["traceback"])


@pytest.mark.parametrize("method", METHODS)
def test_a_hang_has_the_stack_of_every_process(method: str) -> None:
    outcome = sample("hang", method).outcome
    stacks = outcome.detail["processes"]
    assert isinstance(stacks, list)
    of_program = [one for one in stacks if isinstance(one, dict) and one["role"] == "process"]
    assert len(of_program) == 2
    assert all("programs.py" in str(one["stack"]) or "queues.py" in str(one["stack"]) for one in of_program)
    assert "MainProcess waits for a process to end at" in outcome.text()


@pytest.mark.parametrize("method", METHODS)
def test_the_default_context_follows_the_method(method: str) -> None:
    assert sample("default_method", method).outcome == Outcome("value", f"{method} {method}")


@pytest.mark.parametrize("method", METHODS)
def test_a_program_can_still_set_its_own_method(method: str) -> None:
    assert sample("sets_its_own_method", method).outcome == Outcome("value", "fork")


@pytest.mark.each_python
def test_a_program_that_chooses_its_method_itself_is_found_out() -> None:
    assert any("under fork by itself" in text for text in sample("chooses_fork_itself", "spawn").warnings)
    assert sample("chooses_fork_itself", "fork").warnings == () or sys.version_info >= (3, 12)


@pytest.mark.each_python
@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python warns of it from 3.12 on")
def test_the_hidden_warning_of_a_fork_beside_threads_is_recorded() -> None:
    warned = sample("fork_beside_a_thread", "fork").warnings
    assert any("multi-threaded" in text for text in warned)
    assert not any("multi-threaded" in text for text in sample("fork_beside_a_thread", "spawn").warnings)


def test_a_leak_that_the_tracker_cleaned_up_is_recorded_as_warning_too() -> None:
    assert any(text.startswith("resource_tracker:") for text in sample("segment", "fork").warnings)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["hang", "segment", "main_leaves", "right"])
def test_no_name_of_a_sample_is_left_in_dev_shm(name: str, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[str, str]] = []

    def removing(names: Sequence[tuple[str, str]]) -> None:
        made.extend(names)
        remove_names(names)

    monkeypatch.setattr(sample_module, "_remove_names", removing)
    sample(name, method)
    assert made or method == "fork" or name == "main_leaves"
    assert not [one for one in made if Path(path_of(*one)).exists()]


def test_samples_are_seeded_one_after_the_other() -> None:
    seeds: list[int] = []
    observation = observe(named("right"), method="fork", samples=2, seed=41, on_sample=lambda s: seeds.append(s.seed))
    assert (observation.samples, seeds) == (2, [41, 42])
    assert observation.outcomes[0].witness["seed"] == 41


def test_a_place_is_named_from_where_its_file_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert sample("raises_in_child", "spawn").outcome.detail["where"] == "tests/fixtures/programs.py:24 in _raise"


def test_a_time_budget_takes_at_least_one_sample() -> None:
    assert observe(named("right"), method="fork", seconds=0.0001).samples == 1


def test_a_deep_temporary_folder_does_not_break_forkserver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    deep = tmp_path / ("d" * 60)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    assert sample("right", "forkserver").outcome == Outcome("value", 20)
