"""Demos 5 to 9: pipes, and who may write to which end when.

Everywhere the parent closes its copy of an end as soon as the child has it: only then does a child that dies give the
reader an `EOFError`, rather than leave it waiting for ever.
"""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING

from bench import acceptable, actor, deterministic, program, scenario

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import DefaultContext


def _say(end: Connection, *messages: object) -> None:
    with end:
        for message in messages:
            end.send(message)


@program(deterministic(["Hello world"], "a message arrives whole"))
def child_to_parent(mp: DefaultContext, *, message: str = "Hello world") -> list[object]:
    """A child sends its parent a message through a pipe.

    A one-way pipe has an end to read and an end to write, and each process keeps only the one it uses. That is
    portable, while a parent that keeps the child's end as well waits for ever if the child dies first.
    """
    receiver, sender = mp.Pipe(duplex=False)
    with receiver:
        child = mp.Process(target=_say, args=(sender, message), name="Sender")
        child.start()
        sender.close()
        received = [receiver.recv()]
        child.join()
    return received


def _converse(end: Connection, mine: str) -> None:
    with end:
        end.send(mine)
        end.send(end.recv())


@program(
    deterministic(
        {"parent": "Hello from the child", "child": "Hello from the parent"}, "each side hears what the other said"
    )
)
def both_ways(mp: DefaultContext) -> dict[str, object]:
    """Parent and child send each other a message through one pipe, and each receives the other's.

    Both ends of a duplex pipe read and write, and what one sends never comes back to itself. The messages are the
    same everywhere; in which order two processes would print them is not, so the child reports what it heard.
    """
    mine, theirs = mp.Pipe()
    with mine:
        child = mp.Process(target=_converse, args=(theirs, "Hello from the child"), name="Partner")
        child.start()
        theirs.close()
        mine.send("Hello from the parent")
        heard = mine.recv()
        reported = mine.recv()
        child.join()
    return {"parent": heard, "child": reported}


def _sign(end: Connection) -> None:
    with end:
        end.send(f"{multiprocessing.current_process().name} was here")


@program(deterministic(["Worker 1 was here", "Worker 2 was here"], "the second starts when the first has ended"))
def one_after_the_other(mp: DefaultContext) -> list[object]:
    """Two processes with names of their own answer over one end, one after the other.

    A name goes with its process under every start method. The order is certain only because the first is joined
    before the second starts, and joining before reading is safe only because both messages fit into the pipe.
    """
    receiver, sender = mp.Pipe(duplex=False)
    with receiver:
        with sender:
            for name in ("Worker 1", "Worker 2"):
                child = mp.Process(target=_sign, args=(sender,), name=name)
                child.start()
                child.join()
        return [receiver.recv() for _ in range(2)]


END = "END"
NAMES = ["Ada", "Barbara", "Edsger", "Grace", "Tony"]


def _produce(end: Connection, names: Sequence[str]) -> None:
    _say(end, *names, END)


def _consume(end: Connection, answer: Connection) -> None:
    with end, answer:
        received = []
        while (name := end.recv()) != END:
            received.append(name)
        answer.send([*received, END])


@program(deterministic([*NAMES, END], "a pipe keeps the order of its one writer"))
def producer_and_consumer(mp: DefaultContext, *, names: Sequence[str] = tuple(NAMES)) -> object:
    """One process sends names to another through a pipe, until `END` ends the stream.

    One writer and one reader keep the order everywhere, whatever their speed. Each end is closed wherever it is not
    used, before the next process starts, so that a producer that dies early ends the stream by an `EOFError`.
    """
    stream_out, stream_in = mp.Pipe(duplex=False)
    producer = mp.Process(target=_produce, args=(stream_in, names), name="Producer")
    producer.start()
    stream_in.close()
    answer_out, answer_in = mp.Pipe(duplex=False)
    with answer_out:
        consumer = mp.Process(target=_consume, args=(stream_out, answer_in), name="Consumer")
        consumer.start()
        stream_out.close()
        answer_in.close()
        received = answer_out.recv()
        producer.join()
        consumer.join()
    return received


LETTERS = ["a", "b", "c"]
NUMBERS = [1, 2, 3]


@program(
    acceptable([LETTERS, NUMBERS], "the letters were first"),
    acceptable([NUMBERS, LETTERS], "the numbers were first"),
)
def two_at_once(mp: DefaultContext) -> list[object]:
    """Two processes send a list each on the same end at once, and both lists arrive, in either order.

    Which is first depends on the start method, the CPUs and luck. That each arrives whole is portable only for small
    messages: above 16 KiB they go out in pieces, which mix, and then each writer needs a pipe of its own.
    """
    receiver, sender = mp.Pipe(duplex=False)
    with receiver:
        children = [
            mp.Process(target=_say, args=(sender, items), name=f"Sender of {items[0]}") for items in (LETTERS, NUMBERS)
        ]
        for child in children:
            child.start()
        sender.close()
        received = [receiver.recv() for _ in children]
        for child in children:
            child.join()
    return received


@scenario(
    acceptable([LETTERS, NUMBERS], "the letters were first"),
    acceptable([NUMBERS, LETTERS], "the numbers were first"),
)
class TwoSenders:
    """Two actors send a list each on the same end, and both arrive, in either order.

    Both messages fit into the pipe, so that they can be read when the senders are done. Each arrives whole everywhere,
    since a small message goes out in one piece.
    """

    def __init__(self, mp: DefaultContext) -> None:
        self.receiver, self.sender = mp.Pipe(duplex=False)

    @actor
    def send_letters(self) -> None:
        self.sender.send(LETTERS)

    @actor
    def send_numbers(self) -> None:
        self.sender.send(NUMBERS)

    def result(self) -> list[object]:
        return [self.receiver.recv(), self.receiver.recv()]


if __name__ == "__main__":
    from bench.demos.script import show

    show()
