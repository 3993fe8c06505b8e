"""Strategies: which interleaving comes next, and what is shown once there is none left. Pure.

    strategy      the interface of all strategies; `make`, below, makes one by its name
    dfs           every interleaving, if wanted with a bound on preemptions
    dpor          one interleaving of each equivalence class
    pct           random priorities, which find a bug of depth d with a known probability
    random_walk   a random lane at each step
    portfolio     several strategies in turns
    limited       a wrapper that ends any strategy after a number of schedules
    swaps         whether steps that a reduction takes as independent are
    loops         where a schedule without an end began to repeat itself
    shrinking     from a failing schedule to one with fewer preemptions

Each strategy is a module of its own, imported by `make` only when it is asked for.
"""

from __future__ import annotations

from bench.errors import UsageError
from bench.explore.model import MOST_LANES

TYPE_CHECKING = False  # as type checkers know it: the exploring process imports this

if TYPE_CHECKING:
    from bench.explore.search.strategy import Strategy

NAMES = ("dpor", "dfs", "pct", "random", "portfolio")
"""The names that `make` takes."""

DEFAULT = "portfolio"


def make(
    name: str = DEFAULT,
    *,
    preemptions: int | None = None,
    schedules: int | None = None,
    seed: int = 0,
    lanes: int,
    kills: int = 0,
) -> Strategy:
    """Make a strategy for a target of `lanes` lanes.

    Args:
        name: one of `NAMES`.
        preemptions: the most switches away from a lane that could have gone on; `None` for any number.
        schedules: the most plans; `None` for as many as it takes, which has no end for `pct` and `random`.
        seed: the seed of all random choices.
        lanes: how many lanes there are at the start.
        kills: the most lanes to kill in a schedule, each between any two steps.

    Raises:
        UsageError: if there is no such strategy, or it cannot do what is asked for.
    """
    _check(name, preemptions, schedules, lanes, kills)
    strategy = _strategy(name, preemptions, schedules, seed, lanes, kills)
    if schedules is None:
        return strategy
    from bench.explore.search.limited import Limited

    return Limited(strategy, schedules)


def _strategy(name: str, preemptions: int | None, schedules: int | None, seed: int, lanes: int, kills: int) -> Strategy:
    """Import one strategy and make it: the exploring process does not pay for the others."""
    if name == "dfs":
        from bench.explore.search.dfs import DepthFirst

        return DepthFirst(preemptions=preemptions, kills=kills)
    if name == "dpor":
        from bench.explore.search.dpor import PartialOrder

        return PartialOrder()
    if name == "pct":
        from bench.explore.search.pct import Priorities

        return Priorities(lanes=lanes, seed=seed)
    if name == "random":
        from bench.explore.search.random_walk import RandomWalk

        return RandomWalk(seed=seed)
    from bench.explore.search.portfolio import Portfolio

    return Portfolio(lanes=lanes, preemptions=preemptions, schedules=schedules, seed=seed, kills=kills)


def _check(name: str, preemptions: int | None, schedules: int | None, lanes: int, kills: int) -> None:
    """Check that the strategy can do what is asked for.

    Raises:
        UsageError: if it cannot; the message says what to write instead.
    """
    if name not in NAMES:
        raise UsageError(f"no strategy {name!r}; write one of {', '.join(NAMES)}")
    for what, number, least in (("preemptions", preemptions, 0), ("schedules", schedules, 1), ("kills", kills, 0)):
        if number is not None and number < least:
            raise UsageError(f"{what} is {number}; write {least} or more, or leave it out")
    if not 1 <= lanes <= MOST_LANES:
        raise UsageError(f"{lanes} processes cannot be explored; 1 to {MOST_LANES} can")
    if preemptions is not None and name not in {"dfs", "portfolio"}:
        raise UsageError(f"{name} takes no bound on preemptions; write --strategy dfs --preemptions {preemptions}")
    if kills and name not in {"dfs", "portfolio"}:
        raise UsageError(f"{name} kills no process; write --strategy dfs --kills {kills}")
