"""The matrix and its cells from the command line, over an engine without processes."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest
from rich.console import Console
from rich.style import Style

import bench
from bench import leases
from bench.cells import parse_cell
from bench.cli import main, running
from bench.cli.output import COLOURS, rich_style
from bench.matrix.engines.base import Ended
from bench.matrix.plan import make_plan
from bench.matrix.run import CellEnded
from bench.modes import CELL_MODES
from bench.outcomes import value
from bench.record import Test
from bench.report.board import BoardState
from bench.testing import FakeEngine, Script, granted, judged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.matrix.engines.base import Engine, Job

    Ran = Callable[..., tuple[int, str, str]]

RACE = """
from bench import actor, racy, scenario

@scenario(racy(2))
class Race:
    def __init__(self, mp):
        self.count = mp.Value("i", 0)

    @actor
    def first(self):
        self.count.value += 1

    @actor
    def second(self):
        self.count.value += 1

    def result(self):
        return self.count.value
"""

GOOD = """
from bench import deterministic, program

@program(deterministic(3))
def three(mp):
    return 3
"""


def gives(number: int, job: Job) -> Script:
    """A cell that records one value of `good:three`, of which 3 is acceptable."""
    grade, why = ("acceptable", "") if number == 3 else ("forbidden", "nobody listed it")
    seen = judged(job, value(number), target="good:three", grade=grade, why=why)  # type: ignore[arg-type]  # one of the grades
    return Script((granted(job), seen), b"what pytest printed\n", Ended(0 if number == 3 else 1))


def good(job: Job) -> Script:
    return gives(3, job)


def fails_a_test(job: Job) -> Script:
    test = Test(job.cell.name, "tests/test_a.py::test_b", "failed", 0.1, "AssertionError: no")
    return Script((granted(job), test), ended=Ended(1))


def is_stopped_by_a_signal(job: Job) -> Script:
    return Script((granted(job),), until_stopped=True, then=lambda: os.kill(os.getpid(), signal.SIGTERM))


def docker(script: Callable[[Job], Script] = good) -> FakeEngine:
    return FakeEngine(script, name="docker")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(leases, "FOLDER", tmp_path / "leases")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "good", raising=False)
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text("[project]\nname = 'p'\n")
    (project / "good.py").write_text(GOOD)
    monkeypatch.chdir(project)
    return project


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[FakeEngine], Ran]:
    """Have commands use an engine."""

    def use(engine: FakeEngine) -> Ran:
        def chosen(name: str, images: Mapping[str, str]) -> Engine:
            return engine

        def run(*arguments: str) -> tuple[int, str, str]:
            status = main(arguments)
            captured = capsys.readouterr()
            return status, captured.out, captured.err

        monkeypatch.setattr("bench.cli.matrix_command.engine_of", chosen)
        monkeypatch.setattr("bench.cli.cell_command.engine_of", chosen)
        return run

    return use


def test_a_matrix_that_passes(here: Path, on: Callable[[FakeEngine], Ran]) -> None:
    engine = docker()
    status, out, err = on(engine)("matrix", "good.py", "--python", "3.13,3.14", "--seed", "7")
    assert status == 0
    rows = [row.split() for row in out.splitlines()]
    assert rows[0] == ["Python", "method", "cpu1", "cpu2", "cpu4"]
    assert rows[1] == ["3.13", "fork", "pass", "pass", "unavailable"]
    assert "needs 4 CPUs, and there are 2" in out
    assert rows[-1][:5] == ["12", "passed,", "6", "unavailable", "in"]
    assert len(engine.jobs) == 12
    assert err.splitlines()[0] == "preparing"
    (folder,) = (here / "bench-runs").iterdir()
    assert err.endswith(f"bench: records: bench-runs/{folder.name}\n")
    assert len(list((folder / "cells").iterdir())) >= 12
    recorded = json.loads((folder / "run.json").read_text())
    jsonschema.validate(recorded, json.loads((Path(bench.__file__).parent / "schema/run-v1.json").read_text()))
    assert recorded["seed"] == 7


def test_a_failure_is_reported_once_with_its_cells_and_the_line_that_runs_it_again(
    here: Path, on: Callable[[FakeEngine], Ran]
) -> None:
    run = on(docker(lambda job: gives(4 if job.cell.method == "spawn" else 3, job)))
    status, out, _ = run("matrix", "good.py", "--python", "3.13,3.14", "--cpus", "1,2")
    assert status == 1
    assert out.count("nobody listed it") == 1
    assert "only under spawn (4 of 12 cells): all 4 samples" in out
    assert "again: bench cell py313-spawn-cpu1 good.py::three --seed 7" in out


def test_missing_cpus_that_were_asked_for_are_inconclusive(here: Path, on: Callable[[FakeEngine], Ran]) -> None:
    assert on(docker())("matrix", "good.py", "--cpus", "2,4", "--python", "3.14")[0] == 5


def test_a_dry_run_shows_the_plan_and_starts_nothing(here: Path, on: Callable[[FakeEngine], Ran]) -> None:
    engine = docker()
    status, out, _ = on(engine)(
        "matrix", "good.py", "--dry-run", "--python", "3.14", "--method", "spawn", "--skip", "*cpu1"
    )
    assert status == 0
    assert out == (
        "py314-spawn-cpu1  excluded     left out by --skip *cpu1\n"
        "py314-spawn-cpu2  run\n"
        "py314-spawn-cpu4  unavailable  needs 4 CPUs, and there are 2\n"
        "1 cell of docker would run good.py; 2 would not\n"
    )
    assert not engine.jobs
    assert not (here / "bench-runs").exists()


def test_a_signal_stops_the_matrix_and_keeps_what_is_recorded(here: Path, on: Callable[[FakeEngine], Ran]) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    status, out, _ = on(docker(is_stopped_by_a_signal))(
        "matrix", "good.py", "--python", "3.14", "--cpus", "2", "--out", "o"
    )
    assert status == 130
    assert "interrupted" in out
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    assert json.loads((here / "o/run.json").read_text())["interrupted"] is True
    assert any(b'"facts"' in path.read_bytes() for path in (here / "o/cells").iterdir())


def test_a_command_runs_in_place_of_programs_with_the_project(here: Path, on: Callable[[FakeEngine], Ran]) -> None:
    engine = docker(fails_a_test)
    status, out, _ = on(engine)("matrix", "--python", "3.14", "--cpus", "1", "--", "pytest", "-k", "a b", "--", "x")
    assert status == 1
    assert all(job.arguments[-6:] == ("--", "pytest", "-k", "a b", "--", "x") for job in engine.jobs)
    assert engine.project is not None
    assert engine.project.root == here
    assert "tests/test_a.py::test_b  failed" in out
    assert "again: bench cell py314-fork-cpu1 --seed 0 -- pytest -k 'a b' -- x" in out


def test_targets_are_named_as_the_project_sees_them(
    here: Path, on: Callable[[FakeEngine], Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "sub").mkdir()
    monkeypatch.chdir(here / "sub")
    engine = docker()
    run = on(engine)
    assert run("matrix", "../good.py::three", "--python", "3.14", "--cpus", "1")[0] == 0
    assert {job.arguments[-1] for job in engine.jobs} == {"good.py::three"}
    (here.parent / "elsewhere.py").write_text(GOOD)
    status, _, err = run("matrix", "../../elsewhere.py")
    assert status == 2
    assert "is outside of the project" in err


def test_the_demos_need_no_project(here: Path, on: Callable[[FakeEngine], Ran]) -> None:
    engine = docker()
    assert on(engine)("cell", "py314-spawn-cpu2", "bench.demos.account:with_lock")[0] == 0
    assert engine.project is None
    assert engine.jobs[0].arguments[-1] == "bench.demos.account:with_lock"


def test_a_cell_that_passes(here: Path, on: Callable[[FakeEngine], Ran]) -> None:
    engine = docker()
    status, out, err = on(engine)("cell", "py314-spawn-cpu2", "good.py", "--samples", "4", "--out", "o")
    assert status == 0
    assert out.splitlines()[0].startswith("pass    good:three  [repeat, spawn, py314-spawn-cpu2]")
    assert out.splitlines()[-1] == "pass    py314-spawn-cpu2 on cpython 3.14.1, CPUs 0,1, 1.0 s"
    assert "what pytest printed" not in out
    assert "--samples" in engine.jobs[0].arguments
    assert err.endswith("bench: records: o\n")


def test_a_cell_that_fails_shows_its_log(here: Path, on: Callable[[FakeEngine], Ran]) -> None:
    status, out, _ = on(docker(lambda job: gives(4, job)))("cell", "py314-spawn-cpu1", "good.py")
    assert status == 1
    assert out.startswith("what pytest printed\n")
    assert not (here / "bench-runs").exists()


def test_a_cell_that_this_host_has_too_few_cpus_for(here: Path, on: Callable[[FakeEngine], Ran]) -> None:
    status, out, _ = on(docker())("cell", "py314-spawn-cpu4", "good.py")
    assert status == 5
    assert out == "unavailable py314-spawn-cpu4, 0.0 s: needs 4 CPUs, and there are 2\n"


def test_the_configuration_sets_what_the_command_line_leaves_open(here: Path, on: Callable[[FakeEngine], Ran]) -> None:
    table = 'python = ["3.12"]\ncpus = [1]\nmethod = "fork"\ntargets = ["good.py"]\ndeadline = 5\nout = "kept"\n'
    (here / "pyproject.toml").write_text(f"[tool.bench]\n{table}")
    engine = docker()
    run = on(engine)
    assert run("matrix")[0] == 0
    assert [job.cell.name for job in engine.jobs] == ["py312-fork-cpu1"]
    assert "--deadline" in engine.jobs[0].arguments
    assert (here / "kept" / "run.json").exists()
    assert run("matrix", "--method", "spawn", "--out", "other")[0] == 0
    assert engine.jobs[-1].cell.method == "spawn"


def modes_asked(job: Job) -> list[str]:
    return [word for before, word in zip(job.arguments, job.arguments[1:], strict=False) if before == "--mode"]


def test_modes_come_from_the_line_else_the_configuration_else_all_are_run(
    here: Path, on: Callable[[FakeEngine], Ran]
) -> None:
    (here / "both.py").write_text(GOOD + RACE)
    engine = docker()
    run = on(engine)
    small = ("--python", "3.14", "--method", "fork", "--cpus", "1")
    status, _, err = run("matrix", "both.py", "--mode", "stress", *small, "--out", "one")
    assert (status, modes_asked(engine.jobs[-1])) == (0, ["stress"])
    assert "bench: 1 target left out: a program has no actors, and stress runs scenarios\n" in err
    assert json.loads((here / "one" / "run.json").read_text())["modes"] == ["stress"]
    assert run("cell", "py314-fork-cpu1", "both.py", "--mode", "stress,repeat")[0] == 0
    assert modes_asked(engine.jobs[-1]) == ["repeat", "stress"]
    run("matrix", "both.py", *small, "--out", "two")
    assert modes_asked(engine.jobs[-1]) == list(CELL_MODES)
    (here / "pyproject.toml").write_text('[tool.bench]\nmodes = ["repeat"]\n')
    run("matrix", "both.py", *small, "--out", "three")
    assert modes_asked(engine.jobs[-1]) == ["repeat"]


def test_where_no_target_has_the_mode_nothing_is_started(here: Path, on: Callable[[FakeEngine], Ran]) -> None:
    engine = docker()
    status, _, err = on(engine)("matrix", "good.py", "--mode", "stress")
    assert (status, engine.jobs) == (3, [])
    assert err.endswith("no target can be run with --mode stress: a program has no actors, and stress runs scenarios\n")
    assert on(engine)("matrix", "good.py", "--mode", "guess")[0] == 2


def test_a_command_is_left_its_own_modes(here: Path, on: Callable[[FakeEngine], Ran]) -> None:
    engine = docker()
    on(engine)("matrix", "--python", "3.14", "--cpus", "1", "--out", "o", "--", "pytest")
    assert modes_asked(engine.jobs[-1]) == []


def test_without_an_engine_cells_run_on_the_host_with_a_message(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    assert main(["matrix", "good.py", "--dry-run", "--python", "3.14"]) == 0
    captured = capsys.readouterr()
    assert "would run good.py" in captured.out
    assert captured.err.startswith("bench: cells run as processes of this host (--engine local), since no Docker")


def test_doctor_and_clean_work_without_an_engine(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    monkeypatch.setattr("bench.matrix.engines.local.LocalEngine.clean", lambda engine: ["cell-1"])
    monkeypatch.setattr("tempfile.tempdir", str(here))
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    for what in ("python", "start methods", "docker", "CPUs", "leases", "interpreters", "/dev/shm", "TMPDIR"):
        assert f" {what}" in out
    assert main(["clean"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "removed cell-1\n"
    assert captured.err.startswith("bench: docker: nothing cleaned, since")


def test_a_terminal_gets_the_board_in_colours_that_rich_knows() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=10)
    plan = make_plan([parse_cell("py314-fork-cpu1")], run="r", host_cpus=2)
    state = BoardState.of(plan, 2).apply(CellEnded(plan.to_run[0], "fail", "no", 1.0))
    text = running.drawn(state, threading.Event(), time.time(), console)
    console.print(text)
    assert text.plain.startswith("1 of 1 cells done, 1 FAIL | 0 running")
    assert "no" in text.plain.splitlines()[1]
    assert all(Style.parse(rich_style(style)) is not None for style in COLOURS)
