"""What the marks of one attempt say: which pytest sessions there are, what each does at the moment, what was judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

Phase = Literal["collect", "setup", "call", "teardown", "exit"]


@dataclass
class Running:
    """What a process of a session does: a test, or the collection of a file, or its end after the last test.

    `since` is on the monotonic clock of the host; `deadline_s` counts from there, and `None` sets no bound.
    """

    session: str
    worker: str
    pid: int
    nodeid: str
    phase: Phase
    since: float
    deadline_s: float | None

    def is_late(self, now: float) -> bool:
        """Return whether its deadline has passed."""
        return self.deadline_s is not None and now > self.since + self.deadline_s


@dataclass
class Session:
    """One pytest of the command; `key` is the same in each attempt."""

    key: str
    pid: int
    most_failures: int
    deadline_s: float | None
    running: dict[str, Running] = field(default_factory=dict)
    judged: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    items: int | None = None
    left_out: int = 0
    finished: bool = False
    notes: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    starters: dict[int, str] = field(default_factory=dict)
    """The tests that left processes behind, by the pid of these."""


class Attempt:
    """The sessions of one run of the command, as far as they have marked what they do."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}

    def feed(self, marks: Iterable[list[Any]], now: float) -> None:
        """Take marks in their order."""
        for event, key, worker, *rest in marks:
            if event == "session" and worker == "":
                self.sessions[key] = Session(key, *rest)
            elif (session := self.sessions.get(key)) is not None:
                _take(session, event, worker, rest, now)

    def running(self) -> Iterator[Running]:
        """Yield what each process of each session does at the moment."""
        for session in self.sessions.values():
            yield from session.running.values()

    def late(self, now: float) -> Running | None:
        """Return what has passed its deadline, the longest first, or `None`."""
        found = [one for one in self.running() if one.is_late(now)]
        return min(found, key=lambda one: one.since, default=None)


def _take(session: Session, event: str, worker: str, rest: list[Any], now: float) -> None:
    running = session.running
    match event, rest:
        case "collecting", [pid, nodeid]:
            running[worker] = Running(session.key, worker, pid, nodeid, "collect", now, session.deadline_s)
        case "items", [count, left_out]:
            session.items, session.left_out = count, left_out
            running.pop(worker, None)
        case "start", [pid, nodeid, since, deadline_s]:
            running[worker] = Running(session.key, worker, pid, nodeid, "setup", since, deadline_s)
        case "phase", [phase] if worker in running:
            running[worker].phase = phase
        case "done", []:
            running.pop(worker, None)
        case "judged", [nodeid, failed]:
            session.judged[nodeid] += 1
            session.failed += failed
        case "note", [nodeid, about]:
            session.notes.append((nodeid, about))
            session.starters |= {int(pid): nodeid for pid in about.get("pids", ())}
        case "finish", []:
            running.clear()
            session.finished = True
            running[""] = Running(session.key, "", session.pid, "", "exit", now, session.deadline_s)
