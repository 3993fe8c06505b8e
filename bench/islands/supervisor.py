"""The supervisor: it runs the user's command, watches deadlines, and runs it again for the tests that are left.

It is the subreaper of all that the command starts, see prctl(2), so that what a test leaves behind stays below it. Its
lines are written while nothing else of the cell runs, since whole lines of two writers could mix in one pipe.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from bench.islands import ends
from bench.islands.crashes import kills_for_memory, read_crash
from bench.islands.marks import KILLED, ORDERS, Island, Judged, MarkReader, append_name
from bench.islands.noted import lines_of
from bench.islands.session import Attempt, Running, Session
from bench.process import stacks, tree
from bench.process.agreed import ISLAND
from bench.process.ended import has_ended
from bench.process.supervisor import adopt_orphans
from bench.record import DescriptorSink, RecordLine, Test, to_json

MOST_ATTEMPTS = 500
"""How often a command is run at most; each time at least one more test is judged."""

REST = "(the rest of the suite)"
"""The id under which tests are recorded that were never run."""

_TICK_S = 0.2
_KILL_S = 3.0
_MOST_STACKS = 64
_VICTIM = "500"
"""Added to the score by which the kernel chooses whom to kill for memory: tests go before the supervisor."""


@dataclass(frozen=True)
class Orders:
    """What is to be supervised.

    `options` returns the words that `PYTEST_ADDOPTS` gets for an attempt, given the file of its marks. `deadline_s` is
    that of a test that says none itself; `None` sets none.
    """

    cell: str
    command: tuple[str, ...]
    records: int
    options: Callable[[Path], Sequence[str]]
    deadline_s: float | None = None
    strict: bool = False


def supervise(orders: Orders) -> int:
    """Run a command until all of its tests are judged, and return its exit status; die of a signal if it did."""
    with _shared_folder(orders) as folder, _Waking() as waking:
        adopt_orphans()
        supervisor = _Supervisor(orders, folder, waking)
        code = supervisor.run()
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
        time.sleep(1.0)  # the signal may be one that this process has blocked
        return 128 - code
    return code


@contextlib.contextmanager
def _shared_folder(orders: Orders) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="forkbench-island-"))
    try:
        _write_orders(orders, folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_orders(orders: Orders, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    about = {"supervisor": os.getpid(), "deadline_s": orders.deadline_s, "strict": orders.strict}
    (folder / ORDERS).write_text(json.dumps(about))


class _Waking:
    """Wakes this process when a child ends, and passes signals on to the command."""

    def __init__(self) -> None:
        self.command = 0
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        os.set_blocking(self._writing, False)

    def __enter__(self) -> _Waking:
        signal.signal(signal.SIGCHLD, self._heard)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._pass_on)
        signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        os.close(self._reading)
        os.close(self._writing)

    def wait(self, timeout_s: float) -> None:
        """Return once a signal has come, or the time has passed."""
        select.select([self._reading], [], [], timeout_s)
        with contextlib.suppress(BlockingIOError):
            while os.read(self._reading, 4096):
                pass

    def _heard(self, number: int, frame: FrameType | None) -> None:
        pass  # being called writes to the pipe

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        if self.command:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.command, number)


class _Supervisor:
    """The attempts at one command."""

    def __init__(self, orders: Orders, folder: Path, waking: _Waking) -> None:
        self._orders = orders
        self._folder = folder
        self._waking = waking
        self._judged = Judged()
        self._bad = False
        self._complained = 0

    def run(self) -> int:
        """Run the command as often as it takes, and return its exit code, negative for a signal."""
        for number in range(1, MOST_ATTEMPTS + 1):
            one = _Attempt(self._orders, Island(self._folder, number), self._waking)
            one.run()
            code = one.code
            self._bad = self._bad or bool(one.lines)
            self._take_over(one)
            self._write(one)
            if not one.died:
                return 1 if self._bad and code in (0, 5) else code
            if not self._has_more(one):
                return 1
            _say(f"going on in a fresh interpreter with what is left ({shlex.join(self._orders.command)})")
            self._judged.save(self._folder)
            _write_orders(self._orders, self._folder)
        self._record([Test(self._orders.cell, REST, "error", 0.0, f"not run: {MOST_ATTEMPTS} interpreters died")])
        return 1

    def _take_over(self, one: _Attempt) -> None:
        """Add what an attempt has judged, and what ended it, to what is left out of the next."""
        for session in one.state.sessions.values():
            for nodeid, count in session.judged.items():
                for _ in range(count):
                    self._judged.add(session.key, nodeid, 0)
            self._judged.failed[session.key] = self._judged.failed.get(session.key, 0) + session.failed
        for running in one.died:
            if running.phase == "collect":
                self._judged.leave_out(running.session, running.nodeid)
            elif running.phase != "exit" and running.nodeid:
                self._judged.add(running.session, running.nodeid, 1)

    def _has_more(self, one: _Attempt) -> bool:
        """Return whether the command is to be run again; record what is not run if it cannot be."""
        sessions = one.state.sessions
        if any(running.phase == "exit" for running in one.died) and one.is_plain:
            return False
        for running in one.died:
            session = sessions[running.session]
            most = session.most_failures
            if most and self._judged.failed.get(session.key, 0) >= most:
                return False
            if not running.nodeid and not session.judged:
                self._record([Test(self._orders.cell, REST, "error", 0.0, "not run: the interpreter dies before it")])
                return False
        if not one.is_plain or any(running.phase == "collect" for running in one.died):
            return True
        return any(_left(sessions[running.session], running) for running in one.died)

    def _write(self, one: _Attempt) -> None:
        lines: list[RecordLine] = [*one.lines]
        complaints, self._complained = _complaints(one.island, self._complained)
        if one.died:  # what was ended in the middle could not clean up
            complaints = []
        for session in one.state.sessions.values():
            lines += lines_of(self._orders.cell, session.notes, strict=self._orders.strict, complaints=complaints)
            complaints = []
        self._record(lines)

    def _record(self, lines: Sequence[RecordLine]) -> None:
        if lines:
            os.write(self._orders.records, b"\n")  # the last writer may have been killed within a line
        for line in lines:
            DescriptorSink(self._orders.records).write(line)


def _left(session: Session, running: Running) -> bool:
    if session.items is None:
        return True
    judged = sum(session.judged.values()) + bool(running.nodeid)
    return session.items > judged


def _complaints(island: Island, read: int) -> tuple[list[str], int]:
    try:
        lines = island.complaints.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return [], read
    return lines[read:], len(lines)


def _say(text: str) -> None:
    sys.stderr.write(f"bench: {text}\n")
    sys.stderr.flush()


class _Attempt:
    """One run of the command; afterwards `lines` are to be recorded, and `died` is what did not end."""

    def __init__(self, orders: Orders, island: Island, waking: _Waking) -> None:
        self.island = island
        self.state = Attempt()
        self.lines: list[Test] = []
        self.died: list[Running] = []
        self.code = 0
        self._orders = orders
        self._waking = waking
        self._pid = 0
        self._ended: dict[int, int] = {}
        self._orphaned: set[str] = set()

    @property
    def is_plain(self) -> bool:
        """Whether the command is one pytest and nothing around it."""
        return all(session.pid == self._pid for session in self.state.sessions.values())

    def run(self) -> None:
        """Run the command to its end, and end all that it leaves."""
        killed_before = kills_for_memory()
        reader = MarkReader(self.island.marks)
        self._pid = self._waking.command = _start(self._orders, self.island)
        try:
            while self._pid not in self._ended:
                self._waking.wait(_TICK_S)
                self._reap()
                now = time.monotonic()
                self.state.feed(reader.read(), now)
                if self._pid not in self._ended:
                    self._look(now)
            self._waking.command = 0
            self.state.feed(reader.read(), time.monotonic())
            self.code = self._ended[self._pid]
            self._judge_end(kills_for_memory() > killed_before)
        finally:
            reader.close()
            self._end_all()
        self._pass_on_dumps()

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                self._ended[found[0]] = os.waitstatus_to_exitcode(found[1])

    def _look(self, now: float) -> None:
        """End what has passed its deadline, and what a dead pytest has left to a wrapper that goes on."""
        if (late := self.state.late(now)) is not None:
            self._end_late(late, now)
        for session in self.state.sessions.values():
            if session.pid != self._pid and session.key not in self._orphaned and has_ended(session.pid):
                self._orphaned.add(session.key)
                if not session.finished:
                    self._end_orphans()

    def _end_late(self, late: Running, now: float) -> None:
        session = self.state.sessions[late.session]
        if late.worker:
            found = [p for p in tree.processes() if p.pid == late.pid] + tree.below(late.pid)
            line = ends.hung(
                self._orders.cell, late, stacks=stacks.ask(found[:_MOST_STACKS], stacks.PATIENT_S), now=now
            )
            append_name(self.island.folder, KILLED, json.dumps(to_json(line)))  # pytest-xdist's controller records it
            _say(f"{late.nodeid} {line.signature}; its worker is ended")
            session.running.pop(late.worker)
            tree.kill_all(lambda: [p for p in found if not has_ended(p.pid)], timeout_s=_KILL_S)
            return
        asked = stacks.ask(tree.below(os.getpid())[:_MOST_STACKS], stacks.PATIENT_S)
        if late.phase == "exit":
            line = ends.hung_at_exit(self._orders.cell, late, stacks=asked, starters=session.starters, now=now)
        else:
            line = ends.hung(self._orders.cell, late, stacks=asked, now=now)
        _say(f"{line.id} {line.signature}\n{line.detail}")
        self.lines.append(line)
        self.died.append(late)
        session.finished = True
        self._end_all()
        while self._pid not in self._ended:
            self._waking.wait(_TICK_S)
            self._reap()

    def _judge_end(self, for_memory: bool) -> None:
        """Record the sessions whose interpreter died before its end."""
        now = time.monotonic()
        for session in self.state.sessions.values():
            code = self._ended.get(session.pid)
            if session.finished and not (session.pid == self._pid and self.code < 0 and not self.died):
                continue
            nothing = Running(session.key, "", session.pid, "", "call", now, None)
            running = session.running.get("", nothing)
            asked = stacks.ask([p for p in tree.below(os.getpid()) if p.role == "process"][:_MOST_STACKS])
            line = ends.crashed(
                self._orders.cell,
                running,
                code=code,
                for_memory=for_memory,
                dump=read_crash(self.island.crash_file(running.pid)),
                stacks=asked,
                now=now,
            )
            _say(f"{line.id} {line.status}: {line.signature}")
            self.lines.append(line)
            self.died.append(running)

    def _end_orphans(self) -> None:
        """End what has come to this process from a pytest that died, and not what a wrapper still runs."""
        me = os.getpid()
        mine = [p.pid for p in tree.processes() if p.ppid == me and p.pid != self._pid]
        found = {p.pid: p for pid in mine for p in (*tree.below(pid), *filter(None, [tree.read(pid)]))}
        tree.kill_all(lambda: [p for p in found.values() if not has_ended(p.pid)], timeout_s=_KILL_S)

    def _end_all(self) -> None:
        """End all that is below this process."""

        def below() -> list[tree.Proc]:
            self._reap()
            return tree.below(os.getpid())

        tree.end_all(below, timeout_s=_KILL_S)
        self._reap()

    def _pass_on_dumps(self) -> None:
        """Write into the log what interpreters wrote when they crashed."""
        for path in sorted(self.island.folder.glob("crash-*")):
            if text := read_crash(path):
                _say(f"an interpreter (pid {path.name.partition('-')[2]}) crashed:\n{text}")
            path.unlink(missing_ok=True)


def _start(orders: Orders, island: Island) -> int:
    """Start the command as a child, and return its pid."""
    environment = dict(os.environ)
    before = environment.get("PYTEST_ADDOPTS", "")
    environment["PYTEST_ADDOPTS"] = f"{before} {shlex.join(orders.options(island.marks))}".strip()
    environment[ISLAND] = str(island.folder)
    sys.stderr.flush()
    if pid := os.fork():
        return pid
    try:  # in the child, which may not return
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(_VICTIM)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.set_inheritable(orders.records, True)
        os.execvpe(orders.command[0], orders.command, environment)
    except OSError as error:
        os.write(2, f"bench: cannot run {orders.command[0]}: {error.strerror}\n".encode())
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)
    finally:
        os._exit(125)
