"""One sample of repeat mode beside the same work in a bare interpreter: what being watched costs."""

from __future__ import annotations

import subprocess
import sys

from bench.outcomes import METHODS
from bench.repeat.sample import run_sample
from bench.targets import find
from tests.benchmarks.measure import alternate, tell

ROUNDS = 15
TARGET = "bench.demos.memory:shared_array"


def main() -> None:
    """Measure and print, for each start method."""
    (found,) = find([TARGET])
    for method in METHODS:
        call = f"m.{found.program.name}(mp.get_context({method!r}))"
        script = f"import {found.place.module} as m, multiprocessing as mp\n{call}"

        def bare(script: str = script) -> None:
            subprocess.run([sys.executable, "-c", script], check=True)

        def ours(method: str = method) -> None:
            assert run_sample(found, method=method, deadline_s=60, seed=0).outcome.kind == "value"

        watched, alone = alternate(ours, bare, ROUNDS)
        tell(f"a sample of {found.program.name} under {method}", watched, "the program alone", alone)
