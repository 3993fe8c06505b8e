from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from bench.observation import SampleOutcome, tally_counts
from bench.outcomes import Conditions, Outcome, acceptable, crashes, forbidden, hangs, interesting, raises, value
from bench.stress import observe
from bench.stress.counting import Counts, distinct, results
from bench.stress.generation import next_size
from bench.stress.launch import GroupResult, _is_in_a_sample


@pytest.mark.parametrize(
    ("values", "counted"),
    [
        ([1, 1, 2], [(1, 2), (2, 1)]),
        ([1, True, 1.0], [(1, 1), (True, 1), (1.0, 1)]),
        ([0.0, -0.0], [(0.0, 1), (-0.0, 1)]),
        ([[1], [1], [2]], [([1], 2), ([2], 1)]),
        ([(1, 2), (1, 2), (1, True)], [((1, 2), 2), ((1, True), 1)]),
        ([], []),
    ],
)
def test_values_are_counted_as_they_are_recorded(values: Sequence[object], counted: list[tuple[object, int]]) -> None:
    assert repr(distinct(values)) == repr(counted)


def test_a_result_that_raises_costs_its_own_sample_alone_and_is_asked_for_once() -> None:
    asked: list[int] = []

    def result(state: int) -> int:
        asked.append(state)
        return 10 // state

    found, raised = results([1, 0, 2, 0], result)
    assert found == [10, None, 5, None]
    assert {index: type(error) for index, error in raised.items()} == {1: ZeroDivisionError, 3: ZeroDivisionError}
    assert asked == [1, 0, 2, 0]


def test_counts_are_taken_once() -> None:
    counts = Counts()
    counts.values([1, 1, 2])
    counts.other("leak", {"locks": ["a"], "summary": "a"})
    counts.other("leak", {"locks": ["a"], "summary": "a"})
    assert counts.take() == {
        "values": [[1, 2], [2, 1]],
        "others": [["leak", {"locks": ["a"], "summary": "a"}, 2]],
        "samples": 5,
    }
    assert counts.take() == {"values": [], "others": [], "samples": 0}


def test_rates_are_over_the_groups_that_gave_samples() -> None:
    one, two = SampleOutcome(value(1)), SampleOutcome(value(2))
    first = {one.outcome.key: one, two.outcome.key: two}
    groups = [{one.outcome.key: 8, two.outcome.key: 2}, {}, {one.outcome.key: 10}]
    most, least = tally_counts(groups, first)
    assert (most.outcome.value, most.count) == (1, 18)
    assert (most.rate.median, most.rate.least, most.rate.greatest) == (0.9, 0.8, 1.0)
    assert (least.rate.median, least.rate.least, least.rate.greatest) == (0.1, 0.0, 0.2)
    assert tally_counts([{}], {}) == ()


def test_what_was_listed_and_never_came_has_a_bound() -> None:
    seen = tally_counts([{value(1).key: 600}], {value(1).key: SampleOutcome(value(1))})
    expectations = (acceptable(1), forbidden(2), interesting(raises(OSError)))
    bounds = list(observe._never_seen(expectations, seen, 600))
    assert [(one["outcome"], one["grade"], one["at_most"]) for one in bounds] == [
        ("2", "forbidden", 0.005),
        ("raises OSError", "interesting", 0.005),
    ]


def test_actors_that_were_never_seen_to_overlap_leave_it_open() -> None:
    assert "nothing is known" in observe._limits({"stamped": 0, "overlapped": 0})[0]
    assert "never overlapped in 7" in observe._limits({"stamped": 7, "overlapped": 0})[0]
    assert observe._limits({"stamped": 7, "overlapped": 1}) == ()


CONDITIONS = Conditions("fork", "3.11.7", 2)
EXPECTED = (acceptable(1), acceptable(hangs()), interesting(2), interesting(crashes()))


@pytest.mark.parametrize(
    ("outcome", "found"),
    [
        (value(1), False),
        (Outcome("hang", detail={"phase": "program"}), False),
        (value(2), True),
        (Outcome("crash", detail={"process": "a", "role": "child", "exit": 1}), True),
        (value(3), True),
    ],
)
def test_only_what_is_of_interest_or_forbidden_counts_without_an_overlap(outcome: Outcome, found: bool) -> None:
    seen = tally_counts(
        [{value(1).key: 5, outcome.key: 5}],
        {value(1).key: SampleOutcome(value(1)), outcome.key: SampleOutcome(outcome)},
    )
    assert observe._has_finding(EXPECTED, [one.outcome for one in seen], CONDITIONS) is found


def test_a_predicate_that_raises_finds_nothing() -> None:
    def raises_itself(given: object) -> bool:
        raise ZeroDivisionError

    seen = tally_counts([{value(1).key: 1}], {value(1).key: SampleOutcome(value(1))})
    assert not observe._has_finding((acceptable(raises_itself),), [one.outcome for one in seen], CONDITIONS)


def test_of_what_groups_gave_only_the_first_is_recorded() -> None:
    run = observe._Run(cast(Any, None), "fork", 1.0, 0, 2)  # which scenario it is does not matter to what is kept
    for number in range(3):
        group = GroupResult()
        group.add(value("long enough to be no constant"), 5, {"seed": number})
        run._record(group)
    assert [group.samples for group in run.groups] == [5, 5, 5]
    assert [group.first for group in run.groups] == [{}, {}, {}]
    assert [seen.witness for seen in run.first.values()] == [{"seed": 0}]
    assert len({id(key) for group in run.groups for key in group.counts}) == 1


@pytest.mark.parametrize(
    ("size", "seconds", "started_s", "following"),
    [
        (1, 0.001, 0.0, 4),
        (1, 0.04, 0.0, 2),
        (16, 0.06, 0.0, 16),
        (16, 0.2, 0.0, 8),
        (1, 5.0, 0.0, 1),
        (16, 0.2, 0.5, 32),
        (4096, 0.001, 0.0, 4096),
    ],
)
def test_batches_take_a_twentieth_of_a_second_or_as_long_as_to_start(
    size: int, seconds: float, started_s: float, following: int
) -> None:
    assert next_size(size, size, seconds, started_s) == following


def test_a_batch_that_was_cut_short_says_nothing_of_its_size() -> None:
    assert next_size(64, 3, 0.001, 0.0) == 64


def test_few_overlaps_are_said() -> None:
    assert observe._overlap_warnings({"stamped": 269_000, "overlapped": 1}) == (
        "the actors overlapped in only 1 of 269000 samples looked at",
    )
    assert observe._overlap_warnings({"stamped": 1_000, "overlapped": 1}) == ()
    assert observe._overlap_warnings({"stamped": 1_000, "overlapped": 0}) == ()  # which is a limit


def test_what_ended_groups_has_its_rate_of_all_samples() -> None:
    ended = GroupResult({"crash": 1, "value": 9}, cut_short=True)
    ended.figures["lost"] = 40
    whole = GroupResult({"value": 1_990})
    whole.figures["lost"] = 7  # it stood still, and went on
    assert observe._cut_short_figures([ended, whole]) == {
        "cut_short": {"groups": 1, "per_sample": 0.0005, "lost_at_most": 40}
    }
    assert "of all samples it is 0.0005" in observe._early_end_warnings([ended, whole])[0]
    assert observe._cut_short_figures([whole]) == {"cut_short": None}
    assert observe._early_end_warnings([whole]) == ()


STACK = """Current thread 0x1 (most recent call first):
  File "/x/{}.py", line 1 in {}
  File "/r.py", line 2 in reside
"""


def test_an_actor_is_at_a_sample_unless_it_waits_for_the_others() -> None:
    assert _is_in_a_sample(STACK.format("mine", "deposit"))
    assert not _is_in_a_sample(STACK.format("barrier", "wait_for_all"))
    assert not _is_in_a_sample("")
