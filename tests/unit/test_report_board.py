"""The board: its model under events, and its text at a given time."""

from __future__ import annotations

from bench.cells import Cell, parse_cell
from bench.matrix.plan import make_plan
from bench.matrix.run import CellEnded, CellLine, CellStarted, Event, Preparing
from bench.record import Judged, Test
from bench.report.board import BoardState, board, event_text
from bench.report.lines import plain

NAMES = ("py314-fork-cpu1", "py314-spawn-cpu1", "py314-fork-cpu2", "py314-spawn-cpu2")
ONE, TWO, WIDE, WIDER = map(parse_cell, NAMES)
START = BoardState.of(make_plan([ONE, TWO, WIDE, WIDER], run="r", host_cpus=2), 2)
FAILED = Judged("m:f", "repeat", ONE.name, 1, 0.1, (), verdict="fail")


STRESSED = Judged("m:S", "stress", ONE.name, 1, 0.1, (), verdict="unknown")


def after(*events: Event) -> BoardState:
    state = START
    for event in events:
        state = state.apply(event)
    return state


def drawn(state: BoardState, now_s: float, height: int = 20) -> str:
    return plain(board(state, now_s, started_s=100.0, width=80, height=height))


def test_nothing_has_happened() -> None:
    assert drawn(START, 101.0) == "0 of 4 cells done | 0 running, 4 waiting | 1.0 s\n"


def test_what_is_prepared_stands_until_a_cell_starts() -> None:
    assert "building an image" in drawn(after(Preparing("building an image")), 101.0)
    assert "building" not in drawn(after(Preparing("building an image"), CellStarted(ONE, (0,), 101.0)), 102.0)


def test_cells_move_from_waiting_to_running_to_done() -> None:
    state = after(
        CellStarted(WIDE, (0, 1), 100.0),
        CellEnded(WIDE, "pass", "", 10.0),
        CellStarted(ONE, (0,), 110.0),
        CellStarted(TWO, (1,), 110.0),
        CellLine(ONE, FAILED),
        CellLine(TWO, Test(TWO.name, "tests/a.py::b", "passed", 0.1)),
        CellEnded(WIDER, "unavailable", "no image", 0.0),
    )
    assert (state.waiting, state.total) == ((), 4)
    assert drawn(state, 112.5) == (
        "2 of 4 cells done, 1 pass, 1 unavailable | 2 running, 0 waiting | 12.5 s, about 7.5 s left\n"
        "  py314-fork-cpu1          CPU 0          2.5 s  1 failed  m:f\n"
        "  py314-spawn-cpu1         CPU 1          2.5 s  tests/a.py::b\n"
        "  py314-spawn-cpu2         unavailable no image\n"
    )


def test_what_a_cell_did_last_is_shown_with_its_mode() -> None:
    assert "m:S (stress)\n" in drawn(after(CellStarted(ONE, (0,), 100.0), CellLine(ONE, STRESSED)), 101.0)


def test_the_remaining_time_is_estimated_from_the_most_similar_cells() -> None:
    assert START.remaining_s(100.0) is None
    state = after(CellStarted(WIDE, (0, 1), 100.0), CellEnded(WIDE, "pass", "", 10.0))
    assert state.remaining_s(110.0) == 20.0  # 10 s on both CPUs for the wide one, and two of 10 s side by side
    state = state.apply(CellStarted(ONE, (0,), 110.0)).apply(CellEnded(ONE, "pass", "", 4.0))
    assert state.remaining_s(114.0) == 12.0  # 10 s wide, and 4 s on one of two CPUs
    assert state.apply(CellStarted(WIDER, (0, 1), 114.0)).remaining_s(200.0) == 4.0  # late already: nothing more of it


def test_cells_that_never_ran_do_not_count_for_the_time() -> None:
    assert after(CellEnded(ONE, "unavailable", "", 0.0)).remaining_s(1.0) is None


def test_a_low_terminal_gets_the_heading_and_what_runs() -> None:
    events: list[Event] = [CellStarted(ONE, (0,), 100.0), *(CellEnded(c, "error", "", 1.0) for c in (TWO, WIDE))]
    assert len(drawn(after(*events), 101.0, height=3).splitlines()) == 2


def test_a_stop_is_shown() -> None:
    stopping = BoardState((ONE,), 2, stopping=True)
    assert "stopping" in drawn(stopping, 101.0)


def test_each_event_is_one_plain_line() -> None:
    ended = CellEnded(ONE, "fail", "m:f\nand more", 2.0)
    events: list[Event] = [
        Preparing("building\x1b[2J"),
        CellStarted(ONE, (0,), 100.0),
        CellStarted(Cell(ONE.python, "fork", 0, 0.5), (), 100.0),
        CellLine(ONE, FAILED),
        CellLine(ONE, STRESSED),
        CellLine(ONE, Test(ONE.name, "t.py::a", "crashed", 0.1)),
        CellLine(ONE, Test(ONE.name, "t.py::b", "passed", 0.1)),
        ended,
    ]
    assert [event_text(event, after(ended)) for event in events] == [
        "building\\x1b[2J",
        "py314-fork-cpu1 starts on CPU 0",
        "py314-fork-quota0.5 starts",
        "py314-fork-cpu1 FAIL m:f",
        "py314-fork-cpu1 unknown m:S (stress)",
        "py314-fork-cpu1 crashed t.py::a",
        None,
        "[1/4] py314-fork-cpu1 FAIL in 2.0 s: m:f and more",
    ]
