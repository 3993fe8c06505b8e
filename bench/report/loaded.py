"""A run as read from its folder: its plan, and the records of each cell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from bench.record import End, Facts, Judged, Notes, Test, read_lines, read_run
from bench.report.places import Place, place_of
from bench.starts import Starts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from bench.record import CellStatus, RecordLine
    from bench.sampling import Mode


@dataclass(frozen=True)
class CellRecords:
    """The records of one cell; a cell that was left out has its end alone."""

    cell: str
    facts: Facts | None
    judged: tuple[Judged, ...]
    tests: tuple[Test, ...]
    end: End
    starts: tuple[Starts, ...] = ()
    notes: tuple[Notes, ...] = ()

    @property
    def status(self) -> CellStatus:
        """The status that the cell ended with."""
        return self.end.status

    def place(self, method: str | None = None) -> Place:
        """Return the place of the cell; of an observation in it where that has a start method of its own."""
        return place_of(self.cell, self.facts, method)


class Located(NamedTuple):
    """An observation, its place, and the seed of its cell."""

    judged: Judged
    place: Place
    seed: int | None


@dataclass(frozen=True)
class RunRecords:
    """A whole run; `run` is the content of `run.json`."""

    run: Mapping[str, Any]
    cells: tuple[CellRecords, ...]

    @property
    def seed(self) -> int | None:
        """The seed of the run; `None` where `run.json` has none."""
        seed = self.run.get("seed")
        return seed if isinstance(seed, int) else None

    @property
    def makespan_s(self) -> float | None:
        """Wall time in seconds, of the cells where that was written, else of the whole run; `None` while it runs."""
        if isinstance(measured := self.run.get("makespan_s"), (int, float)):
            return float(measured)
        started, ended = _timestamp(self.run.get("started")), _timestamp(self.run.get("ended"))
        return None if started is None or ended is None else max(ended - started, 0.0)

    def observations(self, mode: Mode | None = None) -> Iterator[Located]:
        """Yield every observation, or those in one mode, in the order in which they were recorded."""
        for cell in self.cells:
            seed = cell.facts.seed if cell.facts is not None else self.seed
            for judged in cell.judged:
                if mode in (None, judged.mode):
                    yield Located(judged, cell.place(judged.method), seed)


def _timestamp(recorded: object) -> float | None:
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


def gather(cell: str, lines: Iterable[RecordLine]) -> CellRecords:
    """Return the lines of one cell by their types; without an `end` line the cell was interrupted."""
    every = tuple(lines)
    ends = [line for line in every if isinstance(line, End)]
    return CellRecords(
        cell,
        next((line for line in every if isinstance(line, Facts)), None),
        tuple(line for line in every if isinstance(line, Judged)),
        tuple(line for line in every if isinstance(line, Test)),
        ends[-1] if ends else End(cell, "interrupted", "the run ended before the cell did", 0.0),
        tuple(line for line in every if isinstance(line, Starts)),
        tuple(line for line in every if isinstance(line, Notes)),
    )


def _without_file(cell: str, planned: Mapping[str, Any]) -> CellRecords:
    decision = str(planned.get("status") or planned.get("decision") or "")
    left_out = decision if decision in ("unavailable", "excluded") else "interrupted"
    why = str(planned.get("why") or ("" if left_out != "interrupted" else "the run ended before the cell began"))
    return CellRecords(cell, None, (), (), End(cell, cast("CellStatus", left_out), why, 0.0))
