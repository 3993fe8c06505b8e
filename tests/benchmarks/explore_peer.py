"""Exploring a race between processes beside `frontrun`, which explores the same race between threads.

    python -m tests.benchmarks explore_peer

The peer is installed into an environment of its own for this; both run pinned to one CPU, one after the other, in one
run. They are not quite alike: threads share a heap, so that the peer traces bytecodes to see accesses, where processes
share only what goes through an object; and a schedule of the peer's starts threads, where one of ours wakes processes.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.explore.observe import observe
from bench.targets import find
from tests.fixtures.figures import figures_of

HERE = Path(__file__).parent
SCENARIOS = HERE.parent / "fixtures" / "peers.py"
PEER = "frontrun>=0.7"
MOST = 2_000
TIMES = (1, 2, 3)
METHOD = "fork"


class Unmeasured(BenchError):
    """The peer cannot be had."""


def main() -> None:
    """Print both, for a race of one, two and three updates by each of two."""
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(everywhere)})
    try:
        with tempfile.TemporaryDirectory() as folder:
            command = peer(Path(folder))
            print(f"{sys.implementation.name} {sys.version.split()[0]}, one CPU; schedules a second, and outcomes")
            for times in TIMES:
                tell(times, ours(times), theirs(command, times))
    finally:
        os.sched_setaffinity(0, everywhere)


def peer(folder: Path) -> list[str]:
    """Install the peer; give the command that runs a script under it."""
    python = folder / "bin" / "python"
    for command in ([sys.executable, "-m", "venv", str(folder)], [str(python), "-m", "pip", "install", "-q", PEER]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unmeasured(f"{PEER} cannot be installed here: {done.stderr.strip().splitlines()[-1:]}")
    return [str(folder / "bin" / "frontrun"), str(python)]


def theirs(command: list[str], times: int) -> dict[str, Any]:
    """Have the peer explore."""
    script = [str(HERE / "peer_threads.py"), str(times), str(MOST)]
    done = subprocess.run([*command, *script], capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        raise Unmeasured(f"the peer failed: {done.stderr.strip().splitlines()[-1:]}")
    found: dict[str, Any] = ast.literal_eval(done.stdout.strip().splitlines()[-1])
    return found


def ours(times: int) -> dict[str, Any]:
    """Explore the same by partial-order reduction, to the end."""
    (found,) = find([f"{SCENARIOS}::Updates{times}"])
    begun = time.perf_counter()
    seen = observe(found, method=METHOD, strategy="dpor", schedules=MOST)
    whole = time.perf_counter() - begun
    figures = figures_of(seen)
    outcomes = sorted(str(one.outcome.value) for one in seen.outcomes)
    a_second = figures["schedules_per_second"]
    return {"whole": whole, "schedules": seen.samples, "outcomes": outcomes, "a_second": a_second}


def tell(times: int, mine: dict[str, Any], peers: dict[str, Any]) -> None:
    """Print a line."""
    a_second = peers["schedules"] / peers["seconds"]
    print(
        f"{times} updates each: processes {mine['schedules']:>6,} schedules, {mine['a_second']:>7,.0f}/s, "
        f"{mine['whole']:.2f} s in all, {mine['outcomes']}\n"
        f"    threads (frontrun) {peers['schedules']:>6,} schedules, {a_second:>7,.0f}/s, "
        f"{peers['seconds']:.2f} s in all, first loss after {peers['to_first']:.3f} s, {peers['outcomes']}\n"
        f"    ratio {mine['a_second'] / a_second:.1f}",
        flush=True,
    )
