"""The states of a generation: as many as time and descriptors allow, and whether they can be restored."""

from __future__ import annotations

import sys
import time
from typing import NamedTuple

from bench.process.descriptors import open_descriptors
from bench.state.restoring import Restorer
from bench.state.survey import Unrestorable, survey

TYPE_CHECKING = False  # as type checkers know it: each group imports this

if TYPE_CHECKING:
    from typing import Any

    from bench.stress.coordinator import Group

MOST_STATES = 4096
MOST_DESCRIPTORS = 160
"""Descriptors that all states together may take: a forkserver is sent at most 256, and many hosts allow 1024."""

MOST_FOLDERS = 256
"""States that have a folder: to compare one costs as much as a sample, and all of them go at the end."""

MAKING = 0.15
"""The share of a group's time that making its states may take."""


class States(NamedTuple):
    """The states, what restores them if anything can, and whether they have folders."""

    states: list[Any]
    restorer: Restorer | None
    folders: bool


def make_states(group: Group) -> States:
    """Return new states for a group's actors; note in the group why they cannot be restored, if so."""
    begun, made = time.monotonic(), [group.kind(group.context)]
    folders = False
    if not group.singly:
        first = open_descriptors()  # the first state also opens what all share: a tracker, a forkserver, the heap
        made.append(group.kind(group.context))
        opened = open_descriptors().items() - first.items()
        if not group.why_rebuilt:
            folders = _survey(group, made[1], {target for _, target in opened})
        wanted = _most(group, len(opened), folders=folders)
        while len(made) < wanted and time.monotonic() - begun < MAKING * group.orders.seconds:
            made.append(group.kind(group.context))
    return States(made, _restorer(group, made), folders)


def _most(group: Group, descriptors: int, *, folders: bool) -> int:
    """Return how many states to make, of which each has so many descriptors open."""
    wanted = group.size if group.orders.trial else min(MOST_STATES, group.orders.samples or MOST_STATES)
    if descriptors:
        wanted = min(wanted, MOST_DESCRIPTORS // descriptors)
    if group.why_rebuilt:
        return min(wanted, group.size)
    return min(wanted, MOST_FOLDERS) if folders else wanted


def _survey(group: Group, state: Any, opened: set[str]) -> bool:
    """Return whether a state has folders; note in the group why such states cannot be restored, if so."""
    try:
        parts = survey(state)
    except Unrestorable as error:
        group.why_rebuilt = str(error)
        return False
    numbers = {number for _, number in parts.readers} | {segment._fd for segment in parts.segments}
    if opened - _targets(numbers) - _heap():
        group.why_rebuilt = "descriptors are open that no attribute accounts for"
        return False
    return bool(parts.folders)


def _restorer(group: Group, states: list[Any]) -> Restorer | None:
    if not group.why_rebuilt:
        try:
            return Restorer(states)
        except Unrestorable as error:
            group.why_rebuilt = str(error)
    return None


def _targets(numbers: set[int]) -> set[str]:
    """Return what descriptors lead to: a duplicate, such as a mapping keeps, leads to the same."""
    return {target for number, target in open_descriptors().items() if number in numbers}


def _heap() -> set[str]:
    heap = sys.modules.get("multiprocessing.heap")
    return set() if heap is None else _targets({arena.fd for arena in heap.BufferWrapper._heap._arenas})
