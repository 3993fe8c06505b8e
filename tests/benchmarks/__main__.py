"""Run the benchmarks by name, or all but the long ones."""

from __future__ import annotations

import sys
from collections.abc import Callable

from bench.errors import BenchError
from tests.benchmarks import cell_overhead, explore_peer, images, makespan, samples, start_up

SHORT: dict[str, Callable[[], None]] = {
    "start_up": start_up.main,
    "samples": samples.main,
    "cell_overhead": cell_overhead.main,
}
LONG: dict[str, Callable[[], None]] = {
    "makespan": makespan.main,
    "images": images.main,
    "explore_peer": explore_peer.main,
}


def main() -> None:
    """Run what the command line names."""
    chosen = sys.argv[1:] or list(SHORT)
    every = {**SHORT, **LONG}
    if unknown := [name for name in chosen if name not in every]:
        sys.exit(f"no benchmark {unknown[0]}; there are {', '.join(every)} (long: {', '.join(LONG)})")
    for name in chosen:
        print(f"-- {name}", flush=True)
        try:
            every[name]()
        except BenchError as error:
            print(f"not measured: {error}")


main()
