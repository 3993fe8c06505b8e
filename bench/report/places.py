"""Places, and the smallest statement of which of them have something in common.

A place is where something was observed: a Python, a start method and a size. A statement is a union of boxes, each a
choice of values per axis, or everything but such a union; it always covers exactly the places it was made for.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.cells import PYTHONS, parse_cell, parse_python
from bench.errors import UsageError
from bench.outcomes import METHODS
from bench.report.lines import words

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from bench.record import Facts

HOST = "this host"
"""The size of a cell without limits: the host itself."""


@dataclass(frozen=True)
class Place:
    """The place of an observation; `cell`, the name by which it can be run again, does not distinguish places."""

    python: str
    method: str
    size: str
    cell: str = field(compare=False)

    @property
    def order(self) -> tuple[object, ...]:
        """A key that puts places as a person would: by Python, method, size."""
        return (_python_rank(self.python), self.by_method, *self.by_size)

    @property
    def by_method(self) -> tuple[object, ...]:
        """A key that sorts by the method alone."""
        return _rank(METHODS, self.method)

    @property
    def by_size(self) -> tuple[object, ...]:
        """A key that sorts by the size, then by the cell's name."""
        return (_size_order(self.size), self.cell)


def place_of(cell: str, facts: Facts | None = None, method: str | None = None) -> Place:
    """Return the place of a cell, by its name if that has the form of one, else by its facts."""
    try:
        found = parse_cell(cell)
    except UsageError:
        return _place_by_facts(cell, facts, method)
    return Place(str(found.python), method or found.method, found.size, cell)


def _place_by_facts(cell: str, facts: Facts | None, method: str | None) -> Place:
    if facts is None:
        return Place("?", method or "?", HOST, cell)
    version = ".".join(facts.python.split(".")[:2])
    python = version if facts.implementation == "cpython" else facts.implementation + version
    return Place(python, method or facts.method_granted or "?", HOST, cell)


def _rank(known: tuple[str, ...], name: str) -> tuple[int, str]:
    return (known.index(name) if name in known else len(known), name)


def _python_rank(name: str) -> tuple[object, ...]:
    try:
        return (0, parse_python(name).rank)
    except UsageError:
        return (1, name)


def _size_order(size: str) -> tuple[int, float, int, str]:
    share, _, seen = size.partition("-seen")
    counted = int(seen) if seen.isdecimal() else 0
    if share.startswith("cpu") and share[3:].isdecimal():
        return (0, float(share[3:]), counted, size)
    if share.startswith("quota"):
        return (1, float(share[5:]), counted, size)
    return (2, 0.0, counted, size)


@dataclass(frozen=True)
class Box:
    """A choice of values on each axis; `None` leaves the axis free."""

    pythons: frozenset[str] | None = None
    methods: frozenset[str] | None = None
    sizes: frozenset[str] | None = None

    def holds(self, place: Place) -> bool:
        """Return whether the place is in the box."""
        return (
            (self.pythons is None or place.python in self.pythons)
            and (self.methods is None or place.method in self.methods)
            and (self.sizes is None or place.size in self.sizes)
        )

    def among(self, places: Iterable[Place]) -> frozenset[Place]:
        """Return those of the places that are in the box."""
        return frozenset(place for place in places if self.holds(place))

    @property
    def cost(self) -> int:
        """The length of its text: the axes that it names, and their values."""
        return sum(1 + len(axis) for axis in (self.pythons, self.methods, self.sizes) if axis is not None)


@dataclass(frozen=True)
class Statement:
    """A set of places: those in any of the boxes, or with `but` those in none of them."""

    boxes: tuple[Box, ...]
    but: bool = False

    def covers(self, universe: Iterable[Place]) -> frozenset[Place]:
        """Return the places that the statement covers."""
        return frozenset(place for place in universe if any(box.holds(place) for box in self.boxes) != self.but)

    @property
    def cost(self) -> int:
        """The length of its text: boxes above all, then their values; `but` has to be worth its own phrase."""
        return sum(100 + box.cost for box in self.boxes) + 2 * self.but


def state(some: Collection[Place], universe: Collection[Place]) -> Statement:
    """Return the smallest statement found that covers exactly `some` of the places in `universe`."""
    inside, outside = frozenset(some), frozenset(universe).difference(some)
    if not outside:
        return Statement((Box(),))
    either = (Statement(_cover(inside, universe)), Statement(_cover(outside, universe), but=True))
    return min(either, key=lambda statement: statement.cost)


def _cover(some: frozenset[Place], universe: Collection[Place]) -> tuple[Box, ...]:
    """Cover places with boxes that hold no other: the largest first, as greedy set cover does."""
    candidates = [(box, box.among(universe)) for box in _boxes_within(some, universe)]
    chosen: list[Box] = []
    left = set(some)
    while left:
        box, held = max(candidates, key=lambda one: (len(left & one[1]), -one[0].cost))
        chosen.append(box)
        left -= held
    return _lean(chosen, [box for box, _ in candidates], some, universe)


def _lean(
    chosen: list[Box], candidates: list[Box], some: frozenset[Place], universe: Collection[Place]
) -> tuple[Box, ...]:
    """Shrink each box, as cheaply as possible, to the places that no other covers: greedy boxes may overlap."""
    lean = list(chosen)
    for box in chosen:
        lean.remove(box)
        needed = some.difference(*(other.among(universe) for other in lean))
        if len(needed) == 1:
            lean.append(_around(needed, universe))  # a name is the shortest text
        elif needed:
            fitting = [one for one in [_around(needed, universe), *candidates] if needed <= one.among(universe) <= some]
            lean.append(min(fitting, key=lambda one: one.cost))
    return tuple(sorted(lean, key=lambda box: box.cost))


def _around(places: frozenset[Place], universe: Collection[Place]) -> Box:
    pythons, methods, sizes = zip(*((place.python, place.method, place.size) for place in places), strict=True)
    return _freed(Box(frozenset(pythons), frozenset(methods), frozenset(sizes)), universe)


def _boxes_within(some: frozenset[Place], universe: Collection[Place]) -> Iterator[Box]:
    """Yield, for each choice of methods and sizes, the box with all the Pythons that it can have."""
    methods, sizes = {p.method for p in universe}, {p.size for p in universe}
    for chosen in itertools.product(_choices(methods), _choices(sizes)):
        rows = [p for p in universe if p.method in chosen[0] and p.size in chosen[1]]
        pythons = frozenset(p.python for p in rows).difference(p.python for p in rows if p not in some)
        if pythons:
            yield _freed(Box(pythons, *chosen), universe)


def _choices(values: Collection[str]) -> Iterator[frozenset[str]]:
    # All subsets of a few values; of many (a sweep over sizes) only each alone and all together.
    lengths: Iterable[int] = range(1, len(values) + 1) if len(values) <= 5 else (1, len(values))
    for length in lengths:
        yield from map(frozenset, itertools.combinations(sorted(values), length))


def _freed(box: Box, universe: Collection[Place]) -> Box:
    """Return the box without the axes that it does not need to hold the same places."""
    held = box.among(universe)
    for axes in sorted(itertools.product((True, False), repeat=3), key=sum):
        tried = Box(box.pythons if axes[0] else None, box.methods if axes[1] else None, box.sizes if axes[2] else None)
        if tried.among(universe) == held:
            return tried
    return box


def where(some: Collection[Place], universe: Collection[Place], noun: str = "cell") -> str:
    """Return some of the places in words: `only under spawn and forkserver (24 of 36 cells)`."""
    if len(universe) == 1:
        return f"in {name_of(next(iter(universe)))}"
    if len(frozenset(some)) == len(frozenset(universe)):
        return _everywhere(universe, noun)
    if len(some) == 1:
        return f"only in {name_of(next(iter(some)))} (of {len(universe)} {noun}s)"
    found = state(some, universe)
    boxes = _boxes_text(found.boxes, universe)
    text = f"in all {noun}s except {boxes}" if found.but else f"only {boxes}"
    return f"{text} ({len(some)} of {len(universe)} {noun}s)"


def name_of(place: Place) -> str:
    """Return the name of a place: the cell's, and on the host the start method besides."""
    return place.cell if place.size != HOST else f"{place.cell} under {place.method}"


def _everywhere(universe: Collection[Place], noun: str) -> str:
    if {place.size for place in universe} == {HOST}:
        return f"under {words(_sorted(METHODS, {place.method for place in universe}))}"
    return f"in both {noun}s" if len(universe) == 2 else f"in all {len(universe)} {noun}s"


def _boxes_text(boxes: tuple[Box, ...], universe: Collection[Place]) -> str:
    """Return the boxes in words, one after the other; a box with a single place by the name of that place."""
    held = [(box, sorted(box.among(universe), key=lambda place: place.order)) for box in boxes]
    names = sorted((places[0] for _, places in held if len(places) == 1), key=lambda place: place.order)
    parts = [_box_text(box, universe) for box, places in held if len(places) > 1]
    return "; and ".join([*parts, *([f"in {words([name_of(place) for place in names])}"] if names else [])])


def _box_text(box: Box, universe: Collection[Place]) -> str:
    parts = (
        box.methods and f"under {words(_sorted(METHODS, box.methods))}",
        box.pythons and f"on {_pythons_text(box.pythons, universe)}",
        box.sizes and f"with {_sizes_text(box.sizes)}",
    )
    return " ".join(part for part in parts if part)


def _sorted(known: tuple[str, ...], names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: _rank(known, name))


def _pythons_text(chosen: frozenset[str], universe: Collection[Place]) -> str:
    # Only plain versions make a range: builds, variants and patch levels beside them are named one by one.
    there = [p for p in PYTHONS if p[:1].isdigit() and p in {place.python for place in universe}]
    versions = [p for p in there if p in chosen]
    others = sorted(chosen.difference(versions), key=_python_rank)
    start = there.index(versions[0]) if versions else 0
    if len(versions) >= 3 and there[start : start + len(versions)] == versions:
        last = start + len(versions) == len(there)
        versions = [f"{versions[0]} and later" if last else f"{versions[0]} to {versions[-1]}"]
    return words([*versions, *others])


def _sizes_text(sizes: frozenset[str]) -> str:
    """Return sizes in words: those that are pins alone together, the others one by one."""
    ordered = sorted(sizes, key=_size_order)
    cpus = [size[3:] for size in ordered if size.startswith("cpu") and "-" not in size]
    parts = [_cpus_text(cpus)] if cpus else []
    return words([*parts, *(_size_text(size) for size in ordered if size[3:] not in cpus)], "or")


def _cpus_text(counts: list[str]) -> str:
    return f"{words(counts, 'or')} {'CPU' if counts == ['1'] else 'CPUs'}"


def _size_text(size: str) -> str:
    share, _, seen = size.partition("-seen")
    if share.startswith("cpu"):
        share = _cpus_text([share[3:]])
    elif share.startswith("quota"):
        share = f"a quota of {share[5:]} CPUs"
    return f"{share} ({seen} seen)" if seen else share
