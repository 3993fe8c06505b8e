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
from tests.fuzz.comparing import Counted, mismatches, unseen
from tests.fuzz.operations import OPERATIONS
from tests.fuzz.scenes import Scene, module, scenes
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


@pytest.mark.parametrize("method", METHODS)
def test_explore_sees_what_can_happen_and_nothing_else(method: str, tmp_path: Path) -> None:
    @_settings(25 if method == "fork" else 4)
    @given(scenes(method))
    def compare(scene: Scene) -> None:
        wrong = mismatches(scene, tmp_path, method, COUNTED)
        assert not wrong, "\n".join([repr(scene), *wrong, module([scene])])

    compare()


def test_no_mode_sees_what_explore_says_cannot_be(tmp_path: Path) -> None:
    @_settings(6)
    @given(scenes())
    def compare(scene: Scene) -> None:
        wrong = unseen(scene, tmp_path, "fork", SECONDS, COUNTED)
        assert not wrong, "\n".join([repr(scene), *wrong, module([scene])])

    compare()


def test_the_simulator_knows_the_races_that_everybody_knows() -> None:
    by_name = {(one.kind, one.name): one for one in OPERATIONS}
    add, held = by_name["raw", "add"], by_name["value", "add under its lock"]
    assert outcomes(Scene(("raw",), (((add, 0),),) * 2)) == {(1, 1, 1), (1, 1, 2)}
    assert outcomes(Scene(("value",), (((held, 0),),) * 3)) == {(1, 1, 1, 3)}
    take, give = by_name["semaphore", "acquire"], by_name["semaphore", "release"]
    assert outcomes(Scene(("semaphore",), (((take, 0),), ((take, 0),)))) == {DEADLOCK}
    assert outcomes(Scene(("semaphore",), (((take, 0), (take, 0)), ((give, 0),)))) == {(1, 11)}
    put, look = by_name["queue", "put"], by_name["queue", "empty"]
    assert outcomes(Scene(("queue",), (((put, 0), (look, 0)), ((look, 0),)))) == {(10, 10), (10, 11), (11, 11)} | {
        (11, 10)
    }
