"""Kernels of counting: an update that reads, and writes later, forgets what was written in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import acceptable, actor, deterministic, interesting, racy, scenario

if TYPE_CHECKING:
    from multiprocessing.context import DefaultContext
    from multiprocessing.sharedctypes import Synchronized


@scenario(racy(2, "no increment was lost"))
class LostUpdate:
    """Two processes increment a `Value` by `+=`, which locks the reading and the writing but not both together.

    Source: the documentation of `multiprocessing.Value`, which warns that `counter.value += 1` is not atomic.
    """

    def __init__(self, mp: DefaultContext) -> None:
        self.counter: Synchronized[int] = mp.Value("i", 0)

    def increment(self) -> None:
        # A reads 0 | B reads 0, writes 1 / A writes 1
        self.counter.value += 1

    @actor
    def first(self) -> None:
        """Count one."""
        self.increment()

    @actor
    def second(self) -> None:
        """Count one more."""
        self.increment()

    def result(self) -> int:
        """Return the count."""
        return self.counter.value


@scenario(deterministic(2, "the lock spans reading and writing"))
class LostUpdateFixed(LostUpdate):
    """The lock of the `Value` is held from before it is read until it is written."""

    def increment(self) -> None:
        with self.counter.get_lock():
            self.counter.value += 1


EACH = 3
"""How many increments each process makes."""


def _some_lost(count: object) -> bool:
    return isinstance(count, int) and 2 < count < 2 * EACH


@scenario(
    acceptable(2 * EACH, "no increment was lost"),
    interesting(2, "a process slept over nearly all that the other did, and undid it; then the other did the same"),
    interesting(_some_lost, "some increments were lost"),
)
class ThreeIncrementsEach:
    """Two processes increment a shared counter three times each, and two is left: fewer than either made.

    Source: M. Ben-Ari, Principles of Concurrent and Distributed Programming, 2nd ed., chapter 2, concurrent counting.
    """

    def __init__(self, mp: DefaultContext) -> None:
        self.counter: Synchronized[int] = mp.Value("i", 0)

    def increment(self) -> None:
        # A reads 0 | B: 0 to 1, 1 to 2 | A writes 1 | B reads 1 | A: 1 to 2, 2 to 3 / B writes 2. Less than four
        # preemptions do not do it: the last write is of one who read 1; that 1 was written, over what the same
        # process wrote before, by the other, who had read 0; and that other's increments are over before it.
        self.counter.value += 1

    @actor
    def first(self) -> None:
        """Count three."""
        for _ in range(EACH):
            self.increment()

    @actor
    def second(self) -> None:
        """Count three more."""
        for _ in range(EACH):
            self.increment()

    def result(self) -> int:
        """Return the count."""
        return self.counter.value


@scenario(deterministic(2 * EACH, "the lock makes each increment whole"))
class ThreeIncrementsEachFixed(ThreeIncrementsEach):
    """Each increment is made under the lock of the `Value`."""

    def increment(self) -> None:
        with self.counter.get_lock():
            self.counter.value += 1
