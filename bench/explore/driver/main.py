"""The main module of an exploration: explores a target, and journals what it finds.

`bench.process.main` imports it, in children under spawn and forkserver too.
"""

from __future__ import annotations

import os
import sys

from bench.explore.points import install as install_points
from bench.explore.runtime.board import EVENTS
from bench.explore.runtime.control import Raw


def install(folder: str) -> None:
    """Install the scheduling points in this process; in those of a program also what journals their ends."""
    if EVENTS in os.environ:  # a program is explored, whose processes are journalled as in mode repeat
        from bench.process import instrument

        instrument.install(os.environ[EVENTS])
    else:
        from bench.process import segments

        segments.install(folder, Raw)
    install_points()


def main(folder: str) -> None:
    """Explore what the argument orders."""
    from bench.explore.driver.exploration import run
    from bench.explore.messages import Orders
    from bench.process.messages import from_argument

    run(folder, from_argument(sys.argv.pop(), Orders))
