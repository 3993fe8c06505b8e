"""The part of a stack dump that every process carries; small, since each Python of a cell imports it at its start."""

from __future__ import annotations

import faulthandler
import os
import signal

from bench.process.agreed import STACKS

VARIABLE = STACKS

_OUT_OF_THE_WAY = 200
"""The lowest number of our descriptor: one of a program's that a child does not have shall not be ours by chance."""

_descriptors: list[int] = []  # faulthandler writes to the descriptor for as long as the process lives


def install(path: str) -> None:
    """Have this process append the stacks of all its threads to `path` on SIGUSR1; forked children inherit this."""
    if not hasattr(faulthandler, "register"):  # Windows
        return
    try:
        descriptor = _out_of_the_way(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError:  # a stack fewer in a report, and nothing that the program would notice
        return
    faulthandler.register(signal.SIGUSR1, file=descriptor, all_threads=True)
    _descriptors.append(descriptor)


def _out_of_the_way(descriptor: int) -> int:
    import fcntl

    try:
        moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY)
    except OSError:  # so many descriptors are not allowed
        return descriptor
    os.close(descriptor)
    return moved
