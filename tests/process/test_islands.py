"""What goes wrong in one test of a command stays in that test: each suite here runs as it does in a cell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bench import inside
from bench.cells import Python
from tests.fixtures.suites import checkout

HERE = "pypy" if sys.implementation.name == "pypy" else "cpython"
TAG = Python(HERE, f"{sys.version_info[0]}.{sys.version_info[1]}").tag
PINNED = sorted(os.sched_getaffinity(0))[0]
ROOT = Path(inside.__file__).parent.parent


class Ran(NamedTuple):
    """How a cell ended: its exit status, its records, its log."""

    status: int
    records: list[dict[str, Any]]
    log: str

    def tests(self) -> dict[str, str]:
        """The status of each test, by the last part of its name."""
        return {one["id"].rpartition("/")[2]: one["status"] for one in self.records if one["type"] == "test"}

    def test(self, name: str) -> dict[str, Any]:
        """The last line of a test."""
        return next(one for one in reversed(self.records) if one["type"] == "test" and one["id"].endswith(name))

    def noted(self, name: str) -> dict[str, Any]:
        """What was noted of a test."""
        nothing: dict[str, Any] = {"left": [], "warnings": [], "methods": []}
        return next((one for one in self.records if one["type"] == "notes" and one["id"].endswith(name)), nothing)

    def left(self) -> dict[str, list[str]]:
        """The kinds of things that each test left behind, by its name."""
        found = {one["id"].rpartition("::")[2]: one["left"] for one in self.records if one["type"] == "notes"}
        return {name: [one["kind"] for one in left] for name, left in found.items() if left}


def run(folder: Path, *command: str, method: str = "fork", options: tuple[str, ...] = ("--test-timeout", "60")) -> Ran:
    (site := folder / ".site").mkdir(exist_ok=True)
    (site / "sitecustomize.py").write_text("import bench.process.startup\n")  # stands in for the `.pth` file of a cell
    done = subprocess.run(
        [
            *(sys.executable, "-m", "bench.inside", "--cell", f"{TAG}-{method}-cpu1", "--seed", "3"),
            *("--pin", str(PINNED), *options, "--", *command),
        ],
        capture_output=True,
        timeout=120,
        check=False,
        cwd=folder,
        env={
            **{name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")},
            "PYTHONPATH": f"{site}{os.pathsep}{ROOT}",
            "BENCH_START_METHOD": method,
            "BENCH_STACKS": str(folder / "stacks"),
        },
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.strip()]
    return Ran(done.returncode, lines, done.stderr.decode("utf-8", "replace"))


def project(folder: Path, **files: str) -> Path:
    (folder / "tests").mkdir(exist_ok=True)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    timeout: seconds\n")
    for name, text in files.items():
        (folder / "tests" / f"{name}.py").write_text(text)
    return folder


PYTEST = (sys.executable, "-m", "pytest", "tests")


def test_every_kind_of_test_has_its_verdict_and_its_cause(tmp_path: Path) -> None:
    ran = run(checkout("kinds", tmp_path / "kinds"), *PYTEST, method="spawn")
    assert ran.status == 1
    found = ran.tests()
    one_cpu = os.cpu_count() == 1
    assert found.pop("test_kinds.py::test_flaky_by_pid") in ("passed", "failed")
    assert found == {
        "test_kinds.py::test_own_state": "failed",
        "test_kinds.py::test_lambda_target": "failed",
        "test_kinds.py::test_explicit_context": "passed",
        "test_kinds.py::test_orphan": "passed",
        "test_kinds.py::test_fork_with_a_thread": "passed",
        "test_kinds.py::test_count_of_cpus": "passed" if one_cpu else "failed",
        "test_kinds.py::test_hang_in_get": "hung",
        "test_kinds.py::test_pool": "passed",
        "test_kinds.py::test_segmentation_fault": "crashed",
        "test_kinds.py::test_after_all_of_them": "passed",
    }
    assert Counter(one["id"] for one in ran.records if one["type"] == "test").most_common(1)[0][1] == 1
    assert ran.left()["test_orphan"] == ["process"]
    assert ran.noted("test_explicit_context")["methods"] == []  # the cell's own
    assert ran.noted("test_fork_with_a_thread")["methods"] == [{"method": "fork", "by": "get_context"}]
    assert ran.noted("test_fork_with_a_thread")["warnings"] == ["forked while other threads ran (waiter)"]
    hung = ran.test("test_hang_in_get")
    assert "hung at tests/test_kinds.py:" in hung["signature"]
    assert "no end within 3 s, in its call" in hung["detail"]
    assert hung["phase"] == "call"
    assert any("time.sleep(60)" in one for one in ran.log.splitlines()), "the orphan's stack is asked for too"
    assert {one["role"] for one in hung["stacks"]} >= {"process", "resource tracker"}
    assert ran.test("test_lambda_target")["signature"] == "not picklable in tests/test_kinds.py:test_lambda_target"
    assert "SIGSEGV at tests/test_kinds.py:" in ran.test("test_segmentation_fault")["signature"]


def test_an_interpreter_that_ends_at_import_or_in_a_test_costs_that_alone(tmp_path: Path) -> None:
    project(
        tmp_path,
        test_a="import os\nos._exit(0)\n",
        test_b="""
import os, shutil, sys
import pytest

@pytest.fixture(scope="module")
def made(tmp_path_factory):
    yield os.getpid()

def test_first(made): assert made == os.getpid()
def test_exits(made): os._exit(0)
def test_second(made): assert made == os.getpid()
@pytest.mark.parametrize("n", range(3))
def test_counts(n): assert n != 1
def test_writes_what_is_no_text():
    sys.__stdout__.buffer.write(b"\\xff\\xfe\\n"); sys.__stdout__.flush(); os.kill(os.getpid(), 9)
def test_deletes_its_own_folder(tmp_path):
    os.chdir(tmp_path); shutil.rmtree(tmp_path)
def test_last(): pass
""",
    )
    ran = run(tmp_path, *PYTEST)
    assert ran.tests() == {
        "test_a.py": "crashed",
        "test_b.py::test_first": "passed",
        "test_b.py::test_exits": "crashed",
        "test_b.py::test_second": "passed",
        "test_b.py::test_counts[0]": "passed",
        "test_b.py::test_counts[1]": "failed",
        "test_b.py::test_counts[2]": "passed",
        "test_b.py::test_writes_what_is_no_text": "crashed",
        "test_b.py::test_deletes_its_own_folder": "passed",
        "test_b.py::test_last": "passed",
    }
    assert ran.status == 1
    assert ran.test("test_exits")["signature"] == "the interpreter ended with exit status 0"
    assert ran.test("test_a.py")["phase"] == "collect"
    assert ran.test("test_writes_what_is_no_text")["signature"] == "killed by SIGKILL"


def test_pytest_s_own_limit_of_failures_counts_what_crashed(tmp_path: Path) -> None:
    names = "def test_fails(): assert False\ndef test_exits(): import os; os._exit(3)\n"
    project(tmp_path, test_a=names + "".join(f"def test_{n}(): assert {n} != 1\n" for n in range(4)))
    assert list(run(tmp_path, *PYTEST, "--maxfail=2", "--lf").tests().values()) == ["failed", "crashed"]
    ran = run(tmp_path, *PYTEST, "--maxfail=3")
    assert list(ran.tests().values()) == ["failed", "crashed", "passed", "failed"]
    assert ran.status == 1


WRAPPER = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-m', 'pytest', *sys.argv[1:]]).returncode)"


def test_wrappers_and_workers_of_xdist_go_on_too(tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    project(
        tmp_path,
        test_a="""
import os, time, pytest
def test_first(): pass
@pytest.mark.timeout(2)
def test_hangs(): time.sleep(100)
def test_exits(): os._exit(3)
def test_aborts(): os.abort()
""",
        test_b="".join(f"def test_{n}(): pass\n" for n in range(4)),
    )
    ran = run(tmp_path, sys.executable, "-c", WRAPPER, "tests", "-n", "2")
    found = ran.tests()
    assert {name.partition("::")[2]: status for name, status in found.items() if "test_a" in name} == {
        "test_first": "passed",
        "test_hangs": "hung",
        "test_exits": "crashed",
        "test_aborts": "crashed",
    }
    assert [status for name, status in found.items() if "test_b" in name] == ["passed"] * 4
    assert ran.status == 1
    assert "hung at tests/test_a.py:5 in test_hangs" in ran.test("test_hangs")["signature"]
    assert "SIGABRT at tests/test_a.py:7 in test_aborts" in ran.test("test_aborts")["signature"]


def test_a_suite_that_passes_and_then_waits_for_ever_is_hung_at_exit(tmp_path: Path) -> None:
    project(
        tmp_path,
        test_a="""
import multiprocessing, time
def test_starts_one_that_stays():
    multiprocessing.Process(target=time.sleep, args=(100,)).start()
def test_other(): pass
""",
    )
    began = time.monotonic()
    ran = run(tmp_path, *PYTEST, options=("--test-timeout", "3"))
    assert time.monotonic() - began < 60
    lines = [(one["id"].partition("::")[2], one["status"]) for one in ran.records if one["type"] == "test"]
    assert lines == [
        ("test_starts_one_that_stays", "passed"),
        ("test_other", "passed"),
        ("test_starts_one_that_stays", "hung"),
    ]
    assert ran.test("test_starts_one_that_stays")["signature"].startswith("hung at exit: the interpreter waits for a")
    assert ran.status == 1


def test_a_command_that_is_no_pytest_keeps_its_end(tmp_path: Path) -> None:
    assert run(tmp_path, "sh", "-c", "exit 3").status == 3
    assert run(tmp_path, "sh", "-c", "kill -11 $$").status == -11
    ended = run(
        tmp_path, sys.executable, "-c", "import os; os.fork() or os.setsid() or os.execlp('sleep', 'sleep', '50')"
    )
    assert ended.status == 0


def test_what_dies_before_the_first_test_is_not_tried_for_ever(tmp_path: Path) -> None:
    project(tmp_path, conftest="import os\ndef pytest_sessionstart(): os._exit(0)\n", test_a="def test(): pass\n")
    ran = run(tmp_path, *PYTEST)
    assert ran.status == 1
    assert [one["status"] for one in ran.records if one["type"] == "test"] == ["crashed", "error"]
    assert ran.log.count("test session starts") <= 1


def test_what_a_test_leaves_behind_is_named_and_what_its_fixtures_keep_is_not_its_own(tmp_path: Path) -> None:
    ran = run(checkout("leavings", tmp_path / "leavings"), *PYTEST)
    assert ran.left() == {
        "test_process": ["process"],
        "test_orphan": ["process"],
        "test_thread": ["thread"],
        "test_shared_memory": ["shared memory"],
        "test_descriptor": ["descriptor"],
        "test_state": ["environment", "signal handler", "umask", "working folder"],
        "test_start_method": ["start method"],
        "test_last": ["process"],
    }
    assert ran.noted("test_process")["left"] == [{"kind": "process", "name": "sleeper", "fixture": None}]
    assert ran.noted("test_last")["left"][0]["fixture"] == "careless"
    assert ran.noted("test_start_method")["methods"] == [{"method": "spawn", "by": "set_start_method"}]
    assert set(ran.tests().values()) == {"passed", "failed"}
    assert any("leaked shared_memory" in one for one in ran.noted("test_shared_memory")["warnings"])


def test_strict_leaks_fail_what_leaves_something_behind(tmp_path: Path) -> None:
    project(tmp_path, test_a="import os\ndef test_clean(): pass\ndef test_sets(): os.environ['LEFT'] = '1'\n")
    ran = run(tmp_path, *PYTEST, options=("--test-timeout", "60", "--strict-leaks"))
    assert ran.tests() == {"test_a.py::test_clean": "passed", "test_a.py::test_sets": "error"}
    assert ran.test("test_sets")["signature"] == "left behind: environment LEFT=1"
    assert ran.status == 1
