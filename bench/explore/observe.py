"""From a target to an observation in mode explore."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.declared import Target, actors_of
from bench.explore.launch import ExplorationResult, make_orders, run_group
from bench.explore.messages import Orders
from bench.explore.search import make
from bench.figures import ExploreFigures
from bench.observation import Observation, SampleOutcome, Tally, tally_counts
from bench.outcomes import note_of_items
from bench.targets import Found
from bench.values import Json

DEFAULT_SECONDS = 20.0
DEFAULT_DEADLINE_S = 2.0
"""How long a process may compute, or wait for something uncontrolled, without coming to a scheduling point."""

DEFAULT_PROGRAM_DEADLINE_S = 5.0
"""The same for a program, which starts processes in each schedule."""


def default_deadline_s(target: Target) -> float:
    """Return how long nothing may move, unless ordered otherwise; the deadline of a program is for all of a sample."""
    return target.deadline_s or DEFAULT_DEADLINE_S if actors_of(target) else DEFAULT_PROGRAM_DEADLINE_S


@dataclass(frozen=True)
class Progress:
    """How far an exploration has come: `outcomes` as they would be recorded now; `samples` are schedules."""

    seconds: float
    samples: int
    outcomes: tuple[Tally, ...]
    steps: int = 0


def observe(
    found: Found,
    *,
    method: str,
    cell: str = "local",
    strategy: str = "portfolio",
    preemptions: int | None = None,
    schedules: int | None = None,
    seconds: float | None = None,
    kills: int = 0,
    audited: bool = True,
    seed: int = 0,
    deadline_s: float | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Observation:
    """Run interleavings of a scenario's actors or a program's processes, step by step, and count what they gave.

    Args:
        found: the scenario or program.
        method: the start method.
        cell: the cell's name, for the record.
        strategy: which interleavings, and in which order; see `bench.explore.search`.
        preemptions: the most switches away from an actor that could have gone on; `None` sets no bound.
        schedules: the most interleavings; `None` sets no bound.
        seconds: the longest time; `None` means 20, or no bound if `schedules` is given.
        kills: how many processes may be killed, between any two steps.
        audited: whether some schedules run once more under audit, before a claim is made; else the claim says so.
        seed: of all that is random.
        deadline_s: after how long without a step an exploration is given up; `None` takes a scenario's own, or 2 s, and
            5 s for a program.
        on_progress: called with the histogram so far, a few times a second.

    Raises:
        UsageError: if it is a scenario that cannot be run as it is, or if the strategy cannot do it.
    """
    target = found.program
    lanes = len(actors_of(target)) or 1  # of a program, its main process; others come as they are started
    # Made here too, so that a strategy that is unknown, or cannot do it, is refused before anything is started.
    make(strategy, preemptions=preemptions, schedules=schedules, seed=seed, lanes=lanes, kills=kills)
    begun = time.monotonic()

    def report(so_far: ExplorationResult) -> None:
        if on_progress is not None:
            figures = so_far.figures
            progress = Progress(time.monotonic() - begun, figures.schedules, _tally(so_far), figures.steps)
            on_progress(progress)

    orders = make_orders(
        found,
        method=method,
        seed=seed,
        deadline_s=deadline_s or default_deadline_s(target),
        strategy=strategy,
        preemptions=preemptions,
        schedules=schedules,
        kills=kills,
        audited=audited,
        seconds=seconds or (DEFAULT_SECONDS if schedules is None else None),
    )
    return _observation(run_group(found, orders, report), target, orders, cell)


def _observation(result: ExplorationResult, target: Target, orders: Orders, cell: str) -> Observation:
    figures = result.figures
    explore: dict[str, Json] = {
        "strategy": figures.strategy,
        "schedules": figures.schedules,
        "steps": figures.steps,
        "complete": figures.complete,
        "bound": orders.preemptions,
        "claim": figures.claim,
        "points": figures.points,
        "preemptions": orders.preemptions,
        "seed": orders.seed,
        "actors": list(orders.actors),
        "steps_per_second": _rate(figures.steps, figures.seconds),
        "schedules_per_second": _rate(figures.schedules, figures.seconds),
        "rebuilt": figures.rebuilt,
        "why_rebuilt": figures.why_rebuilt or None,
        "asleep": figures.asleep,
        "audit": None if figures.audit is None else dict(figures.audit),
        "schedule": None,
    }
    return Observation(
        target.target,
        "explore",
        cell,
        max(figures.schedules, sum(result.counts.values())),
        round(result.seconds, 6),
        _tally(result),
        note_of_items(figures.left),
        _limits(result),
        ExploreFigures(explore),
    )


def _rate(count: int, seconds: float) -> float | None:
    return round(count / seconds, 1) if seconds else None


def _tally(result: ExplorationResult) -> tuple[Tally, ...]:
    first = {key: SampleOutcome(outcome, result.witnesses.get(key, {})) for key, outcome in result.outcomes.items()}
    return tally_counts([dict(result.counts)], first)


def _limits(result: ExplorationResult) -> tuple[str, ...]:
    """Return why the exploration says less than it should."""
    figures = result.figures
    found = [result.stuck] if result.stuck else []
    found += figures.limits
    found += [f"not controlled: {what}" for what in figures.uncontrolled]
    if figures.differed:
        found.append(f"a schedule that differs when repeated: {figures.differed}")
    if figures.strategy is not None and not figures.steps and not found:
        found.append("no scheduling points: the actors share nothing that is seen")
    return tuple(found)
