"""The histogram of one observation, as lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.figures import ExploreFigures, StressFigures
from bench.report.lines import Line, Span, Style, counted, duration, line, one_line, percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.figures import Figures
    from bench.outcomes import Grade
    from bench.record import Graded, Judged

BAR = 20
"""Characters of a bar that stands for every sample."""

STYLES: dict[Grade | None, Style] = {"acceptable": "good", "interesting": "odd", "forbidden": "bad", None: ""}
VERDICTS: dict[str, Style] = {"pass": "good", "fail": "bad", "unknown": "trouble"}


def histogram(judged: Judged, *, width: int = 100, top: int = 8) -> list[Line]:
    """Draw an observation: a heading, a bar for each of the most frequent outcomes, figures, warnings, and why.

    Args:
        judged: the observation, with its verdict.
        width: characters of a line; longer texts are cut.
        top: the number of outcomes that get a line; forbidden ones always do, the others share a last line.
    """
    return [
        _heading(judged),
        *_bars(judged.outcomes, width, top),
        *([line("    ", one_line(text, width - 4))] if (text := _figures_text(judged.figures)) else []),
        *(line("    warning: ", one_line(text, width - 13)) for text in judged.warnings),
        *([line("    why: ", one_line(judged.why, width - 9))] if judged.why else []),
    ]


def _heading(judged: Judged) -> Line:
    where = ", ".join(filter(None, (judged.mode, judged.method, judged.cell)))
    noun = "schedule" if judged.mode == "explore" else "sample"
    return line(
        Span(f"{judged.verdict.upper() if judged.verdict == 'fail' else judged.verdict:<8}", VERDICTS[judged.verdict]),
        Span(judged.target, "bold"),
        f"  [{where}]  {counted(judged.samples, noun)} in {duration(judged.seconds)}",
    )


def _figures_text(figures: Figures | None) -> str:
    """Return the figures of the mode in one line."""
    match figures:
        case StressFigures():
            return "; ".join(_stress_parts(figures))
        case ExploreFigures():
            return "; ".join(_explore_parts(figures))
        case None:
            return ""


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
    """Yield the claim, the schedules that were left off, the speed and the strategy."""
    if figures.claim:
        yield figures.claim
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
    return [*(_bar(one, total, width) for one in shown), *_rest(rest, total)]


def _bar(one: Graded, total: int, width: int) -> Line:
    share = one.count / total
    bar = "#" * max(1, round(share * BAR))
    head = f"    {one.count:>9,} {percent(share):>7} {bar:<{BAR}} "
    text = one_line(one.outcome.text())
    why = one.why if one.grade else "not graded"
    tail = f"{one.grade or 'ungraded'}" + (f": {one_line(why)}" if why else "")
    text = one_line(text, max(width - len(head) - len(tail) - 2, 30))
    room = max(width - len(head) - len(text) - 2, 30)
    return line(head, text, "  ", Span(one_line(tail, room), STYLES[one.grade]))


def _rest(rest: Sequence[Graded], total: int) -> list[Line]:
    if not rest:
        return []
    count = sum(one.count for one in rest)
    return [line(f"    {count:>9,} {percent(count / total):>7} {'':<{BAR}} {counted(len(rest), 'more outcome')}")]
