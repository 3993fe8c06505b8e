from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

import bench
from bench.observation import Observation, SampleOutcome, tally
from bench.outcomes import Conditions, Expectation, Outcome, deterministic, racy, value
from bench.pytest_plugin import leasing, settings
from bench.pytest_plugin.recording import ended, line_of
from bench.pytest_plugin.texts import account, summary
from bench.record import Judged, Test
from bench.report.lines import plain
from bench.verdict import to_judged

pytest_plugins = ["pytester"]


def judged(
    expectations: Sequence[Expectation], *outcomes: Outcome, method: str = "fork", warnings: tuple[str, ...] = ()
) -> Judged:
    groups = [[SampleOutcome(one, {"seed": 7 + number}) for number, one in enumerate(outcomes)]]
    seen = Observation("m:f", "repeat", "local", len(outcomes), 1.0, tally(groups), warnings)
    return to_judged(expectations, seen, Conditions(method, "3.13.0", 2))


def raised(traceback: str) -> Outcome:
    detail = {"type": "ValueError", "message": "no", "process": "Process-1", "role": "child", "traceback": traceback}
    return Outcome("raised", None, dict(detail))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--start-method", "thread"], "unknown start method 'thread'; there are fork, spawn, forkserver"),
        (["--bench-samples", "0"], "--bench-samples '0': give a whole number from 1"),
        (["--bench-samples", "many"], "--bench-samples 'many': give a whole number from 1"),
        (["--bench-seconds", "0"], "--bench-seconds '0': give a number above 0"),
        (["--bench-deadline", "nan"], "--bench-deadline 'nan': give a number above 0"),
        (["--bench-seed", "-1"], "--bench-seed '-1': give a whole number from 0"),
        (["--bench-cpus-per-worker", "0"], "--bench-cpus-per-worker '0': give a whole number from 1"),
        (["--bench-mode", "guess"], "--bench-mode 'guess': there are repeat, stress and explore"),
        (["--bench-budget", "2"], "--bench-budget '2': give MODE=SECONDS, for example stress=2"),
        (["--bench-budget", "repeat=2"], "--bench-budget 'repeat=2': give MODE=SECONDS"),
        (["--bench-budget", "stress=0"], "--bench-budget 'stress=0': give MODE=SECONDS"),
        (["--bench-cell", "../x"], "--bench-cell '../x': a cell's name is a file's name too"),
        (["--bench-records", "4711"], "--bench-records 4711: no descriptor of this number is open"),
        (["--bench-out", "/proc/none"], "--bench-out /proc/none: cannot write there: "),
    ],
)
def test_a_wrong_option_is_one_clear_line(pytester: pytest.Pytester, arguments: list[str], said: str) -> None:
    result = pytester.runpytest_inprocess(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.errlines if line]
    assert line.startswith(f"ERROR: {said}")


def test_a_method_that_the_platform_lacks_is_refused(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("multiprocessing.get_all_start_methods", lambda: ["spawn"])
    result = pytester.runpytest_inprocess("--start-method", "fork")
    result.stderr.fnmatch_lines(["ERROR: --start-method fork: this platform lacks it; it has spawn"])


def test_a_descriptor_meant_for_an_outer_pytest_is_ignored(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "--bench-records 4711")
    pytester.makepyfile("def test_it(): pass")
    pytester.runpytest_inprocess().assert_outcomes(passed=1)


def test_a_nested_pytest_does_not_inherit_the_records(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "-q --bench-out=out --bench-cell c --bench-seed 5")
    pytester.makepyfile(
        "import os\ndef test_it(): assert os.environ['PYTEST_ADDOPTS'] == '-q --bench-cell c --bench-seed 5'"
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=1)
    assert os.environ["PYTEST_ADDOPTS"].startswith("-q --bench-out=out")
    assert (pytester.path / "out" / "cells" / "c.jsonl").exists()


def test_summary_has_one_line_for_methods_that_gave_the_same() -> None:
    lines = plain(summary([judged(deterministic(200), value(200), method=m) for m in ("fork", "spawn")], seed=3))
    assert lines.splitlines() == [
        "pass    m:f  [fork, spawn]  2x 200  acceptable: nothing else may ever happen",
        "seed 3",
    ]


def test_summary_shows_the_top_of_a_race_and_counts_the_rest() -> None:
    text = plain(summary([judged(racy(200), *map(value, [200, 200, *range(9)]))], seed=3))
    assert "2  18.2 % ####" in text
    assert text.count("interesting") == 3
    assert "6 more outcomes" in text


def test_the_summary_has_each_warning_once() -> None:
    both = [judged(deterministic(1), value(1), method=m, warnings=("fork with threads",)) for m in ("fork", "spawn")]
    assert plain(summary(both, seed=3)).count("fork with threads") == 1


def test_quiet_summary_leaves_out_what_simply_passed() -> None:
    assert summary([judged(deterministic(1), value(1))], seed=3, quiet=True) == []
    assert "FAIL" in plain(summary([judged(deterministic(1), value(2))], seed=3, quiet=True))


def test_an_account_has_the_reason_the_child_s_traceback_and_the_command_to_repeat_it() -> None:
    text = account(judged(deterministic(1), value(1), raised("Traceback:\n  deep inside")), "pytest x")
    assert text.startswith("raised ValueError: no (in Process-1) (1 of 2): nobody listed it\n")
    assert "first seen with seed 8\n    in process Process-1:\n    Traceback:\n      deep inside" in text
    assert text.endswith("\n\nagain: pytest x")


def test_account_of_a_hang_has_the_stack_of_every_process() -> None:
    processes: list[dict[str, object]] = [
        {"pid": 5, "parent": 1, "name": "MainProcess", "state": "S", "waits_in": "futex", "stack": "File main"},
        {"pid": 6, "parent": 5, "name": None, "role": "tracker", "state": "S", "waits_in": None, "stack": ""},
    ]
    text = account(judged((), Outcome("hang", None, {"phase": "program", "processes": processes})), "x")  # type: ignore[dict-item]  # plain data is JSON
    assert "    MainProcess (pid 5, parent 1, state S, waits in futex):\n    File main" in text
    assert "    tracker (pid 6, parent 5, state S):\n    gave no stack" in text


def report(when: str, outcome: str = "passed", **more: object) -> pytest.TestReport:
    made = pytest.TestReport("t.py::t", ("t.py", 0, "t"), {}, outcome, None, when, duration=0.5)  # type: ignore[arg-type]  # outcome and when vary
    made.__dict__.update(more)
    return made


@pytest.mark.parametrize(
    ("reports", "status"),
    [
        ([report("setup"), report("call"), report("teardown")], "passed"),
        ([report("setup"), report("call", "failed"), report("teardown")], "failed"),
        ([report("setup"), report("call", "failed", bench_hung=True), report("teardown")], "hung"),
        ([report("setup", "failed"), report("teardown")], "error"),
        ([report("setup"), report("call"), report("teardown", "failed")], "error"),
        ([report("setup", "skipped"), report("teardown")], "skipped"),
        ([report("setup"), report("call", "skipped", wasxfail="so"), report("teardown")], "xfailed"),
        ([report("setup"), report("call", wasxfail="so"), report("teardown")], "xpassed"),
        ([report("???", "failed")], "crashed"),
    ],
)
def test_a_tests_reports_become_one_line(reports: list[pytest.TestReport], status: str) -> None:
    line = line_of(reports, "c")
    assert (line.status, line.seconds, line.id) == (status, len(reports) / 2, "t.py::t")


FAILED = Test("c", "t", "failed", 0.0, "AssertionError")
ERROR = Test("c", "e", "error", 0.0, "OSError")


@pytest.mark.parametrize(
    ("exit_status", "seen", "tests", "status"),
    [
        (0, [judged(deterministic(1), value(1))], [], "pass"),
        (1, [judged(deterministic(1), value(2))], [ERROR], "fail"),
        (1, [], [FAILED, ERROR], "fail"),
        (1, [judged(racy(1))], [ERROR], "error"),
        (1, [judged(racy(1))], [], "unknown"),
        (2, [], [ERROR], "error"),
        (2, [judged(deterministic(1), value(1))], [], "interrupted"),
        (3, [], [], "error"),
        (5, [], [], "unknown"),
        (0, [], [], "unknown"),
    ],
)
def test_how_a_session_ended(exit_status: int, seen: list[Judged], tests: list[Test], status: str) -> None:
    assert ended(exit_status, seen, tests)[0] == status


def test_the_end_names_the_first_reason_and_counts_the_others() -> None:
    assert ended(1, [], [FAILED, FAILED, FAILED])[1] == "t: AssertionError (and 2 more)"


def test_pytest_does_not_warn_that_the_package_was_imported_before_it() -> None:
    # By its documentation, a module's docstring says so; it matters where forkbench is installed from a wheel.
    assert "PYTEST_DONT_REWRITE" in str(bench.__doc__)


@pytest.fixture
def own_leases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("bench.leases.FOLDER", tmp_path / "leases")
    return tmp_path / "leases"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="pinning needs Linux")
def test_a_lease_pins_and_its_release_takes_the_pin_off(pytester: pytest.Pytester, own_leases: Path) -> None:
    before = os.sched_getaffinity(0)
    read = settings.read(pytester.parseconfig("--bench-lease"))
    held = leasing.Leasing(read, {})
    held.hold()
    pinned = os.sched_getaffinity(0)
    fit = leasing.workers_that_fit(read)
    held.release()
    assert held.trouble is None
    assert len(pinned) == 1
    assert fit == max(1, len(before) - 1)
    assert os.sched_getaffinity(0) == before
    assert leasing.workers_that_fit(read) == len(before)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="pinning needs Linux")
def test_more_workers_than_cpus_are_refused_at_once(pytester: pytest.Pytester, own_leases: Path) -> None:
    held = leasing.Leasing(settings.read(pytester.parseconfig()), {"workerid": "gw0", "workercount": 5_000})
    held.hold()
    assert "5000 workers need 5000 CPUs, and there are" in str(held.trouble)
