"""The fourteen demos as text: what each says of itself, expects, and takes on its command line."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

import bench.demos
from bench.declared import Program, Scenario
from bench.demos import script
from bench.outcomes import METHODS, Conditions, Outcome, value
from bench.targets import Found, find
from bench.verdict import grade

FOUND = find([])
NAMES = [found.program.target.removeprefix("bench.demos.") for found in FOUND]
MODULES = sorted({found.program.module for found in FOUND})
IN_THIS_CELL = Conditions("fork", "3.14.0", 2)

each_demo = pytest.mark.parametrize("found", FOUND, ids=NAMES)
each_program = pytest.mark.parametrize(
    "found",
    [found for found in FOUND if isinstance(found.program, Program)],
    ids=[name for name, found in zip(NAMES, FOUND, strict=True) if isinstance(found.program, Program)],
)


def named(name: str) -> Found:
    return FOUND[NAMES.index(name)]


def graded(name: str, outcome: Outcome, method: str = "fork") -> str:
    return grade(outcome, named(name).program.expectations, Conditions(method, "3.14.0", 2)).grade


def raised(kind: str, message: str, role: str = "child") -> Outcome:
    return Outcome("raised", detail={"type": kind, "bases": [kind], "message": message, "role": role})


def docstring(found: Found) -> str:
    return inspect.getdoc(getattr(importlib.import_module(found.program.module), found.program.name)) or ""


def test_the_index_numbers_fourteen_demos_and_names_every_target() -> None:
    index = bench.demos.__doc__ or ""
    numbered = re.findall(r"^ +(\d+)  `(\w+:\w+)`", index, re.MULTILINE)
    assert [int(number) for number, _ in numbered] == list(range(1, 15))
    assert sorted(re.findall(r"`(\w+:\w+)`", index)) == sorted(NAMES)


@each_demo
def test_a_docstring_teaches_in_three_sentences(found: Found) -> None:
    text = " ".join(docstring(found).split())
    assert len(re.findall(r"[.!?](?= [A-Z`]|$| \d)", text)) == 3, text


@each_demo
def test_a_docstring_states_what_is_portable(found: Found) -> None:
    assert re.search(r"portable|everywhere|platform|start method|spawn", docstring(found))


@each_demo
def test_an_expectation_speaks_of_each_start_method(found: Found) -> None:
    for method in METHODS:
        conditions = Conditions(method, "3.14.0", 2)
        assert any(one.applies(conditions) and one.grade != "forbidden" for one in found.program.expectations)


@each_demo
def test_each_expectation_gives_its_reason(found: Found) -> None:
    assert all(one.why for one in found.program.expectations)


@each_program
def test_everything_but_the_context_has_a_default(found: Found) -> None:
    function = getattr(importlib.import_module(found.program.module), found.program.name)
    context, *others = inspect.signature(function).parameters.values()
    assert context.name == "mp"
    assert all(one.default is not one.empty and one.kind is one.KEYWORD_ONLY for one in others)


@each_demo
def test_failures_that_are_no_subject_of_a_demo_fail_it(found: Found) -> None:
    outcomes = [
        raised("ZeroDivisionError", "division by zero"),
        raised("OSError", "[Errno 28] No space left on device"),
        raised("OSError", "[Errno 9] Bad file descriptor", role="main"),
        Outcome("crash", detail={"role": "child", "signal": "SIGSEGV"}),
        Outcome("leak", detail={"semaphores": ["/mp-1"]}),
        Outcome("hang", detail={"phase": "exit"}),
    ]
    for method in METHODS:
        conditions = Conditions(method, "3.14.0", 2)
        assert [grade(one, found.program.expectations, conditions).grade for one in outcomes] == ["forbidden"] * 6


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_a_script_behind_a_main_guard(module: str) -> None:
    source = Path(importlib.import_module(module).__file__ or "").read_text(encoding="utf-8")
    assert source.endswith('if __name__ == "__main__":\n    from bench.demos.script import show\n\n    show()\n')


def test_the_race_is_reported_whatever_it_gives_and_never_excuses_a_hang() -> None:
    assert named("account:without_lock").program.races
    assert graded("account:without_lock", value(200)) == "acceptable"
    assert graded("account:without_lock", value(-9_800)) == "interesting"
    assert graded("account:without_lock", Outcome("hang", detail={"phase": "program"})) == "forbidden"


@pytest.mark.parametrize(("name", "balance"), [("account:with_lock", 200), ("account:with_lock_unequal", 10_200)])
def test_under_a_lock_one_balance_is_acceptable_and_it_is_not_the_one_of_idle_children(name: str, balance: int) -> None:
    untouched = 0
    assert graded(name, value(balance)) == "acceptable"
    assert {graded(name, value(other)) for other in (untouched, balance - 1, balance + 1)} == {"forbidden"}


@pytest.mark.parametrize("name", ["pipes:two_at_once", "pipes:TwoSenders"])
def test_two_senders_at_once_may_come_in_either_order_and_nothing_may_be_lost(name: str) -> None:
    letters, numbers = ["a", "b", "c"], [1, 2, 3]
    assert graded(name, value([letters, numbers])) == "acceptable"
    assert graded(name, value([numbers, letters])) == "acceptable"
    for broken in ([letters, letters], [numbers, ["b", "a", "c"]], [letters]):
        assert graded(name, value(broken)) == "forbidden"


@pytest.mark.parametrize(
    ("program", "scenario"),
    [
        ("pipes:two_at_once", "pipes:TwoSenders"),
        ("account:without_lock", "account:AccountWithoutLock"),
        ("account:with_lock", "account:AccountWithLock"),
    ],
)
def test_a_demo_that_races_has_a_scenario_of_two_actors_of_which_the_same_is_expected(
    program: str, scenario: str
) -> None:
    declared = named(scenario).program
    assert isinstance(declared, Scenario)
    assert len(declared.actors) == 2
    assert declared.races == named(program).program.races
    grades = [
        [(one.grade, one.matcher.text(), one.why) for one in named(name).program.expectations]
        for name in (program, scenario)
    ]
    assert grades[0] == grades[1]


@pytest.mark.parametrize("method", METHODS)
def test_a_descriptor_must_reach_the_child_by_fork_and_by_nothing_else(method: str) -> None:
    name, missing = "descriptors:code_through_os_pipe", raised("OSError", "[Errno 9] Bad file descriptor")
    forked = method == "fork"
    assert graded(name, value("MX-317"), method) == ("acceptable" if forked else "forbidden")
    assert graded(name, missing, method) == ("forbidden" if forked else "interesting")


@pytest.mark.parametrize(("method", "parent"), [("fork", "main"), ("spawn", "main"), ("forkserver", "forkserver")])
def test_the_parent_of_a_process_depends_on_the_start_method(method: str, parent: str) -> None:
    for seen in ("main", "forkserver", "somebody else"):
        observed = value({"pid": "own", "knows its pid": True, "creator": "main", "parent": seen})
        assert graded("processes:own_run", observed, method) == ("acceptable" if seen == parent else "forbidden")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [(["nonsense"], "invalid choice: 'nonsense'"), (["fork", "nonsense"], "no program nonsense; there are")],
)
def test_a_script_names_an_argument_that_it_does_not_know(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        script.show(arguments, module="bench.demos.account")
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err
