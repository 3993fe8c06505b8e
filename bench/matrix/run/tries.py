"""The status of a cell whose command ran several times, and of one in which failed tests were to run again. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.record import Judged, RecordLine, Test
from bench.testids import is_of

if TYPE_CHECKING:
    from bench.record import CellStatus

_WORST: tuple[CellStatus, ...] = (
    "interrupted",
    "mismatch",
    "fail",
    "timeout",
    "oom",
    "crash",
    "error",
    "unknown",
)
"""Every status of a cell that ran and did not pass, in the order in which one goes before another."""


def merged(tries: Sequence[tuple[CellStatus, str]]) -> tuple[CellStatus, str]:
    """Return the status of a cell from those of each time that its command ran, and how many times it was so."""
    for worst in _WORST:
        whys = [why for status, why in tries if status == worst]
        if whys:
            times = f"{len(whys)} of {len(tries)} times: " if len(tries) > 1 else ""
            return worst, times + whys[0]
    return tries[0]


def checked(status: CellStatus, why: str, only: Sequence[str], lines: Sequence[RecordLine]) -> tuple[CellStatus, str]:
    """Return the status of a cell in which failed tests were to run again: it passes only if all of them did run."""
    ran = {line.id for line in lines if isinstance(line, Test)}
    ran |= {line.target for line in lines if isinstance(line, Judged)}
    missing = [one for one in only if one not in ran and not any(is_of(test, {one}) for test in ran)]
    if not missing or status not in ("pass", "unknown"):
        return status, why
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    return "unknown", f"not there to run again: {missing[0]}{more}"
