"""The exit status of a run: a pure function of how its cells ended and of what was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.errors import FAILED, PASSED, Inconclusive, Interrupted, Unavailable

if TYPE_CHECKING:
    from bench.record import CellStatus
    from bench.report.loaded import RunRecords

BAD: frozenset[CellStatus] = frozenset({"fail", "timeout", "oom", "crash"})
"""What a test did: a failure, however its cell went down."""

OPEN: frozenset[CellStatus] = frozenset({"unknown", "mismatch"})
"""What says nothing of the test."""


def exit_status(run: RunRecords) -> int:
    """Give the exit status of a whole run.

    A failure weighs more than trouble, and trouble more than what is open. An unavailable cell counts only where a
    person asked for it: its CPUs with `--cpus`, its Python with `--python`, or the cell by name. A run in which
    nothing passed is never a pass.
    """
    statuses = {cell.status for cell in run.cells}
    if run.run.get("interrupted") or "interrupted" in statuses:
        return Interrupted.exit_status
    if statuses & BAD:
        return FAILED
    if "error" in statuses or _pythons_missing(run):
        return Unavailable.exit_status
    if statuses & OPEN or _cpus_missing(run) or "pass" not in statuses:
        return Inconclusive.exit_status
    return PASSED


def _unavailable(run: RunRecords, *, planned: bool) -> bool:
    """Tell whether a cell was unavailable already when it was planned (too few CPUs), or only then (no image)."""
    decisions = {str(one.get("cell")): one.get("decision") for one in run.run.get("cells") or ()}
    return any(c.status == "unavailable" and (decisions.get(c.cell) == "run") != planned for c in run.cells)


def _pythons_missing(run: RunRecords) -> bool:
    nothing_else = all(cell.status in ("unavailable", "excluded") for cell in run.cells)
    return ("python" in (run.run.get("asked") or ()) or nothing_else) and _unavailable(run, planned=False)


def _cpus_missing(run: RunRecords) -> bool:
    return "cpus" in (run.run.get("asked") or ()) and _unavailable(run, planned=True)
