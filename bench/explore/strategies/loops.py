"""Loops: where a schedule that reached the limit of steps began to repeat itself."""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it: the exploring process imports this

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.explore.steps import Op, Step

TURNS = 3
"""How often a lane does one thing at one place before a schedule without an end is taken to be going round."""


def first_turns(steps: Sequence[Step]) -> int:
    """Give the number of steps before a lane does for the `TURNS` + 1st time what it did before.

    A strategy opens no choices after that in a schedule that reached the limit of steps: two lanes that wait for each
    other for ever have two choices at each step, so 2 to the power of the limit of schedules that all end alike.
    """
    done: dict[tuple[int, Op], int] = {}
    for index, (lane, op, _) in enumerate(steps):
        turns = done.get((lane, op), 0)
        if turns >= TURNS:
            return index
        done[lane, op] = turns + 1
    return len(steps)
