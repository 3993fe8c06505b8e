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
from multiprocessing import context, process, resource_tracker, util

from bench.process import children, journal, segments

TYPE_CHECKING = False  # as type checkers know it: this is imported by each process of a sample

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType
    from typing import Any, TypeAlias

    Record: TypeAlias = Callable[..., None]

_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_ROOMS = ("process", "state", "repeat", "stress", "explore")
_OWN = tuple(os.path.join(_HERE, name, "") for name in _ROOMS)
_STDLIB = os.path.dirname(os.path.abspath(os.__file__))
_TRACEBACK_LIMIT = 8_000


def describe(error: BaseException) -> dict[str, Any]:
    """Return an exception as plain values: type, bases, message, the user's innermost frame, and the traceback.

    The bases are the class itself and all that it is derived from, each behind its module unless that is `builtins`.
    """
    import traceback

    kind = type(error)
    text = "".join(traceback.format_exception(kind, error, error.__traceback__))
    return {
        "type": kind.__name__,
        "bases": [_class_name(base) for base in kind.__mro__ if base not in (object, BaseException)],
        "message": _message(error),
        "where": _where(error.__traceback__),
        "traceback": text[-_TRACEBACK_LIMIT:],
    }


def _class_name(kind: type) -> str:
    # As `bench.causes.class_name`, which no process of a sample imports.
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        return str(error)[:2_000]
    except Exception as another:  # noqa: BLE001  # the user's `__str__` may raise anything
        return f"<its text raised {type(another).__name__}>"


def _where(trace: TracebackType | None) -> str | None:
    import traceback

    frames = [f for f in traceback.extract_tb(trace) if is_users(f.filename)]
    return f"{short_name(frames[-1].filename)}:{frames[-1].lineno} in {frames[-1].name}" if frames else None


@functools.cache
def is_users(filename: str) -> bool:
    """Return whether a file is the user's: neither of the standard library nor of the bench's own machinery."""
    if filename.startswith("<") or is_own(filename):
        return False
    return "site-packages" in filename or not filename.startswith(_STDLIB)


def is_own(filename: str) -> bool:
    """Return whether a file is of the bench's own machinery, be it of another copy of it than this one."""
    if filename.startswith(_OWN):
        return True
    # A process that another copy started, as where a checkout of the bench is tested by an installed one.
    tail = filename.rpartition(f"{os.sep}bench{os.sep}")[2]
    return tail != filename and tail.startswith(_ROOMS) and os.path.exists(os.path.join(_HERE, tail))


def short_name(filename: str) -> str:
    """Return a file's path from the working folder if it is below that, else from the folder it is imported from."""
    here = os.getcwd()
    for folder in [here if here != os.sep else "", *sorted(sys.path, key=len, reverse=True)]:
        if folder and filename.startswith(os.path.join(folder, "")):
            return os.path.relpath(filename, folder)
    return filename


def install(folder: str) -> None:
    """Patch this process so that it journals in a folder what happens to it; a forked child inherits the patches."""
    record = functools.partial(journal.append, folder)
    _patch_starts(record)
    _patch_exception_hooks(record)
    _patch_warnings(record)
    _patch_registrations(record)
    _patch_finalizers(record)
    children.patch(record, _users_place)


def _users_place() -> str | None:
    """Return the user's innermost line that is running."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if is_users(frame.f_code.co_filename):
            return f"{short_name(frame.f_code.co_filename)}:{frame.f_lineno}"
        frame = frame.f_back
    return None


def _patch_starts(record: Record) -> None:
    start, bootstrap = process.BaseProcess.start, process.BaseProcess._bootstrap  # type: ignore[attr-defined]  # private; tests hold it on each Python

    @functools.wraps(start)
    def started(self: Any) -> None:
        target = getattr(self, "_target", None)  # which is gone once it is started
        start(self)
        _patch_popen(record, type(self._popen))
        known = {"target": f"{target.__module__}.{target.__name__}"} if isinstance(target, type(len)) else {}
        record("started", child=self.pid, name=self.name, method=getattr(self._popen, "method", None), **known)

    @functools.wraps(bootstrap)
    def bootstrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        _patch_feeder_errors(record)
        self.run = _recording_run(self.run, record, self.name)
        code = bootstrap(self, *args, **kwargs)
        record("ended", name=self.name, code=code)
        return code

    process.BaseProcess.start = started  # type: ignore[method-assign]  # a patch, as the module says
    process.BaseProcess._bootstrap = bootstrapped  # type: ignore[attr-defined]  # private; tests hold it on each Python


def _recording_run(run: Callable[[], None], record: Record, name: str) -> Callable[[], None]:
    def recording() -> None:
        try:
            run()
        except SystemExit:
            raise
        except BaseException as error:
            record("raised", name=name, role="child", **describe(error))
            raise

    return recording


_patched_kinds: set[type] = set()


def _patch_popen(record: Record, kind: Any) -> None:
    """Patch a `Popen` class, once its first process is started, to record signals to its processes and their ends."""
    if kind in _patched_kinds or not hasattr(kind, "_send_signal"):  # Windows has no such thing
        return
    _patched_kinds.add(kind)
    kind.poll = _recording_poll(kind.poll, record)
    send = kind._send_signal

    @functools.wraps(send)
    def signalled(self: Any, number: int) -> None:
        if self.returncode is None:
            record("signalled", child=self.pid, signal=int(number))
        send(self, number)

    kind._send_signal = signalled


def _recording_poll(poll: Callable[..., int | None], record: Record) -> Callable[..., int | None]:
    @functools.wraps(poll)
    def polled(self: Any, *args: Any, **kwargs: Any) -> int | None:
        code = poll(self, *args, **kwargs)
        if code is not None and not getattr(self, "bench_recorded", False):
            self.bench_recorded = True
            record("reaped", child=self.pid, code=code)
        return code

    return polled


def _patch_exception_hooks(record: Record) -> None:
    hook, thread_hook = sys.excepthook, threading.excepthook

    def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        # Before a child's own run: while it is unpickled, or while it imports what it needs.
        record("raised", name=None, role=_role(), **describe(error))
        hook(kind, error, trace)

    def uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and args.exc_type is not SystemExit:  # which ends a thread, and well
            thread = args.thread.name if args.thread else "a thread"
            record("raised", name=_name(), role=_role(), thread=thread, **describe(args.exc_value))
        thread_hook(args)

    sys.excepthook = uncaught
    threading.excepthook = uncaught_in_thread
    sys.unraisablehook = _recording_unraisable(sys.unraisablehook, record)
    _patch_queue_factories(record)


_LIBRARIES = ("multiprocessing", "concurrent", "asyncio", "subprocess", "tempfile", "threading", "importlib")
"""Of the standard library, what now and then raises where it cleans up, which says nothing of the program."""


def _recording_unraisable(hook: Callable[[Any], object], record: Record) -> Callable[[Any], object]:
    """Return a hook that records what Python prints and ignores: of `__del__`, of finalizers, of `atexit`."""

    def ignored(args: Any) -> object:
        error = args.exc_value if args.exc_value is not None else args.exc_type()
        if error.__traceback__ is None:
            error.__traceback__ = args.exc_traceback
        if _is_of_a_library(error.__traceback__, args.object):
            message = f"exception ignored in {args.object!r:.200}: {type(error).__name__}: {error}"
            record("warned", name=_name(), type="Ignored", message=message[:500])
        else:
            record("raised", name=_name(), role=_role(), ignored=True, **describe(error))
        return hook(args)

    return ignored


def _is_of_a_library(trace: TracebackType | None, what: object) -> bool:
    """Return whether an exception comes from the inner workings of the standard library, and none of the user's."""
    if trace is None:
        return str(getattr(what, "__module__", None)).partition(".")[0] in _LIBRARIES
    frames = []
    at: TracebackType | None = trace
    while at is not None:
        frames.append(at.tb_frame)
        at = at.tb_next
    if any(is_users(frame.f_code.co_filename) for frame in frames):
        return False
    return str(frames[0].f_globals.get("__name__")).partition(".")[0] in _LIBRARIES


def _patch_finalizers(record: Record) -> None:
    """Patch the finalizers that `multiprocessing` runs at the end of a process, where it prints what they raise."""
    call = util.Finalize.__call__

    @functools.wraps(call)
    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return call(self, *args, **kwargs)
        except Exception as error:
            if sys._getframe(1).f_code.co_name == "_run_finalizers":
                record("raised", name=_name(), role=_role(), ignored=True, **describe(error))
            raise

    util.Finalize.__call__ = called  # type: ignore[method-assign]  # a patch, as the module says


def _patch_queue_factories(record: Record) -> None:
    # Importing queues takes 10 ms, so feeders are patched when the first queue is made, and in a child before its run:
    # a queue may have come with its arguments.
    for name in ("Queue", "JoinableQueue"):
        setattr(context.BaseContext, name, _patched_factory(getattr(context.BaseContext, name), record))


def _patched_factory(make: Callable[..., object], record: Record) -> Callable[..., object]:
    @functools.wraps(make)
    def making(self: Any, *args: Any, **kwargs: Any) -> object:
        import multiprocessing.queues  # noqa: F401  # so that there is something to patch

        _patch_feeder_errors(record)
        return make(self, *args, **kwargs)

    return making


def _patch_feeder_errors(record: Record) -> None:
    queues: Any = sys.modules.get("multiprocessing.queues")
    if queues is None or hasattr(queues.Queue._on_queue_feeder_error, "records"):
        return
    report, is_exiting = queues.Queue._on_queue_feeder_error, queues.is_exiting

    def note(error: BaseException) -> None:
        record("raised", name=_name(), role=_role(), thread="QueueFeederThread", **describe(error))

    def lost(error: BaseException, item: object) -> None:
        note(error)
        report(error, item)

    def exiting() -> bool:
        # The feeder asks this while it handles an error, and only then. In a process that is ending it drops the item,
        # and those behind it, and tells nobody.
        ending: bool = is_exiting()
        error = sys.exc_info()[1]
        if ending and error is not None:
            note(error)
        return ending

    lost.records = True  # type: ignore[attr-defined]  # a mark on a function
    queues.Queue._on_queue_feeder_error = staticmethod(lost)
    queues.is_exiting = exiting


def _role() -> str:
    return "main" if process.parent_process() is None else "child"


def _name() -> str:
    return process.current_process().name


def _patch_warnings(record: Record) -> None:
    show = warnings._showwarnmsg_impl  # type: ignore[attr-defined]  # private; what warnings._showwarnmsg and C code both call

    def recording(message: Any) -> None:
        record("warned", name=_name(), type=message.category.__name__, message=str(message.message)[:500])
        show(message)

    # Python hides this one, since the line that warns is in the standard library, not in the program.
    warnings.filterwarnings("default", message=r".*multi-threaded, use of fork", category=DeprecationWarning)
    warnings._showwarnmsg_impl = recording  # type: ignore[attr-defined]  # private, as above


def _patch_registrations(record: Record) -> None:
    register = resource_tracker.register

    def registered(name: str, kind: str) -> None:
        record("named", name=name, type=kind)
        register(name, kind)

    resource_tracker.register = registered  # type: ignore[assignment]  # the stubs say Sized where it is a name
    segments.on_creation(lambda name: record("named", name=name, type="shared_memory"))
