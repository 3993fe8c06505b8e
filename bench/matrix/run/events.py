"""The events of a running matrix, for whoever displays it, and its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from bench.cells import Cell
from bench.record import CellStatus, End, RecordLine


@dataclass(frozen=True)
class Preparing:
    """A preparation that takes a while, or the reason why cells wait, as one line of text."""

    text: str


@dataclass(frozen=True)
class CellStarted:
    """A cell holds its CPUs and starts; `at` is in seconds since the epoch."""

    cell: Cell
    cpus: tuple[int, ...]
    at: float


@dataclass(frozen=True)
class CellLine:
    """A cell recorded a line."""

    cell: Cell
    line: RecordLine


@dataclass(frozen=True)
class CellEnded:
    """A cell has its status; sent also for a cell that never started."""

    cell: Cell
    status: CellStatus
    why: str
    seconds: float


Event: TypeAlias = "Preparing | CellStarted | CellLine | CellEnded"


@dataclass(frozen=True)
class RunResult:
    """The result of a run: how every planned cell ended, in the plan's order; times are in seconds.

    `makespan_s` is the time from the first cell's start to the last one's end, `lower_bound_s` the least that any
    placement of these cells on these CPUs could have taken.
    """

    folder: Path
    ends: Mapping[Cell, End]
    interrupted: bool
    seconds: float
    makespan_s: float
    lower_bound_s: float
