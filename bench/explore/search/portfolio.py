"""Several strategies, first one after the other and then in turns: small targets are decided, large ones searched.

1. Partial-order reduction, for few schedules: it decides most targets, in far fewer than any other takes.
2. Depth-first with at most 0, 1, 2 preemptions: most bugs need no more (Musuvathi and Qadeer, PLDI 2007), and "all with
   at most 2 preemptions" is a claim that stands. Where a bound leaves nothing out, everything was run.
3. The reduction again, from where it was; then in turns with random priorities and random walks, for large targets.

For very long schedules only the random ones are used: the reduction's effort grows with the square of the number of
steps, and the part of a depth-first search that there is time for lies at one end of the schedule.

A bound on preemptions leaves the depth-first search within it, alone. Where processes are to be killed, the depth-first
searches are used, in the end one without a bound: no other strategy plans kills.
"""

from __future__ import annotations

from itertools import chain, count

from bench.explore.search.dfs import DepthFirst
from bench.explore.search.dpor import PartialOrder
from bench.explore.search.pct import Priorities
from bench.explore.search.random_walk import RandomWalk

TYPE_CHECKING = False  # as type checkers know it: the exploring process imports this

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bench.explore.model import Plan, Trace
    from bench.explore.search.strategy import Strategy

BUDGET = 20_000
"""The number of schedules that is shared out where none is asked for: a few seconds."""

FIRST = 200
"""The most schedules of the reduction at first."""

BOUNDS = (0, 1, 2)
"""The bounds on preemptions of the depth-first searches."""

AFTER = 1_000
"""Random schedules where no number is asked for, after the reduction has ended without being complete."""

LONG = 2_000
"""Steps of a schedule above which it is very long: the reduction takes about 2 s for one of that many."""


class Portfolio:
    """Plans the schedules of its strategies, until one has covered everything.

    Args:
        lanes: how many lanes there are at the start.
        preemptions: the most in any schedule; `None` for any number.
        schedules: how many there will be; a quarter is for each of the three parts before the random ones.
        seed: the seed of all random choices.
        kills: the most lanes to kill in a schedule.
    """

    name = "portfolio"

    def __init__(
        self,
        *,
        lanes: int,
        preemptions: int | None = None,
        schedules: int | None = None,
        seed: int = 0,
        kills: int = 0,
    ) -> None:
        self._share = max(1, (schedules or BUDGET) // 4)
        self._ends = schedules is None
        self._bound = preemptions
        self._bounded = [DepthFirst(preemptions=bound, kills=kills) for bound in BOUNDS]
        self._whole = DepthFirst(preemptions=preemptions, kills=kills)
        self._reduction = PartialOrder()
        self._priorities = Priorities(lanes=lanes, seed=seed)
        self._random = RandomWalk(seed=seed)
        self._order: Iterator[Strategy]
        if preemptions is not None:
            self._order = self._stage(self._whole, count())
        elif kills:
            self._order = chain(self._bounds(), self._stage(self._whole, count()))
        else:
            self._order = chain(
                self._stage(self._reduction, range(min(FIRST, self._share))),
                self._bounds(),
                self._stage(self._reduction, range(self._share)),
                self._turns(),
            )
        self._asked: Strategy = self._whole
        self._ran = 0
        self._gave = False  # whether the strategy that was asked had a plan

    def next(self) -> Plan | None:
        """Return the next plan of the strategy whose turn it is."""
        if self.complete:
            return None
        for asked in self._order:
            self._asked, plan = asked, asked.next()
            self._gave = plan is not None
            if plan is not None:
                return plan
        return None

    def learn(self, trace: Trace) -> None:
        """Pass the trace on to the strategy that gave the last plan."""
        self._ran += 1
        if self._asked is self._reduction and len(trace.steps) > LONG:
            self._order = self._at_random()
        else:
            self._asked.learn(trace)

    def _stage(self, strategy: Strategy, times: Iterable[int]) -> Iterator[Strategy]:
        """Yield one strategy so many times, or until it has no more plans."""
        for _ in times:
            yield strategy
            if not self._gave:
                return

    def _bounds(self) -> Iterator[Strategy]:
        """Yield the depth-first searches, the one with the lowest bound first, within the share that is theirs."""
        times = iter(range(self._share))
        for search in self._bounded:
            yield from self._stage(search, times)

    def _turns(self) -> Iterator[Strategy]:
        """Yield the reduction and the random ones in turns; once the reduction has no more plans, not for ever."""
        more = True
        while more:
            yield self._reduction
            more = self._gave
            yield self._priorities
            yield self._random
        yield from self._at_random()

    def _at_random(self) -> Iterator[Strategy]:
        """Yield the random ones in turns; not for ever, where no number of schedules is asked for."""
        for _ in range(AFTER // 2) if self._ends else count():
            yield self._priorities
            yield self._random

    @property
    def reduces(self) -> bool:
        """Whether it is the reduction that covered everything."""
        return self._decided() is self._reduction

    @property
    def complete(self) -> bool:
        """Whether one strategy covered everything, or all within the bound that was asked for."""
        return self._decided() is not None

    def _decided(self) -> Strategy | None:
        """Return the strategy that has covered everything, if one has."""
        if self._whole.complete:
            return self._whole
        if self._reduction.complete:
            return self._reduction
        return next((search for search in self._bounded if search.complete and not search.cut), None)

    def claim(self) -> str:
        """State the strongest claim, then what else was run."""
        decided = self._decided()
        if decided:
            return decided.claim()
        within = [search for search in self._bounded if search.complete]
        others: list[Strategy] = [*within[-1:]]
        others += [
            strategy
            for strategy in (self._whole, self._reduction, self._priorities, self._random)
            if strategy.schedules
        ]
        if not others:  # it was stopped in the first of the bounded ones
            others += [search for search in self._bounded if search.schedules]
        if not others:  # what it was stopped after is of the reduction, which has not learnt so long a schedule
            return f"{self._ran:,} schedule{'s' * (self._ran != 1)}, not all" if self._ran else "nothing was run"
        return "; ".join(strategy.claim() for strategy in others)
