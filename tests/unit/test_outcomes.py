from __future__ import annotations

import multiprocessing
import pickle
import queue

import pytest

from bench.errors import UsageError
from bench.outcomes import (
    Conditions,
    Expectation,
    Outcome,
    acceptable,
    crashes,
    deterministic,
    forbidden,
    hangs,
    interesting,
    leaks,
    racy,
    raises,
    value,
    with_others,
)
from bench.process.instrument import describe
from bench.verdict import grade

HERE = Conditions("spawn", "3.14.8", 2)


def raised(kind: str, message: str, *bases: str, role: str = "child") -> Outcome:
    detail = {"type": kind, "bases": [kind, *bases], "message": message, "role": role, "process": "P-1"}
    return Outcome("raised", detail=detail)  # type: ignore[arg-type]  # lists of text are JSON


def test_a_value_matches_by_equality_also_where_json_cannot_hold_it() -> None:
    assert acceptable((1, 2)).matcher.matches(value((1, 2)))
    assert not acceptable((1, 2)).matcher.matches(value((2, 1)))
    assert acceptable({3}).matcher.matches(value({3}))


def test_a_predicate_is_asked_with_the_value_that_was_returned() -> None:
    expectation = acceptable(lambda v: v == ("a", b"b"))
    assert expectation.matcher.matches(value(("a", b"b")))
    assert not expectation.matcher.matches(Outcome("hang"))


def test_raises_means_subclasses_too() -> None:
    assert raises(OSError).matches(raised("BlockingIOError", "[Errno 11]", "OSError", "Exception"))
    assert not raises(OSError).matches(raised("ValueError", "no", "Exception"))


def test_raises_compares_by_cause_across_versions() -> None:
    expected = raises(pickle.PicklingError)
    assert expected.matches(raised("AttributeError", "Can't get local object 'f.<locals>.<lambda>'", "Exception"))
    assert expected.matches(raised("TypeError", "cannot pickle '_thread.lock' object", "Exception"))
    assert not expected.matches(raised("TypeError", "f() takes no arguments", "Exception"))


class Impostor(Exception):
    """Takes the name of another class, below."""


Impostor.__name__ = Impostor.__qualname__ = "OSError"


def described(error: BaseException) -> Outcome:
    return Outcome("raised", detail={**describe(error), "role": "child"})


def test_raises_means_a_class_by_its_module_and_not_another_of_that_name() -> None:
    impostor = described(Impostor("no"))
    assert not raises(OSError).matches(impostor)
    assert raises(Impostor).matches(impostor)
    assert raises("OSError").matches(impostor)
    assert raises(f"{__name__}.OSError").matches(impostor)
    assert not raises("builtins.OSError").matches(impostor)
    assert impostor.key != described(OSError("no")).key
    assert f"raised {__name__}.OSError" in impostor.text()


def test_raises_means_classes_of_the_library_and_those_derived_from_them() -> None:
    assert raises(queue.Empty).matches(described(queue.Empty()))
    assert raises(LookupError).matches(described(KeyError("x")))
    assert not raises(multiprocessing.TimeoutError).matches(described(TimeoutError()))


def test_only_classes_of_python_have_causes_that_differ_by_version() -> None:
    class PicklingError(Exception):
        pass

    assert not raises(pickle.PicklingError).matches(described(PicklingError("no")))
    assert not raises(PicklingError).matches(described(TypeError("cannot pickle 'lock'")))


def test_of_several_failures_the_worst_grade_counts_and_the_reason_names_it() -> None:
    listed = [acceptable(raises(OSError), "listed")]
    both = with_others(raised("OSError", "gone", "Exception"), [raised("ValueError", "no", "Exception")])
    graded = grade(both, listed, HERE)
    assert (graded.grade, graded.why) == ("forbidden", "raised ValueError: no (in P-1): nobody listed it")
    assert grade(both, [*listed, interesting(raises(ValueError))], HERE).grade == "interesting"
    assert grade(both, [*listed, acceptable(raises(ValueError))], HERE).why == "listed"


def test_failures_of_one_cause_are_held_once() -> None:
    one = raised("OSError", "gone", "Exception")
    assert with_others(one, [one, raised("OSError", "gone", "Exception")]) is one


def test_raises_can_be_narrowed_to_a_message_and_a_process() -> None:
    expected = raises(ValueError, match="^no", process="main")
    assert expected.matches(raised("ValueError", "no way", role="main"))
    assert not expected.matches(raised("ValueError", "no way", role="child"))
    assert not expected.matches(raised("ValueError", "way", role="main"))


def test_raises_needs_a_class() -> None:
    with pytest.raises(UsageError, match="needs an exception class"):
        raises()


@pytest.mark.parametrize(
    ("matcher", "outcome"),
    [
        (hangs(), Outcome("hang", detail={"phase": "exit"})),
        (hangs("program"), Outcome("hang", detail={"phase": "program"})),
        (crashes(), Outcome("crash", detail={"exit": 3})),
        (crashes("SIGSEGV"), Outcome("crash", detail={"signal": "SIGSEGV"})),
        (leaks(), Outcome("leak", detail={"segments": ["psm_1"]})),
        (leaks("segments"), Outcome("leak", detail={"segments": ["psm_1"]})),
    ],
)
def test_matchers_mean_their_kind_and_no_value(matcher: object, outcome: Outcome) -> None:
    expectation = interesting(matcher)
    assert expectation.matcher.matches(outcome)
    assert not expectation.matcher.matches(value(0))


def test_narrower_matchers_leave_the_others() -> None:
    assert not hangs("exit").matches(Outcome("hang", detail={"phase": "program"}))
    assert not crashes("SIGKILL").matches(Outcome("crash", detail={"signal": "SIGSEGV"}))
    assert not leaks("processes").matches(Outcome("leak", detail={"segments": ["psm_1"]}))


@pytest.mark.parametrize(
    ("expectation", "applies"),
    [
        (acceptable(1), True),
        (acceptable(1, under="spawn"), True),
        (acceptable(1, under=("fork", "forkserver")), False),
        (acceptable(1, python=">=3.14"), True),
        (acceptable(1, python="<3.14"), False),
        (acceptable(1, python="!=3.14.8"), False),
        (acceptable(1, cpus=2), True),
        (acceptable(1, cpus=1), False),
    ],
)
def test_expectations_are_narrowed_to_cells(expectation: Expectation, applies: bool) -> None:
    assert expectation.applies(HERE) is applies


def test_pre_releases_count_as_their_version() -> None:
    assert acceptable(1, python=">=3.15").applies(Conditions("fork", "3.15.0", 1))
    assert not acceptable(1, python=">=3.15").applies(Conditions("fork", "3.15.0rc1", 1))


@pytest.mark.parametrize(("name", "text"), [("under", "thread"), ("python", "3.14 or so")])
def test_narrowing_by_nonsense_is_refused(name: str, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        acceptable(1, **{name: text})  # type: ignore[arg-type]  # wrong on purpose


def test_expectations_are_narrowed_to_what_comes_after_a_kill() -> None:
    expectations = [acceptable(2), acceptable(1, "one was killed", under="kill")]
    one, two = value(1), value(2)
    killed = one.after_kill_of(["first"])
    assert [grade(outcome, expectations, HERE).grade for outcome in (two, one, killed)] == [
        "acceptable",
        "forbidden",
        "acceptable",
    ]
    assert grade(two.after_kill_of(["first"]), expectations, HERE).grade == "acceptable"
    assert one.after_kill_of([]) is one
    assert one.key != killed.key
    assert killed.text() == "1, after a kill"
    assert killed.killed == ("first",)


def test_a_kill_may_be_narrowed_to_start_methods_too() -> None:
    assert acceptable(1, under=("kill", "spawn")).applies(HERE)
    assert not acceptable(1, under=("kill", "fork")).applies(HERE)
    assert acceptable(1, under=("kill",)).applies(HERE)


def test_the_first_expectation_that_matches_grades() -> None:
    expectations = [forbidden(3, "three"), interesting(lambda v: v > 2, "big"), acceptable(lambda v: True, "rest")]
    assert [grade(value(v), expectations, HERE).why for v in (3, 4, 1)] == ["three", "big", "rest"]


def test_what_nobody_listed_is_forbidden() -> None:
    assert grade(value(201), deterministic(200), HERE).grade == "forbidden"
    assert grade(Outcome("hang"), racy(200), HERE).grade == "forbidden"


def test_racy_reports_other_values_and_nothing_else() -> None:
    assert grade(value(200), racy(200), HERE).grade == "acceptable"
    assert grade(value(201), racy(200), HERE).grade == "interesting"
    assert grade(raised("OSError", ""), racy(200), HERE).grade == "forbidden"


def test_outcomes_of_one_cause_have_one_key() -> None:
    one = raised("AttributeError", "Can't pickle local object 'f'")
    other = raised("PicklingError", "Can't pickle local object <function f at 0x7f12>")
    assert one.key == other.key
    assert raised("OSError", "gone: /tmp/abc12/x").key == raised("OSError", "gone: /tmp/zzz/y").key
    assert raised("OSError", "a").key != raised("OSError", "b").key
    assert raised("OSError", "a").key != raised("OSError", "a", role="main").key


def test_each_outcome_reads_as_one_line() -> None:
    outcomes = [
        value([1]),
        raised("OSError", "gone"),
        Outcome("hang", detail={"phase": "exit"}),
        Outcome("crash", detail={"signal": "SIGSEGV", "process": "P-1"}),
        Outcome("leak", detail={"threads": ["t"]}),
        Outcome("deadlock", detail={"cycle": "a, b"}),
    ]
    assert [outcome.text() for outcome in outcomes] == [
        "[1]",
        "raised OSError: gone (in P-1)",
        "hang: exit",
        "crash: P-1 ended with SIGSEGV",
        "leak: threads",
        "deadlock: a, b",
    ]
