"""States restored: what is set back, and what is found left in them."""

from __future__ import annotations

import multiprocessing
import sys
from typing import Any

import pytest

from bench.state.restoring import Restorer, merged
from bench.state.survey import Unrestorable

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="semaphores have values to look at on Linux")

MP = multiprocessing.get_context("spawn")


class State:
    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


class Shared:
    """A state of everything that can be shown."""

    def __init__(self, mp: Any) -> None:
        self.mp = mp
        self.number, self.text, self.pair, self.nothing = 1, "plain", (1, "two"), None
        self.value, self.raw, self.array = mp.Value("i", 5), mp.RawValue("d", 0.5), mp.Array("i", [1, 2, 3])
        self.lock, self.recursive, self.semaphore = mp.Lock(), mp.RLock(), mp.Semaphore(2)
        self.event, self.condition, self.barrier = mp.Event(), mp.Condition(), mp.Barrier(2)
        self.forks = [mp.Lock() for _ in range(3)]
        self.names = {"a": mp.Lock()}
        self.simple, self.queue, self.joinable = mp.SimpleQueue(), mp.Queue(), mp.JoinableQueue(4)
        self.here, self.there = mp.Pipe()


def test_everything_that_is_shared_is_restored() -> None:
    states = [Shared(MP), Shared(MP)]
    restorer = Restorer(states)
    for one in states:
        one.value.value, one.raw.value, one.array[1] = 6, 1.5, 9
        one.semaphore.acquire()
        one.event.set()
        one.lock.acquire()
        one.lock.release()
    assert restorer.inspect() == {}
    assert restorer.restore() == set()
    for one in states:
        assert (one.value.value, one.raw.value, one.array[:]) == (5, 0.5, [1, 2, 3])
        assert one.semaphore.get_value() == 2
        assert not one.event.is_set()


def test_a_lock_left_held_is_found_and_released() -> None:
    states = [State(lock=MP.Lock(), forks=[MP.Lock(), MP.Lock()]) for _ in range(2)]
    restorer = Restorer(states)
    vars(states[1])["forks"][1].acquire()
    found = restorer.inspect()
    assert {index: (left.locks, left.spoiled) for index, left in found.items()} == {1: (["forks[1]"], False)}
    assert restorer.restore() == set()
    assert restorer.inspect() == {}


def test_a_recursive_lock_left_held_spoils_its_state() -> None:
    states = [State(value=MP.Value("i", 0)) for _ in range(2)]
    restorer = Restorer(states)
    vars(states[0])["value"].get_lock().acquire()
    (left,) = restorer.inspect().values()
    assert (left.locks, left.spoiled) == (["the lock of value"], True)
    assert restorer.restore(without={0}) == {0}


@pytest.mark.parametrize("kind", ["SimpleQueue", "Queue", "JoinableQueue"])
def test_an_item_left_in_a_queue_spoils_its_state(kind: str) -> None:
    states = [State(queue=getattr(MP, kind)()) for _ in range(2)]
    restorer = Restorer(states)
    queue = vars(states[1])["queue"]
    queue.put(1)
    found = restorer.inspect()
    assert {index: (left.items, left.spoiled) for index, left in found.items()} == {1: (["queue"], True)}
    assert queue.get() == 1
    if kind == "JoinableQueue":
        queue.task_done()
    assert restorer.inspect() == {}


def test_an_item_left_in_a_pipe_is_found() -> None:
    here, there = MP.Pipe()
    restorer = Restorer([State(here=here, there=there)])
    here.send(1)
    assert restorer.inspect()[0].items == ["there"]


def test_a_segment_that_is_gone_spoils_its_state() -> None:
    from multiprocessing.shared_memory import SharedMemory

    segment = SharedMemory(create=True, size=16)
    restorer = Restorer([State(segment=segment)])
    segment.buf[0] = 7  # type: ignore[index,unused-ignore]  # None once closed, which it is not
    assert restorer.inspect() == {}
    restorer.restore()
    assert segment.buf[0] == 0  # type: ignore[index,unused-ignore]  # None once closed, which it is not
    segment.unlink()
    assert restorer.inspect()[0].spoiled


def test_a_state_that_begins_with_a_lock_held_or_an_item_is_unrestorable() -> None:
    lock, queue = MP.Lock(), MP.SimpleQueue()
    lock.acquire()
    queue.put(1)
    for state in (State(lock=lock), State(queue=queue)):
        with pytest.raises(Unrestorable, match="from the start"):
            Restorer([state])


def test_pieces_of_memory_that_follow_each_other_are_merged() -> None:
    assert merged([(64, 4), (72, 8), (80, 1), (100, 4), (64, 4)]) == [(64, 17), (100, 4)]
    assert merged([]) == []
