"""The oracle of mode explore: partial-order reduction sees what going through every interleaving sees.

`python -m tests.benchmarks.explore_oracle [METHOD [MOST [NAME...]]]` explores each kernel, its fixed twin and the demos
that are scenarios both ways, and prints how many schedules each took, and whether their outcomes are the same. It ends
with 1 if they are not, or if a bug is not found, or a twin is not through. It needs the standard library alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

from bench.explore.findings.schedule import Schedule, anchors_of
from bench.explore.observe import observe
from bench.kernels.corpus import KERNELS, Kernel
from bench.observation import Observation
from bench.outcomes import Outcome
from bench.targets import Found, find
from tests.fixtures.figures import figures_of

MOST = 60_000
"""Interleavings up to which all of them are run."""


class Ways(NamedTuple):
    """A target as it was explored: every interleaving (or as many as were allowed for), and one of each class."""

    found: Found
    kernel: Kernel | None
    every: Observation
    classes: Observation

    @property
    def exhaustive(self) -> bool:
        """Whether all interleavings were run."""
        return complete(self.every)

    @property
    def fixed(self) -> bool:
        """Whether it is a fixed twin."""
        return self.kernel is not None and self.found.program.name.endswith("Fixed")

    def wrongs(self) -> Iterator[str]:
        """Say what is not as it must be."""
        for way in (self.every, self.classes):
            yield from (f"{figures_of(way)['strategy']}: {limit}" for limit in way.limits)
        if not complete(self.classes) and self.exhaustive:
            yield "dpor does not come to an end"
        if self.exhaustive and complete(self.classes) and keys(self.every) != keys(self.classes):
            yield f"dpor sees {sorted(keys(self.classes))}, dfs {sorted(keys(self.every))}"
        if keys(self.every) - keys(self.classes):
            yield f"dpor does not see {sorted(keys(self.every) - keys(self.classes))}"
        if self.kernel is not None:
            yield from self._of_kernel(self.kernel)

    def _of_kernel(self, kernel: Kernel) -> Iterator[str]:
        if not self.fixed and not any(is_bug(kernel, one) for one in seen(self.classes)):
            yield "dpor does not find the bug"
        if self.fixed and [one.value for one in seen(self.classes)] != [kernel.right]:
            yield f"of the fixed twin came {sorted(keys(self.classes))}"


def complete(observation: Observation) -> bool:
    """Tell whether an exploration came to its end."""
    return figures_of(observation)["complete"] is True


def seen(observation: Observation) -> list[Outcome]:
    """Give the outcomes."""
    return [one.outcome for one in observation.outcomes]


def keys(observation: Observation) -> set[str]:
    """Give what tells the outcomes from each other."""
    return {one.key for one in seen(observation)}


def is_bug(kernel: Kernel, outcome: Outcome) -> bool:
    """Tell whether an outcome is the bug of a kernel."""
    if kernel.shows == "value":
        right = outcome.value != kernel.right if not kernel.wrong else outcome.value in kernel.wrong
        return outcome.kind == "value" and right
    return outcome.kind in {"hang": ("hang", "deadlock"), "raised": ("raised",)}[kernel.shows]


def targets() -> Iterator[tuple[Found, Kernel | None]]:
    """Give the kernels, their twins, and the scenarios among the demos."""
    for kernel in KERNELS:
        for one in (kernel.buggy, kernel.fixed):
            yield of(f"{one.__module__}:{one.__name__}"), kernel
    for name in ("AccountWithoutLock", "AccountWithLock"):
        yield of(f"bench.demos.account:{name}"), None


def of(target: str) -> Found:
    """Find one target."""
    (found,) = find([target])
    return found


def account() -> Found:
    """Give the account that nothing protects."""
    return of("bench.demos.account:AccountWithoutLock")


def finding(found: Found, wanted: Callable[[Outcome], bool], method: str) -> Schedule:
    """Find an outcome of a target, and give the schedule that leads to it, as a file would hold it."""
    observation = observe(found, method=method, strategy="dpor", deadline_s=10, audited=False)
    one = next(one for one in observation.outcomes if wanted(one.outcome))
    said = {"key": one.outcome.key, "kind": one.outcome.kind, "text": one.outcome.text()}
    python, file = sys.version.split()[0], found.program.file
    return Schedule(
        found.program.target, found.place.module, found.place.root, file, method, python, said, anchors_of(one.witness)
    )


def both_ways(found: Found, kernel: Kernel | None, method: str, most: int) -> Ways:
    """Explore a target by going through at most so many interleavings, and by partial-order reduction."""
    every = observe(found, method=method, strategy="dfs", schedules=most, deadline_s=10, audited=False)
    return Ways(found, kernel, every, observe(found, method=method, strategy="dpor", schedules=most, deadline_s=10))


def main(method: str, most: int, names: list[str]) -> int:
    """Explore all, or those of some names, and print the table."""
    failed = 0
    print(f"# Python {sys.version.split()[0]}, {method}, at most {most:,} interleavings")
    for found, kernel in targets():
        name = found.program.name
        if names and name not in names:
            continue
        ways = both_ways(found, kernel, method, most)
        wrongs = list(ways.wrongs())
        failed += bool(wrongs)
        count = f"{ways.every.samples:,}" if ways.exhaustive else f"> {ways.every.samples:,}"
        asleep: object = figures_of(ways.classes)["asleep"]
        through = "" if complete(ways.classes) else " not all"
        print(
            f"{name:28} {count:>9}  dpor {ways.classes.samples:>6,}{through} ({asleep} asleep)  "
            f"{len(keys(ways.classes))} outcomes  {'; '.join(wrongs) or 'ok'}  "
            f"[{ways.every.seconds + ways.classes.seconds:.1f} s]",
            flush=True,
        )
    return failed > 0


if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.exit(main(arguments[0] if arguments else "fork", int(arguments[1]) if arguments[1:] else MOST, arguments[2:]))
