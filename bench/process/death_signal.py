"""The death signal, by which a group ends when its starter does, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from typing import Any

_SET_DEATH_SIGNAL = 1
"""`PR_SET_PDEATHSIG` of prctl(2): the signal that this process gets when the one that started it ends."""


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Ask the system to send this process a signal when the one that started it ends; on Linux only."""
    if sys.platform != "linux":
        return
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, int(number), 0, 0, 0)


def clean_up_with_parent(folder: str) -> None:
    """Arrange for the main process of a group to end with its starter, and for its processes and folder to go first."""
    me = os.getpid()

    def gone(*_: Any) -> None:
        if os.getpid() != me:  # a fork of it, to which the signal means what it means to any process
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
            return
        import shutil

        from bench.process import journal, tree

        def members() -> list[tree.Proc]:  # the tracker ends when it has removed what the others left
            found = tree.find(f"{journal.VARIABLE}={folder}")
            return [proc for proc in found if proc.role != "resource tracker"]

        tree.kill_all(members)
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)

    starter = os.getppid()
    signal.signal(signal.SIGTERM, gone)
    die_with_parent(signal.SIGTERM)
    if os.getppid() != starter:  # it ended before the signal was asked for, which then never comes
        gone()
