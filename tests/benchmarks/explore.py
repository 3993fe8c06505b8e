"""Steps and schedules a second of explorations, beside bare hand-offs of a semaphore between two processes.

All processes of either are on one CPU. The two alternate, since what the machine does besides changes both.

    python -m tests.benchmarks.explore [ROUNDS]
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from bench.explore.observe import observe
from bench.outcomes import METHODS
from bench.targets import Found, find
from tests.fixtures.figures import figures_of

SCENARIOS = Path(__file__).parent.parent / "fixtures" / "interleavings.py"
HAND_OFFS = 20_000
CASES = (
    ("AccountWithoutLock", "bench.demos.account:AccountWithoutLock", "random", 10_000),
    ("AccountWithLock", "bench.demos.account:AccountWithLock", "random", 10_000),
    ("TenDepositsEach", f"{SCENARIOS}::TenDepositsEach", "dfs", 5_000),
    ("TenDepositsEach", f"{SCENARIOS}::TenDepositsEach", "random", 3_000),
)
"""Name, target, strategy, and how many schedules. Ten deposits and withdrawals each are 40 steps."""


def floor() -> float:
    """Give how many times a second two processes on one CPU can hand a baton on."""
    usable = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(usable)})
    try:
        context: Any = multiprocessing.get_context("fork")
        there, back = context.Semaphore(0), context.Semaphore(0)
        process = context.Process(target=_answer, args=(there, back))
        process.start()
        begun = time.perf_counter()
        give, take = there._semlock.release, back._semlock.acquire
        for _ in range(HAND_OFFS):
            give()
            take()
        took_s = time.perf_counter() - begun
        process.join()
    finally:
        os.sched_setaffinity(0, usable)
    return 2 * HAND_OFFS / took_s


def _answer(there: Any, back: Any) -> None:
    take, give = there._semlock.acquire, back._semlock.release
    for _ in range(HAND_OFFS):
        take()
        give()


def once(found: Found, method: str, strategy: str, schedules: int) -> tuple[float, float]:
    """Explore once; give the steps and the schedules a second."""
    figures = figures_of(observe(found, method=method, strategy=strategy, schedules=schedules, seconds=20))
    return figures["steps_per_second"], figures["schedules_per_second"]


def main() -> None:
    """Print a line for each case and start method: medians of the rounds."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdecimal() else 3
    print(f"{sys.implementation.name} {sys.version.split()[0]}, medians of {rounds}, per second")
    print(
        f"{'scenario':<20}{'strategy':<10}{'method':<12}{'steps':>10}{'schedules':>11}{'hand-offs':>11}{'of floor':>10}"
    )
    for name, target, strategy, schedules in CASES:
        (found,) = find([target])
        for method in METHODS:
            told = [(*once(found, method, strategy, schedules), floor()) for _ in range(rounds)]
            steps, per_s, hand_offs = (statistics.median(column) for column in zip(*told, strict=True))
            ratio = statistics.median(one[0] / one[2] for one in told)
            print(
                f"{name:<20}{strategy:<10}{method:<12}{steps:>10,.0f}{per_s:>11,.0f}{hand_offs:>11,.0f}{ratio:>10.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
