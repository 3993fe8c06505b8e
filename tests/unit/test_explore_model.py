from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.explore.model import ANYTHING, KINDS, NOTHING, WHOLE, Op, Step, Trace, dependent, killing, preemptions

LOCK, VALUE, OTHER = 1, 2, 3
READ, WRITE = Op("read", VALUE, 0), Op("write", VALUE, 0)
ACQUIRE, RELEASE, TRY = Op("acquire", LOCK, wants=LOCK), Op("release", LOCK), Op("try", LOCK)
GUARDED_READ, GUARDED_WRITE = Op("read", VALUE, 0, wants=LOCK), Op("write", VALUE, 0, wants=LOCK)

operations = st.builds(
    Op,
    st.sampled_from(KINDS),
    st.sampled_from([ANYTHING, NOTHING, LOCK, VALUE]),
    st.sampled_from([WHOLE, 0, 1]),
    st.just(0),
    st.sampled_from([NOTHING, LOCK]),
)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (READ, READ, False),
        (READ, WRITE, True),
        (WRITE, WRITE, True),
        (READ, Op("write", OTHER, 0), False),
        (READ, Op("write", VALUE, 1), False),
        (READ, Op("write", VALUE), True),
        (ACQUIRE, ACQUIRE, True),
        (ACQUIRE, RELEASE, True),
        (ACQUIRE, TRY, True),
        (TRY, RELEASE, True),
        (ACQUIRE, READ, False),
        (GUARDED_READ, GUARDED_READ, False),
        (GUARDED_READ, GUARDED_WRITE, True),
        (GUARDED_READ, ACQUIRE, True),
        (GUARDED_WRITE, RELEASE, True),
        (GUARDED_WRITE, Op("write", VALUE, 1, wants=LOCK), False),
        (Op("sleep", NOTHING), WRITE, False),
        (Op("time", ANYTHING), WRITE, False),
        (Op("line", ANYTHING), READ, True),
        (Op("line", ANYTHING), Op("sleep", NOTHING), False),
        (Op("start", OTHER), Op("begin", OTHER, wants=OTHER), True),
        (Op("exit", OTHER), Op("join", OTHER, wants=OTHER), True),
        (Op("join", OTHER, wants=OTHER), Op("join", OTHER, wants=OTHER), False),
        (Op("feed", OTHER, 0), Op("receive", OTHER, 1, wants=OTHER), True),
        (Op("move", VALUE), Op("look", OTHER), True),
        (Op("move", VALUE), Op("move", OTHER), True),
        (Op("scan", VALUE), Op("change", OTHER), True),
        (Op("scan", VALUE), Op("look", OTHER), False),
        (Op("scan", VALUE), Op("scan", VALUE), False),
        (Op("move", VALUE), WRITE._replace(object=OTHER), False),
        (Op("move", VALUE), Op("lock", OTHER), False),
    ],
)
def test_what_cannot_change_places(one: Op, other: Op, expected: bool) -> None:
    assert dependent(one, other) is expected


@given(operations, operations)
def test_dependence_is_mutual(one: Op, other: Op) -> None:
    assert dependent(one, other) == dependent(other, one)


def test_a_preemption_is_a_switch_away_from_a_lane_that_could_have_gone_on() -> None:
    both, first, second = 0b11, 0b01, 0b10
    assert preemptions(()) == 0
    assert preemptions((Step(0, READ, both), Step(1, READ, both), Step(0, READ, both))) == 2
    assert preemptions((Step(0, READ, both), Step(1, READ, second), Step(0, READ, first))) == 0


def test_a_kill_is_no_preemption_and_nobody_ran() -> None:
    kill = Op("kill", NOTHING)
    assert preemptions((Step(0, READ, 0b11), Step(killing(0), kill, 0b11), Step(1, READ, 0b10))) == 0
    assert preemptions((Step(0, READ, 0b11), Step(killing(1), kill, 0b11), Step(0, READ, 0b01))) == 0
    assert preemptions((Step(0, READ, 0b111), Step(killing(1), kill, 0b111), Step(2, READ, 0b101))) == 1


@given(st.integers(0, 31))
def test_the_choice_to_kill_a_lane_is_no_lane_and_names_it(lane: int) -> None:
    assert killing(lane) < 0
    assert killing(killing(lane)) == lane


def test_the_choices_of_a_trace_are_those_of_a_plan() -> None:
    steps = (Step(1, READ, 0b11), Step(killing(1), Op("kill", NOTHING), 0b11), Step(0, READ, 0b01))
    assert Trace(steps, "done").lanes == (1, -2, 0)


def test_a_kill_depends_on_everything_and_an_exit_on_what_it_closes() -> None:
    assert dependent(Op("kill", 1), Op("write", 2))
    assert dependent(Op("read", 2), Op("kill", 1))
    for kind in ("receive", "poll", "send", "feed", "lock"):
        assert dependent(Op("exit", 1), Op(kind, 2))
        assert dependent(Op(kind, 2), Op("exit", 1))
    assert not dependent(Op("exit", 1), Op("write", 2))
    assert not dependent(Op("exit", 1), Op("exit", 2))
    assert not dependent(Op("kill", 1), Op("sleep", 0))
