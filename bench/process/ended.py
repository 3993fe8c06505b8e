"""The end of a process: whether and how it has ended, and waiting until it has, whoever's child it is."""

from __future__ import annotations

import os
import select
import signal
import time

TYPE_CHECKING = False  # as type checkers know it: each exploration imports this

if TYPE_CHECKING:
    from typing import Any

_poller = getattr(select, "poll", None)
_sleep, _now = time.sleep, time.monotonic
"""As they are at import: under control, the scheduling points replace them in their modules."""

_POLL_S = 0.001


def wait_for_end(pid: int, timeout_s: float | None = None) -> bool:
    """Wait until a process has ended, whoever's child it is. Its exit status stays to be collected.

    Args:
        pid: the process.
        timeout_s: how long at most; `None` sets no bound.

    Returns:
        Whether it has ended.
    """
    if _poller is None or (handle := end_descriptor(pid)) is None:
        return _poll_for_end(pid, timeout_s)
    try:
        poll = _poller()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(None if timeout_s is None else max(1, int(timeout_s * 1000))))
    finally:
        os.close(handle)


def end_descriptor(pid: int) -> int | None:
    """Return a descriptor, for the caller to close, that becomes readable when a process ends: see pidfd_open(2).

    `None` if there is no such process any more, or the kernel has no such descriptors: Linux has them from 5.3 on.
    """
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def _poll_for_end(pid: int, timeout_s: float | None) -> bool:
    deadline = None if timeout_s is None else _now() + timeout_s
    while not has_ended(pid):
        if deadline is not None and _now() > deadline:
            return False
        _sleep(_POLL_S)
    return True


def has_ended(pid: int) -> bool:
    """Return whether a process has ended, whoever's child it is; on Linux only."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except OSError:
        return True


def how_it_ended(code: int | None) -> dict[str, Any]:
    """Return an exit code of `multiprocessing` or `subprocess` as it stands in outcomes: `exit`, or the `signal`."""
    return {"exit": code} if code is None or code >= 0 else {"signal": signal_name(-code)}


def signal_name(number: int) -> str:
    """Return the name of a signal, such as `SIGSEGV`."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
