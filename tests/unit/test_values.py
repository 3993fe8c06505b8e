from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.values import Opaque, canonical, decode, encode, same

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


def test_a_value_without_a_literal_is_recorded_as_its_repr() -> None:
    class Thing:
        def __repr__(self) -> str:
            return "<thing 7>"

    assert encode(Thing()) == {"repr": "<thing 7>"}
    assert decode(encode(Thing())) == Opaque("<thing 7>")
    assert same(encode(Thing()), Thing())
    assert not same(encode(Thing()), 7)


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

    assert encode(Level(3)) == {"repr": "Level(3)"}
