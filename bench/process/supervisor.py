"""The supervisor of a sample or group: the parent of its main process, and of every process that loses its own parent.

A process may leave its session, its parent and its environment behind, but not the nearest ancestor that is a
subreaper, see prctl(2). So whatever a sample started stays below its supervisor, where it is found and ended; and the
statuses that nobody collected come to it.
"""

from __future__ import annotations

import contextlib
import os
import sys

from bench.process import journal
from bench.process.agreed import REPORT

_SET_CHILD_SUBREAPER = 36
"""`PR_SET_CHILD_SUBREAPER` of prctl(2): orphans below this process become its children."""


def begin(folder: str) -> None:
    """Fork: go on as the main process in the child, once the parent, which never returns, is its supervisor.

    The parent reports the pid and then the exit code of the main process to the descriptor that the environment names,
    and ends when nothing is left below it.
    """
    number = os.environ.pop(REPORT, "")
    if not number.isdecimal():
        return
    report = int(number)
    reading, writing = os.pipe()
    main = os.fork()
    if main:
        os.close(reading)
        _supervise(main, report, writing, folder)
    os.close(report)
    os.close(writing)
    os.read(reading, 1)  # the end, once the parent is a subreaper
    os.close(reading)
    os.setsid()


def adopt_orphans() -> None:
    """Make this process the parent of each process below it whose own parent ends; on Linux only."""
    if sys.platform != "linux":
        return
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _supervise(main: int, report: int, ready: int, folder: str) -> None:
    status = 1
    try:
        _end_with_starter(folder)
        adopt_orphans()
        os.write(report, b"%d\n" % main)
        os.close(ready)
        while True:
            pid, ended = os.wait()
            code = os.waitstatus_to_exitcode(ended)
            if pid == main:
                os.write(report, b"%d\n" % code)
            else:
                journal.append(folder, "adopted", child=pid, code=code)
    except ChildProcessError:  # nothing is left
        status = 0
    finally:
        os._exit(status)


def _end_with_starter(folder: str) -> None:
    """Arrange for all that is below this process, and the folder, to go where the observer is killed."""
    import signal

    from bench.process.death_signal import die_with_parent

    def gone(*_: object) -> None:
        import shutil

        from bench.process import tree

        def members() -> list[tree.Proc]:  # the tracker ends when it has removed what the others left
            found = tree.find(f"{journal.VARIABLE}={folder}", below=os.getpid())
            return [proc for proc in found if proc.role != "resource tracker"]

        tree.kill_all(members)
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)

    starter = os.getppid()
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, gone)
    die_with_parent(signal.SIGTERM)
    if os.getppid() != starter:  # it ended before the signal was asked for, which then never comes
        gone()
