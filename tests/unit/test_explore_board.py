"""The board of an exploration, and which lane the scheduler chooses on it, without any process."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bench
from bench.explore.driver.executor import common_prefix
from bench.explore.model import ANYTHING, KINDS, WHOLE, Op, dependent, killing
from bench.explore.runtime import layout as at
from bench.explore.runtime.board import Board
from bench.explore.runtime.lane import Runtime
from bench.explore.runtime.packing import KILLED, kind_of, lane_of, op_of, placed, word, words_dependent
from bench.explore.runtime.registry import Registry
from bench.explore.runtime.scheduler import OVER, PROBE_FIRST, decide

# The layout.


def _bytes_of(field: at.Field) -> tuple[int, int]:
    """Where a field begins and ends in the file; of a cell, in a lane's record."""
    unit = 1 if field.area == "bytes" else 8
    return field.offset * unit, (field.offset * unit) + field.count * field.size * unit


def test_each_field_of_the_board_is_the_constant_of_its_name_and_has_a_meaning() -> None:
    for field in at.TABLE:
        assert getattr(at, field.name) == field.offset
        assert field.meaning
    assert len({field.name for field in at.TABLE}) == len(at.TABLE)


@pytest.mark.parametrize("cells", [True, False])
def test_fields_follow_each_other_and_fill_the_board(*, cells: bool) -> None:
    places = [_bytes_of(field) for field in at.TABLE if (field.area == "lane") is cells]
    assert places[0][0] == 0
    assert all(end == start for (_, end), (start, _) in itertools.pairwise(places))
    assert places[-1][1] == (8 * at.LANE if cells else at.SIZE)


def test_what_is_reset_before_a_schedule_ends_before_what_stays() -> None:
    fields = {field.name: field for field in at.TABLE}
    assert _bytes_of(fields["LANES"])[1] == 8 * at.RESET == _bytes_of(fields["ACTORS"])[0]
    assert fields["LANES"].size == at.LANE


def test_the_table_can_be_shown() -> None:
    rows = at.table()
    assert rows[0] == ("schedule", "STEPS", 0, 1, "steps taken")
    assert ("lane", "WORD", 0, 1, "the pending step, packed") in rows
    assert ("bytes", "PLAN", 8 * at.NUMBERS, at.MOST_STEPS) in {row[:4] for row in rows}


def test_attributes_of_the_board_are_its_fields(board: Board) -> None:
    board.lane(3).command, board.steps = at.REAP | 5 << 8, 7
    assert board.numbers[at.LANES + 3 * at.LANE + at.COMMAND] == at.REAP | 5 << 8
    assert (board.numbers[at.STEPS], board.steps) == (7, 7)
    assert (board.lane(2).command, board.lane(2).host, board.lane(3).host) == (at.GO, 2, 3)
    board.lane(2).pid = 123
    assert [board.numbers[at.PIDS + lane] for lane in (1, 2, 3)] == [0, 123, 0]


LAYOUT = "bench.explore.runtime.layout"


def test_the_layout_is_imported_in_one_spelling() -> None:
    for file in Path(bench.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                names = {f"{node.module}.{alias.name}": alias.asname for alias in node.names}
                assert node.module != LAYOUT, file
                assert names.get(LAYOUT, "at") == "at", file


numbers_of_objects = st.sampled_from([ANYTHING, 0, 1, 2, at.MOST_OBJECTS - 2])
ops = st.builds(
    Op,
    st.sampled_from(KINDS),
    numbers_of_objects,
    st.sampled_from([WHOLE, 0, 1, (1 << 30) - 2]),
    st.integers(0, at.MOST_PLACES - 1),
    st.sampled_from([0, 1, 2]),
)


def packed(op: Op, lane: int = 0) -> int:
    return word(op.kind, op.object, op.part) | placed(op.place, lane)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    made = Board(str(tmp_path / "board"), create=True)
    yield made
    made.close()


@given(ops, st.integers(0, at.MOST_LANES - 1))
def test_a_step_is_the_same_after_packing_and_fits_into_a_number(op: Op, lane: int) -> None:
    inside = packed(op, lane)
    assert inside < 1 << 63
    assert op_of(inside, op.wants) == op
    assert lane_of(inside) == lane


@given(ops, ops)
def test_dependence_of_packed_steps_is_that_of_the_operations(one: Op, other: Op) -> None:
    assert words_dependent(packed(one), one.wants, packed(other), other.wants) == dependent(one, other)


def test_another_process_reads_what_one_wrote(board: Board) -> None:
    other = Board(board.path)
    mine, theirs = Registry(board, 0), Registry(other, 1)
    number = mine.object("semaphore x", "lock", 1)
    assert theirs.object("semaphore x", "another label") == number
    assert other.object_label(number) == "lock"
    assert other.numbers[at.COUNTERS + number] == 1
    assert theirs.object("semaphore y", "lock") == number + 1
    assert mine.object("semaphore y", "lock") == number + 1
    other.close()


def test_an_object_made_anew_keeps_its_number_under_another_key(board: Board) -> None:
    mine, theirs = Registry(board, 0), Registry(board, 1)
    first = mine.new_object("inode 1", "pipe", 3)
    board.numbers[at.COUNTERS + first] = 0
    mine.reset()
    theirs.object("inode 1", "pipe")
    assert mine.new_object("inode 2", "pipe", 3) == first
    assert board.numbers[at.COUNTERS + first] == 3
    assert theirs.object("inode 2", "pipe") == first
    assert theirs.object("inode 1", "pipe") != first


def test_long_keys_stay_different(board: Board) -> None:
    names = Registry(board, 0)
    assert names.object("a" * 300, "a") != names.object("b" + "a" * 299, "b")


def test_lines_have_one_number_for_all(board: Board) -> None:
    import sys

    mine, theirs = Registry(board, 0), Registry(board, 3)
    frame = sys._getframe()
    here, there = mine.place_of(frame), theirs.place_of(frame)
    assert (lane_of(here), lane_of(there)) == (0, 3)
    assert op_of(here, 0).place == op_of(there, 0).place
    assert "test_explore_board.py:" in board.place(op_of(here, 0).place)


def test_too_many_lanes_are_refused_and_noted(board: Board) -> None:
    names = Registry(board, 0)
    for lane in range(at.MOST_LANES):
        assert names.lane(f"lane {lane}") == lane
    assert names.lane("lane 3") == 3
    with pytest.raises(RuntimeError, match="at most 32"):
        names.lane("one more")
    assert board.uncontrolled() == ["more than 32 processes and feeders"]


def test_what_cannot_be_controlled_is_noted_once(board: Board) -> None:
    for what in ("a thread", "a socket", "a thread"):
        board.note_uncontrolled(what)
    assert board.uncontrolled() == ["a thread", "a socket"]


# The scheduler.


def announce(board: Board, lane: int, op: Op, *, enabled: bool = True) -> None:
    numbers, slot = board.numbers, at.LANES + lane * at.LANE
    numbers[slot + at.WORD], numbers[slot + at.WANTS] = packed(op, lane), op.wants
    numbers[at.PRESENT] |= 1 << lane
    if enabled:
        numbers[at.ENABLED] |= 1 << lane


@pytest.fixture
def three(board: Board) -> Board:
    """Have three lanes that are about to write the same object."""
    board.numbers[at.LIMIT] = 100
    for lane in range(3):
        announce(board, lane, Op("write", 1))
    return board


def choose(board: Board) -> int:
    return decide(board.numbers, board.plan)


def plan(board: Board, *lanes: int) -> None:
    board.numbers[at.PLANNED] = len(lanes)
    for index, lane in enumerate(lanes):
        board.plan[index] = lane


def test_the_plan_comes_first_and_then_the_lane_that_ran_goes_on(three: Board) -> None:
    plan(three, 2)
    assert choose(three) == 2
    announce(three, 2, Op("write", 1))
    assert choose(three) == 2
    three.numbers[at.PRESENT] &= ~(1 << 2)  # it is through, and announces nothing
    assert choose(three) == 0
    assert three.numbers[at.STEPS] == 3
    assert [lane_of(three.numbers[at.LOG + 2 * step]) for step in range(3)] == [2, 2, 0]
    assert [three.numbers[at.LOG + 2 * step + 1] for step in range(3)] == [0b111, 0b111, 0b011]


def test_a_plan_that_cannot_be_followed_ends_it(three: Board) -> None:
    three.numbers[at.ENABLED] &= ~(1 << 1)
    plan(three, 1)
    assert choose(three) == OVER
    assert three.numbers[at.END] == at.DIVERGED


def test_no_lane_left_is_done_and_no_lane_enabled_is_stuck(board: Board) -> None:
    board.numbers[at.LIMIT] = 100
    assert (choose(board), board.numbers[at.END]) == (OVER, at.DONE)
    announce(board, 0, Op("acquire", 1, wants=1), enabled=False)
    assert (choose(board), board.numbers[at.END]) == (OVER, at.STUCK)


def test_the_limit_ends_it(three: Board) -> None:
    three.numbers[at.LIMIT] = 0
    assert (choose(three), three.numbers[at.END]) == (OVER, at.OVER_LIMIT)


def test_a_sleeping_lane_is_woken_by_a_step_that_depends_on_its_own(board: Board) -> None:
    numbers = board.numbers
    numbers[at.LIMIT] = 100
    announce(board, 0, Op("write", 1))
    announce(board, 1, Op("write", 2))
    announce(board, 2, Op("read", 2))
    numbers[at.ASLEEP] = 0b011
    assert choose(board) == 2
    assert numbers[at.ASLEEP] == 0b001  # the reader's step woke the writer of the same, and no other
    assert choose(board) == 1
    assert (choose(board), numbers[at.END]) == (OVER, at.ALL_ASLEEP)


def test_time_passes_when_no_other_lane_can_run(board: Board) -> None:
    numbers = board.numbers
    numbers[at.LIMIT] = 100
    announce(board, 0, Op("sleep", 0, wants=at.NEVER), enabled=False)
    announce(board, 1, Op("sleep", 0, wants=at.NEVER), enabled=False)
    announce(board, 2, Op("write", 1))
    for lane, until in ((0, 5_000_000), (1, 2_000_000)):
        numbers[at.LANES + lane * at.LANE + at.DEADLINE] = until
        numbers[at.TIMED] |= 1 << lane
    assert [choose(board), numbers[at.CLOCK]] == [2, 0]
    numbers[at.PRESENT] &= ~0b100
    assert [choose(board), numbers[at.CLOCK]] == [1, 2_000_000]
    assert [choose(board), numbers[at.CLOCK]] == [0, 5_000_000]


def test_a_lane_that_yields_comes_after_the_others_and_all_yielding_for_ever_is_a_livelock(board: Board) -> None:
    numbers = board.numbers
    numbers[at.LIMIT] = 100
    announce(board, 0, Op("read", 1))
    announce(board, 1, Op("read", 2))
    numbers[at.YIELDING] = 0b01
    assert choose(board) == 1
    assert numbers[at.LOG + 1] == 0b10  # it is no switch away from a lane that could have gone on
    announce(board, 1, Op("read", 2))
    numbers[at.YIELDING] = 0b11
    assert (choose(board), numbers[at.END]) == (OVER, at.OVER_LIMIT)


def test_after_a_write_no_lane_yields(board: Board) -> None:
    board.numbers[at.LIMIT] = 100
    announce(board, 0, Op("read", 1))
    announce(board, 1, Op("write", 1))
    board.numbers[at.YIELDING] = 0b01
    assert choose(board) == 1
    assert board.numbers[at.YIELDING] == 0


def test_a_lane_whose_channel_has_changed_probes_first(three: Board) -> None:
    three.numbers[at.DIRTY] = 0b10
    assert choose(three) == PROBE_FIRST + 1
    assert three.numbers[at.STEPS] == 0


def test_a_kill_removes_all_lanes_of_a_process(three: Board) -> None:
    three.numbers[at.HOSTS + 2] = 1
    plan(three, killing(1))
    assert choose(three) == killing(1)
    assert three.numbers[at.PRESENT] == three.numbers[at.ENABLED] == 0b001
    assert kind_of(three.numbers[at.LOG]) == KILLED
    assert choose(three) == 0


def test_random_choices_are_spread_over_all(three: Board) -> None:
    three.numbers[at.POLICY] = at.POLICIES.index("random")
    three.numbers[at.RANDOM] = 12345
    seen = []
    for _ in range(90):
        seen.append(choose(three))
        announce(three, seen[-1], Op("write", 1))
    # Of 90 choices among three, each has 30 at an average; less than 12 comes once in 10^5.
    assert min(seen.count(lane) for lane in range(3)) >= 12


def test_the_most_urgent_runs_until_the_change(three: Board) -> None:
    numbers = three.numbers
    numbers[at.POLICY] = at.POLICIES.index("pct")
    for lane, priority in enumerate((1, 3, 2)):
        numbers[at.LANES + lane * at.LANE + at.PRIORITY] = priority
    numbers[at.CHANGES], numbers[at.CHANGES + 1] = 1, 2
    seen = []
    for _ in range(4):
        seen.append(choose(three))
        announce(three, seen[-1], Op("write", 1))
    assert seen == [1, 1, 2, 2]


# The runtime of one lane, alone.


def test_the_fast_path_logs_what_deciding_would_log(board: Board) -> None:
    numbers = board.numbers
    numbers[at.LIMIT], numbers[at.PRESENT], numbers[at.ACTORS] = 100, 1, 1
    runtime = Runtime(board, 0)
    number = runtime.object("x", "x", 1)
    runtime.point("acquire", number, wants=number)
    runtime.set_counter(number, 0)
    board.numbers[at.OWNERS + number] = 0
    runtime.point("write", number, 4, number)  # it is its own
    board.plan[2] = at.DECIDE  # the slow path
    runtime.point("write", number, 4, number)
    first, fast, slow = (
        (
            op_of(numbers[at.LOG + 2 * step], numbers[at.LOG + 2 * step + 1] >> at.WANTED_AT),
            numbers[at.LOG + 2 * step + 1] & 0xFFFFFFFF,
        )
        for step in range(3)
    )
    assert first[0][:3] == ("acquire", number, WHOLE)
    assert fast[0]._replace(place=0) == slow[0]._replace(place=0) == Op("write", number, 4, 0, number)
    assert first[1] == fast[1] == slow[1] == 1


def test_counters_enable_the_lanes_that_wait_for_them(board: Board) -> None:
    numbers = board.numbers
    runtime = Runtime(board, 0)
    number = runtime.object("x", "x", 0)
    announce(board, 1, Op("acquire", number, wants=number), enabled=False)
    numbers[at.WAITING] = 0b10
    runtime.add_to_counter(number, 1)
    assert numbers[at.ENABLED] == 0b10
    runtime.add_to_counter(number, 1)
    runtime.set_counter(number, 0)
    assert numbers[at.ENABLED] == 0
    board.numbers[at.OWNERS + number] = 1
    runtime.add_to_counter(number, 1)
    runtime.add_to_counter(number, -1)
    assert numbers[at.ENABLED] == 0b10  # its owner may go on


@pytest.mark.parametrize(
    ("lanes", "before", "common"),
    [
        ((), (0, 1), 0),
        ((0, 1, 1), (0, 1, 0, 0), 2),
        ((0, 1), (0, 1, 0), 2),
        ((1, 0, 0), (0, 0, 0), 0),
        ((0, 1, 1, 0), (0, 0, 1, 1), 1),
    ],
)
def test_what_two_schedules_have_incommon_prefix(lanes: tuple[int, ...], before: tuple[int, ...], common: int) -> None:
    assert common_prefix(lanes, before) == common
