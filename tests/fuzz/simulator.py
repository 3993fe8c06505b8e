"""Every outcome of a scene: all orders of the steps of its actors, and of its queues' feeders, are gone through."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tests.fuzz.operations import END, KINDS, Step, World

if TYPE_CHECKING:
    from tests.fuzz.scenes import Scene

MOST_STATES = 200_000
DEADLOCK = "deadlock"


class TooLarge(Exception):
    """A scene has more states than are gone through."""


def outcomes(scene: Scene) -> set[object]:
    """Return what a scene may come to: lists as its `result` returns them, as tuples, and `DEADLOCK`.

    Raises:
        TooLarge: if it has too many states.
    """
    actors = len(scene.actors)
    objects = [KINDS[kind].state(actors) for kind in scene.kinds]
    world = World(objects, [1] * actors, [0] * actors, [(0, 0)] * actors)
    steps = [[operation.steps(number) for operation, number in actor] for actor in scene.actors]
    found: set[object] = set()
    first = pickle.dumps(world)
    known, open_ = {first}, [first]
    while open_:
        state = open_.pop()
        moved = False
        for after in _moves(state, steps):
            moved = True
            if after not in known:
                if len(known) >= MOST_STATES:
                    raise TooLarge
                known.add(after)
                open_.append(after)
        if not moved:
            found.add(_outcome(scene, pickle.loads(state)))  # what was dumped above
    return found


def _moves(state: bytes, steps: Sequence[Sequence[Sequence[Step]]]) -> Iterator[bytes]:
    """Yield each state that one step leads to."""
    for me in range(len(steps)):
        world: World = pickle.loads(state)  # what was dumped here
        operation, at = world.at[me]
        if operation == len(steps[me]):
            continue
        went = steps[me][operation][at](world, me)
        if went is False:
            continue
        at = at + 1 if went is True else went
        done = at in (END, len(steps[me][operation]))
        world.at[me] = (operation + 1, 0) if done else (operation, at)
        yield pickle.dumps(world)
    for number, one in enumerate(pickle.loads(state).objects):
        for me, buffer in enumerate(one.get("buffers", ())):
            if buffer:  # the feeder of a process sends what that has put, in its order
                world = pickle.loads(state)
                world.objects[number]["sent"].append(world.objects[number]["buffers"][me].pop(0))
                yield pickle.dumps(world)


def _outcome(scene: Scene, world: World) -> object:
    if any(operation < len(actor) for (operation, _), actor in zip(world.at, scene.actors, strict=True)):
        return DEADLOCK
    finals = [_final(kind, one) for kind, one in zip(scene.kinds, world.objects, strict=True)]
    return (*world.numbers, *(one for one in finals if one is not None))


def _final(kind: str, state: Mapping[str, Any]) -> int | None:
    if not KINDS[kind].final:
        return None
    if kind == "array":
        return int(state["items"][0]) * 10 + int(state["items"][1])
    return int(state["v"])
