"""The last words of interpreters that crashed, as faulthandler writes them, and kills for memory."""

from __future__ import annotations

import re
from pathlib import Path

from bench.process.instrument import is_users, short_name

_ERRORS = {
    "Segmentation fault": "SIGSEGV",
    "Aborted": "SIGABRT",
    "Bus error": "SIGBUS",
    "Floating-point exception": "SIGFPE",
    "Illegal instruction": "SIGILL",
}
_FATAL = re.compile(r"^Fatal Python error: ([^\n]+)", re.M)
_CURRENT = re.compile(r"^Current thread [^\n]*\n(.*?)(?:\n\n|\n(?=Thread )|\Z)", re.M | re.S)
_FRAME = re.compile(r'File "([^"]+)", line (\d+) in (\S+)')
_RUNNERS = re.compile(r"[/\\]((_pytest|pytest|pluggy|xdist|execnet)[/\\]|pytest_timeout\.py)")

_GROUPS = Path("/sys/fs/cgroup")
_COUNTERS = (_GROUPS / "memory.events", _GROUPS / "memory" / "memory.oom_control")


def cause_of_crash(text: str) -> str | None:
    """Return the cause that a dump of faulthandler names, such as `SIGSEGV`, or `None` without a dump."""
    found = _FATAL.search(text)
    return None if found is None else _ERRORS.get(found[1].strip(), found[1].strip())


def place_of_crash(text: str) -> str | None:
    """Return the user's innermost line in the thread that crashed, as `test_it.py:12 in test_it`."""
    current = _CURRENT.search(text)
    return users_place(current[1]) if current else None


def users_place(stack: str) -> str | None:
    """Return the user's innermost line of a stack, or `None`."""
    for file, line, function in _FRAME.findall(stack):
        if is_users(file) and not _RUNNERS.search(file):
            return f"{short_name(file)}:{line} in {function}"
    return None


def waits_in(stack: str) -> str | None:
    """Return the innermost function of a stack, or `None`."""
    found = _FRAME.search(stack)
    return found[3] if found else None


def read_crash(path: Path) -> str:
    """Return what an interpreter has dumped; empty if nothing."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def kills_for_memory() -> int:
    """Return how many processes of this cell's control group the kernel has killed for memory; 0 if unknown.

    Seen from a container its own group is the root, see the kernel's documentation of control groups, `memory.events`
    in version 2 and `memory.oom_control` in version 1.
    """
    for path in _COUNTERS:
        try:
            found = re.search(r"^oom_kill (\d+)", path.read_text(), re.M)
        except OSError:
            continue
        if found:
            return int(found[1])
    return 0
