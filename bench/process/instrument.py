"""Patches of a process of a sample, which journal each start, end, exception and warning, and names of shared objects.

`bench.process.main` installs them, the main module of a sample: under spawn and forkserver every child imports its
parent's main module before anything else, so that the same patches are in all of them.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
import warnings
from multiprocessing import context, process, resource_tracker

from bench.process import journal

TYPE_CHECKING = False  # as type checkers know it: this is imported by each process of a sample

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, TypeAlias

    Tell: TypeAlias = Callable[..., None]

_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_OWN = tuple(os.path.join(_HERE, name) for name in ("process", "state", "repeat", "stress", "explore"))
_STDLIB = os.path.dirname(os.path.abspath(os.__file__))
_TRACEBACK_LIMIT = 8_000


def describe(error: BaseException) -> dict[str, Any]:
    """Say what an exception is: its type, bases, message, the innermost frame of the user's, and the traceback."""
    import traceback

    kind = type(error)
    text = "".join(traceback.format_exception(kind, error, error.__traceback__))
    return {
        "type": kind.__name__,
        "bases": [base.__name__ for base in kind.__mro__ if base not in (object, BaseException)],
        "message": str(error)[:2_000],
        "where": _where(error.__traceback__),
        "traceback": text[-_TRACEBACK_LIMIT:],
    }


def _where(trace: TracebackType | None) -> str | None:
    import traceback

    frames = [f for f in traceback.extract_tb(trace) if is_users(f.filename)]
    return f"{_short(frames[-1].filename)}:{frames[-1].lineno} in {frames[-1].name}" if frames else None


def is_users(filename: str) -> bool:
    """Tell whether a file is the user's: neither of the standard library nor of the bench's own machinery."""
    if filename.startswith("<") or filename.startswith(_OWN):
        return False
    return "site-packages" in filename or not filename.startswith(_STDLIB)


def _short(filename: str) -> str:
    """Name a file from the working folder if it is below it, else from the folder it is imported from."""
    here = os.getcwd()
    for folder in [here if here != os.sep else "", *sorted(sys.path, key=len, reverse=True)]:
        if folder and filename.startswith(os.path.join(folder, "")):
            return os.path.relpath(filename, folder)
    return filename


def install(folder: str) -> None:
    """Hang the hooks into this process; those that a forked child inherits go on working there."""
    tell = functools.partial(journal.append, folder)
    _hear_starts(tell)
    _hear_exceptions(tell)
    _hear_warnings(tell)
    _hear_names(tell)


def _hear_starts(tell: Tell) -> None:
    start, bootstrap = process.BaseProcess.start, process.BaseProcess._bootstrap  # type: ignore[attr-defined]  # private; tests hold it on each Python

    @functools.wraps(start)
    def started(self: Any) -> None:
        start(self)
        _hear_ends(tell, type(self._popen))
        tell("started", child=self.pid, name=self.name, method=getattr(self._popen, "method", None))

    @functools.wraps(bootstrap)
    def bootstrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        _hear_feeders(tell)
        self.run = _heard(self.run, tell, self.name)
        code = bootstrap(self, *args, **kwargs)
        tell("ended", name=self.name, code=code)
        return code

    process.BaseProcess.start = started  # type: ignore[method-assign]  # hung in, as the module says
    process.BaseProcess._bootstrap = bootstrapped  # type: ignore[attr-defined]  # private; tests hold it on each Python


def _heard(run: Callable[[], None], tell: Tell, name: str) -> Callable[[], None]:
    def heard() -> None:
        try:
            run()
        except SystemExit:
            raise
        except BaseException as error:
            tell("raised", name=name, role="child", **describe(error))
            raise

    return heard


_heard_kinds: set[type] = set()


def _hear_ends(tell: Tell, kind: Any) -> None:
    """Hear of the ends of processes started through a `Popen` class; the first of its kind brings this about."""
    if kind in _heard_kinds or not hasattr(kind, "_send_signal"):  # Windows has no such thing
        return
    _heard_kinds.add(kind)
    kind.poll = _telling_poll(kind.poll, tell)
    send = kind._send_signal

    @functools.wraps(send)
    def signalled(self: Any, number: int) -> None:
        if self.returncode is None:
            tell("signalled", child=self.pid, signal=int(number))
        send(self, number)

    kind._send_signal = signalled


def _telling_poll(poll: Callable[..., int | None], tell: Tell) -> Callable[..., int | None]:
    @functools.wraps(poll)
    def polled(self: Any, *args: Any, **kwargs: Any) -> int | None:
        code = poll(self, *args, **kwargs)
        if code is not None and not getattr(self, "bench_told", False):
            self.bench_told = True
            tell("reaped", child=self.pid, code=code)
        return code

    return polled


def _hear_exceptions(tell: Tell) -> None:
    hook, thread_hook = sys.excepthook, threading.excepthook

    def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        # Before a child's own run: while it is unpickled, or while it imports what it needs.
        tell("raised", name=None, role=_role(), **describe(error))
        hook(kind, error, trace)

    def uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            thread = args.thread.name if args.thread else "a thread"
            tell("raised", name=_name(), role=_role(), thread=thread, **describe(args.exc_value))
        thread_hook(args)

    sys.excepthook = uncaught
    threading.excepthook = uncaught_in_thread
    _hear_queues(tell)


def _hear_queues(tell: Tell) -> None:
    # Importing queues takes 10 ms, so that their feeders are heard from when the first queue is made; in a child, one
    # may have come with its arguments.
    for name in ("Queue", "JoinableQueue"):
        setattr(context.BaseContext, name, _heard_making(getattr(context.BaseContext, name), tell))


def _heard_making(make: Callable[..., object], tell: Tell) -> Callable[..., object]:
    @functools.wraps(make)
    def making(self: Any, *args: Any, **kwargs: Any) -> object:
        import multiprocessing.queues  # noqa: F401  # so that there is something to hang into

        _hear_feeders(tell)
        return make(self, *args, **kwargs)

    return making


def _hear_feeders(tell: Tell) -> None:
    queues = sys.modules.get("multiprocessing.queues")
    if queues is None or hasattr(queues.Queue._on_queue_feeder_error, "heard"):
        return
    report = queues.Queue._on_queue_feeder_error

    def lost(error: BaseException, item: object) -> None:
        tell("raised", name=_name(), role=_role(), thread="QueueFeederThread", **describe(error))
        report(error, item)

    lost.heard = True  # type: ignore[attr-defined]  # a mark on a function
    queues.Queue._on_queue_feeder_error = staticmethod(lost)


def _role() -> str:
    return "main" if process.parent_process() is None else "child"


def _name() -> str:
    return process.current_process().name


def _hear_warnings(tell: Tell) -> None:
    show = warnings._showwarnmsg_impl  # type: ignore[attr-defined]  # private; what warnings._showwarnmsg and C code both call

    def heard(message: Any) -> None:
        tell("warned", name=_name(), type=message.category.__name__, message=str(message.message)[:500])
        show(message)

    # Python hides this one, since the line that warns is in the standard library, not in the program.
    warnings.filterwarnings("default", message=r".*multi-threaded, use of fork", category=DeprecationWarning)
    warnings._showwarnmsg_impl = heard  # type: ignore[attr-defined]  # private, as above


def _hear_names(tell: Tell) -> None:
    register = resource_tracker.register

    def registered(name: str, kind: str) -> None:
        tell("named", name=name, type=kind)
        register(name, kind)

    resource_tracker.register = registered  # type: ignore[assignment]  # the stubs say Sized where it is a name
    try:
        import _posixshmem  # type: ignore[import-not-found,unused-ignore]  # not on Windows, and without stubs
    except ImportError:
        return
    opened = _posixshmem.shm_open

    def shm_open(name: str, flags: int, *args: Any, **kwargs: Any) -> int:
        handle: int = opened(name, flags, *args, **kwargs)
        if flags & os.O_CREAT:
            tell("named", name=name, type="shared_memory")
        return handle

    _posixshmem.shm_open = shm_open
