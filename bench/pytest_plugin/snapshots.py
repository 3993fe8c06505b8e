"""What a test process has at one moment that a test could leave behind, and how two moments differ.

A snapshot is taken between any two tests, so it is cheap: numbers of descriptors, not their targets; pids of children,
not their commands. Names are looked up for what is new alone.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.process.descriptors import handles_of_ending_feeders, open_descriptors, own_of_multiprocessing
from bench.process.tree import PROC, Proc, below, read

if TYPE_CHECKING:
    from bench.record import LeftKind

SHM = "/dev/shm"
_SEMAPHORE = "sem."
_IGNORED = frozenset({"PYTEST_CURRENT_TEST", "PYTEST_VERSION"})
_NOT_COUNTED = ("/dev/null", "/dev/urandom", "/dev/random", "/dev/tty", "anon_inode:[pidfd]", f"{SHM}/")
_SIGNALS = tuple(sorted(getattr(signal, "valid_signals", lambda: ())()))
_SHOWN = 60


@dataclass
class Snapshot:
    """The things that are there by kind, and the state of the process by name."""

    processes: set[int] = field(default_factory=set)
    threads: set[int] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    descriptors: set[int] = field(default_factory=set)
    state: dict[str, Any] = field(default_factory=dict)


def take(supervisor: int | None) -> Snapshot:
    """Return a snapshot of this process.

    Args:
        supervisor: the process that adopts orphans; `None` where they may be those of other processes, too.
    """
    return Snapshot(
        _children(supervisor),
        {id(one) for one in threading.enumerate() if not one.daemon},
        _listed(SHM),
        {number for name in _listed(f"{PROC}/self/fd") if _is_open(number := int(name))},
        _state(),
    )


def _listed(path: str) -> set[str]:
    try:
        return set(os.listdir(path))
    except OSError:
        return set()


def _is_open(number: int) -> bool:
    """Return whether a descriptor is open, as the one is no more by which the list of them was read."""
    try:
        os.get_inheritable(number)
    except OSError:
        return False
    return True


def _children(supervisor: int | None) -> set[int]:
    """Return the children of this process, those of its forkserver, and the orphans that the supervisor has."""
    found = _children_of(os.getpid())
    if server := sys.modules.get("multiprocessing.forkserver"):
        pid = getattr(server._forkserver, "_forkserver_pid", None)
        found |= _children_of(pid) if pid else set()
    if supervisor is not None:
        found |= _children_of(supervisor)
    return found


def _children_of(pid: int) -> set[int]:
    """Return the children of a process, by whichever of its threads they were started, see proc(5)."""
    found: set[int] = set()
    for thread in _listed(f"{PROC}/{pid}/task"):
        with contextlib.suppress(OSError), open(f"{PROC}/{pid}/task/{thread}/children", "rb", buffering=0) as file:
            found.update(map(int, file.read().split()))
    return found


def _state() -> dict[str, Any]:
    """Return what a process has one of; the key of each begins with its kind."""
    found: dict[str, Any] = {f"signal handler:{number}": signal.getsignal(number) for number in _SIGNALS}
    found |= {f"environment:{name}": text for name, text in os.environ.items() if name not in _IGNORED}
    try:
        found["working folder:"] = os.getcwd()
    except OSError:
        found["working folder:"] = None
    found["umask:"] = _umask()
    if context := sys.modules.get("multiprocessing.context"):
        default = context._default_context  # which fixes its default at the first use, without having been told to
        found["start method:"] = getattr(default._actual_context or default._default_context, "_name", None)
    return found


def _umask() -> int | None:
    """Return the umask, which can be asked for without setting it in one place alone."""
    with contextlib.suppress(OSError, ValueError), open(f"{PROC}/self/status", "rb", buffering=0) as file:
        found = file.read(400)
        return int(found.partition(b"Umask:")[2].split(None, 1)[0], 8)
    return None


def changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> set[str]:
    """Return the names in the state that differ."""
    return {name for name in {**before, **now} if before.get(name) != now.get(name)}


def describe_state(name: str, before: Any, now: Any) -> tuple[LeftKind, str]:
    """Return kind and text of a part of the state that changed."""
    kind, _, which = name.partition(":")
    match kind:
        case "signal handler":
            return "signal handler", f"{_signal(int(which))}: {_handler(now)}"
        case "environment":
            if now is None:
                return "environment", f"{which} is gone"
            return "environment", f"{which}={_short(now)}" if before is None else f"{which} was changed"
        case "working folder":
            return "working folder", "its folder is gone" if now is None else _short(now)
        case "umask":
            return "umask", f"{now:04o}, was {before:04o}" if None not in (now, before) else "changed"
        case _:
            return "start method", f"set_start_method({now!r})"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _handler(handler: Any) -> str:
    if isinstance(handler, signal.Handlers):
        return handler.name
    return str(getattr(handler, "__qualname__", None) or type(handler).__name__)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def living(pids: Iterable[int]) -> list[Proc]:
    """Return those of some processes that run and are the user's, which helpers of multiprocessing are not."""
    found = [proc for pid in pids if (proc := read(pid)) is not None]
    server = getattr(getattr(sys.modules.get("multiprocessing.forkserver"), "_forkserver", None), "_forkserver_pid", 0)
    return [
        proc
        for proc in found
        if "resource_tracker import main" not in proc.command  # that of loky, too
        and proc.pid != server
        and (proc.role != "forkserver" or proc.ppid == server)
    ]


def describe_process(proc: Proc) -> str:
    """Return the name of a process: that of `multiprocessing` where it has one, else its command."""
    import multiprocessing

    for child in getattr(multiprocessing.process, "_children", ()):
        if getattr(getattr(child, "_popen", None), "pid", None) == proc.pid:
            return str(child.name)
    return _short(proc.command)


def threads_left(before: set[int]) -> list[threading.Thread]:
    """Return the threads that keep this process from ending and were not there before."""
    return [
        one
        for one in threading.enumerate()
        if not one.daemon and id(one) not in before and one is not threading.main_thread() and one.is_alive()
    ]


def names_left(before: set[str], supervisor: int) -> list[tuple[LeftKind, str]]:
    """Return the segments and named semaphores that are new.

    Where other processes than those of the cell use the folder, as on a host, these are the ones that this process has
    made: nothing else tells whose a name is.

    Args:
        before: the names that were there.
        supervisor: the process below which those of the cell are.
    """
    new = _listed(SHM) - before
    if new and not _is_alone(supervisor):
        new &= _registered
    return [
        ("semaphore", name.removeprefix(_SEMAPHORE)) if name.startswith(_SEMAPHORE) else ("shared memory", name)
        for name in sorted(new)
    ]


def _is_alone(supervisor: int) -> bool:
    """Return whether all processes that there are belong to the cell: they are the supervisor's, or its ancestors."""
    mine = {supervisor, *(one.pid for one in below(supervisor))}
    while (above := read(supervisor)) is not None:
        mine.add(supervisor := above.ppid)
    return all(int(pid) in mine or read(int(pid)) is None for pid in _listed(PROC) if pid.isdecimal())


_registered: set[str] = set()


def follow_registrations() -> None:
    """Remember from here on the names that this process makes in the folder of shared memory."""
    tracker: Any = sys.modules.get("multiprocessing.resource_tracker")
    if tracker is None or hasattr(tracker.register, "__wrapped__"):
        return
    real = tracker.register

    @functools.wraps(real)
    def register(name: str, rtype: str) -> None:
        _registered.add(f"{_SEMAPHORE if rtype == 'semaphore' else ''}{name.lstrip('/')}")
        real(name, rtype)

    tracker.register = register


def exists(path: str) -> bool:
    """Return whether a name is still there."""
    return os.path.lexists(path)


def target_of(number: int) -> str | None:
    """Return what an open descriptor of this process is of; `None` if it is closed."""
    try:
        return os.readlink(f"{PROC}/self/fd/{number}")
    except OSError:
        return None


def descriptors_left(before: set[int]) -> list[tuple[int, str]]:
    """Return the descriptors that are new, but for those that multiprocessing itself keeps or is about to close."""
    ending = handles_of_ending_feeders()
    now = open_descriptors()
    new = {number: target for number, target in now.items() if number not in before and number not in ending}
    if not new:
        return []
    kept = own_of_multiprocessing(now) if "multiprocessing" in sys.modules else set()
    return [one for one in sorted(new.items()) if one not in kept and not one[1].startswith(_NOT_COUNTED)]
