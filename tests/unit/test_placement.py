from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cells import Cell, parse_cell
from bench.matrix.placement import Waiting, choose, cpus_needed, expected_s, lower_bound_s, waiting

NAMES = [f"py31{minor}-{method}" for minor in range(6) for method in ("fork", "spawn", "forkserver")]


def entry(name: str, seconds: float = 1.0) -> Waiting:
    return replace(waiting(parse_cell(name)), expected_s=seconds)


@st.composite
def queues(draw: st.DrawFn, widest: int = 4) -> list[Waiting]:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=len(NAMES)))
    return [entry(f"{name}-cpu{draw(st.integers(1, widest))}", draw(st.integers(1, 300)) / 10) for name in names]


def simulate(queue: list[Waiting], cores: int) -> float:
    """Run a queue as the loop does: place at each end of a cell; give the makespan."""
    left, running, now = list(queue), list[tuple[float, tuple[int, ...]]](), 0.0
    while left or running:
        busy = {cpu for _, cpus in running for cpu in cpus}
        for one, cpus in choose(left, frozenset(range(cores)) - busy):
            left.remove(one)
            running.append((now + one.expected_s, cpus))
        now = min(end for end, _ in running)
        running = [(end, cpus) for end, cpus in running if end > now]
    return now


def bound(queue: list[Waiting], cores: int) -> float:
    return lower_bound_s([(one.cpus_needed, one.expected_s) for one in queue], cores)


@given(queues(), st.frozensets(st.integers(0, 9), max_size=6))
def test_no_cpu_is_given_twice_and_only_free_ones_are(queue: list[Waiting], free: frozenset[int]) -> None:
    chosen = choose(queue, free)
    given_out = [cpu for _, cpus in chosen for cpu in cpus]
    assert len(given_out) == len(set(given_out))
    assert free.issuperset(given_out)
    assert all(len(cpus) == one.cpus_needed for one, cpus in chosen)


@given(queues(), st.frozensets(st.integers(0, 9), max_size=6))
def test_none_is_left_waiting_that_would_fit(queue: list[Waiting], free: frozenset[int]) -> None:
    chosen = choose(queue, free)
    room = len(free) - sum(one.cpus_needed for one, _ in chosen)
    placed = [one for one, _ in chosen]
    assert all(one.cpus_needed > room for one in queue if one not in placed)


@given(queues(), st.frozensets(st.integers(0, 9), max_size=6), st.randoms(use_true_random=False))
def test_the_choice_does_not_depend_on_the_order_of_waiting(
    queue: list[Waiting], free: frozenset[int], shuffler: random.Random
) -> None:
    shuffled = list(queue)
    shuffler.shuffle(shuffled)
    assert choose(shuffled, free) == choose(queue, free)


@given(queues(widest=2))
def test_on_two_cores_the_end_is_at_most_half_a_narrow_cell_late(queue: list[Waiting]) -> None:
    # Wide cells fill both cores one after the other; then the narrow ones never leave a core idle while one waits, so
    # the cores end at most the last one's length apart: half of it more than the area over two cores.
    narrow = max((one.expected_s for one in queue if one.cpus_needed == 1), default=0.0)
    area = sum(one.cpus_needed * one.expected_s for one in queue) / 2
    assert simulate(queue, 2) <= area + narrow / 2 + 1e-9


@given(queues(), st.integers(4, 9))
def test_on_any_number_of_cores_the_end_is_within_twice_the_bound(queue: list[Waiting], cores: int) -> None:
    # Let C be the end, and C >= 2 x longest. What runs at t + C/2 had not begun at t and did not fit there: both times
    # together use more than all cores. Summed over t < C/2 that is an area of at least C/2 x (cores + 1).
    longest = max((one.expected_s for one in queue), default=0.0)
    area = sum(one.cpus_needed * one.expected_s for one in queue)
    assert bound(queue, cores) - 1e-9 <= simulate(queue, cores) <= max(2 * longest, 2 * area / (cores + 1)) + 1e-9


def test_the_default_matrix_on_two_cores_is_within_the_promise() -> None:
    queue = [waiting(parse_cell(f"{name}-cpu{cpus}")) for name in NAMES for cpus in (1, 2)]
    assert simulate(queue, 2) <= 1.02 * bound(queue, 2)


def test_wide_cells_come_first_then_long_ones_then_by_name() -> None:
    short, long = entry("py310-fork-cpu1", 1), entry("py310-spawn-cpu1", 9)
    twin, wide = entry("py311-fork-cpu1", 1), entry("py310-fork-cpu2", 0.1)
    order = [one for one, _ in choose([twin, short, long, wide], frozenset(range(5)))]
    assert order == [wide, long, short, twin]


def test_a_wide_cell_that_does_not_fit_holds_nothing_up() -> None:
    narrow = entry("py310-fork-cpu1")
    assert choose([entry("py310-fork-cpu2"), narrow], frozenset({7})) == [(narrow, (7,))]


@pytest.mark.parametrize(
    ("name", "needed"),
    [("py314-fork-cpu4", 4), ("py314-fork-quota0.5", 1), ("py314-fork-quota1", 1), ("py314-fork-quota1.5", 2)],
)
def test_a_quota_takes_its_worth_of_room(name: str, needed: int) -> None:
    assert cpus_needed(parse_cell(name)) == needed


def test_the_time_of_an_earlier_run_replaces_the_estimate() -> None:
    cell: Cell = parse_cell("py314-spawn-cpu2")
    assert expected_s(cell, earlier={cell.name: 33.0}) == 33.0
    assert expected_s(cell, earlier={"other": 33.0}) == expected_s(cell)


def test_guesses_rank_as_the_costs_of_starting_processes_do() -> None:
    seconds = {
        name: expected_s(parse_cell(name))
        for name in (
            "py314-fork-cpu2",
            "py314-forkserver-cpu2",
            "py314-spawn-cpu2",
            "pypy311-spawn-cpu2",
            "pypy311-spawn-cpu1",
        )
    }
    assert list(seconds.values()) == sorted(set(seconds.values()))
    assert expected_s(parse_cell("py314-fork-cpu1"), modes=("stress",)) == expected_s(
        parse_cell("pypy311-spawn-cpu2"), modes=("stress",)
    )


def test_the_bound_is_the_area_or_the_longest() -> None:
    assert lower_bound_s([(2, 3.0), (1, 4.0)], 2) == 5.0
    assert lower_bound_s([(1, 4.0)], 2) == 4.0
    assert lower_bound_s([], 2) == 0.0
