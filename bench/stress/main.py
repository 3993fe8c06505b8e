"""The main module of a fork group: runs a scenario's resident actors, and journals the counts.

`bench.process.main` imports it, in children under spawn and forkserver too.
"""

from __future__ import annotations

import sys


def install(folder: str) -> None:
    """Install what notes segments of shared memory; what else residents need is imported with their first function."""
    from contextlib import nullcontext

    from bench.process import segments

    segments.install(folder, nullcontext)


def main(folder: str) -> None:
    """Run the group that the argument orders."""
    from bench.process.messages import from_argument
    from bench.stress.coordinator import run
    from bench.stress.messages import Orders

    run(folder, from_argument(sys.argv.pop(), Orders))
