"""Which loops are taken for ones that only wait: those alone of which that is proven."""

from __future__ import annotations

import array
import collections
import contextvars
import ctypes
import gc
import itertools
import os
import platform
import queue
import random
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bench.explore.runtime import layout as at
from bench.explore.runtime.reachable import OWN
from bench.explore.runtime.spinning import Spinning

pytestmark = pytest.mark.skipif(platform.python_implementation() != "CPython", reason="nothing is proven elsewhere")


class Held(Exception):
    """The loop was taken for one that only waits."""


class Enough(Exception):
    """It was not, in many turns."""


_READS = 60


def _point(spinning: Spinning) -> Callable[[], int]:
    """Return a read of a value that is always 0, as a point of the bench: in a file of its own."""
    source = """
def read():
    counted[0] += 1
    if counted[0] > most:
        raise enough
    if counted[0] > 1 and spinning.waits(sys._getframe(1)):
        raise held
    return 0
"""
    space: dict[str, Any] = {"counted": [0], "most": _READS, "enough": Enough, "held": Held}
    space.update(spinning=spinning, sys=sys)
    exec(compile(source, os.path.join(OWN[0], "points", "pretended.py"), "exec"), space)  # our own text
    read: Callable[[], int] = space["read"]
    return read


def is_held(loop: Callable[[Callable[[], int]], object]) -> bool:
    """Return whether a loop is taken for one that only waits; it may also end by itself, or go on."""
    spinning = Spinning(memoryview(bytearray(8 * at.RESET)).cast("q"))
    gc.disable()  # as in every controlled process: what a collection calls would be taken for a part of the loop
    try:
        loop(_point(spinning))
    except Held:
        return True
    except Enough:
        return False
    finally:
        gc.enable()
        spinning.reset()
        assert sys.gettrace() is None
    return False


Read = Callable[[], int]


# Loops that only wait.


def plainly(read: Read) -> None:
    while not read():
        pass


def by_true(read: Read) -> None:
    while True:
        if read():
            break


def with_variables(read: Read) -> None:
    seen, wanted = 0, 3
    while seen != wanted:
        seen = read()
        other = [seen, wanted]
        if len(other) > 5:
            return


def through_a_function(read: Read) -> None:
    def look() -> bool:
        return bool(read())

    while not look():
        pass


def through_functions(read: Read) -> None:
    while not _looked(read):
        pass


def _looked(read: Read) -> bool:
    return any([_as_bool(read), False])


def _as_bool(read: Read) -> bool:
    return read() > 0


def through_all(read: Read) -> None:
    flags = [read, read]
    while not any(flag() for flag in flags):
        pass


def in_a_list(read: Read) -> None:
    flags = (read, read, read)
    while sum([flag() for flag in flags]) < 2:
        pass


def in_a_for_in_a_while(read: Read) -> None:
    flags = [read, read]
    while True:
        for flag in flags:
            if not flag():
                break
        else:
            break


def in_a_while_in_a_for(read: Read) -> None:
    for _ in range(3):
        while not read():
            pass


def with_a_helper_object(read: Read) -> None:
    helper = Helper(read)
    while not helper.looked():
        pass


class Helper:
    """Keeps what it saw last, which is the same each time; a number that nobody in the loop looks at stays."""

    def __init__(self, read: Read) -> None:
        self.read, self.last, self.count = read, -1, 0

    def looked(self) -> int:
        self.last = self.read()
        return self.last

    @property
    def seen(self) -> int:
        return self.read()

    def counted(self) -> int:
        self.count += 1
        return self.read() or self.count > 20


def with_a_property(read: Read) -> None:
    helper = Helper(read)
    while not helper.seen:
        pass


def with_a_failure(read: Read) -> None:
    while True:
        try:
            if not read():
                raise queue.Empty
        except queue.Empty:
            continue
        return


def with_text(read: Read) -> None:
    while f"{read()}" != "1":
        pass


def through_any_in_a_loop(read: Read) -> None:
    flags = [read, read]
    while True:
        while not any(flag() for flag in flags):
            pass
        if read():
            return


def two_deep(read: Read) -> None:
    while True:
        while read():
            pass
        if read():
            return


@pytest.mark.parametrize(
    "loop",
    [
        plainly,
        by_true,
        with_variables,
        through_a_function,
        through_functions,
        through_all,
        in_a_list,
        in_a_for_in_a_while,
        in_a_while_in_a_for,
        with_a_helper_object,
        with_a_property,
        with_a_failure,
        with_text,
        through_any_in_a_loop,
        two_deep,
    ],
)
def test_a_loop_that_only_waits_is_held_back(loop: Callable[[Read], object]) -> None:
    assert is_held(loop)


# Loops that end by themselves, by a count that is kept somewhere.

LIMIT = 20
TRIES = 0
TRIED: dict[str, int] = {}
HOLDER = types.SimpleNamespace(inner=types.SimpleNamespace(count=0))
CHANCE = random.Random(5)
LOCAL = threading.local()
VARIABLE: contextvars.ContextVar[int] = contextvars.ContextVar("VARIABLE", default=0)
NUMBERS = itertools.count()


def default(counted: list[int] = [0]) -> bool:  # noqa: B006  # what this is about
    counted[0] = (counted[0] + 1) % LIMIT
    return counted[0] > 0


def in_a_default(read: Read) -> None:
    default.__defaults__[0][0] = 0  # type: ignore[index]  # it has one
    while not read() and default():
        pass


def in_a_default_of_a_name(read: Read) -> None:
    def turn(*, counted: list[int] = [0]) -> bool:  # noqa: B006  # what this is about
        counted.append(1)
        return len(counted) < LIMIT

    while not read() and turn():
        pass


def attributed() -> bool:
    attributed.count += 1  # type: ignore[attr-defined]  # what this is about
    return attributed.count < LIMIT  # type: ignore[attr-defined, no-any-return]  # what this is about


def in_an_attribute_of_a_function(read: Read) -> None:
    attributed.count = 0  # type: ignore[attr-defined]  # what this is about
    while not read() and attributed():
        pass


def in_a_global(read: Read) -> None:
    global TRIES  # noqa: PLW0603  # what this is about
    TRIES = 0
    while not read() and TRIES < LIMIT:
        TRIES += 1


def in_a_dictionary(read: Read) -> None:
    TRIED.clear()
    while not read() and TRIED.get("tries", 0) < LIMIT:
        TRIED["tries"] = TRIED.get("tries", 0) + 1


def in_an_object_of_a_global(read: Read) -> None:
    HOLDER.inner.count = 0
    while not read() and HOLDER.inner.count < LIMIT:
        HOLDER.inner.count += 1


def in_an_attribute_of_a_module(read: Read) -> None:
    os.tries = 0  # type: ignore[attr-defined]  # what this is about
    while not read() and os.tries < LIMIT:  # type: ignore[attr-defined]  # what this is about
        os.tries += 1  # type: ignore[attr-defined]  # what this is about
    del os.tries  # type: ignore[attr-defined]  # what this is about


def in_a_closure(read: Read) -> None:
    tries = 0

    def turn() -> bool:
        nonlocal tries
        tries += 1
        return tries < LIMIT

    while not read() and turn():
        pass


def in_the_class(read: Read) -> None:
    class Counter:
        count = 0

        def turn(self) -> bool:
            type(self).count += 1
            return type(self).count < LIMIT

    counter = Counter()
    while not read() and counter.turn():
        pass


def in_an_object(read: Read) -> None:
    helper = Helper(read)
    while not helper.counted():
        pass


class CountsItself(list):  # type: ignore[type-arg]  # what this is about
    def turn(self) -> bool:
        self.append(1)
        return len(self) < LIMIT


def in_a_kind_of_list(read: Read) -> None:
    counter = CountsItself()
    while not read() and counter.turn():
        pass


class Slotted:
    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


def in_a_slot(read: Read) -> None:
    counter = Slotted()
    while not read() and counter.count < LIMIT:
        counter.count += 1


class OddTruth:
    """Counts where no name is used."""

    def __init__(self) -> None:
        self.asked = 0

    def __bool__(self) -> bool:
        self.asked += 1
        return self.asked < LIMIT

    def __eq__(self, other: object) -> bool:
        self.asked += 1
        return self.asked >= LIMIT

    def __hash__(self) -> int:
        return 1

    def __getattr__(self, name: str) -> int:
        self.asked += 1
        return self.asked


def in_truth(read: Read) -> None:
    odd = OddTruth()
    while not read() and odd:
        pass


def in_equality(read: Read) -> None:
    odd = OddTruth()
    while not read() and odd != 3:
        pass


def in_a_missing_attribute(read: Read) -> None:
    odd = OddTruth()
    while not read() and odd.whatever < LIMIT:
        pass


def in_an_iterator(read: Read) -> None:
    numbers = iter(range(LIMIT))
    while not read() and next(numbers, None) is not None:
        pass


def in_itertools(read: Read) -> None:
    numbers = itertools.count()
    while not read() and next(numbers) < LIMIT:
        pass


def in_itertools_of_a_global(read: Read) -> None:
    while not read() and next(NUMBERS) % LIMIT < LIMIT - 1:
        pass


def _generated() -> Iterator[int]:
    yield from range(LIMIT)


def in_a_generator(read: Read) -> None:
    numbers = _generated()
    while not read() and next(numbers, None) is not None:
        pass


def in_a_for_loop_around(read: Read) -> None:
    for _ in "aaaaaaaaaaaaaaaaaaaa":
        while not read():
            if LIMIT:
                break


def in_a_for_loop_alone(read: Read) -> None:
    for _ in range(LIMIT):
        if read():
            break


def in_a_caller(read: Read) -> None:
    for _ in range(LIMIT):
        _looked(read)


def by_chance_of_the_module(read: Read) -> None:
    while not read() and random.random() < 0.9:
        pass


def by_chance(read: Read) -> None:
    while not read() and CHANCE.random() < 0.9:
        pass


def by_chance_of_a_method(read: Read) -> None:
    draw = random.Random(5).random
    while not read() and draw() < 0.9:
        pass


def by_chance_of_the_system(read: Read) -> None:
    while not read() and os.urandom(1) > b"\x0f":
        pass


def in_c(read: Read) -> None:
    count = ctypes.c_int(0)
    while not read() and count.value < LIMIT:
        count.value += 1


def in_a_buffer(read: Read) -> None:
    count = bytearray(1)
    while not read() and count[0] < LIMIT:
        count[0] += 1


def in_an_array(read: Read) -> None:
    count = array.array("i", [0])
    while not read() and count[0] < LIMIT:
        count[0] += 1


def in_a_deque(read: Read) -> None:
    count: collections.deque[int] = collections.deque()
    while not read() and len(count) < LIMIT:
        count.append(1)


def in_a_thread(read: Read) -> None:
    LOCAL.count = 0
    while not read() and LOCAL.count < LIMIT:
        LOCAL.count += 1


def in_a_context(read: Read) -> None:
    VARIABLE.set(0)
    while not read() and VARIABLE.get() < LIMIT:
        VARIABLE.set(VARIABLE.get() + 1)


def by_a_name_that_is_made(read: Read) -> None:
    holder = types.SimpleNamespace(count=0)
    while not read() and getattr(holder, "cou" + "nt") < LIMIT:
        setattr(holder, "cou" + "nt", holder.__dict__["count"] + 1)


def in_evaluated_code(read: Read) -> None:
    space = {"count": 0}
    while not read() and eval("count < 20", space):  # what this is about
        exec("count += 1", space)  # what this is about


def in_a_file(read: Read) -> None:
    with open("/dev/zero", "rb", buffering=0) as file:
        while not read() and file.read(1) and file.tell() < LIMIT:
            pass


def in_a_descriptor_of_a_class(read: Read) -> None:
    class Counts:
        asked = 0

        def __get__(self, one: object, kind: object) -> bool:
            self.asked += 1
            return self.asked < LIMIT

    class Owner:
        more = Counts()

    owner = Owner()
    while not read() and owner.more:
        pass


def in_a_long_list(read: Read) -> None:
    many = [0] * 500
    while not read() and sum(many) < LIMIT:
        many[400] += 1


BOUNDED = [
    in_a_default,
    in_a_default_of_a_name,
    in_an_attribute_of_a_function,
    in_a_global,
    in_a_dictionary,
    in_an_object_of_a_global,
    in_an_attribute_of_a_module,
    in_a_closure,
    in_the_class,
    in_an_object,
    in_a_kind_of_list,
    in_a_slot,
    in_truth,
    in_equality,
    in_a_missing_attribute,
    in_an_iterator,
    in_itertools,
    in_itertools_of_a_global,
    in_a_generator,
    in_a_for_loop_around,
    in_a_for_loop_alone,
    in_a_caller,
    by_chance_of_the_module,
    by_chance,
    by_chance_of_a_method,
    by_chance_of_the_system,
    in_c,
    in_a_buffer,
    in_an_array,
    in_a_deque,
    in_a_thread,
    in_a_context,
    by_a_name_that_is_made,
    in_evaluated_code,
    in_a_file,
    in_a_descriptor_of_a_class,
    in_a_long_list,
]


@pytest.mark.parametrize("loop", BOUNDED)
def test_a_loop_that_counts_wherever_it_does_is_not(loop: Callable[[Read], object]) -> None:
    assert not is_held(loop)


def test_where_somebody_else_traces_nothing_is_known() -> None:
    spinning = Spinning(memoryview(bytearray(8 * at.RESET)).cast("q"))
    read, mine = _point(spinning), lambda *_: None
    sys.settrace(mine)
    try:
        with pytest.raises(Enough):
            plainly(read)
        assert sys.gettrace() is mine
    finally:
        sys.settrace(None)


def test_once_anything_has_changed_it_is_to_be_proven_anew() -> None:
    numbers = memoryview(bytearray(8 * at.RESET)).cast("q")
    spinning = Spinning(numbers)
    gc.disable()
    with pytest.raises(Held):
        plainly(_point(spinning))
    gc.enable()
    frame = sys._getframe()
    assert spinning.waits(frame)
    numbers[at.CHANGED] += 1
    assert not spinning.waits(frame)
