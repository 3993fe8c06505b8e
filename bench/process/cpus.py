"""The CPUs that this process may use."""

from __future__ import annotations

import os


def usable_cpus() -> tuple[int, ...]:
    """Return the CPUs that this process may use; none where the platform cannot say, and so cannot pin either."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()


def cpu_count() -> int:
    """Return how many CPUs this process may use; where the platform cannot say, how many there are."""
    return len(usable_cpus()) or os.cpu_count() or 1
