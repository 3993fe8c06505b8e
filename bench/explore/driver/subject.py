"""What an exploration asks of what it explores, a scenario's actors or a program, and orders it to do."""

from __future__ import annotations

from typing import NamedTuple

from bench.outcomes import Outcome

TYPE_CHECKING = False  # as type checkers know it: each exploration imports this

if TYPE_CHECKING:
    from typing import Any, Protocol

    from bench.explore.driver.executor import Executor
    from bench.explore.model import End

    class Subject(Protocol):
        """What schedules are run on. `ready` precedes each schedule, and `put_back` follows it."""

        shrinking_s: float
        """About how long shrinking all its schedules may take."""

        def ready(self) -> None:
            """Have the processes wait for the next schedule.

            Raises:
                Refused: if it cannot be explored as it is.
            """

        def dead(self) -> int | None:
            """Return a lane whose process has ended, by no step and no kill of the plan, and holds the schedule up."""

        def revive(self, lane: int) -> bool:
            """Pass on the baton of a dead lane; return whether there is a lane to take it."""

        def changed(self) -> set[int]:
            """Return the objects whose memory is no longer what it was before the schedule."""

        def contents(self) -> object:
            """Return what the shared memory that is known holds, to be compared with that after another schedule."""

        def outcome(self, end: End) -> Outcome | None:
            """Return what the schedule that ended like this gave; `None` where that says nothing of the subject."""

        def stacks(self) -> list[dict[str, Any]]:
            """Return where each process waits in a schedule that stands still."""

        def put_back(self, end: End) -> None:
            """Undo what the schedule that ended like this has left, or have `ready` begin anew."""

        def caveats(self, schedules: int) -> Caveats:
            """Return what is to be known of so many schedules beside their outcomes."""

        def close(self) -> None:
            """End the processes."""


class Refused(Exception):
    """The subject cannot be explored as it is; the message says why."""


class EndedEarly(Exception):
    """A process of the subject ended before any schedule; `outcome` says how."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.text())
        self.outcome = outcome


class Caveats(NamedTuple):
    """What is to be known beside the outcomes: of the schedules, and of what was run between them."""

    claim: tuple[str, ...] = ()
    """What keeps a strategy's claim from holding as it is."""
    narrowed: tuple[str, ...] = ()
    """What is not looked for, and a strategy's claim is not about."""
    limits: tuple[str, ...] = ()
    """What kept schedules from their ends."""
    rebuilt: int = 0
    """How many times the state and its processes were made anew, since they could not be put back."""
    why_rebuilt: str = ""
    left: tuple[str, ...] = ()
    """The queues and pipes of the state that were not empty at the end of a schedule."""


STANDSTILLS = frozenset({"deadlock", "hang"})
"""Kinds of outcomes after which processes still wait, so that there are stacks to ask for."""


def deadlock(executor: Executor) -> Outcome | None:
    """Return the outcome of a schedule that is stuck: which lane waits for what, and which lane holds that.

    `None` where something that is no lane runs too, and could end the waits: that is noted. Lanes that wait for locks
    of each other are stuck whatever else runs.
    """
    waits = {lane: _wait(executor, lane) for lane in executor.present()}
    if executor.board.outsiders and not _is_circle(executor):
        for one in waits.values():
            wait = f"{one['lane']} waits for {one['object']}, {one['at']}"
            executor.board.note_uncontrolled(f"a wait that something outside of the actors may end: {wait}")
        return None
    cycle = "; ".join(
        f"{one['lane']} waits for {one['object']}" + (f", held by {one['holder']}" if one["holder"] else "")
        for one in waits.values()
    )
    detail: dict[str, Any] = {"cycle": cycle, "waits": list(waits.values())}
    return Outcome("deadlock", detail=detail)


def _is_circle(executor: Executor) -> bool:
    """Return whether lanes wait for locks that are held by each other, or a lane for one of its own."""
    holders = {lane: executor.holder(op.wants) for lane, op in executor.pending().items() if op.wants}
    for first in holders:
        lane, seen = first, set[int]()
        while lane in holders and lane not in seen:
            seen.add(lane)
            lane = holders[lane]
        if lane in seen:
            return True
    return False


def _wait(executor: Executor, lane: int) -> dict[str, Any]:
    op, labels = executor.pending()[lane], executor.labels
    holder = executor.holder(op.wants)
    return {
        "lane": labels.lane(lane),
        "op": op.kind,
        "object": labels.object(op.wants or op.object),
        "at": labels.place(op.place),
        "holder": labels.lane(holder) if holder >= 0 else "",
    }


def given_up(count: int, schedules: int, limit: int) -> tuple[str, ...]:
    """Return what is to be known of so many schedules that were given up for their length."""
    return (f"{count:,} of {schedules:,} schedules were given up after {limit:,} steps",) if count else ()


def livelock(executor: Executor) -> Outcome:
    """Return the outcome of a schedule in which all that could go on would read the same again, for ever."""
    names = ", ".join(executor.labels.lane(lane) for lane in executor.present())
    summary = f"{names} still at it after {executor.board.steps} steps"
    return Outcome("hang", detail={"phase": "livelock", "summary": summary})
