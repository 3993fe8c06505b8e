"""Whether processes keep something from sample to sample: decided from lives, which are groups of few samples each.

A life is a group's first samples, in their order. Where samples are races alone, and nothing stays from one to the
next, their order means nothing: any other would have been as likely. So an order that is always the same, or outcomes
that never come first, say that something stays. Under that hypothesis both tests are exact, whatever the rates are.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

SAMPLES = 16
"""Samples of a life."""

STATES = 8
"""States of a life, which its samples go through twice."""

MOST = 8
"""Lives at most."""

ERROR = 1e-6
"""The chance, at most, that something is said to stay where nothing does."""

_TESTS = 2 * MOST
"""How often that is asked, at most: two tests, after each life."""


@dataclass(frozen=True)
class Sample:
    """A sample of a life: the key of its outcome, and whether that is a finding: graded other than acceptable."""

    key: str
    finding: bool


@dataclass(frozen=True)
class Judgement:
    """What lives say of the findings.

    `open` asks for another life; `true`: they do not rest on samples before; `kept`: they do, and do not count. Where
    it is not `sure`, all that is known is that they never came first: so do races that a cold start makes impossible.
    """

    what: Literal["open", "true", "kept"]
    sure: bool = True


def judge(lives: Sequence[Sequence[Sample]]) -> Judgement:
    """Return what lives say; findings that are too rare to come in two of them are taken to be true."""
    lives = [life for life in lives if life]
    if any(life[0].finding for life in lives):
        return Judgement("true")
    if len(lives) >= 2 and not any(one.finding for life in lives for one in life):
        return Judgement("true")
    if chance_of_order(lives) < ERROR / _TESTS:
        return Judgement("kept", sure=len({one.key for one in lives[0][1:]}) > 1)
    if chance_of_none_first(lives) < ERROR / _TESTS:
        return Judgement("kept", sure=False)
    return Judgement("true" if len(lives) >= MOST else "open")


def chance_of_order(lives: Sequence[Sequence[Sample]]) -> float:
    """Return how likely it is that all lives have the order of the first one, given what is in it; 1 if they do not."""
    orders = [[one.key for one in life] for life in lives]
    if not orders or any(order != orders[0] for order in orders):
        return 1.0
    arrangements = math.factorial(len(orders[0]))
    for count in Counter(orders[0]).values():
        arrangements //= math.factorial(count)
    return float(1 / arrangements ** (len(orders) - 1))


def chance_of_none_first(lives: Sequence[Sequence[Sample]]) -> float:
    """Return how likely it is that no life begins with a finding, given how many findings there are in all of them."""
    samples, findings = sum(map(len, lives)), sum(one.finding for life in lives for one in life)
    if any(life[0].finding for life in lives):
        return 1.0
    return math.comb(samples - len(lives), findings) / math.comb(samples, findings)
