"""The apparent number of CPUs: what Python counts in a cell named `...-seen8`, whatever CPUs the cell has.

From Python 3.13 on `PYTHON_CPU_COUNT` does it. Before, and where Python is started with `-I` or `-E` and so ignores it,
the functions that count are replaced at the start of each Python of the cell, children included.
What the kernel says stays as it is: `bench.process.cpus` has kept its function, and pinning works on the real CPUs.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import sys
from collections.abc import Callable
from typing import Any

from bench.process import cpus
from bench.process.agreed import PYTHON_CPU_COUNT, SEEN
from bench.values import Json

_BUILT_IN = sys.version_info >= (3, 13)


def environment(count: int | None) -> dict[str, str]:
    """Return the environment variables of a cell with this apparent number of CPUs; none for `None`."""
    return {} if count is None else {SEEN: str(count), PYTHON_CPU_COUNT: str(count)}


def install(count: int) -> None:
    """Have the functions that count CPUs in this process return `count`, as far as Python does not by itself."""
    for name in ("cpu_count", "process_cpu_count"):
        real = getattr(os, name, None)
        if real is not None and real() != count:
            setattr(os, name, _counting(real, count))
    install_affinity(count)


def install_affinity(count: int) -> None:
    """Have `os.sched_getaffinity` return `count` ids for this process until it pins itself; again after a cell did."""
    if not _BUILT_IN and cpus.kernel_affinity is not None:
        os.sched_getaffinity = _affinity(cpus.kernel_affinity, count)


def _counting(real: Callable[[], int | None], count: int) -> Callable[[], int | None]:
    @functools.wraps(real)
    def counted() -> int | None:
        return count

    return counted


def _affinity(real: Callable[[Any], set[int]], count: int) -> Callable[[int], set[int]]:
    granted = real(0)

    @functools.wraps(real)
    def affinity(pid: int, /) -> set[int]:
        found = real(pid)
        # A process that has pinned itself is told what it asked for; another's is none of this cell's business.
        if pid not in (0, os.getpid()) or found != granted:
            return found
        return _ids(granted, count)

    return affinity


def _ids(granted: set[int], count: int) -> set[int]:
    """Return `count` ids, real ones first, so that a program that pins itself to the first of them can."""
    real = sorted(granted)[:count]
    others = (number for number in range(count + len(real)) if number not in granted)
    return {*real, *(number for number, _ in zip(others, range(count - len(real)), strict=False))}


def fact(asked: int | None) -> dict[str, Json] | None:
    """Return what was asked for, by which means, and what Python counts now; `None` where nothing was asked for."""
    if asked is None:
        return None
    process = getattr(os, "process_cpu_count", None)
    return {
        "asked": asked,
        "by": "shim" if _is_replaced(os.cpu_count) else PYTHON_CPU_COUNT,
        "os": os.cpu_count(),
        "process": process() if process else None,
        "multiprocessing": multiprocessing.cpu_count(),
        "affinity": None if _BUILT_IN or cpus.kernel_affinity is None else len(os.sched_getaffinity(0)),
    }


def _is_replaced(function: object) -> bool:
    return hasattr(function, "__wrapped__")
