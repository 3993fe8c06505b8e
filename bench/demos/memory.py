"""Demos 2 to 4: what a process shares with its parent, and what it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import deterministic, program

if TYPE_CHECKING:
    from collections.abc import MutableSequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import DefaultContext
    from multiprocessing.sharedctypes import Synchronized, SynchronizedArray

SQUARES = [n * n for n in range(1, 11)]
"""None of them is 0, which is what shared memory holds when nobody wrote to it."""


def _append_squares(numbers: MutableSequence[int], count: int, end: Connection) -> None:
    with end:
        for n in range(1, count + 1):
            numbers.append(n * n)
        end.send(list(numbers))


@program(deterministic({"parent": [], "child": SQUARES}, "a process has memory of its own"))
def list_of_the_parent(mp: DefaultContext, *, count: int = 10) -> dict[str, list[int]]:
    """A child appends ten squares to a list of its parent, whose list stays empty.

    The child works on a copy: of the whole memory under fork, of the pickled argument under spawn and forkserver.
    That much is the same everywhere, and so is the way back, a message through a pipe.
    """
    numbers: list[int] = []
    receiver, sender = mp.Pipe(duplex=False)
    with receiver:
        child = mp.Process(target=_append_squares, args=(numbers, count, sender), name="Appender")
        child.start()
        sender.close()
        theirs = receiver.recv()
        child.join()
    return {"parent": numbers, "child": theirs}


def _store_squares(array: SynchronizedArray[int], end: Connection) -> None:
    with end:
        for index in range(len(array)):
            array[index] = (index + 1) ** 2
        end.send(array[:])


@program(deterministic({"parent": SQUARES, "child": SQUARES}, "an Array is one memory for both"))
def shared_array(mp: DefaultContext, *, count: int = 10) -> dict[str, list[int]]:
    """A child stores ten squares in an `Array`, and its parent reads the same ten.

    The array is memory that both processes map, so that nothing needs to be sent back. It is portable as long as the
    child is given it as an argument: a global array would be another one in each child of spawn and forkserver.
    """
    array = mp.Array("i", count)
    receiver, sender = mp.Pipe(duplex=False)
    with receiver:
        child = mp.Process(target=_store_squares, args=(array, sender), name="Squarer")
        child.start()
        sender.close()
        theirs = receiver.recv()
        child.join()
    return {"parent": array[:], "child": theirs}


def _store_both(number: Synchronized[float], array: SynchronizedArray[int]) -> None:
    number.value = 5.35
    for index in range(len(array)):
        array[index] = (index + 1) ** 2


@program(deterministic([5.35, SQUARES], "both are memory that the child wrote to"))
def shared_value_and_array(mp: DefaultContext, *, count: int = 10) -> list[object]:
    """A child stores 5.35 in a `Value` and squares in an `Array`, both shared with its parent.

    A `Value` of type `d` is a C double, as wide and as exact as a float of Python on every platform. One process
    writes and the other reads after the join, which needs no lock; with two writers it would.
    """
    number = mp.Value("d", 0.0)
    array = mp.Array("i", count)
    child = mp.Process(target=_store_both, args=(number, array), name="Writer")
    child.start()
    child.join()
    return [number.value, array[:]]


if __name__ == "__main__":
    from bench.demos.script import show

    show()
