"""Segments of shared memory that samples leave behind: a leak in each mode, and gone afterwards."""

from __future__ import annotations

import os
import sys
import uuid
from pathlib import Path

import pytest

from bench.explore.observe import observe as explored
from bench.observation import Observation
from bench.process.segments import Segments
from bench.stress.observe import observe as stressed
from bench.targets import Found, find
from tests.fixtures.segments import PREFIX

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="segments are looked for where Linux has them")

LEFT = ("LeftByAnActor", "LeftByResult")
KEPT = ("RemovedByTheActor", "RemovedByResult", "OfTheState")


def target(name: str) -> Found:
    return find([f"tests.fixtures.segments:{name}"])[0]


def kinds(observation: Observation) -> set[str]:
    return {one.outcome.kind for one in observation.outcomes}


@pytest.fixture(name="prefix")
def of_this_test(monkeypatch: pytest.MonkeyPatch) -> str:
    prefix = f"forkbench-{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv(PREFIX, prefix)
    return prefix


def there(prefix: str) -> list[str]:
    return [name for name in os.listdir("/dev/shm") if name.startswith(prefix)]


@pytest.mark.parametrize("name", [*LEFT, *KEPT])
def test_stress_tells_of_segments_that_samples_made_and_did_not_remove(name: str, prefix: str) -> None:
    found = stressed(target(name), method="fork", samples=6)
    assert kinds(found) == {"leak" if name in LEFT else "value"}, found.outcomes
    assert there(prefix) == []


@pytest.mark.parametrize("name", [*LEFT, *KEPT])
def test_explore_tells_of_them_too(name: str, prefix: str) -> None:
    found = explored(target(name), method="fork", schedules=3, audited=False)
    assert kinds(found) == {"leak" if name in LEFT else "value"}, found.outcomes
    assert there(prefix) == []


def test_those_that_were_there_before_are_none_of_a_sample(tmp_path: Path) -> None:
    name = f"forkbench-{os.getpid()}-{tmp_path.name}"
    file = Path("/dev/shm", name)
    file.touch()
    try:
        (tmp_path / "segments").write_text(f"/{name}\n")
        segments = Segments(str(tmp_path))
        assert segments.take_left() == []
        with (tmp_path / "segments").open("a") as more:
            more.write(f"/that-is-gone\n/{name}\n")
        assert segments.take_left() == [f"/{name}"]
        assert segments.take_left() == []
        assert not file.exists()
    finally:
        file.unlink(missing_ok=True)
