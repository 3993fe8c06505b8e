"""A kernel of queues: what `empty()` says is over when it has been said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import acceptable, actor, deadlocks, deterministic, hangs, interesting, scenario

if TYPE_CHECKING:
    from multiprocessing.context import DefaultContext
    from multiprocessing.queues import SimpleQueue
    from multiprocessing.sharedctypes import SynchronizedArray
    from multiprocessing.synchronize import Lock

TAKEN = "both saw the item, one took it, and the other waits for one that never comes"


@scenario(
    acceptable(1, "the second saw that it was empty"), interesting(hangs(), TAKEN), interesting(deadlocks(), TAKEN)
)
class EmptyThenGet:
    """Two consumers find a queue not empty, and the one that is late waits for ever for the only item.

    Source: the documentation of `multiprocessing.Queue.empty`, which calls its answer not reliable.
    """

    def __init__(self, mp: DefaultContext) -> None:
        # A SimpleQueue has no thread that feeds it: what was put is in the pipe, and there for all to see.
        self.queue: SimpleQueue[str] = mp.SimpleQueue()
        self.queue.put("item")
        self.got: SynchronizedArray[int] = mp.Array("i", 2)
        self.lock: Lock = mp.Lock()

    def get(self, me: int) -> None:
        # A sees an item | B sees it, takes it / A waits
        if not self.queue.empty():
            self.queue.get()
            self.got[me] = 1

    @actor
    def first(self) -> None:
        """Take an item, if there is one."""
        self.get(0)

    @actor
    def second(self) -> None:
        """Take an item as well, if there is one."""
        self.get(1)

    def result(self) -> int:
        """Count the items taken."""
        return sum(self.got[:])


@scenario(deterministic(1, "the item that was seen is still there"))
class EmptyThenGetFixed(EmptyThenGet):
    """Consumers look and take under one lock."""

    def get(self, me: int) -> None:
        with self.lock:
            super().get(me)
