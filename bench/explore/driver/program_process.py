"""The main process of a program, which is forked anew for each schedule: runs the program, and journals its end.

It is a process as `bench.process.main` makes it in mode repeat, but for being forked: its children have the start
method asked for, and are started by it as they would be anywhere.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import multiprocessing
import os
import random
import signal
import sys
from multiprocessing import util

from bench.explore.audit import lines
from bench.explore.points import buffers, processes, queues, shared
from bench.explore.runtime import control
from bench.explore.runtime.lane import Runtime
from bench.process import journal
from bench.process.death_signal import die_with_parent
from bench.process.descriptors import open_descriptors, own_of_multiprocessing
from bench.values import encode

TYPE_CHECKING = False  # as type checkers know it: each exploration of a program imports this

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from bench.explore.runtime.board import Board

MAIN_LANE = 0
"""The lane of a program's main process."""


def run_program(board: Board, events: str, load: Callable[[], Any], method: str, seed: int) -> NoReturn:
    """Run a program in one schedule, journal what it gave, and end.

    Args:
        board: the board.
        events: the folder of the journal of this schedule.
        load: returns the program.
        method: the start method of the context that the program is given.
        seed: of `random`.
    """
    status = 1
    try:
        _settle()
        runtime = Runtime(board, MAIN_LANE)
        runtime.send_stack = functools.partial(processes.journal_stack, runtime)
        random.seed(seed)
        function = load()
        context = multiprocessing.get_context(method)
        buffers.note_kept()
        shared.note_kept()
        lines.watch(runtime)
        before = open_descriptors().items()
        runtime.begin()
        status = _run(function, context, events, before)
        atexit._run_exitfuncs()
        queues.end_feeders(runtime)
        with control.Raw():
            _flush()
        runtime.leave()
    except BaseException as error:  # noqa: BLE001  # of the import of the program, or a mistake of the bench
        with control.Raw():
            _journal_raised(events, error)
            _flush()
    processes.end_now(status)


def _settle() -> None:
    """Make this fork a main process of its own, which inherits no clean-up of its parent, and dies with it."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with_parent()
    util._finalizer_registry.clear()  # type: ignore[attr-defined]  # private, as below; what a child of multiprocessing does
    util._run_after_forkers()  # type: ignore[attr-defined]  # private
    server = sys.modules.get("multiprocessing.forkserver")
    if server is not None and getattr(server._forkserver, "_forkserver_pid", None) is not None:
        # It is our parent's child, so this process cannot ask whether it still runs.
        server._forkserver.ensure_running = lambda: None
    gc.disable()  # so that objects in cycles are finalized at a certain step


def _run(function: Callable[[Any], object], context: Any, events: str, before: Any) -> int:
    """Run the program and journal its value; return the exit status of its process."""
    try:
        observed = function(context)
    except SystemExit as error:
        return _status_of(error)
    except BaseException as error:  # noqa: BLE001  # whatever the program raised is its outcome
        with control.Raw():
            _journal_raised(events, error)
        return 1
    with control.Raw():
        value = encode(observed)
    del observed, context
    gc.collect()
    gc.collect()  # PyPy runs finalizers of what the first found in the second
    with control.Raw():
        now = open_descriptors()
        for number in queues.handles_of_ending_feeders():
            now.pop(number, None)
        left = sorted(now.items() - before - own_of_multiprocessing(now))
        journal.append(events, "returned", value=value, descriptors=left)
    return 0


def _status_of(error: SystemExit) -> int:
    if error.code is None:
        return 0
    return error.code & 255 if isinstance(error.code, int) else 1


def _journal_raised(events: str, error: BaseException) -> None:
    from bench.process.instrument import describe

    journal.append(events, "raised", name="MainProcess", role="main", **describe(error))


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed by the program, or none
            stream.flush()
