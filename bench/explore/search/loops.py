"""Loops: where a schedule that reached the limit of steps began to repeat itself."""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it: the exploring process imports this

if TYPE_CHECKING:
    from bench.explore.model import Op, Trace

TURNS = 3
"""How often a lane does one thing at one place before a schedule without an end is taken to be going round."""

ENDLESS = 20
"""How often it does so at least where it was going round."""


def loops_from(trace: Trace) -> int:
    """Give the number of steps before a schedule that reached the limit of steps began to go round, else of all.

    That is before a lane does something for the `TURNS` + 1st time, if one does so `ENDLESS` times. A strategy opens no
    choices from there on: two lanes that wait for each other for ever have two choices at each step, so 2 to the power
    of the limit of schedules that all end alike.
    """
    if trace.end != "limit":
        return len(trace.steps)
    done: dict[tuple[int, Op], int] = {}
    turned = len(trace.steps)
    for index, (lane, op, _) in enumerate(trace.steps):
        turns = done[lane, op] = done.get((lane, op), 0) + 1
        if turns > TURNS:
            turned = min(turned, index)
        if turns > ENDLESS:
            return turned
    return len(trace.steps)
