"""Runs the audited schedules of an exploration, in processes that are made for them."""

from __future__ import annotations

import os
import sys
import time
from typing import NamedTuple

from bench.explore.audit.hooks import MOST_CALLS
from bench.explore.audit.tracer import Tracer
from bench.explore.driver.subject import EndedEarly, Refused
from bench.explore.model import Plan
from bench.explore.runtime import layout as at

TYPE_CHECKING = False  # as type checkers know it: each exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bench.explore.driver.executor import Executor
    from bench.explore.driver.subject import Subject
    from bench.explore.model import End, Trace
    from bench.explore.runtime.board import Board

MOST = 24
"""Schedules that are audited: the first, each that came to a line of the user's for the first time, each witness."""

LONGEST_S = 5.0
"""How long an audit may take, beyond its first schedule, before it leaves off those that remain."""

SAMPLES = 0 if sys.version_info >= (3, 12) else 24
"""Other schedules that are audited in what time there is: before Python 3.12 new lines are seen at steps alone."""

SAMPLING_S = 0.3

_IN_VAIN = "something is not controlled in any case"

MACHINES = frozenset({"x86_64", "aarch64", "riscv64", "loongarch64"})
"""Machines whose system calls have names here."""


class Audited(NamedTuple):
    """What an audit gave.

    Attributes:
        schedules: how many ran under audit.
        named: what reached shared things past the scheduling points.
        why_not: why system calls were not seen, or why nothing was audited; `None` if all was.
    """

    schedules: int
    named: Sequence[str]
    why_not: str | None

    def caveats(self) -> list[str]:
        """Return what a claim is not shown for."""
        return [f"not audited: {self.why_not}"] if self.why_not and self.why_not != _IN_VAIN else []


def audit(
    executor: Executor,
    subject: Subject,
    play: Callable[[Plan], Trace],
    schedules: Iterable[tuple[int, ...]],
    samples: Iterable[tuple[int, ...]],
) -> Audited:
    """Run schedules again, in new processes, under audit; note what it names as not controlled.

    Where something is known already that is not controlled, nothing is audited: it may do anything at any time.

    Args:
        executor: the executor.
        subject: the subject; its processes are ended.
        play: runs a plan, and puts everything back.
        schedules: the choices of their steps.
        samples: those of more schedules, which are audited for `SAMPLING_S` at most.
    """
    board = executor.board
    if board.uncontrolled():
        return Audited(0, (), _IN_VAIN)
    subject.close()
    tracer, why_not = _tracer(board)
    board.audit = tracer.pid if tracer is not None else -1
    board.numbers[at.AUDIT_CUT] = 0
    executor.forget()
    wanted = list(dict.fromkeys(schedules))
    ends: list[End]
    more = [lanes for lanes in dict.fromkeys(samples) if lanes not in wanted]
    ends, failed = [], ""
    try:
        ends = _play_in_time(play, wanted[:1], 0.0)  # it starts the processes, however long that takes
        ends += _play_in_time(play, wanted[1:MOST], LONGEST_S)
        # Where one schedule is more than can be audited, as the claim says then, another one would cost as much again.
        cut = board.numbers[at.AUDIT_CUT] & at.TOO_MANY_CALLS
        ends += _play_in_time(play, more, SAMPLING_S) if len(ends) == len(wanted) and not cut else []
    except (EndedEarly, Refused) as error:  # of a state that can be made once alone, for one
        failed = f"its processes could not be started again: {error}"
    finally:
        subject.close()
        board.audit = 0
        named = tracer.end() if tracer is not None else []
    for what in named:
        board.note_uncontrolled(what)
    cut = board.numbers[at.AUDIT_CUT]
    left, differed = len(wanted) - len(ends), ends.count("diverged")
    less = [
        tracer.why_not if tracer is not None else why_not,
        f"calls of a process beyond its first {MOST_CALLS:,}" if cut & at.TOO_MANY_CALLS else "",
        "a process that the tracer came to too late" if cut & at.NOT_IN_TIME else "",
        failed,
        f"{left} of {len(wanted)} schedules that differ" if left > 0 and not failed else "",
        f"{differed} schedules, which went on differently" if differed else "",
    ]
    return Audited(len(ends), board.uncontrolled(), "; ".join(filter(None, less)) or None)


def _play_in_time(play: Callable[[Plan], Trace], schedules: Sequence[tuple[int, ...]], longest_s: float) -> list[End]:
    """Run schedules, at least the first, as long as there is time; return the ends of those that were run."""
    ends: list[End] = []
    until = time.monotonic() + longest_s
    for lanes in schedules:
        if ends and time.monotonic() > until:
            break
        ends.append(play(Plan(lanes)).end)
    return ends


def _tracer(board: Board) -> tuple[Tracer | None, str]:
    """Start the tracer; return it, or `None` and why there can be none."""
    if sys.platform != "linux":
        return None, "system calls are traced on Linux alone"
    if (machine := os.uname().machine) not in MACHINES:
        return None, f"the system calls of {machine} are not known here"
    return Tracer(board), ""
