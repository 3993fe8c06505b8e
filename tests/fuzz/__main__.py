"""Compare explore with the simulator: `python -m tests.fuzz [SCENES [METHOD [SEED]]]`, 2,000 under fork by default.

With `--modes SECONDS` compare modes instead: what stress sees in so many seconds of each scene, and repeat in a few
samples, must be among what explore has where it says that it is complete.

It prints each mismatch as it comes, with the scenario, then what was compared, and ends with 1 if there was any. For
the smallest scenario of a mismatch run the tests of this folder, which shrink it.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from bench.outcomes import METHODS
from tests.fuzz.comparing import Counted, mismatches, some, unseen
from tests.fuzz.operations import KINDS, OPERATIONS
from tests.fuzz.scenes import NAMES, Scene, module, pruned


def main(scenes: int, method: str, seed: int, modes_s: float | None) -> int:
    """Compare, and print what came of it; return the exit status."""
    chance, counted, failed = random.Random(seed), Counted(), 0
    print(f"{scenes:,} scenes under {method}, seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(scenes):
            scene = _drawn(random.Random(chance.getrandbits(64)), method)
            if modes_s is None:
                wrong = mismatches(scene, Path(folder), method, counted, some(number))
            else:
                wrong = unseen(scene, Path(folder), method, modes_s, counted)
            if wrong:
                failed += 1
                print(f"scene {number} of seed {seed}: {scene}", *wrong, module([scene]), sep="\n", flush=True)
            if number % 50 == 49:
                print(f"{number + 1:,} done, {failed} with a mismatch", flush=True)
    print(counted.text())
    print(f"{failed} with a mismatch")
    return 1 if failed else 0


def _drawn(chance: random.Random, method: str) -> Scene:
    """Return a random scene, as `scenes.scenes` draws them for hypothesis."""
    kinds = tuple(chance.choice(sorted(KINDS)) for _ in range(chance.choice((1, 1, 2))))
    choices = [(one, number) for number, kind in enumerate(kinds) for one in OPERATIONS if one.kind == kind]
    count = chance.choice((2, 2, 3))
    actors = [[chance.choice(choices) for _ in range(chance.randint(1, 6 // count))] for _ in range(count)]
    assert count <= len(NAMES)
    return pruned(kinds, actors, method)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Random scenarios, compared.")
    parser.add_argument("scenes", nargs="?", type=int, default=2_000)
    parser.add_argument("method", nargs="?", choices=METHODS, default="fork")
    parser.add_argument("seed", nargs="?", type=int, default=0)
    parser.add_argument("--modes", type=float, metavar="SECONDS", help="compare modes, so long for each scene")
    return parser.parse_args()


if __name__ == "__main__":
    given = _arguments()
    sys.exit(main(given.scenes, given.method, given.seed, given.modes))
