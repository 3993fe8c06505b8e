"""The hooks by which pytest marks for the supervisor of a cell what it does, and leaves out what was judged before."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from bench.islands.crashes import cause_of_crash, kills_for_memory, place_of_crash, read_crash
from bench.islands.marks import KILLED, SKIPPED_FILES, WORKERS, Island, Judged, Marks, append_name, names_in, orders_of
from bench.pytest_plugin.settings import MARKS, SESSION
from bench.record import Test, from_json

_GRACE_S = 5.0
"""How much longer than its `timeout` mark a test may take where pytest-timeout is there to end it itself."""

_MOST_RESTARTS = "100000"
"""How often pytest-xdist may replace its workers: the supervisor has bounds of its own."""

LEFT_OUT = "bench_left_out"
"""The attribute of a report on a file that was not collected, since that ended an interpreter before."""


class Marking:
    """Marks what this process does: the only one of a session, a controller of pytest-xdist, or a worker of it."""

    def __init__(self, config: pytest.Config, marks: Path) -> None:
        self.island = Island(marks.parent, int(marks.name.rpartition("-")[2]))
        self.orders = orders_of(marks)
        self.worker = str(getattr(config, "workerinput", {}).get("workerid", ""))
        self._config = config
        self._marks = Marks(marks)
        self._pid = os.getpid()
        self._deadline_s: float | None = self.orders["deadline_s"]
        self._killed_before = kills_for_memory()
        if not self.worker:
            setattr(config.option, SESSION, self._session_key())
            setattr(config.option, MARKS, str(marks))
            if hasattr(config.option, "maxworkerrestart") and config.option.maxworkerrestart is None:
                config.option.maxworkerrestart = _MOST_RESTARTS
        self.session = str(getattr(config.option, SESSION, ""))
        self._judged = Judged.load(self.island.folder)
        self._deselected = 0
        if self.worker:
            append_name(self.island.folder, WORKERS, f"{self.worker} {self._pid}")
        else:
            self._announce()

    def _session_key(self) -> str:
        """Return what names this session in each attempt: its arguments and folder, and the how many-eth of these."""
        given = (os.fspath(self._config.invocation_params.dir), *map(str, self._config.invocation_params.args))
        stem = hashlib.sha256(repr(given).encode("utf-8", "backslashreplace")).hexdigest()[:12]
        before = self._started_before(stem)
        return f"{stem}-{before + 1}"

    def _started_before(self, stem: str) -> int:
        name = f"sessions-{self.island.attempt}"
        before = names_in(self.island.folder, name).count(stem)
        append_name(self.island.folder, name, stem)
        return before

    def _announce(self) -> None:
        option = self._config.option
        most = 1 if getattr(option, "stepwise", False) else int(getattr(option, "maxfail", 0) or 0)
        self.mark("session", self._pid, most, self._deadline_s)
        before = self._judged.failed.get(self.session, 0)
        if before and getattr(option, "maxfail", 0):
            option.maxfail = max(1, option.maxfail - before)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self) -> None:
        """Have a crash dump its stacks where the supervisor finds them, unless pytest was told not to."""
        if not self._config.pluginmanager.hasplugin("faulthandler"):
            return
        import faulthandler

        with contextlib.suppress(OSError, ValueError):
            path = self.island.crash_file(self._pid)
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            faulthandler.enable(file=descriptor)

    def mark(self, event: str, *fields: Any) -> None:
        """Append a mark; a fork of this process that goes on as if it were pytest has none."""
        if os.getpid() == self._pid:
            self._marks.write(event, self.session, self.worker, *fields)

    def note(self, nodeid: str, **about: Any) -> None:
        """Mark what was noted of a test beside its status."""
        self.mark("note", nodeid, about)

    # Collection.

    @pytest.hookimpl(tryfirst=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> pytest.CollectReport | None:
        """Mark the file that is about to be imported; leave out one that ended an interpreter."""
        if not isinstance(collector, pytest.File):
            return None
        out = self._judged.files.get(self.session, set())
        if collector.nodeid in out or (self.worker and collector.nodeid in self._skipped()):
            report = pytest.CollectReport(collector.nodeid, "passed", None, [])
            setattr(report, LEFT_OUT, True)
            return report
        self.mark("collecting", self._pid, collector.nodeid)
        return None

    def _skipped(self) -> list[str]:
        return names_in(self.island.folder, SKIPPED_FILES)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Deselect what earlier attempts have judged, as often as they have."""
        count = len(items)
        before = Counter(self._judged.tests.get(self.session, {}))
        if before:
            kept, gone = list[pytest.Item](), list[pytest.Item]()
            for item in items:
                if before[item.nodeid] > 0:
                    before[item.nodeid] -= 1
                    gone.append(item)
                else:
                    kept.append(item)
            if gone:
                items[:] = kept
                self._deselected = len(gone)
                config.hook.pytest_deselected(items=gone)
        self.mark("items", count - self._deselected, self._deselected)

    # Tests.

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Mark the beginning and the end of a test."""
        self.mark("start", self._pid, item.nodeid, time.monotonic(), self._deadline_of(item))
        try:
            return (yield)
        finally:
            self.mark("done")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self) -> None:
        """Mark that the test itself begins."""
        self.mark("phase", "call")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self) -> None:
        """Mark that its fixtures are torn down."""
        self.mark("phase", "teardown")

    def _deadline_of(self, item: pytest.Item) -> float | None:
        """Return the seconds that a test may take: those of its `timeout` mark, of pytest-timeout, or of the cell."""
        mark = item.get_closest_marker("timeout")
        found: object = None
        if mark is not None:
            found = mark.kwargs.get("timeout", mark.args[0] if mark.args else None)
        if found is None and self._config.pluginmanager.hasplugin("timeout"):
            found = getattr(item.config, "_env_timeout", None) or None
        try:
            seconds = float(found)  # type: ignore[arg-type]  # what is no number is refused by it
        except (TypeError, ValueError):
            return self._deadline_s
        if seconds <= 0:  # as pytest-timeout has it: no timeout
            return None
        return seconds + _GRACE_S if self._config.pluginmanager.hasplugin("timeout") else seconds

    def judged(self, nodeid: str, failed: int) -> None:
        """Mark that a test is judged and recorded."""
        self.mark("judged", nodeid, failed)

    def was_recorded(self, nodeid: str) -> bool:
        """Return whether an earlier attempt has recorded a test, or a file that could not be collected."""
        return self._judged.tests.get(self.session, Counter())[nodeid] > 0

    # Workers of pytest-xdist, from their controller.

    def _pid_of_worker(self, worker: str) -> int:
        pids = [
            int(name.partition(" ")[2]) for name in names_in(self.island.folder, WORKERS) if name.split()[0] == worker
        ]
        return pids[-1] if pids else 0

    def line_of_dead_worker(self, report: pytest.TestReport, line: Test) -> Test:
        """Return the line of a test whose worker died: with its cause, if the supervisor ended it as hung."""
        for text in names_in(self.island.folder, KILLED):
            found = from_json(json.loads(text))
            if isinstance(found, Test) and found.id == report.nodeid:
                return found
        node = getattr(report, "node", None)
        pid = self._pid_of_worker(str(node.gateway.id)) if node is not None else 0
        dump = read_crash(self.island.crash_file(pid))
        status = line.status
        cause = cause_of_crash(dump) or line.signature or ""
        if place := place_of_crash(dump):
            cause = f"{cause} at {place}"
        if not dump and (killed := kills_for_memory()) > self._killed_before:
            self._killed_before = killed
            status, cause = "oom", "killed for memory: over the limit of the cell"
        return Test(line.cell, line.id, status, line.seconds, cause, f"{line.detail}\n{dump}".strip(), line.more)

    # The end.

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Set the exit status of the whole suite, where this attempt had only the rest of it."""
        if not self.worker and self._deselected:
            failed = self._judged.failed.get(self.session, 0)
            if int(session.exitstatus) in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
                session.exitstatus = pytest.ExitCode.TESTS_FAILED if failed else pytest.ExitCode.OK
        return (yield)

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Mark that pytest is through; what comes after it is the interpreter's end."""
        if not self.worker:
            self.mark("finish")
