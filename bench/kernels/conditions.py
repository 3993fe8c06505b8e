"""Kernels of conditions: a wakeup that nobody hears, that comes too late, or that wakes the wrong one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import acceptable, actor, deadlocks, deterministic, hangs, interesting, racy, scenario

if TYPE_CHECKING:
    from multiprocessing.context import DefaultContext
    from multiprocessing.sharedctypes import Synchronized, SynchronizedArray
    from multiprocessing.synchronize import Condition

UNHEARD = "the notification came between the look and the wait, and there is no second"


@scenario(
    acceptable(1, "it waited before it was notified, or saw that it need not"),
    interesting(hangs(), UNHEARD),
    interesting(deadlocks(), UNHEARD),
)
class LostWakeup:
    """A process looks whether it must wait before it holds the condition, and sleeps through its only notification.

    Source: B. Goetz et al., Java Concurrency in Practice, 14.2.3, missed signals.
    """

    def __init__(self, mp: DefaultContext) -> None:
        self.condition: Condition = mp.Condition()
        self.ready: Synchronized[int] = mp.Value("i", 0)
        self.went_on: Synchronized[int] = mp.Value("i", 0)

    def await_ready(self) -> None:
        # A sees 0 | B sets it, notifies nobody / A waits
        if not self.ready.value:
            with self.condition:
                self.condition.wait()

    @actor
    def wait(self) -> None:
        """Go on when it is ready."""
        self.await_ready()
        self.went_on.value = 1

    @actor
    def notify(self) -> None:
        """Make it ready, and say so."""
        with self.condition:
            self.ready.value = 1
            self.condition.notify()

    def result(self) -> int:
        """Return whether the waiting process went on."""
        return self.went_on.value


@scenario(deterministic(1, "between the look and the wait nobody else holds the condition"))
class LostWakeupFixed(LostWakeup):
    """It looks, and looks again after each wait, while it holds the condition."""

    def await_ready(self) -> None:
        with self.condition:
            while not self.ready.value:
                self.condition.wait()


@scenario(racy([1, 2], "each took one item"))
class IfForWhile:
    """A consumer woken for an item does not look again, though another one took it: it takes what is not there.

    Source: B. W. Lampson and D. D. Redell, Experience with Processes and Monitors in Mesa, CACM 23(2), 1980.
    """

    def __init__(self, mp: DefaultContext) -> None:
        self.condition: Condition = mp.Condition()
        self.count: Synchronized[int] = mp.Value("i", 0)
        self.slots: SynchronizedArray[int] = mp.Array("i", 2)
        self.taken: SynchronizedArray[int] = mp.Array("i", 2)

    def await_item(self) -> None:
        # B waits / A puts, notifies B, which has yet to get the condition back | C takes the item / B takes from the
        # empty buffer / A puts the other item
        if self.count.value == 0:
            self.condition.wait()

    def take(self, me: int) -> None:
        """Take the item put last."""
        with self.condition:
            self.await_item()
            self.count.value -= 1
            self.taken[me] = self.slots[self.count.value]

    @actor
    def produce(self) -> None:
        """Put two items, and notify a consumer of each."""
        for item in (1, 2):
            with self.condition:
                self.slots[self.count.value] = item
                self.count.value += 1
                self.condition.notify()

    @actor
    def consume(self) -> None:
        """Take one item."""
        self.take(0)

    @actor
    def consume_too(self) -> None:
        """Take one item, too."""
        self.take(1)

    def result(self) -> list[int]:
        """Return the items taken."""
        return sorted(self.taken[:])


@scenario(deterministic([1, 2], "whoever finds no item waits on"))
class IfForWhileFixed(IfForWhile):
    """It looks again after each wait."""

    def await_item(self) -> None:
        while self.count.value == 0:
            self.condition.wait()


WRONG_ONE = "a consumer was woken where the producer should have been, and all wait"


@scenario(
    acceptable([1, 2], "each notification woke one whom it concerned"),
    interesting(hangs(), WRONG_ONE),
    interesting(deadlocks(), WRONG_ONE),
)
class OneConditionForTwo:
    """A producer and two consumers of one slot wait on one condition, and `notify` wakes one whom it does not concern.

    Source: B. Goetz et al., Java Concurrency in Practice, 14.2.4, on `notify` where conditions share a queue.
    """

    def __init__(self, mp: DefaultContext) -> None:
        lock = mp.Lock()
        self.slot: Synchronized[int] = mp.Value("i", 0)
        self.taken: SynchronizedArray[int] = mp.Array("i", 2)
        self.filled: Condition = mp.Condition(lock)
        self.emptied: Condition = self._second(mp, lock)

    def _second(self, mp: DefaultContext, lock: object) -> Condition:  # noqa: ARG002  # the twin makes another
        # B waits / C waits / A puts, notifies B, and finds the slot full: waits / B takes, notifies C, ends /
        # C finds nothing and waits, as A does; there is no preemption in it
        return self.filled

    def take(self, me: int) -> None:
        """Take an item when there is one."""
        with self.filled:
            while self.slot.value == 0:
                self.filled.wait()
            self.taken[me] = self.slot.value
            self.slot.value = 0
            self.emptied.notify()

    @actor
    def produce(self) -> None:
        """Put two items, one when the other has been taken."""
        for item in (1, 2):
            with self.filled:
                while self.slot.value:
                    self.emptied.wait()
                self.slot.value = item
                self.filled.notify()

    @actor
    def consume(self) -> None:
        """Take one item."""
        self.take(0)

    @actor
    def consume_too(self) -> None:
        """Take one item, too."""
        self.take(1)

    def result(self) -> list[int]:
        """Return the items taken."""
        return sorted(self.taken[:])


@scenario(deterministic([1, 2], "who waits for a filled slot is never woken by an emptied one"))
class OneConditionForTwoFixed(OneConditionForTwo):
    """There is a condition for each thing to wait for, with one lock for both."""

    def _second(self, mp: DefaultContext, lock: object) -> Condition:
        return mp.Condition(lock)  # type: ignore[arg-type]  # the stubs want a Lock of another module
