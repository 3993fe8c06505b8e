from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.cells import (
    FREE_THREADED,
    MAX_CPUS,
    PYTHONS,
    Cell,
    Python,
    parse_cell,
    parse_cpus,
    parse_method,
    parse_python,
    parse_seen,
)
from bench.errors import UsageError
from bench.outcomes import METHODS

variants = st.sampled_from(["", "", "alpine", "slim-bookworm", "i386", "my_own.1"])
builds = st.builds(
    Python, st.just("cpython"), st.sampled_from(FREE_THREADED), st.none() | st.integers(0, 30), st.booleans(), variants
)
pythons = st.sampled_from(PYTHONS).map(parse_python) | builds
counts = st.none() | st.integers(1, MAX_CPUS)
methods = st.sampled_from(METHODS)
pinned = st.builds(Cell, pythons, methods, st.integers(1, MAX_CPUS), st.none(), counts)
hundredths = st.integers(1, 4000).map(lambda number: number / 100)
quotas = st.builds(Cell, pythons, methods, st.just(0), hundredths, counts)


@settings(deadline=None)  # the first draw of the many parts takes longer on a busy machine
@given(pinned | quotas)
def test_a_cell_is_read_back_from_its_name(cell: Cell) -> None:
    assert parse_cell(cell.name) == cell


@given(pythons)
def test_a_python_is_read_back_from_its_text_and_tag(python: object) -> None:
    assert parse_python(str(python)) == python


@pytest.mark.parametrize(
    ("text", "tag", "image"),
    [
        ("3.14", "py314", "python:3.14-slim"),
        ("py310", "py310", "python:3.10-slim"),
        ("pypy3.11", "pypy311", "pypy:3.11-slim"),
        ("PyPy311", "pypy311", "pypy:3.11-slim"),
        ("3.14.2", "py314.2", "python:3.14.2-slim"),
        ("3.14t", "py314t", "python:3.14t-slim"),
        ("3.13.5t", "py313.5t", "python:3.13.5t-slim"),
        ("3.14-alpine", "py314-alpine", "python:3.14-alpine"),
        ("py314.2-slim-bookworm", "py314.2-slim-bookworm", "python:3.14.2-slim-bookworm"),
        ("pypy3.11-bookworm", "pypy311-bookworm", "pypy:3.11-bookworm"),
    ],
)
def test_pythons_are_named_in_several_ways(text: str, tag: str, image: str) -> None:
    python = parse_python(text)
    assert (python.tag, python.image) == (tag, image)
    assert parse_python(tag) == python


@pytest.mark.parametrize("text", ["", "3", "3.9", "3.16", "pypy3.10", "python", "2.7", "3.14x", "3.14-", "3.14.222"])
def test_unknown_pythons_are_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(UsageError, match=r"unknown Python .*3\.10, .*pypy3\.11"):
        parse_python(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("3.12t", "free-threaded builds of CPython from 3.13 on"),
        ("pypy3.11t", "free-threaded builds"),
        ("3.14-spawn", "'spawn' cannot be in the name"),
        ("3.14-slim-cpu2", "'cpu2' cannot be"),
    ],
)
def test_builds_and_variants_that_cannot_be_say_why(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        parse_python(text)


def test_pythons_are_ordered_plain_ones_first() -> None:
    texts = ["pypy3.11", "3.14.2", "3.14t", "3.14", "3.14-alpine", "3.13t", "3.14.10"]
    ordered = sorted(map(parse_python, texts), key=lambda python: python.rank)
    assert [str(one) for one in ordered] == ["3.13t", "3.14", "3.14.2", "3.14.10", "3.14-alpine", "3.14t", "pypy3.11"]


def test_an_apparent_count_is_a_number_or_what_is_there() -> None:
    assert [parse_seen(text) for text in ("8", "seen8", "real")] == [8, 8, None]
    for text in ("0", "seen", "-1", "1.5", "many", "2000"):
        with pytest.raises(UsageError, match="whole numbers from 1 to 1024, or real"):
            parse_seen(text)


@pytest.mark.parametrize("text", ["", "Fork", "thread", "fork "])
def test_unknown_methods_are_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(UsageError, match="there are fork, spawn, forkserver"):
        parse_method(text)


@pytest.mark.parametrize("text", ["0", "-1", "abc", "4096", "1.5", "", "1e3", "²"])
def test_cpus_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="whole numbers from 1 to 1024"):
        parse_cpus(text)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "py314",
        "py314-spawn",
        "py314-spawn-2",
        "py314-spawn-cpu",
        "py314-spawn-cpu0",
        "py39-spawn-cpu1",
        "py314-thread-cpu1",
        "py314-spawn-cpu2-x",
        "py314-fork-quota",
        "py314-fork-quota0",
        "py314-fork-quota-1",
        "py314-fork-quota9999",
        "PY314-fork-cpu1",
        "py314-fork-cpu2\n",
        "py314-spawn-fork-cpu1",
        "py314-spawn-cpu1-seen",
        "py314-spawn-cpu1-seen0",
        "py314-spawn-seen8",
    ],
)
def test_what_is_no_cell_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        parse_cell(name)
