"""From pytest's reports to record lines, written as they come."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pytest

from bench.causes import normalise
from bench.modes import undecided
from bench.process.agreed import STARTS
from bench.process.starting import take
from bench.pytest_plugin.items import LINE
from bench.pytest_plugin.signatures import HUNG, SIGNATURE
from bench.record import (
    CellStatus,
    DescriptorSink,
    End,
    FileSink,
    Judged,
    RecordLine,
    Sink,
    Test,
    TestStatus,
    from_json,
    nothing_but_skipped,
    timestamp,
    write_run,
)
from bench.starts import Starts, added
from bench.values import Json

if TYPE_CHECKING:
    from bench.pytest_plugin.islands import Marking
    from bench.pytest_plugin.settings import Settings

_IMPORT = re.compile(r"(.+?)([=+])(-?[\d.]+)")

_DETAIL = 4_000
"""Characters of a failed test's text that are recorded, from its end."""


class Recorder:
    """Writes the lines of a session; nothing else does."""

    def __init__(self, settings: Settings, arguments: Iterable[str], marking: Marking | None = None) -> None:
        self._marking = marking
        self.judged: list[Judged] = []
        self._settings = settings
        self._run: dict[str, Json] = _run(settings, list(arguments))
        self._sinks: list[Sink] = []
        self._tests: list[Test] = []
        self._open: dict[str, list[pytest.TestReport]] = {}
        self._observed: dict[str, Judged] = {}
        self._begun = time.monotonic()

    def open(self) -> None:
        """Open the records.

        Raises:
            pytest.UsageError: if they cannot be written there.
        """
        if (descriptor := self._settings.records) is not None:
            self._sinks.append(DescriptorSink(descriptor))
        if (folder := self._settings.out) is not None:
            file = folder / "cells" / f"{self._settings.cell}.jsonl"
            try:
                write_run(folder, self._run)
                file.unlink(missing_ok=True)  # a run is written anew, as pytest does with --junit-xml
                self._sinks.append(FileSink(file))
                self._write(self._facts())
            except OSError as error:
                raise pytest.UsageError(f"--bench-out {folder}: cannot write there: {error.strerror}") from None

    def _facts(self) -> RecordLine:
        from bench.process.facts import gather

        seed = self._settings.sampling.seed
        return gather(self._settings.cell, method_asked=None, cpus_asked=None, engine="local", seed=seed)

    def _write(self, line: RecordLine) -> None:
        for sink in self._sinks:
            sink.write(line)

    def record(self, report: pytest.TestReport) -> None:
        """Record a report: an observation is written at once, a plain test once its last phase is over."""
        text = getattr(report, LINE, None)
        if text is not None and isinstance(line := from_json(json.loads(text)), Judged):
            self._observed[report.nodeid] = line
            self.judged.append(line)
            self._write(line)
        reports = self._open.setdefault(report.nodeid, [])
        reports.append(report)
        if report.when in ("setup", "call"):
            return
        del self._open[report.nodeid]
        if report.nodeid not in self._observed:
            line = line_of(reports, self._settings.cell)
            if self._marking is not None and line.status == "crashed":
                line = self._marking.line_of_dead_worker(report, line)
            self._test(line)
        if self._marking is not None:
            self._marking.judged(report.nodeid, sum(one.failed for one in reports))

    def record_collection_error(self, report: pytest.CollectReport) -> None:
        """Record a file that could not be collected as a test that is an error."""
        if self._marking is not None:
            if self._marking.was_recorded(report.nodeid):
                return
            self._marking.judged(report.nodeid, 1)
        detail = report.longreprtext
        self._test(Test(self._settings.cell, report.nodeid, "error", 0.0, _last_line(detail), detail[-_DETAIL:]))

    def _test(self, line: Test) -> None:
        self._tests.append(line)
        self._write(line)

    def interesting(self, nodeid: str) -> bool:
        """Return whether an item observed an interesting outcome."""
        observed = self._observed.get(nodeid)
        return observed is not None and any(one.grade == "interesting" for one in observed.outcomes)

    def close(self, exit_status: int) -> None:
        """Write what starts of processes took. In a cell the host writes the rest: the last line, `run.json`."""
        if path := os.environ.get(STARTS):
            for line in starts_in(take(path), self._settings.cell).values():
                self._write(line)
        if (folder := self._settings.out) is None:
            return
        status, why = ended(exit_status, self.judged, self._tests)
        self._write(End(self._settings.cell, status, why, round(time.monotonic() - self._begun, 6)))
        write_run(folder, {**self._run, "ended": timestamp()})


def _run(settings: Settings, arguments: Sequence[str]) -> dict[str, Json]:
    command: list[Json] = ["pytest", *map(str, arguments)]
    now = timestamp()
    return {
        "run": now,
        "targets": [],
        "command": command,
        "modes": list(settings.sampling.modes),
        "seed": settings.sampling.seed,
        "engine": "local",
        "started": now,
        "ended": None,
        "cells": [{"cell": settings.cell, "decision": "run", "why": ""}],
    }


def line_of(reports: Sequence[pytest.TestReport], cell: str) -> Test:
    """Return the line of a test, from the reports of its phases."""
    bad = next((report for report in reports if report.failed), None)
    seconds = round(sum(getattr(report, "duration", 0.0) for report in reports), 6)
    if bad is None:
        return Test(cell, reports[0].nodeid, _status_without_failure(reports), seconds, detail=_why_skipped(reports))
    status = _status_of_failure(bad)
    signature = getattr(bad, SIGNATURE, None) or _last_line(bad.longreprtext)
    if status == "crashed":
        signature = "the process that ran it died"
    return Test(cell, bad.nodeid, status, seconds, signature, bad.longreprtext[-_DETAIL:])


def starts_in(lines: Iterable[str], cell: str) -> dict[str, Starts]:
    """Return what children have written of their starts, added up by start method; a line that is torn is left out."""
    return added(found for line in lines if (found := _start_in(line, cell)) is not None)


def _start_in(line: str, cell: str) -> Starts | None:
    try:
        method, seconds, up_s, packages = line.split("\t")
        found = [_IMPORT.fullmatch(one) for one in packages.split()]
        imports = {one[1]: (int(one[2] == "="), float(one[3])) for one in found if one}
        started = float(up_s) >= 0  # else it is what a child imported later
        return Starts(cell, method, int(started), float(seconds), max(0.0, float(up_s)), imports)
    except ValueError:
        return None


def _why_skipped(reports: Sequence[pytest.TestReport]) -> str | None:
    """Return the reason of a skip, which pytest has as a tuple of file, line and text."""
    skip = next((one.longrepr for one in reports if one.skipped and not hasattr(one, "wasxfail")), None)
    return str(skip[2]).removeprefix("Skipped: ") if isinstance(skip, tuple) else None


def _last_line(text: str) -> str:
    """Return the line of a report that most likely names the cause: the last."""
    rows = text.strip().splitlines()
    return normalise(rows[-1].removeprefix("E  ").strip()) if rows else ""


def _status_of_failure(report: pytest.TestReport) -> TestStatus:
    if getattr(report, HUNG, False):
        return "hung"
    if report.when == "call":
        return "failed"
    return "error" if report.when in ("setup", "teardown") else "crashed"  # a dead worker's report has no phase


def _status_without_failure(reports: Sequence[pytest.TestReport]) -> TestStatus:
    expected = [report for report in reports if hasattr(report, "wasxfail")]
    if expected:
        return "xfailed" if expected[0].skipped else "xpassed"
    return "skipped" if any(report.skipped for report in reports) else "passed"


def ended(exit_status: int, judged: Sequence[Judged], tests: Sequence[Test]) -> tuple[CellStatus, str]:
    """Return the status of a session and the reason for it, from pytest's exit status and the records."""
    failed = [f"{one.target} under {one.method}: {one.why}" for one in judged if one.verdict == "fail"]
    failed += [f"{one.id}: {one.signature}" for one in tests if one.status in ("failed", "crashed", "hung", "oom")]
    errors = [f"{one.id}: {one.signature}" for one in tests if one.status == "error"]
    unknown = [f"{one.target} under {one.method}: {one.why}" for one in undecided(judged)]
    if exit_status == pytest.ExitCode.INTERRUPTED and not errors:
        return "interrupted", "pytest was stopped"
    for status, found in (("fail", failed), ("error", errors), ("unknown", unknown)):
        if found:
            return status, found[0] + (f" (and {len(found) - 1} more)" if len(found) > 1 else "")  # type: ignore[return-value]  # the keys of the table are statuses
    if exit_status == pytest.ExitCode.OK and (judged or any(one.status != "skipped" for one in tests)):
        return "pass", ""
    if exit_status == pytest.ExitCode.OK and tests:
        return "unknown", nothing_but_skipped(tests)
    if exit_status in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        return "unknown", "nothing was run"
    return "error", f"pytest ended with exit status {exit_status}"
