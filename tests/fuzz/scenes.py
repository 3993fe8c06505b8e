"""Random scenarios: which objects there are, and what each actor does to them, one operation after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from tests.fuzz.operations import KINDS, OPERATIONS
from tests.fuzz.steps import Operation

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
            made = KINDS[kind].made.replace("{actors}", str(len(self.actors)))
            lines.append(f"        self.o{number} = {made}")
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


def parsed(told: str) -> Scene:
    """Return the scene that is told as `Scene` itself tells it: `first: lock0 try, raw1 get; second: lock0 hold`."""
    kinds: dict[int, str] = {}
    actors = [
        [_parsed(one, kinds) for one in actor.partition(": ")[2].split(", ") if one] for actor in told.split("; ")
    ]
    return Scene(tuple(kinds[number] for number in range(len(kinds))), tuple(map(tuple, actors)))


def _parsed(told: str, kinds: dict[int, str]) -> tuple[Operation, int]:
    for one in OPERATIONS:
        before, _, rest = told.partition(f" {one.name}")
        kind, number = before[:-1], before[-1:]
        if not rest and kind == one.kind and number.isdigit():
            kinds[int(number)] = kind
            return one, int(number)
    raise ValueError(f"no operation: {told}")


HEAD = """import ctypes
import fcntl
import multiprocessing
import os
import queue
import tempfile
import threading
import time
from multiprocessing import shared_memory, sharedctypes

from bench import acceptable, actor, scenario


class Pair(ctypes.Structure):
    _fields_ = [("a", ctypes.c_int), ("b", ctypes.c_int)]


class Bits(ctypes.Structure):
    _fields_ = [("x", ctypes.c_uint, 4), ("y", ctypes.c_uint, 4)]


def file_with(content):
    path = os.path.join(tempfile.mkdtemp(), "f")
    with open(path, "wb") as file:
        file.write(content)
    return path


def folder_with(name):
    folder = tempfile.mkdtemp()
    open(os.path.join(folder, name), "wb").close()
    return folder


def add_one(number):
    number.value += 1


def item_of(items):
    try:
        return int(min(items[0], 7))
    except ValueError:
        return 9


"""


def module(scenes: Sequence[Scene]) -> str:
    """Return a module of scenarios `S0`, `S1`, ..."""
    return HEAD + "\n\n".join(scene.source(f"S{number}") for number, scene in enumerate(scenes))


def choices_of(kinds: Sequence[str], *, timed: bool = True) -> list[tuple[Operation, int]]:
    """Return the operations on objects of these kinds, each with its object; without those that take time, or with."""
    return [
        (one, number)
        for number, kind in enumerate(kinds)
        for one in OPERATIONS
        if one.kind == kind and (timed or not one.is_timed)
    ]


@st.composite
def scenes(draw: st.DrawFn, method: str = "fork", *, timed: bool = True, most_operations: int = 6) -> Scene:
    """Draw a scene of two or three actors with at most so many operations in all, on one or two objects."""
    kinds = tuple(draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=2)))
    choices = choices_of(kinds, timed=timed)
    count = draw(st.integers(2, 3))
    room = most_operations // count
    actors = [draw(st.lists(st.sampled_from(choices), min_size=1, max_size=room)) for _ in range(count)]
    return pruned(kinds, actors, method)


def pruned(kinds: tuple[str, ...], actors: list[list[tuple[Operation, int]]], method: str) -> Scene:
    """Return a scene of these without what the simulator does not know.

    One actor alone receives from an end of a pipe: two get pieces of each other's messages, as a connection has no
    lock. One actor starts one process: of more there are too many interleavings.
    """
    for number, kind in enumerate(kinds):
        for name in _RECEIVE.get(kind, ()):
            actors = _one_receiver(actors, number, name)
        if method not in KINDS[kind].methods:
            actors = [[one for one in actor if one[1] != number] for actor in actors]
    return Scene(kinds, tuple(map(tuple, _one_parent(actors))))


_RECEIVE = {"pipe": ("receive",), "duplex": ("receive", "receive back")}


def _one_receiver(
    actors: list[list[tuple[Operation, int]]], number: int, name: str
) -> list[list[tuple[Operation, int]]]:
    receives = [[(operation.name, of) == (name, number) for operation, of in actor] for actor in actors]
    first = next((index for index, found in enumerate(receives) if any(found)), None)
    return [
        actor if index == first else [one for one, out in zip(actor, found, strict=True) if not out]
        for index, (actor, found) in enumerate(zip(actors, receives, strict=True))
    ]


def _one_parent(actors: list[list[tuple[Operation, int]]]) -> list[list[tuple[Operation, int]]]:
    there = False
    kept: list[list[tuple[Operation, int]]] = []
    for actor in actors:
        kept.append([])
        for one in actor:
            if not (there and one[0].child):
                kept[-1].append(one)
            there = there or bool(one[0].child)
    return kept
