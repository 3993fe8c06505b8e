"""Whether a process has ended, and waiting until it has, whoever's child it is."""

from __future__ import annotations

import os
import select
import time

_poller = getattr(select, "poll", None)
_sleep = time.sleep
"""Kept as they are at import: under control, the scheduling points replace both in their modules."""

_POLL_S = 0.001


def wait_for_end(pid: int) -> None:
    """Wait until a process has ended, whoever's child it is. Its exit status stays to be collected."""
    if hasattr(os, "pidfd_open") and _poller is not None:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        except OSError:  # a kernel without pidfd_open
            pass
        else:
            poll = _poller()
            poll.register(descriptor, select.POLLIN)
            poll.poll()
            os.close(descriptor)
            return
    while not has_ended(pid):
        _sleep(_POLL_S)


def has_ended(pid: int) -> bool:
    """Return whether a process has ended, whoever's child it is; on Linux only."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except OSError:
        return True
