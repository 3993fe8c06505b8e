"""Verdicts: a pure function of expectations and observation, so that any old run can be judged again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.observation import Observation
from bench.outcomes import Conditions, Expectation, Grade, Outcome

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
class Graded:
    """An outcome's grade, with the reason that its expectation gives."""

    grade: Grade
    why: str


@dataclass(frozen=True)
class Verdict:
    """What holds of one observation; `grades` stand in the order of its outcomes."""

    status: Status
    why: str
    grades: tuple[Graded, ...]


def grade(outcome: Outcome, expectations: Iterable[Expectation], conditions: Conditions) -> Graded:
    """Grade an outcome by the first expectation that applies in the cell and means it."""
    for expectation in expectations:
        if expectation.applies(conditions) and expectation.matcher.matches(outcome):
            return Graded(expectation.grade, expectation.why)
    return Graded("forbidden", "nobody listed it")


def judge(expectations: Sequence[Expectation], observation: Observation, conditions: Conditions) -> Verdict:
    """Judge an observation. What was not exercised, or cannot be judged, is `unknown`, never `pass`."""
    try:
        grades = tuple(grade(seen.outcome, expectations, conditions) for seen in observation.outcomes)
    except Exception as error:  # noqa: BLE001  # the user's predicate may raise anything; no verdict rests on it
        return Verdict("unknown", f"an expectation raised {type(error).__name__}: {error}", ())
    status, why = _status(expectations, observation, grades)
    return Verdict(status, why, grades)


def _status(
    expectations: Sequence[Expectation], observation: Observation, grades: Sequence[Graded]
) -> tuple[Status, str]:
    for seen, graded in zip(observation.outcomes, grades, strict=True):
        if graded.grade == "forbidden":
            return "fail", f"{seen.outcome.text()} ({seen.count} of {observation.samples}): {graded.why}"
    if observation.samples < 1 or not observation.outcomes:
        return "unknown", "nothing was exercised: no samples"
    if observation.limits:
        return "unknown", "; ".join(observation.limits)
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
