"""Replay: a recorded schedule is carried out again, many times, in fresh processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.explore.findings.following import pack
from bench.explore.findings.schedule import KILLED
from bench.explore.launch import make_orders, run_group
from bench.explore.observe import default_deadline_s

if TYPE_CHECKING:
    from bench.explore.findings.schedule import Schedule
    from bench.outcomes import Outcome
    from bench.targets import Found


@dataclass(frozen=True)
class Replayed:
    """What became of replaying a schedule `times` times.

    `counts` has how often each outcome came, by its text; `happened` is how often that of the file came. `outcome` and
    `witness` are of the last run. A schedule that could not be followed ran once, as far as it could be and on from
    there; then `divergence` says where.
    """

    times: int
    happened: int
    counts: Mapping[str, int]
    outcome: Outcome | None
    witness: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    divergence: str = ""

    def text(self) -> str:
        """One line for a person."""
        if self.divergence:
            return f"cannot be followed {self.divergence}"
        others = ", ".join(f"{text} ({count})" for text, count in self.counts.items())
        if not self.happened:
            return f"no longer happens: {self.times} of {self.times} gave {others}"
        if self.happened == self.times:
            return f"still happens, {self.happened} of {self.times}"
        return f"still happens, but not each time, {self.happened} of {self.times}: {others}"


def replay(
    schedule: Schedule, found: Found, *, method: str, times: int = 20, deadline_s: float | None = None
) -> Replayed:
    """Run a schedule again and again in fresh processes, and compare what comes with what it led to.

    Args:
        schedule: as its file gives it.
        found: the target.
        method: the start method, which need not be the one it was found under.
        times: how often.
        deadline_s: how long nothing may move; `None` takes the target's own, or that of an exploration.

    Raises:
        UsageError: if the target cannot be run as it is.
    """
    kills = sum(anchor.op == KILLED for anchor in schedule.steps)
    wanted = {**pack(schedule.steps), "times": times}
    deadline_s = deadline_s or default_deadline_s(found.program)
    orders = make_orders(found, method=method, seed=schedule.seed, deadline_s=deadline_s, kills=kills, replay=wanted)
    result = run_group(found, orders, lambda _: None)
    if (came := result.replay) is None:
        reasons = [result.stuck, *(one.text() for one in result.outcomes.values())]
        why = f"at all: {next(filter(None, reasons), 'it ended without a word')}"
        return Replayed(times, 0, {}, None, {}, divergence=why)
    outcomes = result.outcomes
    counts = {outcomes[key].text() if key in outcomes else "nothing": count for key, count in came.counts.items()}
    return Replayed(
        times,
        came.counts.get(schedule.outcome["key"], 0),
        counts,
        outcomes.get(came.outcome),
        came.witness,
        (*came.notes, *(f"not controlled: {what}" for what in came.uncontrolled)),
        came.divergence,
    )
