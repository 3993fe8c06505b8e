"""What a start method costs, from the records alone."""

from __future__ import annotations

import json

from bench.record import End, dump, from_json
from bench.report.costs import cost_lines
from bench.report.lines import plain
from bench.report.loaded import CellRecords, RunRecords
from bench.starts import Starts


def cell(name: str, seconds: float, starts_s: float, status: str = "pass", numpy_s: float = 0.0) -> CellRecords:
    method = name.split("-")[1]
    imports = {"numpy": (206, numpy_s), "stdlib": (206, 0.5)} if numpy_s else {}
    # Two sessions, each with half of it.
    half = Starts(name, method, 206, starts_s / 2, starts_s / 10, {key: (n, s / 2) for key, (n, s) in imports.items()})
    return CellRecords(name, None, (), (), End(name, status, "", seconds), (half, half))  # type: ignore[arg-type]  # a status


def test_a_method_that_costs_is_told_with_what_it_spends_its_time_on() -> None:
    cells = (
        cell("py314-fork-cpu1", 10.0, 0.2),
        cell("py314-spawn-cpu1", 55.0, 50.0, numpy_s=46.0),
        cell("py314-fork-cpu2", 8.0, 0.2),
        cell("py314-spawn-cpu2", 30.0, 50.0, "fail", numpy_s=46.0),
        cell("py311-forkserver-cpu2", 30.0, 40.0, "timeout"),
    )
    assert plain(cost_lines(RunRecords({}, cells))).splitlines() == [
        "What a start method costs",
        "  Python    method       cpu1                       cpu2",
        "  3.14      fork         10.0 s, 412 starts 0.2 s   8.0 s, 412 starts 0.2 s",
        "            spawn        55.0 s, 412 starts 50.0 s  30.0 s, 412 starts 50.0 s",
        "  spawn costs this suite 5.5x in py314-spawn-cpu1",
        "      412 starts took 50.0 s together, 92 % of it 412 imports of numpy",
        "",
    ]


def test_what_is_repeated_is_told_for_one_time() -> None:
    cells = (cell("py314-fork-cpu1", 30.0, 0.2), cell("py314-spawn-cpu1", 90.0, 60.0))
    text = plain(cost_lines(RunRecords({"repeat": 4}, cells)))
    assert "22.5 s, 103 starts 15.0 s" in text
    assert (
        "3.0x in py314-spawn-cpu1\n      103 starts took 15.0 s together, 20 % of it interpreters that come up" in text
    )


def test_nothing_is_said_where_starts_take_next_to_no_time() -> None:
    fork = cell("py314-fork-cpu1", 10.0, 0.2)
    assert cost_lines(RunRecords({}, (fork, cell("py314-spawn-cpu1", 60.0, 5.0)))) == []
    assert cost_lines(RunRecords({}, (fork, cell("py314-spawn-cpu1", 3.0, 0.9)))) == []
    spawn = cell("py314-spawn-cpu1", 60.0, 50.0)
    assert cost_lines(RunRecords({}, (fork, spawn))) != []
    assert cost_lines(RunRecords({"coverage": True}, (fork, spawn))) == []
    assert cost_lines(RunRecords({}, (cell("py314-spawn-cpu1", 3.0, 2.0),))) == [], "nothing to compare it with"


def test_starts_are_read_back() -> None:
    (line, _) = cell("py314-spawn-cpu1", 3.0, 2.0, numpy_s=1.0).starts
    assert from_json(json.loads(dump(line))) == line
