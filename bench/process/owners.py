"""Owners: the name with which a process marks what it makes, and by which others recognise that it died."""

from __future__ import annotations

import os
from pathlib import Path

from bench.process.tree import read

_PROC = Path("/proc")


def this_owner() -> str:
    """Return a name that no other process ever has: its host's boot, its pid namespace, its pid, its start time."""
    me = read(os.getpid())
    return f"{_here()}:{os.getpid()}:{me.started if me else 0}"


def is_dead(owner: str) -> bool:
    """Return whether an owner is known to have died; of one on another host that is never known."""
    here, _, rest = owner.rpartition(":")
    here, _, pid = here.rpartition(":")
    if here != _here() or not (pid.isdecimal() and rest.isdecimal()):
        return False
    found = read(int(pid))
    return found is None or found.started != int(rest)


def _here() -> str:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{os.readlink(_PROC / 'self/ns/pid').strip('pid:[]')}"
    except OSError:
        return "unknown"
