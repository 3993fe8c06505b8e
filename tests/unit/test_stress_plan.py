from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from bench.stress.plan import LONG, LONGEST, MOST_YIELDING, overlapped, strides

SEEDS = st.integers(0, 2**64)


@given(SEEDS, st.integers(0, 15), st.integers(1, 5_000), st.integers(2, 8), st.booleans())
def test_strides_cover_every_state_once_and_in_order(
    seed: int, number: int, count: int, actors: int, apart: bool
) -> None:
    plan = strides(seed, number, count, actors, apart=apart)
    assert [index for one in plan for index in range(one.start, one.stop)] == list(range(count))
    assert all(len(one.leads) == actors for one in plan)
    assert all(one.stop - one.start <= (LONG if apart else LONGEST) for one in plan)


@given(SEEDS, st.integers(1, 5_000), st.booleans())
def test_the_same_seed_gives_the_same_plan(seed: int, count: int, apart: bool) -> None:
    made = strides.__wrapped__(seed, 3, count, 2, apart=apart)
    assert made == strides.__wrapped__(seed, 3, count, 2, apart=apart)


def test_a_plan_is_the_same_on_every_version_of_python() -> None:
    assert [tuple(one) for one in strides(7, 0, 150, 2, apart=True)] == GOLDEN


GOLDEN = [
    (0, 54, (0, 0), False, False),
    (54, 116, (32, 0), False, False),
    (116, 150, (0, 46), True, False),
]


def test_other_seeds_and_batches_give_other_plans() -> None:
    plans = {strides(seed, number, 1_000, 2, apart=True) for seed in range(4) for number in range(4)}
    assert len(plans) == 16


def test_one_stride_of_a_batch_is_stamped_and_all_where_actors_take_turns() -> None:
    assert sum(one.stamped for one in strides(1, 0, 4_000, 2, apart=True)) == 1
    assert all(one.stamped for one in strides(1, 0, 4_000, 2, apart=False))


def test_where_actors_take_turns_long_strides_and_yielding_samples_come_by_turns() -> None:
    runs = [
        (yielding, [one.stop - one.start for one in group])
        for yielding, group in itertools.groupby(strides(1, 0, 20_000, 2, apart=False), key=lambda one: one.yielding)
    ]
    assert len(runs) > 8
    for yielding, lengths in runs[:-1]:
        assert all(one == 1 for one in lengths) if yielding else len(lengths) == 1 and LONG <= lengths[0] <= LONGEST
        assert len(lengths) <= MOST_YIELDING
    assert {strides(1, number, 1, 2, apart=False)[0].yielding for number in range(16)} == {True, False}
    assert not any(one.yielding for one in strides(1, 0, 20_000, 2, apart=True))


def test_now_and_then_an_actor_comes_late_and_never_two() -> None:
    plan = strides(1, 0, 5_000, 3, apart=True)
    late = [sum(lead > 0 for lead in one.leads) for one in plan]
    assert set(late) == {0, 1}
    assert {index for one in plan for index, lead in enumerate(one.leads) if lead} == {0, 1, 2}


def test_samples_overlap_where_two_actors_are_at_one_in_the_same_moment() -> None:
    assert overlapped([[0, 10, 20, 30], [5, 15, 25, 35]]) == 3
    assert overlapped([[0, 10, 20, 30], [10, 20, 30, 40]]) == 0  # each is where the other was before
    assert overlapped([[0, 10, 20], [100, 110, 120]]) == 0
    assert overlapped([[0, 10], [100, 110], [105, 120]]) == 1
    assert overlapped([[0, 100], [10, 20], [120, 130]]) == 1


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=8))
def test_two_actors_overlap_as_two_of_three_do(steps: list[tuple[int, int]]) -> None:
    two = [list(itertools.accumulate((step[actor] for step in steps), initial=actor)) for actor in range(2)]
    far = [1_000 + index for index in range(len(steps) + 1)]  # a third that is never there
    assert overlapped(two) == overlapped([*two, far])
