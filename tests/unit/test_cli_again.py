"""Long runs from the command line, over an engine without processes: resume, run failures again, repeat, shards."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import leases
from bench.cli import main
from bench.matrix.engines.base import Ended, Job
from bench.record import Test, read_run
from bench.testids import unpack
from bench.testing import FakeEngine, Script, granted

Ran = Callable[..., tuple[int, str, str]]

SMALL = ("--python", "3.14", "--cpus", "1")


def suite(job: Job, bad: str = "failed") -> Script:
    """Two tests, of which one fails under spawn."""
    status = bad if job.cell.method == "spawn" else "passed"
    tests = [("test_a", status), ("test_b", "passed")]
    lines = [
        Test(job.cell.name, f"tests/test_x.py::{name}", found, 0.1, "why" if found == "failed" else None)  # type: ignore[arg-type]  # a status
        for name, found in tests
    ]
    return Script((granted(job), *lines), ended=Ended(1 if status == "failed" else 0))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(leases, "FOLDER", tmp_path / "leases")
    root = tmp_path / "project"
    root.mkdir()
    (root / "pyproject.toml").write_text("[project]\nname = 'p'\n")
    (root / "code.py").write_text("")
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    def on(engine: FakeEngine) -> Ran:
        def run(*arguments: str) -> tuple[int, str, str]:
            monkeypatch.setattr("bench.cli.matrix_command.engine_of", lambda name, images: engine)
            status = main(arguments)
            captured = capsys.readouterr()
            return status, captured.out, captured.err

        return run

    return on


def cut(folder: Path, cell: str) -> None:
    path = folder / "cells" / f"{cell}.jsonl"
    path.write_bytes(path.read_bytes()[:-20])


def test_a_run_goes_on_by_its_folder_alone(project: Path, bench: Callable[..., Ran]) -> None:
    run = bench(FakeEngine(suite, name="docker"))
    assert run("matrix", *SMALL, "--out", "r", "--", "pytest", "-x")[0] == 1
    before = run("report", "r")
    cut(project / "r", "py314-fork-cpu1")
    assert run("report", "r")[0] == 130
    engine = FakeEngine(suite, name="docker")
    status, out, err = bench(engine)("matrix", "--resume", "r", "--jobs", "1")
    assert (status, out.splitlines()[:-1]) == (1, before[1].splitlines()[:-1])
    assert err.startswith("bench: 2 of 3 cells finished before, 1 left\n")
    assert [job.cell.name for job in engine.jobs] == ["py314-fork-cpu1"]
    assert engine.jobs[0].arguments[-3:] == ("--", "pytest", "-x")


def test_a_run_goes_on_as_it_was_planned_or_not_at_all(project: Path, bench: Callable[..., Ran]) -> None:
    run = bench(FakeEngine(suite))
    run("matrix", *SMALL, "--out", "r", "--", "pytest")
    cut(project / "r", "py314-fork-cpu1")
    for arguments, says in (
        (("--python", "3.13"), "--resume goes by the plan of the earlier run; leave out --python"),
        (("--seed", "0"), "leave out --seed"),
        (("code.py",), "leave out the targets"),
        (("--repeat", "2"), "leave out --repeat"),
        (("--rerun-failed", "r"), "leave out --rerun-failed"),
        (("--", "pytest", "-x"), "r ran pytest; leave out the command, or run it anew"),
    ):
        status, _, err = run("matrix", "--resume", "r", *arguments)
        assert (status, says in err) == (2, True), err
    assert bench(FakeEngine(suite, cpus=[]))("matrix", "--resume", "r")[2].endswith("resume it where it was begun\n")
    (project / "code.py").write_text("changed = True")
    assert "code.py has changed since r was begun; run anew, or put it back" in run("matrix", "--resume", "r")[2]
    (project / "code.py").write_text("")
    recorded = read_run(project / "r")
    recorded["host"]["versions"]["forkbench"] = "0.0.1"
    (project / "r" / "run.json").write_text(json.dumps(recorded))
    assert "was begun by forkbench 0.0.1" in run("matrix", "--resume", "r")[2]


def test_failed_tests_run_again_alone_and_after_a_change(project: Path, bench: Callable[..., Ran]) -> None:
    bench(FakeEngine(suite, name="docker"))("matrix", *SMALL, "--out", "r", "--", "pytest")
    (project / "code.py").write_text("mended = True")
    engine = FakeEngine(lambda job: suite(job, "passed"), name="docker")
    run = bench(engine)
    (row,) = [row for row in run("matrix", "--rerun-failed", "r", "--dry-run")[1].splitlines() if "spawn" in row]
    assert row.split() == ["py314-spawn-cpu1", "run", "1", "test"]
    assert run("matrix", "--rerun-failed", "r", "--out", "r2")[0] == 0
    assert [job.cell.name for job in engine.jobs] == ["py314-spawn-cpu1"]
    arguments = engine.jobs[0].arguments
    assert unpack(arguments[arguments.index("--only") + 1]) == ("tests/test_x.py::test_a",)
    assert read_run(project / "r2")["failed_of"] == read_run(project / "r")["run"]
    status, _, err = run("matrix", "--rerun-failed", "r2")
    assert (status, "nothing failed in" in err) == (3, True)
    assert "leave out --shard" in run("matrix", "--rerun-failed", "r", "--shard", "1/2")[2]


def test_a_command_is_repeated_and_programs_are_not(project: Path, bench: Callable[..., Ran]) -> None:
    engine = FakeEngine(suite)
    status, out, _ = bench(engine)("matrix", *SMALL, "--repeat", "2", "--out", "r", "--", "pytest")
    assert (status, len(engine.jobs)) == (1, 6)
    assert "tests/test_x.py::test_a  failed  broken, failed 2 of 2" in out
    status, _, err = bench(engine)("matrix", "bench.demos.account:with_lock", *SMALL, "--repeat", "2")
    assert (status, "give --samples" in err) == (2, True)


def test_shards_are_balanced_by_a_run_that_is_given_or_by_the_latest_whole_one(
    project: Path, bench: Callable[..., Ran]
) -> None:
    times = {"fork": 50.0, "spawn": 20.0, "forkserver": 20.0}

    def timed(job: Job) -> Script:
        return Script((granted(job),), takes_s=times[job.cell.method])

    run = bench(FakeEngine(timed))
    command = ("--", "true")
    assert run("matrix", *SMALL, "--shard", "1/2", "--out", "runs/0", *command)[0] == 0
    assert {one["cell"] for one in read_run(project / "runs/0")["cells"] if one["decision"] == "run"} == {
        "py314-fork-cpu1",
        "py314-forkserver-cpu1",
    }
    run("matrix", *SMALL, "--out", "runs/1", *command)
    run("matrix", *SMALL, "--shard", "2/2", "--out", "runs/2", *command)
    _, _, err = run("matrix", *SMALL, "--shard", "1/2", "--out", "runs/3", *command)
    assert "bench: shards are balanced by the times of runs/1; all machines need the same: --durations runs/1" in err
    run("matrix", *SMALL, "--shard", "2/2", "--durations", "runs/1", "--out", "elsewhere", *command)
    parts = [
        {one["cell"] for one in read_run(project / name)["cells"] if one["decision"] == "run"}
        for name in ("runs/3", "elsewhere")
    ]
    assert parts == [{"py314-fork-cpu1"}, {"py314-spawn-cpu1", "py314-forkserver-cpu1"}]
    status, out, _ = run("report", "runs/3", "elsewhere")
    assert (status, out.splitlines()[-1].split(" in ")[0]) == (0, "3 passed")
    assert run("report", "runs/1", "elsewhere")[2] == (
        "bench: runs/1 is a whole run; only those of shards (--shard I/N) are put together\n"
    )
    assert "give --shard I/N with it" in run("matrix", *SMALL, "--durations", "runs/1", *command)[2]
