"""Compare explore with the simulator: `python -m tests.fuzz [SCENES [METHOD [SEED]]]`, 2,000 under fork by default.

It prints each mismatch as it comes, with the scenario, then what was compared, and ends with 1 if there was any. For
the smallest scenario of a mismatch run the tests of this folder, which shrink it.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

from tests.fuzz.comparing import Counted, mismatches
from tests.fuzz.operations import KINDS, OPERATIONS
from tests.fuzz.scenes import NAMES, Scene, module, pruned


def main(scenes: int, method: str, seed: int) -> int:
    """Compare, and print what came of it; return the exit status."""
    chance, counted, failed = random.Random(seed), Counted(), 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(scenes):
            scene = _drawn(random.Random(chance.getrandbits(64)), method)
            if wrong := mismatches(scene, Path(folder), method, counted):
                failed += 1
                print(f"scene {number} of seed {seed}: {scene}", *wrong, module([scene]), sep="\n", flush=True)
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


if __name__ == "__main__":
    arguments = [*sys.argv[1:], *("2000", "fork", "0")[len(sys.argv) - 1 :]]
    sys.exit(main(int(arguments[0]), arguments[1], int(arguments[2])))
