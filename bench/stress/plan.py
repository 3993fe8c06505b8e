"""The plan of strides: a pure function of the seed, so that every actor makes the same one for itself."""

from __future__ import annotations

import functools
import itertools
import random
from typing import NamedTuple

SHORT, LONG = 8, 96
"""Samples of a stride where each actor has a CPU: the barrier costs a microsecond or two, and actors drift apart."""

LONGEST = 2048
"""Samples of a stride where actors take turns, and are preempted in the middle of a sample once in a few strides."""

MOST_YIELDING = 64
"""Samples after such a stride that have a barrier each, and actors that yield at chance operations."""

MOST_LEAD = 48
"""Turns of an empty loop, about 0.4 us, by which an actor begins later than the others at most."""

PLANS = 16
"""How many plans a group has; its batches go through them again and again."""


class Stride(NamedTuple):
    """The states from `start` to `stop`, which all actors go through between two barriers.

    `leads` holds for each actor how many turns of an empty loop it waits first. In a `stamped` stride each actor notes
    the time before every sample, which shows how often they really overlapped. In a `yielding` stride, of a single
    sample, each yields to the others again and again, see `bench.stress.yielding`.
    """

    start: int
    stop: int
    leads: tuple[int, ...]
    stamped: bool
    yielding: bool


@functools.lru_cache(maxsize=2 * PLANS)
def strides(seed: int, number: int, count: int, actors: int, *, apart: bool) -> tuple[Stride, ...]:
    """Return the strides of one batch.

    Args:
        seed: of the group.
        number: of the batch; batches whose numbers differ by a multiple of `PLANS` may be given one plan.
        count: how many states the batch goes through.
        actors: how many actors there are.
        apart: whether each has a CPU of its own.
    """
    chance = random.Random(f"{seed} {number} {count} {actors} {apart}")
    return tuple(_apart(chance, count, actors) if apart else _in_turns(chance, count, actors))


def _apart(chance: random.Random, count: int, actors: int) -> list[Stride]:
    made: list[Stride] = []
    start = 0
    while start < count:
        stop = min(count, start + _between(chance, SHORT, LONG))
        made.append(Stride(start, stop, _leads(chance, actors), stamped=False, yielding=False))
        start = stop
    if made:
        index = int(chance.random() * len(made))
        made[index] = made[index]._replace(stamped=True)
    return made


def _in_turns(chance: random.Random, count: int, actors: int) -> list[Stride]:
    made: list[Stride] = []
    yielding = chance.random() < 0.5
    start = 0
    while start < count:
        if yielding:
            stop = min(count, start + _between(chance, 1, MOST_YIELDING))
            none = (0,) * actors
            made += [Stride(index, index + 1, none, stamped=True, yielding=True) for index in range(start, stop)]
        else:
            stop = min(count, start + _between(chance, LONG, LONGEST))
            made.append(Stride(start, stop, _leads(chance, actors), stamped=True, yielding=False))
        start, yielding = stop, not yielding
    return made


# Chances are drawn with `random()` alone, whose sequence for a seed Python promises never to change; `randint` and
# `choice` may differ between versions, and a seed would then replay another plan.


def _between(chance: random.Random, least: int, most: int) -> int:
    return least + int(chance.random() * (most - least + 1))


def _leads(chance: random.Random, actors: int) -> tuple[int, ...]:
    """Return leads by which, in half of the strides, one actor begins later than the rest; in the others all are 0."""
    late = int(chance.random() * 2 * actors)
    lead = 1 + int(chance.random() * MOST_LEAD)
    return tuple(lead if actor == late else 0 for actor in range(actors))


def overlapped(stamps: list[list[int]]) -> int:
    """Return how many samples two actors were at in the same moment.

    Args:
        stamps: for each actor the times at which it began each sample, and last the time at which it ended.
    """
    if len(stamps) == 2:  # as everywhere below, at a tenth of the cost
        a, b = stamps
        both = zip(a, a[1:], b, b[1:], strict=False)
        return sum(a_begins < b_ends and b_begins < a_ends for a_begins, a_ends, b_begins, b_ends in both)
    found = 0
    for index in range(min(map(len, stamps)) - 1):
        spans = sorted((times[index], times[index + 1]) for times in stamps)
        found += any(later[0] < earlier[1] for earlier, later in itertools.pairwise(spans))
    return found
