"""A kernel of publication: what is announced before it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import actor, deterministic, racy, scenario

if TYPE_CHECKING:
    from multiprocessing.context import DefaultContext
    from multiprocessing.sharedctypes import Synchronized
    from multiprocessing.synchronize import Event

DATA = 42


@scenario(racy(DATA, "the data came before anybody looked"))
class FlagBeforeData:
    """A writer sets its flag before its data, and whoever waits for the flag reads what is not there yet.

    Source: S. V. Adve and K. Gharachorloo, Shared Memory Consistency Models: A Tutorial, IEEE Computer 29(12), 1996.
    """

    def __init__(self, mp: DefaultContext) -> None:
        self.ready: Event = mp.Event()
        self.data: Synchronized[int] = mp.Value("i", 0)
        self.seen: Synchronized[int] = mp.Value("i", 0)

    def publish(self) -> None:
        # A sets the flag | B sees it, reads 0 / A writes 42
        self.ready.set()
        self.data.value = DATA

    @actor
    def write(self) -> None:
        """Write the data, and raise the flag."""
        self.publish()

    @actor
    def read(self) -> None:
        """Wait for the flag, and read the data."""
        self.ready.wait()
        self.seen.value = self.data.value

    def result(self) -> int:
        """Return the data as the reader saw it."""
        return self.seen.value


@scenario(deterministic(DATA, "the flag comes last"))
class FlagBeforeDataFixed(FlagBeforeData):
    """The data is written first, and then the flag is set."""

    def publish(self) -> None:
        self.data.value = DATA
        self.ready.set()
