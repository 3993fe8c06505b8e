"""Several strategies, one after the other and then in turn: what is small is decided, of what is large most is seen.

1. Partial-order reduction, for few schedules: most targets are decided by that, in far fewer than any other takes.
2. Depth-first with at most 0, 1, 2 preemptions: most bugs need no more (Musuvathi and Qadeer, PLDI 2007), and "all with
   at most 2 preemptions" is a claim that stands. Where a bound leaves nothing out, everything was run.
3. The reduction again, from where it was; then it, priorities at random and random walks in turn, for what is large.

Where a schedule is very long there are only those at random: the reduction's effort is the square of the number of
steps, and where each of them is a choice, what little of a depth-first search there is time for is at one end.

Where a bound on preemptions is asked for there is the depth-first search within it, alone. Where processes are to be
killed there are the depth-first searches, in the end one without a bound: the others kill nobody.
"""

from __future__ import annotations

from itertools import chain, count

from bench.explore.search.dfs import DepthFirst
from bench.explore.search.dpor import PartialOrder
from bench.explore.search.pct import Priorities
from bench.explore.search.random_walk import Randomly

TYPE_CHECKING = False  # as type checkers know it: the exploring process imports this

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bench.explore.model import Plan, Trace
    from bench.explore.search.strategy import Strategy

BUDGET = 20_000
"""How many schedules the shares are of where nobody gives a number: a few seconds."""

FIRST = 200
"""The most schedules of the reduction's first go."""

BOUNDS = (0, 1, 2)

AFTER = 1_000
"""Schedules at random where nobody gives a number, and the reduction ended without having seen all to the end."""

LONG = 5_000
"""Steps of a schedule above which it is very long: the reduction takes about 10 s for one of that many."""


class Portfolio:
    """Gives the plans of its strategies, until one has covered everything.

    Args:
        lanes: how many there are at the start.
        preemptions: the most in any schedule; `None` for any number.
        schedules: how many there will be; a quarter is for each of the three parts before the random ones.
        seed: of what is random.
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
        self._randomly = Randomly(seed=seed)
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
        self._gave = False  # whether who was asked had a plan

    def next(self) -> Plan | None:
        """Give the plan of whoever's turn it is."""
        if self.complete:
            return None
        for asked in self._order:
            self._asked, plan = asked, asked.next()
            self._gave = plan is not None
            if plan is not None:
                return plan
        return None

    def learn(self, trace: Trace) -> None:
        """Tell who gave the last plan."""
        if self._asked is self._reduction and len(trace.steps) > LONG:
            self._order = self._at_random()
        else:
            self._asked.learn(trace)

    def _stage(self, strategy: Strategy, times: Iterable[int]) -> Iterator[Strategy]:
        """Ask one strategy so many times, or until it has no more plans."""
        for _ in times:
            yield strategy
            if not self._gave:
                return

    def _bounds(self) -> Iterator[Strategy]:
        """Ask the depth-first searches, the one with the lowest bound first, within what they share."""
        times = iter(range(self._share))
        for search in self._bounded:
            yield from self._stage(search, times)

    def _turns(self) -> Iterator[Strategy]:
        """Ask the reduction and those at random in turn; once the reduction has no more plans, not for ever."""
        more = True
        while more:
            yield self._reduction
            more = self._gave
            yield self._priorities
            yield self._randomly
        yield from self._at_random()

    def _at_random(self) -> Iterator[Strategy]:
        """Ask those at random in turn; not for ever, where nobody gives a number."""
        for _ in range(AFTER // 2) if self._ends else count():
            yield self._priorities
            yield self._randomly

    @property
    def complete(self) -> bool:
        """Whether one strategy covered everything, or all within the bound that was asked for."""
        return self._decided() is not None

    def _decided(self) -> Strategy | None:
        """Give the strategy that covered everything."""
        if self._whole.complete:
            return self._whole
        if self._reduction.complete:
            return self._reduction
        return next((search for search in self._bounded if search.complete and not search.cut), None)

    def claim(self) -> str:
        """State the strongest that was shown, then what else was run."""
        decided = self._decided()
        if decided:
            return decided.claim()
        within = [search for search in self._bounded if search.complete]
        others: list[Strategy] = [*within[-1:]]
        others += [
            strategy
            for strategy in (self._whole, self._reduction, self._priorities, self._randomly)
            if strategy.schedules
        ]
        return "; ".join(strategy.claim() for strategy in others) or "nothing was run"
