"""Demos 10 and 11: queues, and when to join the process that fills one.

A queue is a pipe with a thread that feeds it, and the parent keeps both of its ends: a child that dies gives no
`EOFError` here, so every `get` has a limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import actor, deadlocks, deterministic, hangs, interesting, program, scenario

if TYPE_CHECKING:
    from collections.abc import Iterable
    from multiprocessing.connection import Connection
    from multiprocessing.context import DefaultContext
    from multiprocessing.queues import Queue

PATIENCE_S = 10.0
"""How long a `get` waits before it raises `queue.Empty`."""


def _put(queue: Queue[object], items: Iterable[object]) -> None:
    for item in items:
        queue.put(item)


@program(deterministic([[42, None, "hello"], ["bye"]], "what was put stays in the queue after its writer ended"))
def before_and_after_the_join(mp: DefaultContext) -> list[object]:
    """A child puts two lists of mixed objects into a queue, of which one is read before it is joined and one after.

    Objects come out as they went in, in their order, under every start method. Reading after the join is portable
    only because what is left fits into the pipe below the queue.
    """
    queue: Queue[object] = mp.Queue()
    child = mp.Process(target=_put, args=(queue, [[42, None, "hello"], ["bye"]]), name="Putter")
    child.start()
    first = queue.get(timeout=PATIENCE_S)
    child.join()
    second = queue.get(timeout=PATIENCE_S)
    queue.close()
    return [first, second]


@scenario(deterministic([[42, None, "hello"], ["bye"]], "one writer's items come in their order"))
class PutAndGet:
    """One actor puts two lists of mixed objects into a queue, and another gets both.

    What was put is not yet in the queue: a thread of the putting process feeds it, whenever it comes to run. The
    order of one writer's items is kept all the same, under every start method.
    """

    def __init__(self, mp: DefaultContext) -> None:
        self.queue: Queue[object] = mp.Queue()
        self.answer_out, self.answer_in = mp.Pipe(duplex=False)

    @actor
    def put(self) -> None:
        _put(self.queue, [[42, None, "hello"], ["bye"]])

    @actor
    def get(self) -> None:
        self.answer_in.send([self.queue.get(), self.queue.get()])

    def result(self) -> object:
        return self.answer_out.recv()


def _put_squares(queue: Queue[int | None], count: int) -> None:
    for n in range(1, count + 1):
        queue.put(n * n)
    queue.put(None)


@program(deterministic([n * n for n in range(1, 11)], "all of them, in the order of their one writer"))
def drained_first(mp: DefaultContext, *, count: int = 10) -> list[int]:
    """A child puts squares into a queue, which its parent drains up to a last `None` and only then joins the child.

    A process that has put items ends when the pipe below the queue has taken them all, so the reader comes before
    the join. In this order it works everywhere, however many squares there are.
    """
    queue: Queue[int | None] = mp.Queue()
    child = mp.Process(target=_put_squares, args=(queue, count), name="Squarer")
    child.start()
    squares = list(iter(lambda: queue.get(timeout=PATIENCE_S), None))
    child.join()
    queue.close()
    return squares


def _put_much(queue: Queue[bytes], size: int, end: Connection) -> None:
    queue.put(bytes(size))
    with end:
        end.send("put")


@program(
    interesting(hangs("program"), "the child waits for a reader of its queue, the reader waits for the child"),
    interesting(deadlocks(), "the same, where every process is watched"),
    samples=1,  # there is no luck in it, and each sample costs the whole deadline
    deadline_s=1.5,  # long enough for the slowest child to have started and put
)
def joined_first(mp: DefaultContext, *, size: int = 4 << 20) -> int:
    """A child puts more into a queue than the pipe below it holds, and its parent joins it before it reads: both wait.

    `put` returns at once, since a thread feeds the pipe, but the process ends only when all has gone through. It
    hangs everywhere; only the size from which on it does is the platform's, 64 KiB on most Linux systems.
    """
    queue: Queue[bytes] = mp.Queue()
    receiver, sender = mp.Pipe(duplex=False)
    with receiver:
        child = mp.Process(target=_put_much, args=(queue, size, sender), name="Putter")
        child.start()
        sender.close()
        receiver.recv()  # from here on the stacks show the join, on however slow a machine the child has started
    child.join()
    return len(queue.get(timeout=PATIENCE_S))


if __name__ == "__main__":
    from bench.demos.script import show

    show()
