"""What crosses between observers and groups: orders and events come out as they went in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.explore import messages as explore
from bench.process import messages
from bench.process.groups import Reader
from bench.process.instrument import describe
from bench.process.messages import Failed, Over, Refused, Running, Starting, from_argument, to_argument
from bench.stress import messages as stress

STRESS = stress.Orders(
    root="/a folder",
    module="it's",
    name="Scenario",
    method="fork",
    seed=2**64,
    actors=("one", "two"),
    cpus=2,
    seconds=0.1,
    samples=None,
    deadline_s=1.5,
    size=4,
)

EXPLORE = explore.Orders(
    root="",
    module="m",
    name="it's",
    method="spawn",
    seed=-1,
    actors=(),
    limit=7,
    deadline_s=0.5,
    replay={"anchors": [("main", "read", 'a "b"', -1, "f.py:1")], "steps": [0, 0], "times": 2},
)


@pytest.mark.parametrize("orders", [STRESS, EXPLORE])
def test_orders_come_out_of_an_argument_as_they_went_in(orders: stress.Orders | explore.Orders) -> None:
    came = from_argument(to_argument(orders), type(orders))
    assert came == orders
    assert type(came) is type(orders)


def test_orders_with_a_field_too_much_or_too_few_are_refused() -> None:
    with pytest.raises(TypeError):
        from_argument(repr({**STRESS._asdict(), "more": 1}), stress.Orders)
    with pytest.raises(TypeError):
        from_argument("{}", stress.Orders)


def failed() -> Failed:
    try:
        raise ZeroDivisionError("by 'none'\n\udcff")
    except ZeroDivisionError as error:
        return Failed(**describe(error))


COUNTS = stress.Counts(
    values=[({"tuple": [1, "é"]}, 3)],
    others=[("raised", {"type": "OSError", "message": "no"}, 1)],
    samples=4,
    rebuilt=0,
    stamped=2,
    overlapped=1,
    lost=0,
    running_ns=10**12,
    why_rebuilt="",
    size=8,
    stalled=True,
)


EXPLORED = (
    explore.NewOutcome(0, "value", {"tuple": [1]}, {}),
    explore.Counts({0: 5, 1: 2**40}, 7, 99),
    explore.Witness(0, {"lanes": [0, 1], "steps": [[0, "read", "a", -1, "f.py:1", "7"]]}),
    explore.Figures(
        schedules=7,
        steps=99,
        seconds=0.25,
        strategy="dpor",
        complete=True,
        claim="all",
        points=3,
        rebuilt=1,
        why_rebuilt="so",
        uncontrolled=("a", "b"),
        differed="",
        asleep=2,
        limits=(),
    ),
    explore.Replay([0, 1], {"value 7": 2}, ["a note"], "", "value 7", {}, ()),
)


@pytest.mark.parametrize(
    ("event", "from_fields"),
    [
        *((event, stress.from_fields) for event in (Running(8), Refused("so"), failed(), Over(), COUNTS)),
        *((event, explore.from_fields) for event in (Starting(), Running(), failed(), *EXPLORED)),
        (stress.Started(7, "one"), stress.from_fields),
        (stress.Died("one", None), stress.from_fields),
        (stress.Taken([("value", 7, {}), ("raised", None, {"type": "OSError"})]), stress.from_fields),
        (explore.Anew(), explore.from_fields),
        (Starting(), lambda fields: messages.from_fields(fields, messages.by_name(*messages.COMMON))),
    ],
)
def test_events_come_out_of_a_journal_as_they_went_in(event: Any, from_fields: Any, tmp_path: Path) -> None:
    messages.send(str(tmp_path), event)
    (fields,) = Reader(tmp_path).new()
    came = from_fields(fields)
    assert type(came) is type(event)
    assert plain(came) == plain(event)


def plain(event: Any) -> Mapping[str, Any]:
    """The fields of an event; characters that are in no text are written with backslashes."""
    return {
        name: item.encode("utf-8", "backslashreplace").decode() if isinstance(item, str) else item
        for name, item in event._asdict().items()
    }
