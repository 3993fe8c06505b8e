"""Every outcome of a scene: all orders of the steps of its actors, and of its queues' feeders, are gone through."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tests.fuzz.operations import KINDS
from tests.fuzz.steps import Act, Timed, World, placed

if TYPE_CHECKING:
    from tests.fuzz.scenes import Scene

MOST_STATES = 100_000
DEADLOCK = "deadlock"
HELD = "a lock that is still held"


class TooLarge(Exception):
    """A scene has more states than are gone through."""


class _Part(NamedTuple):
    """An operation of a lane: the number of its object, its steps, and where names lead."""

    number: int
    steps: Sequence[Act]
    names: Mapping[str, int]


def outcomes(scene: Scene) -> set[object]:
    """Return what a scene may come to: lists as its `result` returns them, as tuples, `DEADLOCK` and `HELD`.

    Raises:
        TooLarge: if it has too many states.
    """
    lanes, world = _lanes(scene)
    found: set[object] = set()
    first = pickle.dumps(world)
    known, open_ = {first}, [first]
    while open_:
        state = open_.pop()
        after = list(_moves(state, lanes)) or list(_later(state, lanes))
        for one in after:
            if one not in known:
                if len(known) >= MOST_STATES:
                    raise TooLarge
                known.add(one)
                open_.append(one)
        if not after:
            found.add(_outcome(scene, pickle.loads(state), lanes))  # what was dumped above
    return found


def _lanes(scene: Scene) -> tuple[list[list[_Part]], World]:
    """Return what each lane does, the actors first, then the processes that they start; and the world at first."""
    actors = len(scene.actors)
    lanes = [[_Part(number, *placed(one.acts)) for one, number in actor] for actor in scene.actors]
    children: list[list[int]] = [[] for _ in scene.actors]
    for me, actor in enumerate(scene.actors):
        for one, number in actor:
            if one.child:
                children[me].append(len(lanes))
                lanes.append([_Part(number, *placed(one.child))])
    at: list[tuple[int, int] | None] = [(0, 0) if lane < actors else None for lane in range(len(lanes))]
    notes = [{"children": children[lane]} if lane < actors else {} for lane in range(len(lanes))]
    objects = [KINDS[kind].state(actors) for kind in scene.kinds]
    world = World(objects, [1] * actors, [*notes], at, until=[0] * len(lanes))
    for lane in range(actors):
        _arrive(world, lane, lanes)
    return lanes, world


def _moves(state: bytes, lanes: Sequence[Sequence[_Part]]) -> Iterator[bytes]:
    """Yield each state that one step leads to."""
    for me, parts in enumerate(lanes):
        world: World = pickle.loads(state)  # what was dumped here
        if (place := world.at[me]) is None or place[0] == len(parts):
            continue
        part = parts[place[0]]
        unstarted = [lane for lane, one in enumerate(world.at) if one is None]
        went = part.steps[place[1]](world, me, world.objects[part.number])
        if went is False:
            continue
        step = place[1] + 1 if went is True else part.names[went]
        world.at[me] = (place[0] + 1, 0) if step == len(part.steps) else (place[0], step)
        for lane in (me, *unstarted):
            _arrive(world, lane, lanes)
        yield pickle.dumps(world)
    for number, one in enumerate(pickle.loads(state).objects):
        for me, buffer in enumerate(one.get("buffers", ())):
            if buffer:  # the feeder of a process sends what that has put, in its order
                world = pickle.loads(state)
                world.objects[number]["sent"].append(world.objects[number]["buffers"][me].pop(0))
                yield pickle.dumps(world)


def _arrive(world: World, lane: int, lanes: Sequence[Sequence[_Part]]) -> None:
    """Note until when a lane waits at most, where it has come to a wait with a timeout."""
    world.until[lane] = 0
    timed = _timed(world, lane, lanes)
    if timed is not None:
        world.until[lane] = world.notes[lane]["end"] if timed.seconds is None else world.now + timed.seconds


def _timed(world: World, lane: int, lanes: Sequence[Sequence[_Part]]) -> Timed | None:
    place = world.at[lane]
    if place is None or place[0] == len(lanes[lane]):
        return None
    step = lanes[lane][place[0]].steps[place[1]]
    return step if isinstance(step, Timed) else None


def _later(state: bytes, lanes: Sequence[Sequence[_Part]]) -> Iterator[bytes]:
    """Yield the state in which the first of those waits is over that have a timeout."""
    world: World = pickle.loads(state)  # what was dumped here
    if waits := [world.until[lane] for lane in range(len(lanes)) if _timed(world, lane, lanes)]:
        world.now = min(waits)
        yield pickle.dumps(world)


def _outcome(scene: Scene, world: World, lanes: Sequence[Sequence[_Part]]) -> object:
    if any(place is not None and place[0] < len(parts) for place, parts in zip(world.at, lanes, strict=True)):
        return DEADLOCK
    if any(KINDS[kind].held(o) for kind, o in zip(scene.kinds, world.objects, strict=True)):
        return HELD
    finals = [KINDS[kind].shown(o) for kind, o in zip(scene.kinds, world.objects, strict=True) if KINDS[kind].final]
    return (*world.numbers, *finals)
