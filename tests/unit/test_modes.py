"""Which modes a target is observed in."""

from __future__ import annotations

import pytest

from bench.declared import Program, Scenario, Target
from bench.modes import CELL_MODES, modes_of, observer
from bench.sampling import MODES, Mode

PROGRAM = Program("m", "f", "m.py", 1, "", ())
SCENARIO = Scenario("m", "S", "m.py", 1, "", (), actors=("a", "b"))


@pytest.mark.parametrize(
    ("target", "asked", "modes"),
    [
        (PROGRAM, ("repeat",), ("repeat",)),
        (PROGRAM, ("repeat", "stress"), ("repeat",)),
        (PROGRAM, ("stress",), ()),
        (PROGRAM, ("explore",), ("explore",)),
        (PROGRAM, ("stress", "explore"), ("explore",)),
        (PROGRAM, ("repeat", "explore"), ("repeat",)),
        (SCENARIO, ("repeat",), ("repeat",)),
        (SCENARIO, ("stress",), ("stress",)),
        (SCENARIO, ("repeat", "stress"), ("stress",)),
        (SCENARIO, ("repeat", "explore"), ("explore",)),
        (SCENARIO, ("repeat", "stress", "explore"), ("stress", "explore")),
        (PROGRAM, ("repeat", "stress", "explore"), ("repeat",)),
    ],
)
def test_a_target_goes_through_those_that_are_for_it(
    target: Target, asked: tuple[Mode, ...], modes: tuple[Mode, ...]
) -> None:
    assert modes_of(target, asked) == modes


def test_every_mode_has_its_own_observer() -> None:
    assert set(CELL_MODES) <= set(MODES)
    assert len({observer(mode) for mode in MODES}) == len(MODES)
