"""Schedules as files, and how they are followed on another machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UsageError
from bench.explore.findings.following import MOST_EXTRA, Resolved, pack, resolve, unpack
from bench.explore.findings.schedule import Anchor, Schedule, anchors_of, dump, numbered, parse, relative_to, witness
from bench.explore.findings.schedule import read as read_schedule
from bench.explore.findings.schedule import write as write_schedule
from bench.explore.model import Plan, killing
from bench.testing import FakeMachine, Program
from bench.testing.machine import Lane, acquire, look, read, release, write
from tests.fixtures.machines import account, crossed

SCHEDULE = Schedule(
    "account:Account",
    "account",
    "/p",
    "account.py",
    "fork",
    "3.14.8",
    {"key": "value 1", "kind": "value", "text": "1"},
    numbered([Anchor("a", "read", "x", -1, "account.py:3", saw="1"), Anchor("b", "killed", "", -1, "")]),
    ("/lib",),
    "dpor",
    7,
    1,
    2,
    "local",
    "0.1",
)


def test_a_schedule_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = write_schedule(SCHEDULE, tmp_path / "schedules")
    assert read_schedule(path) == SCHEDULE
    assert path.name == SCHEDULE.file_name
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    head = json.loads(path.read_text().splitlines()[0])
    assert (head["v"], head["type"], head["steps"]) == (1, "schedule", 2)


texts = st.text(max_size=20)


@given(
    st.builds(
        Schedule,
        texts,
        texts,
        st.none() | texts,
        texts,
        texts,
        texts,
        st.fixed_dictionaries({"key": texts, "kind": texts, "text": texts}),
        st.lists(st.builds(Anchor, texts, texts, texts, st.integers(-1, 9), texts, st.integers(1, 9), texts)).map(
            tuple
        ),
    )
)
def test_any_schedule_round_trips(made: Schedule) -> None:
    assert parse(dump(made), "there") == made


def test_the_file_of_a_finding_is_named_by_what_it_is_a_finding_of() -> None:
    assert SCHEDULE.file_name.startswith("account.Account-fork-")
    assert replace(SCHEDULE, steps=(), python="3.12.1").file_name == SCHEDULE.file_name
    others = [replace(SCHEDULE, method="spawn"), replace(SCHEDULE, target="other:Account")]
    others += [replace(SCHEDULE, root="/q"), replace(SCHEDULE, cell="py314-fork-cpu1")]
    others.append(replace(SCHEDULE, outcome={**SCHEDULE.outcome, "key": "value 2"}))
    assert len({one.file_name for one in [SCHEDULE, *others]}) == 6


@pytest.mark.parametrize(
    "hostile",
    [
        replace(SCHEDULE, module="", target=":/../../x"),
        replace(SCHEDULE, target="m:../../../x\0"),
        replace(SCHEDULE, module="a./../x"),
        replace(SCHEDULE, cell="../../x"),
        replace(SCHEDULE, method="/tmp/x"),
    ],
)
def test_what_a_record_says_leads_to_no_file_outside_of_the_folder(hostile: Schedule, tmp_path: Path) -> None:
    folder = tmp_path / "run" / "schedules"
    assert write_schedule(hostile, folder).parent == folder
    assert [path.resolve().parent for path in tmp_path.rglob("*.jsonl")] == [folder]


HEAD, FIRST, SECOND = dump(SCHEDULE).splitlines()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no schedule; give a file that bench explore wrote"),
        ("hello\n", "there is no schedule"),
        ('{"v": 1, "type": "facts"}\n', "there is no schedule"),
        (HEAD.replace('"v": 1', '"v": 2') + "\n", "a schedule of version 2; this forkbench reads up to 1: upgrade"),
        (HEAD.replace('"v": 1', '"v": "1"') + "\n", "a schedule of version '1'"),
        (f"{HEAD}\n{FIRST}\n", "there is torn: it ends before its last step"),
        (f"{HEAD}\n{FIRST}\n{SECOND}", "there is torn"),
        (f"{HEAD}\n{FIRST}\n{SECOND[:9]}", "there, line 3: not a step; the file is torn"),
        (f"{HEAD}\n{FIRST}\n{{}}\n", "a malformed schedule: KeyError 'lane'"),
        (HEAD.replace('"target"', '"goal"') + "\n", "torn"),
    ],
)
def test_what_is_no_whole_schedule_gets_one_clear_line(text: str, said: str) -> None:
    with pytest.raises(UsageError, match="there") as caught:
        parse(text, "there")
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_cannot_be_read_gets_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_schedule(tmp_path / "none.jsonl")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="is no schedule"):
        read_schedule(tmp_path / "bytes")


def test_a_witness_gives_anchors_with_equal_steps_numbered() -> None:
    machine = account(times=2)
    told = witness(machine.run(Plan((0, 0, 1, 0))), machine, ["200"])
    anchors = anchors_of(told)
    assert anchors[0] == Anchor("deposit", "read", "balance", -1, "account.py:10", 1, "200")
    assert [one.nth for one in anchors if (one.lane, one.op) == ("deposit", "read")] == [1, 2]
    assert (told["preemptions"], told["preempted"], told["lanes"]) == (2, [2, 3], [0, 0, 1, 0, 0, 1, 1, 1])
    assert anchors_of({}) == ()


def test_places_are_relative_to_the_root() -> None:
    assert relative_to("/p", "/p/src/a.py:3") == "src/a.py:3"
    assert relative_to("/p", "/pp/a.py:3") == "/pp/a.py:3"
    assert relative_to(None, "/p/a.py:3") == "/p/a.py:3"


def test_a_long_schedule_fits_into_an_argument() -> None:
    machine = account(times=500, limit=400)
    anchors = recorded(machine, 0, 1)
    assert len(anchors) > 300
    assert unpack(pack(anchors)) == tuple(anchor._replace(saw="") for anchor in anchors)
    assert len(repr(pack(anchors * 5))) < 20_000


def recorded(machine: FakeMachine, *lanes: int) -> tuple[Anchor, ...]:
    return anchors_of(witness(machine.run(Plan(lanes)), machine))


def outcome(machine: FakeMachine, found: Resolved) -> str:
    return machine.run(Plan(found.lanes)).outcome


@pytest.mark.parametrize("lanes", [(0, 1, 1, 0), (1, 0, 0, 1), (1, 1, 0, 0)])
def test_the_same_machine_is_followed_in_one_run(lanes: tuple[int, ...]) -> None:
    machine = account()
    anchors = recorded(machine, *lanes)
    machine.schedules = 0
    found = resolve(anchors, machine.run, machine)
    assert (found.lanes, found.notes, found.divergence, machine.schedules) == (lanes, (), None, 1)


def test_kills_are_followed() -> None:
    machine = crossed()
    found = resolve(recorded(machine, 0, killing(0)), machine.run, machine)
    assert found.lanes == (0, killing(0), 1)
    assert found.divergence is None


def varied(extra: int = 0, line: int = 10, *, fewer: bool = False, guard: bool = False) -> FakeMachine:
    """The account as another Python might run it: reads more often, says another line, locks on the way."""

    def deposit() -> Lane:
        for _ in range(extra):
            yield look("clock", place=line)
        seen = 200 if fewer else (yield read("balance", place=line))
        for _ in range(extra):
            yield look("clock", place=line)
        if guard:
            yield acquire("lock", place=line)
        yield write("balance", seen + 1, place=line)
        if guard:
            yield release("lock", place=line)

    return account(deposit=deposit)


def test_steps_that_the_file_does_not_have_are_taken_and_noted() -> None:
    anchors = recorded(account(), 0, 1, 1, 0)
    machine = varied(extra=2)
    found = resolve(anchors, machine.run, machine)
    assert found.divergence is None
    assert found.lanes == (0, 0, 0, 1, 1, 0, 0, 0)
    assert outcome(machine, found) == "value 201"
    assert len(found.notes) == 4
    assert found.notes[0] == "before step 1: deposit looks at clock at account.py:10, which the file does not have"


def test_steps_that_do_not_come_are_left_out_and_noted() -> None:
    anchors = recorded(varied(extra=1), 0, 0, 1, 1, 0, 0)
    machine = account()
    found = resolve(anchors, machine.run, machine)
    assert (found.lanes, outcome(machine, found)) == ((0, 1, 1, 0), "value 201")
    assert any("left out: deposit looks at clock" in note for note in found.notes)


def test_a_line_that_moved_is_the_same_step() -> None:
    anchors = recorded(account(), 0, 1, 1, 0)
    machine = varied(line=31)
    found = resolve(anchors, machine.run, machine)
    assert outcome(machine, found) == "value 201"
    assert found.notes[0] == "step 1: deposit reads balance at account.py:31, where the file has account.py:10"


def test_a_read_that_another_python_spares_itself_is_left_out() -> None:
    anchors = recorded(account(), 0, 1, 1, 0)
    machine = varied(fewer=True)
    found = resolve(anchors, machine.run, machine)
    assert found.divergence is None
    assert any("step 1 left out: deposit reads balance" in note for note in found.notes)


def test_a_lane_that_has_to_wait_lets_others_take_what_the_file_does_not_know() -> None:
    def plain() -> Lane:
        yield acquire("lock", place=20)
        yield release("lock", place=20)

    def other() -> Lane:
        yield read("x", place=10)

    def holding() -> Lane:
        yield acquire("lock", place=9)
        yield read("x", place=10)
        yield release("lock", place=11)

    old = FakeMachine(Program({"a": other, "b": plain}, {"lock": 1}))
    new = FakeMachine(Program({"a": holding, "b": plain}, {"lock": 1}))
    found = resolve(recorded(old, 0, 1, 1), new.run, new)
    assert found.divergence is None
    assert found.lanes == (0, 0, 0, 1, 1)


def test_where_a_lane_waits_for_what_nobody_gives_the_divergence_is_named() -> None:
    anchors = recorded(crossed(), 0, 0, 0, 0, 1, 1)
    machine = crossed()
    anchors = (anchors[0], anchors[4], anchors[5], *anchors[1:4])  # back cannot take a while forth holds it
    found = resolve(numbered(anchors), machine.run, machine)
    assert found.divergence is not None
    assert found.divergence.text() == (
        "at step 3: expected back acquires a at prog.py:20; back acquires a at prog.py:20 has to wait"
    )
    assert found.lanes == (0, 1)


def test_a_lane_that_is_not_there_is_a_divergence() -> None:
    found = resolve([Anchor("nobody", "read", "balance", -1, "account.py:10")], account().run, account())
    assert found.divergence is not None
    assert found.divergence.text() == "at step 1: expected nobody reads balance at account.py:10; there is no nobody"


def test_another_program_is_not_followed_for_ever() -> None:
    def busy() -> Lane:
        for _ in range(MOST_EXTRA * 3):
            yield look("clock", place=99)

    machine = FakeMachine(Program({"deposit": busy, "withdraw": busy}))
    found = resolve(recorded(account(), 0, 1, 1, 0), machine.run, machine)
    assert found.divergence is not None
    assert found.divergence.step == 1
    assert found.divergence.came == "deposit looks at clock at prog.py:99 came"
    assert machine.schedules < MOST_EXTRA * 3


def test_a_lane_that_is_made_on_the_way_is_found_when_it_is_there() -> None:
    class Growing(FakeMachine):
        """The second lane has a name only once the first has done its step."""

        begun = False

        def lane(self, number: int) -> str:
            return super().lane(number) if number == 0 or (number == 1 and self.begun) else ""

        def run(self, plan: Plan) -> Any:
            self.begun = True
            return super().run(plan)

    machine = Growing(account().program)
    found = resolve(recorded(account(), 0, 1, 1, 0), machine.run, machine)
    assert (found.lanes, found.divergence) == ((0, 1, 1, 0), None)


def interleavings(first: int, second: int) -> Iterator[tuple[int, ...]]:
    if not first or not second:
        yield (0,) * first + (1,) * second
        return
    yield from ((0, *rest) for rest in interleavings(first - 1, second))
    yield from ((1, *rest) for rest in interleavings(first, second - 1))


@pytest.mark.parametrize("lanes", list(interleavings(2, 2)))
def test_every_interleaving_gives_on_another_python_what_it_gave(lanes: tuple[int, ...]) -> None:
    before = account().run(Plan(lanes)).outcome
    for machine in (varied(extra=1), varied(extra=3), varied(line=12), varied(guard=True)):
        found = resolve(recorded(account(), *lanes), machine.run, machine)
        assert found.divergence is None
        assert outcome(machine, found) == before
