"""What a process is doing, by two looks at its threads: computing, sleeping, waiting, or getting on.

What the kernel shows differs: where it does not say which call a thread is in, as not all kernels do and none does to
another user, nothing is said of what a thread that rests does, and its stack has to tell.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from bench.process.tree import PROC

Doing = Literal["computes", "goes on", "sleeps", "polls", "is stopped", "waits", ""]
"""`polls`: sleeps, wakes, sleeps again. `goes on`: others wake it. Empty: rests, and the kernel does not say why."""

BETWEEN_S = 0.1
"""How long to wait between the two looks."""

_BUSY = 0.3
"""Share of the time between the looks from which on a thread counts as computing."""

_CALLS: Mapping[str, Mapping[int, tuple[str, int]]] = {
    "x86_64": {
        7: ("poll", 3),
        23: ("select", 5),
        35: ("nanosleep", 0),
        202: ("futex", 4),
        230: ("nanosleep", 0),
        232: ("poll", 4),
        270: ("select", 5),
        271: ("select", 3),
        281: ("poll", 4),
    },
    "aarch64": {
        22: ("poll", 4),
        72: ("select", 5),
        73: ("select", 3),
        98: ("futex", 4),
        101: ("nanosleep", 0),
        115: ("nanosleep", 0),
    },
}
"""Calls that may end by their timeout, by machine and number, each with the position of that argument: a number of
milliseconds (`poll`), or the address of a time, 0 for none. From the kernel's tables of system calls."""


@dataclass(frozen=True)
class Look:
    """A thread at one moment: its state, its CPU time in ns, how often it was switched, and if its call ends in time.

    `timed` is `None` where the kernel does not say which call it is in.
    """

    state: str
    cpu_ns: int
    switches: int
    timed: bool | None


def look(pid: int) -> dict[int, Look]:
    """Return the threads of a process by their numbers, which of the main one is that of the process."""
    try:
        names = os.listdir(f"{PROC}/{pid}/task")
    except OSError:
        return {}
    return {int(name): one for name in names if (one := _look_at(f"{PROC}/{pid}/task/{name}")) is not None}


def _look_at(folder: str) -> Look | None:
    try:
        with open(f"{folder}/status", encoding="utf-8", errors="replace") as file:
            status = dict(row.split(":", 1) for row in file.read().splitlines() if ":" in row)
        with open(f"{folder}/schedstat", encoding="ascii") as file:
            cpu_ns = int(file.read().split()[0])
        switches = int(status["voluntary_ctxt_switches"]) + int(status["nonvoluntary_ctxt_switches"])
        return Look(status["State"].split()[0], cpu_ns, switches, _is_timed(folder))
    except (OSError, KeyError, ValueError, IndexError):
        return None


def _is_timed(folder: str) -> bool | None:
    """Return whether a thread is in a call that ends in time by itself; `None` where the kernel does not say."""
    known = _CALLS.get(platform.machine())
    try:
        with open(f"{folder}/syscall", encoding="ascii") as file:
            number, *arguments = file.read().split()
    except (OSError, ValueError):
        return None
    if known is None or not number.isdecimal():  # "running", also where the kernel keeps this to itself
        return None
    name, position = known.get(int(number), ("", 0))
    if not name:
        return False
    given = int(arguments[position - 1], 16) if position else 1
    if name == "poll":
        return given & 0x80000000 == 0  # a negative number of milliseconds waits for ever
    return given != 0


def between(before: Look | None, after: Look, elapsed_s: float) -> Doing:
    """Return what a thread was doing between two looks."""
    if after.state in ("T", "t"):
        return "is stopped"
    if before is None:
        return "goes on"
    cpu_ns = after.cpu_ns - before.cpu_ns
    if after.state == "R" or cpu_ns > _BUSY * elapsed_s * 1e9:
        return "computes"
    moved = cpu_ns > 0 or after.switches != before.switches
    if after.timed:
        return "polls" if moved else "sleeps"
    if moved:
        return "goes on"
    return "" if after.timed is None else "waits"


_EAGER: tuple[Doing, ...] = ("computes", "goes on", "sleeps", "polls", "", "waits", "is stopped")
"""From what shows most that a process gets on to what shows least."""


def activities(pids: Iterable[int], *, between_s: float = BETWEEN_S) -> dict[int, tuple[Doing, Doing]]:
    """Return what the main thread of each process does, and the most active one of its other threads.

    Takes `between_s`. A process that cannot be looked at is left out.
    """
    first = {pid: look(pid) for pid in pids}
    begun = time.monotonic()
    time.sleep(between_s)  # what is measured is what happens in this time
    found: dict[int, tuple[Doing, Doing]] = {}
    for pid, before in first.items():
        after, elapsed_s = look(pid), time.monotonic() - begun
        if before and pid in after:
            doing = {tid: between(before.get(tid), one, elapsed_s) for tid, one in after.items()}
            main = doing.pop(pid)
            found[pid] = main, min(doing.values(), key=_EAGER.index, default="waits")
    return found
