"""From a scenario to an observation in mode explore."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.declared import Target, actors_of
from bench.explore import launch
from bench.explore.launch import Explored, run_group
from bench.explore.search import make
from bench.observation import Observation, Seen, Tally, tally_counts
from bench.targets import Found
from bench.values import Json

DEFAULT_SECONDS = 20.0
DEFAULT_DEADLINE_S = 2.0
"""How long a process may compute, or wait for what is not seen, without coming to a point."""


DEFAULT_PROGRAM_DEADLINE_S = 5.0
"""The same for a program, which starts processes in each schedule."""


def default_deadline_s(target: Target) -> float:
    """Give how long nothing may move, unless ordered otherwise: what a program sets is for all of a sample."""
    return target.deadline_s or DEFAULT_DEADLINE_S if actors_of(target) else DEFAULT_PROGRAM_DEADLINE_S


@dataclass(frozen=True)
class Progress:
    """How far it is: `outcomes` as they would be recorded now; `samples` are schedules."""

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
    seed: int = 0,
    deadline_s: float | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Observation:
    """Run the interleavings of a scenario's actors, or a program's processes, each step decided; count what they gave.

    Args:
        found: the scenario or program.
        method: the start method.
        cell: the cell's name, for the record.
        strategy: which interleavings, and in which order; see `bench.explore.search`.
        preemptions: the most switches away from an actor that could have gone on; `None` sets no bound.
        schedules: the most interleavings; `None` sets no bound.
        seconds: the longest time; `None` means 20, or no bound if `schedules` is given.
        kills: how many processes may be killed, between any two steps.
        seed: of what is random.
        deadline_s: after how long without a step an exploration is given up; `None` takes a scenario's own, or 2 s, and
            5 s for a program.
        on_progress: told of the histogram so far, a few times a second.

    Raises:
        UsageError: if it is a scenario that cannot be run as it is, or if the strategy cannot do it.
    """
    target = found.program
    lanes = len(actors_of(target)) or 1  # of a program, its main process; others come as they are started
    # Whether there is such a strategy, and whether it does what is asked of it, is said before anything is started.
    make(strategy, preemptions=preemptions, schedules=schedules, seed=seed, lanes=lanes, kills=kills)
    begun = time.monotonic()

    def told(so_far: Explored) -> None:
        if on_progress is not None:
            samples = so_far.figures.get("schedules", 0)
            steps = so_far.figures.get("steps", 0)
            on_progress(Progress(time.monotonic() - begun, samples, _tallied(so_far), steps))

    orders = launch.orders(
        found,
        method=method,
        seed=seed,
        strategy=strategy,
        preemptions=preemptions,
        schedules=schedules,
        kills=kills,
        seconds=seconds or (DEFAULT_SECONDS if schedules is None else None),
        deadline_s=deadline_s or default_deadline_s(target),
    )
    seen = run_group(found, orders, told)
    return _observation(seen, target, method, cell, preemptions, seed)


def _observation(
    seen: Explored, target: Target, method: str, cell: str, preemptions: int | None, seed: int
) -> Observation:
    figures = seen.figures
    schedules, steps, took_s = figures.get("schedules", 0), figures.get("steps", 0), figures.get("seconds", 0.0)
    explore: dict[str, Json] = {
        "strategy": figures.get("strategy"),
        "schedules": schedules,
        "steps": steps,
        "complete": figures.get("complete", False),
        "bound": preemptions,
        "claim": figures.get("claim"),
        "points": figures.get("points", 0),
        "preemptions": preemptions,
        "seed": seed,
        "actors": list(actors_of(target)),
        "steps_per_second": round(steps / took_s, 1) if took_s else None,
        "schedules_per_second": round(schedules / took_s, 1) if took_s else None,
        "rebuilt": figures.get("rebuilt", 0),
        "why_rebuilt": figures.get("why_rebuilt") or None,
        "asleep": figures.get("asleep", 0),
        "schedule": None,
    }
    samples = max(schedules, sum(seen.counts.values()))
    return Observation(
        target.target,
        "explore",
        cell,
        samples,
        round(seen.seconds, 6),
        _tallied(seen),
        (),
        _limits(seen),
        {"method": method, "explore": explore},
    )


def _tallied(seen: Explored) -> tuple[Tally, ...]:
    first = {key: Seen(outcome, seen.witnesses.get(key, {})) for key, outcome in seen.outcomes.items()}
    return tally_counts([dict(seen.counts)], first)


def _limits(seen: Explored) -> tuple[str, ...]:
    """Say what makes the exploration say less than it should."""
    figures: dict[str, Any] = seen.figures
    found = [seen.stuck] if seen.stuck else []
    found += figures.get("limits", ())
    found += [f"not controlled: {what}" for what in figures.get("uncontrolled", ())]
    if differed := figures.get("differed"):
        found.append(f"a schedule that differs when repeated: {differed}")
    if "complete" in figures and not figures["steps"]:
        found.append("no scheduling points: the actors share nothing that is seen")
    return tuple(found)
