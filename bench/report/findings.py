"""Findings: each outcome that is not acceptable once, with the places in which it was observed.

A finding is one outcome of one target under one grade, over all cells and modes. Values that one expectation grades
alike, such as the final balances of a race, make one finding together when there are many: a distribution.
"""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from bench.causes import normalise
from bench.record import AND_THEN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bench.observation import Tally
    from bench.outcomes import Grade
    from bench.record import Judged, Test
    from bench.report.loaded import CellRecords, Located, RunRecords
    from bench.report.places import Place
    from bench.sampling import Mode
    from bench.values import Json

FEW: Mapping[Grade, int] = {"acceptable": 0, "interesting": 1, "forbidden": 3}
"""Up to so many values of one target that are graded alike, for one reason, are findings of their own."""

_NUMBERS = re.compile(r"\d(?:[\d,.]*\d)?")

FAILED_TEST = frozenset({"failed", "error", "crashed", "hung", "oom"})
"""The statuses of a plain test that fail its cell."""


@dataclass(frozen=True)
class Sighting:
    """An outcome in one place and mode: its tally, of how many samples, and the seed of the cell."""

    place: Place
    mode: Mode
    tally: Tally
    samples: int
    cell_seed: int | None

    @property
    def seed(self) -> int | None:
        """The seed that gives it again at once: that of its first sample where that is known, else that of the cell."""
        witnessed = self.tally.witness.get("seed")
        return witnessed if isinstance(witnessed, int) else self.cell_seed


@dataclass(frozen=True)
class Distribution:
    """Many values graded alike: `top` are the most frequent with their counts; shares are those of all samples.

    `acceptable` holds the share of acceptable samples over the cells, least, median and greatest, where samples were
    left to themselves: explore chooses its own. `span` are the least and the greatest value, where all are numbers.
    """

    distinct: int
    top: tuple[tuple[str, int], ...]
    acceptable: tuple[float, float, float] | None
    span: tuple[float, float] | None = None


@dataclass(frozen=True)
class Spread:
    """The spread of a finding in one mode: its places, of all places in which its target was observed.

    It was the outcome of `count` of the `samples` that were taken in its places.
    """

    mode: Mode
    places: frozenset[Place]
    universe: frozenset[Place]
    count: int
    samples: int


@dataclass(frozen=True)
class Finding:
    """One finding: `observed` holds, for each mode, all places in which its target was observed."""

    target: str
    grade: Grade
    texts: tuple[str, ...]
    why: str
    sightings: tuple[Sighting, ...]
    observed: Mapping[Mode, frozenset[Place]]
    distribution: Distribution | None = None

    @property
    def first(self) -> Sighting:
        """The sighting to reproduce: one of explore, which replays it for certain, else the most frequent one."""
        return min(
            self.sightings,
            key=lambda one: (one.mode != "explore", -one.tally.count / max(one.samples, 1), one.place.order),
        )

    def spreads(self) -> tuple[Spread, ...]:
        """Return the spread in each mode in which the target was observed."""
        return tuple(map(self._spread, self.observed))

    def _spread(self, mode: Mode) -> Spread:
        here = [one for one in self.sightings if one.mode == mode]
        samples = {one.place: one.samples for one in here}
        count = sum(one.tally.count for one in here)
        return Spread(mode, frozenset(samples), self.observed[mode], count, sum(samples.values()))


@dataclass(frozen=True)
class Note:
    """What several places have in common besides findings: a warning, a failed test, a cell that could not be run."""

    kind: str
    text: str
    places: frozenset[Place]
    universe: frozenset[Place]
    targets: tuple[str, ...] = ()
    detail: Mapping[str, Json] = field(default_factory=dict)


def findings(run: RunRecords) -> tuple[Finding, ...]:
    """Return the forbidden outcomes, then the interesting ones, target by target in the order in which they ran."""
    by_target: dict[str, list[Located]] = {}
    for one in run.observations():
        by_target.setdefault(one.judged.target, []).append(one)
    found = [finding for target, observed in by_target.items() for finding in _target_findings(target, observed)]
    return tuple(sorted(found, key=lambda one: ("forbidden", "interesting").index(one.grade)))


class _Key(NamedTuple):
    grade: Grade
    why: str
    outcome: str


def _target_findings(target: str, observed: list[Located]) -> Iterator[Finding]:
    places = {
        mode: frozenset(one.place for one in observed if one.judged.mode == mode)
        for mode in dict.fromkeys(one.judged.mode for one in observed)
    }
    groups: dict[_Key, list[Sighting]] = {}
    for judged, place, seed in observed:
        for one in judged.outcomes:
            if one.grade not in (None, "acceptable"):
                sighting = Sighting(place, judged.mode, one, judged.samples, seed)
                groups.setdefault(_Key(one.grade, one.why, one.outcome.key), []).append(sighting)
    for keys in _grouped_keys(groups):
        sightings = tuple(sighting for key in keys for sighting in groups[key])
        distribution = _distribution(sightings, observed) if len(keys) > FEW[keys[0].grade] else None
        texts = tuple(dict.fromkeys(sighting.tally.outcome.text() for sighting in sightings))
        yield Finding(target, keys[0].grade, texts, keys[0].why, sightings, places, distribution)


def _grouped_keys(groups: Mapping[_Key, list[Sighting]]) -> Iterator[list[_Key]]:
    """Yield the keys of each finding: those of many values that are graded alike together, all others alone."""
    alike: dict[tuple[str, ...], list[_Key]] = {}
    for key in groups:
        is_value = groups[key][0].tally.outcome.kind == "value"
        alike.setdefault((key.grade, key.why) if is_value else key, []).append(key)
    for keys in alike.values():
        yield from [keys] if len(keys) > FEW[keys[0].grade] else [[key] for key in keys]


def _distribution(sightings: Sequence[Sighting], observed: Iterable[Located]) -> Distribution:
    counts: dict[str, int] = {}
    numbers: list[float] = []
    for sighting in sightings:
        text = sighting.tally.outcome.text()
        counts[text] = counts.get(text, 0) + sighting.tally.count
        if type(number := sighting.tally.outcome.value) in (int, float):
            numbers.append(number)  # type: ignore[arg-type]  # of the types just looked for
    top = sorted(counts.items(), key=lambda one: -one[1])
    left_alone = [one.judged for one in observed if one.judged.mode != "explore"]
    shares = [_acceptable_share(judged) for judged in left_alone if judged.samples]
    spread = (min(shares), statistics.median(shares), max(shares)) if shares else None
    span = (min(numbers), max(numbers)) if len(numbers) == len(sightings) else None
    return Distribution(len(counts), tuple(top), spread, span)


def _acceptable_share(judged: Judged) -> float:
    good = sum(one.count for one in judged.outcomes if one.grade == "acceptable")
    return good / max(sum(one.count for one in judged.outcomes), 1)


def warnings(run: RunRecords) -> tuple[Note, ...]:
    """Return each warning once, with its targets and places."""
    everywhere = frozenset(one.place for one in run.observations())
    places: dict[str, set[Place]] = {}
    targets: dict[str, dict[str, None]] = {}
    texts: dict[str, str] = {}
    for one in run.observations():
        for text in one.judged.warnings:
            key = normalise(text)
            texts.setdefault(key, text)
            places.setdefault(key, set()).add(one.place)
            targets.setdefault(key, {})[one.judged.target] = None
    return tuple(Note("warning", texts[key], frozenset(places[key]), everywhere, tuple(targets[key])) for key in texts)


def without_numbers(text: str) -> str:
    """Return a text with a mark in the place of each number, so that texts that differ in numbers alone are equal."""
    return _NUMBERS.sub("…", text)


def unknowns(run: RunRecords) -> tuple[Note, ...]:
    """Return the targets without a verdict, once for each reason, whatever its numbers."""
    groups: dict[tuple[Mode, str], list[Located]] = {}
    for one in run.observations():
        if one.judged.verdict == "unknown":
            reason = without_numbers(normalise(one.judged.why))
            groups.setdefault((one.judged.mode, reason), []).append(one)
    everywhere = frozenset(one.place for one in run.observations())
    return tuple(
        Note(
            mode,
            group[0].judged.why,
            frozenset(one.place for one in group),
            everywhere,
            tuple(dict.fromkeys(one.judged.target for one in group)),
        )
        for (mode, _), group in groups.items()
    )


def failed_tests(run: RunRecords) -> tuple[Note, ...]:
    """Return each failure of a plain test once, by test, status and signature."""
    ran: dict[str, set[Place]] = {}
    # A test that ran several times has other numbers in its messages each time: pids, times, addresses.
    same = without_numbers if (run.run.get("repeat") or 1) > 1 else str
    groups: dict[tuple[str, str, str], list[tuple[Test, Place]]] = {}
    for cell in run.cells:
        for test in cell.tests:
            ran.setdefault(test.id, set()).add(cell.place())
            if test.status in FAILED_TEST:
                key = (test.id, test.status, same(test.signature or ""))
                groups.setdefault(key, []).append((test, cell.place()))
    return tuple(_test_note(key, group, ran[key[0]]) for key, group in groups.items())


def failed_alone(cell: CellRecords) -> tuple[str, ...]:
    """Return the tests and targets that a cell failed by; none if it failed, or may have, by something else."""
    if cell.status != "fail":
        return ()
    tests = [test.id for test in cell.tests if test.status in FAILED_TEST]
    targets = [judged.target for judged in cell.judged if judged.verdict == "fail"]
    undecided = any(judged.verdict == "unknown" for judged in cell.judged)
    return () if undecided or AND_THEN in cell.end.why else tuple(dict.fromkeys([*tests, *targets]))


def _test_note(key: tuple[str, str, str], group: list[tuple[Test, Place]], ran: set[Place]) -> Note:
    test, status, signature = key
    text = group[0][0].signature or signature or group[0][0].detail or "without a reason"
    return Note(status, text, frozenset(place for _, place in group), frozenset(ran), (test,))


def troubles(run: RunRecords) -> tuple[Note, ...]:
    """Return the cells whose status no finding explains, once for each status and reason."""
    everywhere = frozenset(cell.place() for cell in run.cells)
    groups: dict[tuple[str, str], list[CellRecords]] = {}
    for cell in run.cells:
        if not _explained(cell):
            groups.setdefault((cell.status, normalise(cell.end.why)), []).append(cell)
    return tuple(
        Note(status, cells[0].end.why, frozenset(cell.place() for cell in cells), everywhere)
        for (status, _), cells in groups.items()
    )


def _explained(cell: CellRecords) -> bool:
    if cell.status == "pass":
        return True
    if cell.status in ("fail", "unknown"):
        verdicts = {judged.verdict for judged in cell.judged}
        strict = any(one.strict and one.left for one in cell.notes)
        return cell.status in verdicts or strict or any(test.status in FAILED_TEST for test in cell.tests)
    return False
