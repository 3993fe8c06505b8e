"""What a test process has at one moment that a test could leave behind, and how two moments differ.

A snapshot is taken between any two tests, so it is cheap: numbers of descriptors, not their targets; pids of children,
not their commands. Names are looked up for what is new alone.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import signal
import sys
import threading
import time
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
_UMASK = re.compile(rb"^Umask:\s*(\d+)", re.M)
_MASKS = re.compile(rb"^Sig(?:Ign|Cgt):\s*([0-9a-f]+)", re.M)
_SHOWN = 60


@dataclass
class Snapshot:
    """The things that are there by kind, and the state of the process by name."""

    processes: set[int] = field(default_factory=set)
    threads: set[int] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    descriptors: set[int] = field(default_factory=set)
    state: dict[str, Any] = field(default_factory=dict)


def take(cell: int, *, orphans: bool) -> Snapshot:
    """Return a snapshot of this process.

    Args:
        cell: the supervisor, below which all processes of the cell are, and which adopts orphans.
        orphans: whether these count; they may be those of other processes that run tests, too.
    """
    return Snapshot(
        _children(cell if orphans else None),
        {id(one) for one in threading.enumerate() if not one.daemon},
        _folder.names(cell),
        {number for name in _listed(f"{PROC}/self/fd") if _is_open(number := int(name))},
        _state(),
    )


def _listed(path: str) -> set[str]:
    try:
        return set(os.listdir(path))
    except OSError:
        return set()


_SETTLED_NS = 50_000_000
"""How long a folder must have been as it is for its time of change to tell: the kernel's clock for files is coarse."""


class _Folder:
    """The folder of segments and semaphores, read anew if it has changed.

    Where other processes than those of the cell use it, as on a host, only the names count that this process has made:
    nothing else tells whose a name is.
    """

    def __init__(self) -> None:
        self._is_shared: bool | None = None
        self._changed_ns = -1
        self._names: set[str] = set()

    def names(self, supervisor: int) -> set[str]:
        """Return the names in it that the processes below a supervisor may have made."""
        if self._is_shared is None:
            self._is_shared = not _is_alone(supervisor)
        if self._is_shared:
            return {name for name in _registered if os.path.lexists(f"{SHM}/{name}")}
        return set(self._listed())

    def _listed(self) -> set[str]:
        try:
            changed_ns = os.stat(SHM).st_mtime_ns
        except OSError:
            return set()
        if changed_ns != self._changed_ns:
            settled = time.time_ns() > changed_ns + _SETTLED_NS
            self._names = _listed(SHM)
            self._changed_ns = changed_ns if settled else -1
        return self._names


_folder = _Folder()


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
    status = _status()
    found: dict[str, Any] = {f"signal handler:{number}": signal.getsignal(number) for number in _handled(status)}
    found |= {f"environment:{name}": text for name, text in os.environ.items() if name not in _IGNORED}
    try:
        found["working folder:"] = os.getcwd()
    except OSError:
        found["working folder:"] = None
    found["umask:"] = int(line[1], 8) if (line := _UMASK.search(status)) else None
    if context := sys.modules.get("multiprocessing.context"):
        default = context._default_context  # which fixes its default at the first use, without having been told to
        found["start method:"] = getattr(default._actual_context or default._default_context, "_name", None)
    return found


def _status() -> bytes:
    """Return what the kernel says of this process; empty where it says nothing."""
    with contextlib.suppress(OSError), open(f"{PROC}/self/status", "rb", buffering=0) as file:
        return file.read(1 << 14)
    return b""


def _handled(status: bytes) -> Iterable[int]:
    """Return the signals that are ignored or have a handler; all that there are where the kernel does not say."""
    if len(masks := _MASKS.findall(status)) != 2:
        return _SIGNALS
    mask = int(masks[0], 16) | int(masks[1], 16)
    return [number for number in _SIGNALS if mask >> (number - 1) & 1]


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
    if handler is None:
        return "SIG_DFL, or none of Python's"
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


def describe_name(name: str) -> tuple[LeftKind, str]:
    """Return whether a name in the folder is that of a semaphore or a segment, and what its maker calls it."""
    if name.startswith(_SEMAPHORE):
        return "semaphore", name.removeprefix(_SEMAPHORE)
    return "shared memory", name


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
