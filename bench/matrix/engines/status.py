"""A cell's status: a pure function of how its main process ended and what it recorded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from bench.cells import Cell
from bench.granted import granted_otherwise
from bench.matrix.engines.base import Ended
from bench.modes import undecided
from bench.process.agreed import MISMATCH, NOT_STARTED
from bench.process.ended import signal_name
from bench.record import AND_THEN, CellStatus, Facts, Judged, Lock, Notes, RecordLine, Test, nothing_but_skipped

_BAD_TESTS = {"failed", "error", "crashed", "hung", "oom"}
_PYTEST_TROUBLE = {3: "an internal error of pytest", 4: "pytest refused its arguments"}


def status_of(
    ended: Ended,
    lines: Sequence[RecordLine],
    *,
    cell: Cell | None = None,
    cpus: Sequence[int] = (),
    command: Sequence[str] = (),
) -> tuple[CellStatus, str]:
    """Return a cell's status, and why it is no plain pass.

    Trouble of the harness is never a failure of a test, and never hides a failure that was recorded.

    Args:
        ended: how the main process ended.
        lines: what the cell recorded.
        cell: the cell that was asked for, to be compared with the facts; `None` compares nothing.
        cpus: the ids of the CPUs that were leased for the cell, none for a quota.
        command: the user's own command, if the cell ran one.
    """
    facts = next((line for line in lines if isinstance(line, Facts)), None)
    if facts is not None and not ended.interrupted and (otherwise := _granted_otherwise(facts, cell, cpus, lines)):
        return "mismatch", otherwise
    failure = _failure(lines)
    if killed := _killed(ended, lines):
        return killed[0], f"{killed[1]}; before that failed: {failure}" if failure else killed[1]
    trouble = ended.error or _trouble(ended, facts, command)
    if failure:
        return "fail", f"{failure}{AND_THEN}{trouble}" if trouble else failure
    if trouble:
        return "error", trouble
    if not ended.exit_status or _means_unknown(ended.exit_status, lines, command):
        return _attested(_status_of_records(lines, command), cell, lines)
    return _status_of_exit(ended.exit_status, command)


def _granted_otherwise(facts: Facts, cell: Cell | None, cpus: Sequence[int], lines: Sequence[RecordLine]) -> str | None:
    if trouble := facts.mismatch() if cell is None else granted_otherwise(facts, cell):
        return trouble
    if cpus and set(facts.affinity) != set(cpus):
        return f"CPUs {_list(facts.affinity)} where {_list(cpus)} were leased"
    return next((text for one in lines if isinstance(one, Lock) and (text := one.mismatch())), None)


def _attested(status: tuple[CellStatus, str], cell: Cell | None, lines: Sequence[RecordLine]) -> tuple[CellStatus, str]:
    """Return a status, but no pass of a free-threaded cell of which no Python says that the lock stayed off."""
    if status[0] != "pass" or cell is None or not cell.python.free_threaded:
        return status
    said = any(line.off for line in lines if isinstance(line, Lock))
    return status if said else ("unknown", "no Python of the cell says that the GIL stayed off")


def _list(cpus: Sequence[int]) -> str:
    return ",".join(map(str, sorted(cpus)))


def _killed(ended: Ended, lines: Sequence[RecordLine]) -> tuple[CellStatus, str] | None:
    if ended.interrupted:
        return "interrupted", "stopped before its end"
    if ended.timed_out:
        return "timeout", "the time limit passed; the log has every process's stack"
    if ended.oom and not (ended.exit_status is not None and _has_test_for_memory(lines)):
        return "oom", "a process was killed: over the memory limit"
    if ended.signal is not None:
        return "crash", f"the main process was killed by {signal_name(ended.signal)}"
    return None


def _has_test_for_memory(lines: Sequence[RecordLine]) -> bool:
    """Return whether it is known which test was killed for memory: then the others have their verdicts too."""
    return any(isinstance(line, Test) and line.status == "oom" for line in lines)


def _trouble(ended: Ended, facts: Facts | None, command: Sequence[str]) -> str | None:
    """Return why the exit status shows trouble of the harness; `None` if it does not."""
    status = ended.exit_status
    if facts is None or status == NOT_STARTED:
        return f"the cell did not start (exit status {status}); see its log"
    if status == MISMATCH and not command:
        return "the cell's exit status says that it was granted something else, and its facts do not"
    if status in _PYTEST_TROUBLE and runs_pytest(command):
        return f"{_PYTEST_TROUBLE[status]} (exit status {status}); see the cell's log"
    if status in (126, 127) and command:
        return f"cannot run {command[0]} in the cell (exit status {status})"
    return None


def runs_pytest(command: Sequence[str]) -> bool:
    """Return whether exit statuses are pytest's: those of the programs' own run, or of a command that names it."""
    return not command or any(PurePath(word).name.startswith(("pytest", "py.test")) for word in command)


def _failure(lines: Sequence[RecordLine]) -> str | None:
    bad = [line.target for line in lines if isinstance(line, Judged) and line.verdict == "fail"]
    bad += [line.id for line in lines if isinstance(line, Test) and line.status in _BAD_TESTS]
    bad += [f"what {line.id} left behind" for line in lines if isinstance(line, Notes) and line.strict and line.left]
    more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
    return f"{bad[0]}{more}" if bad else None


def _means_unknown(status: int, lines: Sequence[RecordLine], command: Sequence[str]) -> bool:
    """Return whether an exit status only means that some verdict is unknown, which pytest counts as an error."""
    unknown = any(isinstance(line, Judged) and line.verdict == "unknown" for line in lines)
    return status == 1 and unknown and runs_pytest(command)


def _status_of_exit(status: int, command: Sequence[str]) -> tuple[CellStatus, str]:
    if not runs_pytest(command):
        return "fail", f"exit status {status}"
    if status == 5:
        return "unknown", "nothing was exercised: pytest collected no tests"
    if status == 1 and not command:
        return "error", "exit status 1 without a recorded failure; see the cell's log"
    return "fail", "the tests could not be collected" if status == 2 else f"exit status {status}"


def _status_of_records(lines: Sequence[RecordLine], command: Sequence[str]) -> tuple[CellStatus, str]:
    judged = [line for line in lines if isinstance(line, Judged)]
    tests = [line for line in lines if isinstance(line, Test)]
    if not judged and not tests:
        return ("pass", "exit status 0, no records") if command else ("unknown", "nothing was exercised")
    if not judged and all(test.status == "skipped" for test in tests):
        return "unknown", nothing_but_skipped(tests)
    if open_ := undecided(judged):
        more = f" and {len(open_) - 1} more" if len(open_) > 1 else ""
        return "unknown", f"{open_[0].target}: {open_[0].why}{more}"
    return "pass", ""
