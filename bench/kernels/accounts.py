"""Kernels of invariants over two places, each of which is kept well by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import actor, deterministic, racy, scenario

if TYPE_CHECKING:
    from ctypes import c_int
    from multiprocessing.context import DefaultContext
    from multiprocessing.sharedctypes import Synchronized, SynchronizedArray
    from multiprocessing.synchronize import Lock

THERE, BACK = 50, 30


@scenario(racy([100 - THERE + BACK, 100 + THERE - BACK], "the two transfers kept out of each other's way"))
class TwoAccountTransfer:
    """A transfer locks the account that it takes from but not the one that it pays into, and money appears or is gone.

    Source: CWE-821, incorrect synchronization.
    """

    def __init__(self, mp: DefaultContext) -> None:
        # Raw, with locks beside them: a `Value` would lock itself at each access, under the lock of the other account.
        # On several CPUs [130, 150] may come as well, twice in two million samples, which no interleaving gives: the
        # first store of each is still on its way to memory when the other's load goes by.
        self.ours: c_int = mp.RawValue("i", 100)
        self.theirs: c_int = mp.RawValue("i", 100)
        self.our_lock: Lock = mp.Lock()
        self.their_lock: Lock = mp.Lock()

    def pay(self) -> None:
        with self.our_lock:
            # A reads ours: 100 | B: theirs 70, ours 130 / A: ours 50, theirs 120; the lock on ours kept B from nothing
            self.ours.value -= THERE
            self.theirs.value += THERE

    def be_paid(self) -> None:
        with self.their_lock:
            self.theirs.value -= BACK
            self.ours.value += BACK

    @actor
    def there(self) -> None:
        """Pay 50."""
        self.pay()

    @actor
    def back(self) -> None:
        """Have 30 paid in the other direction."""
        self.be_paid()

    def result(self) -> list[int]:
        """Return both balances."""
        return [self.ours.value, self.theirs.value]


@scenario(deterministic([100 - THERE + BACK, 100 + THERE - BACK], "a transfer holds both accounts"))
class TwoAccountTransferFixed(TwoAccountTransfer):
    """Each transfer holds the locks of both accounts, and all take them in the same order."""

    def pay(self) -> None:
        with self.our_lock, self.their_lock:
            self.ours.value -= THERE
            self.theirs.value += THERE

    def be_paid(self) -> None:
        with self.our_lock, self.their_lock:
            self.theirs.value -= BACK
            self.ours.value += BACK


@scenario(racy(1, "somebody is left on call"))
class WriteSkew:
    """Two doctors see that both are on call, and each goes off by a write to a row of their own: nobody is left.

    Source: H. Berenson et al., A Critique of ANSI SQL Isolation Levels (SIGMOD 1995), anomaly A5B.
    """

    def __init__(self, mp: DefaultContext) -> None:
        self.on_call: SynchronizedArray[int] = mp.Array("i", [1, 1])
        self.lock: Lock = mp.Lock()

    def go_off(self, me: int) -> None:
        # A counts 2 | B counts 2, goes off / A goes off
        if self.on_call[0] + self.on_call[1] == 2:
            self.on_call[me] = 0

    @actor
    def first(self) -> None:
        """Go off call, if the other one stays."""
        self.go_off(0)

    @actor
    def second(self) -> None:
        """Go off call, if the first one stays."""
        self.go_off(1)

    def result(self) -> int:
        """Count the doctors on call."""
        return sum(self.on_call[:])


@scenario(deterministic(1, "the second sees that the first has gone"))
class WriteSkewFixed(WriteSkew):
    """Both rows are read, and one is written, under one lock."""

    def go_off(self, me: int) -> None:
        with self.lock:
            super().go_off(me)


@scenario(racy(0, "both halves from before, or both from after"))
class TornPair:
    """A pair is written half by half, and a reader sees one half new and one old.

    Source: L. Lamport, Concurrent Reading and Writing, Communications of the ACM 20(11), 1977.
    """

    def __init__(self, mp: DefaultContext) -> None:
        self.left: Synchronized[int] = mp.Value("i", 0)
        self.right: Synchronized[int] = mp.Value("i", 0)
        self.difference: Synchronized[int] = mp.Value("i", 0)
        self.lock: Lock = mp.Lock()

    @actor
    def write(self) -> None:
        """Make both halves 1."""
        # A: left 1 | B sees 1 and 0 / A: right 1. Or B sees left 0 | A: left 1, right 1 / B sees right 1
        self.left.value = 1
        self.right.value = 1

    @actor
    def read(self) -> None:
        """Note by how much the halves differ."""
        self.difference.value = self.left.value - self.right.value

    def result(self) -> int:
        """Return by how much the halves differed for the reader."""
        return self.difference.value


@scenario(deterministic(0, "nobody looks while it is written"))
class TornPairFixed(TornPair):
    """The pair is written under a lock, and read under the same."""

    @actor
    def write(self) -> None:
        """Make both halves 1, under the lock."""
        with self.lock:
            super().write()

    @actor
    def read(self) -> None:
        """Note by how much the halves differ, under the lock."""
        with self.lock:
            super().read()
