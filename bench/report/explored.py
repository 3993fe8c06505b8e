"""What exploration found and what it shows, for each target over all cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.figures import ExploreFigures
from bench.report.findings import without_numbers
from bench.report.histogram import STYLES
from bench.report.lines import Line, Span, counted, line, one_line
from bench.report.places import where

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.outcomes import Grade
    from bench.record import Judged
    from bench.report.loaded import RunRecords
    from bench.report.places import Place

    Seen = Sequence[tuple[Place, Judged]]

FEW = 4
"""Outcomes of a target that get a line where they differ by cell; the others are counted."""

CLAIMS = 3
"""Different claims that are said, those that differ in numbers alone as one; the others are counted."""


def explored(run: RunRecords, width: int = 100) -> list[Line]:
    """Say of each target which outcomes were found where, in how many cells it raced, and what is shown of it."""
    seen: dict[str, list[tuple[Place, Judged]]] = {}
    for cell in run.cells:
        for judged in cell.judged:
            if judged.mode == "explore":
                seen.setdefault(judged.target, []).append((cell.place(judged.method), judged))
    if not seen:
        return []
    lines = [line(Span("Explore", "bold"), ": which outcomes there are, and of how many interleavings that is known")]
    for target, all_seen in seen.items():
        lines += _target(target, all_seen, width)
    return [*lines, line()]


def _target(target: str, seen: Seen, width: int) -> Iterator[Line]:
    places = {place for place, _ in seen}
    racing = {place for place, judged in seen if len(judged.outcomes) > 1}
    what = "racing" if racing else "one outcome alone"
    yield line("  ", Span(target, "bold"), f"  {what} in {len(racing or places)} of {counted(len(places), 'cell')}")
    yield from _outcomes(seen, places, width)
    yield from _claims(seen, places, width)


def _outcomes(seen: Seen, places: set[Place], width: int) -> Iterator[Line]:
    """Give the outcomes that were found in the same places together."""
    texts: dict[str, tuple[str, Grade | None]] = {}
    found: dict[str, set[Place]] = {}
    numbers: dict[str, float] = {}
    for place, judged in seen:
        for one in judged.outcomes:
            texts.setdefault(one.outcome.key, (one.outcome.text(), one.grade))
            found.setdefault(one.outcome.key, set()).add(place)
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


def _claims(seen: Seen, places: set[Place], width: int) -> Iterator[Line]:
    claims: dict[str, dict[Place, str]] = {}
    for place, judged in seen:
        claims.setdefault(without_numbers(_claim(judged)), {})[place] = _claim(judged)
    ranked = sorted(claims.items(), key=lambda one: -len(one[1]))
    for shape, held in ranked[:CLAIMS]:
        at = "" if len(ranked) == 1 else f"  {where(held.keys(), places)}"
        said = set(held.values())
        yield line("      ", one_line(said.pop() if len(said) == 1 else shape, width), at)
    if len(ranked) > CLAIMS:
        yield line(f"      {counted(len(ranked) - CLAIMS, 'more claim')} in other cells")


def _claim(judged: Judged) -> str:
    if isinstance(judged.figures, ExploreFigures) and judged.figures.claim:
        return f"shown for {judged.figures.claim}"
    return f"{counted(judged.samples, 'schedule')} ran, and nothing is shown of others"
