"""Reports of small constructed runs, as golden text."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

import pytest

from bench.observation import SampleOutcome, tally
from bench.outcomes import Outcome, value
from bench.record import CellStatus, End, Facts, FileSink, Graded, Judged, RecordLine, Test, TestStatus, write_run
from bench.report import findings as found
from bench.report.grid import STYLES, grid
from bench.report.histogram import histogram
from bench.report.lines import counted, duration, one_line, percent, plain, words
from bench.report.loaded import CellRecords, RunRecords, gather, read
from bench.report.summary import findings_text, report, reproduce, summary_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.outcomes import Grade
    from bench.verdict import Status

ACCOUNT = "bench.demos.account:without_lock"
QUEUE = "bench.demos.queues:join_first"


def judged(
    cell: str,
    target: str,
    outcomes: Sequence[tuple[Outcome, int, Grade, str]],
    *,
    warnings: tuple[str, ...] = (),
    method: str | None = None,
) -> Judged:
    samples = [
        SampleOutcome(outcome, {"sample": 3, "seed": 7}) for outcome, count, _, _ in outcomes for _ in range(count)
    ]
    tallies = tally([samples])
    by_key = {outcome.key: (grade, why) for outcome, _, grade, why in outcomes}
    graded = tuple(Graded(one.outcome, one.count, one.rate, one.witness, *by_key[one.outcome.key]) for one in tallies)
    verdict: Status = "fail" if any(one.grade == "forbidden" for one in graded) else "pass"
    return Judged(target, "repeat", cell, len(samples), 1.5, graded, warnings, verdict=verdict, method=method)


def facts(cell: str, seed: int = 7) -> Facts:
    return Facts(cell, "3.14.1", "cpython", "spawn", "spawn", 2, (0, 1), 2, 2, 2, "docker", seed)


def cell(name: str, status: CellStatus, *lines: RecordLine, why: str = "") -> CellRecords:
    return gather(name, [facts(name), *lines, End(name, status, why, 2.0)])


def run_of(*cells: CellRecords, **run: object) -> RunRecords:
    return RunRecords({"v": 1, "seed": 7, "targets": ["bench.demos"], **run}, cells)


GOOD = (value(200), 3, "acceptable", "the race went well")


def race(cell_name: str, *values: int) -> Judged:
    others = [(value(one), 1, "interesting", "nothing protects it") for one in values]
    return judged(cell_name, ACCOUNT, [GOOD, *others])  # type: ignore[list-item]  # outcomes of any kind


def test_grid_has_a_row_for_each_python_and_method_and_every_status_reads_without_colour() -> None:
    statuses: tuple[CellStatus, ...] = get_args(CellStatus)
    assert set(STYLES) == set(statuses)
    cells = [cell("py314-spawn-cpu2", "pass"), cell("py314-fork-cpu1", "fail"), cell("py310-fork-cpu4", "unavailable")]
    assert plain(grid(run_of(*cells))) == (
        "Python    method       cpu1  cpu2  cpu4\n"
        "3.10      fork         .     .     unavailable\n"
        "3.14      fork         FAIL  .     .\n"
        "          spawn        .     pass  .\n"
    )


def test_every_status_stands_in_the_grid_and_in_the_summary() -> None:
    statuses: tuple[CellStatus, ...] = get_args(CellStatus)
    run = run_of(*(cell(f"py314-fork-cpu{n}", status) for n, status in enumerate(statuses, 1)))
    square = plain(grid(run)).casefold()
    assert all(status in square for status in statuses)
    assert plain([summary_line(run)]) == (
        "1 passed, 1 failed, 1 unknown, 1 errors, 1 timed out, 1 out of memory, 1 crashed, 1 unavailable, 1 excluded, "
        "1 mismatch, 1 interrupted\n"
    )


def test_a_whole_report() -> None:
    hang = Outcome("hang", detail={"phase": "program", "summary": "join() of a child that still writes"})
    fork_warning = "DeprecationWarning: This process (pid={}) is multi-threaded, use of fork() may lead to deadlocks"
    cells = [
        cell(
            f"py314-{method}-cpu2",
            "fail" if method == "spawn" else "pass",
            race(f"py314-{method}-cpu2", *([199, 201, 198, 205, 219, 220] if method == "fork" else [199])),
            judged(
                f"py314-{method}-cpu2",
                QUEUE,
                [(hang, 1, "interesting", "the sibling joins first")],
                warnings=(fork_warning.format(number),) if method == "fork" else (),
            ),
            *(
                [
                    judged(
                        f"py314-{method}-cpu2",
                        "bench.demos.account:with_lock",
                        [(value(200), 9, "acceptable", ""), (value(199), 1, "forbidden", "nobody listed it")],
                    )
                ]
                if method == "spawn"
                else []
            ),
        )
        for number, method in enumerate(("fork", "spawn"))
    ]
    missing = CellRecords("py314-fork-cpu4", None, (), (), End("py314-fork-cpu4", "unavailable", "4 of 2 CPUs", 0))
    run = run_of(*cells, missing, started="2026-01-01T00:00:00+00:00", ended=1767225650.0, lower_bound_s=45.0)
    assert (
        plain(report(run))
        == """\
Python    method       cpu2  cpu4
3.14      fork         pass  unavailable
          spawn        FAIL  .

Forbidden (1)
  bench.demos.account:with_lock
      199
      why: nobody listed it
      in py314-spawn-cpu2: 1 of 10 samples
      again: bench cell py314-spawn-cpu2 bench.demos.account:with_lock --seed 7
      witness: sample 3, seed 7

Interesting (2)
  bench.demos.account:without_lock
      6 different values from 198 to 220: 199 (2), 198 (1), 201 (1), 205 (1), 219 (1) and 1 more
      why: nothing protects it
      acceptable in 33.3 % to 75.0 % of a cell's samples (median 54.2 %)
      in both cells: 7 of 13 samples
  bench.demos.queues:join_first
      hang: join() of a child that still writes
      why: the sibling joins first
      in both cells: all 2 samples

Warnings (1)
  DeprecationWarning: This process (pid=0) is multi-threaded, use of fork() may lead to deadlocks
      only in py314-fork-cpu2 (of 2 cells), from bench.demos.queues:join_first

Cells without a verdict (1)
  unavailable: 4 of 2 CPUs
      only in py314-fork-cpu4 (of 3 cells)

1 passed, 1 failed, 1 unavailable in 50.0 s (1.11 x the lower bound of 45.0 s)
"""
    )


def test_interesting_values_that_are_graded_alike_are_one_finding() -> None:
    run = run_of(
        cell("py314-fork-cpu1", "pass", race("py314-fork-cpu1", 199)),
        cell("py314-fork-cpu2", "pass", race("py314-fork-cpu2", 201, 199)),
    )
    (one,) = found.findings(run)
    assert one.distribution is not None
    assert one.distribution.top == (("199", 2), ("201", 1))
    assert one.distribution.acceptable == (0.6, 0.675, 0.75)


def test_a_few_forbidden_values_are_findings_of_their_own() -> None:
    values = [(value(n), 1, "forbidden", "nobody listed it") for n in range(3)]
    run = run_of(cell("py314-fork-cpu1", "fail", judged("py314-fork-cpu1", ACCOUNT, values)))  # type: ignore[arg-type]  # a list where a sequence will do
    assert [one.texts for one in found.findings(run)] == [("0",), ("1",), ("2",)]


def test_the_seed_is_that_of_the_first_sample_that_showed_it() -> None:
    (one,) = found.findings(run_of(cell("py314-fork-cpu1", "pass", race("py314-fork-cpu1", 199))))
    assert one.first.seed == 7
    assert replace(one.first, cell_seed=5, tally=replace(one.first.tally, witness={})).seed == 5


def test_one_cause_with_several_wordings_is_one_finding() -> None:
    lines = [
        judged(name, "m:f", [(Outcome("raised", detail=detail), 1, "interesting", "")])
        for name, detail in (
            (
                "py313-spawn-cpu1",
                {"type": "AttributeError", "message": "Can't pickle local object 'f'"},
            ),
            ("py314-spawn-cpu1", {"type": "PicklingError", "message": "Can't pickle <f>"}),
        )
    ]
    run = run_of(*(cell(line.cell, "pass", line) for line in lines))
    assert len(found.findings(run)) == 1
    assert "(and 1 of other wording)" in plain(findings_text(run))


def test_failed_tests_are_grouped_by_signature() -> None:
    names = ("py313-spawn-cpu1", "py314-spawn-cpu1", "py314-fork-cpu1")
    statuses: tuple[TestStatus, ...] = ("failed", "failed", "passed")
    cells = [
        cell(name, "fail", Test(name, "tests/test_a.py::test_a", status, 0.1, "E: no"))
        for name, status in zip(names, statuses, strict=True)
    ]
    text = plain(findings_text(run_of(*cells[:2], cells[2], command=["pytest", "-k", "a b"], targets=[])))
    assert text.startswith(
        "Failed tests (1)\n"
        "  tests/test_a.py::test_a  failed\n"
        "      E: no\n"
        "      only under spawn (2 of 3 cells)\n"
        "      again: bench cell py313-spawn-cpu1 --seed 7 -- pytest -k 'a b'\n"
    )


def test_a_failed_cell_without_a_finding_is_listed() -> None:
    assert "no reason was recorded" in plain(findings_text(run_of(cell("py314-fork-cpu1", "fail"))))


def test_an_unknown_verdict_is_listed_once_with_its_reason() -> None:
    none = Judged(ACCOUNT, "repeat", "c", 0, 0, (), verdict="unknown", why="no samples")
    text = plain(findings_text(run_of(*(cell(f"py314-{m}-cpu1", "unknown", none) for m in ("fork", "spawn")))))
    assert text == f"Unknown (1)\n  no samples\n      in both cells, from {ACCOUNT}\n\n"


@pytest.mark.parametrize(
    ("targets", "target", "command"),
    [
        ([], "bench.demos.a:f", "bench cell py314-fork-cpu1 bench.demos.a:f --seed 7"),
        (["x/my file.py"], "my file:f", "bench cell py314-fork-cpu1 'x/my file.py::f' --seed 7"),
        (["tests/test_a.py::g"], "tests.test_a:f", "bench cell py314-fork-cpu1 tests/test_a.py::f --seed 7"),
        (["a.py"], "b:f", "bench cell py314-fork-cpu1 a.py --seed 7"),
    ],
)
def test_the_reproducing_line_names_the_target_as_it_was_given(targets: list[str], target: str, command: str) -> None:
    run = run_of(targets=targets)
    assert reproduce(cell("py314-fork-cpu1", "fail").place(), target, run, 7) == command


def test_the_reproducing_line_of_the_host_is_bench_run() -> None:
    local = cell("local", "fail").place("spawn")
    assert reproduce(local, "m:f", run_of(engine="local"), None) == "bench run m:f --method spawn"


def test_a_run_is_read_from_its_folder(tmp_path: Path) -> None:
    planned = [
        {"cell": "py314-fork-cpu1", "decision": "run"},
        {"cell": "py314-fork-cpu4", "decision": "unavailable", "why": "4 CPUs"},
        {"cell": "py314-spawn-cpu1", "decision": "run"},
        {"cell": "py314-spawn-cpu2", "decision": "excluded", "why": "--skip"},
    ]
    write_run(tmp_path, {"seed": 3, "cells": planned, "started": "2026-01-01T00:00:00Z"})  # type: ignore[dict-item]  # plain data is JSON
    sink = FileSink(tmp_path / "cells" / "py314-fork-cpu1.jsonl")
    sink.write(facts("py314-fork-cpu1"))
    sink.write_bytes(b'{"v": 1, "type": "obs')
    run = read(tmp_path)
    assert [(one.cell, one.status) for one in run.cells] == [
        ("py314-fork-cpu1", "interrupted"),
        ("py314-fork-cpu4", "unavailable"),
        ("py314-spawn-cpu1", "interrupted"),
        ("py314-spawn-cpu2", "excluded"),
    ]
    assert run.makespan_s is None
    assert run.seed == 3
    assert json.loads((tmp_path / "run.json").read_text())["v"] == 1


def test_histogram_shows_the_most_frequent_and_every_forbidden_outcome() -> None:
    many = [(value(n), 20 - n, "interesting", "the race") for n in range(9)]
    rare = (value("\x1b[31mred"), 1, "forbidden", "nobody listed it")
    text = plain(histogram(judged("local", ACCOUNT, [*many, rare], method="fork"), top=2))  # type: ignore[list-item]  # outcomes of any kind
    assert (
        text
        == f"""\
FAIL    {ACCOUNT}  [repeat, fork, local]  145 samples in 1.5 s
           20  13.8 % ###                  0  interesting: the race
           19  13.1 % ###                  1  interesting: as above
            1   0.7 % #                    '\\x1b[31mred'  forbidden: nobody listed it
          105  72.4 %                      7 more outcomes
"""
    )


def test_words_and_numbers() -> None:
    assert words(["a"]) == "a"
    assert words([]) == ""
    assert words(["a", "b", "c"], "or") == "a, b or c"
    assert counted(1, "cell") == "1 cell"
    assert counted(1200, "cell") == "1,200 cells"
    assert [percent(share) for share in (0, 0.0001, 0.5, 0.9999, 1)] == [
        "0.0 %",
        "<0.1 %",
        "50.0 %",
        ">99.9 %",
        "100.0 %",
    ]
    assert [duration(s) for s in (0.04, 99.9, 185)] == ["0.0 s", "99.9 s", "3 min 05 s"]
    assert one_line("a\n\tb\x1b[2J\u202e") == "a b\\x1b[2J\\u202e"
    assert one_line("abcdef", 4) == "abc…"
