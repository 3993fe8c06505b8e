"""The grid: a row for each Python and start method, a column for each size, and in each square a cell's status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.report.lines import Line, Span, Style, line

if TYPE_CHECKING:
    from bench.record import CellStatus
    from bench.report.loaded import RunRecords

STYLES: dict[CellStatus, Style] = {
    "pass": "good",
    "fail": "bad",
    "unknown": "trouble",
    "error": "trouble",
    "timeout": "bad",
    "oom": "bad",
    "crash": "bad",
    "unavailable": "dim",
    "excluded": "dim",
    "mismatch": "trouble",
    "interrupted": "trouble",
}
"""Every status a cell can end with, in the order in which summaries name them."""

SHOUTED: frozenset[str] = frozenset({"fail", "timeout", "oom", "crash", "error", "mismatch"})
"""The statuses in capitals, so that the grid reads without colour too."""


def status_text(status: CellStatus) -> str:
    """Return a status as reports write it: in capitals if it is bad."""
    return status.upper() if status in SHOUTED else status


def grid(run: RunRecords) -> list[Line]:
    """Draw the grid of a run; a square that was not planned stays a dot."""
    statuses = {cell.place(): cell.status for cell in run.cells}
    places = sorted(statuses, key=lambda place: place.order)
    sizes = list(dict.fromkeys(place.size for place in sorted(places, key=lambda place: place.by_size)))
    widths = {
        size: max(len(size), *(len(status_text(s)) for p, s in statuses.items() if p.size == size)) for size in sizes
    }
    broad = max([9, *(len(place.python) for place in places)])
    heading = line(
        Span(f"{'Python':<{broad}} {'method':<11}", "bold"), *(Span(f"  {s:<{widths[s]}}", "bold") for s in sizes)
    )
    rows: dict[tuple[str, str], dict[str, CellStatus]] = {}
    for place in places:
        rows.setdefault((place.python, place.method), {})[place.size] = statuses[place]
    return [heading, *_rows(rows, widths, broad)] if rows else []


def _rows(rows: dict[tuple[str, str], dict[str, CellStatus]], widths: dict[str, int], broad: int) -> list[Line]:
    lines = []
    last = ""
    for (python, method), by_size in rows.items():
        head = f"{python if python != last else '':<{broad}} {method:<11}"
        lines.append(line(head, *(_square(by_size.get(size), width) for size, width in widths.items())))
        last = python
    return lines


def _square(status: CellStatus | None, width: int) -> Span:
    if status is None:
        return Span(f"  {'.':<{width}}", "dim")
    return Span(f"  {status_text(status):<{width}}", STYLES[status])
