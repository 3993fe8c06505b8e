from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import inside
from bench.cells import Python
from bench.errors import UsageError
from bench.modes import CELL_MODES
from bench.process import agreed
from bench.process.facts import gather, method_granted
from bench.sampling import Sampling

HERE = "pypy" if sys.implementation.name == "pypy" else "cpython"
TAG = Python(HERE, f"{sys.version_info[0]}.{sys.version_info[1]}").tag
PINNED = sorted(os.sched_getaffinity(0))[0]


def run(
    *arguments: str, cell: str = f"{TAG}-spawn-cpu1", pin: str = str(PINNED), **environment: str
) -> tuple[int, list[dict[str, Any]], str]:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "bench.inside",
            "--cell",
            cell,
            "--seed",
            "3",
            "--engine",
            "local",
            "--pin",
            pin,
            *arguments,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(inside.__file__).parent.parent), **environment},
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


@pytest.fixture
def startup(tmp_path: Path) -> dict[str, str]:
    """Stand in for the `.pth` file of a cell's environment."""
    (tmp_path / "sitecustomize.py").write_text("import bench.process.startup\n")
    root = Path(inside.__file__).parent.parent
    return {"PYTHONPATH": f"{tmp_path}{os.pathsep}{root}", "BENCH_START_METHOD": "spawn"}


def test_facts_come_first_and_the_command_s_output_is_no_record(startup: dict[str, str]) -> None:
    status, records, log = run("--", sys.executable, "-c", "print('said'); raise SystemExit(3)", **startup)
    assert status == 3
    assert [one["type"] for one in records] == ["facts"]
    assert records[0]["method"] == {"asked": "spawn", "granted": "spawn"}
    assert records[0]["cpus"]["affinity"] == [PINNED]
    assert records[0]["seed"] == 3
    assert "said" in log


def test_a_start_method_that_was_not_granted_is_a_mismatch() -> None:
    status, records, log = run("--", "true", BENCH_START_METHOD="")
    if sys.version_info >= (3, 14):
        assert records[0]["method"]["granted"] == "forkserver"
    assert status == agreed.MISMATCH
    assert "where spawn was asked for" in log
    assert [one["type"] for one in records] == ["facts"]


def test_cpus_that_were_not_granted_are_a_mismatch(startup: dict[str, str]) -> None:
    status, _, log = run("--", "true", cell=f"{TAG}-spawn-cpu64", **startup)
    assert status == agreed.MISMATCH
    assert "1 usable CPUs where 64 were asked for" in log


def test_a_cpu_that_is_not_there_is_no_failure_of_a_test() -> None:
    status, records, log = run("--", "true", pin="1023")
    assert status == agreed.NOT_STARTED
    assert records == []
    assert len(log.splitlines()) == 1


def test_a_command_that_is_not_there_has_the_shell_s_status(startup: dict[str, str]) -> None:
    assert run("--", "no-such-command", **startup)[0] == 127


def test_a_command_finds_the_records_in_pytest_s_options(startup: dict[str, str]) -> None:
    find = "o = os.environ['PYTEST_ADDOPTS'].split(); descriptor = int(o[o.index('--bench-records') + 1])"
    code = f"import os; {find}; os.write(descriptor, b'{{}}\\n')"
    status, records, _ = run("--", sys.executable, "-c", code, PYTEST_ADDOPTS="-q", **startup)
    assert status == 0
    assert records[1] == {}


def test_options_of_the_plugin_are_passed_on() -> None:
    words = ["--mode", "repeat", "--mode", "stress", "--samples", "5", "--deadline", "2.5", "--pin", "0,1", "a.py"]
    orders = inside.parse(["--cell", "py314-fork-cpu2", *words])
    assert orders.sampling == Sampling(("repeat", "stress"), samples=5, deadline_s=2.5)
    passed_on = inside.plugin_options(orders, 9)[-10:]
    assert passed_on == [
        "--bench-seed",
        "0",
        "--bench-mode",
        "repeat",
        "--bench-mode",
        "stress",
        "--bench-samples",
        "5",
        "--bench-deadline",
        "2.5",
    ]
    assert orders.pin == (0, 1)
    assert orders.targets == ("a.py",)
    assert inside.plugin_options(orders, 9)[2:6] == ["--start-method", "fork", "--bench-records", "9"]


def test_targets_go_through_all_modes_and_a_command_has_its_own() -> None:
    cell = ["--cell", "py314-fork-cpu2"]
    assert inside.parse([*cell, "a.py"]).sampling.modes == inside.parse(cell).sampling.modes == CELL_MODES
    assert inside.parse([*cell, "--", "pytest"]).sampling == Sampling()


def test_the_command_is_taken_as_it_is() -> None:
    orders = inside.parse(["--cell", "py314-fork-cpu2", "--", "pytest", "--samples", "--", "x"])
    assert orders.command == ("pytest", "--samples", "--", "x")


@pytest.mark.parametrize(
    "words",
    [
        ["--cell", "nonsense"],
        ["--cell", "py314-fork-cpu1", "--pin", "a"],
        ["--cell", "py314-fork-cpu1", "--samples", "0"],
        ["--cell", "py314-fork-cpu1", "--mode", "guess"],
    ],
)
def test_wrong_orders_are_refused(words: list[str]) -> None:
    with pytest.raises(UsageError):
        inside.parse(words)


@pytest.mark.parametrize(
    ("target", "argument"),
    [
        ("bench.demos.account:with_lock", "bench.demos.account::with_lock"),
        ("bench.demos", "bench.demos"),
        ("tests/file.py::name", "tests/file.py::name"),
        ("file.py", "file.py"),
    ],
)
def test_a_target_becomes_an_argument_of_pytest(target: str, argument: str) -> None:
    assert inside.pytest_target(target) == argument


def test_facts_leave_the_start_method_open() -> None:
    code = (
        "import multiprocessing as m; from bench.process import facts, startup; startup.set_default_method('spawn');"
        "assert facts.method_granted() == 'spawn'; assert m.get_start_method(allow_none=True) is None;"
        "m.set_start_method('fork'); assert facts.method_granted() == 'fork'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_facts_are_those_of_this_process() -> None:
    facts = gather("local", method_asked=None, cpus_asked=None, engine="local", seed=7)
    assert facts.affinity == tuple(sorted(os.sched_getaffinity(0)))
    assert facts.cpus_usable == len(facts.affinity)
    assert facts.method_granted == method_granted()
    assert facts.mismatch() is None
    assert {"kernel", "quota", "memory_bytes", "pids", "shm_bytes", "tmpdir", "build"} <= set(facts.more)
    assert facts.more["shm_bytes"]
