"""A state looked through: what makes it unrestorable is named."""

from __future__ import annotations

import pathlib
import sys
import threading
from typing import Any

import pytest

from bench.state.survey import Unrestorable, survey


class State:
    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


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
def test_what_is_not_known_makes_a_state_unrestorable(name: str, attribute: object) -> None:
    with pytest.raises(Unrestorable, match=name):
        survey(State(**{name: attribute}))
