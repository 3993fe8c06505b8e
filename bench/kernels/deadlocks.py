"""Kernels of deadlock: each holds what the next one waits for, in a circle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import acceptable, actor, deadlocks, deterministic, hangs, interesting, scenario

if TYPE_CHECKING:
    from multiprocessing.context import DefaultContext
    from multiprocessing.sharedctypes import Synchronized, SynchronizedArray
    from multiprocessing.synchronize import Lock

CROSSED = "each holds the lock that the other waits for"


@scenario(
    acceptable(2, "one was through before the other began"),
    interesting(hangs(), CROSSED),
    interesting(deadlocks(), CROSSED),
)
class CrossedLocks:
    """One process takes lock a and then b, the other b and then a, and each waits for ever for the second.

    Source: CWE-833, deadlock; E. G. Coffman et al., System Deadlocks, ACM Computing Surveys 3(2), 1971.
    """

    def __init__(self, mp: DefaultContext) -> None:
        self.a: Lock = mp.Lock()
        self.b: Lock = mp.Lock()
        self.moves: Synchronized[int] = mp.Value("i", 0)

    def move(self, one: Lock, other: Lock) -> None:
        # A takes a | B takes b, waits for a / A waits for b
        with one, other:
            self.moves.value += 1

    @actor
    def forth(self) -> None:
        """Move from a to b."""
        self.move(self.a, self.b)

    @actor
    def back(self) -> None:
        """Move from b to a."""
        self.move(self.b, self.a)

    def result(self) -> int:
        """Count the moves."""
        return self.moves.value


@scenario(deterministic(2, "all take a before b"))
class CrossedLocksFixed(CrossedLocks):
    """Whatever is to be done with them, the locks are taken in one order."""

    def move(self, one: Lock, other: Lock) -> None:  # noqa: ARG002  # the order is no longer the caller's
        super().move(self.a, self.b)


SEATS = 3
ROUND = "each holds a fork and waits for the next"


@scenario(
    acceptable([1] * SEATS, "somebody found both forks"), interesting(hangs(), ROUND), interesting(deadlocks(), ROUND)
)
class Philosophers:
    """Three philosophers each take their left fork and wait for ever for the right one.

    Source: E. W. Dijkstra, Hierarchical Ordering of Sequential Processes, Acta Informatica 1, 1971 (EWD 310).
    """

    def __init__(self, mp: DefaultContext) -> None:
        self.forks: list[Lock] = [mp.Lock() for _ in range(SEATS)]
        self.meals: SynchronizedArray[int] = mp.Array("i", SEATS)

    def dine(self, seat: int) -> None:
        # A takes fork 0 | C takes fork 2, waits for fork 0 / B takes fork 1, waits for fork 2 / A waits for fork 1
        with self.forks[seat], self.forks[(seat + 1) % SEATS]:
            self.meals[seat] += 1

    @actor
    def first(self) -> None:
        """Dine at seat 0."""
        self.dine(0)

    @actor
    def second(self) -> None:
        """Dine at seat 1."""
        self.dine(1)

    @actor
    def third(self) -> None:
        """Dine at seat 2."""
        self.dine(2)

    def result(self) -> list[int]:
        """Count the meals at each seat."""
        return self.meals[:]


@scenario(deterministic([1] * SEATS, "who holds the last fork waits for nobody"))
class PhilosophersFixed(Philosophers):
    """Of two forks everybody takes the one with the lower number first."""

    def dine(self, seat: int) -> None:
        low, high = sorted((seat, (seat + 1) % SEATS))
        with self.forks[low], self.forks[high]:
            self.meals[seat] += 1
