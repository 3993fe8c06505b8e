"""The histogram of one observation, as lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.figures import ExploreFigures, StressFigures
from bench.report.lines import (
    LEAST_ROOM,
    Line,
    Span,
    Style,
    counted,
    duration,
    line,
    one_line,
    percent,
    rows_of,
    wrapped,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.figures import Figures
    from bench.outcomes import Grade
    from bench.record import Graded, Judged

BAR = 20
"""Characters of a bar that stands for every sample."""

MOST_ROWS = 4
"""Rows that a value may take; a record has all of it."""

MOST_ROWS_OF_OTHERS = 12
"""Rows that the text of another outcome may take: the place stands at its end, and messages may be of any length."""

STYLES: dict[Grade | None, Style] = {"acceptable": "good", "interesting": "odd", "forbidden": "bad", None: ""}
VERDICTS: dict[str, Style] = {"pass": "good", "fail": "bad", "unknown": "trouble"}


def histogram(judged: Judged, *, width: int = 100, top: int = 8) -> list[Line]:
    """Draw an observation: a heading, a bar for each of the most frequent outcomes, figures, warnings, and why.

    Args:
        judged: the observation, with its verdict.
        width: characters of a line; longer texts are wrapped, and only very long values are cut.
        top: the number of outcomes that get a line; forbidden ones always do, the others share a last line.
    """
    return [
        _heading(judged),
        *_bars(judged.outcomes, width, top),
        *(row for text in _figures_texts(judged.figures) for row in wrapped(["    "], text, width)),
        *(row for text in judged.warnings for row in wrapped(["    warning: "], text, width)),
        *(wrapped(["    why: "], judged.why, width) if judged.why else []),
    ]


def _heading(judged: Judged) -> Line:
    where = ", ".join(filter(None, (judged.mode, judged.method, judged.cell)))
    noun = "schedule" if judged.mode == "explore" else "sample"
    return line(
        Span(f"{judged.verdict.upper() if judged.verdict == 'fail' else judged.verdict:<8}", VERDICTS[judged.verdict]),
        Span(judged.target, "bold"),
        f"  [{where}]  {counted(judged.samples, noun)} in {duration(judged.seconds)}",
    )


def _figures_texts(figures: Figures | None) -> list[str]:
    """Return what the mode has shown, if it claims anything, and its figures."""
    match figures:
        case StressFigures():
            texts = ["; ".join(_stress_parts(figures))]
        case ExploreFigures():
            texts = [figures.claim or "", "; ".join(_explore_parts(figures))]
        case None:
            texts = []
    return [text for text in texts if text]


def _stress_parts(figures: StressFigures) -> Iterator[str]:
    """Yield the speed, the share of samples in which the actors overlapped, and bounds for outcomes not seen."""
    if (rate := figures.samples_per_second) is not None:
        yield f"{rate:,.0f} samples/s"
    if (collisions := figures.collision_rate) is not None:
        yield f"actors overlapped in {percent(collisions)}"
    if figures.rebuilt:
        yield f"state made anew for {percent(figures.rebuilt)}"
    for one in figures.not_seen:
        yield f"{one.outcome}: not seen, rate below {one.at_most:.1e} at 95 % (rule of three)"


def _explore_parts(figures: ExploreFigures) -> Iterator[str]:
    """Yield the schedules that were left off, the speed and the strategy."""
    if figures.asleep:
        yield f"{counted(figures.asleep, 'schedule')} pruned, since others are equal to them"
    if (rate := figures.steps_per_second) is not None:
        yield f"{rate:,.0f} steps/s"
    if figures.strategy:
        yield f"by {figures.strategy}"


def _bars(outcomes: Sequence[Graded], width: int, top: int) -> list[Line]:
    total = max(sum(one.count for one in outcomes), 1)
    shown = [one for index, one in enumerate(outcomes) if index < top or one.grade == "forbidden"]
    rest = [one for index, one in enumerate(outcomes) if index >= top and one.grade != "forbidden"]
    rows: list[Line] = []
    above: tuple[Grade | None, str] | None = None
    for one in shown:
        rows += _bar(one, total, width, as_above=bool(one.why) and above == (one.grade, one.why))
        above = (one.grade, one.why)
    return [*rows, *_rest(rest, total)]


def _bar(one: Graded, total: int, width: int, *, as_above: bool) -> Iterator[Line]:
    """Yield the bar with its outcome and grade; the reason is wrapped beside the outcome, or below one that is long."""
    share = one.count / total
    bar = "#" * max(1, round(share * BAR))
    head = f"    {one.count:>9,} {percent(share):>7} {bar:<{BAR}} "
    room = max(width - len(head), LEAST_ROOM)
    rows = MOST_ROWS if one.outcome.kind == "value" else MOST_ROWS_OF_OTHERS
    text = one_line(one.outcome.text(), rows * room)
    why = "as above" if as_above else one.why if one.grade else "not graded"
    tail = f"{one.grade or 'ungraded'}" + (f": {one_line(why)}" if why else "")
    style = STYLES[one.grade]
    if len(text) + 2 + len(tail) <= room or len(text) + 2 + LEAST_ROOM <= room:
        yield from wrapped([head, text, "  "], tail, width, style=style)
        return
    below = " " * len(head)
    for number, row in enumerate(rows_of(text, room)):
        yield line(below if number else head, row)
    for row in rows_of(tail, room):
        yield line(below, Span(row, style))


def _rest(rest: Sequence[Graded], total: int) -> list[Line]:
    if not rest:
        return []
    count = sum(one.count for one in rest)
    return [line(f"    {count:>9,} {percent(count / total):>7} {'':<{BAR}} {counted(len(rest), 'more outcome')}")]
