"""What a report says of exploration."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bench.figures import ExploreFigures
from bench.outcomes import deterministic, racy
from bench.report.exploration import exploration_lines
from bench.report.lines import plain
from bench.report.summary import findings_text, report
from tests.unit.test_report_rates import cells, observed
from tests.unit.test_report_text import run_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.record import Judged
    from bench.values import Json

PLACES = ("py312-fork-cpu1", "py312-fork-cpu2", "py314-fork-cpu1")


def explored_as(name: str, outcomes: Mapping[int | str, int], claim: str, *, target: str = "m:Account") -> Judged:
    expectations = racy(200) if target == "m:Account" else deterministic(200)
    judged = observed(name, target, [outcomes], expectations, mode="explore")
    return replace(judged, figures=ExploreFigures({"claim": claim, "schedule": None}))


def test_outcomes_stand_once_with_their_cells_and_the_claim() -> None:
    every: dict[int | str, int] = {199: 6, 200: 8, 201: 6}
    lines = {
        name: [
            explored_as(name, every, "all 20 interleavings"),
            explored_as(name, {200: 4}, "all 1,360 interleavings", target="m:Locked"),
        ]
        for name in PLACES
    }
    assert (
        plain(exploration_lines(run_of(*cells(lines))))
        == """\
Explore: which outcomes there are, and of how many interleavings that is known
  m:Account  racing in 3 of 3 cells
      199, 200, 201  in all 3 cells
      shown for all 20 interleavings
  m:Locked  one outcome alone in 3 of 3 cells
      200  in all 3 cells
      shown for all 1,360 interleavings

"""
    )


def test_outcomes_that_differ_by_cell_stand_with_their_cells() -> None:
    lines = {
        PLACES[0]: [explored_as(PLACES[0], {200: 9}, "300 random schedules")],
        **{name: [explored_as(name, {199: 1, 200: 3}, "all 4 interleavings")] for name in PLACES[1:]},
    }
    text = plain(exploration_lines(run_of(*cells(lines))))
    assert "  m:Account  racing in 2 of 3 cells\n      200  in all 3 cells\n      199  " in text
    assert f"300 random schedules  only in {PLACES[0]} (of 3 cells)\n" in text
    unknown = plain(findings_text(run_of(*cells(lines))))
    assert f"  explore: a racy target of which only one outcome was seen\n      only in {PLACES[0]}" in unknown


def test_many_outcomes_and_claims_are_counted() -> None:
    names = [f"py314-fork-cpu{n}" for n in range(1, 8)]
    lines = {name: [explored_as(name, {200: 1, n: 1}, f"{'abcdefg'[n]} schedules")] for n, name in enumerate(names)}
    text = plain(exploration_lines(run_of(*cells(lines))))
    assert "      4 more outcomes in some cells\n" in text
    assert "      4 more claims in other cells\n" in text


def test_claims_that_differ_in_numbers_alone_are_one() -> None:
    lines = {name: [explored_as(name, {200: 1, 1: 1}, f"all {n + 4} schedules")] for n, name in enumerate(PLACES)}
    assert "      shown for all … schedules\n" in plain(exploration_lines(run_of(*cells(lines))))


def test_the_line_that_replays_stands_with_what_was_found() -> None:
    judged = explored_as(PLACES[0], {199: 1, 200: 3}, "all 4 interleavings")
    outcomes = tuple(
        replace(one, witness={"preemptions": 1, "schedule": "schedules/a.jsonl", "replay": "bench replay a.jsonl"})
        for one in judged.outcomes
    )
    kept = replace(judged, outcomes=outcomes)
    text = plain(report(run_of(*cells({PLACES[0]: [kept]}))))
    assert f"      explore: in {PLACES[0]}: 1 of 4 schedules\n      again: bench replay a.jsonl\n" in text


def test_without_exploration_there_are_no_lines() -> None:
    assert exploration_lines(run_of(*cells({PLACES[0]: [observed(PLACES[0], "m:f", [{200: 1}])]}))) == []


WITNESS: dict[str, Json] = {
    "lane_names": ["deposit", "withdraw"],
    "lanes": [1, 0, 0, 1],
    "preempted": [1],
    "preemptions": 1,
    "depth": 2,
    "steps": [
        [1, "read", "balance", -1, "account.py:99", "200"],
        [0, "read", "balance", -1, "account.py:95", "200"],
        [0, "write", "balance", -1, "account.py:95", "201"],
        [1, "write", "balance", -1, "account.py:99", "199"],
    ],
}


def test_a_finding_has_its_story_where_it_is_short_enough_to_follow() -> None:
    judged = explored_as(PLACES[0], {199: 1, 200: 3}, "all 4 interleavings", target="m:Locked")
    outcomes = tuple(replace(one, witness=WITNESS) for one in judged.outcomes)
    run = run_of(*cells({PLACES[0]: [replace(judged, outcomes=outcomes)]}))
    text = plain(findings_text(run))
    assert "reads balance: 200" in text
    assert "gives 199" in text
    assert "witness: " not in text
    endless = {**WITNESS, "steps": [WITNESS["steps"][0]] * 61}  # type: ignore[index]  # a list, see above
    outcomes = tuple(replace(one, witness=endless) for one in outcomes)
    run = run_of(*cells({PLACES[0]: [replace(judged, outcomes=outcomes)]}))
    assert "reads balance" not in plain(findings_text(run))
