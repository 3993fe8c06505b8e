"""How long nothing may move, less what processes wait for a CPU."""

from __future__ import annotations

import pytest

from bench.process.patience import Patience
from bench.testing import FakeClock


def _ends_after(share: float, limit_s: float = 2.0) -> float:
    """Return after how long it is over, where the processes wait for a CPU this share of the time."""
    clock = FakeClock()
    begun, patience = clock(), Patience(clock())
    while not patience.is_over(clock(), limit_s, lambda: 7.0 + share * clock()):
        clock.advance(0.01)
    return clock() - begun


@pytest.mark.parametrize(
    ("share", "least", "most"), [(0.0, 2.0, 2.3), (0.5, 2.9, 3.3), (0.9, 10.9, 11.3), (5.0, 10.9, 11.3)]
)
def test_waiting_for_a_cpu_does_not_count(share: float, least: float, most: float) -> None:
    assert least <= _ends_after(share) <= most


def test_whatever_moves_begins_it_anew() -> None:
    patience = Patience(0.0)
    for now_s in (0.9, 1.1, 1.9):
        assert not patience.is_over(now_s, 2.0, lambda: 0.0)
    patience.moved(1.95)
    for now_s in (2.1, 2.9, 3.0, 3.9):
        assert not patience.is_over(now_s, 2.0, lambda: 0.0)
    assert patience.is_over(4.1, 2.0, lambda: 0.0)
