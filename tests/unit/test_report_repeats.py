"""Flaky and broken, told apart by how often a test passed; and the shards of a matrix, put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from bench.errors import UsageError
from bench.record import End, Test
from bench.report.findings import failed_alone
from bench.report.lines import plain
from bench.report.loaded import CellRecords, RunRecords
from bench.report.merged import merge
from bench.report.status import exit_status
from bench.report.summary import findings_text, report

FORK, SPAWN, SERVER = "py314-fork-cpu1", "py314-spawn-cpu1", "py314-forkserver-cpu1"


def cell(name: str, statuses: str, status: str = "fail", why: str = "") -> CellRecords:
    """A cell in which `t.py::test` ran once for each letter: passed, failed or skipped."""
    words = {"p": "passed", "f": "failed", "s": "skipped"}
    tests = tuple(
        Test(name, "t.py::test", words[letter], 0.1, f"assert {number} == 0" if letter == "f" else None)  # type: ignore[arg-type]  # a status
        for number, letter in enumerate(statuses, 1)
    )
    return CellRecords(name, None, (), tests, End(name, status, why, 1.0))  # type: ignore[arg-type]  # a status


def run_of(*cells: CellRecords, **more: Any) -> RunRecords:
    planned = [
        {"cell": one.cell, "decision": "excluded" if one.status == "excluded" else "run", "why": one.end.why}
        for one in cells
    ]
    return RunRecords({"command": ["pytest"], "cells": planned, "modes": [], **more}, cells)


def test_a_flaky_test_says_how_often_it_passed_and_once() -> None:
    run = run_of(cell(FORK, "pfpfp"), cell(SPAWN, "ppppp", "pass"), repeat=5)
    (title, name, text, where, *_) = plain(findings_text(run)).splitlines()
    assert title == "Failed tests (1)"
    assert name == "  t.py::test  failed  flaky, passed 3 of 5"
    assert text == "      assert 2 == 0"
    assert where == f"      only in {FORK} (of 2 cells)"


def test_broken_in_one_place_and_flaky_in_another_are_told_apart() -> None:
    run = run_of(cell(FORK, "ppfs"), cell(SPAWN, "ffff"), cell(SERVER, "ffff"), repeat=4)
    assert plain(findings_text(run)).splitlines()[1:5] == [
        "  t.py::test  failed",
        "      assert 3 == 0",
        "      broken, failed 4 of 4: only under spawn and forkserver (2 of 3 cells)",
        f"      flaky, passed 2 of 3: only in {FORK} (of 3 cells)",
    ]


def test_without_repetitions_nothing_is_said_of_them() -> None:
    assert "of 1" not in plain(findings_text(run_of(cell(FORK, "f"), cell(SPAWN, "p", "pass")))).replace("of 2", "")


@pytest.mark.parametrize(
    ("status", "why", "alone"),
    [("fail", "t.py::test", ("t.py::test",)), ("fail", "t.py::test; and then: trouble", ()), ("timeout", "late", ())],
)
def test_a_cell_with_trouble_has_not_failed_by_its_tests_alone(status: str, why: str, alone: Sequence[str]) -> None:
    assert failed_alone(cell(FORK, "pf", status, why)) == tuple(alone)


def shard(index: int, mine: Mapping[str, str], others: Sequence[str], **more: Any) -> RunRecords:
    ran = [cell(name, "p" if status == "pass" else "f", status) for name, status in mine.items()]
    left = [cell(name, "", "excluded", f"in shard {3 - index}/2") for name in others]
    return run_of(*ran, *left, **{"shard": f"{index}/2", "makespan_s": float(index), "lower_bound_s": 0.5, **more})


def test_shards_are_one_matrix_again() -> None:
    one = shard(1, {FORK: "pass", SPAWN: "pass"}, [SERVER])
    two = shard(2, {SERVER: "pass"}, [FORK, SPAWN])
    merged = merge({"one": one, "two": two})
    assert {found.cell: found.status for found in merged.cells} == dict.fromkeys((FORK, SPAWN, SERVER), "pass")
    assert exit_status(merged) == 0
    assert plain(report(merged)).splitlines()[-1] == "3 passed in 2.0 s (4.00 x the lower bound of 0.5 s)"
    assert exit_status(merge({"one": one, "two": shard(2, {SERVER: "fail"}, [FORK, SPAWN])})) == 1
    assert merge({"one": one}) is one


def test_half_of_a_matrix_is_no_pass() -> None:
    one = shard(1, {FORK: "pass"}, [SPAWN, SERVER])
    two = shard(2, {SPAWN: "pass"}, [FORK, SERVER])
    merged = merge({"one": one, "two": two})
    assert exit_status(merged) == 5
    assert "no run of those given holds it" in plain(report(merged))


def test_runs_that_are_no_shards_of_one_matrix_are_refused() -> None:
    one, two = shard(1, {FORK: "pass"}, [SPAWN]), shard(2, {SPAWN: "pass"}, [FORK])
    for others, says in (
        ({}, "no run"),
        ({"one": one, "x": run_of(cell(SPAWN, "p", "pass"))}, "x is a whole run"),
        ({"one": one, "x": shard(2, {SPAWN: "pass"}, [FORK], command=["other"])}, "another command"),
        ({"one": one, "two": two, "x": shard(1, {FORK: "pass"}, [SPAWN])}, f"{FORK} ran in one and in x"),
    ):
        with pytest.raises(UsageError, match=says):
            merge(others)
