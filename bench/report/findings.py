"""Findings: each thing that happened once, with the places that it happened in.

A finding is one outcome of one target under one grade, over all cells and modes. Values that one expectation grades
alike, such as the final balances of a race, make one finding together when there are many: a distribution.
"""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from bench.causes import normalise

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bench.observation import Tally
    from bench.outcomes import Grade
    from bench.record import Judged, Test
    from bench.report.loaded import CellRecords, RunRecords
    from bench.report.places import Place
    from bench.sampling import Mode
    from bench.values import Json

FEW: Mapping[Grade, int] = {"acceptable": 0, "interesting": 1, "forbidden": 3}
"""Up to so many values of one target that are graded alike, for one reason, are findings of their own."""

_NUMBERS = re.compile(r"\d(?:[\d,.]*\d)?")

FAILED_TEST = frozenset({"failed", "error", "crashed", "hung"})
"""The statuses of a plain test that fail its cell."""


@dataclass(frozen=True)
class Sighting:
    """An outcome in one place and mode: how many of how many samples, and the seed of the cell."""

    place: Place
    mode: Mode
    tally: Tally
    samples: int
    cell_seed: int | None

    @property
    def seed(self) -> int | None:
        """The seed to start from to see it at once: that of its first sample where it is known."""
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
    """How far something is spread in one mode: where it happened, of all places where its target was observed.

    In `count` of the `samples` that were taken in the places where it happened.
    """

    mode: Mode
    places: frozenset[Place]
    universe: frozenset[Place]
    count: int
    samples: int


@dataclass(frozen=True)
class Finding:
    """One thing that happened: `observed` are for each mode all places where its target was observed."""

    target: str
    grade: Grade
    texts: tuple[str, ...]
    why: str
    sightings: tuple[Sighting, ...]
    observed: Mapping[Mode, frozenset[Place]]
    distribution: Distribution | None = None

    @property
    def first(self) -> Sighting:
        """The sighting to reproduce: in explore, which repeats it for certain, else where it is most frequent."""
        return min(
            self.sightings,
            key=lambda one: (one.mode != "explore", -one.tally.count / max(one.samples, 1), one.place.order),
        )

    def spreads(self) -> tuple[Spread, ...]:
        """Say for each mode in which the target was observed how far it is spread."""
        return tuple(map(self._spread, self.observed))

    def _spread(self, mode: Mode) -> Spread:
        here = [one for one in self.sightings if one.mode == mode]
        samples = {one.place: one.samples for one in here}
        count = sum(one.tally.count for one in here)
        return Spread(mode, frozenset(samples), self.observed[mode], count, sum(samples.values()))


@dataclass(frozen=True)
class Note:
    """Something to be said once of several places: a warning, a test that failed, a cell that could not be run."""

    kind: str
    text: str
    places: frozenset[Place]
    universe: frozenset[Place]
    targets: tuple[str, ...] = ()
    detail: Mapping[str, Json] = field(default_factory=dict)


class _Seen(NamedTuple):
    """An observation with its place and the seed of its cell."""

    judged: Judged
    place: Place
    seed: int | None


def _observations(run: RunRecords) -> Iterator[_Seen]:
    for cell in run.cells:
        seed = cell.facts.seed if cell.facts is not None else run.seed
        for judged in cell.judged:
            yield _Seen(judged, cell.place(judged.method), seed)


def findings(run: RunRecords) -> tuple[Finding, ...]:
    """Give what is forbidden, then what is interesting, target by target in the order in which they ran."""
    by_target: dict[str, list[_Seen]] = {}
    for seen in _observations(run):
        by_target.setdefault(seen.judged.target, []).append(seen)
    found = [finding for target, all_seen in by_target.items() for finding in _of_target(target, all_seen)]
    return tuple(sorted(found, key=lambda one: ("forbidden", "interesting").index(one.grade)))


class _Key(NamedTuple):
    grade: Grade
    why: str
    outcome: str


def _of_target(target: str, all_seen: list[_Seen]) -> Iterator[Finding]:
    observed = {
        mode: frozenset(seen.place for seen in all_seen if seen.judged.mode == mode)
        for mode in dict.fromkeys(seen.judged.mode for seen in all_seen)
    }
    groups: dict[_Key, list[Sighting]] = {}
    for seen in all_seen:
        for one in seen.judged.outcomes:
            if one.grade not in (None, "acceptable"):
                sighting = Sighting(seen.place, seen.judged.mode, one, seen.judged.samples, seen.seed)
                groups.setdefault(_Key(one.grade, one.why, one.outcome.key), []).append(sighting)
    for keys in _together(groups):
        sightings = tuple(sighting for key in keys for sighting in groups[key])
        spread = _distribution(sightings, all_seen) if len(keys) > FEW[keys[0].grade] else None
        texts = tuple(dict.fromkeys(sighting.tally.outcome.text() for sighting in sightings))
        yield Finding(target, keys[0].grade, texts, keys[0].why, sightings, observed, spread)


def _together(groups: Mapping[_Key, list[Sighting]]) -> Iterator[list[_Key]]:
    """Put the keys of many values that are graded alike together; all others stay alone."""
    alike: dict[tuple[str, ...], list[_Key]] = {}
    for key in groups:
        is_value = groups[key][0].tally.outcome.kind == "value"
        alike.setdefault((key.grade, key.why) if is_value else key, []).append(key)
    for keys in alike.values():
        yield from [keys] if len(keys) > FEW[keys[0].grade] else [[key] for key in keys]


def _distribution(sightings: Sequence[Sighting], all_seen: Iterable[_Seen]) -> Distribution:
    counts: dict[str, int] = {}
    numbers: list[float] = []
    for sighting in sightings:
        text = sighting.tally.outcome.text()
        counts[text] = counts.get(text, 0) + sighting.tally.count
        if type(number := sighting.tally.outcome.value) in (int, float):
            numbers.append(number)  # type: ignore[arg-type]  # of the types just looked for
    top = sorted(counts.items(), key=lambda one: -one[1])
    left_alone = [seen.judged for seen in all_seen if seen.judged.mode != "explore"]
    shares = [_acceptable(judged) for judged in left_alone if judged.samples]
    spread = (min(shares), statistics.median(shares), max(shares)) if shares else None
    span = (min(numbers), max(numbers)) if len(numbers) == len(sightings) else None
    return Distribution(len(counts), tuple(top), spread, span)


def _acceptable(judged: Judged) -> float:
    good = sum(one.count for one in judged.outcomes if one.grade == "acceptable")
    return good / max(sum(one.count for one in judged.outcomes), 1)


def warnings(run: RunRecords) -> tuple[Note, ...]:
    """Give each warning once, with the targets and the places it was given in."""
    everywhere = frozenset(seen.place for seen in _observations(run))
    places: dict[str, set[Place]] = {}
    targets: dict[str, dict[str, None]] = {}
    texts: dict[str, str] = {}
    for seen in _observations(run):
        for text in seen.judged.warnings:
            key = normalise(text)
            texts.setdefault(key, text)
            places.setdefault(key, set()).add(seen.place)
            targets.setdefault(key, {})[seen.judged.target] = None
    return tuple(Note("warning", texts[key], frozenset(places[key]), everywhere, tuple(targets[key])) for key in texts)


def without_numbers(text: str) -> str:
    """Put a mark in the place of each number: what tells apart two sayings of the same."""
    return _NUMBERS.sub("…", text)


def unknowns(run: RunRecords) -> tuple[Note, ...]:
    """Give what could not be judged: targets whose verdict is unknown, once for each reason, whatever its numbers."""
    groups: dict[tuple[Mode, str], list[_Seen]] = {}
    for seen in _observations(run):
        if seen.judged.verdict == "unknown":
            reason = without_numbers(normalise(seen.judged.why))
            groups.setdefault((seen.judged.mode, reason), []).append(seen)
    everywhere = frozenset(seen.place for seen in _observations(run))
    return tuple(
        Note(
            mode,
            group[0].judged.why,
            frozenset(seen.place for seen in group),
            everywhere,
            tuple(dict.fromkeys(seen.judged.target for seen in group)),
        )
        for (mode, _), group in groups.items()
    )


def failed_tests(run: RunRecords) -> tuple[Note, ...]:
    """Give each failure of a plain test once: by test, status and signature."""
    ran: dict[str, set[Place]] = {}
    groups: dict[tuple[str, str, str], list[tuple[Test, Place]]] = {}
    for cell in run.cells:
        for test in cell.tests:
            ran.setdefault(test.id, set()).add(cell.place())
            if test.status in FAILED_TEST:
                key = (test.id, test.status, test.signature or "")
                groups.setdefault(key, []).append((test, cell.place()))
    return tuple(_test_note(key, group, ran[key[0]]) for key, group in groups.items())


def _test_note(key: tuple[str, str, str], group: list[tuple[Test, Place]], ran: set[Place]) -> Note:
    test, status, signature = key
    text = signature or group[0][0].detail or "without a reason"
    return Note(status, text, frozenset(place for _, place in group), frozenset(ran), (test,))


def troubles(run: RunRecords) -> tuple[Note, ...]:
    """Give the cells whose status no finding explains, once for each status and reason."""
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
        return cell.status in verdicts or any(test.status in FAILED_TEST for test in cell.tests)
    return False
