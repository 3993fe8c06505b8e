from __future__ import annotations

import itertools
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.figures import ExploreFigures
from bench.observation import Observation, Rate, SampleOutcome, tally
from bench.outcomes import Conditions, Outcome, acceptable, deterministic, forbidden, interesting, racy, value
from bench.sampling import Mode
from bench.verdict import Grading, Status, judge, merge, to_judged

HERE = Conditions("fork", "3.13.0", 2)


def seen(*outcomes: Outcome, mode: Mode = "repeat", limits: tuple[str, ...] = ()) -> Observation:
    return Observation(
        "m:f", mode, "local", len(outcomes), 1.0, tally([[SampleOutcome(one) for one in outcomes]]), limits=limits
    )


def test_a_deterministic_value_alone_passes() -> None:
    verdict = judge(deterministic(200), seen(value(200), value(200)), HERE)
    assert (verdict.status, [graded and graded.grade for graded in verdict.grades]) == ("pass", ["acceptable"])


def test_one_other_value_fails_and_stands_in_the_reason() -> None:
    verdict = judge(deterministic(200), seen(value(200), value(199)), HERE)
    assert verdict.status == "fail"
    assert "199 (1 of 2)" in verdict.why


def test_no_samples_are_unknown() -> None:
    assert judge(deterministic(200), seen(), HERE).status == "unknown"


def test_no_expectations_are_unknown_or_fail_but_never_pass() -> None:
    assert judge((), seen(value(1)), HERE).status == "fail"
    assert judge((), seen(), HERE).status == "unknown"


def test_limits_make_it_unknown_but_do_not_hide_a_failure() -> None:
    limits = ("1 CPU where 2 were asked for",)
    assert judge(deterministic(1), seen(value(1), limits=limits), HERE).status == "unknown"
    assert judge(deterministic(1), seen(value(2), limits=limits), HERE).status == "fail"


def test_a_predicate_that_raises_is_unknown() -> None:
    verdict = judge([acceptable(lambda v: v["missing"])], seen(value({})), HERE)
    assert (verdict.status, "KeyError" in verdict.why) == ("unknown", True)


class Hidden:
    """Shows less than it holds."""

    def __init__(self, held: object) -> None:
        self.held = held

    def __repr__(self) -> str:
        return "Hidden()"


def test_what_shows_the_same_and_may_differ_is_unknown_and_names_it() -> None:
    verdict = judge(deterministic(Hidden(2)), seen(value(Hidden(2)), value(Hidden(1))), HERE)
    assert (verdict.status, [one and one.grade for one in verdict.grades]) == ("unknown", ["acceptable", None])
    assert "Hidden() cannot be told apart" in verdict.why


def test_what_cannot_be_told_apart_hides_no_failure() -> None:
    assert judge(deterministic(Hidden(2)), seen(value(Hidden(1)), Outcome("hang")), HERE).status == "fail"


def test_of_several_values_that_show_the_same_the_one_that_is_meant_grades() -> None:
    listed = [acceptable(Hidden(1), "one"), interesting(Hidden(2), "two")]
    assert judge(listed, seen(value(Hidden(2))), HERE).grades[0] == Grading("interesting", "two")
    assert judge(racy(Hidden(1)), seen(value(Hidden(2))), HERE).status == "unknown"


def test_interesting_outcomes_pass() -> None:
    assert judge([interesting(1, "look")], seen(value(1)), HERE).status == "pass"


def test_a_race_that_did_not_show_is_unknown_in_explore_alone() -> None:
    assert judge(racy(200), seen(value(200)), HERE).status == "pass"
    assert judge(racy(200), seen(value(200), mode="explore"), HERE).status == "unknown"
    assert judge(racy(200), seen(value(200), value(1), mode="explore"), HERE).status == "pass"


def test_the_verdict_has_the_reason_of_a_forbidden_outcome() -> None:
    assert judge([forbidden(1, "never one")], seen(value(1)), HERE).why.endswith("never one")


@given(st.lists(st.sampled_from(get_args(Status)), max_size=6))
def test_merging_is_the_worst_whatever_the_order(statuses: list[Status]) -> None:
    merged = merge(statuses)
    worst = next((s for s in ("fail", "unknown", "pass") if s in statuses), "unknown")
    assert merged == worst
    assert all(merge(order) == merged for order in itertools.islice(itertools.permutations(statuses), 24))


def test_nothing_merged_is_unknown() -> None:
    assert merge([]) == "unknown"


def test_rates_are_those_of_groups_not_pooled() -> None:
    one, two = value(1), value(2)
    tallies = tally([[SampleOutcome(one)] * 4, [SampleOutcome(one), SampleOutcome(two)], [], [SampleOutcome(two)] * 3])
    assert [(t.count, t.rate) for t in tallies] == [(5, Rate(0.5, 0.0, 1.0)), (4, Rate(0.5, 0.0, 1.0))]


def test_the_first_sample_of_an_outcome_is_its_witness() -> None:
    (only,) = tally([[SampleOutcome(value(1), {"seed": 3}), SampleOutcome(value(1), {"seed": 4})]])
    assert only.witness == {"seed": 3}


@pytest.mark.parametrize("groups", [[], [[]]])
def test_groups_without_samples_have_no_tally(groups: list[list[SampleOutcome]]) -> None:
    assert tally(groups) == ()


@pytest.mark.parametrize(
    ("claim", "told"),
    [
        ("all interleavings, up to the order of independent steps, in 4 schedules", "4 schedules, no more"),
        (
            "all 96 interleavings with at most 1 preemption; 7 schedules of random priorities",
            "7 schedules of random priorities",
        ),
        ("the only interleaving", "4 schedules, no more"),
        ("3 interleavings, not all", "3 interleavings, not all"),
        (
            "9 schedules of random priorities: a bug that exists was missed with p < 0.5 (depth 1)",
            "9 schedules of random priorities",
        ),
        ("50 random schedules; what was not seen has a rate below 0.06 (95 %)", "50 random schedules"),
    ],
)
def test_an_open_verdict_stands_beside_no_claim_of_completeness(claim: str, told: str) -> None:
    figures = ExploreFigures({"claim": claim, "complete": True, "schedules": 4})
    one = replace(seen(value(1), mode="explore", limits=("not controlled: a socket",)), figures=figures)
    open_, passed = (to_judged(deterministic(1), each, HERE) for each in (one, replace(one, limits=())))
    assert (open_.verdict, open_.figures.claim, open_.figures.fields["complete"]) == ("unknown", told, False)  # type: ignore[union-attr]  # they are of explore
    assert (passed.verdict, passed.figures) == ("pass", figures)
    failed = to_judged(deterministic(2), one, HERE)
    assert (failed.verdict, failed.figures.claim, failed.figures.fields["complete"]) == ("fail", told, False)  # type: ignore[union-attr]  # as above


def test_schedules_that_were_all_given_up_are_the_reason() -> None:
    judged = judge(deterministic(1), seen(mode="explore", limits=("3 of 3 schedules were given up",)), HERE)
    assert (judged.status, judged.why) == ("unknown", "3 of 3 schedules were given up")


def test_a_record_has_each_outcome_with_its_grade() -> None:
    record = to_judged(racy(1), seen(value(1), value(2)), Conditions("spawn", "3.14.0", 2))
    assert [(one.outcome.value, one.count, one.grade, one.why) for one in record.outcomes] == [
        (1, 1, "acceptable", "the race went well"),
        (2, 1, "interesting", "nothing protects it: the race went another way"),
    ]
    assert (record.verdict, record.why, record.method, record.target) == ("pass", "", "spawn", "m:f")


def test_where_an_expectation_raises_no_outcome_of_the_record_has_a_grade() -> None:
    wrong = acceptable(lambda value: value > 1)
    record = to_judged((wrong,), seen(value("text"), value(3)), Conditions("spawn", "3.14.0", 2))
    assert record.verdict == "unknown"
    assert [(one.grade, one.why) for one in record.outcomes] == [(None, ""), (None, "")]
