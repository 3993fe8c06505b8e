"""What samples change in one process: set back where it is the state's, else named."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable
from typing import Any, ClassVar, cast

import pytest

from bench.state.watching import Globals, Watch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="semaphores have values to look at on Linux")

MP = multiprocessing.get_context("spawn")


class State:
    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


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
        (lambda: globals().update(COUNT=1), "tests.unit.test_state_watching.COUNT"),
        (lambda: globals().setdefault("NEW", 1), "tests.unit.test_state_watching.NEW"),
        (lambda: SEEN.append(1), "tests.unit.test_state_watching.SEEN"),
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
        assert seen.changed() == "tests.unit.test_state_watching.SEEN"
        assert seen.changed() == ""
    finally:
        SEEN[:] = [0]
