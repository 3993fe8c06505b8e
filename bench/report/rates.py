"""Rates: how often each outcome came under stress, and how that moves with CPUs, start method and Python.

A table for each target with more than one outcome: a row for each Python and start method, a column for each outcome
and size. With many such targets the Pythons share their rows, so that the report stays one page.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from bench.figures import StressFigures
from bench.observation import Rate
from bench.report.histogram import STYLES
from bench.report.lines import Line, Span, counted, line, percent, words, wrapped
from bench.report.places import where

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from bench.outcomes import Grade
    from bench.report.loaded import Located, RunRecords
    from bench.report.places import Place

COLUMNS = 4
"""Outcomes of a target that get a column; forbidden ones come first."""

WHOLE = 3
"""Up to so many tables have a row for each Python; of more, each has a row for each start method."""

_NAME = 14
"""Characters up to which an outcome's own text heads its column; longer ones are given a letter."""

_HEAD = 21
_NOT_SEEN = "0 (<"
_NONE = Rate(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Column:
    """An outcome that is shown."""

    key: str
    text: str
    grade: Grade | None


@dataclass(frozen=True)
class StressedTarget:
    """One target with its observations under stress, by place."""

    target: str
    observed: tuple[Located, ...]

    @property
    def places(self) -> list[Place]:
        """The places of the observations, in order."""
        return [one.place for one in self.observed]

    @property
    def samples(self) -> int:
        """The number of samples over all places."""
        return sum(one.judged.samples for one in self.observed)

    def columns(self) -> list[Column]:
        """Return the outcomes, forbidden and frequent ones first; those that are shown by value if all are numbers."""
        found: dict[str, Column] = {}
        counts: dict[str, int] = {}
        numbers: dict[str, float] = {}
        for located in self.observed:
            for one in located.judged.outcomes:
                key = one.outcome.key
                found.setdefault(key, Column(key, one.outcome.text(), one.grade))
                counts[key] = counts.get(key, 0) + one.count
                if type(number := one.outcome.value) in (int, float):
                    numbers[key] = number  # type: ignore[assignment]  # of the types just looked for
        ranked = sorted(found.values(), key=lambda one: (one.grade != "forbidden", -counts[one.key]))
        shown = ranked[:COLUMNS]
        if all(one.key in numbers for one in shown):
            shown.sort(key=lambda one: numbers[one.key])
        return [*shown, *ranked[COLUMNS:]]

    def rate(self, key: str, places: Iterable[Place]) -> Rate | None:
        """Return the rate of an outcome over some places: the median of their medians, the least and the greatest."""
        wanted = set(places)
        rates = [
            next((graded.rate for graded in one.judged.outcomes if graded.outcome.key == key), _NONE)
            for one in self.observed
            if one.place in wanted and one.judged.samples
        ]
        if not rates:
            return None
        return Rate(
            statistics.median(one.median for one in rates),
            min(one.least for one in rates),
            max(one.greatest for one in rates),
        )

    def figure(self, key: str, places: Collection[Place]) -> str:
        """Return the rate in percent; for an outcome that was not seen, the bound of its rate by the rule of three."""
        if (rate := self.rate(key, places)) is None:
            return "."
        if not rate.greatest:
            samples = sum(one.judged.samples for one in self.observed if one.place in places)
            return f"0 (<{_number(min(3 / samples, 1.0))})"
        if rate.least == rate.greatest:
            return _number(rate.median)
        return f"{_number(rate.median)} ({_number(rate.least)}-{_number(rate.greatest)})"

    def overlap(self, size: str) -> float | None:
        """Return the median share of samples in which the actors overlapped, over the places of a size."""
        figures = [one.judged.figures for one in self.observed if one.place.size == size]
        shares = [one.collision_rate for one in figures if isinstance(one, StressFigures)]
        known = [share for share in shares if share is not None]
        return statistics.median(known) if known else None


def stressed_targets(run: RunRecords) -> list[StressedTarget]:
    """Return the targets of a run that were stressed, in the order in which they ran."""
    by_target: dict[str, list[Located]] = {}
    for one in run.observations("stress"):
        by_target.setdefault(one.judged.target, []).append(one)
    return [
        StressedTarget(target, tuple(sorted(observed, key=lambda one: one.place.order)))
        for target, observed in by_target.items()
    ]


def rates(run: RunRecords, width: int = 100) -> list[Line]:
    """Draw the tables, and a line for each target with one outcome alone; nothing where no target was stressed."""
    every = stressed_targets(run)
    if not every:
        return []
    moving = [one for one in every if len(one.columns()) > 1]
    still = [one for one in every if len(one.columns()) == 1]
    by_python = len(moving) <= WHOLE
    over = "" if by_python or len(_pythons(every)) < 2 else ", over all Pythons"
    lines = [line(Span("Stress", "bold"), f": % of samples, median of the groups (least-greatest){over}")]
    not_seen = "    0 (<x): not seen: rate below x at 95 % (rule of three; assumes independent samples)"
    for one in moving:
        lines += _table(one, width, by_python=by_python)
    if any(_NOT_SEEN in span.text for one in lines for span in one):
        lines.insert(1, line(Span(not_seen, "dim")))
    return [*lines, *(row for one in still for row in _still(one, width)), line()]


def _pythons(every: Iterable[StressedTarget]) -> set[str]:
    return {place.python for one in every for place in one.places}


def _still(one: StressedTarget, width: int) -> list[Line]:
    places = set(one.places)
    (column,) = one.columns()
    tail = f" {where(places, places)}, {counted(one.samples, 'sample')}"
    head = ("  ", Span(one.target, "bold"), "  always ")
    return wrapped(head, column.text, width - len(tail), style=STYLES[column.grade], tail=tail)


def _table(one: StressedTarget, width: int, *, by_python: bool) -> Iterator[Line]:
    places = one.places
    sizes = list(dict.fromkeys(place.size for place in sorted(places, key=lambda place: place.by_size)))
    columns = one.columns()
    shown, rest = columns[:COLUMNS], columns[COLUMNS:]
    names = [_heading(index, column) for index, column in enumerate(shown)]
    rows = _rows(places, by_python=by_python)
    yield line("  ", Span(one.target, "bold"), f"  {counted(one.samples, 'sample')}")
    if found := [f"{percent(share)} on {size}" for size in sizes if (share := one.overlap(size)) is not None]:
        yield line(f"      the actors overlapped in {words(found)} of the samples that were looked at")
    for name, column in zip(names, shown, strict=True):
        if name != column.text:
            yield from wrapped([f"      {name}  "], column.text, width, style=STYLES[column.grade])
    blocks = [_block(one, size, names, shown, rows) for size in sizes]
    broad = max([9, *(len(python) for python, _ in rows)])  # an image's variant makes a long name
    more = broad - 9 if by_python else 0
    for part in _parts(blocks, width - _HEAD - more - 4):
        heads = [f"{'Python':<{broad}} {'method':<11}" if by_python else f"{'method':<{_HEAD}}"]
        yield line(" " * (_HEAD + more + 4), *(block[0] for block in part))
        yield line(f"    {heads[0]}", *(span for block in part for span in block[1]))
        last = ""
        for index, (python, method) in enumerate(rows):
            head = f"{python if python != last else '':<{broad}} {method:<11}" if by_python else f"{method:<{_HEAD}}"
            last = python
            yield line(f"    {head}", *(block[2][index] for block in part))
    if rest:
        most = max(rate.greatest for column in rest if (rate := one.rate(column.key, places)) is not None)
        yield line(f"      {counted(len(rest), 'more outcome')}, each in at most {percent(most)} of a group's samples")


_Block: TypeAlias = "tuple[Span, list[Span], list[str]]"
"""The columns of one size: its heading, those of the outcomes, and a text for each row."""


def _block(
    one: StressedTarget, size: str, names: Sequence[str], shown: Sequence[Column], rows: Mapping[_Row, Sequence[Place]]
) -> _Block:
    heads, texts = [], [""] * len(rows)
    for name, column in zip(names, shown, strict=True):
        figures = [one.figure(column.key, [p for p in places if p.size == size]) for places in rows.values()]
        broad = max(map(len, [*figures, name])) + 2
        heads.append(Span(f"{name:<{broad}}", STYLES[column.grade]))
        texts = [f"{text}{figure:<{broad}}" for text, figure in zip(texts, figures, strict=True)]
    broad = max(len(texts[0]), len(size) + 2)
    heads[-1] = Span(heads[-1].text.ljust(broad - sum(len(head.text) for head in heads[:-1])), heads[-1].style)
    return Span(f"{size:<{broad}}", "bold"), heads, [f"{text:<{broad}}" for text in texts]


def _parts(blocks: Iterable[_Block], width: int) -> list[list[_Block]]:
    """Return the blocks in lines of as many as fit into the width."""
    parts: list[list[_Block]] = []
    left = 0
    for block in blocks:
        broad = len(block[0].text)
        if not parts or broad > left:
            parts.append([])
            left = width
        parts[-1].append(block)
        left -= broad
    return parts


_Row: TypeAlias = "tuple[str, str]"


def _rows(places: Sequence[Place], *, by_python: bool) -> dict[_Row, list[Place]]:
    rows: dict[_Row, list[Place]] = {}
    for place in sorted(places, key=lambda place: place.order if by_python else (place.by_method, place.order)):
        rows.setdefault((place.python if by_python else "", place.method), []).append(place)
    return rows


def _heading(index: int, column: Column) -> str:
    return column.text if len(column.text) <= _NAME and column.text.isprintable() else "abcd"[index]


def _number(share: float) -> str:
    """Return a share in percent with two or three significant digits; 0 and 100 stand for exactly none and all."""
    hundredth = share * 100
    if not hundredth or hundredth == 100:
        return f"{hundredth:.0f}"
    if hundredth >= 99.95:
        return ">99.9"
    if hundredth < 0.001:
        return "<.001"
    return f"{hundredth:.1f}" if hundredth >= 1 else f"{hundredth:.2g}".removeprefix("0")
