"""Each primitive under exploration: how many interleavings it has, and which outcomes, under every start method."""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Sequence
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
    pytest.mark.skipif(sys.platform != "linux", reason="pipes and processes are looked at as Linux has them"),
]


def explored(name: str, method: str, strategy: str = "dfs", **bounds: Any) -> Observation:
    (found,) = find([f"tests.process.pointed:{name}"])
    return observe(found, method=method, strategy=strategy, **{"seconds": 60, **audited(method), **bounds})


def values(observation: Observation) -> Counter[Any]:
    """Count the values, of an exploration that saw all it wanted to and nothing else."""
    assert not observation.limits
    assert figures(observation)["complete"]
    others = [one.outcome for one in observation.outcomes if one.outcome.kind != "value"]
    assert not others
    return Counter({_plain(one.outcome.value): one.count for one in observation.outcomes})


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def seen(observation: Observation) -> set[str]:
    """Give the kinds of steps in the witnesses."""
    witnesses: list[Any] = [one.witness for one in observation.outcomes]
    return {step[1] for witness in witnesses for step in witness["steps"]}


def orders(*lanes: str, after: Sequence[tuple[str, str]] = ()) -> list[str]:
    """Give the interleavings of lanes, whose steps are letters, with `b` after `a` for each `(a, b)` of `after`."""
    found = {""}
    for lane in lanes:
        found = {merged for one in found for merged in _merged(one, lane)}
    return sorted(one for one in found if all(one.index(a) < one.index(b) for a, b in after))


def _merged(one: str, other: str) -> set[str]:
    size = len(one) + len(other)
    merged = set()
    for places in itertools.combinations(range(size), len(other)):
        letters, rest = iter(other), iter(one)
        merged.add("".join(next(letters) if place in places else next(rest) for place in range(size)))
    return merged


def test_the_oracle_counts() -> None:
    assert len(orders("ab", "cd")) == 6
    assert len(orders("ab", "cd", "ef")) == 90
    assert orders("ab", "cd", after=[("b", "c")]) == ["abcd"]


each_method = pytest.mark.parametrize("method", METHODS)


# Pipes


@each_method
def test_a_poll_sees_what_was_sent_before(method: str) -> None:
    found = explored("Polled", method)
    assert values(found) == {1: 1, 0: 2}  # send poll write; poll send write, poll write send


@each_method
def test_the_two_ways_of_a_pipe_do_not_meet(method: str) -> None:
    # send, receive the length, receive the rest, write down; what is received was sent before
    every = orders("abcd", "ABCD", after=[("a", "B"), ("A", "b")])
    assert values(explored("BothWays", method)) == {(2, 1, 0): len(every)}
    assert values(explored("BothWays", method, "dpor")) == {(2, 1, 0): 1}


def test_two_readers_of_one_end_mix_up_messages() -> None:
    found = explored("TwoReceivers", "fork", "dpor")
    assert figures(found)["complete"]
    assert {one.outcome.kind for one in found.outcomes} == {"value", "deadlock"}


@each_method
def test_a_message_larger_than_the_pipe_goes_in_pieces(method: str) -> None:
    assert set(values(explored("Large", method, "dpor"))) == {(200_000, 0, 0)}


def test_a_message_that_nobody_receives_is_a_deadlock() -> None:
    found = explored("Unread", "fork")
    assert [one.outcome.kind for one in found.outcomes] == ["deadlock"]
    assert "send waits for sender" in str(found.outcomes[0].outcome.detail["cycle"])


@each_method
def test_a_wait_for_two_pipes_ends_by_the_first(method: str) -> None:
    # the wait comes after either send, or both; then a write
    every = orders("wx", "a", "b")
    wanted = Counter(
        sum(bit for bit, sent in ((1, "a"), (2, "b")) if sent in order.partition("w")[0]) for order in every
    )
    del wanted[0]
    assert values(explored("WaitedFor", method)) == wanted


@each_method
def test_what_an_actor_closed_is_there_again(method: str) -> None:
    # send, close; receive the length, receive the rest, write
    found = explored("Closed", method)
    assert values(found) == {(5, 0, 0): len(orders("sc", "hrw", after=[("s", "h")]))}
    assert figures(found)["why_rebuilt"] == "an actor closed what the state has open"
    assert "close" in seen(found)


def test_descriptors_are_pipes_too() -> None:
    assert values(explored("Descriptors", "fork")) == {(2, 0, 0): 1}


# Queues


@each_method
def test_a_simple_queue_is_a_pipe_with_locks(method: str) -> None:
    every = orders("asr", "ARIw", after=[("s", "R")])
    assert values(explored("Simple", method)) == {(7, 0, 0): len(every)}


@each_method
def test_a_queue_is_fed_after_it_was_put_into(method: str) -> None:
    # count, put; feed, by a lane of its own; poll, write, acquire, receive, release, count, write
    every = orders("kpf", "ewarlcx", after=[("f", "r")])
    lies = sum(order.index("e") < order.index("f") for order in every)
    assert values(explored("Fed", method)) == {(1, 7, 0): lies, (0, 7, 0): len(every) - lies}


@each_method
def test_who_has_put_may_find_the_queue_empty(method: str) -> None:
    # count, put, poll, write, look, write; feed; one step of another
    every = orders("kpewqx", "f", "o", after=[("p", "f")])
    lies = sum(order.index("e") < order.index("f") for order in every)
    assert values(explored("Lying", method)) == {(1, 1): lies, (0, 1): len(every) - lies}


@each_method
def test_large_items_keep_each_other_waiting(method: str) -> None:
    found = explored("LargeItems", method, "dpor")
    assert set(values(found)) == {(100_000, 70_000, 0), (70_000, 100_000, 0)}


def test_a_large_item_that_nobody_gets_is_a_deadlock() -> None:
    found = explored("LargeUnread", "fork")
    assert [one.outcome.kind for one in found.outcomes] == ["deadlock"]
    assert "queue fed by put waits for queue" in str(found.outcomes[0].outcome.detail["cycle"])


@each_method
def test_a_queue_of_one_place_takes_turns(method: str) -> None:
    assert set(values(explored("Bounded", method, "dpor"))) == {(3, 4, 0)}


@each_method
def test_timeouts_of_queues_pass_in_virtual_time(method: str) -> None:
    found = explored("Patient", method, "dpor")
    assert set(values(found)) == {(3600, 1, 1)}


@each_method
def test_a_joinable_queue_is_joined_when_all_is_done(method: str) -> None:
    assert set(values(explored("Joined", method, "dpor"))) == {(7, 7, 0)}


@each_method
def test_who_closes_a_queue_can_wait_until_it_is_fed(method: str) -> None:
    # count, put, join, write; feed, feed the end; one step of another
    every = orders("kpjw", "fe", "o", after=[("p", "f"), ("e", "j")])
    assert values(explored("ClosedThere", method)) == {(1, 1, 0): len(every)}


@each_method
def test_who_asks_again_and_again_lets_others_go_on(method: str) -> None:
    found = explored("Busy", method, schedules=200)
    assert {_plain(one.outcome.value) for one in found.outcomes} == {(5, 6, 0)}


# Time


@each_method
def test_sleeps_and_clocks_are_virtual(method: str) -> None:
    assert values(explored("Timed", method, "dpor")) == {(3, 3, 1): 1}


# Files


@each_method
def test_a_file_is_seen_missing_empty_and_whole(method: str) -> None:
    # Opened before it is made: open, write. Else: open, read, write; the text is there if it was flushed by the read.
    missing = len(orders("of", "lw", after=[("l", "o")]))
    there = orders("of", "lrw", after=[("o", "l")])
    whole = sum(order.index("f") < order.index("r") for order in there)
    assert values(explored("Written", method)) == {(0, 1, 0): missing, (5, 0, 0): whole, (1, 0, 0): len(there) - whole}


@each_method
def test_a_file_that_is_moved_is_whole(method: str) -> None:
    found = explored("Replaced", method, "dpor")
    assert set(values(found)) == {(0, 0, 0), (5, 0, 0)}


@each_method
def test_names_come_one_after_the_other(method: str) -> None:
    assert values(explored("Listed", method)) == {(0, 0, 0): 3, (1, 0, 0): 2, (2, 0, 0): 1}  # list; write


@each_method
@pytest.mark.parametrize("name", ["Flocked", "Lockfed"])
def test_locks_on_files_exclude(name: str, method: str) -> None:
    # open, lock, read, write; the end unlocks, so that the other one's open alone can come in between
    every = len(orders("olrw", "O"))
    assert values(explored(name, method)) == {(2, 0, 0): 2 * every}


# Processes


@each_method
def test_a_child_is_a_lane(method: str) -> None:
    # start, begin, write, exit, join, write: one after the other; and one step of another
    assert values(explored("Started", method)) == {(1, 5, 1): 7}


@each_method
def test_an_exit_code_is_seen_when_the_child_has_ended(method: str) -> None:
    assert set(values(explored("Failed", method, "dpor"))) == {(3, 0, 1)}


@each_method
def test_a_child_that_waits_can_be_ended(method: str) -> None:
    assert set(values(explored("Terminated", method, "dpor"))) == {(1, 0, 1)}


@each_method
def test_the_end_of_a_child_ends_the_file(method: str) -> None:
    assert set(values(explored("Ended", method, "dpor"))) == {(8, 2, 1)}


@each_method
def test_a_child_ends_when_its_queue_is_fed(method: str) -> None:
    assert set(values(explored("Putter", method, "dpor"))) == {(6, 100_000, 1)}


def test_a_child_that_cannot_feed_does_not_end() -> None:
    found = explored("JoinedFirst", "fork", "dpor")
    assert {one.outcome.kind for one in found.outcomes} == {"deadlock"}


# Shared segments


@each_method
def test_bytes_of_a_shared_segment_are_read_and_written(method: str) -> None:
    assert values(explored("SharedBytes", method)) == {1: 4, 2: 2}


# What cannot be controlled


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("WithThread", "a thread"),
        ("WithProgram", "another program"),
        ("WithSocket", "a socket"),
        ("WithPool", "a Pool"),
        ("WithExecutor", "a pool of processes"),
        ("WithManager", "a manager"),
    ],
)
def test_what_cannot_be_controlled_is_named(name: str, what: str) -> None:
    found = explored(name, "fork", schedules=3)
    (limit,) = [limit for limit in found.limits if limit.startswith(f"not controlled: {what}")]
    assert ", tests/process/pointed.py:" in limit
    assert {one.outcome.kind for one in found.outcomes} == {"value"}
