"""Runs that go on: what is finished stays, what was cut runs again, and what failed runs again alone."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.errors import NothingToRun, UsageError
from bench.matrix.engines.base import Ended, Job
from bench.matrix.images import Project
from bench.matrix.plan import Plan, Settings, failed_again, from_json, make_plan, parse_axes, to_json
from bench.matrix.run import RunResult, read_begun, run_matrix
from bench.matrix.run.files import RunLock
from bench.matrix.run.sources import changed_since, write_sources
from bench.matrix.run.tries import checked, merged
from bench.record import Test, read_run
from bench.report.loaded import read
from bench.testids import MOST, is_of, pack, unpack
from bench.testing import FakeEngine, Script, granted


def plan_of(cpus: str = "1", repeat: int = 1) -> Plan:
    chosen = Settings(command=("pytest",), repeat=repeat)
    return make_plan(parse_axes(["3.14"], ["fork,spawn,forkserver"], [cpus]), run="r1", host_cpus=2, settings=chosen)


def ran(job: Job, name: str = "test_a", status: str = "passed") -> Test:
    return Test(job.cell.name, f"tests/test_x.py::{name}", status, 0.1, "why" if status == "failed" else None)  # type: ignore[arg-type]  # a status


def passes(job: Job) -> Script:
    return Script((granted(job), ran(job)))


def run(plan: Plan, engine: FakeEngine, folder: Path, **more: object) -> RunResult:
    return run_matrix(
        plan,
        engine,
        folder,
        on_event=lambda event: None,
        stop=threading.Event(),
        leases=folder.parent / "leases",
        **more,  # type: ignore[arg-type]  # what a test adds
    )


def cut(folder: Path, *cells: str) -> None:
    """Have the cells look as after a kill: no end, and a torn line; and the run, which has no end either."""
    for cell in cells:
        path = folder / "cells" / f"{cell}.jsonl"
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[:-1]) + b'{"v": 1, "type": "te')
    data = read_run(folder)
    data["ended"] = None
    for one in data["cells"]:
        one.pop("status", None)
    del data["makespan_s"]
    (folder / "run.json").write_text(json.dumps(data))


def test_what_was_cut_runs_again_and_what_is_finished_does_not(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run(plan_of("1,4"), FakeEngine(passes), folder)
    cut(folder, "py314-spawn-cpu1", "py314-forkserver-cpu1")
    (folder / "cells" / "py314-forkserver-cpu1.jsonl").unlink()  # it had not begun
    whole = (folder / "cells" / "py314-fork-cpu1.jsonl").read_bytes()
    begun = read_begun(folder)
    assert [cell.name for cell in begun.left] == ["py314-spawn-cpu1", "py314-forkserver-cpu1"]
    engine = FakeEngine(passes)
    result = run(begun.plan, engine, folder, begun=begun)
    assert sorted(job.cell.name for job in engine.jobs) == ["py314-forkserver-cpu1", "py314-spawn-cpu1"]
    assert (folder / "cells" / "py314-fork-cpu1.jsonl").read_bytes() == whole
    assert [(end.cell, end.status) for end in result.ends.values() if end.status != "unavailable"] == [
        ("py314-fork-cpu1", "pass"),
        ("py314-spawn-cpu1", "pass"),
        ("py314-forkserver-cpu1", "pass"),
    ]
    records = read(folder)
    assert all(len(cell.tests) == 1 for cell in records.cells if cell.status == "pass")
    assert len(records.cells) == 6
    assert b'"te' in (folder / "cut" / "py314-spawn-cpu1.1.jsonl").read_bytes()
    assert len(records.run["resumed"]) == 1
    assert records.makespan_s is not None
    assert records.makespan_s >= records.run["before_s"]


def test_a_cell_that_a_stop_ended_is_not_finished(tmp_path: Path) -> None:
    folder, stop = tmp_path / "run", threading.Event()
    stop.set()
    run_matrix(plan_of(), FakeEngine(passes), folder, on_event=lambda event: None, stop=stop)
    begun = read_begun(folder)
    assert len(begun.left) == 3
    run(begun.plan, FakeEngine(passes), folder, begun=begun)
    assert {cell.status for cell in read(folder).cells} == {"pass"}
    assert read_run(folder)["interrupted"] is False


def test_a_run_that_was_cut_after_its_last_cell_still_removes_what_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run(plan_of(), FakeEngine(passes), folder)
    cut(folder)
    begun, engine = read_begun(folder), FakeEngine(passes, left_behind=["an old cell"])
    assert begun.left == ()
    run(begun.plan, engine, folder, begun=begun)
    assert (engine.jobs, engine.clean()) == ([], [])
    assert read_run(folder)["ended"] is not None


def test_two_never_write_into_one_run(tmp_path: Path) -> None:
    with RunLock(tmp_path), pytest.raises(UsageError, match="still goes on"):
        run(plan_of(), FakeEngine(passes), tmp_path)
    run(plan_of(), FakeEngine(passes), tmp_path)


def test_what_no_matrix_wrote_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no readable run"):
        read_begun(tmp_path)
    (tmp_path / "run.json").write_text('{"v": 1, "cells": []}')
    with pytest.raises(UsageError, match="no run of a matrix"):
        read_begun(tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda root: (root / "a.py").write_text("2"), "a.py has changed"),
        (lambda root: (root / "a.py").unlink(), "a.py is gone"),
        (lambda root: (root / "b.py").write_text("1"), "b.py is new"),
        (lambda root: (root / "written by a test").write_text("1"), None),
        (lambda root: (root / "out" / "cells.py").write_text("1"), None),
    ],
)
def test_changes_of_the_project_are_named(tmp_path: Path, change: Callable[[Path], object], says: str | None) -> None:
    (tmp_path / "a.py").write_text("1")
    (tmp_path / "ü \n.txt").write_text("1")
    out = tmp_path / "out"
    out.mkdir()
    project = Project(tmp_path)
    write_sources(out, project)
    assert changed_since(out, project) is None
    change(tmp_path)
    assert changed_since(out, project) == says


def test_without_a_project_there_are_no_sources(tmp_path: Path) -> None:
    write_sources(tmp_path, None)
    assert list(tmp_path.iterdir()) == []
    assert changed_since(tmp_path, None) is None


def fails_at_first() -> Callable[[Job], Script]:
    """Each cell fails the first time that it runs, and passes then."""
    seen: set[str] = set()

    def script(job: Job) -> Script:
        status = "passed" if job.cell.name in seen else "failed"
        seen.add(job.cell.name)
        ended = Ended(0 if status == "passed" else 1)
        return Script((granted(job), ran(job, status=status), ran(job, "test_b")), ended=ended)

    return script


def test_a_command_runs_as_often_as_it_is_to_and_a_cell_fails_if_it_did_once(tmp_path: Path) -> None:
    engine = FakeEngine(fails_at_first())
    result = run(plan_of(repeat=3), engine, tmp_path / "run")
    assert len(engine.jobs) == 9
    assert {(end.status, end.why, end.seconds) for end in result.ends.values()} == {
        ("fail", "1 of 3 times: tests/test_x.py::test_a", 3.0)
    }
    assert [len(cell.tests) for cell in read(tmp_path / "run").cells] == [6, 6, 6]


def test_repetitions_end_with_a_stop(tmp_path: Path) -> None:
    stop = threading.Event()
    engine = FakeEngine(lambda job: Script((granted(job),), until_stopped=True, then=stop.set))
    folder = tmp_path / "run"
    run_matrix(plan_of(repeat=3), engine, folder, on_event=lambda event: None, stop=stop, leases=tmp_path / "leases")
    assert {cell.status for cell in read(folder).cells} == {"interrupted"}
    assert len(engine.jobs) <= 3


@pytest.mark.parametrize(
    ("tries", "status", "why"),
    [
        ([("pass", "")], "pass", ""),
        ([("fail", "no")], "fail", "no"),
        ([("pass", ""), ("timeout", "late"), ("fail", "no"), ("pass", "")], "fail", "1 of 4 times: no"),
        ([("pass", ""), ("error", "e"), ("unknown", "u"), ("error", "f")], "error", "2 of 4 times: e"),
        ([("pass", ""), ("unknown", "u")], "unknown", "1 of 2 times: u"),
        ([("fail", "no"), ("interrupted", "stopped")], "interrupted", "1 of 2 times: stopped"),
    ],
)
def test_the_worst_of_several_times_counts(tries: list[tuple[str, str]], status: str, why: str) -> None:
    assert merged(tries) == (status, why)  # type: ignore[arg-type]  # statuses


def test_a_list_of_tests_is_one_word_and_too_long_a_list_is_none() -> None:
    ids = ("tests/test_x.py::test[a b-'\"ü\n]".replace("\n", ""), "tests/test_x.py::Test::test", "")
    word = pack(ids)
    assert word is not None
    assert word.isascii()
    assert not set(word) & set(" '\"$\\\n")
    assert unpack(word) == ids
    with pytest.raises(UsageError, match="no list of tests"):
        unpack("nonsense")
    many = [
        f"tests/test_{number % 97}.py::TestSomething::test_case[{number}-{number * 7919}]" for number in range(10_000)
    ]
    word = pack(many)
    assert word is not None
    assert len(word) < MOST
    assert pack(f"{hash((number, 'x'))}" for number in range(100_000)) is None


def test_a_test_is_of_a_list_by_its_id_its_class_or_its_file() -> None:
    assert is_of("tests/test_x.py::T::test[a::b]", {"tests/test_x.py::T::test[a::b]"})
    assert is_of("tests/test_x.py::T::test", {"tests/test_x.py"})
    assert not is_of("tests/test_x.py::T::test_2", {"tests/test_x.py::T::test"})


def test_only_what_failed_runs_again_and_cells_with_trouble_do_as_a_whole() -> None:
    statuses = {"py314-fork-cpu1": "pass", "py314-spawn-cpu1": "fail", "py314-forkserver-cpu1": "timeout"}
    failed = {"py314-spawn-cpu1": ("tests/test_x.py::test_a",)}
    again = failed_again(plan_of("1,4"), statuses, failed, run="r2")  # type: ignore[arg-type]  # statuses
    assert {one.cell.name: (one.decision, one.only) for one in again.cells if one.decision != "unavailable"} == {
        "py314-fork-cpu1": ("excluded", ()),
        "py314-spawn-cpu1": ("run", ("tests/test_x.py::test_a",)),
        "py314-forkserver-cpu1": ("run", ()),
    }
    assert (again.run, again.failed_of) == ("r2", "r1")
    assert from_json(json.loads(json.dumps(to_json(again)))) == again
    with pytest.raises(NothingToRun, match="nothing failed in r1"):
        failed_again(plan_of(), dict.fromkeys(statuses, "pass"), {}, run="r2")


def test_a_failed_test_that_is_no_longer_there_does_not_pass(tmp_path: Path) -> None:
    lines = (Test("c", "tests/test_x.py::test_b", "passed", 0.1),)
    gone = ("tests/test_x.py::test_a", "tests/test_x.py::test_b")
    assert checked("pass", "", gone, lines) == ("unknown", "not there to run again: tests/test_x.py::test_a")
    assert checked("fail", "no", gone, lines) == ("fail", "no")
    assert checked("pass", "", gone[1:], lines) == ("pass", "")
    assert checked("pass", "", ("tests/test_x.py",), lines) == ("pass", "")
    statuses = dict.fromkeys(("py314-fork-cpu1", "py314-spawn-cpu1", "py314-forkserver-cpu1"), "fail")
    plan = failed_again(plan_of(), statuses, dict.fromkeys(statuses, gone), run="r2")  # type: ignore[arg-type]  # statuses
    engine = FakeEngine(passes)
    run(plan, engine, tmp_path / "run")
    assert {cell.status for cell in read(tmp_path / "run").cells} == {"unknown"}
    word = engine.jobs[0].arguments[engine.jobs[0].arguments.index("--only") + 1]
    assert unpack(word) == gone


def test_a_torn_end_is_no_end(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run(plan_of(), FakeEngine(passes), folder)
    path = folder / "cells" / "py314-fork-cpu1.jsonl"
    whole = path.read_bytes()
    for kept in (len(whole) - 2, len(whole) - 40):
        path.write_bytes(whole[:kept])
        assert [cell.name for cell in read_begun(folder).left] == ["py314-fork-cpu1"]
    path.write_bytes(whole[:-1])  # all but its newline
    assert read_begun(folder).left == ()
