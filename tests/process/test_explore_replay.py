"""Replays: the schedule of each finding of the corpus leads to it again, each time, and says where it cannot."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from bench.explore.findings.schedule import Schedule, anchors_of, dump, parse
from bench.explore.replay import replay
from bench.kernels.corpus import KERNELS, Kernel
from bench.outcomes import METHODS
from bench.targets import Found
from tests.benchmarks.explore_oracle import account, finding, is_bug, of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="process trees are read from /proc")

each_kernel = pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)


def target(kernel: Kernel) -> Found:
    return of(f"{kernel.buggy.__module__}:{kernel.buggy.__name__}")


def found_in(name: str, method: str = "fork") -> tuple[Found, Schedule]:
    (kernel,) = [one for one in KERNELS if one.buggy.__name__ == name]
    return target(kernel), finding(target(kernel), lambda one: is_bug(kernel, one), method)


@each_kernel
def test_a_hundred_of_a_hundred_replays_of_each_bug_show_it(kernel: Kernel) -> None:
    found = target(kernel)
    schedule = finding(found, lambda one: is_bug(kernel, one), "fork")
    again = replay(parse(dump(schedule), "a file"), found, method="fork", times=100)
    assert (again.happened, again.times, again.divergence, again.notes) == (100, 100, "", ())
    assert again.text() == "still happens, 100 of 100"
    assert again.outcome is not None
    assert again.outcome.key == schedule.outcome["key"]
    assert [one[:5] for one in anchors_of(again.witness)] == [one[:5] for one in schedule.steps]


@pytest.mark.parametrize("value", [199, 201])
def test_a_hundred_of_a_hundred_replays_of_a_lost_payment_lose_it(value: int) -> None:
    schedule = finding(account(), lambda one: one.value == value, "fork")
    again = replay(schedule, account(), method="fork", times=100)
    assert again.counts == {str(value): 100}


@pytest.mark.parametrize("under", METHODS)
@pytest.mark.parametrize("name", ["LostUpdate", "CrossedLocks", "LostWakeup"])
def test_what_was_found_under_one_start_method_happens_under_the_others(name: str, under: str) -> None:
    found, schedule = found_in(name, under)
    for method in METHODS:
        if method != under:
            again = replay(schedule, found, method=method, times=10)
            assert (again.happened, again.divergence) == (10, ""), method


def test_on_another_line_it_is_followed_and_noted() -> None:
    found, schedule = found_in("LostUpdate")
    moved = tuple(one._replace(at=one.at.rpartition(":")[0] + ":1") for one in schedule.steps)
    again = replay(replace(schedule, steps=moved), found, method="fork", times=5)
    assert again.happened == 5
    assert len(again.notes) == len(schedule.steps)


def test_a_step_of_somebody_unknown_is_where_it_cannot_be_followed() -> None:
    found, schedule = found_in("LostUpdate")
    steps = list(schedule.steps)
    steps[1] = steps[1]._replace(lane="nobody")
    again = replay(replace(schedule, steps=tuple(steps)), found, method="fork", times=5)
    assert again.divergence.startswith("at step 2: expected nobody reads"), again.divergence
    assert again.divergence.endswith("there is no nobody")
    assert (again.happened, again.counts) == (0, {})


def test_what_another_outcome_gives_is_no_longer_the_finding() -> None:
    found, schedule = found_in("LostUpdate")
    first = schedule.steps[0].lane
    in_turn = tuple(sorted(schedule.steps, key=lambda one: one.lane != first))
    again = replay(replace(schedule, steps=in_turn), found, method="fork", times=5)
    assert (again.happened, dict(again.counts), again.divergence) == (0, {"2": 5}, "")
    assert again.text() == "no longer happens: 5 of 5 gave 2 (5)"
