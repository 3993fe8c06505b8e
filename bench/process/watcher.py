"""One group as its observer sees it: listened to through its journal, and given up when it dies or is stuck."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from bench.errors import UsageError
from bench.outcomes import Outcome
from bench.process import stacks
from bench.process.ended import how_it_ended
from bench.process.groups import Main, Reader, members
from bench.process.messages import Failed, Over, Refused, Running, Starting
from bench.process.patience import Patience
from bench.process.stacks import Stack
from bench.process.tree import waited_to_run_s
from bench.targets import Found

STARTING_S = 30.0
"""How long a group may take until its processes are there: imports, states, starts."""

E = TypeVar("E")


class Listener(Protocol[E]):
    """What differs between modes: their events, and what becomes of them."""

    def parse(self, fields: Mapping[str, Any]) -> E:
        """Return the event that a line of the journal has."""

    def hear(self, event: E) -> bool:
        """Take in an event; return whether it shows that the group gets on."""

    def end(self, outcome: Outcome) -> None:
        """Count an outcome of the main process, after which there are no others."""

    def stuck(self, asked: Sequence[Stack], *, waited_s: float, running: bool) -> None:
        """Take in that nothing has moved.

        Args:
            asked: the stacks of all processes of the group.
            waited_s: for how long.
            running: whether the processes had all been started.
        """


class Watcher(Generic[E]):
    """Watches one group.

    Args:
        found: the target.
        main: the group's main process.
        folder: the group's folder.
        listener: takes in what is heard.
        deadline_s: how long nothing may move once the processes are there, but for waiting for a CPU.
        poll_s: how often to look into the journal.
    """

    def __init__(
        self,
        found: Found,
        main: Main,
        folder: Path,
        listener: Listener[E],
        *,
        deadline_s: float,
        poll_s: float,
    ) -> None:
        self._found, self._main, self._folder, self._listener = found, main, folder, listener
        self._deadline_s, self._poll_s = deadline_s, poll_s
        self._reader = Reader(folder)
        self._running = self._over = False
        self._patience = Patience(time.monotonic())

    def watch(self) -> None:
        """Listen until the group is over, its main process has ended, or nothing moves for the deadline.

        Raises:
            UsageError: if the target cannot be run as it is.
        """
        while not self._look():
            time.sleep(self._poll_s)

    def _look(self) -> bool:
        """Take in what is new; return whether the group is over, or given up."""
        ended = self._main.poll() is not None  # asked first: what it wrote before its end is then read as well
        self._read()
        if not self._over:
            if ended:
                self._main_ended()
            elif self._patience.is_over(time.monotonic(), self._limit_s(), self._starved_s):
                self._stuck()
        return self._over

    def _starved_s(self) -> float:
        """Return how long the processes of the group have waited for a CPU."""
        return sum(waited_to_run_s(one.pid) for one in members(self._main, self._folder))

    def _limit_s(self) -> float:
        return self._deadline_s if self._running else STARTING_S

    def _read(self) -> None:
        for fields in self._reader.new():
            event = self._listener.parse(fields)
            if self._listener.hear(event):
                self._patience.moved(time.monotonic())
            self._hear(event)

    def _hear(self, event: object) -> None:
        if isinstance(event, (Starting, Running)):
            self._running = isinstance(event, Running)
        elif isinstance(event, Refused):
            program = self._found.program
            raise UsageError(f"{program.file}:{program.line}: {program.name}: {event.message}")
        elif isinstance(event, Failed):
            self._end(Outcome("raised", detail={**event._asdict(), "process": "MainProcess", "role": "main"}))
        elif isinstance(event, Over):
            self._over = True

    def _main_ended(self) -> None:
        how = how_it_ended(self._main.poll())
        self._end(Outcome("crash", detail={"process": "MainProcess", "role": "main", **how}))

    def _end(self, outcome: Outcome) -> None:
        self._listener.end(outcome)
        self._over = True

    def _stuck(self) -> None:
        waited_s = self._limit_s()
        asked = stacks.ask(members(self._main, self._folder), active=True)
        self._read()  # what was written while the processes were asked
        if not self._over:
            self._listener.stuck(asked, waited_s=waited_s, running=self._running)
            self._over = True
