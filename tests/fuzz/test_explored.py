"""Random scenarios over every primitive: explore against an independent simulator of CPython's semantics.

CI runs a few, always the same; `tox run -e fuzz` runs thousands, other ones each time. A mismatch is shrunk, and its
scenario is printed as Python.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from bench.outcomes import METHODS
from tests.fuzz.comparing import Counted, Run, mismatches, unseen
from tests.fuzz.scenes import Scene, module, parsed, scenes
from tests.fuzz.simulator import DEADLOCK, outcomes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="process trees are read from /proc")

EXAMPLES = int(os.environ.get("BENCH_FUZZ", "0"))
"""How many scenarios are drawn, others each time; 0: a few, always the same, so that no change fails by chance."""

SECONDS = 10.0 if EXAMPLES else 0.3
"""How long each is stressed."""

COUNTED = Counted()


def _settings(examples: int) -> settings:
    return settings(
        max_examples=EXAMPLES or examples,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


ONCE_MISSED = (
    # A release of a bounded semaphore looks at its value before it adds to it: two that look at once both add.
    "first: bounded0 acquire, bounded0 release; second: bounded0 release",
    "first: open lock0 release; second: open lock0 release",
    # A wait that ends by its timeout adds to the woken while another lane, which does not wait for that, notifies.
    "first: condition0 wait 1 s, condition0 notify; second: condition0 notify, condition0 wait 1 s",
    # A format of one letter is written into a text of eight that has just been set to zero, or filled by another lane.
    "first: list0 set another type; second: list0 set",
    # An iteration over an array with a lock ends by an index that is refused, under the lock.
    "first: guarded array0 iterate; second: guarded array0 try its lock",
)
"""Scenes of which explore has once missed an outcome, shrunk."""


@pytest.mark.parametrize("told", ONCE_MISSED)
def test_explore_sees_what_it_has_once_missed(told: str, tmp_path: Path) -> None:
    counted = Counted()
    assert not mismatches(parsed(told), tmp_path, "fork", counted, [Run("dpor")])
    assert counted.complete["dpor"] == 1


@pytest.mark.parametrize("method", METHODS)
def test_explore_sees_what_can_happen_and_nothing_else(method: str, tmp_path: Path) -> None:
    @_settings(12 if method == "fork" else 2)
    @given(scenes(method))
    def compare(scene: Scene) -> None:
        wrong = mismatches(scene, tmp_path, method, COUNTED)
        assert not wrong, "\n".join([repr(scene), *wrong, module([scene])])

    compare()


def test_no_mode_sees_what_explore_says_cannot_be(tmp_path: Path) -> None:
    @_settings(4)
    @given(scenes(timed=False))
    def compare(scene: Scene) -> None:
        wrong = unseen(scene, tmp_path, "fork", SECONDS, COUNTED)
        assert not wrong, "\n".join([repr(scene), *wrong, module([scene])])

    compare()


def test_the_simulator_knows_the_races_that_everybody_knows() -> None:
    assert outcomes(parsed("first: raw0 add; second: raw0 add")) == {(1, 1, 1), (1, 1, 2)}
    held = "value0 add under its lock"
    assert outcomes(parsed(f"first: {held}; second: {held}; third: {held}")) == {(1, 1, 1, 3)}
    assert outcomes(parsed("first: semaphore0 acquire; second: semaphore0 acquire")) == {DEADLOCK}
    assert outcomes(parsed("first: semaphore0 acquire, semaphore0 acquire; second: semaphore0 release")) == {(1, 1)}
    looks = outcomes(parsed("first: queue0 put, queue0 empty; second: queue0 empty"))
    assert looks == {(10, 10), (10, 11), (11, 11), (11, 10)}


def test_a_scene_is_what_it_tells() -> None:
    told = "first: guarded array0 get 0, lock1 try; second: lock1 try for 1 s"
    assert repr(parsed(told)) == f"Scene({told})"
