"""Observations: the histogram of the outcomes of one target, in one mode, in one cell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.outcomes import Outcome
from bench.values import Json

if TYPE_CHECKING:
    from bench.figures import Figures
    from bench.sampling import Mode


@dataclass(frozen=True)
class Rate:
    """The rate of an outcome: over the groups of samples that ran apart, the shares of their samples that gave it."""

    median: float
    least: float
    greatest: float


@dataclass(frozen=True)
class Tally:
    """One bar of the histogram: an outcome, how many samples gave it, and what leads back to the first of them."""

    outcome: Outcome
    count: int
    rate: Rate
    witness: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Observation:
    """The histogram of one target in one mode in one cell, before it is judged.

    `samples` counts what was exercised: with none, there is no verdict. `seconds` is wall time. `limits` names what
    makes the observation say less than was asked for, such as fewer CPUs: any of them makes the verdict `unknown`.
    `figures` are those of the mode; repeat has none.
    """

    target: str
    mode: Mode
    cell: str
    samples: int
    seconds: float
    outcomes: tuple[Tally, ...]
    warnings: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    figures: Figures | None = None


@dataclass(frozen=True)
class SampleOutcome:
    """The outcome of one sample, and what leads back to that sample."""

    outcome: Outcome
    witness: Mapping[str, Json] = field(default_factory=dict)


def tally(groups: Sequence[Sequence[SampleOutcome]]) -> tuple[Tally, ...]:
    """Return the tallies of groups of samples, most frequent first; rates are over the groups that hold any."""
    first: dict[str, SampleOutcome] = {}
    counts: list[dict[str, int]] = []
    for group in groups:
        counted: dict[str, int] = {}
        for one in group:
            key = one.outcome.key
            first.setdefault(key, one)
            counted[key] = counted.get(key, 0) + 1
        counts.append(counted)
    return tally_counts(counts, first)


def tally_counts(groups: Sequence[Mapping[str, int]], first: Mapping[str, SampleOutcome]) -> tuple[Tally, ...]:
    """Return the tallies of samples that are counted already.

    Args:
        groups: for each group the number of samples by the key of their outcome; rates leave out groups without any.
        first: for each key the first sample that gave it.
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
