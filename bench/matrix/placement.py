"""Placement: which waiting cells start now, and on which CPUs. Pure: the run's loop asks, and carries it out."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.cells import Cell
from bench.sampling import TIMED

_REPEAT_S: Mapping[str, float] = {"fork": 6.0, "forkserver": 8.0, "spawn": 12.0}
"""How long the demos take in a cell, in seconds: a first estimate, replaced by the times of an earlier run."""

_TIMED_S = 4.0
"""How long the demos take in a mode that is bounded by time, in seconds: about one for each scenario."""

_ONE_CPU_FACTOR = 1.4
_PYPY_FACTOR = 2.0


@dataclass(frozen=True)
class Waiting:
    """A cell that waits for `cpus_needed` CPUs and is expected to hold them for `expected_s` seconds."""

    cell: Cell
    cpus_needed: int
    expected_s: float


def cpus_needed(cell: Cell) -> int:
    """Return how many CPUs a cell takes. A quota counts as that many whole CPUs, kept free though it is not pinned."""
    return cell.cpus if cell.quota is None else math.ceil(cell.quota)


def expected_s(
    cell: Cell, *, modes: Collection[str] = ("repeat",), earlier: Mapping[str, float] | None = None
) -> float:
    """Estimate how long a cell takes, in seconds.

    Args:
        cell: the cell.
        modes: `repeat` takes as long as its processes take to start, the other modes as long as they are given.
        earlier: seconds by cell name, from an earlier run of the same.
    """
    if earlier and cell.name in earlier:
        return earlier[cell.name]
    timed = _TIMED_S * len(TIMED.intersection(modes))
    if "repeat" not in modes:
        return timed
    one_cpu = _ONE_CPU_FACTOR if cpus_needed(cell) == 1 else 1.0
    pypy = _PYPY_FACTOR if cell.python.implementation == "pypy" else 1.0
    return _REPEAT_S[cell.method] * one_cpu * pypy + timed


def waiting(cell: Cell, *, modes: Collection[str] = ("repeat",), earlier: Mapping[str, float] | None = None) -> Waiting:
    """Return the entry of a cell that is to be placed; the arguments are those of `expected_s`."""
    return Waiting(cell, cpus_needed(cell), expected_s(cell, modes=modes, earlier=earlier))


def choose(waiting: Sequence[Waiting], free: frozenset[int]) -> list[tuple[Waiting, tuple[int, ...]]]:
    """Choose the cells that start now, each with the exact CPUs it is to hold.

    Wide ones first, since they fit least often; then long ones, since a long one started last runs alone at the end;
    then by name. No CPU is given twice, and no cell is left waiting that would fit beside the chosen ones.
    """
    left = sorted(free)
    chosen = []
    for one in sorted(waiting, key=lambda w: (-w.cpus_needed, -w.expected_s, w.cell.name)):
        if one.cpus_needed <= len(left):
            chosen.append((one, tuple(left[: one.cpus_needed])))
            del left[: one.cpus_needed]
    return chosen


def lower_bound_s(done: Iterable[tuple[int, float]], cores: int) -> float:
    """Return the least time in which any placement could have run these cells: the larger of area and longest cell.

    Args:
        done: CPUs and seconds of each cell.
        cores: how many CPUs there were.
    """
    pairs = list(done)
    area = sum(cpus * seconds for cpus, seconds in pairs) / cores
    return max([area, *(seconds for _, seconds in pairs)])
