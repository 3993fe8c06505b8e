"""How fine the steps on an object are: one step for what takes several, until a lane does what tells these apart.

To acquire the lock of a value, read the value and release the lock is one step, as long as other lanes could only find
the lock taken, and wait. A lane that merely tries to acquire the lock could find it taken, and go on. From then on it
takes three steps, and the search begins anew: `board.finer` has changed.
"""

from __future__ import annotations

from bench.explore.runtime import control
from bench.explore.runtime import layout as at


def is_fine(number: int) -> bool:
    """Note that lanes take coarse steps on an object where they may; return whether they may not.

    The answer holds until `control.on_finer` is called.
    """
    return _note(number, at.COARSE) & ~at.LOOKED not in (at.COARSE, at.APART)


def tell_apart(number: int) -> None:
    """Note that a lane does what would see an object in the middle of a coarse step."""
    _note(number, at.APART)


def _note(number: int, bit: int) -> int:
    assert control.registry is not None
    numbers = control.registry.board.numbers
    before = numbers[at.GRAINS + number]
    after: int = before | bit
    if after != before:
        numbers[at.GRAINS + number] = after
        # Also where the look came before the first coarse step: what came between them may have been taken otherwise.
        numbers[at.FINER] += after & ~at.LOOKED == at.COARSE | at.APART
    return after


def look_apart(number: int) -> None:
    """Note that a release of a semaphore was one too many: from now on it looks in one step, and is done in another."""
    assert control.registry is not None
    numbers = control.registry.board.numbers
    if not numbers[at.GRAINS + number] & at.LOOKED:
        numbers[at.GRAINS + number] |= at.LOOKED
        numbers[at.FINER] += 1
