"""What was noted of tests is reported once, with its tests and its cells."""

from __future__ import annotations

from bench.islands.ends import AT_EXIT
from bench.islands.noted import lines_of
from bench.record import End, Left, Notes, Test
from bench.report.lines import plain
from bench.report.loaded import CellRecords, RunRecords
from bench.report.summary import findings_text

FORK, SPAWN = "py314-fork-cpu1", "py314-spawn-cpu1"


def cell(name: str, *notes: Notes, tests: tuple[str, ...] = ("t.py::a", "t.py::b")) -> CellRecords:
    ran = tuple(Test(name, one, "passed", 0.1) for one in tests)
    strict = any(one.strict for one in notes)
    return CellRecords(name, None, (), ran, End(name, "fail" if strict else "pass", "", 1.0), notes=notes)


def text_of(*cells: CellRecords) -> str:
    return plain(findings_text(RunRecords({"command": ["pytest"], "cells": [], "modes": []}, cells)))


def test_a_thing_of_many_names_is_left_behind_once() -> None:
    one, other = (Left("shared memory", name) for name in ("psm_0a1b2c3d", "psm_4e5f6a7b"))
    assert text_of(cell(FORK, Notes(FORK, "t.py::a", (one,))), cell(SPAWN, Notes(SPAWN, "t.py::b", (other,)))) == (
        "Left behind (1)\n  shared memory: psm_…\n      in both cells, from t.py::a and t.py::b\n\n"
    )


def test_start_methods_are_counted_and_the_ways_told_apart() -> None:
    notes = [
        Notes(FORK, "t.py::a", methods=(("spawn", "get_context"),)),
        Notes(FORK, "t.py::b", methods=(("spawn", "get_context"), ("forkserver", "set_start_method"))),
    ]
    text = " ".join(text_of(cell(FORK, *notes), cell(SPAWN)).split())
    assert "2 tests choose spawn themselves; the axis does not reach them" in text
    assert "1 test chooses forkserver for the whole process, by set_start_method" in text
    assert "only in py314-fork-cpu1 (of 2 cells), from t.py::b" in text


def test_with_strict_leaks_what_was_left_explains_the_cell() -> None:
    noted = Notes(FORK, "t.py::a", (Left("umask", "0027, was 0022", "settled"),), strict=True)
    assert text_of(cell(FORK, noted)).splitlines()[:2] == [
        "Left behind (1)",
        "  umask: 0027, was 0022, made by fixture settled",
    ]


def test_complaints_of_trackers_go_to_the_test_that_left_what_they_name() -> None:
    noted = [("a", {"left": [["shared memory", "x", None]]}), ("b", {"left": [["shared memory", "y", None]]})]
    named = "resource_tracker: There appear to be 1 leaked shared_memory objects to clean up at shutdown: {'/y'}"
    found = {one.id: one.warnings for one in lines_of("c", noted, strict=False, complaints=[named])}
    assert found == {"a": (), "b": (named.partition(": {")[0],)}
    semaphores = "resource_tracker: There appear to be 2 leaked semaphore objects to clean up at shutdown"
    assert lines_of("c", noted, strict=False, complaints=[semaphores])[-1] == Notes(
        "c", AT_EXIT, warnings=(semaphores,)
    )
