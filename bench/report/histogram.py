"""The histogram of one observation, in plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.report.lines import Line, Span, Style, counted, duration, line, one_line, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.observation import Tally
    from bench.outcomes import Grade
    from bench.record import Judged
    from bench.values import Json

BAR = 20
"""Characters of a bar that stands for every sample."""

STYLES: dict[Grade | None, Style] = {"acceptable": "good", "interesting": "odd", "forbidden": "bad", None: ""}
VERDICTS: dict[str, Style] = {"pass": "good", "fail": "bad", "unknown": "trouble"}


def histogram(judged: Judged, *, width: int = 100, top: int = 8) -> list[Line]:
    """Draw an observation: a heading, a bar for each of the most frequent outcomes, and what else is to be said.

    Args:
        judged: what was observed, with its verdict.
        width: characters of a line; longer texts are cut.
        top: how many outcomes get a line; forbidden ones always do, the others share a last line.
    """
    seen = judged.observation
    return [
        _heading(judged),
        *_bars(judged, width, top),
        *([line("    ", one_line(text, width - 4))] if (text := _stress(seen.extra.get("stress"))) else []),
        *([line("    ", one_line(text, width - 4))] if (text := _explore(seen.extra.get("explore"))) else []),
        *(line("    warning: ", one_line(text, width - 13)) for text in seen.warnings),
        *([line("    why: ", one_line(judged.why, width - 9))] if judged.why else []),
    ]


def _heading(judged: Judged) -> Line:
    seen = judged.observation
    where = ", ".join(filter(None, (seen.mode, judged.method, seen.cell)))
    noun = "schedule" if seen.mode == "explore" else "sample"
    return line(
        Span(f"{judged.verdict.upper() if judged.verdict == 'fail' else judged.verdict:<8}", VERDICTS[judged.verdict]),
        Span(seen.target, "bold"),
        f"  [{where}]  {counted(seen.samples, noun)} in {duration(seen.seconds)}",
    )


def _stress(figures: Json) -> str:
    """Say how fast it was, how often the actors met in a sample, and what the samples do not rule out."""
    if not isinstance(figures, dict):
        return ""
    rate, collisions, rebuilt = (figures.get(name) for name in ("samples_per_second", "collision_rate", "rebuilt"))
    parts = [f"{rate:,.0f} samples/s"] if isinstance(rate, (int, float)) else []
    parts += [f"actors overlapped in {percent(collisions)}"] if isinstance(collisions, (int, float)) else []
    if isinstance(rebuilt, (int, float)) and rebuilt:
        parts.append(f"state made anew for {percent(rebuilt)}")
    unseen = figures.get("never_seen")
    for one in unseen if isinstance(unseen, list) else ():
        if isinstance(one, dict) and isinstance(bound := one.get("at_most"), (int, float)):
            parts.append(f"{one.get('outcome')}: never, at most {bound:.1e} (optimistic)")
    return "; ".join(parts)


def _explore(figures: Json) -> str:
    """Say what is shown, by which strategy, and how fast that went."""
    if not isinstance(figures, dict):
        return ""
    claim, strategy, rate = (figures.get(name) for name in ("claim", "strategy", "steps_per_second"))
    parts = [str(claim)] if claim else []
    asleep = figures.get("asleep")
    parts += [f"{counted(asleep, 'schedule')} left off, as seen before"] if isinstance(asleep, int) and asleep else []
    parts += [f"{rate:,.0f} steps/s"] if isinstance(rate, (int, float)) else []
    parts += [f"by {strategy}"] if strategy else []
    return "; ".join(parts)


def _bars(judged: Judged, width: int, top: int) -> list[Line]:
    graded = [(one, _grade(judged, index)) for index, one in enumerate(judged.observation.outcomes)]
    total = max(sum(one.count for one, _ in graded), 1)
    shown = [pair for index, pair in enumerate(graded) if index < top or pair[1][0] == "forbidden"]
    rest = [one for index, (one, grade) in enumerate(graded) if index >= top and grade[0] != "forbidden"]
    return [*(_bar(one, grade, total, width) for one, grade in shown), *_rest(rest, total)]


def _grade(judged: Judged, index: int) -> tuple[Grade | None, str]:
    return judged.grades[index] if index < len(judged.grades) else (None, "not graded")


def _bar(one: Tally, graded: tuple[Grade | None, str], total: int, width: int) -> Line:
    grade, why = graded
    share = one.count / total
    bar = "#" * max(1, round(share * BAR))
    head = f"    {one.count:>9,} {percent(share):>7} {bar:<{BAR}} "
    text = one_line(one.outcome.text())
    tail = f"{grade or 'ungraded'}" + (f": {one_line(why)}" if why else "")
    text = one_line(text, max(width - len(head) - len(tail) - 2, 30))
    room = max(width - len(head) - len(text) - 2, 30)
    return line(head, text, "  ", Span(one_line(tail, room), STYLES[grade]))


def _rest(rest: Sequence[Tally], total: int) -> list[Line]:
    if not rest:
        return []
    count = sum(one.count for one in rest)
    return [line(f"    {count:>9,} {percent(count / total):>7} {'':<{BAR}} {counted(len(rest), 'more outcome')}")]
