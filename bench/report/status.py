"""The exit status of a run: a pure function of the statuses of its cells and of the axes that were asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.errors import FAILED, PASSED, Inconclusive, Interrupted, Unavailable

if TYPE_CHECKING:
    from bench.record import CellStatus
    from bench.report.loaded import CellRecords, RunRecords

BAD: frozenset[CellStatus] = frozenset({"fail", "timeout", "oom", "crash"})
"""The statuses that a test is to blame for: a failure, however the cell ended."""

OPEN: frozenset[CellStatus] = frozenset({"unknown", "mismatch"})
"""The statuses without a verdict on the test."""


MISSING: frozenset[CellStatus] = OPEN | {"unavailable"}
"""The statuses that a required cell must not end with."""


def exit_status(run: RunRecords) -> int:
    """Return the exit status of a whole run.

    A failure goes before trouble, and trouble before a missing verdict. An unavailable cell counts only where a person
    asked for it: its CPUs with `--cpus`, its Python with `--python`, or the cell by name. Where the project names cells
    that are required, these must have a verdict, and others need none. A run in which nothing passed is never a pass.
    """
    statuses = {cell.status for cell in run.cells}
    if run.run.get("interrupted") or "interrupted" in statuses:
        return Interrupted.exit_status
    if statuses & BAD:
        return FAILED
    required = _required(run)
    missing = any(cell.status in MISSING for cell in required)
    if "error" in statuses or (_pythons_missing(run) and not missing):
        return Unavailable.exit_status
    without_verdict = missing or (not required and statuses & OPEN)
    if without_verdict or _cpus_missing(run) or "pass" not in statuses:
        return Inconclusive.exit_status
    return PASSED


def _required(run: RunRecords) -> list[CellRecords]:
    """Return the cells that the project requires, of those that were not left out."""
    named = {str(one.get("cell")) for one in run.run.get("cells") or () if one.get("required")}
    return [cell for cell in run.cells if cell.cell in named and cell.status != "excluded"]


def _unavailable(run: RunRecords, *, planned: bool) -> bool:
    """Return whether a cell was unavailable: at planning (too few CPUs), or with `planned` false later (no image)."""
    decisions = {str(one.get("cell")): one.get("decision") for one in run.run.get("cells") or ()}
    return any(c.status == "unavailable" and (decisions.get(c.cell) == "run") != planned for c in run.cells)


def _pythons_missing(run: RunRecords) -> bool:
    nothing_else = all(cell.status in ("unavailable", "excluded") for cell in run.cells)
    return ("python" in (run.run.get("asked") or ()) or nothing_else) and _unavailable(run, planned=False)


def _cpus_missing(run: RunRecords) -> bool:
    return "cpus" in (run.run.get("asked") or ()) and _unavailable(run, planned=True)
