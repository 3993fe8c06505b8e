"""Verdicts: a pure function of expectations and observation, so that any old run can be judged again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.figures import ExploreFigures, Figures
from bench.observation import Observation, Tally
from bench.outcomes import Conditions, Expectation, Grade, Outcome
from bench.record import Graded, Judged

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
    """The verdict on one observation; `grades` are in the order of its outcomes, none where an expectation raised."""

    status: Status
    why: str
    grades: tuple[Grading, ...]


def grade(outcome: Outcome, expectations: Iterable[Expectation], conditions: Conditions) -> Grading:
    """Return the grade of an outcome: that of the first expectation that applies in the cell and matches it."""
    for expectation in expectations:
        if expectation.applies(conditions) and expectation.covers(outcome):
            return Grading(expectation.grade, expectation.why)
    return Grading("forbidden", "nobody listed it")


def judge(expectations: Sequence[Expectation], observation: Observation, conditions: Conditions) -> Verdict:
    """Judge an observation. What was not exercised, or cannot be judged, is `unknown`, never `pass`."""
    try:
        grades = tuple(grade(one.outcome, expectations, conditions) for one in observation.outcomes)
    except Exception as error:  # noqa: BLE001  # the user's predicate may raise anything; no verdict rests on it
        return Verdict("unknown", f"an expectation raised {type(error).__name__}: {error}", ())
    status, why = _status(expectations, observation, grades)
    return Verdict(status, why, grades)


def to_judged(expectations: Sequence[Expectation], observation: Observation, conditions: Conditions) -> Judged:
    """Return the record of an observation, with its verdict and each outcome graded.

    Where an expectation raised, no outcome has a grade.
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
    expectations: Sequence[Expectation], observation: Observation, grades: Sequence[Grading]
) -> tuple[Status, str]:
    for one, graded in zip(observation.outcomes, grades, strict=True):
        if graded.grade == "forbidden":
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
