"""Random scenarios: which objects there are, and what each actor does to them, one operation after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from tests.fuzz.operations import KINDS, OPERATIONS, Operation

NAMES = ("first", "second", "third")


@dataclass(frozen=True)
class Scene:
    """A scenario: the kinds of its objects, and for each actor its operations with the objects that they are on."""

    kinds: tuple[str, ...]
    actors: tuple[tuple[tuple[Operation, int], ...], ...]

    def __repr__(self) -> str:
        told = [
            f"{name}: " + ", ".join(f"{self.kinds[number]}{number} {operation.name}" for operation, number in actor)
            for name, actor in zip(NAMES, self.actors, strict=False)
        ]
        return f"Scene({'; '.join(told)})"

    def used(self) -> Counter[str]:
        """Return how often each operation occurs."""
        return Counter(f"{operation.kind} {operation.name}" for actor in self.actors for operation, _ in actor)

    def source(self, name: str) -> str:
        """Return the scenario as Python, under a name."""
        lines = ["@scenario(acceptable(lambda value: True, 'any'))", f"class {name}:", "    def __init__(self, mp):"]
        for number, kind in enumerate(self.kinds):
            lines.append(f"        self.o{number} = {KINDS[kind].made.format(actors=len(self.actors))}")
        lines.append("        self.flag = mp.RawValue('i', 0)")
        lines += [f"        self.of_{one} = mp.RawValue('q', 1)" for one, _ in zip(NAMES, self.actors, strict=False)]
        for one, actor in zip(NAMES, self.actors, strict=False):
            lines += ["", "    @actor", f"    def {one}(self):", "        n = 1"]
            for operation, number in actor:
                lines += [f"        {line.replace('{o}', f'self.o{number}')}" for line in operation.lines]
            lines.append(f"        self.of_{one}.value = n")
        lines += ["", "    def result(self):"]
        numbers = [f"self.of_{one}.value" for one, _ in zip(NAMES, self.actors, strict=False)]
        finals = [
            KINDS[kind].final.replace("{o}", f"self.o{number}")
            for number, kind in enumerate(self.kinds)
            if KINDS[kind].final
        ]
        for number, kind in enumerate(self.kinds):
            if cleared := KINDS[kind].cleared:
                lines.append(f"        {cleared.replace('{o}', f'self.o{number}')}")
        lines += [f"        return [{', '.join([*numbers, *finals])}]", ""]
        return "\n".join(lines)


HEAD = """import fcntl
import os
import queue
import tempfile
import time
from multiprocessing import shared_memory

from bench import acceptable, actor, scenario


"""


def module(scenes: Sequence[Scene]) -> str:
    """Return a module of scenarios `S0`, `S1`, ..."""
    return HEAD + "\n\n".join(scene.source(f"S{number}") for number, scene in enumerate(scenes))


@st.composite
def scenes(draw: st.DrawFn, method: str = "fork", most_operations: int = 6) -> Scene:
    """Draw a scene of two or three actors with at most so many operations in all, on one or two objects."""
    kinds = tuple(draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=2)))
    choices = [
        (operation, number) for number, kind in enumerate(kinds) for operation in OPERATIONS if operation.kind == kind
    ]
    count = draw(st.integers(2, 3))
    room = most_operations // count
    actors = [draw(st.lists(st.sampled_from(choices), min_size=1, max_size=room)) for _ in range(count)]
    return pruned(kinds, actors, method)


def pruned(kinds: tuple[str, ...], actors: list[list[tuple[Operation, int]]], method: str) -> Scene:
    """Return a scene of these without what the simulator does not know.

    A barrier is passed once by each actor, so that it is never entered while others leave it; there is one condition,
    as there is one flag that is waited for. One actor alone receives from a pipe: two get pieces of each other's
    messages, as a connection has no lock.
    """
    for number, kind in enumerate(kinds):
        if kind == "pipe":
            actors = _one_receiver(actors, number)
        if method not in KINDS[kind].methods:
            actors = [[one for one in actor if one[1] != number] for actor in actors]
        if kind == "barrier":
            actors = [_once(actor, number) for actor in actors]
        if kind == "condition" and number != kinds.index("condition"):
            actors = [[one for one in actor if one[1] != number] for actor in actors]
    return Scene(kinds, tuple(map(tuple, actors)))


def _one_receiver(actors: list[list[tuple[Operation, int]]], number: int) -> list[list[tuple[Operation, int]]]:
    receives = [[(operation.name, of) == ("receive", number) for operation, of in actor] for actor in actors]
    first = next((index for index, found in enumerate(receives) if any(found)), None)
    return [
        actor if index == first else [one for one, out in zip(actor, found, strict=True) if not out]
        for index, (actor, found) in enumerate(zip(actors, receives, strict=True))
    ]


def _once(actor: list[tuple[Operation, int]], number: int) -> list[tuple[Operation, int]]:
    waits = [index for index, (operation, of) in enumerate(actor) if of == number and operation.name == "wait"]
    return [one for index, one in enumerate(actor) if index not in waits[1:]]
