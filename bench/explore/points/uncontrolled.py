"""Operations that cannot be controlled, noted with the user's line that does them: the verdict is then unknown.

A thread, a program, a socket, a memory map or a timer runs on between the points, or waits where the scheduler does not
see it. What was started with the state, or when its module was imported, and still runs when the actors begin, is noted
as well. Where anything runs that could end the wait of a lane, a standstill is no deadlock (`OUTSIDERS` on the board).
"""

from __future__ import annotations

import _thread
import functools
import importlib
import mmap
import select
import sys
import threading
from multiprocessing import process

from bench.explore.points import clock
from bench.explore.runtime import control
from bench.explore.runtime.packing import op_of
from bench.process.instrument import is_users, short_name

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections.abc import Container
    from types import FrameType
    from typing import Any

    from bench.explore.runtime.board import Board

_THREAD, _PROGRAM, _WAIT = "a thread", "another program", "a wait of its own"
_SERVER, _MAP = "a manager, which serves by threads and sockets", "a memory map"
_ADDRESS = "shared memory, reached by its address"

_POOL, _EXECUTOR = "a Pool, which has threads", "a pool of processes, which has threads"
_WITH_THREADS = frozenset({_THREAD, _POOL, _EXECUTOR, _SERVER})
_FORKED, _STARTED, _PROCESS = "a process by os.fork", "a process that was started before the actors", "a process"
_FOREIGN = "a process that multiprocessing does not start by itself"
_PROCESSES = frozenset({_FOREIGN, _PROGRAM, _FORKED, "a process by os.forkpty", _STARTED, _POOL, _EXECUTOR, _SERVER})
ELSEWHERE = "a socket to elsewhere"
_ACTING = _PROCESSES | {_THREAD, ELSEWHERE}
"""What runs by itself, and may end the wait of a lane."""

_SOCKET_USES = (
    "accept",
    "bind",
    "close",
    "connect",
    "connect_ex",
    "detach",
    "listen",
    "recv",
    "recv_into",
    "recvfrom",
    "recvfrom_into",
    "recvmsg",
    "recvmsg_into",
    "send",
    "sendall",
    "sendfile",
    "sendmsg",
    "sendto",
    "setblocking",
    "settimeout",
    "shutdown",
)
"""Methods of sockets, which may have been made with the state, or come from elsewhere, before any actor runs."""

_CALLS = {
    "threading:Thread.start": _THREAD,
    "_thread:start_new_thread": _THREAD,
    "_thread:start_joinable_thread": _THREAD,
    "multiprocessing.context:BaseContext.Pool": _POOL,
    "multiprocessing.context:BaseContext.Manager": _SERVER,
    "multiprocessing.connection:SocketListener.__init__": "a socket",
    "multiprocessing.connection:SocketClient": "a socket",
    "socket:socket.__init__": "a socket",
    **{f"socket:socket.{name}": "a socket" for name in _SOCKET_USES},
    "_posixsubprocess:fork_exec": _PROGRAM,
    "subprocess:Popen.__init__": _PROGRAM,
    "os:fork": _FORKED,
    "os:forkpty": "a process by os.forkpty",
    "os:posix_spawn": _PROGRAM,
    "os:posix_spawnp": _PROGRAM,
    "os:system": _PROGRAM,
    "os:execv": _PROGRAM,
    "os:execve": _PROGRAM,
    "os:splice": _WAIT,
    "select:poll": _WAIT,
    "select:epoll": _WAIT,
    "signal:pause": _WAIT,
    "signal:sigwait": _WAIT,
    "signal:sigwaitinfo": _WAIT,
    "signal:sigtimedwait": _WAIT,
    "selectors:SelectSelector.select": _WAIT,
    "selectors:_PollLikeSelector.select": _WAIT,
    "selectors:EpollSelector.select": _WAIT,
}
"""The functions that are noted. What other modules of the standard library do comes down to one of these."""

_IF_PRESENT = frozenset({"subprocess", "multiprocessing.connection", "selectors", "socket"})
"""Modules that are not imported for this. Where one is imported later, the functions that it calls are noted."""

_MAP_USES = (
    "__getitem__",
    "__setitem__",
    "read",
    "read_byte",
    "readline",
    "write",
    "write_byte",
    "find",
    "rfind",
    "move",
    "resize",
    "__buffer__",
)
_ADDRESS_USES = ("addressof", "byref", "cast", "memmove", "memset", "pointer", "string_at")
"""Functions of ctypes that reach memory past its attributes, if their arguments are shared."""

_ADDRESSES = ("addressof", "byref", "cast", "pointer")
"""Those that return an address, or something that has one, which can be kept."""

addresses: list[str] = []
"""The user's lines that got addresses of shared memory while no lane was controlled."""

_OURS = ("bench.explore.", "bench.process.", "bench.state.", "multiprocessing.", "ctypes")

_FEEDER = "QueueFeederThread"
"""The thread of a queue, which only feeds what was put."""

_real_map = mmap.mmap

_own: set[int] = set()
"""Processes that the exploration itself has forked."""

_before: list[tuple[str, str]] = []
"""What this process started outside of schedules, with the user's lines."""

_AT_ONCE = _ACTING - {_PROGRAM, _SERVER, ELSEWHERE}
"""What runs at once with others of its kind that the user's code starts; a program is mostly waited for."""

making = ""
"""The method of the state, `__init__` or `result`, that this process runs now, outside of schedules; or empty."""


def install() -> None:
    """Patch the functions that cannot be controlled, to note their calls."""
    for where, what in _CALLS.items():
        module, _, path = where.partition(":")
        if module in _IF_PRESENT and module not in sys.modules:
            continue
        try:
            owner: Any = importlib.import_module(module)
        except ImportError:
            continue
        kind, _, name = path.rpartition(".")
        _note_calls(getattr(owner, kind, None) if kind else owner, name, what)
    for name in _MAP_USES:
        _note_calls(_Map, name, _MAP)
    mmap.mmap = _Map  # type: ignore[misc]  # the real class, with its uses noted
    select.select = _select(select.select)
    _note_addresses()


def _note_calls(owner: Any, name: str, what: str) -> None:
    real = getattr(owner, name, None)
    if real is None:
        return

    @functools.wraps(real)
    def called(*args: Any, **named: Any) -> Any:
        runtime = control.active
        if runtime is not None and what in _WITH_THREADS:
            note(what, takes_time=True)
            runtime.stop()  # a thread would arrive at the points of this process's lane as if it were that
        elif not _is_internal(sys._getframe(1)):
            if runtime is not None:
                note(what, takes_time=True)
            elif what in _ACTING and not note_before(what) and what == _FORKED:
                pid = real(*args, **named)
                _own.add(pid)
                return pid
        return real(*args, **named)

    setattr(owner, name, called)


def _select(real: Any) -> Any:
    """Return `select.select`, of which a call for no descriptor at all is a sleep."""

    @functools.wraps(real)
    def called(rlist: Any, wlist: Any, xlist: Any, timeout: Any = None, /) -> Any:
        runtime = control.active
        if runtime is None or _is_internal(sys._getframe(1)):
            return real(rlist, wlist, xlist, timeout)
        if timeout is None or timeout < 0 or rlist or wlist or xlist:
            note(_WAIT, takes_time=True)
            return real(rlist, wlist, xlist, timeout)
        clock.sleep_controlled(runtime, timeout, sys._getframe(1))
        return [], [], []

    return called


def note_pool() -> None:
    """Note a pool of processes that is about to start one, and stop controlling this process."""
    runtime = control.active
    if runtime is not None:
        note(_EXECUTOR, takes_time=True)
        runtime.stop()


def note_foreign() -> None:
    """Note a process that a library starts in its own way, as `loky` does, and stop controlling this process."""
    runtime = control.active
    if runtime is not None:
        note(_FOREIGN, takes_time=True)
        runtime.stop()


def note(what: str, *, takes_time: bool = False) -> None:
    """Note something that cannot be controlled, with the user's line, if this process is controlled now.

    Args:
        what: it is.
        takes_time: whether real time passes with it, so that virtual time has to go on as well.
    """
    runtime = control.active
    if runtime is not None:
        place = op_of(runtime.registry.place_of(sys._getframe(1)), 0).place
        runtime.note_uncontrolled(f"{what}, {runtime.board.place(place)}" if place else what)
        if what in _ACTING:
            runtime.board.outsiders = 1
        if takes_time:
            clock.flow(runtime)


# What was started before the actors.


def note_before(what: str = _STARTED) -> bool:
    """Remember something that is started outside of schedules, to be noted if it is still there then.

    Returns:
        Whether it is the user's code that starts it; else it is forgotten.
    """
    place = users_line(sys._getframe(1))
    if place and making and what in _AT_ONCE and control.registry is not None:
        control.registry.board.note_uncontrolled(f"{_PROCESS if what == _STARTED else what}, in {making}, {place}")
    if place and all(place != known for _, known in _before):  # what starts a process by another name comes first
        _before.append((what, place))
    return bool(place)


def users_line(frame: FrameType | None) -> str:
    """Return the user's line that a frame is at or was called from, as `file:line`; empty if there is none."""
    while frame is not None:
        if is_users(frame.f_code.co_filename):
            return f"{short_name(frame.f_code.co_filename)}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def note_running(board: Board, known: Container[int] = ()) -> None:
    """Note what runs in and below this process beside its main thread, with the lines that started it.

    Args:
        board: to note it on.
        known: the children that belong to the exploration.
    """
    if _has_threads():
        _note_started(board, frozenset({_THREAD}), _THREAD)
    if _has_children(known):
        _note_started(board, _PROCESSES, _STARTED)


def _note_started(board: Board, kinds: frozenset[str], otherwise: str) -> None:
    found = [f"{what}, {place}" for what, place in _before if what in kinds]
    for text in found or [f"{otherwise}, which runs beside the actors"]:
        board.note_uncontrolled(text)
    board.outsiders = 1


def _has_threads() -> bool:
    """Return whether there are threads but the main one and those of queues."""
    count: int = _thread._count()
    if not count:
        return False
    others = [one for one in threading.enumerate() if one is not threading.main_thread()]
    feeders = sum(one.name == _FEEDER for one in others)
    return max(count, len(others)) > feeders


def _has_children(known: Container[int]) -> bool:
    """Return whether there are processes below this one that are not known, and do not belong to `multiprocessing`."""
    if any(one.pid not in known and one.is_alive() for one in list(process._children)):  # type: ignore[attr-defined]  # private; `active_children` collects their statuses
        return True
    names = ("resource_tracker", "forkserver")
    own = [getattr(sys.modules.get(f"multiprocessing.{name}"), f"_{name}", None) for name in names]
    pids = {getattr(one, name, None) for one in own for name in ("_pid", "_forkserver_pid")}
    try:
        with open("/proc/thread-self/children", encoding="ascii") as file:
            found = [int(pid) for pid in file.read().split()]
    except OSError:
        return False
    return any(pid not in pids and pid not in _own and pid not in known and _runs(pid) for pid in found)


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def line_of(frame: Any) -> str:
    """Return the user's line that a frame is at or was called from; empty if there is none."""
    while frame is not None:
        if is_users(frame.f_code.co_filename):
            return f"{short_name(frame.f_code.co_filename)}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def _is_internal(frame: Any) -> bool:
    return str(frame.f_globals.get("__name__")).startswith("multiprocessing.")


class _Map(_real_map):
    """A memory map, whose accesses are not points."""

    def __new__(cls, *args: Any, **named: Any) -> Any:
        if not _is_internal(sys._getframe(1)):
            note_made(_MAP)
        return super().__new__(cls, *args, **named)


def note_made(what: str) -> None:
    """Note something that cannot be controlled, also where it is made with the state, before any actor runs."""
    if control.active is None and control.registry is not None:
        place = users_line(sys._getframe(1))
        control.registry.board.note_uncontrolled(f"{what}, made with the state{place and f', {place}'}")
    note(what)


def _note_addresses() -> None:
    """Patch the functions of ctypes that reach shared memory by its address, to note their calls."""
    import ctypes

    def noting(real: Any) -> Any:
        @functools.wraps(real)
        def called(*args: Any) -> Any:
            if _reaches_shared(args):
                if control.active is not None:
                    note(_ADDRESS)
                elif real.__name__ in _ADDRESSES:
                    addresses.append(line_of(sys._getframe(1)))
            return real(*args)

        return called

    for name in _ADDRESS_USES:
        setattr(ctypes, name, noting(getattr(ctypes, name)))


def _reaches_shared(args: tuple[Any, ...]) -> bool:
    if str(sys._getframe(2).f_globals.get("__name__")).startswith(_OURS):
        return False
    return any(hasattr(type(one), "_bench_base") for one in args)
