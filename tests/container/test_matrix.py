"""The command `bench matrix` in containers: the demos on Pythons that the host lacks, and stopping it half-way."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bench import record
from bench.modes import CELL_MODES, modes_of
from bench.targets import find

pytestmark = pytest.mark.container

COMMAND = (sys.executable, "-m", "bench", "matrix", "--engine", "docker")


def ended(folder: Path) -> dict[str, str]:
    run = record.read_run(folder)
    return {cell["cell"]: cell["status"] for cell in run["cells"]}


@pytest.mark.parametrize("cell", ["py314-forkserver-cpu1", "py315-spawn-cpu1", "pypy311-fork-cpu1"])
def test_the_demos_pass_on_pythons_that_are_there_as_images_alone(cell: str, tmp_path: Path) -> None:
    python, method, _ = cell.split("-")
    options = ("--python", python, "--method", method, "--cpus", "1", "--samples", "1", "--out", str(tmp_path / "run"))
    done = subprocess.run([*COMMAND, *options], capture_output=True, text=True, check=False, timeout=300)
    status = ended(tmp_path / "run")
    if status == {cell: "unavailable"}:
        pytest.skip(done.stdout[-500:])
    assert (done.returncode, status) == (0, {cell: "pass"}), done.stdout + done.stderr
    lines = list(record.read_lines(tmp_path / "run" / "cells" / f"{cell}.jsonl"))
    observed = [(one.target, one.mode) for one in lines if isinstance(one, record.Judged)]
    asked = [(one.program.target, mode) for one in find([]) for mode in modes_of(one.program, CELL_MODES)]
    assert sorted(observed) == sorted(asked)
    assert isinstance(lines[0], record.Facts)
    assert isinstance(lines[-1], record.End)


def test_rates_under_stress_are_compared_over_cells(tmp_path: Path) -> None:
    options = ("--mode", "stress", "--seconds", "0.5", "--python", "3.14", "--method", "fork", "--cpus", "1,2")
    command = (*COMMAND, "bench.demos.account", *options, "--out", "run")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path)
    status = ended(tmp_path / "run")
    if set(status.values()) == {"unavailable"}:
        pytest.skip(done.stdout[-500:])
    assert "3 targets left out: a program has no actors, and stress runs scenarios" in done.stderr
    _, table = done.stdout.split("\nStress: % of samples")
    assert "bench.demos.account:AccountWithLock  always 200 in both cells" in table
    heads = next(row for row in table.splitlines() if row.strip().startswith("Python    method"))
    assert heads.split()[2:] in (["199", "200", "201"] * 2, ["199", "200", "201"])  # beside or below each other


def test_a_suite_of_the_users_own_runs_in_cells_and_its_failures_are_findings(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "tests").mkdir(parents=True)
    (project / "pyproject.toml").write_text('[project]\nname = "mine"\nversion = "1"\n')
    (project / "tests" / "test_mine.py").write_text(
        "import multiprocessing\n\n"
        "def test_default():\n    assert multiprocessing.get_start_method() == 'fork'\n\n"
        "def test_fine():\n    pass\n"
    )
    options = ("--python", "3.14", "--method", "fork,spawn", "--cpus", "1", "--out", "run", "--", "pytest", "tests")
    done = subprocess.run([*COMMAND, *options], capture_output=True, text=True, check=False, timeout=900, cwd=project)
    status = ended(project / "run")
    if "unavailable" in status.values():
        pytest.skip(done.stdout[-500:])
    assert done.returncode == 1, done.stdout + done.stderr
    assert status == {"py314-fork-cpu1": "pass", "py314-spawn-cpu1": "fail"}
    assert "test_default" in done.stdout
    tests = [json.loads(line) for line in (project / "run/cells/py314-spawn-cpu1.jsonl").read_text().splitlines()]
    assert [one["status"] for one in tests if one["type"] == "test"] == ["failed", "passed"]
    assert "to install: the project (by its pyproject.toml)" in done.stderr

    again = ("--python", "3.14", "--method", "fork", "--cpus", "1", "--out", "again", "--", "pytest", "tests")
    second = subprocess.run([*COMMAND, *again], capture_output=True, text=True, check=False, timeout=300, cwd=project)
    assert second.returncode == 0, second.stdout + second.stderr
    assert "building" not in second.stderr, "nothing has changed but the records of the first run"
    assert {one.name for one in project.iterdir()} == {"pyproject.toml", "tests", "run", "again"}, "a copy is built"


def _containers_of(run: str) -> list[Any]:
    import docker

    client = docker.from_env(version="auto")
    try:
        return list(client.api.containers(all=True, filters={"label": f"org.forkbench.run={run}"}))
    finally:
        client.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_of_it_in_five_seconds_and_keeps_what_is_recorded(
    number: signal.Signals, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    options = ("--python", "3.14", "--cpus", "1", "--out", str(folder), "bench.demos.queues")
    matrix = subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert _waits_for_a_record(folder, matrix), matrix.communicate()[0]
        begun = time.monotonic()
        matrix.send_signal(number)
        output = matrix.communicate(timeout=30)[0]
        took = time.monotonic() - begun
    finally:
        matrix.kill()
    assert (matrix.returncode, took < 5.0) == (130, True), output
    status = ended(folder)
    assert "interrupted" in status.values()
    recorded = [line for file in (folder / "cells").glob("*.jsonl") for line in record.read_lines(file)]
    assert [line for line in recorded if isinstance(line, record.Judged)]
    assert _containers_of(record.read_run(folder)["run"]) == []


def _waits_for_a_record(folder: Path, matrix: subprocess.Popen[str]) -> bool:
    until = time.monotonic() + 120
    while matrix.poll() is None and time.monotonic() < until:
        if any(b'"observation"' in file.read_bytes() for file in (folder / "cells").glob("*.jsonl")):
            return True
        time.sleep(0.05)  # there is nothing else to wait on: it is another process's file
    return False
