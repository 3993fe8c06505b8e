"""Resident processes: actors that stay from sample to sample, and what the main process of their group does with them.

Modes stress and explore have them; what an actor does in between is theirs.
"""

from __future__ import annotations

import gc
import sys

TYPE_CHECKING = False  # as type checkers know it: each actor imports this

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from bench.outcomes import Kind

_GARBAGE = 20_000
"""Objects made and not yet freed, above which an actor looks for cycles, between samples."""

_ENDING_S = 1.0
"""How long an actor that was told to end may take."""


def start(context: Any, reside: Callable[..., None], name: str, *arguments: object) -> tuple[Any, Any]:
    """Start an actor, which is given its end of a pipe after its first argument.

    Returns:
        The process, and the other end of the pipe.

    Raises:
        Exception: whatever pickling raises, where its arguments cannot be sent: that is what the scenario gives then.
    """
    ours, theirs = context.Pipe()
    process = context.Process(target=reside, name=name, args=(arguments[0], theirs, *arguments[1:]))
    process.start()
    if context.get_start_method() != "fork":
        theirs.close()
    return process, ours


def end(processes: Sequence[Any], wires: Sequence[Any]) -> None:
    """Wait for actors that were told to end; kill those that do not."""
    for process in processes:
        process.join(_ENDING_S)
        if process.exitcode is None:
            process.kill()
            process.join()
    for wire in wires:
        wire.close()


# In a process that others are forked from, each of which is a main process for itself.


def start_helpers(method: str) -> None:
    """Start what starting a process needs under this method, unless it runs: forks of this process use it too."""
    if method == "fork":
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()
    if method == "forkserver":
        from multiprocessing import forkserver

        forkserver.ensure_running()


def share_helpers(method: str) -> None:
    """Use the helpers that the process has started of which this one is a fork."""
    if method == "forkserver":
        from multiprocessing import forkserver

        # It is our parent's child, so this process cannot ask whether it still runs.
        forkserver._forkserver.ensure_running = lambda: None  # type: ignore[method-assign]  # patched


def unlink_semaphores() -> None:
    """Remove the names of this process's semaphores, as its end would, but for what else Python does then."""
    from multiprocessing import synchronize, util

    for one in list(util._finalizer_registry.values()):  # type: ignore[attr-defined]  # private
        if one._callback is synchronize.SemLock._cleanup:  # type: ignore[attr-defined]  # private, as above
            one()


# In an actor's process.


def settle(*, always: bool) -> None:
    """Collect garbage and keep what is left from being looked through again; from here on `tidy` alone collects.

    Args:
        always: whether that holds on PyPy too, which collects in small steps, and takes 0.1 s to do so when told: where
            it matters at which moment an object is finalized.
    """
    gc.collect()
    if hasattr(gc, "freeze"):
        gc.freeze()
    if always or hasattr(gc, "freeze"):
        gc.disable()


def tidy() -> None:
    """Collect garbage, between samples, if there is much of it."""
    if not gc.isenabled() and (not hasattr(gc, "get_count") or gc.get_count()[0] > _GARBAGE):
        gc.collect()


def ignored_errors(note: Callable[[BaseException, str], None]) -> list[BaseException]:
    """Return a list to which what Python prints and ignores in this process is appended from here on.

    Such are exceptions of `__del__`, of other finalizers, and of threads. Those of threads are noted at once, each with
    the thread's name: whoever waits for the thread may never be through.
    """
    import threading

    found: list[BaseException] = []
    hook, thread_hook = sys.unraisablehook, threading.excepthook

    def unraisable(args: Any) -> None:
        error = args.exc_value if args.exc_value is not None else args.exc_type()
        found.append(error if error.__traceback__ is not None else error.with_traceback(args.exc_traceback))
        hook(args)

    def in_thread(args: Any) -> None:
        if args.exc_value is not None and args.exc_type is not SystemExit:
            found.append(args.exc_value)
            note(args.exc_value, args.thread.name if args.thread else "a thread")
        thread_hook(args)

    sys.unraisablehook, threading.excepthook = unraisable, in_thread
    return found


def hear_feeders(note: Callable[[BaseException], None]) -> None:
    """Have an error by which the feeder of a queue drops an item noted, instead of printed."""
    if (queues := sys.modules.get("multiprocessing.queues")) is not None:
        queues.Queue._on_queue_feeder_error = staticmethod(lambda error, _: note(error))


def outcome_of_feeder(error: BaseException, name: str) -> tuple[Kind, dict[str, Any]]:
    """Return kind and detail of the outcome that an item is which the feeder of an actor's queue has dropped."""
    return outcome_of_thread(error, name, "QueueFeederThread")


def outcome_of_thread(error: BaseException, name: str, thread: str) -> tuple[Kind, dict[str, Any]]:
    """Return kind and detail of the outcome that an exception of a thread of an actor is."""
    kind, detail = outcome_of(error, name)
    return kind, {**detail, "thread": thread, "process": f"{name}, thread {thread}"}


def ended_well(error: BaseException) -> bool:
    """Return whether an exception is the good end of a process: `sys.exit()` or `sys.exit(0)`."""
    return isinstance(error, SystemExit) and error.code in (None, 0)


def identity(error: BaseException) -> object:
    """Return what an exception has in common with others of its type and message that the same line raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return (type(error), str(error), None if trace is None else (trace.tb_frame.f_code, trace.tb_lineno))


def outcome_of(error: BaseException, name: str) -> tuple[Kind, dict[str, Any]]:
    """Return kind and detail of the outcome that an exception of an actor is."""
    actor = {"process": name, "role": "child"}
    if isinstance(error, SystemExit):
        return "crash", {**actor, "exit": error.code}
    from bench.process.instrument import describe

    return "raised", {**describe(error), **actor}


# In the main process of a group.


def combined(failures: Sequence[tuple[Kind, dict[str, Any]]]) -> tuple[Kind, dict[str, Any]]:
    """Return kind and detail of the outcome of a sample in which actors failed, one or more of them.

    An exception comes before an exit status, and of equals that of the first actor; the detail holds the others.
    """
    first, *others = sorted(failures, key=lambda one: one[0] != "raised")
    kind, detail = first
    held = [{"kind": one, "detail": {k: v for k, v in rest.items() if k != "traceback"}} for one, rest in others]
    return kind, {**detail, "others": held} if held else detail
