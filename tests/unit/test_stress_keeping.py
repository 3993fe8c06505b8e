"""Whether findings of stress rest on the samples before them: what lives say of that."""

from __future__ import annotations

import itertools
import random

import pytest

from bench.stress.keeping import ERROR, MOST, SAMPLES, Judgement, Sample, chance_of_none_first, chance_of_order, judge


def life(*keys: int) -> list[Sample]:
    """Samples that gave these values, of which 1 alone is no finding."""
    return [Sample(f"value {key}", key != 1) for key in keys]


COUNTING = life(*range(1, SAMPLES + 1))
ONCE = life(1, *[2] * (SAMPLES - 1))
LATER = life(1, 1, *[2] * (SAMPLES - 2))
NOTHING = life(*[1] * SAMPLES)


@pytest.mark.parametrize(
    ("lives", "judgement"),
    [
        ([COUNTING], Judgement("open")),
        ([COUNTING] * 2, Judgement("kept")),
        ([LATER] * 3, Judgement("open")),
        ([LATER] * 6, Judgement("kept")),
        ([ONCE] * 4, Judgement("open")),
        ([ONCE] * MOST, Judgement("kept", sure=False)),
        ([NOTHING], Judgement("open")),
        ([NOTHING] * 2, Judgement("true")),
        ([COUNTING, life(2)], Judgement("true")),
        ([COUNTING, []], Judgement("open")),
        ([LATER, life(*[1] * 8, 2)] * 4, Judgement("true")),
    ],
)
def test_what_lives_say(lives: list[list[Sample]], judgement: Judgement) -> None:
    assert judge(lives) == judgement


def test_the_chances_are_those_of_all_orders_counted_one_by_one() -> None:
    lives = [life(1, 2, 2), life(1, 2, 3)]
    pool = [one for each in lives for one in each]
    orders = [[order[:3], order[3:]] for order in itertools.permutations(pool)]
    none_first = sum(not any(each[0].finding for each in order) for order in orders) / len(orders)
    assert chance_of_none_first(lives) == pytest.approx(none_first)
    same = life(1, 2, 2)
    arranged = set(itertools.permutations([one.key for one in same]))
    assert chance_of_order([same, same]) == pytest.approx(1 / len(arranged))


@pytest.mark.parametrize("rate", [0.001, 0.05, 0.3, 0.6, 0.9, 0.99, 1.0])
def test_a_race_is_never_taken_for_something_that_stays(rate: float) -> None:
    # By the bound of the tests the chance is below ERROR for each run: 2,000 runs of 7 rates, 14 in 1,000. The seeds
    # are fixed, so that this is the same each time.
    chance = random.Random(rate)
    for _ in range(2_000):
        lives: list[list[Sample]] = []
        while judge(lives).what == "open":
            lives.append([Sample("value 0", True) if chance.random() < rate else life(1)[0] for _ in range(SAMPLES)])
        assert judge(lives).what == "true"
    assert ERROR <= 1e-6
