"""What a start method costs a suite: its time in each cell, beside the time that processes took to start there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bench.outcomes import METHODS
from bench.report.lines import Line, Span, counted, duration, line, wrapped
from bench.starts import added

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bench.report.loaded import CellRecords, RunRecords
    from bench.report.places import Place

NOTABLE_S = 1.0
NOTABLE = 0.1
"""Starts are reported where they took at least so many seconds, and such a part of the time of a cell."""

DEARER = 1.2
"""How many times as long as the quickest method one must take for a sentence of its own."""


class Cost(NamedTuple):
    """What one cell took, in seconds, each time that the command ran; and its starts, all methods together.

    `mostly` is what most of the starts' time went into, and `share` its part.
    """

    place: Place
    seconds: float
    starts: int
    starts_s: float
    mostly: str
    share: float


def costs(run: RunRecords) -> tuple[Cost, ...]:
    """Return what each cell took that ran to its end and recorded starts of processes, in the order of reports."""
    repeat = run.run.get("repeat")
    times = repeat if isinstance(repeat, int) else 1
    found = [_cost(cell, times) for cell in run.cells if cell.status in ("pass", "fail") and cell.starts]
    return tuple(sorted(found, key=lambda one: one.place.order))


def _cost(cell: CellRecords, times: int) -> Cost:
    lines = added(cell.starts).values()
    total = sum(one.seconds for one in lines) / times
    parts = {"interpreters that come up": sum(one.up_s for one in lines) / times}
    for one in lines:
        for package, (count, seconds) in one.imports.items():
            name = "modules of the standard library" if package == "stdlib" else package
            text = f"{counted(round(count / times), 'import')} of {name}"
            parts[text] = parts.get(text, 0.0) + seconds / times
    mostly = max(parts, key=lambda text: parts[text])
    share = parts[mostly] / total if total else 0.0
    starts = round(sum(one.count for one in lines) / times)
    return Cost(cell.place(), cell.end.seconds / times, starts, total, mostly, min(share, 1.0))


def cost_lines(run: RunRecords, width: int = 100) -> list[Line]:
    """Return the table, and a sentence for each method that costs.

    There is none where starts take next to no time, and where coverage was measured, which every process waits for.
    """
    found = () if run.run.get("coverage") else costs(run)
    notable = any(one.starts_s >= NOTABLE_S and one.starts_s >= NOTABLE * one.seconds for one in found)
    if not notable or len({one.place.method for one in found}) < 2:
        return []
    return [line(Span("What a start method costs", "bold")), *_table(found), *_sentences(found, width), line()]


def _table(found: Sequence[Cost]) -> Iterator[Line]:
    sizes = list(dict.fromkeys(one.place.size for one in sorted(found, key=lambda one: one.place.order[4:])))
    squares = {(one.place.python, one.place.method, one.place.size): _square(one) for one in found}
    widths = {size: max(len(size), *(len(text) for key, text in squares.items() if key[2] == size)) for size in sizes}
    heads = (f"  {size:<{widths[size]}}" for size in sizes)
    yield line(Span(f"  {'Python':<9} {'method':<11}", "bold"), *(Span(head, "bold") for head in heads))
    last = ""
    for python, method in dict.fromkeys((one.place.python, one.place.method) for one in found):
        texts = (f"  {squares.get((python, method, size), '.'):<{widths[size]}}" for size in sizes)
        yield line(f"  {python if python != last else '':<9} {method:<11}", *texts)
        last = python


def _square(one: Cost) -> str:
    return f"{duration(one.seconds)}, {counted(one.starts, 'start')} {duration(one.starts_s)}"


def _sentences(found: Sequence[Cost], width: int) -> Iterator[Line]:
    for method in METHODS:
        dearer = [(one.seconds / least, one) for one, least in _beside_quickest(found) if one.place.method == method]
        ratio, one = max(dearer, key=lambda pair: pair[0], default=(0.0, None))
        if one is None or ratio < DEARER or one.starts_s < NOTABLE_S:
            continue
        yield line("  ", Span(f"{method} costs this suite {ratio:.1f}x", "odd"), f" in {one.place.cell}")
        starts = f"{counted(one.starts, 'start')} took {duration(one.starts_s)} together"
        yield from wrapped(["      "], f"{starts}, {100 * one.share:.0f} % of it {one.mostly}", width)


def _beside_quickest(found: Iterable[Cost]) -> Iterator[tuple[Cost, float]]:
    """Yield each cost with the seconds of the quickest method on the same Python and CPUs, where there are several."""
    groups: dict[tuple[str, str], list[Cost]] = {}
    for one in found:
        groups.setdefault((one.place.python, one.place.size), []).append(one)
    for group in groups.values():
        if len(group) > 1:
            least = min(one.seconds for one in group)
            yield from ((one, least) for one in group if least > 0)
