"""Process trees, as `/proc` shows them: which processes belong to a sample, and how all of them are ended."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.errors import Unavailable

PROC = "/proc"
_POLL_S = 0.002
_TRACKERS_S = 1.0
"""How long resource trackers, whose end nothing announces, have to clean up, in seconds."""
_TRACKERS_POLL_S = 0.01

Role = Literal["resource tracker", "forkserver", "process"]


@dataclass(frozen=True)
class Proc:
    """One live process; `started` is in clock ticks since boot, and with the pid names it for good."""

    pid: int
    ppid: int
    session: int
    state: str
    started: int
    command: str
    role: Role


def processes() -> list[Proc]:
    """Return the processes of this host that are alive, which zombies are not.

    Raises:
        Unavailable: where there is no `/proc`.
    """
    try:
        names = os.listdir(PROC)
    except OSError:
        raise Unavailable("process trees are read from /proc, which this platform does not have") from None
    found = {proc.pid: proc for name in names if name.isdecimal() and (proc := read(int(name))) is not None}
    return [_with_role(proc, found) for proc in found.values()]


def _with_role(proc: Proc, everyone: Mapping[int, Proc]) -> Proc:
    # A forkserver's children are forks of it and keep its command line; what they run is the program's.
    parent = everyone.get(proc.ppid)
    if proc.role == "forkserver" and parent is not None and parent.role == "forkserver":
        return replace(proc, role="process")
    return proc


def read(pid: int) -> Proc | None:
    """Return one process; `None` if it has ended, is about to end, or is a zombie."""
    try:
        stat = _content(pid, "stat").decode("utf-8", "replace")
        command = _content(pid, "cmdline").replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return None
    if not command:  # it has given up its memory and is about to end; or it is a kernel thread
        return None
    # The name stands in brackets and may itself hold brackets and blanks: the fields begin after the last one.
    fields = stat[stat.rindex(")") + 2 :].split()
    if fields[0] in "ZX":
        return None
    return Proc(pid, int(fields[1]), int(fields[3]), fields[0], int(fields[19]), command, _role(command))


def _content(pid: int, name: str) -> bytes:
    with open(f"{PROC}/{pid}/{name}", "rb", buffering=0) as file:  # a sample looks at every process twice
        return file.read()


def _role(command: str) -> Role:
    if "multiprocessing.resource_tracker import main" in command:
        return "resource tracker"
    return "forkserver" if "multiprocessing.forkserver import main" in command else "process"


def find(marker: str, session: int | None = None, below: int | None = None) -> list[Proc]:
    """Return the processes that carry an environment entry `NAME=VALUE`, or are of a session, and their descendants.

    The environment is that of the process's last exec, so that a forked child carries its parent's entry, and an
    orphan and a process in a session of its own are found as well.

    Args:
        marker: the entry.
        session: the session; `None` means none.
        below: a process whose descendants are meant too, but not itself: a supervisor, which adopts them.
    """
    everyone = processes()
    wanted = marker.encode()
    # Closed under descent, since a process may have been executed with another environment, or be of another user.
    mine = {p.pid for p in everyone if (session is not None and p.session == session) or _carries(p.pid, wanted)}
    mine |= {p.pid for p in everyone if p.pid == below}
    grown = True
    while grown:
        more = {p.pid for p in everyone if p.ppid in mine} - mine
        mine |= more
        grown = bool(more)
    return [p for p in everyone if p.pid in mine and p.pid not in (os.getpid(), below)]


def below(pid: int) -> list[Proc]:
    """Return the descendants of a process; of a subreaper these are all that it has started, however far away."""
    everyone = processes()
    mine = {pid}
    while more := {p.pid for p in everyone if p.ppid in mine} - mine:
        mine |= more
    return [p for p in everyone if p.pid in mine and p.pid != pid]


def environment(pid: int) -> dict[str, str]:
    """Return the environment that a process was executed with; empty if it may not be read."""
    try:
        entries = _content(pid, "environ").split(b"\0")
    except OSError:
        return {}
    pairs = (entry.decode("utf-8", "replace").partition("=") for entry in entries if entry)
    return {name: value for name, _, value in pairs}


def _carries(pid: int, wanted: bytes) -> bool:
    try:
        return wanted in _content(pid, "environ").split(b"\0")
    except OSError:
        return False


def waits_in(pid: int) -> str:
    """Return the kernel function that a process sleeps in, such as `anon_pipe_read`; empty if unknown."""
    try:
        found = _content(pid, "wchan").decode()
    except OSError:
        return ""
    return "" if found == "0" else found


def waited_to_run_s(pid: int) -> float:
    """Return how many seconds the main thread of a process could have run and had no CPU; 0 where that is unknown."""
    try:
        return int(_content(pid, "schedstat").split()[1]) / 1e9  # see sched-stats.rst of the kernel
    except (OSError, ValueError, IndexError):
        return 0.0


def catches(pid: int, number: int) -> bool:
    """Return whether a process has a handler for a signal, so that sending it does not kill."""
    try:
        status = _content(pid, "status").decode("utf-8", "replace")
    except OSError:
        return False
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)", status, re.M)
    return bool(caught) and bool(int(caught[1], 16) >> (number - 1) & 1)  # type: ignore[index]  # bool() has just said that it is no None


def kill_all(search: Callable[[], Iterable[Proc]], *, timeout_s: float = 2.0) -> list[Proc]:
    """Kill every process that `search` finds, again and again until it finds none; return those that outlived the time.

    All are stopped before any is killed, so that one which starts processes as fast as they die cannot run on.
    """
    deadline = time.monotonic() + timeout_s
    while left := list(search()):
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for proc in left:
                send(proc, number)
        if time.monotonic() > deadline:
            return left
        time.sleep(_POLL_S)
    return []


def send(proc: Proc, number: int) -> bool:
    """Send a signal to this very process, not to a later one of the same pid; return whether it was sent."""
    now = read(proc.pid)
    if now is None or now.started != proc.started:
        return False
    try:
        os.kill(proc.pid, number)
    except OSError:
        return False
    return True


def end_all(
    search: Callable[[], Sequence[Proc]], *, timeout_s: float = 2.0, reap: Callable[[], object] = lambda: None
) -> None:
    """Kill every process that `search` finds but resource trackers, which then clean /dev/shm and end; then these too.

    Args:
        search: lists those that there are.
        timeout_s: how long to go on killing, each time.
        reap: called in between; waits for a child of this process.
    """
    kill_all(lambda: [p for p in search() if p.role != "resource tracker"], timeout_s=timeout_s)
    reap()
    until = time.monotonic() + _TRACKERS_S
    while search() and time.monotonic() < until:
        time.sleep(_TRACKERS_POLL_S)
    kill_all(search, timeout_s=timeout_s)
