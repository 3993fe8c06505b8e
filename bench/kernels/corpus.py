"""The corpus as data: each kernel, its fixed twin, and what is known of the bug."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.kernels import (
    accounts,
    checks,
    conditions,
    counters,
    deadlocks,
    exclusion,
    files,
    publication,
    queues,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["KERNELS", "Kernel"]

Shows = Literal["value", "hang", "raised"]


@dataclass(frozen=True)
class Kernel:
    """A known bug, and what is known of it.

    Attributes:
        name: the bug in a few words.
        buggy: the scenario that has it.
        fixed: the same scenario without it.
        processes: how many actors it takes.
        preemptions: the fewest switches away from an actor that could have gone on after which the bug shows.
        shows: as which kind of outcome; a hang is a deadlock where that can be told.
        right: the value when all goes well, and always of the fixed twin.
        wrong: the values that are the bug, if it shows as one; with none given, every value but the right one.
    """

    name: str
    buggy: Callable[..., object]
    fixed: Callable[..., object]
    processes: int
    preemptions: int
    shows: Shows
    right: object
    wrong: tuple[object, ...] = ()

    @property
    def sentence(self) -> str:
        """The bug in one sentence."""
        return _paragraph(self.buggy, 0)

    @property
    def source(self) -> str:
        """Where the bug is described."""
        return _paragraph(self.buggy, 1).removeprefix("Source: ")


def _paragraph(scenario: object, index: int) -> str:
    paragraphs = (inspect.getdoc(scenario) or "").split("\n\n")
    return " ".join(paragraphs[index].split()) if index < len(paragraphs) else ""


KERNELS: tuple[Kernel, ...] = (
    Kernel("lost update", counters.LostUpdate, counters.LostUpdateFixed, 2, 1, "value", 2, (1,)),
    Kernel(
        "three increments each ending at 2",
        counters.ThreeIncrementsEach,
        counters.ThreeIncrementsEachFixed,
        2,
        4,
        "value",
        6,
        (2,),
    ),
    Kernel("check-then-act", checks.CheckThenAct, checks.CheckThenActFixed, 2, 1, "value", 50, (-100,)),
    Kernel("exists-then-create", files.ExistsThenCreate, files.ExistsThenCreateFixed, 2, 1, "value", 1, (2,)),
    Kernel(
        "two-account transfer",
        accounts.TwoAccountTransfer,
        accounts.TwoAccountTransferFixed,
        2,
        1,
        "value",
        [80, 120],
    ),
    Kernel("AB/BA deadlock", deadlocks.CrossedLocks, deadlocks.CrossedLocksFixed, 2, 1, "hang", 2),
    Kernel("philosophers 3", deadlocks.Philosophers, deadlocks.PhilosophersFixed, 3, 1, "hang", [1, 1, 1]),
    Kernel("lost wakeup", conditions.LostWakeup, conditions.LostWakeupFixed, 2, 1, "hang", 1),
    Kernel("buffer with if for while", conditions.IfForWhile, conditions.IfForWhileFixed, 3, 1, "value", [1, 2]),
    Kernel(
        "one condition for two kinds of waiter",
        conditions.OneConditionForTwo,
        conditions.OneConditionForTwoFixed,
        3,
        0,
        "hang",
        [1, 2],
    ),
    Kernel(
        "flag set before data",
        publication.FlagBeforeData,
        publication.FlagBeforeDataFixed,
        2,
        1,
        "value",
        42,
        (0,),
    ),
    Kernel("lazy init without second check", checks.LazyInit, checks.LazyInitFixed, 2, 1, "value", 1, (2,)),
    Kernel("test-then-set lock", exclusion.FlagLock, exclusion.FlagLockFixed, 2, 1, "value", 1, (2,)),
    Kernel(
        "Peterson with its stores swapped",
        exclusion.PetersonSwapped,
        exclusion.PetersonSwappedFixed,
        2,
        1,
        "value",
        True,
        (False,),
    ),
    Kernel(
        "turnstile barrier read outside its mutex",
        exclusion.TurnstileBarrier,
        exclusion.TurnstileBarrierFixed,
        2,
        1,
        "value",
        1,
        (2,),
    ),
    Kernel("both break a stale lock file", files.StaleLockFile, files.StaleLockFileFixed, 2, 1, "value", 1, (2,)),
    Kernel("write skew", accounts.WriteSkew, accounts.WriteSkewFixed, 2, 1, "value", 1, (0,)),
    Kernel("torn pair", accounts.TornPair, accounts.TornPairFixed, 2, 1, "value", 0, (-1, 1)),
    Kernel("empty() then get()", queues.EmptyThenGet, queues.EmptyThenGetFixed, 2, 1, "hang", 1),
    Kernel(
        "release in finally without having acquired",
        exclusion.ReleaseInFinally,
        exclusion.ReleaseInFinallyFixed,
        2,
        1,
        "raised",
        1,
    ),
)
"""All kernels, from the simplest on within each subject."""
