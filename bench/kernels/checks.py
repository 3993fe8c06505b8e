"""Kernels of checking: what was found true no longer is when it is acted on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import actor, deterministic, racy, scenario

if TYPE_CHECKING:
    from multiprocessing.context import DefaultContext
    from multiprocessing.sharedctypes import Synchronized
    from multiprocessing.synchronize import Lock

OPENING = 200
WITHDRAWAL = 150


@scenario(racy(OPENING - WITHDRAWAL, "only one was paid"))
class CheckThenAct:
    """Two withdrawals check the balance before they lock it, and both are paid out of what covers one.

    Source: CWE-367, time-of-check time-of-use race condition.
    """

    def __init__(self, mp: DefaultContext) -> None:
        self.balance: Synchronized[int] = mp.Value("i", OPENING)

    def withdraw(self) -> None:
        # A finds 200 | B finds 200, leaves 50 / A leaves -100
        if self.balance.value >= WITHDRAWAL:
            with self.balance.get_lock():
                self.balance.value -= WITHDRAWAL

    @actor
    def first(self) -> None:
        """Withdraw, if there is enough."""
        self.withdraw()

    @actor
    def second(self) -> None:
        """Withdraw as well, if there is enough."""
        self.withdraw()

    def result(self) -> int:
        """Return the balance."""
        return self.balance.value


@scenario(deterministic(OPENING - WITHDRAWAL, "the second finds too little"))
class CheckThenActFixed(CheckThenAct):
    """The balance is checked under the lock under which it is changed."""

    def withdraw(self) -> None:
        with self.balance.get_lock():
            if self.balance.value >= WITHDRAWAL:
                self.balance.value -= WITHDRAWAL


@scenario(racy(1, "made once"))
class LazyInit:
    """Two processes find a thing not yet made, and the one that waited for the lock makes it again.

    Source: D. C. Schmidt and T. Harrison, Double-Checked Locking, Pattern Languages of Program Design 3 (1997).
    """

    def __init__(self, mp: DefaultContext) -> None:
        self.made: Synchronized[int] = mp.Value("i", 0)
        self.lock: Lock = mp.Lock()

    def get(self) -> None:
        # A finds none | B finds none, locks, makes it / A locks, makes it again
        if not self.made.value:
            with self.lock:
                self.made.value += 1

    @actor
    def first(self) -> None:
        """Have it made."""
        self.get()

    @actor
    def second(self) -> None:
        """Have it made, too."""
        self.get()

    def result(self) -> int:
        """Return how often it was made."""
        return self.made.value


@scenario(deterministic(1, "whoever waited looks again"))
class LazyInitFixed(LazyInit):
    """What was checked without the lock is checked again under it."""

    def get(self) -> None:
        if not self.made.value:
            with self.lock:
                if not self.made.value:
                    self.made.value += 1
