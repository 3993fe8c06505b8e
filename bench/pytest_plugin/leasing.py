"""CPUs of its own for each process that runs tests, and pinning to them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any

from bench.errors import BenchError, Unavailable
from bench.leases import holders, lease_cpus
from bench.process.cpus import usable_cpus
from bench.pytest_plugin.settings import Settings


def workers_that_fit(settings: Settings) -> int | None:
    """Return the number of workers for which the free CPUs suffice, at least one; `None` if none can be leased."""
    usable = frozenset(usable_cpus())
    if not usable:
        return None
    held: Iterable[int] = ()
    if settings.records is None:  # those of a cell are held for it
        held = (one.cpu for one in holders())
    return max(1, len(usable.difference(held)) // settings.cpus_per_worker)


class Leasing:
    """The lease of one process; `trouble` is the reason why it has none, and with it every test is an error."""

    def __init__(self, settings: Settings, worker: Mapping[str, Any]) -> None:
        self.settings = settings
        self.trouble: str | None = None
        self._name = f"pytest worker {worker['workerid']}" if worker else "pytest"
        self._workers = int(worker.get("workercount", 1))
        self._stack = ExitStack()

    def hold(self) -> None:
        """Lease CPUs and pin this process to them, if this platform can; wait for CPUs that others hold."""
        usable = frozenset(usable_cpus())
        if not usable:
            return
        try:
            self._check_room(len(usable))
            cpus = self._stack.enter_context(
                lease_cpus(
                    self.settings.cpus_per_worker,
                    among=usable,
                    timeout_s=self.settings.lease_timeout_s,
                    holder=self._name,
                    folder=self.settings.lease_folder,
                )
            )
            self._stack.callback(os.sched_setaffinity, 0, usable)
            os.sched_setaffinity(0, cpus)
        except (BenchError, OSError) as error:
            self._stack.close()
            self.trouble = f"no CPU of its own for this process: {error}"

    def _check_room(self, usable: int) -> None:
        needed = self._workers * self.settings.cpus_per_worker
        if needed > usable:
            raise Unavailable(f"{self._workers} workers need {needed} CPUs, and there are {usable}; use -n auto")

    def release(self) -> None:
        """Release the CPUs."""
        self._stack.close()
