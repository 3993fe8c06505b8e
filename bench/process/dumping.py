"""The part of a stack dump that every process carries; small, since each Python of a cell imports it at its start."""

from __future__ import annotations

import faulthandler
import os
import signal

from bench.process.agreed import STACKS

VARIABLE = STACKS

_descriptors: list[int] = []  # faulthandler writes to the descriptor for as long as the process lives


def install(path: str) -> None:
    """Have this process append the stacks of all its threads to `path` on SIGUSR1; forked children inherit this."""
    if not hasattr(faulthandler, "register"):  # Windows
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:  # a stack fewer in a report, and nothing that the program would notice
        return
    faulthandler.register(signal.SIGUSR1, file=descriptor, all_threads=True)
    _descriptors.append(descriptor)
