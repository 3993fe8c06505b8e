"""Several runs as one: the shards of a matrix, each run somewhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.errors import UsageError
from bench.record import End
from bench.report.loaded import CellRecords, RunRecords

SAME = ("targets", "command", "modes", "samples", "seconds", "deadline_s", "seed", "repeat")
"""The fields of `run.json` in which runs that are shards of one matrix are alike."""


def merge(runs: Mapping[str, RunRecords]) -> RunRecords:
    """Return the shards of a matrix as one run; one run alone is returned as it is.

    A cell that is in a shard, and in no run of those given, is `unknown`: half of a matrix is no pass.

    Args:
        runs: the runs, each by the name that a person knows it by.

    Raises:
        UsageError: if there is none, they differ in what they ran, one is no shard, or a cell ran in two of them.
    """
    if not runs:
        raise UsageError("no run to report; name the folder of one")
    (first_name, first), *others = runs.items()
    if not others:
        return first
    for name, run in runs.items():
        if not run.run.get("shard"):
            raise UsageError(f"{name} is a whole run; only those of shards (--shard I/N) are put together")
        if differing := [key for key in SAME if run.run.get(key) != first.run.get(key)]:
            raise UsageError(f"{name} is no shard of the same matrix as {first_name}: another {differing[0]}")
    names = dict.fromkeys(cell.cell for run in runs.values() for cell in run.cells)
    cells = tuple(_one(cell, runs) for cell in names)
    return RunRecords(_run(list(runs.values()), cells), cells)


def _one(name: str, runs: Mapping[str, RunRecords]) -> CellRecords:
    found = {run: cell for run, one in runs.items() for cell in one.cells if cell.cell == name}
    ran = {run: cell for run, cell in found.items() if not _is_elsewhere(cell)}
    if len({run for run, cell in ran.items() if cell.status != "excluded"}) > 1:
        raise UsageError(f"{name} ran in {' and in '.join(ran)}; were these shards divided by the same durations?")
    if ran:
        return next(iter(ran.values()))
    (elsewhere, *_) = found.values()
    why = f"no run of those given holds it: {elsewhere.end.why}"
    return CellRecords(name, None, (), (), End(name, "unknown", why, 0.0))


def _is_elsewhere(cell: CellRecords) -> bool:
    return cell.status == "excluded" and cell.end.why.startswith("in shard ")


def _run(runs: Sequence[RunRecords], cells: Sequence[CellRecords]) -> dict[str, Any]:
    """Return what would be the `run.json`: the shards ran beside each other, so the longest is the time of all."""
    first = runs[0].run
    decided: dict[str, Any] = {}
    for one in (one for run in runs for one in run.run.get("cells") or ()):
        if one["decision"] != "excluded" or one["cell"] not in decided:
            decided[one["cell"]] = one
    asked = dict.fromkeys(axis for run in runs for axis in run.run.get("asked") or ())
    bound = max((run.run.get("lower_bound_s") or 0.0 for run in runs), default=0.0)
    return {
        **first,
        "shard": None,
        "asked": list(asked),
        "cells": [decided[cell.cell] for cell in cells],
        "makespan_s": max((run.makespan_s or 0.0 for run in runs), default=0.0),
        "lower_bound_s": bound,
        "interrupted": any(run.run.get("interrupted") for run in runs),
    }
