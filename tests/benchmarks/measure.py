"""Alternating measurements of two things, and how they are told."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence


def timed(action: Callable[[], object]) -> float:
    """Give the seconds that one call takes."""
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def alternate(ours: Callable[[], object], peer: Callable[[], object], rounds: int) -> tuple[list[float], list[float]]:
    """Time both in turn, `rounds` times each; a first call of each is not counted."""
    ours()
    peer()
    pairs = [(timed(ours), timed(peer)) for _ in range(rounds)]
    return [one for one, _ in pairs], [other for _, other in pairs]


def tell(what: str, ours: Sequence[float], peer_name: str, peer: Sequence[float]) -> None:
    """Print both medians with their ranges, and the median of the ratios of the pairs."""
    ratio = statistics.median(one / other for one, other in zip(ours, peer, strict=True))
    print(f"{what}: {_range(ours)}; {peer_name}: {_range(peer)}; ratio {ratio:.2f}", flush=True)


def _range(seconds: Sequence[float]) -> str:
    least, median, greatest = (f"{1000 * s:.0f}" for s in (min(seconds), statistics.median(seconds), max(seconds)))
    return f"{median} ms ({least} to {greatest})"
