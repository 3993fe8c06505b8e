from __future__ import annotations

import json
import math
import sys
import threading
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.values import CannotTell, Opaque, canonical, decode, encode, identity, same

literals = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.binary()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(literals)
def test_what_is_encoded_is_json_and_comes_back_equal(value: object) -> None:
    recorded = json.loads(json.dumps(encode(value), allow_nan=False))
    assert decode(recorded) == value
    assert same(recorded, value)


@pytest.mark.parametrize("value", [{"repr": "x"}, {"repr": {"repr": "1"}}, [{"repr": "()"}]])
def test_an_object_that_looks_like_the_mark_is_not_taken_for_it(value: object) -> None:
    assert decode(encode(value)) == value


class Thing:
    """Shows less than it holds."""

    def __init__(self, held: object = None) -> None:
        self.held = held

    def __repr__(self) -> str:
        return "<thing 7>"


def test_a_value_without_a_literal_is_recorded_as_its_repr_and_known_by_its_content() -> None:
    recorded = encode(Thing(1))
    assert isinstance(recorded, dict)
    assert recorded["repr"] == repr(decode(recorded)) == "<thing 7>"
    assert same(recorded, Thing(1))
    assert not same(recorded, 7)
    with pytest.raises(CannotTell, match="<thing 7> cannot be told apart"):
        same(recorded, Thing(2))
    with pytest.raises(CannotTell):
        same(encode([Thing(1), 1]), [Thing(2), 1])


def test_a_value_that_cannot_be_taken_apart_is_never_taken_for_another() -> None:
    thing = Thing(threading.Lock())
    assert encode(thing) == {"repr": "<thing 7>", "digest": None}
    with pytest.raises(CannotTell):
        same(encode(thing), thing)
    with pytest.raises(CannotTell):
        same(encode(Thing(lambda: 1)), Thing(lambda: 2))


def test_content_has_no_order_of_sets_and_dictionaries_and_no_address() -> None:
    class Plain:
        pass

    one, other = Plain(), Plain()
    one.__dict__.update(a=1, b={"x", "y"})
    other.__dict__.update(b={"y", "x"}, a=1)
    assert encode(one) == encode(other)
    assert same(encode(one), other)
    shared = [1]
    assert encode(Thing([shared, shared])) == encode(Thing([[1], [1]]))


def test_sets_and_dictionaries_are_recorded_the_same_in_any_order() -> None:
    assert encode({3, 20, 100}) == encode({100, 3, 20}) == {"repr": "{3, 20, 100}"}
    assert encode({2: "b", 1: "a"}) == {"repr": "{1: 'a', 2: 'b'}"}
    assert encode((frozenset({("b", 1), ("a", 2)}), set())) == {"repr": "(frozenset({('a', 2), ('b', 1)}), set())"}


def recursive() -> list[object]:
    found: list[object] = []
    found.append(found)
    return found


def nested(levels: int, inmost: object = 0) -> object:
    found = inmost
    for _ in range(levels):
        found = [found]
    return found


@pytest.mark.parametrize(
    ("made", "other"),
    [
        (recursive, list),
        (lambda: {"a": recursive()}, lambda: {"a": []}),
        (lambda: nested(100_000), lambda: [0]),
        (lambda: Thing(nested(100_000)), lambda: 1),
        (lambda: 10**5_000, lambda: 10**5_000 + 1),
        (lambda: -(10**5_000), lambda: 10**5_000),
        (lambda: [{"n": (10**5_000,)}], lambda: [{"n": (10**5_001,)}]),
        (lambda: "\ud800", lambda: "\ud801"),
    ],
)
def test_values_that_are_hard_to_write_are_values(made: Callable[[], object], other: Callable[[], object]) -> None:
    recorded = json.loads(json.dumps(encode(made()), allow_nan=False))
    assert canonical(recorded)
    assert same(recorded, made())
    assert not same(recorded, other())
    assert identity(made()) == identity(made()) != identity(other())


def test_deep_values_that_differ_at_the_bottom_are_not_the_same() -> None:
    with pytest.raises(CannotTell):
        same(encode(nested(100_000, 1)), nested(100_000, 2))


def test_the_limit_of_digits_is_that_of_the_lowest_that_can_be_set() -> None:
    limit = getattr(sys, "get_int_max_str_digits", int)()
    try:
        getattr(sys, "set_int_max_str_digits", int)(640)
        for number in (10**602, 10**700, 10**5_000):
            assert json.loads(json.dumps(encode(number))) == encode(number)
            assert decode(encode([number])) == [number]
    finally:
        getattr(sys, "set_int_max_str_digits", int)(limit)


def test_a_value_whose_repr_raises_is_a_value() -> None:
    class Mute:
        def __repr__(self) -> str:
            raise LookupError

    assert repr(decode(encode(Mute()))) == "<Mute, whose repr raised LookupError>"
    assert same(encode(Mute()), Mute())


def test_a_class_that_shows_itself_as_something_else_is_not_that() -> None:
    class Seven:
        def __repr__(self) -> str:
            return "7"

    assert not same(encode(Seven()), 8)
    with pytest.raises(CannotTell):
        same(encode(Seven()), 7)
    assert encode(Fraction(1, 2)) == {"repr": "Fraction(1, 2)"}
    assert same(encode((Fraction(1, 2),)), (Fraction(1, 2),))


@given(literals, literals)
def test_what_has_one_identity_is_recorded_the_same(one: object, other: object) -> None:
    assert identity(one) != identity(other) or encode(one) == encode(other)


def test_numbers_that_json_has_not() -> None:
    restored = decode(encode(math.nan))
    assert isinstance(restored, float)
    assert math.isnan(restored)
    assert same(encode(math.inf), math.inf)


def test_infinity_inside_a_tuple_is_known_by_its_repr() -> None:
    assert decode(encode((1, math.inf))) == Opaque("(1, inf)")
    assert same(encode((1, math.inf)), (1, math.inf))


def test_equal_dictionaries_have_one_canonical_text() -> None:
    assert canonical({"b": 1, "a": 2}) == canonical({"a": 2, "b": 1})


def test_subclasses_are_not_mistaken_for_their_bases() -> None:
    class Level(int):
        def __repr__(self) -> str:
            return f"Level({int(self)})"

    assert repr(decode(encode(Level(3)))) == "Level(3)"
    assert encode(Level(3)) != encode(3)
