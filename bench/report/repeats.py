"""Tests that ran several times in each cell: how often each passed, which tells flaky from broken."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bench.report.findings import FAILED_TEST

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bench.report.loaded import RunRecords
    from bench.report.places import Place


class Tally(NamedTuple):
    """A test passed `passed` of the `times` that it ran in one cell; a skip is no run."""

    passed: int
    times: int

    def __str__(self) -> str:
        """Say whether that is flaky or broken."""
        if self.passed:
            return f"flaky, passed {self.passed} of {self.times}"
        return f"broken, failed {self.times} of {self.times}"


def tallies(run: RunRecords) -> Mapping[str, Mapping[Place, Tally]]:
    """Return how often each test passed in each place, by test id; none where the command ran once in each cell."""
    if not isinstance(repeat := run.run.get("repeat"), int) or repeat < 2:
        return {}
    found: dict[str, dict[Place, Tally]] = {}
    for cell in run.cells:
        place = cell.place()
        for test in cell.tests:
            if test.status != "skipped":
                before = found.setdefault(test.id, {}).get(place, Tally(0, 0))
                found[test.id][place] = Tally(before.passed + (test.status not in FAILED_TEST), before.times + 1)
    return found


def by_tally(of_test: Mapping[Place, Tally], places: Collection[Place]) -> Mapping[Tally, frozenset[Place]]:
    """Return the places of a failure by how often the test passed there, the most broken first."""
    found: dict[Tally, set[Place]] = {}
    for place in places:
        if place in of_test:
            found.setdefault(of_test[place], set()).add(place)
    return {tally: frozenset(found[tally]) for tally in sorted(found)}
