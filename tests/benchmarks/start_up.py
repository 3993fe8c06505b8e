"""`bench --help` beside an interpreter that does nothing, and one that imports the CLI library alone."""

from __future__ import annotations

import subprocess
import sys

from tests.benchmarks.measure import alternate, tell

ROUNDS = 25


def main() -> None:
    """Measure and print."""

    def python(*arguments: str) -> None:
        subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)

    for peer_name, code in (("python -c pass", "pass"), ("python -c 'import click'", "import click")):
        ours, peer = alternate(lambda: python("-m", "bench", "--help"), lambda: python("-c", code), ROUNDS)  # noqa: B023  # called at once
        tell("bench --help", ours, peer_name, peer)
