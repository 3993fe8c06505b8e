"""A run as read from its folder: what was planned, and what each cell recorded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from bench.record import End, Facts, Judged, Test, read_lines, read_run
from bench.report.places import Place, place_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from bench.record import CellStatus, Line


@dataclass(frozen=True)
class CellRecords:
    """One cell of a run: its lines, or for a cell that was left out its status and why."""

    cell: str
    facts: Facts | None
    judged: tuple[Judged, ...]
    tests: tuple[Test, ...]
    end: End

    @property
    def status(self) -> CellStatus:
        """The status that the cell ended with."""
        return self.end.status

    def place(self, method: str | None = None) -> Place:
        """Give where the cell is, for an observation under `method` if that is another than the cell's."""
        return place_of(self.cell, self.facts, method)


@dataclass(frozen=True)
class RunRecords:
    """A whole run; `run` is the content of `run.json`."""

    run: Mapping[str, Any]
    cells: tuple[CellRecords, ...]

    @property
    def seed(self) -> int | None:
        """The seed that everything random in the run came from."""
        seed = self.run.get("seed")
        return seed if isinstance(seed, int) else None

    @property
    def makespan_s(self) -> float | None:
        """Wall time in seconds, of the cells where that was written, else of the whole run; `None` while it runs."""
        if isinstance(measured := self.run.get("makespan_s"), (int, float)):
            return float(measured)
        started, ended = _when(self.run.get("started")), _when(self.run.get("ended"))
        return None if started is None or ended is None else max(ended - started, 0.0)


def _when(recorded: object) -> float | None:
    if isinstance(recorded, (int, float)):
        return float(recorded)
    try:
        return datetime.fromisoformat(str(recorded).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def read(folder: Path) -> RunRecords:
    """Read a run.

    Raises:
        UsageError: if the folder holds no run, or a record that this version cannot understand.
    """
    run = read_run(folder)
    planned = {str(one.get("cell")): one for one in run.get("cells") or () if isinstance(one, dict)}
    files = {path.stem: path for path in sorted((folder / "cells").glob("*.jsonl"))}
    cells = [
        gather(name, read_lines(files[name])) if name in files else _without_file(name, planned[name])
        for name in dict.fromkeys([*planned, *files])
    ]
    return RunRecords(run, tuple(cells))


def gather(cell: str, lines: Iterable[Line]) -> CellRecords:
    """Put the lines of one cell together; without an `end` line it was interrupted."""
    kept = tuple(lines)
    ends = [line for line in kept if isinstance(line, End)]
    return CellRecords(
        cell,
        next((line for line in kept if isinstance(line, Facts)), None),
        tuple(line for line in kept if isinstance(line, Judged)),
        tuple(line for line in kept if isinstance(line, Test)),
        ends[-1] if ends else End(cell, "interrupted", "the run ended before the cell did", 0.0),
    )


def _without_file(cell: str, planned: Mapping[str, Any]) -> CellRecords:
    decision = str(planned.get("status") or planned.get("decision") or "")
    left_out = decision if decision in ("unavailable", "excluded") else "interrupted"
    why = str(planned.get("why") or ("" if left_out != "interrupted" else "the run ended before the cell began"))
    return CellRecords(cell, None, (), (), End(cell, cast("CellStatus", left_out), why, 0.0))
