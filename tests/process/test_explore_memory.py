"""Shared memory under exploration: which outcomes there are, where an access takes several steps."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import pytest

from bench.explore.observe import observe
from bench.observation import Observation
from bench.outcomes import METHODS
from bench.targets import find
from tests.fixtures.auditing import audited
from tests.fixtures.figures import figures_of as figures

pytestmark = [
    pytest.mark.pinned,
    pytest.mark.skipif(sys.platform != "linux", reason="shared memory is looked at as Linux has it"),
]

each_method = pytest.mark.parametrize("method", METHODS)


def explored(name: str, method: str = "fork", strategy: str = "dfs", **bounds: Any) -> Observation:
    (found,) = find([f"tests.process.remembered:{name}"])
    return observe(found, method=method, strategy=strategy, **{"seconds": 60, **audited(method), **bounds})


def counts(observation: Observation) -> Counter[Any]:
    """Count the values, of an exploration that saw all it wanted to."""
    assert not observation.limits
    assert figures(observation)["complete"]
    found: Counter[Any] = Counter()
    for one in observation.outcomes:
        value = one.outcome.value if one.outcome.kind == "value" else one.outcome.kind
        found[tuple(value) if isinstance(value, list) else value] += one.count
    return found


# The lock of a value


@each_method
@pytest.mark.parametrize("name", ["Tried", "TriedForAMoment"])
def test_a_try_finds_the_lock_of_a_value_taken_while_another_lane_writes(name: str, method: str) -> None:
    # acquire, write, release; try, note: fails between acquire and release. Or try, note, release; before or after.
    assert counts(explored(name, method)) == {0: 5, 1: 2}
    assert set(counts(explored(name, method, "dpor"))) == {0, 1}


def test_who_waits_long_for_the_lock_of_a_value_gets_it_and_the_access_is_one_step() -> None:
    assert counts(explored("WaitedForLong")) == {1: 2}  # the write comes before acquire, note, release; or after them


def test_the_text_of_a_lock_says_whether_it_is_taken() -> None:
    assert counts(explored("Shown")) == {0: 5, 1: 5}  # acquire, write, release; look, note


def test_a_lock_that_is_not_held_can_be_released_in_the_middle_of_an_access() -> None:
    # The writer raises where its lock is free; neither does where both look at the lock before they add to it.
    assert set(counts(explored("Released"))) == {1, "raised", -1}


def test_a_kill_in_the_middle_of_an_access_leaves_the_lock_taken() -> None:
    assert counts(explored("WrittenByTwo")) == {1: 1, 2: 1}
    assert "deadlock" in counts(explored("WrittenByTwo", kills=1))


# Barriers


@each_method
def test_how_many_wait_for_a_barrier_is_seen_at_each_time(method: str) -> None:
    assert set(counts(explored("Waiting", method, "dpor"))) == {0, 1}


@each_method
def test_a_barrier_is_seen_to_be_broken_or_not_yet(method: str) -> None:
    # acquire, write, release; look, note
    every = counts(explored("Broken", method))
    assert every == {0: 4 + 3, 1: 2 + 1}


# Slices, and whole arrays


def torn(observation: Observation) -> bool:
    """Whether memory was moved while another lane used it, and that is named with the line."""
    found = [limit for limit in observation.limits if "moved piece by piece" in limit]
    assert all("tests/process/remembered.py:" in limit for limit in found)
    return bool(found)


@each_method
def test_a_slice_is_read_item_by_item(method: str) -> None:
    # write, write; read, read, note, note. How many steps of the reader come before each write says what it reads.
    wanted = Counter((int(one < 1), int(other < 2)) for one in range(5) for other in range(one, 5))
    every = counts(explored("Sliced", method))
    assert every == wanted
    assert set(counts(explored("Sliced", method, "dpor"))) == set(every)


def test_a_slice_is_written_item_by_item() -> None:
    assert set(counts(explored("SliceWritten", strategy="dpor"))) == {(0, 0), (1, 0), (1, 1)}


@pytest.mark.parametrize("name", ["SlicedLong", "Named", "Copied", "StructureReplaced", "PartOfUnion"])
@pytest.mark.parametrize("strategy", ["dfs", "dpor"])
def test_what_is_moved_while_another_lane_uses_it_is_named(name: str, strategy: str) -> None:
    assert torn(explored(name, "fork", strategy))


@each_method
def test_what_is_moved_in_turn_is_as_good_as_one_step(method: str) -> None:
    assert set(counts(explored("SlicedLongInTurn", method, "dpor"))) == {(0, 0), (1, 1)}


@each_method
def test_a_slice_under_the_lock_of_its_array_is_one_step(method: str) -> None:
    assert counts(explored("SlicedUnderItsLock", method)) == {(0, 0): 3, (1, 1): 1}  # write; read, and two more


@each_method
def test_who_writes_past_the_lock_of_an_array_tears_slices(method: str) -> None:
    assert set(counts(explored("SlicedPastItsLock", method, "dpor"))) == {(0, 0), (0, 1), (1, 0), (1, 1)}


# Structures


@each_method
def test_a_bit_field_is_written_with_its_neighbours(method: str) -> None:
    assert counts(explored("Bits", method)) == {(1, 1): 2, (1, 0): 2, (0, 1): 2}  # read, write; read, write


@each_method
def test_a_part_of_a_value_is_reached_past_its_lock(method: str) -> None:
    assert set(counts(explored("PartOfValue", method, "dpor"))) == {1, 2}


def test_the_text_of_a_value_and_its_truth_are_reads() -> None:
    assert counts(explored("ShownAndAsked")) == {0: 2, 1: 1, 3: 1}  # write; read, read, note


# Buffers


def kept(observation: Observation) -> bool:
    """Whether memory is kept by its address, and that is named with the line."""
    found = [limit for limit in observation.limits if "by its address or a buffer" in limit]
    assert all("tests/process/remembered.py:" in limit for limit in found)
    return bool(found)


cpython_only = pytest.mark.skipif(sys.implementation.name != "cpython", reason="requests for buffers are not seen")


@each_method
@cpython_only
def test_bytes_of_an_array_are_read_when_they_are_asked_for(method: str) -> None:
    found = explored("BytesTaken", method, "dpor")
    assert {one.outcome.value for one in found.outcomes} == {0, 1, 11}
    assert torn(found)  # between the two steps of a move


@each_method
@cpython_only
def test_bytes_that_are_taken_in_turn_are_known(method: str) -> None:
    assert set(counts(explored("BytesTakenInTurn", method, "dpor"))) == {0, 1}


@cpython_only
@pytest.mark.parametrize("name", ["ViewKept", "ViewOfState", "AddressOfState"])
def test_who_keeps_a_buffer_is_named(name: str) -> None:
    assert kept(explored(name))


@each_method
@cpython_only
def test_buffers_that_nobody_keeps_are_no_matter(method: str) -> None:
    assert set(counts(explored("TakenOnlyAtFirst", method, "dpor"))) == {7}


# Segments


@each_method
@cpython_only
def test_the_buffer_of_a_segment_is_like_a_memoryview(method: str) -> None:
    assert set(counts(explored("LikeAMemoryview", method, "dpor"))) == {0}


@cpython_only
@pytest.mark.parametrize(
    ("name", "wanted"), [("NumbersOfSegment", {4, 5}), ("PackedInTurn", {5}), ("PackedBeside", {7})]
)
def test_numbers_of_a_segment_are_read_and_written(name: str, wanted: set[int]) -> None:
    assert set(counts(explored(name, strategy="dpor"))) == wanted


@cpython_only
def test_what_struct_does_while_another_lane_does_it_too_is_named() -> None:
    assert torn(explored("Packed", strategy="dpor"))


@cpython_only
def test_a_part_of_a_segment_in_the_state_has_points() -> None:
    assert set(counts(explored("ViewOfSegment", strategy="dpor"))) == {3, 1}


@cpython_only
def test_a_segment_that_is_read_in_another_step_is_named() -> None:
    assert kept(explored("WrittenOut", strategy="dpor"))


# Lists


@each_method
def test_an_item_that_changes_its_type_is_seen_in_between(method: str) -> None:
    found = explored("OfAnotherType", method, "dpor")
    assert not found.limits
    causes = {str(one.outcome.detail.get("exception", one.outcome.detail)) for one in found.outcomes}
    assert any("not enough values" in cause for cause in causes)  # its format is zero
    assert any("5e-324" in cause for cause in causes)  # the new format, the old bytes


def test_an_item_is_zero_before_it_is_written() -> None:
    assert set(counts(explored("ListedAtOnce"))) == {1, 0, 2, 9}


@each_method
def test_items_that_are_changed_in_turn_are_right(method: str) -> None:
    assert set(counts(explored("ListedInTurn", method, "dpor"))) == {"3"}


def test_a_text_is_moved_while_another_lane_reads_it() -> None:
    assert torn(explored("TextListed", strategy="dpor"))
