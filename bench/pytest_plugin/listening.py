"""The hooks of the process that reports: under pytest-xdist the controller, else the only one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bench.pytest_plugin.islands import Marking
    from bench.pytest_plugin.recording import Recorder
    from bench.pytest_plugin.settings import Settings


class Listener:
    """Passes reports on to the recorder, which is made at the first report that it needs."""

    def __init__(self, config: pytest.Config, settings: Settings, marking: Marking | None = None) -> None:
        self._marking = marking
        self._pid = os.getpid()
        self._config = config
        self._settings = settings
        self._recorder: Recorder | None = None

    def open(self) -> None:
        """Open the records, if any are asked for.

        Raises:
            pytest.UsageError: if they cannot be written.
        """
        if self._settings.records_asked:
            self._ensure_recorder().open()

    def _ensure_recorder(self) -> Recorder:
        if self._recorder is None:
            from bench.pytest_plugin.recording import Recorder

            self._recorder = Recorder(self._settings, self._config.invocation_params.args, self._marking)
        return self._recorder

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record a test's report; a test's fork that goes on as if it were pytest records nothing."""
        if os.getpid() != self._pid:
            return
        if self._recorder is not None or hasattr(report, "bench_line"):
            self._ensure_recorder().record(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record what could not be collected."""
        if self._recorder is not None and report.failed:
            self._recorder.record_collection_error(report)

    def pytest_report_teststatus(
        self, report: pytest.TestReport
    ) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
        """Return a status that shows, with `-v`, that an outcome was interesting."""
        if report.when == "call" and report.passed and self._recorder and self._recorder.interesting(report.nodeid):
            return "passed", ".", ("PASSED (interesting)", {"green": True})
        return None

    def pytest_report_collectionfinish(self, items: Sequence[pytest.Item]) -> list[str]:
        """Return the modes and start methods of the programs."""
        programs = [item for item in items if getattr(item, "is_bench_program", False)]
        if not programs:
            return []
        from bench.pytest_plugin.texts import announcement

        methods = dict.fromkeys(str(getattr(item, "method", "")) for item in programs)
        modes = [str(getattr(item, "mode", "")) for item in programs]
        return announcement(modes, tuple(methods), self._settings)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int | pytest.ExitCode) -> None:
        """Close the records."""
        if self._recorder is not None:
            self._recorder.close(int(getattr(session, "exitstatus", exitstatus)))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the histograms."""
        if self._recorder is not None and self._recorder.judged:
            from bench.pytest_plugin.texts import show

            show(terminalreporter, self._recorder.judged, self._settings)
