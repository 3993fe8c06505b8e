"""A run that was cut: which of its cells are finished, and what there is to know in order to go on with it.

A cell is finished once its file has an `end` line, unless that says that the run was stopped. What another cell had
recorded is kept in the run's folder `cut`, and the cell runs again as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bench import record
from bench.cells import Cell
from bench.errors import UsageError
from bench.matrix import plan as plans
from bench.matrix.run.coverage import drop_coverage
from bench.record import End

if TYPE_CHECKING:
    from bench.matrix.plan import Plan

CUT = "cut"
"""The folder, in that of a run, of what cells had recorded before the run was cut."""


@dataclass(frozen=True)
class Begun:
    """What a run that was cut has done.

    `ends` are those of the cells that are finished. It ran for `seconds`, in all, until its last record. `version` is
    the forkbench that began it; `engine` where its cells ran. `resumed` are the times at which it was resumed before.
    """

    plan: Plan
    ends: Mapping[Cell, End]
    started: str
    seconds: float
    engine: str
    version: str
    resumed: tuple[str, ...] = ()

    @property
    def left(self) -> tuple[Cell, ...]:
        """The cells that are to run and are not finished, in the plan's order."""
        return tuple(cell for cell in self.plan.to_run if cell not in self.ends)


def read_begun(folder: Path) -> Begun:
    """Read a run that was cut.

    Raises:
        UsageError: if the folder holds no run of a matrix, or records that this version cannot understand.
    """
    run = record.read_run(folder)
    if "host_cpus" not in run or "cells" not in run:
        raise UsageError(f"{folder} is no run of a matrix; only those can be resumed")
    plan = plans.from_json({**run, "cells": list(map(_planned, run["cells"]))})
    found = {cell: _end(folder / "cells" / f"{cell.name}.jsonl") for cell in plan.to_run}
    versions = run.get("host", {}).get("versions", {})
    return Begun(
        plan,
        {cell: end for cell, end in found.items() if end is not None and end.status != "interrupted"},
        str(run.get("started")),
        float(run.get("before_s") or 0.0) + _ran_s(folder, run),
        str(run["engine"]),
        str(versions.get("forkbench", "")),
        tuple(run.get("resumed") or ()),
    )


def _planned(cell: Mapping[str, object]) -> dict[str, object]:
    """Return a cell as it was planned: `why` is the reason for its end, once it has run."""
    return {**cell, "why": ""} if cell["decision"] == "run" else dict(cell)


def _end(path: Path) -> End | None:
    """Return the end of a cell; `None` without one. Where it is whole but for its newline, the writer was killed."""
    if not path.is_file():
        return None
    return next((line for line in record.read_lines(path) if isinstance(line, End)), None)


def _ran_s(folder: Path, run: Mapping[str, object]) -> float:
    """Return for how many seconds a run went on until its last record, since it was begun or last resumed."""
    if isinstance(measured := run.get("makespan_s"), (int, float)):
        return max(0.0, float(measured) - float(str(run.get("before_s") or 0.0)))
    resumed = run.get("resumed")
    since = resumed[-1] if isinstance(resumed, list) and resumed else run.get("started")
    last = max((path.stat().st_mtime for path in (folder / "cells").glob("*.jsonl")), default=0.0)
    return max(0.0, last - datetime.fromisoformat(str(since)).timestamp())


def set_aside(folder: Path, cell: Cell) -> None:
    """Move what a cell has recorded to the folder `cut`, where it is read no more; a cell without records has none."""
    drop_coverage(folder, cell)
    path = folder / "cells" / f"{cell.name}.jsonl"
    if not path.exists():
        return
    aside = folder / CUT
    aside.mkdir(exist_ok=True)
    number = 1 + len(list(aside.glob(f"{cell.name}.*.jsonl")))
    path.replace(aside / f"{cell.name}.{number}.jsonl")
