"""Operations that cannot be controlled, noted with the user's line that does them: the verdict is then unknown.

A thread, a program, a socket, a memory map or a timer runs on between the points, or waits where the scheduler does not
see it.
"""

from __future__ import annotations

import functools
import importlib
import mmap
import sys

from bench.explore.runtime import control
from bench.explore.runtime.packing import op_of
from bench.process.instrument import is_users, short_name

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from typing import Any

_THREAD, _PROGRAM, _WAIT, _TIMER = "a thread", "another program", "a wait of its own", "a timer"
_SERVER, _MAP = "a manager, which serves by threads and sockets", "a memory map"
_ADDRESS = "shared memory, reached by its address"

_POOL, _EXECUTOR = "a Pool, which has threads", "a pool of processes, which has threads"
_WITH_THREADS = frozenset({_THREAD, _POOL, _EXECUTOR, _SERVER})

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
    "os:fork": "a process by os.fork",
    "os:forkpty": "a process by os.forkpty",
    "os:posix_spawn": _PROGRAM,
    "os:posix_spawnp": _PROGRAM,
    "os:system": _PROGRAM,
    "os:execv": _PROGRAM,
    "os:execve": _PROGRAM,
    "os:splice": _WAIT,
    "select:select": _WAIT,
    "select:poll": _WAIT,
    "select:epoll": _WAIT,
    "signal:pause": _WAIT,
    "signal:sigwait": _WAIT,
    "signal:sigwaitinfo": _WAIT,
    "signal:sigtimedwait": _WAIT,
    "signal:alarm": _TIMER,
    "signal:setitimer": _TIMER,
}
"""The functions that are noted. What other modules of the standard library do comes down to one of these."""

_IF_PRESENT = frozenset({"subprocess", "multiprocessing.connection", "socket"})
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

_real_map = mmap.mmap


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
    _note_addresses()


def _note_calls(owner: Any, name: str, what: str) -> None:
    real = getattr(owner, name, None)
    if real is None:
        return

    @functools.wraps(real)
    def called(*args: Any, **named: Any) -> Any:
        runtime = control.active
        if runtime is not None and what in _WITH_THREADS:
            note(what)
            runtime.stop()  # a thread would arrive at the points of this process's lane as if it were that
        elif runtime is not None and not _is_internal(sys._getframe(1)):
            note(what)
        return real(*args, **named)

    setattr(owner, name, called)


def note_pool() -> None:
    """Note a pool of processes that is about to start one, and stop controlling this process."""
    runtime = control.active
    if runtime is not None:
        note(_EXECUTOR)
        runtime.stop()


def note(what: str) -> None:
    """Note something that cannot be controlled, with the user's line, if this process is controlled now."""
    runtime = control.active
    if runtime is not None:
        place = op_of(runtime.registry.place_of(sys._getframe(1)), 0).place
        runtime.note_uncontrolled(f"{what}, {runtime.board.place(place)}" if place else what)


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
        control.registry.board.note_uncontrolled(f"{what}, made with the state")
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
