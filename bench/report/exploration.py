"""Exploration: the outcomes of each target over all cells, and the interleavings for which they are all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.figures import ExploreFigures
from bench.report.findings import without_numbers
from bench.report.histogram import STYLES
from bench.report.lines import Line, Span, counted, line, one_line, wrapped
from bench.report.places import where

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.outcomes import Grade
    from bench.record import Judged
    from bench.report.loaded import Located, RunRecords
    from bench.report.places import Place

FEW = 4
"""Outcomes of a target that get a line where they differ by cell; the others are counted."""

CLAIMS = 3
"""Different claims that get a line, those that differ in numbers alone as one; the others are counted."""


def exploration_lines(run: RunRecords, width: int = 100) -> list[Line]:
    """Return, for each target, in how many cells it raced, its outcomes with their places, and what is shown of it."""
    by_target: dict[str, list[Located]] = {}
    for one in run.observations("explore"):
        by_target.setdefault(one.judged.target, []).append(one)
    if not by_target:
        return []
    lines = [line(Span("Explore", "bold"), ": which outcomes there are, and of how many interleavings that is known")]
    for target, observed in by_target.items():
        lines += _target_lines(target, observed, width)
    return [*lines, line()]


def _target_lines(target: str, observed: Sequence[Located], width: int) -> Iterator[Line]:
    places = {one.place for one in observed}
    racing = {one.place for one in observed if len(one.judged.outcomes) > 1}
    what = "racing" if racing else "one outcome alone"
    yield line("  ", Span(target, "bold"), f"  {what} in {len(racing or places)} of {counted(len(places), 'cell')}")
    yield from _outcome_lines(observed, places, width)
    yield from _claim_lines(observed, places, width)


def _outcome_lines(observed: Sequence[Located], places: set[Place], width: int) -> Iterator[Line]:
    """Yield a line for each set of outcomes that were found in the same places."""
    texts: dict[str, tuple[str, Grade | None]] = {}
    found: dict[str, set[Place]] = {}
    numbers: dict[str, float] = {}
    for located in observed:
        for one in located.judged.outcomes:
            texts.setdefault(one.outcome.key, (one.outcome.text(), one.grade))
            found.setdefault(one.outcome.key, set()).add(located.place)
            if type(number := one.outcome.value) in (int, float):
                numbers[one.outcome.key] = number  # type: ignore[assignment]  # of the types just looked for
    together: dict[frozenset[Place], list[str]] = {}
    for key, there in sorted(found.items(), key=lambda one: -len(one[1])):
        together.setdefault(frozenset(there), []).append(key)
    for held, keys in list(together.items())[:FEW]:
        keys.sort(key=lambda key: numbers.get(key, 0.0))
        each = max((width - 40) // len(keys), 20)
        spans: list[str | Span] = []
        for number, key in enumerate(keys):
            text, grade = texts[key]
            spans += [", " if number else "", Span(one_line(text, each), STYLES[grade])]
        yield line("      ", *spans, f"  {where(held, places)}")
    if len(together) > FEW:
        more = sum(len(keys) for keys in list(together.values())[FEW:])
        yield line(f"      {counted(more, 'more outcome')} in some cells")


def _claim_lines(observed: Sequence[Located], places: set[Place], width: int) -> Iterator[Line]:
    claims: dict[str, dict[Place, str]] = {}
    for one in observed:
        claims.setdefault(without_numbers(_claim(one.judged)), {})[one.place] = _claim(one.judged)
    ranked = sorted(claims.items(), key=lambda one: -len(one[1]))
    for shape, held in ranked[:CLAIMS]:
        at = "" if len(ranked) == 1 else f"  {where(held.keys(), places)}"
        texts = set(held.values())
        yield from wrapped(["      "], texts.pop() if len(texts) == 1 else shape, width, tail=at)
    if len(ranked) > CLAIMS:
        yield line(f"      {counted(len(ranked) - CLAIMS, 'more claim')} in other cells")


def _claim(judged: Judged) -> str:
    if isinstance(judged.figures, ExploreFigures) and judged.figures.claim:
        return f"shown for {judged.figures.claim}"
    return f"{counted(judged.samples, 'schedule')} ran, and nothing is shown of others"
