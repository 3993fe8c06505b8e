"""Coverage over cells, from data as cells send it: put together, told apart by start method, and reported."""

from __future__ import annotations

import base64
import json
import threading
import zlib
from collections.abc import Mapping
from pathlib import Path

import pytest
from coverage import CoverageData

from bench.cells import parse_cell
from bench.errors import UsageError
from bench.matrix.plan import Settings, make_plan
from bench.matrix.run import run_matrix
from bench.matrix.run.coverage import FOLDER, TMP_BYTES, drop_coverage, files_of, take_coverage
from bench.process.measuring import CHILDREN, configuration
from bench.report.covered import cover, coverage_lines, never_in_child, on_host, only_under, ranges
from bench.report.lines import plain
from bench.testing import FakeEngine, Script, granted

FORK, SPAWN = "py314-fork-cpu1", "py314-spawn-cpu1"

SOURCE = """\
def one():
    return 1


def two():
    return 2


def three():
    return 3
"""


def sent(folder: Path, cell: str, lines: Mapping[str, Mapping[str, list[int]]]) -> bytes:
    """The line that a cell sends: for each context, the lines of each file."""
    path = folder / f"of {cell}"
    data = CoverageData(str(path))
    for context, files in lines.items():
        data.set_context(context)
        data.add_lines(files)
    data.close(force=True)
    packed = base64.b64encode(zlib.compress(path.read_bytes())).decode()
    path.unlink()
    return json.dumps({"v": 1, "type": "coverage", "cell": cell, "data": packed}).encode() + b"\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "src" / "jobs").mkdir(parents=True)
    (root / "src" / "jobs" / "work.py").write_text(SOURCE)
    (root / "pyproject.toml").write_text('[tool.coverage.report]\nexclude_also = ["def three"]\n')
    return root


def test_what_cells_ran_is_put_together_and_told_apart(tmp_path: Path, project: Path) -> None:
    file, installed = "/project/src/jobs/work.py", "/usr/lib/python3.14/site-packages/jobs/work.py"
    fork = {FORK: {file: [1, 2, 5, 9], "/usr/lib/other.py": [1]}, FORK + CHILDREN: {file: [6]}}
    spawn = {SPAWN: {installed: [1, 5, 9]}, SPAWN + CHILDREN: {installed: [1, 5, 9]}}
    run = tmp_path / "run"
    assert take_coverage(run, parse_cell(FORK), sent(tmp_path, FORK, fork))
    assert take_coverage(run, parse_cell(SPAWN), sent(tmp_path, SPAWN, spawn))
    covered = cover(run, project, [FORK, SPAWN, "py314-forkserver-cpu1"])
    assert covered is not None
    assert (covered.total, covered.statements) == (100.0, 4), "three is excluded by the project"
    assert covered.only == {"fork": {"src/jobs/work.py": [2, 6]}}
    assert covered.never_in_child == {"src/jobs/work.py": [2]}
    assert plain(coverage_lines(covered, run)).splitlines() == [
        "Coverage: 100.0 % of 4 statements",
        "  2 lines ran only under fork:",
        "      src/jobs/work.py: 2, 6",
        "  never in a child: 1 of 5 lines that ran",
        "  no data of py314-forkserver-cpu1",
        f"  {run}/coverage: html/index.html, coverage.lcov, total.txt, only-under.txt, never-in-a-child.txt",
        "",
    ]
    made = run / FOLDER
    assert "SF:" in (made / "coverage.lcov").read_text()
    assert f"{SPAWN}{CHILDREN}" in "".join(path.read_text() for path in (made / "html").glob("*work*.html"))
    assert (made / "only-under.txt").read_text() == "only under fork\n  src/jobs/work.py: 2, 6\n"
    assert (made / "never-in-a-child.txt").read_text() == "src/jobs/work.py: 2\n"
    again = cover(run, project, [FORK])
    assert again is not None
    assert again.total == covered.total


def test_without_data_nothing_was_measured(tmp_path: Path, project: Path) -> None:
    cell = parse_cell(FORK)
    for damaged in (b"", b"x" * 9, json.dumps({"data": "no"}).encode()):
        line = b'{"v": 1, "type": "coverage", "cell": "c", "data": "' + damaged[:3] + b'"}\n'
        assert take_coverage(tmp_path, cell, line)
    assert not take_coverage(tmp_path, cell, b'{"v": 1, "type": "test"}\n')
    assert cover(tmp_path, project, [FORK]) is None
    assert plain(coverage_lines(None, tmp_path)).startswith("Coverage: nothing was measured; see the cells' logs")


def test_data_that_is_damaged_is_that_of_a_cell_without_data(tmp_path: Path, project: Path) -> None:
    run = tmp_path / "run"
    take_coverage(run, parse_cell(FORK), sent(tmp_path, FORK, {FORK: {"/project/src/jobs/work.py": [1]}}))
    (run / FOLDER / f"{SPAWN}.1.data").write_bytes(b"SQLite format 3\0 no more")
    covered = cover(run, project, [FORK, SPAWN])
    assert covered is not None
    assert covered.missing == [SPAWN]


def test_one_method_alone_has_no_lines_of_its_own() -> None:
    file = {1: frozenset({FORK}), 2: frozenset({f"{FORK}{CHILDREN}"})}
    assert only_under({"a.py": file}) == {}
    assert never_in_child({"a.py": file}) == {"a.py": [1]}
    both = {"a.py": {**file, 3: frozenset({SPAWN}), 4: frozenset({SPAWN, FORK})}}
    assert only_under(both) == {"fork": {"a.py": [1, 2]}, "spawn": {"a.py": [3]}}
    assert ranges([1, 2, 3, 5, 7, 8]) == "1-3, 5, 7-8"


def test_paths_of_cells_are_those_of_the_host(tmp_path: Path, project: Path) -> None:
    here = project / "src" / "jobs" / "work.py"
    for path in ("/project/src/jobs/work.py", str(here), "/venv/lib/python3.12/site-packages/jobs/work.py"):
        assert on_host(path, project) == here
    for path in ("/project/gone.py", str(tmp_path / "other.py"), "/venv/site-packages/numpy/work.py", "<string>"):
        assert on_host(path, project) is None


def test_a_cell_measures_the_project_also_where_it_is_installed(project: Path) -> None:
    text = configuration(Path("/tmp/there"), project)
    assert f"    {project}/*\n" in text
    assert "    */site-packages/jobs/*\n" in text
    assert "context = ${BENCH_COVERAGE_CONTEXT}" in text


def test_the_data_goes_into_files_of_its_own_and_that_of_a_cell_that_runs_again_goes(tmp_path: Path) -> None:
    line = sent(tmp_path, FORK, {FORK: {"/project/a.py": [1]}})
    plan = make_plan(
        [parse_cell(FORK)], run="r", host_cpus=1, settings=Settings(command=("pytest",), coverage=True, repeat=2)
    )
    engine = FakeEngine(lambda job: Script((granted(job), line)), cpus=[0])
    run = tmp_path / "run"
    run_matrix(plan, engine, run, on_event=lambda event: None, stop=threading.Event(), leases=tmp_path / "leases")
    assert "--coverage" in engine.jobs[0].arguments
    assert engine.jobs[0].limits.tmp_bytes == TMP_BYTES
    assert b'"data"' not in (run / "cells" / f"{FORK}.jsonl").read_bytes()
    assert [path.name for path in files_of(run, parse_cell(FORK))] == [f"{FORK}.1.data", f"{FORK}.2.data"]
    drop_coverage(run, parse_cell(FORK))
    assert files_of(run, parse_cell(FORK)) == []
    with pytest.raises(UsageError, match="for a command"):
        Settings(coverage=True)
