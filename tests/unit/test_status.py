from __future__ import annotations

import pytest

from bench.cells import parse_cell
from bench.matrix.engines.base import Ended
from bench.matrix.engines.status import status_of
from bench.record import CellStatus, Facts, Judged, RecordLine, Test, TestStatus
from bench.sampling import Mode
from bench.verdict import Status

CELL = parse_cell("py314-spawn-cpu1")
PYTEST = ("python3", "-m", "pytest")


def facts(
    *, method: str = "spawn", affinity: tuple[int, ...] = (0,), python: str = "3.14.8", implementation: str = "cpython"
) -> Facts:
    return Facts(CELL.name, python, implementation, "spawn", method, 1, affinity, 2, 1, len(affinity), "docker", 7)


def judged(verdict: Status, mode: Mode = "repeat", target: str = "bench.demos.account:with_lock") -> Judged:
    why = "" if verdict == "pass" else f"because of {verdict}"
    return Judged(target, mode, CELL.name, 3, 0.1, (), verdict=verdict, why=why)


def test_of(status: TestStatus) -> Test:
    return Test(CELL.name, f"tests/test_pool.py::test_{status}", status, 0.1)


test_of.__test__ = False  # type: ignore[attr-defined]  # so that pytest does not collect it


@pytest.mark.parametrize(
    ("ended", "lines", "command", "status", "why"),
    [
        (Ended(0), [facts(), judged("pass")], (), "pass", ""),
        (Ended(0), [facts(), test_of("passed"), test_of("skipped")], PYTEST, "pass", ""),
        (Ended(0), [facts()], ("make", "check"), "pass", "exit status 0, no records"),
        (Ended(1), [facts(), judged("fail")], (), "fail", "bench.demos.account:with_lock"),
        (Ended(1), [facts(), judged("pass"), judged("fail"), judged("fail")], (), "fail", "and 1 more"),
        (Ended(1), [facts(), test_of("failed")], PYTEST, "fail", "test_failed"),
        (Ended(1), [facts(), test_of("hung")], PYTEST, "fail", "test_hung"),
        (Ended(1), [facts()], ("make", "check"), "fail", "exit status 1"),
        (Ended(3), [facts()], ("make", "check"), "fail", "exit status 3"),
        (Ended(2), [facts()], PYTEST, "fail", "could not be collected"),
        (Ended(0), [facts(), judged("pass"), judged("unknown")], (), "unknown", "because of unknown"),
        (Ended(1), [facts(), judged("pass"), judged("unknown")], (), "unknown", "because of unknown"),
        (Ended(1), [facts(), judged("unknown")], PYTEST, "unknown", "because of unknown"),
        (Ended(1), [facts(), judged("unknown")], ("make", "check"), "fail", "exit status 1"),
        (Ended(0), [facts(), judged("unknown", "stress"), judged("pass", "explore")], (), "pass", ""),
        (Ended(0), [facts(), judged("unknown", "stress"), judged("pass", "explore", "m:f")], (), "unknown", "because"),
        (Ended(0), [facts(), judged("pass", "stress"), judged("unknown", "explore")], (), "unknown", "because"),
        (Ended(0), [facts()], (), "unknown", "nothing was exercised"),
        (Ended(0), [facts(), test_of("skipped")], PYTEST, "unknown", "every test was skipped"),
        (Ended(5), [facts()], PYTEST, "unknown", "no tests"),
        (Ended(5), [facts()], (), "unknown", "no tests"),
        (Ended(3), [facts(), judged("pass")], (), "error", "internal error"),
        (Ended(4), [facts()], PYTEST, "error", "refused its arguments"),
        (Ended(1), [facts(), judged("pass")], (), "error", "without a recorded failure"),
        (Ended(1), [], (), "error", "did not start"),
        (Ended(71), [], (), "error", "did not start"),
        (Ended(127), [facts()], ("nothing-like-this",), "error", "cannot run nothing-like-this"),
        (Ended(error="the engine is gone"), [], (), "error", "the engine is gone"),
        (Ended(timed_out=True), [facts(), judged("pass")], (), "timeout", "time limit"),
        (Ended(signal=9, oom=True), [facts()], (), "oom", "memory"),
        (Ended(signal=11), [facts()], (), "crash", "SIGSEGV"),
        (Ended(70), [facts(method="fork")], (), "mismatch", "start method fork"),
        (Ended(0), [facts(affinity=(1,)), judged("pass")], (), "mismatch", "CPUs 1 where 0 were leased"),
        (Ended(0), [facts(python="3.13.2")], (), "mismatch", "cpython 3.13.2 where 3.14 was asked for"),
        (Ended(0), [facts(implementation="pypy")], (), "mismatch", "pypy 3.14.8 where 3.14"),
        (Ended(interrupted=True), [facts(), judged("pass")], (), "interrupted", "stopped"),
    ],
)
def test_each_end_has_its_own_status(
    ended: Ended, lines: list[RecordLine], command: tuple[str, ...], status: CellStatus, why: str
) -> None:
    found, said = status_of(ended, lines, cell=CELL, cpus=(0,), command=command)
    assert found == status
    assert why in said


@pytest.mark.parametrize("status", [3, 4, 71])
def test_a_recorded_failure_does_not_hide_behind_trouble(status: int) -> None:
    found, why = status_of(Ended(status), [facts(), judged("fail")])
    assert found == "fail"
    assert "and then" in why


@pytest.mark.parametrize("ended", [Ended(timed_out=True), Ended(signal=9), Ended(oom=True), Ended(interrupted=True)])
def test_a_kill_names_what_failed_before(ended: Ended) -> None:
    assert "bench.demos.account:with_lock" in status_of(ended, [facts(), judged("fail")])[1]


def test_a_quota_is_not_compared_with_cpus() -> None:
    assert status_of(Ended(0), [facts(), judged("pass")], cell=CELL, cpus=())[0] == "pass"
