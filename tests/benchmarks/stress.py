"""Samples a second under stress, against fresh interpreters and against one process that does the same alone.

    python -m tests.benchmarks.stress [SECONDS]
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from pathlib import Path
from typing import Any

from bench.declared import actors_of
from bench.outcomes import METHODS
from bench.repeat import observe as observe_repeat
from bench.stress import observe
from bench.targets import Found, find, load

SCENARIOS = Path(__file__).parent.parent / "fixtures" / "scenarios.py"
NAMES = ("WithoutLock", "WithLock", "WithoutEvenItsOwn")
STATES = 500


def alone(found: Found, seconds: float) -> float:
    """Give the samples a second of one process that calls each actor in turn, and the result, with nobody beside it."""
    kind: Any = getattr(load(found.place), found.program.name)
    mp = multiprocessing.get_context("fork")
    states = [kind(mp) for _ in range(STATES)]
    methods = [getattr(kind, name) for name in (*actors_of(found.program), "result")]
    begun, done = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        for method in methods:
            for state in states:
                method(state)
        done += STATES
    return done / (time.perf_counter() - begun)


def main() -> None:
    """Print a line for each scenario and start method."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    print(f"{sys.implementation.name} {sys.version.split()[0]}, {seconds:g} s each, samples per second")
    print(f"{'scenario':<20}{'method':<12}{'stress':>12}{'running':>12}{'alone':>12}{'of alone':>10}{'repeat':>10}"
          f"{'overlap':>10}")  # fmt: skip
    for name in NAMES:
        (found,) = find([f"{SCENARIOS}::{name}"])
        for method in METHODS:
            uncontended = alone(found, seconds / 5)
            naive = observe_repeat(found, method=method, seconds=seconds / 5)
            seen = observe(found, method=method, seconds=seconds)
            figures: Any = seen.extra["stress"]
            running = figures["samples_per_second_running"]
            print(f"{name:<20}{method:<12}{seen.samples / seen.seconds:>12,.0f}{running:>12,.0f}{uncontended:>12,.0f}"
                  f"{running / uncontended:>10.2f}{naive.samples / naive.seconds:>10.1f}"
                  f"{figures['collision_rate'] or 0:>10.3f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
