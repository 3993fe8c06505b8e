"""Samples a second under stress, against fresh interpreters and against one process that does the same alone.

    python -m tests.benchmarks.stress [--seconds S] [--scenario NAME]... [PYTHON...]

PYTHON is a version such as `3.12`, or `here` for the one that runs this; with none, it is each that this host has. In
each of a few rounds every start method is measured once, beside what it is compared with, so that whatever else
the machine does hits all of them: the ratios are medians over the rounds, the rates those of the best round.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import statistics
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.cells import PYTHONS, parse_python
from bench.declared import actors_of
from bench.outcomes import METHODS
from bench.repeat.observe import observe as observe_repeat
from bench.stress.observe import observe
from bench.targets import Found, find, load
from tests.fixtures.figures import figures_of

ROOT = Path(__file__).parents[2]
SCENARIOS = ROOT / "tests" / "fixtures" / "scenarios.py"
NAMES = ("WithoutLock", "WithoutEvenItsOwn")
STATES = 500
ROUNDS = 3


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


@dataclass
class Rounds:
    """What was measured of one start method, a number for each round."""

    overall: list[float] = field(default_factory=list)
    running: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)
    naive: list[float] = field(default_factory=list)
    overlap: list[float] = field(default_factory=list)

    def line(self, fork: Rounds) -> str:
        """Give a row of the table."""
        return (
            f"{max(self.overall):>12,.0f}{max(self.running):>12,.0f}{max(self.alone):>12,.0f}"
            f"{_ratio(self.running, self.alone):>10.2f}{_ratio(self.running, fork.running):>10.2f}"
            f"{max(self.naive):>9.1f}{_ratio(self.overall, self.naive):>10,.0f}{statistics.median(self.overlap):>9.3f}"
        )


def _ratio(ours: list[float], peer: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(ours, peer, strict=True))


def measured(name: str, seconds: float) -> dict[str, Rounds]:
    """Measure a scenario under each start method in turn, again and again."""
    (found,) = find([f"{SCENARIOS}::{name}"])
    rounds = {method: Rounds() for method in METHODS}
    for _ in range(ROUNDS):
        for method, of in rounds.items():
            of.alone.append(alone(found, seconds / 10))
            naive = observe_repeat(found, method=method, seconds=seconds / 10)
            seen = observe(found, method=method, seconds=seconds / ROUNDS)
            figures = figures_of(seen)
            of.naive.append(naive.samples / naive.seconds)
            of.overall.append(seen.samples / seen.seconds)
            of.running.append(figures["samples_per_second_running"])
            of.overlap.append(figures["collision_rate"] or 0.0)
    return rounds


def here(seconds: float, names: list[str]) -> None:
    """Print the table of this interpreter."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    version = f"{platform.python_implementation()} {platform.python_version()}"
    print(f"{version} on {cpus} CPUs, {seconds:g} s of stress each, load {os.getloadavg()[0]:.1f}: samples a second")
    print(
        f"{'scenario':<19}{'method':<11}{'stress':>12}{'running':>12}{'alone':>12}{'of alone':>10}{'of fork':>10}"
        f"{'naive':>9}{'of naive':>10}{'overlap':>9}"
    )
    for name in names:
        rounds = measured(name, seconds)
        for method, of in rounds.items():
            print(f"{name:<19}{method:<11}{of.line(rounds['fork'])}", flush=True)


def main() -> None:
    """Measure the interpreters that the command line names, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--scenario", action="append", choices=NAMES)
    parser.add_argument("python", nargs="*")
    asked = parser.parse_args()
    names = asked.scenario or list(NAMES)
    if asked.python == ["here"]:
        here(asked.seconds, names)
        return
    from bench.matrix import discovery  # not at the top: in a container there is no library to find others with

    for version in asked.python or PYTHONS:
        if (found := discovery.find(parse_python(version))) is None:
            print(f"{version}: this host has none")
            continue
        command = [str(found.path), "-m", "tests.benchmarks.stress", "--seconds", str(asked.seconds), "here"]
        options = [option for name in names for option in ("--scenario", name)]
        subprocess.run([*command, *options], check=False, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})


if __name__ == "__main__":
    main()
