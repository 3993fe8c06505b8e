"""Statements of what cells have in common cover exactly those cells, and read well."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.record import Facts
from bench.report.places import Place, place_of, state, where

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14", "3.15")
METHODS = ("fork", "spawn", "forkserver")


def place(python: str, method: str, cpus: int) -> Place:
    return place_of(f"py{python.replace('.', '')}-{method}-cpu{cpus}")


MATRIX = [place(*axes) for axes in itertools.product(PYTHONS, METHODS, (1, 2))]


@st.composite
def some_of_some(draw: st.DrawFn) -> tuple[set[Place], set[Place]]:
    universe = draw(st.sets(st.sampled_from(MATRIX), min_size=1))
    return universe, draw(st.sets(st.sampled_from(sorted(universe, key=lambda p: p.order)), min_size=1))


@settings(deadline=None)  # of a busy machine a deadline says nothing
@given(some_of_some())
def test_a_statement_covers_exactly_its_places(sets: tuple[set[Place], set[Place]]) -> None:
    universe, some = sets
    assert state(some, universe).covers(universe) == some


@settings(deadline=None)
@given(st.sets(st.sampled_from(PYTHONS), min_size=1), st.sets(st.sampled_from(METHODS), min_size=1))
def test_a_product_of_axes_is_one_box(pythons: set[str], methods: set[str]) -> None:
    some = [p for p in MATRIX if p.python in pythons and p.method in methods]
    found = state(some, MATRIX)
    assert len(found.boxes) == 1
    assert found.covers(MATRIX) == set(some)


@pytest.mark.parametrize(
    ("chosen", "text"),
    [
        (lambda p: True, "in all 36 cells"),
        (lambda p: p.method != "fork", "only under spawn and forkserver (24 of 36 cells)"),
        (lambda p: p.python == "3.14", "only on 3.14 (6 of 36 cells)"),
        (lambda p: p.size == "cpu1", "only with 1 CPU (18 of 36 cells)"),
        (lambda p: p.python >= "3.13", "only on 3.13 and later (18 of 36 cells)"),
        (lambda p: p.python <= "3.12", "only on 3.10 to 3.12 (18 of 36 cells)"),
        (lambda p: p.python in ("3.10", "3.15"), "only on 3.10 and 3.15 (12 of 36 cells)"),
        (lambda p: p == MATRIX[3], "only in py310-spawn-cpu2 (of 36 cells)"),
        (
            lambda p: (p.python, p.method) == ("3.14", "spawn"),
            "only under spawn on 3.14 (2 of 36 cells)",
        ),
        (
            lambda p: (p.python, p.method) != ("3.14", "fork"),
            "in all cells except under fork on 3.14 (34 of 36 cells)",
        ),
        (
            lambda p: (p.python, p.method) in (("3.14", "fork"), ("3.10", "spawn")),
            "only under fork on 3.14; and under spawn on 3.10 (4 of 36 cells)",
        ),
    ],
)
def test_statements_in_words(chosen: object, text: str) -> None:
    assert callable(chosen)
    said = where([p for p in MATRIX if chosen(p)], MATRIX)
    assert set(said.split("; and ")) == set(text.split("; and ")) or sorted(said) == sorted(text), said


def test_overlapping_boxes_do_not_repeat_each_other() -> None:
    universe = [place("3.14", method, cpus) for method in METHODS for cpus in (1, 2, 4)]
    some = [p for p in universe if p.size == "cpu2" or (p.size == "cpu1" and p.method != "spawn")]
    assert where(some, universe) == "only with 2 CPUs; and under fork and forkserver with 1 CPU (5 of 9 cells)"


def test_scattered_cells_are_listed_by_name() -> None:
    forks = [p for p in MATRIX if p.method == "fork"]
    assert where([*forks, MATRIX[2]], MATRIX) == "only under fork; and in py310-spawn-cpu1 (13 of 36 cells)"
    some = [MATRIX[0], MATRIX[9], MATRIX[20]]
    assert where(some, MATRIX) == "only in py310-fork-cpu1, py311-spawn-cpu2 and py313-spawn-cpu1 (3 of 36 cells)"
    assert where(MATRIX[:1] + MATRIX[2:], MATRIX) == "in all cells except in py310-fork-cpu2 (35 of 36 cells)"


def test_other_implementations_quotas_and_gaps_read_well() -> None:
    names = ("py313-fork-cpu1", "py314-fork-cpu1", "pypy311-fork-cpu1", "py314-fork-quota0.5", "py314-fork-cpu16")
    universe = [place_of(name) for name in names]
    assert where(universe[:1], universe) == "only in py313-fork-cpu1 (of 5 cells)"
    assert where(universe[2:3] + universe[:1], universe) == "only on 3.13 and pypy3.11 (2 of 5 cells)"
    assert where(universe[3:], universe) == "only with 16 CPUs or a quota of 0.5 CPUs (2 of 5 cells)"


def test_the_host_is_a_place_by_its_facts() -> None:
    facts = Facts("local", "3.11.9", "pypy", None, "fork", None, (0, 1), 2, None, 2, "local", 7)
    assert place_of("local", facts, "spawn") == Place("pypy3.11", "spawn", "this host", "local")
    methods = [place_of("local", facts, method) for method in METHODS]
    assert where(methods, methods) == "under fork, spawn and forkserver"
    assert where(methods[1:], methods) == "only under spawn and forkserver (2 of 3 cells)"
    assert where(methods[:1], methods[:1]) == "in local under fork"


def test_one_cell_stands_by_its_name() -> None:
    assert where(MATRIX[:1], MATRIX[:1]) == "in py310-fork-cpu1"
