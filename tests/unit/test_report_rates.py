"""The tables of rates under stress, and findings of targets that were observed in several modes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.figures import StressFigures
from bench.observation import Observation, SampleOutcome, tally_counts
from bench.outcomes import Conditions, Outcome, deterministic, racy, value
from bench.record import Judged
from bench.report.lines import plain
from bench.report.rates import rates, stressed_targets
from bench.report.summary import findings_text
from bench.verdict import to_judged
from tests.unit.test_report_text import cell, run_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bench.outcomes import Expectation
    from bench.report.loaded import CellRecords, RunRecords
    from bench.sampling import Mode

RAISED = {"type": "ValueError", "message": "no", "process": "first", "role": "child"}
HERE = Conditions("fork", "3.14.0", 2)


def observed(
    name: str,
    target: str,
    groups: Sequence[Mapping[int | str, int]],
    expectations: Sequence[Expectation] = racy(200),
    *,
    mode: Mode = "stress",
    collisions: float | None = 0.5,
    limits: tuple[str, ...] = (),
) -> Judged:
    outcomes = {
        key: Outcome("raised", None, RAISED) if key == "raised" else value(key) for group in groups for key in group
    }
    counts = [{outcomes[key].key: count for key, count in group.items()} for group in groups]
    tallies = tally_counts(counts, {one.key: SampleOutcome(one, {"seed": 9}) for one in outcomes.values()})
    samples = sum(sum(group.values()) for group in groups)
    figures = StressFigures({"collision_rate": collisions}) if mode == "stress" else None
    return to_judged(expectations, Observation(target, mode, name, samples, 1.0, tallies, (), limits, figures), HERE)


def cells(of: Mapping[str, Iterable[Judged]]) -> list[CellRecords]:
    return [cell(name, "pass", *lines) for name, lines in of.items()]


def account(name: str, *groups: Mapping[int | str, int], collisions: float = 0.5) -> Judged:
    return observed(name, "m:Account", groups, collisions=collisions)


RACE = {
    "py312-fork-cpu1": [account("py312-fork-cpu1", {200: 1000}, {200: 2000}, collisions=0.0)],
    "py312-fork-cpu2": [account("py312-fork-cpu2", {199: 10, 200: 80, 201: 10}, {200: 90, 201: 10})],
    "py314-fork-cpu1": [account("py314-fork-cpu1", {199: 1, 200: 99999}, collisions=0.001)],
    "py314-fork-cpu2": [account("py314-fork-cpu2", {199: 300, 200: 700})],
}


def race() -> RunRecords:
    return run_of(*cells(RACE), modes=["repeat", "stress"])


def test_rates_move_with_cpus_method_and_python() -> None:
    assert (
        plain(rates(race(), 120))
        == """\
Stress: % of samples, median of the groups (least-greatest)
    0 (<x): not seen: rate below x at 95 % (rule of three; assumes independent samples)
  m:Account  104,200 samples
      the actors overlapped in <0.1 % on cpu1 and 50.0 % on cpu2 of the samples that were looked at
                         cpu1                       cpu2
    Python    method     199      200    201        199           200               201
    3.12      fork       0 (<.1)  100    0 (<.1)    5.0 (0-10.0)  85.0 (80.0-90.0)  10.0
    3.14      fork       .001     >99.9  0 (<.003)  30.0          70.0              0 (<.3)

"""
    )


def test_a_narrow_terminal_gets_the_sizes_one_below_the_other() -> None:
    text = plain(rates(race(), 80))
    assert max(map(len, text.splitlines()[4:])) <= 80
    assert text.index("cpu1\n") < text.index("0 (<.003)") < text.index("cpu2\n") < text.index("30.0")


def test_a_target_with_one_outcome_is_a_line() -> None:
    lines = {
        name: [observed(name, "m:Locked", [{200: 500}], deterministic(200))]
        for name in ("py312-fork-cpu1", "py312-fork-cpu2")
    }
    assert plain(rates(run_of(*cells(lines)))).splitlines()[1:] == [
        "  m:Locked  always 200 in both cells, 1,000 samples",
        "",
    ]


def test_many_racing_targets_put_the_pythons_together() -> None:
    places = ("py312-fork-cpu2", "py314-fork-cpu2")
    lines = {
        name: [observed(name, f"m:T{n}", [{1: 99 - many, 2: 1 + many}], racy(1)) for n in range(4)]
        for many, name in zip((0, 8), places, strict=True)
    }
    text = plain(rates(run_of(*cells(lines)))).splitlines()
    assert text[0].endswith("(least-greatest), over all Pythons")
    assert len(text) == 1 + 4 * 5 + 1  # a heading, five lines for each target, and an empty one
    assert text[5] == "    fork                 95.0 (91.0-99.0)  5.0 (1.0-9.0)"


def test_long_outcomes_have_letters_and_forbidden_ones_come_first() -> None:
    many: dict[int | str, int] = {n: 100 - n for n in range(8)}
    lines = {"py314-fork-cpu2": [observed("py314-fork-cpu2", "m:T", [{**many, "raised": 1}], racy(0))]}
    run = run_of(*cells(lines))
    (target,) = stressed_targets(run)
    assert [one.grade for one in target.columns()][:2] == ["forbidden", "acceptable"]
    text = plain(rates(run))
    assert "      a  raised ValueError: no (in first)\n" in text
    assert "5 more outcomes, each in at most 12.5 % of a group's samples\n" in text  # 97 of 773


def test_without_stress_there_is_no_table() -> None:
    assert (
        rates(run_of(*cells({"py314-fork-cpu2": [observed("py314-fork-cpu2", "m:f", [{1: 2}], mode="repeat")]}))) == []
    )


def test_a_finding_has_its_places_in_each_mode() -> None:
    both = {
        name: [
            *lines,
            observed(name, "m:Account", [{199: 2, 200: 3, 201: 1}], mode="explore"),
        ]
        for name, lines in RACE.items()
    }
    text = plain(findings_text(run_of(*cells(both), modes=["repeat", "stress", "explore"])))
    assert text.count("m:Account") == 1
    assert "      2 different values from 199 to 201: 199 (319), 201 (24)" in text.replace(" and", ",")
    assert "      stress: in all cells except in py312-fork-cpu1 (3 of 4 cells): 331 of 101,200 samples\n" in text
    assert "      explore: in all 4 cells: 12 of 24 schedules\n" in text
    assert "acceptable in 70.0 % to 100.0 % of a cell's samples (median 92.5 %)" in text


def test_a_mode_without_the_finding_is_shown_and_the_command_to_repeat_it_is_of_the_other() -> None:
    name = "py314-fork-cpu1"
    quiet = observed(name, "m:Locked", [{200: 9}], deterministic(200))
    loud = observed(name, "m:Locked", [{200: 9, 199: 1}], deterministic(200), mode="explore")
    text = plain(findings_text(run_of(*cells({name: [quiet, loud]}), modes=["stress", "explore"])))
    assert f"      stress: never, in {name}\n      explore: in {name}: 1 of 10 schedules\n" in text
    assert f"again: bench cell {name} m:Locked --mode explore --seed 9\n" in text


def test_a_reason_for_no_verdict_stands_once_whatever_its_numbers() -> None:
    names = ("py312-fork-cpu1", "py314-fork-cpu1")
    lines = {
        name: [observed(name, "m:Account", [{200: 9}], limits=(f"never overlapped in {number:,} samples",))]
        for name, number in zip(names, (1234, 77), strict=True)
    }
    text = plain(findings_text(run_of(*cells(lines))))
    assert text == ("Unknown (1)\n  stress: never overlapped in 1,234 samples\n      in both cells, from m:Account\n\n")
