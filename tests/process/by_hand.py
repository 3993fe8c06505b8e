"""Interleavings of a kernel by hand: its actors as threads, each stopped before any operation of the kernel's code.

`python -m tests.process.by_hand NAME` prints what was seen of one kernel. It is a program of its own, since threads
that wait for ever stay behind.
"""

from __future__ import annotations

import dis
import functools
import itertools
import json
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import CodeType, FrameType
from typing import Any

import bench.kernels
from bench.kernels.corpus import KERNELS, Kernel

FOLDER = os.path.dirname(bench.kernels.__file__)
BLOCKED_S = 0.015
"""After this time without a step, an actor is taken to wait for another; if it was only slow, it is merely stopped."""
HANGS_S = 0.4

Stop = Callable[[int, str], bool]
"""Whether an actor stops: given how many operations it has done in all, and the next one."""


@functools.cache
def _operations(code: CodeType) -> dict[int, str]:
    return {one.offset: f"{one.opname} {one.argval}" for one in dis.get_instructions(code)}


def never(done: int, operation: str) -> bool:
    return False


def before(wanted: int) -> Stop:
    return lambda done, operation: done >= wanted


def before_access(kind: str, number: int) -> Stop:
    """Stop before the `number`-th reading (`LOAD`) or writing (`STORE`) of a shared value."""
    seen = itertools.count(1)
    return lambda done, operation: operation == f"{kind}_ATTR value" and next(seen) == number


class Actor(threading.Thread):
    """An actor that does nothing unless told to, and then goes on until it is to stop, waits, or has ended."""

    def __init__(self, run: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._run_actor = run
        self._stop: Stop = never
        self._may_run = threading.Semaphore(0)
        self._stopped = threading.Event()
        self.done = 0
        self.ended = False
        self.waits = False
        self.raised: str | None = None
        self.start()

    def run(self) -> None:
        self._may_run.acquire()
        sys.settrace(self._trace)
        try:
            self._run_actor()
        except Exception as error:  # noqa: BLE001  # it is the outcome
            self.raised = type(error).__name__
        finally:
            sys.settrace(None)
            self.ended = True
            self._stopped.set()

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        if os.path.dirname(frame.f_code.co_filename) != FOLDER:
            return None
        frame.f_trace_lines = False
        frame.f_trace_opcodes = True
        return self._operation

    def _operation(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "opcode":
            if self._stop(self.done, _operations(frame.f_code).get(frame.f_lasti, "")):
                self._stopped.set()
                self._may_run.acquire()
            self.done += 1
        return self._operation

    def go(self, stop: Stop, patience_s: float = BLOCKED_S) -> None:
        """Go on until `stop`, or until it waits; what it waited for, it does not go beyond before it is told to."""
        if self.ended:
            return
        self._stop = stop
        if not self.waits or self._stopped.is_set():  # what it waited for may have come
            self._stopped.clear()
            self._may_run.release()
        self.waits = not self._stopped.wait(patience_s)
        if self.waits:
            self._stop = before(0)


def outcome(kind: Callable[..., Any], parts: Iterable[tuple[int, Stop]]) -> object:
    """Run the actors part by part, and then each to its end, in the order in which they first came."""
    mp = multiprocessing.get_context("fork")
    state = kind(mp)
    actors = [Actor(getattr(state, name)) for name in kind.__bench__[0].actors]  # type: ignore[attr-defined]  # declared by the decorator
    order = []
    for index, stop in parts:
        actors[index].go(stop)
        order.append(index)
    if not _finish([actors[index] for index in dict.fromkeys([*order, *range(len(actors))])]):
        return "hang"
    return next((f"raised {one.raised}" for one in actors if one.raised), None) or state.result()


def _finish(actors: Sequence[Actor]) -> bool:
    for patience_s in (BLOCKED_S, BLOCKED_S, BLOCKED_S, BLOCKED_S, HANGS_S, HANGS_S):
        for one in actors:
            one.go(never, patience_s)
        if all(one.ended for one in actors):
            return True
    return False


def without_preemption(kind: Callable[..., Any], count: int) -> Iterator[object]:
    """Give the outcomes of every order in which no actor is stopped."""
    for order in itertools.permutations(range(count)):
        yield outcome(kind, [(index, never) for index in order])


LONGEST = 90
"""More operations than any actor has."""


def preempted_once(kind: Callable[..., Any], order: str) -> Iterator[object]:
    """Give the outcomes of stopping the actor marked `|` in `order` before each of its operations in turn."""
    for wanted in range(1, LONGEST):
        reached = [False]

        def stop(done: int, operation: str, wanted: int = wanted, reached: list[bool] = reached) -> bool:
            reached[0] |= done >= wanted
            return done >= wanted

        yield outcome(kind, [("ABC".index(one[0]), stop if one.endswith("|") else never) for one in order.split()])
        if not reached[0]:
            return


def three_increments(kind: Callable[..., Any], order: str) -> Iterator[object]:
    read, write = functools.partial(before_access, "LOAD"), functools.partial(before_access, "STORE")
    # What is counted starts anew with each part, in which A and B go on from where they stopped.
    yield outcome(kind, [(0, write(1)), (1, read(3)), (0, read(1)), (1, write(1)), (0, never), (1, never)])


def no_preemption(kind: Callable[..., Any], order: str) -> Iterator[object]:
    """Give the outcome of an order in which each that is stopped has to wait."""
    yield outcome(kind, [("ABC".index(one), never) for one in order.split()])


TRIES = 200
"""How often an order is tried in which it is up to a semaphore whom it wakes: one in 5 to 20 wakes the wrong one."""

BY_HAND: dict[str, tuple[Callable[[Callable[..., Any], str], Iterator[object]], Sequence[str]]] = {
    "three increments each ending at 2": (three_increments, [""]),
    "philosophers 3": (preempted_once, ["A| C B A"]),
    "buffer with if for while": (preempted_once, ["B A| C B A"]),
    "one condition for two kinds of waiter": (no_preemption, TRIES * ["B C A B C A"]),
    "torn pair": (preempted_once, ["A| B A", "B| A B"]),
}
"""How a kernel is shown, where it is not by two actors of which either is stopped once."""


def shows(kernel: Kernel, seen: object) -> bool:
    """Tell whether an outcome is the bug of the kernel."""
    if kernel.shows == "value":
        return seen in kernel.wrong if kernel.wrong else seen != kernel.right and isinstance(seen, list)
    return str(seen).startswith(kernel.shows)


def stopped(kernel: Kernel, kind: Callable[..., Any], most: int = TRIES) -> Iterator[object]:
    """Give the outcomes of the interleavings that show the bug, and of those around them, by `most` orders."""
    how, orders = BY_HAND.get(kernel.name, (preempted_once, ["A| B A", "B| A B"]))
    return (one for order in orders[:most] for one in how(kind, order))


TURNS = 3
"""How often all orders are gone through for the bug: whether an actor waits is judged by the clock, and on a machine
that is busy elsewhere one that runs can look like one that waits."""


def shown(kernel: Kernel) -> Iterator[object]:
    """Give those outcomes that are the bug."""
    return (one for one in stopped(kernel, kernel.buggy) if shows(kernel, one))


def main(name: str) -> None:
    (kernel,) = [kernel for kernel in KERNELS if kernel.name == name]
    print(
        json.dumps(
            {
                "unpreempted": list(without_preemption(kernel.buggy, kernel.processes)) if kernel.preemptions else [],
                "shown": next((one for _ in range(TURNS) for one in shown(kernel)), None),
                "fixed": [*without_preemption(kernel.fixed, kernel.processes), *stopped(kernel, kernel.fixed, 6)],
            }
        ),
        flush=True,
    )
    os._exit(0)  # whoever waits for ever


if __name__ == "__main__":
    main(sys.argv[1])
