from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cells import MAX_CPUS, PYTHONS, Cell, parse_cell, parse_cpus, parse_method, parse_python
from bench.errors import UsageError
from bench.outcomes import METHODS

pythons = st.sampled_from(PYTHONS).map(parse_python)
methods = st.sampled_from(METHODS)
pinned = st.builds(Cell, pythons, methods, st.integers(1, MAX_CPUS))
quotas = st.builds(Cell, pythons, methods, st.just(0), st.integers(1, 4000).map(lambda hundredths: hundredths / 100))


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
    ],
)
def test_pythons_are_named_in_several_ways(text: str, tag: str, image: str) -> None:
    python = parse_python(text)
    assert (python.tag, python.image) == (tag, image)
    assert parse_python(tag) == python


@pytest.mark.parametrize("text", ["", "3", "3.9", "3.16", "pypy3.10", "python", "3.14.1", "2.7", "3.14t"])
def test_unknown_pythons_are_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(UsageError, match=r"unknown Python .*3\.10, .*pypy3\.11"):
        parse_python(text)


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
    ],
)
def test_what_is_no_cell_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        parse_cell(name)
