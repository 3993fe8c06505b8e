"""The barrier between strides: over shared memory, and without the kernel where each actor has a CPU."""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False  # as type checkers know it: each actor imports this

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PAD = 16
"""Numbers between the places of two actors, so that no two share a cache line."""

_SPINS = 4_000
"""Looks at the others' places before the CPU is offered to other processes: about 0.2 ms."""

_YIELDS = 200
_NAP_S = 0.0001

# Each actor has four numbers at its place, which it alone writes: the turn that it has come to, how often it raised,
# in which turn it did so last, and the number that it has for what that was. So the barrier needs no lock. Turns are
# counted from 1 and only grow, and an actor begins turn n once every other has written n or more: one that looks late
# still sees that the others have come. A number is an aligned machine word, which is read and written whole.
#
# No order of memory is needed beyond that. Two strides go through different states; and results are read after each
# actor's report has come through a pipe, by which the kernel orders all that the actor wrote before.
#
# Every actor looks at every other's place. The tree and dissemination barriers of Mellor-Crummey and Scott, "Algorithms
# for scalable synchronization on shared-memory multiprocessors" (1991), look at fewer, which pays for dozens of them.


def view_of(memory: Any) -> memoryview:
    """Return a shared array of `q` as a view of numbers: twice as fast to read as the array itself."""
    return memoryview(memory).cast("B").cast("q")


def size(actors: int) -> int:
    """Return how many numbers the places of so many actors take."""
    return PAD * (actors + 1)


def barrier(places: memoryview, me: int, actors: int, *, apart: bool) -> Callable[[int], None]:
    """Return the function by which actor `me` waits until all have come to a turn; turns only grow.

    Args:
        places: shared by all, see `size`.
        me: the number of the actor.
        actors: how many there are.
        apart: whether each has a CPU of its own, so that spinning takes it from no other.
    """
    mine = me * PAD
    others = tuple(PAD * other for other in range(actors) if other != me)
    spins = _SPINS if apart else 0

    def wait_for_all(turn: int) -> None:
        places[mine] = turn
        for other in others:
            spun = 0
            while places[other] < turn:
                spun += 1
                if spun > spins:
                    _give_way(spun - spins)

    return wait_for_all


def _give_way(times: int) -> None:
    if times > _YIELDS or not hasattr(os, "sched_yield"):
        time.sleep(_NAP_S)
    else:
        os.sched_yield()


def arrivals(places: memoryview, actors: int) -> list[int]:
    """Return the turn that each actor has come to."""
    return [places[PAD * actor] for actor in range(actors)]


def raises(places: memoryview, actors: int) -> list[int]:
    """Return how often each actor raised."""
    return [places[PAD * actor + 1] for actor in range(actors)]


def note_raised(places: memoryview, me: int, number: int) -> None:
    """Count that actor `me` raised, in the turn that it has come to, what it has this number for."""
    at = PAD * me
    places[at + 2], places[at + 3] = places[at], number
    places[at + 1] += 1


def raised_in(places: memoryview, me: int, turn: int) -> int:
    """Return the number of what actor `me` raised last; 0 if that was not in this turn, or is not known."""
    at = PAD * me
    return places[at + 3] if places[at + 2] == turn else 0
