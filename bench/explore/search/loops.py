"""Loops: where a schedule that reached the limit of steps began to repeat itself."""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it: the exploring process imports this

if TYPE_CHECKING:
    from bench.explore.model import Op, Trace

TURNS = 3
"""How often a lane takes one step, on one line, before a schedule without an end is taken to loop."""

ENDLESS = 20
"""How often it takes it at least if the schedule did loop."""


def loops_from(trace: Trace) -> int:
    """Return the number of steps before a schedule that reached the limit of steps began to loop, else that of all.

    A strategy opens no choices from there on: two lanes that wait for each other for ever have two choices at each
    step, so 2 to the power of the limit of schedules that all end alike. What that leaves out is a choice within a
    loop; so a strategy that met one does not claim to be complete.
    """
    if trace.end != "limit":
        return len(trace.steps)
    # It began where any lane first took a step for the `TURNS` + 1st time: to the other lanes a few turns more or less
    # may matter, many do not. But only if some lane took a step more than `ENDLESS` times; otherwise the schedule is
    # merely long, and each of its loops may end.
    done: dict[tuple[int, Op], int] = {}
    turned = len(trace.steps)
    for index, (lane, op, _) in enumerate(trace.steps):
        turns = done[lane, op] = done.get((lane, op), 0) + 1
        if turns > TURNS:
            turned = min(turned, index)
        if turns > ENDLESS:
            return turned
    return len(trace.steps)
