"""The corpus of known bugs as text and data: complete, with sources and twins, and what is expected of each."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import bench.kernels
from bench.declared import ATTRIBUTE, Scenario
from bench.kernels.corpus import KERNELS, Kernel
from bench.outcomes import METHODS, Conditions, Outcome, value
from bench.targets import find
from bench.verdict import grade

WANTED = [
    "lost update",
    "three increments each ending at 2",
    "check-then-act",
    "exists-then-create",
    "two-account transfer",
    "AB/BA deadlock",
    "philosophers 3",
    "lost wakeup",
    "buffer with if for while",
    "one condition for two kinds of waiter",
    "flag set before data",
    "lazy init without second check",
    "test-then-set lock",
    "Peterson with its stores swapped",
    "turnstile barrier read outside its mutex",
    "both break a stale lock file",
    "write skew",
    "torn pair",
    "empty() then get()",
    "release in finally without having acquired",
]
HANG = Outcome("hang", detail={"phase": "program"})
DEADLOCK = Outcome("deadlock", detail={"cycle": "A waits for B, B waits for A"})
RAISED = Outcome("raised", detail={"type": "ValueError", "bases": ["ValueError"], "message": "", "role": "child"})
HARM = [
    Outcome("raised", detail={"type": "OSError", "bases": ["OSError"], "message": "", "role": "child"}),
    Outcome("crash", detail={"role": "child", "signal": "SIGSEGV"}),
    Outcome("leak", detail={"semaphores": ["/mp-1"]}),
]

each_kernel = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)


def scenario_of(declared: Callable[..., object]) -> Scenario:
    made = vars(declared)[ATTRIBUTE][0]  # its own: a twin that is not declared itself would have that of its base
    assert isinstance(made, Scenario)
    return made


def graded(declared: Callable[..., object], outcome: Outcome) -> set[str]:
    scenario = scenario_of(declared)
    return {grade(outcome, scenario.expectations, Conditions(method, "3.14.0", 2)).grade for method in METHODS}


def bugs(kernel: Kernel) -> list[Outcome]:
    shown = {"value": [value(one) for one in kernel.wrong or ("another",)], "hang": [HANG, DEADLOCK]}
    return shown.get(kernel.shows, [RAISED])


def test_every_kernel_is_there() -> None:
    assert sorted(kernel.name for kernel in KERNELS) == sorted(WANTED)


def test_the_corpus_holds_every_scenario_of_the_package_and_nothing_twice() -> None:
    listed = [scenario_of(one).target for kernel in KERNELS for one in (kernel.buggy, kernel.fixed)]
    assert len(set(listed)) == 2 * len(KERNELS)
    assert sorted(listed) == sorted(found.program.target for found in find(["bench.kernels"]))


def test_the_index_names_every_module_that_has_kernels() -> None:
    indexed = set(re.findall(r"^    `(\w+)`", bench.kernels.__doc__ or "", re.MULTILINE))
    assert {f"bench.kernels.{name}" for name in indexed} == {kernel.buggy.__module__ for kernel in KERNELS}


@each_kernel
def test_the_bug_is_described_in_one_sentence_and_has_a_source(kernel: Kernel) -> None:
    assert re.fullmatch(r"[A-Z][^.]*\.", kernel.sentence.replace("...", "").replace("Value.", "Value")), kernel.sentence
    assert re.search(r"CWE-\d+|\d{4}|documentation|EWD|lock\.py|chapter|non-solution|14\.2\.\d", kernel.source)
    assert scenario_of(kernel.buggy).summary == kernel.sentence


@each_kernel
def test_the_twin_is_the_same_scenario_but_for_the_bug(kernel: Kernel) -> None:
    buggy, fixed = scenario_of(kernel.buggy), scenario_of(kernel.fixed)
    assert fixed.name == f"{buggy.name}Fixed"
    assert fixed.module == buggy.module
    assert fixed.actors == buggy.actors
    assert inspect.getattr_static(kernel.fixed, "result") is inspect.getattr_static(kernel.buggy, "result")
    assert fixed.summary
    assert fixed.summary != buggy.summary


@each_kernel
def test_there_is_an_actor_for_each_process(kernel: Kernel) -> None:
    assert len(scenario_of(kernel.buggy).actors) == kernel.processes
    assert 0 <= kernel.preemptions <= 4


@each_kernel
def test_the_interleaving_that_shows_it_stands_beside_it(kernel: Kernel) -> None:
    comments = " ".join(re.findall(r"^\s+# (.*)", inspect.getsource(kernel.buggy), re.MULTILINE))
    (shortest, *_) = [one for one in comments.split(". ") if " / " in one]
    assert shortest.count(" | ") == kernel.preemptions, comments


@each_kernel
def test_the_bug_is_of_interest_and_the_right_value_acceptable(kernel: Kernel) -> None:
    assert graded(kernel.buggy, value(kernel.right)) == {"acceptable"}
    for outcome in bugs(kernel):
        assert graded(kernel.buggy, outcome) == {"interesting"}, outcome.text()


@each_kernel
def test_of_the_twin_nothing_but_the_right_value_is_expected(kernel: Kernel) -> None:
    assert graded(kernel.fixed, value(kernel.right)) == {"acceptable"}
    for outcome in [*bugs(kernel), HANG, DEADLOCK, RAISED, *HARM, value("another")]:
        assert graded(kernel.fixed, outcome) == {"forbidden"}, outcome.text()


@each_kernel
def test_what_is_not_its_bug_fails_a_kernel(kernel: Kernel) -> None:
    others = {"value": [HANG, DEADLOCK, RAISED], "hang": [RAISED, value("another")], "raised": [HANG, DEADLOCK]}
    for outcome in [*others[kernel.shows], *HARM]:
        assert graded(kernel.buggy, outcome) == {"forbidden"}, outcome.text()


@each_kernel
def test_each_expectation_gives_its_reason(kernel: Kernel) -> None:
    for one in (kernel.buggy, kernel.fixed):
        assert all(expectation.why for expectation in scenario_of(one).expectations)


def test_fewer_than_two_cannot_be_left_of_three_increments_each() -> None:
    (kernel,) = [kernel for kernel in KERNELS if kernel.name.startswith("three increments")]
    assert [graded(kernel.buggy, value(count)) for count in (1, 7)] == [{"forbidden"}, {"forbidden"}]
    assert [graded(kernel.buggy, value(count)) for count in (2, 3, 4, 5)] == [{"interesting"}] * 4


def test_a_process_that_unpickles_a_state_imports_no_more_than_its_module() -> None:
    code = "import sys, bench.kernels.files; print(sorted(m for m in sys.modules if m.startswith('bench.kernels.')))"
    root = Path(bench.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "['bench.kernels.files']\n"
