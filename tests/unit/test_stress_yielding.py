"""Yielding in the middle of a sample, at operations that the seed chooses."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from bench.stress import yielding
from bench.stress.yielding import Yielder


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How far a sample was, each time that it gave way; while a trace function of the tests' own rests."""
    before = sys.gettrace()
    sys.settrace(None)
    at: list[int] = []
    monkeypatch.setattr(yielding, "_give_way", lambda: at.append(done[0]))
    yield at
    sys.settrace(before)


done = [0]


def sample(steps: int = 200) -> None:
    for done[0] in range(steps):
        pass


def test_it_gives_way_within_a_sample_where_the_seed_says(ways: list[int]) -> None:
    runs = []
    for seed in (0, 1, 1, 2):
        yielder = Yielder(seed, 0)
        yielder.begin()
        sample()
        yielder.end()
        runs.append(ways[:])
        ways.clear()
    _, first, again, other = runs  # of a function's first call, Python 3.12 and later tell no operations
    assert first == again != other
    assert len(set(first)) > 10
    sample()
    assert ways == []


def test_a_long_sample_goes_on_untraced(ways: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    yielder = Yielder(1, 0)
    yielder.begin()
    sample()  # as above: so that its operations are told
    yielder.end()
    ways.clear()
    monkeypatch.setattr(yielding, "MOST_OPERATIONS", 200)  # more than any gap
    done[0] = 0
    yielder.begin()
    sample(5_000)
    assert sys.gettrace() is None
    assert ways
    assert all(at < 200 for at in ways)
    yielder.begin()
    assert sys.gettrace() is not None
    yielder.end()


def test_a_trace_function_of_somebody_else_is_left_alone(ways: list[int]) -> None:
    def theirs(*_: object) -> None: ...

    sys.settrace(theirs)
    yielder = Yielder(1, 0)
    yielder.begin()
    assert sys.gettrace() is theirs
    sample()
    yielder.end()
    assert sys.gettrace() is theirs
    assert ways == []
