"""Kernels of mutual exclusion: locks made by hand that do not lock, and locks misused.

Each is tried once rather than waited for, so that every one of its interleavings has an end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import acceptable, actor, deterministic, interesting, racy, raises, scenario

if TYPE_CHECKING:
    from multiprocessing.context import DefaultContext
    from multiprocessing.sharedctypes import Synchronized, SynchronizedArray
    from multiprocessing.synchronize import Lock, Semaphore


@scenario(racy(1, "one holds the lock"))
class FlagLock:
    """A lock made of a flag that is tested and then set: two find it free, and both hold it.

    Source: E. W. Dijkstra, Cooperating Sequential Processes (EWD 123), section 2.1, where testing is one step
    and setting another.
    """

    def __init__(self, mp: DefaultContext) -> None:
        self.taken: Synchronized[int] = mp.Value("i", 0)
        self.holds: SynchronizedArray[int] = mp.Array("i", 2)
        self.lock: Lock = mp.Lock()

    def acquire(self) -> bool:
        # A finds it free | B finds it free, takes it / A takes it
        if self.taken.value:
            return False
        self.taken.value = 1
        return True

    @actor
    def first(self) -> None:
        """Take the lock, and keep it."""
        if self.acquire():
            self.holds[0] = 1

    @actor
    def second(self) -> None:
        """Take the lock, if the first has not got it."""
        if self.acquire():
            self.holds[1] = 1

    def result(self) -> int:
        """Count the holders of the lock."""
        return sum(self.holds[:])


@scenario(deterministic(1, "one holds the lock"))
class FlagLockFixed(FlagLock):
    """The flag is tested and set in one, under a real lock."""

    def acquire(self) -> bool:
        with self.lock:
            return super().acquire()


@scenario(racy(True, "one at most is inside"))
class PetersonSwapped:
    """Peterson's algorithm with its two stores swapped: who gives way before raising the own flag is overlooked.

    Source: G. L. Peterson, Myths about the Mutual Exclusion Problem, Information Processing Letters 12(3), 1981.
    """

    def __init__(self, mp: DefaultContext) -> None:
        # Synchronized: each access takes a lock, so that no CPU defers a store beyond a later load.
        self.wants: SynchronizedArray[int] = mp.Array("i", 2)
        self.turn: Synchronized[int] = mp.Value("i", 0)
        self.inside: SynchronizedArray[int] = mp.Array("i", 2)

    def announce(self, me: int) -> None:
        # A: turn B | B: turn A, flag B, finds flag A down, is inside / A: flag A, finds that it is A's turn, is inside
        self.turn.value = 1 - me
        self.wants[me] = 1

    def enter(self, me: int) -> None:
        """Go inside and stay there, unless it is the other one's turn."""
        self.announce(me)
        if not (self.wants[1 - me] and self.turn.value == 1 - me):
            self.inside[me] = 1

    @actor
    def first(self) -> None:
        """Try to get inside."""
        self.enter(0)

    @actor
    def second(self) -> None:
        """Try to get inside, too."""
        self.enter(1)

    def result(self) -> bool:
        """Return whether at most one is inside."""
        return sum(self.inside[:]) <= 1


@scenario(deterministic(True, "who comes second is seen, or sees"))
class PetersonSwappedFixed(PetersonSwapped):
    """The flag is raised first, then way is given, as Peterson has it."""

    def announce(self, me: int) -> None:
        self.wants[me] = 1
        self.turn.value = 1 - me


@scenario(racy(1, "the turnstile lets one more through, whom it is for"))
class TurnstileBarrier:
    """A barrier counts under a mutex but compares outside it, and more than one opens the turnstile.

    Source: A. B. Downey, The Little Book of Semaphores, reusable barrier, non-solution 1.
    """

    def __init__(self, mp: DefaultContext) -> None:
        self.count: Synchronized[int] = mp.Value("i", 0)
        self.mutex: Lock = mp.Lock()
        self.turnstile: Semaphore = mp.Semaphore(0)

    def arrive(self) -> None:
        # A: count 1 | B: count 2, opens, passes / A: 2 of 2 are here, opens as well, passes
        with self.mutex:
            self.count.value += 1
        if self.count.value == 2:
            self.turnstile.release()

    def wait(self) -> None:
        """Pass the turnstile when both are here, and leave it as it was for the other."""
        self.arrive()
        self.turnstile.acquire()
        self.turnstile.release()

    @actor
    def first(self) -> None:
        """Wait for the second."""
        self.wait()

    @actor
    def second(self) -> None:
        """Wait for the first."""
        self.wait()

    def result(self) -> int:
        """Count how many may pass before anybody of the next round has arrived; one, who would close it."""
        passed = 0
        while self.turnstile.acquire(block=False):
            passed += 1
        return passed


@scenario(deterministic(1, "it was opened once"))
class TurnstileBarrierFixed(TurnstileBarrier):
    """The process that counts also compares, before it releases the mutex."""

    def arrive(self) -> None:
        with self.mutex:
            self.count.value += 1
            if self.count.value == 2:
                self.turnstile.release()


@scenario(
    acceptable(1, "each found the lock free, or the release came when it did no harm"),
    interesting(raises(ValueError), "one released the other's lock, and the other had none to release"),
)
class ReleaseInFinally:
    """A `finally` releases a lock that its `try` may not have got: the lock of somebody else.

    Source: CWE-832, unlock of a resource that is not locked; any process may release a `multiprocessing.Lock`, as its
    documentation says.
    """

    def __init__(self, mp: DefaultContext) -> None:
        self.fresh: Synchronized[int] = mp.Value("i", 0)
        self.lock: Lock = mp.Lock()

    def refresh(self) -> None:
        # A acquires | B does not, releases all the same / A has nothing to release: ValueError
        try:
            if self.lock.acquire(block=False):
                self.fresh.value = 1
        finally:
            self.lock.release()

    @actor
    def first(self) -> None:
        """Refresh it, unless somebody is at it."""
        self.refresh()

    @actor
    def second(self) -> None:
        """Refresh it as well, unless somebody is at it."""
        self.refresh()

    def result(self) -> int:
        """Return whether it is fresh."""
        return self.fresh.value


@scenario(deterministic(1, "who did not get the lock leaves it alone"))
class ReleaseInFinallyFixed(ReleaseInFinally):
    """The `try` begins when the lock is held."""

    def refresh(self) -> None:
        if not self.lock.acquire(block=False):
            return
        try:
            self.fresh.value = 1
        finally:
            self.lock.release()
