"""Compare explore with the simulator: `python -m tests.fuzz [SCENES [METHOD [SEED]]]`, 2,000 under fork by default.

With `--modes SECONDS` compare modes instead: what stress sees in so many seconds of each scene, and repeat in a few
samples, must be among what explore has where it says that it is complete.

It prints each mismatch as it comes, with the scenario, then what was compared, and ends with 1 if there was any. For
the smallest scenario of a mismatch run the tests of this folder, which shrink it.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.outcomes import METHODS
from tests.fuzz.comparing import Counted, mismatches, some, unseen
from tests.fuzz.operations import OPERATIONS
from tests.fuzz.scenes import NAMES, Scene, choices_of, module, pruned


def main(scenes: int, method: str, seed: int, modes_s: float | None) -> int:
    """Compare until all is done or Ctrl-C, and print what came of it; return the exit status."""
    counted, failed = Counted(), 0
    print(f"{scenes:,} scenes under {method}, seed {seed}", flush=True)
    with contextlib.suppress(KeyboardInterrupt), tempfile.TemporaryDirectory() as folder:
        for number, scene in enumerate(_drawn(scenes, method, seed, timed=modes_s is None)):
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


def _drawn(scenes: int, method: str, seed: int, *, timed: bool) -> Iterator[Scene]:
    """Yield random scenes like those of `scenes.scenes`, each by a seed of its own; all operations as often."""
    of_all = random.Random(seed)
    for _ in range(scenes):
        chance = random.Random(of_all.getrandbits(64))
        kinds = tuple(chance.choice(OPERATIONS).kind for _ in range(chance.choice((1, 1, 2))))
        choices = choices_of(kinds, timed=timed)
        count = chance.choice((2, 2, len(NAMES)))
        actors = [[chance.choice(choices) for _ in range(chance.randint(1, 6 // count))] for _ in range(count)]
        yield pruned(kinds, actors, method)


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
