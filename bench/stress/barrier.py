"""How resident actors meet between strides: over shared memory, without the kernel where each has a CPU."""

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
"""Looks at the others' places before the CPU is offered to whoever else wants it: about 0.2 ms."""

_YIELDS = 200
_NAP_S = 0.0001


def view_of(memory: Any) -> memoryview:
    """View a shared array of `q` as numbers; twice as fast to read as the array itself."""
    return memoryview(memory).cast("B").cast("q")


def size(actors: int) -> int:
    """Give how many numbers the actors need."""
    return PAD * (actors + 1)


def meeting(places: memoryview, me: int, actors: int, *, apart: bool) -> Callable[[int], None]:
    """Make the function by which actor `me` waits until all have come to a turn; turns only grow.

    Args:
        places: shared by all, see `size`.
        me: the number of the actor.
        actors: how many there are.
        apart: whether each has a CPU of its own, so that spinning takes it from nobody.
    """
    mine = me * PAD
    others = tuple(PAD * other for other in range(actors) if other != me)
    spins = _SPINS if apart else 0

    def meet(turn: int) -> None:
        places[mine] = turn
        for other in others:
            spun = 0
            while places[other] < turn:
                spun += 1
                if spun > spins:
                    _give_way(spun - spins)

    return meet


def _give_way(times: int) -> None:
    if times > _YIELDS or not hasattr(os, "sched_yield"):
        time.sleep(_NAP_S)
    else:
        os.sched_yield()


def reached(places: memoryview, actors: int) -> list[int]:
    """Give the turn that each actor has come to."""
    return [places[PAD * actor] for actor in range(actors)]


def raises(places: memoryview, actors: int) -> list[int]:
    """Give how often each actor raised."""
    return [places[PAD * actor + 1] for actor in range(actors)]


def note_raised(places: memoryview, me: int) -> None:
    """Count that actor `me` raised."""
    places[PAD * me + 1] += 1
