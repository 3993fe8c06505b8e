"""Verdicts: a pure function of expectations and observation, so that any old run can be judged again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.figures import ExploreFigures, Figures
from bench.observation import Observation, Tally
from bench.outcomes import Conditions, Expectation, Grade, Outcome, is_exact
from bench.record import Graded, Judged
from bench.values import CannotTell

Status = Literal["pass", "fail", "unknown"]

_MERGED: dict[tuple[Status, Status], Status] = {
    ("pass", "pass"): "pass",
    ("pass", "unknown"): "unknown",
    ("unknown", "pass"): "unknown",
    ("unknown", "unknown"): "unknown",
    ("pass", "fail"): "fail",
    ("fail", "pass"): "fail",
    ("fail", "unknown"): "fail",
    ("unknown", "fail"): "fail",
    ("fail", "fail"): "fail",
}


@dataclass(frozen=True)
class Grading:
    """The grade of an outcome, and the reason that the expectation gives for it."""

    grade: Grade
    why: str


@dataclass(frozen=True)
class Verdict:
    """The verdict on one observation; `grades` are in the order of its outcomes, none where an expectation raised.

    One of them is `None` where it cannot be told whether the outcome is what is expected.
    """

    status: Status
    why: str
    grades: tuple[Grading | None, ...]


_WORST: tuple[Grade, ...] = ("acceptable", "interesting", "forbidden")


def grade(outcome: Outcome, expectations: Iterable[Expectation], conditions: Conditions) -> Grading:
    """Return the grade of an outcome; where several things went wrong in a sample, the worst that any of them has.

    Each has that of the first expectation that applies in the cell and matches it.
    """
    listed = tuple(expectations)
    grades = [_grade_part(part, listed, conditions) for part in outcome.parts]
    worst = max(grades, key=lambda one: _WORST.index(one.grade))  # the first of those that are equal
    if worst is grades[0]:
        return worst
    return Grading(worst.grade, f"{outcome.parts[grades.index(worst)].text()}: {worst.why}")


def _grade_part(outcome: Outcome, expectations: Iterable[Expectation], conditions: Conditions) -> Grading:
    doubt: CannotTell | None = None
    for expectation in expectations:
        if not expectation.applies(conditions):
            continue
        try:
            if not expectation.covers(outcome):
                continue
        except CannotTell as error:
            doubt = doubt or error
            continue
        if doubt is not None and not is_exact(expectation.matcher):
            break  # the one before may be meant
        return Grading(expectation.grade, expectation.why)
    if doubt is not None:
        raise doubt
    return Grading("forbidden", "nobody listed it")


def judge(expectations: Sequence[Expectation], observation: Observation, conditions: Conditions) -> Verdict:
    """Judge an observation. What was not exercised, or cannot be judged, is `unknown`, never `pass`."""
    grades: list[Grading | None] = []
    doubts: list[str] = []
    for one in observation.outcomes:
        try:
            grades.append(grade(one.outcome, expectations, conditions))
        except CannotTell as error:
            grades.append(None)
            doubts.append(str(error))
        except Exception as error:  # noqa: BLE001  # the user's predicate may raise anything; no verdict rests on it
            return Verdict("unknown", f"an expectation raised {type(error).__name__}: {error}", ())
    status, why = _status(expectations, observation, grades)
    if doubts and status != "fail":
        status, why = "unknown", "; ".join(dict.fromkeys([*doubts, *([why] if why else [])]))
    return Verdict(status, why, tuple(grades))


def to_judged(expectations: Sequence[Expectation], observation: Observation, conditions: Conditions) -> Judged:
    """Return the record of an observation, with its verdict and each outcome graded.

    Where an expectation raised, no outcome has a grade; none has one that cannot be told from what is expected.
    """
    verdict = judge(expectations, observation, conditions)
    gradings: Iterable[Grading | None] = verdict.grades or [None] * len(observation.outcomes)
    return Judged(
        observation.target,
        observation.mode,
        observation.cell,
        observation.samples,
        observation.seconds,
        tuple(map(_graded, observation.outcomes, gradings)),
        observation.warnings,
        observation.limits,
        _claimed(observation, verdict),
        verdict=verdict.status,
        why=verdict.why,
        method=conditions.method,
    )


def _claimed(observation: Observation, verdict: Verdict) -> Figures | None:
    """Return the figures with a claim that is no wider than what was seen: an open verdict stands beside no "all"."""
    figures = observation.figures
    if (verdict.status == "unknown" or observation.limits) and isinstance(figures, ExploreFigures):
        return figures.without_completeness()
    return figures


def _graded(one: Tally, grading: Grading | None) -> Graded:
    ungraded = Graded(one.outcome, one.count, one.rate, one.witness)
    return ungraded if grading is None else replace(ungraded, grade=grading.grade, why=grading.why)


def _status(
    expectations: Sequence[Expectation], observation: Observation, grades: Sequence[Grading | None]
) -> tuple[Status, str]:
    for one, graded in zip(observation.outcomes, grades, strict=True):
        if graded is not None and graded.grade == "forbidden":
            return "fail", f"{one.outcome.text()} ({one.count} of {observation.samples}): {graded.why}"
    if observation.limits:
        return "unknown", "; ".join(observation.limits)
    if observation.samples < 1 or not observation.outcomes:
        return "unknown", "nothing was exercised: no samples"
    if not expectations:
        return "unknown", "no expectation says what is acceptable"
    if observation.mode == "explore" and any(e.races for e in expectations) and len(observation.outcomes) < 2:
        return "unknown", "a racy target of which only one outcome was seen"
    return "pass", ""


def merge(statuses: Iterable[Status]) -> Status:
    """Merge verdicts by a table: one fail fails, one unknown leaves it open; of nothing, nothing is known."""
    merged: Status | None = None
    for status in statuses:
        merged = status if merged is None else _MERGED[merged, status]
    return "unknown" if merged is None else merged
