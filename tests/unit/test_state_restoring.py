"""States put back: what can be shown, what cannot, and what is found left in them."""

from __future__ import annotations

import multiprocessing
import pathlib
import sys
import threading
from collections.abc import Callable
from typing import Any, ClassVar, cast

import pytest

from bench.state.restoring import Globals, Restorer, Unshown, Watch, joined, survey

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


def test_everything_that_is_shared_is_put_back() -> None:
    states = [Shared(MP), Shared(MP)]
    restorer = Restorer(states)
    for one in states:
        one.value.value, one.raw.value, one.array[1] = 6, 1.5, 9
        one.semaphore.acquire()
        one.event.set()
        one.lock.acquire()
        one.lock.release()
    assert restorer.look() == {}
    assert restorer.restore() == set()
    for one in states:
        assert (one.value.value, one.raw.value, one.array[:]) == (5, 0.5, [1, 2, 3])
        assert one.semaphore.get_value() == 2
        assert not one.event.is_set()


def test_a_lock_left_held_is_found_and_released() -> None:
    states = [State(lock=MP.Lock(), forks=[MP.Lock(), MP.Lock()]) for _ in range(2)]
    restorer = Restorer(states)
    vars(states[1])["forks"][1].acquire()
    found = restorer.look()
    assert {index: (left.locks, left.spoiled) for index, left in found.items()} == {1: (["forks[1]"], False)}
    assert restorer.restore() == set()
    assert restorer.look() == {}


def test_a_recursive_lock_left_held_spoils_its_state() -> None:
    states = [State(value=MP.Value("i", 0)) for _ in range(2)]
    restorer = Restorer(states)
    vars(states[0])["value"].get_lock().acquire()
    (left,) = restorer.look().values()
    assert (left.locks, left.spoiled) == (["the lock of value"], True)
    assert restorer.restore(without={0}) == {0}


@pytest.mark.parametrize("kind", ["SimpleQueue", "Queue", "JoinableQueue"])
def test_an_item_left_in_a_queue_spoils_its_state(kind: str) -> None:
    states = [State(queue=getattr(MP, kind)()) for _ in range(2)]
    restorer = Restorer(states)
    queue = vars(states[1])["queue"]
    queue.put(1)
    found = restorer.look()
    assert {index: (left.items, left.spoiled) for index, left in found.items()} == {1: (["queue"], True)}
    assert queue.get() == 1
    if kind == "JoinableQueue":
        queue.task_done()
    assert restorer.look() == {}


def test_an_item_left_in_a_pipe_is_found() -> None:
    here, there = MP.Pipe()
    restorer = Restorer([State(here=here, there=there)])
    here.send(1)
    assert restorer.look()[0].items == ["there"]


def test_a_segment_that_is_gone_spoils_its_state() -> None:
    from multiprocessing.shared_memory import SharedMemory

    segment = SharedMemory(create=True, size=16)
    restorer = Restorer([State(segment=segment)])
    segment.buf[0] = 7  # type: ignore[index,unused-ignore]  # None once closed, which it is not
    assert restorer.look() == {}
    restorer.restore()
    assert segment.buf[0] == 0  # type: ignore[index,unused-ignore]  # None once closed, which it is not
    segment.unlink()
    assert restorer.look()[0].spoiled


@pytest.mark.parametrize(
    ("name", "attribute"),
    [
        ("path", "/tmp/somewhere"),
        ("path", pathlib.Path("here")),
        ("file", sys.stderr),
        ("lock", threading.Lock()),
        ("inner", State(path="a/b")),
        ("many", [1, ["/etc"]]),
    ],
)
def test_what_else_there_is_cannot_be_shown(name: str, attribute: object) -> None:
    with pytest.raises(Unshown, match=name):
        survey(State(**{name: attribute}))


def test_a_state_that_begins_with_a_lock_held_or_an_item_cannot_be_shown() -> None:
    lock, queue = MP.Lock(), MP.SimpleQueue()
    lock.acquire()
    queue.put(1)
    for state in (State(lock=lock), State(queue=queue)):
        with pytest.raises(Unshown, match="from the start"):
            Restorer([state])


def test_pieces_of_memory_that_follow_each_other_are_joined() -> None:
    assert joined([(64, 4), (72, 8), (80, 1), (100, 4), (64, 4)]) == [(64, 17), (100, 4)]
    assert joined([]) == []


def test_attributes_that_are_set_and_containers_that_change_are_taken_back() -> None:
    class Mine(State):
        pass

    state: Any = Mine(seen=False, items=[1], names={"a": 1})
    watch = Watch([state])
    state.seen = True
    state.new = 1
    del state.seen
    state.items.append(2)
    state.names["b"] = 2
    watch.undo()
    assert vars(state) == {"seen": False, "items": [1], "names": {"a": 1}}


COUNT, SEEN = 0, [0]


class Keeps(State):
    kept = 0
    names: ClassVar[dict[str, int]] = {}


@pytest.mark.parametrize(
    ("keep", "name"),
    [
        (lambda: globals().update(COUNT=1), "tests.unit.test_state_restoring.COUNT"),
        (lambda: globals().setdefault("NEW", 1), "tests.unit.test_state_restoring.NEW"),
        (lambda: SEEN.append(1), "tests.unit.test_state_restoring.SEEN"),
        (lambda: setattr(Keeps, "kept", 7), "Keeps.kept"),
        (lambda: setattr(Keeps, "new", 7), "Keeps.new"),
        (lambda: setattr(State, "new", 7), "State.new"),
        (lambda: Keeps.names.update(a=1), "Keeps.names"),
    ],
)
def test_what_is_kept_in_globals_and_classes_is_named_once(keep: Callable[[], object], name: str) -> None:
    state: Any = Keeps(value=MP.Value("i", 5))
    watch = Watch([state])
    state.seen = 1
    assert watch.undo() == ""
    keep()
    assert (watch.undo(), watch.undo()) == (name, "")
    globals().update(COUNT=0)  # as it was, for the next ones
    globals().pop("NEW", None)
    Keeps.kept = 0
    for kind in (Keeps, State):
        if "new" in vars(kind):
            delattr(kind, "new")
    SEEN[:] = [0]
    Keeps.names.clear()


def test_what_python_sets_of_itself_is_not_looked_at() -> None:
    seen = Globals(Keeps)
    globals()["__warningregistry__"] = {}
    assert seen.changed() == ""


class Undecided:
    """Equal to nothing, and to ask raises, as arrays do."""

    __hash__ = None  # type: ignore[assignment]  # as lists have it

    def __eq__(self, other: object) -> bool:
        raise ValueError("which of them?")


def test_what_cannot_be_compared_has_changed_if_it_is_another() -> None:
    SEEN[:] = cast(list[int], [Undecided()])
    try:
        seen = Globals(Keeps)
        assert seen.changed() == ""
        SEEN[:] = cast(list[int], [Undecided()])
        assert seen.changed() == "tests.unit.test_state_restoring.SEEN"
        assert seen.changed() == ""
    finally:
        SEEN[:] = [0]
