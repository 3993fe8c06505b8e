"""The kinds of objects in random scenarios, and what actors do with them. A new primitive is added to its module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.fuzz import channels, files, locks, memory, processes
from tests.fuzz.steps import Kind, Operation

KINDS: Mapping[str, Kind] = {**memory.KINDS, **locks.KINDS, **channels.KINDS, **files.KINDS, **processes.KINDS}

OPERATIONS: Sequence[Operation] = (
    *memory.OPERATIONS,
    *locks.OPERATIONS,
    *channels.OPERATIONS,
    *files.OPERATIONS,
    *processes.OPERATIONS,
)
