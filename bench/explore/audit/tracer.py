"""The tracer: a process that sees each system call of the audited ones, and names those that may reach shared things.

It is forked from the exploring process, and traces what asks for it: each process that becomes a lane. It needs no
privilege: they are of one user, and ask for it themselves. If it dies, those that it traces just go on.
"""

from __future__ import annotations

import ast
import contextlib
import errno
import os
import signal
import site
import sys
import sysconfig
import time

from bench.explore.audit import calls
from bench.explore.audit.memory import READ, WRITE, shared_regions
from bench.explore.audit.numbers import name_of
from bench.explore.audit.ptrace import ALL, EVENT_STOP, REGISTERS, Info, Ptrace
from bench.explore.runtime import layout as at
from bench.process.death_signal import die_with_parent

TYPE_CHECKING = False  # as type checkers know it: each exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from bench.explore.runtime.board import Board

_NEWS = (signal.SIGCHLD, signal.SIGUSR1, signal.SIGTERM)
"""Something that is traced has stopped or ended; a process asks to be traced; the tracer shall end."""

MEMORY = "shared memory, accessed past its points"

MOST_FAULTS = 100
"""Accesses of a process to shared memory, past its points, after which they are let happen."""

_NO_ARGS = (0, 0, 0, 0, 0, 0)
_MAP_SHARED = 1
_PATIENCE_S, _LOOK_S = 0.5, 0.0002
_LONGEST_PATH = 4096


class Tracer:
    """The tracer, as the exploring process knows it.

    Attributes:
        why_not: why nothing can be traced here; empty if it can.
    """

    def __init__(self, board: Board) -> None:
        self.board, self.why_not = board, ""
        ready, ready_end = os.pipe()
        self._found, found_end = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            _run(board, ready_end, found_end)
        os.close(ready_end)
        os.close(found_end)
        os.read(ready, 1)
        os.close(ready)

    def end(self) -> list[str]:
        """End the tracer, and return what it has named."""
        os.kill(self.pid, signal.SIGTERM)
        with open(self._found, "rb") as file:
            said = file.read()
        os.waitpid(self.pid, 0)
        if not said:
            self.why_not = "the tracer has died"
            return []
        found: list[str]
        found, self.why_not = ast.literal_eval(said.decode())
        return found


def _run(board: Board, ready: int, found: int) -> NoReturn:
    loop: _Loop | None = None
    why_not = ""
    try:
        die_with_parent()
        loop = _Loop(board)
        os.write(ready, b"!")
        loop.run()
        why_not = loop.why_not
    except Exception as error:  # noqa: BLE001  # a mistake of the bench: it is told as what kept the audit from its end
        why_not = f"the tracer has failed: {type(error).__name__}: {error}"
    finally:
        board.audit = -1  # so that nobody waits for it any more
        os.write(found, repr((list(loop.named.values()) if loop is not None else [], why_not)).encode())
        os._exit(0)


def _wait_for_signals() -> Callable[[], bool]:
    """Return a function that waits until there is something to do, and returns whether the tracer shall end."""
    if hasattr(signal, "sigtimedwait"):
        signal.pthread_sigmask(signal.SIG_BLOCK, _NEWS)

        def wait() -> bool:
            news = signal.sigtimedwait(_NEWS, _PATIENCE_S)
            return news is not None and news.si_signo == signal.SIGTERM

        return wait
    ends: list[int] = []  # on PyPy, which has no such function
    for number in _NEWS:
        signal.signal(number, lambda came, _: ends.append(came) if came == signal.SIGTERM else None)

    def look() -> bool:
        time.sleep(_LOOK_S)
        return bool(ends)

    return look


class _Traced:
    """What is known of one process: its lane, the call it is at, and the descriptors that it has opened."""

    __slots__ = ("args", "behind", "call", "faults", "lane", "own", "started")

    def __init__(self, lane: int) -> None:
        self.lane, self.started = lane, False
        self.call, self.behind, self.faults = "", 0, 0
        self.args: tuple[int, ...] = _NO_ARGS
        self.own: set[int] = set()


class _Loop:
    def __init__(self, board: Board) -> None:
        self.board, self.numbers = board, board.numbers
        self.ptrace, self.registers = Ptrace(), REGISTERS.get(os.uname().machine, REGISTERS["x86_64"])
        self.traced: dict[int, _Traced] = {}
        self.named: dict[tuple[str, str], str] = {}
        self.why_not = ""
        self.news = _wait_for_signals()
        output = frozenset(filter(None, (_link(os.getpid(), number) for number in (1, 2))))
        self.rules = calls.Rules(_system_paths(), output, self.is_new)

    def run(self) -> None:
        """Trace until told to end."""
        over = False
        while not over:
            over = self.news()
            self.attach_new()
            self.handle_stops()

    def attach_new(self) -> None:
        for lane in range(at.MOST_LANES):
            if self.numbers[at.TRACED + lane] == at.ASKS and (pid := self.numbers[at.PIDS + lane]) not in self.traced:
                try:
                    self.ptrace.seize(pid)
                except ProcessLookupError:  # killed meanwhile, in a schedule that was given up
                    self.numbers[at.TRACED + lane] = 0
                except OSError as error:
                    self.why_not = self.why_not or f"ptrace is refused here: {error.strerror}"
                    self.numbers[at.TRACED + lane] = -(error.errno or 1)
                else:
                    self.traced[pid] = _Traced(lane)

    def handle_stops(self) -> None:
        while self.traced:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | ALL)
            except ChildProcessError:
                return
            if not pid:
                return
            if os.WIFEXITED(status) or os.WIFSIGNALED(status):
                self.traced.pop(pid, None)
            elif os.WIFSTOPPED(status):
                with contextlib.suppress(ProcessLookupError):  # killed meanwhile: its end comes next
                    self.handle_stop(pid, status)

    def handle_stop(self, pid: int, status: int) -> None:
        number, event = os.WSTOPSIG(status), status >> 16
        known = self.traced.get(pid)
        if number == signal.SIGTRAP | 0x80 and known is not None:
            if (info := self.ptrace.info(pid)) is not None:
                known.behind = info.behind
                self.at_call(pid, known, info)
            if self.numbers[at.TRACED + known.lane] == at.LEAVES:
                self.ptrace.leave(pid)
                del self.traced[pid]
            else:
                self.ptrace.go_on(pid)
        elif number == signal.SIGSEGV and not event and known is not None and self.at_fault(pid, known):
            self.ptrace.go_on(pid)
        elif event == EVENT_STOP:
            if number != signal.SIGTRAP:
                self.ptrace.listen(pid)
                return
            if known is not None and not known.started:
                self.ptrace.go_on(pid)
                known.started = True
                self.numbers[at.TRACED + known.lane] = at.TRACES
                return
            self.ptrace.go_on(pid)
        else:
            self.ptrace.go_on(pid, 0 if event else number)

    def at_call(self, pid: int, known: _Traced, info: Info) -> None:
        """Look at a system call that is about to be made, or was made."""
        if info.result is not None:
            self.behind_call(known, info.result)
            return
        name = known.call = name_of(info.machine, info.number)
        known.args = info.args
        own = bool(info.args) and info.args[0] in known.own
        if name == "close":
            known.own.discard(info.args[0])
        elif name in calls.HANDS_ON:
            known.own.clear()
        where = self.numbers[at.WHERE + known.lane]
        if where == calls.TRUSTED or name in calls.ALWAYS:
            return
        path = file = ""
        if (index := calls.WITH_PATH.get(name, -1)) >= 0:
            path = _text(pid, info.args[index])
        if (index := calls.WITH_FILE.get(name, -1)) >= 0 and not path:
            file = _link(pid, info.args[index])
        call = calls.Call(name, info.args, where, path, file, own, pid)
        if not self.rules.is_harmless(call):
            function, _, place = self.board.call(known.lane).partition("\n")
            self.named.setdefault((function or name, place), calls.text(call, function, place))

    def is_new(self, path: str, pid: int) -> bool:
        """Return whether a file was made, changed or moved there since the board was made."""
        try:
            status = os.stat(os.path.join(f"/proc/{pid}/cwd", path))
        except OSError:
            return False
        return max(status.st_mtime, status.st_ctime) > self.board.made_at

    def behind_call(self, known: _Traced, result: int) -> None:
        """Note what a call has made; and whether it was given shared memory, which it could not reach."""
        if result >= 0 and known.call in calls.OPENS:
            known.own.add(result)
        if _is_mapping(known.call, known.args):
            self.numbers[at.MAPPED + known.lane] += 1
        if result == -errno.EFAULT and self.numbers[at.MEMORY + known.lane] == at.CLOSED:
            self.name_access(known)

    def at_fault(self, pid: int, known: _Traced) -> bool:
        """Name an access to shared memory, and let it happen; return whether the fault was one."""
        cell = at.MEMORY + known.lane
        if self.numbers[cell] != at.CLOSED or not known.behind:
            return False
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as maps:
            regions = list(shared_regions(maps, self.board.path, protected=True))
        address = self.ptrace.address(pid)
        if not any(region.start <= address < region.start + region.length for region in regions):
            return False
        self.name_access(known)
        for region in regions:
            for protection in (READ, READ | WRITE):  # what is mapped to be read alone cannot be made writable
                self.ptrace.call(pid, self.registers, known.behind, (region.start, region.length, protection))
        known.faults += 1
        self.numbers[cell] = at.OPEN if known.faults < MOST_FAULTS else at.FREE
        return True

    def name_access(self, known: _Traced) -> None:
        _, _, place = self.board.call(known.lane).partition("\n")
        self.named.setdefault((MEMORY, place), f"{MEMORY}, {place}")


def _is_mapping(name: str, args: tuple[int, ...]) -> bool:
    return name in ("munmap", "mremap") or (name == "mmap" and args[3] & _MAP_SHARED == _MAP_SHARED)


def _system_paths() -> tuple[str, ...]:
    """Return beginnings of paths to what is installed: the interpreter, and packages."""
    paths = {
        sys.prefix,
        sys.base_prefix,
        sys.exec_prefix,
        os.path.dirname(os.__file__),
        *sysconfig.get_paths().values(),
    }
    with contextlib.suppress(AttributeError):
        paths |= {*site.getsitepackages(), site.getusersitepackages()}
    return tuple(os.path.join(path, "") for path in paths if len(path) > 1)


def _link(pid: int, descriptor: int) -> str:
    """Return what a descriptor of a process is of; empty where it is of nothing."""
    try:
        return os.readlink(f"/proc/{pid}/fd/{descriptor & 0xFFFFFFFF}")
    except (OSError, ValueError):
        return ""


def _text(pid: int, address: int) -> str:
    """Return a text in the memory of a process, up to its zero byte; empty where there is none."""
    found = b""
    try:
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            memory.seek(address)
            while b"\0" not in found and len(found) < _LONGEST_PATH:
                # Not beyond a page, behind which there may be nothing.
                if not (more := memory.read(4096 - (address + len(found)) % 4096)):
                    break
                found += more
    except (OSError, ValueError, OverflowError):
        return ""
    return os.fsdecode(found.partition(b"\0")[0])
