"""The main process of a fork group: makes states and actors as often as needed, and journals what they gave."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import time

from bench.process import messages as common
from bench.process import residents
from bench.process.cpus import usable_cpus
from bench.process.death_signal import clean_up_with_parent
from bench.stress import messages
from bench.stress.counting import Counts
from bench.stress.generation import Generation, GroupEnded

TYPE_CHECKING = False  # as type checkers know it: each group imports this

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from bench.stress.messages import Event, Orders

REPORT_S = 0.2
"""How often the counts are journalled: what a live histogram shows, and what tells a slow group from a stuck one."""


_ENDED = 77
"""The exit status of a fork that has said all, after which there are no others."""


def run(folder: str, orders: Orders) -> None:
    """Run a group to its end: its time is over, its samples are taken, or a process of it died."""
    send = functools.partial(common.send, folder)
    try:
        clean_up_with_parent(folder)
        kind = _kind(orders)
        Group(orders, kind, send).run()
    except GroupEnded:
        send(common.Over())
        os._exit(0)  # the observer ends the other processes
    except Exception as error:  # noqa: BLE001  # of the scenario's making of state, or a mistake of the bench: recorded
        from bench.process.instrument import describe

        send(common.Failed(**describe(error)))
        os._exit(1)
    send(common.Over())


def _kind(orders: Orders) -> Any:
    from bench.parameters import load
    from bench.process.startup import prepare

    prepare(orders.root, orders.method, orders.seed)
    return load(orders.module, orders.name)


class Group:
    """What is known of a group so far, over all its generations."""

    def __init__(self, orders: Orders, kind: Any, send: Callable[[Event], None]) -> None:
        self.orders, self.kind, self.send = orders, kind, send
        self.actors = orders.actors
        self.apart = len(self.actors) <= orders.cpus
        self.context: Any = multiprocessing.get_context(orders.method)
        self.counts = Counts()
        self.taken = self.rebuilt = self.stamped = self.overlapped = self.batch = 0
        self.why_rebuilt = orders.afresh
        self.singly = bool(orders.afresh)  # one sample for each process, as something stays in it from sample to sample
        self.lost = ""  # what was gone of a state, which was made anew for that
        self.left: set[str] = set()
        """The queues and pipes that were not empty at the end of a sample."""
        self.size = orders.size
        self.running_s = 0.0
        self.deadline: float | None = None
        self._reported_at = 0.0

    def run(self) -> None:
        """Make states and actors, as often as needed, until the time is over."""
        if self.orders.afresh:
            self.deadline = time.monotonic() + self.orders.seconds
        while not self.is_over():
            if self.orders.afresh:
                self._generate_apart()
            else:
                self._generate()

    def _generate(self) -> None:
        generation = Generation(self)
        generation.run()
        generation.end()
        self.report()

    def _generate_apart(self) -> None:
        """Take a sample in a fork of this process, which has made nothing yet; end as it does, unless it ends well."""
        residents.start_helpers(self.orders.method)
        pid = os.fork()
        if not pid:
            status = 1
            try:
                residents.share_helpers(self.orders.method)
                self.deadline = None  # however long it takes to start, the sample is taken
                self._generate()
                residents.unlink_semaphores()
                status = 0
            except GroupEnded:
                status = _ENDED
            except Exception as error:  # noqa: BLE001  # of the scenario's making of state, as in `run`
                from bench.process.instrument import describe

                self.send(common.Failed(**describe(error)))
            finally:
                os._exit(status)
        _, found = os.waitpid(pid, 0)
        self.taken += 1
        if (status := os.waitstatus_to_exitcode(found)) < 0:
            signal.signal(-status, signal.SIG_DFL)
            os.kill(os.getpid(), -status)
        elif status == _ENDED:
            raise GroupEnded
        elif status:
            os._exit(status)

    def cpu_of(self, me: int) -> int | None:
        """Return the CPU to pin an actor to: left to itself, the kernel now and then has two actors share one."""
        usable = usable_cpus()[: self.orders.cpus]
        return usable[me % len(usable)] if usable else None

    def is_over(self) -> bool:
        """Return whether the time is over, or all samples are taken that were asked for."""
        most = self.orders.samples
        late = self.deadline is not None and time.monotonic() >= self.deadline
        return late or (most is not None and self.taken >= most)

    def report(self, *, stalled: bool = False, lost: int = 0, raised: Sequence[tuple[str, int]] = ()) -> None:
        """Journal what was counted since the last time, and what is lost or was raised if the group ends here."""
        running_ns, self.running_s = int(self.running_s * 1e9), 0.0
        self.send(
            messages.Counts(
                **self.counts.take(),
                rebuilt=self.rebuilt,
                stamped=self.stamped,
                overlapped=self.overlapped,
                lost=lost,
                running_ns=running_ns,
                why_rebuilt=self.why_rebuilt or self.lost,
                size=self.size,
                stalled=stalled,
                left=sorted(self.left),
                raised=raised,
            )
        )
        self.rebuilt = self.stamped = self.overlapped = 0
        self._reported_at = time.monotonic()

    def report_sometimes(self) -> None:
        """Journal the counts, be they none as a sign of life, if the last time was long ago."""
        if time.monotonic() - self._reported_at >= REPORT_S:
            self.report()
