"""The CPUs that this process may use."""

from __future__ import annotations

import os

kernel_affinity = getattr(os, "sched_getaffinity", None)
"""The kernel's own answer, kept before a cell with an apparent number of CPUs (`bench.process.seen`) replaces it."""


def usable_cpus() -> tuple[int, ...]:
    """Return the CPUs that this process may use; none where the platform cannot say, and so cannot pin either."""
    return tuple(sorted(kernel_affinity(0))) if kernel_affinity is not None else ()


def cpu_count() -> int:
    """Return how many CPUs this process may use; where the platform cannot say, how many there are."""
    return len(usable_cpus()) or os.cpu_count() or 1
