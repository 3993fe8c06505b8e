"""Demos 13 and 14: an account that one process pays into while another takes out, without a lock and with one."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from bench import actor, deterministic, program, racy, scenario

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from multiprocessing.context import DefaultContext
    from multiprocessing.sharedctypes import Synchronized

    Lock = AbstractContextManager[object]

OPENING = 200
STEPS = 10_000
ORIGINAL_PAUSE_S = 0.0001
"""The pause after each step with which the account is often shown; it makes a sample of 10,000 steps last seconds."""


def _change(balance: Synchronized[int], lock: Lock, amount: int, steps: int, pause_s: float) -> None:
    for _ in range(steps):
        with lock:
            balance.value += amount
        if pause_s:
            time.sleep(pause_s)


def _deposit(balance: Synchronized[int], lock: Lock, amount: int, steps: int, pause_s: float) -> None:
    _change(balance, lock, OPENING, 1, pause_s)
    _change(balance, lock, amount, steps, pause_s)


def _balance_after(mp: DefaultContext, lock: Lock, deposit: int, withdrawal: int, steps: int, pause_s: float) -> int:
    # The account opens empty, and what is in it at first is deposited by the child: with nobody at work, 0 is left.
    balance: Synchronized[int] = mp.Value("i", 0)
    children = [
        mp.Process(target=_deposit, args=(balance, lock, deposit, steps, pause_s), name="Deposits"),
        mp.Process(target=_change, args=(balance, lock, -withdrawal, steps, pause_s), name="Withdrawals"),
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
    return balance.value


@program(racy(OPENING, "no update was lost"))
def without_lock(mp: DefaultContext, *, steps: int = STEPS, pause_s: float = 0.0) -> int:
    """10,000 deposits and 10,000 withdrawals of 1 at once should leave 200, but nothing sees to it.

    `value += 1` reads and then writes, and what another process wrote in between is lost, although a `Value` locks
    each of the two. Which balances come, and how often, differs by start method, version and number of CPUs: that
    some sample goes right proves nothing anywhere.
    """
    return _balance_after(mp, contextlib.nullcontext(), 1, 1, steps, pause_s)


@program(deterministic(OPENING, "the lock makes each step whole"))
def with_lock(mp: DefaultContext, *, steps: int = STEPS, pause_s: float = 0.0) -> int:
    """10,000 deposits and 10,000 withdrawals of 1 at once, each under one lock, leave 200.

    The lock spans reading and writing, and both processes are given the same one as an argument. So it holds under
    every start method, where a lock that is a global would be another one in each child of spawn and forkserver.
    """
    return _balance_after(mp, mp.Lock(), 1, 1, steps, pause_s)


@program(deterministic(OPENING + STEPS, "the lock makes each step whole"))
def with_lock_unequal(mp: DefaultContext, *, steps: int = STEPS, pause_s: float = 0.0) -> int:
    """10,000 deposits of 3 and 10,000 withdrawals of 2 at once, each under one lock, leave 10,200.

    With unequal amounts no two mistakes cancel out, and children that do nothing leave another balance. The result
    is portable as that of the equal ones is.
    """
    return _balance_after(mp, mp.Lock(), 3, 2, steps, pause_s)


@scenario(racy(OPENING, "no update was lost"))
class AccountWithoutLock:
    """One deposit and one withdrawal of 1 at once should leave 200, but nothing sees to it.

    A scenario is one step of what the program repeats, so that a sample takes microseconds and every interleaving can
    be counted. There are three balances under every start method: 200, 199 and 201.
    """

    def __init__(self, mp: DefaultContext) -> None:
        self.balance: Synchronized[int] = mp.Value("i", OPENING)

    @actor
    def deposit(self) -> None:
        self.balance.value += 1

    @actor
    def withdraw(self) -> None:
        self.balance.value -= 1

    def result(self) -> int:
        return self.balance.value


@scenario(deterministic(OPENING, "the lock makes each step whole"))
class AccountWithLock:
    """One deposit and one withdrawal of 1 at once, each under one lock, leave 200.

    The lock is part of the state, which both actors are given, so that it is the same one for both. The result is
    portable as that of the program is.
    """

    def __init__(self, mp: DefaultContext) -> None:
        self.balance: Synchronized[int] = mp.Value("i", OPENING)
        self.lock: Lock = mp.Lock()

    @actor
    def deposit(self) -> None:
        with self.lock:
            self.balance.value += 1

    @actor
    def withdraw(self) -> None:
        with self.lock:
            self.balance.value -= 1

    def result(self) -> int:
        return self.balance.value


if __name__ == "__main__":
    from bench.demos.script import show

    show()
