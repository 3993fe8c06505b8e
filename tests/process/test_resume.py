"""A run whose bench is killed, and that is resumed, by the command and with real processes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.report.loaded import read
from tests.benchmarks.killed import Bench, finished, kill_when

pytestmark = pytest.mark.skipif(sys.implementation.name == "pypy", reason="once is enough, and PyPy starts slowly")


def test_a_run_that_is_killed_goes_on_with_what_is_not_finished_and_leaves_nothing(tmp_path: Path) -> None:
    bench, out = Bench(tmp_path, f"3.{sys.version_info[1]}"), tmp_path / "run"
    assert kill_when(bench.anew(out), lambda: bool(finished(out)))
    before = finished(out)
    assert bench.go_on(out).wait() == 1
    assert {name: data for name, data in finished(out).items() if name in before} == before
    run = read(out)
    failed = {cell.cell.split("-")[1]: [one.id for one in cell.tests if one.status == "failed"] for cell in run.cells}
    lambdas = ["tests/test_killed.py::test_needs_fork"]
    assert failed == {"fork": [], "spawn": lambdas, "forkserver": lambdas}
    assert {cell.cell: len(cell.tests) for cell in run.cells} == dict.fromkeys(finished(out), 4)
    assert not run.run["interrupted"]
    assert [(one.method, one.count) for cell in run.cells for one in cell.starts] == [("fork", 1)]
    assert bench.left_behind() == []
