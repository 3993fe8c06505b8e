"""Observations: for one target, mode and cell a histogram of outcomes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.outcomes import Outcome
from bench.values import Json

if TYPE_CHECKING:
    from bench.sampling import Mode


@dataclass(frozen=True)
class Rate:
    """How often an outcome came, as shares of the samples of each group that ran apart."""

    median: float
    least: float
    greatest: float


@dataclass(frozen=True)
class Tally:
    """One bar of the histogram: an outcome, how many samples gave it, and the first of them as witness."""

    outcome: Outcome
    count: int
    rate: Rate
    witness: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Observation:
    """What was seen of one target in one mode in one cell.

    `samples` counts what was exercised: with none, nothing can be said. `seconds` is wall time. `limits` names what
    makes the observation say less than was asked for, such as fewer CPUs: any of them makes the verdict `unknown`.
    """

    target: str
    mode: Mode
    cell: str
    samples: int
    seconds: float
    outcomes: tuple[Tally, ...]
    warnings: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    extra: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """One sample's outcome, with what leads back to it."""

    outcome: Outcome
    witness: Mapping[str, Json] = field(default_factory=dict)


def tally(groups: Sequence[Sequence[Seen]]) -> tuple[Tally, ...]:
    """Count outcomes over groups of samples, most frequent first; the rates are over the groups that hold any."""
    first: dict[str, Seen] = {}
    counts: list[dict[str, int]] = []
    for group in groups:
        counted: dict[str, int] = {}
        for seen in group:
            key = seen.outcome.key
            first.setdefault(key, seen)
            counted[key] = counted.get(key, 0) + 1
        counts.append(counted)
    return tally_counts(counts, first)


def tally_counts(groups: Sequence[Mapping[str, int]], first: Mapping[str, Seen]) -> tuple[Tally, ...]:
    """Tally what is counted already: for each group the number of samples by their outcome's key.

    Args:
        groups: the counts; those without any are left out of the rates.
        first: for each key the first sample of it.
    """
    filled = [group for group in groups if sum(group.values())]
    sizes = [sum(group.values()) for group in filled]
    by_key = {key: [group.get(key, 0) for group in filled] for group in filled for key in group}
    tallies = [
        Tally(first[key].outcome, sum(counts), _rate(counts, sizes), first[key].witness)
        for key, counts in by_key.items()
    ]
    return tuple(sorted(tallies, key=lambda one: (-one.count, one.outcome.key)))


def _rate(counts: Iterable[int], sizes: Iterable[int]) -> Rate:
    import statistics  # not at the top: it costs 25 ms, and only counting needs it

    shares = [count / size for count, size in zip(counts, sizes, strict=True)]
    return Rate(round(statistics.median(shares), 9), round(min(shares), 9), round(max(shares), 9))
