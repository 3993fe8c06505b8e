"""The story of a schedule, as a person reads it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.explore.findings.schedule import witness
from bench.explore.findings.words import step_text, wait_text
from bench.explore.model import KINDS, Plan, killing
from bench.outcomes import Outcome
from bench.report.steps import MOST, Difference, StoryStep, difference, holders
from bench.report.story import Ending, ending_of, story
from bench.testing import FakeMachine, Program
from bench.values import Json
from tests.fixtures.machines import account, adds, crossed


def text(found: dict[str, Any], ending: Ending, **how: Any) -> str:
    return "\n".join("".join(piece for piece, _ in line).rstrip() for line in story(found, ending, **how))


def witness_of(machine: FakeMachine, *lanes: int, saw: tuple[str, ...] = ()) -> dict[str, Any]:
    return witness(machine.run(Plan(lanes)), machine, saw)


LOST = Ending("201", "value", "forbidden", "nobody listed it", "bench replay a.jsonl")


def test_a_lost_update_reads_as_a_story() -> None:
    found = witness_of(account(), 0, 1, 1, 0, saw=("200", "200", "199", "201"))
    expected = """\
       deposit               withdraw
    1  reads balance: 200                          account.py:10
       ── interrupted ─────▶
    2                        reads balance: 200    account.py:20
    3                        writes balance: 199   account.py:20
    4  writes balance: 201                         account.py:10
       ▲ overwrites what step 3 wrote: it had read before, in step 1

    gives 201
    forbidden: nobody listed it
    by 1 preemption, 4 steps (depth 2)
    again: bench replay a.jsonl"""
    assert text(found, LOST) == expected


def test_a_narrow_terminal_gets_a_list_and_one_without_utf8_plain_characters() -> None:
    found = witness_of(account(), 0, 1, 1, 0, saw=("200", "200", "199", "201"))
    expected = """\
   1  deposit   reads balance: 200  account.py:10
    -- deposit is interrupted
   2  withdraw  reads balance: 200  account.py:20
   3  withdraw  writes balance: 199  account.py:20
   4  deposit   writes balance: 201  account.py:10
    ^ overwrites what step 3 wrote: it had read before, in
      step 1

    gives 201
    forbidden: nobody listed it
    by 1 preemption, 4 steps (depth 2)
    again: bench replay a.jsonl"""
    assert text(found, LOST, width=60, unicode=False) == expected


def test_a_deadlock_shows_the_circle_of_waits_and_the_stacks() -> None:
    found = witness_of(crossed(), 0, 1)
    processes: list[dict[str, Any]] = [
        {"name": "forth", "stack": "  File prog.py, line 10"},
        {"name": "back", "stack": None},
    ]
    said = text(found, Ending("deadlock: forth waits for b", "deadlock", "interesting", "crossed", "", processes))
    expected = """\
       forth                         back
    1  acquires a                                                  prog.py:10
       ── interrupted ─────────────▶   this makes the difference
    2                                acquires b                    prog.py:20
       waits for b (held by back)                                  prog.py:10
                                     waits for a (held by forth)   prog.py:20

    gives deadlock: forth waits for b
    interesting: crossed
    by 1 preemption, 2 steps (depth 2)
    a circle:
        forth waits for b, which back holds
        back waits for a, which forth holds
    forth:
          File prog.py, line 10
    back:
        gave no stack"""
    assert said == expected


def test_a_kill_is_shown_and_counted() -> None:
    found = witness_of(crossed(), 0, killing(0))
    said = text(found, Ending("deadlock: back waits for a", "deadlock"))
    assert "    2  is killed\n       ▲ this makes the difference\n" in said.replace(" prog.py", "")
    assert "waits for a (held by forth)" in said
    assert "by no preemptions and 1 kill, 3 steps (depth 1)" in said
    assert "a circle" not in said


def test_the_difference_is_the_write_over_what_changed() -> None:
    steps = [StoryStep(*one) for one in witness_of(account(times=2), 0, 1, 1, 0, 0, 0, 1, 1)["steps"]]
    assert difference(steps, [1]) == {
        3: Difference("overwrites what step 3 wrote: it had read before, in step 1", (2, 0))
    }


def test_a_write_without_a_read_before_it_or_of_ones_own_is_no_difference() -> None:
    ordered = [StoryStep(*one) for one in witness_of(account(times=2), 0, 0, 0, 0, 1, 1, 1, 1)["steps"]]
    assert difference(ordered, []) == {}
    blind = [StoryStep(0, "write", "x", -1, "a:1", "1"), StoryStep(1, "write", "x", -1, "a:2", "2")]
    assert difference(blind, [1]) == {1: Difference("this makes the difference")}
    assert difference(blind, []) == {}


def test_parts_are_distinguished() -> None:
    steps = [
        StoryStep(0, "read", "a", 0, "", ""),
        StoryStep(1, "write", "a", 1, "", ""),
        StoryStep(0, "write", "a", 0, "", ""),
    ]
    assert difference(steps, []) == {}
    assert step_text("read", "counts", 2, "7") == "reads counts[2]: 7"


def test_what_has_no_room_in_its_column_goes_on_below() -> None:
    names = {"produce": 0, "consume": 1, "consume_too": 2}
    steps = [[lane, "acquire", "the lock of condition", -1, "/p/src/conditions.py:85", ""] for lane in names.values()]
    said = text({"lane_names": list(names), "steps": steps}, Ending("1", "value"), width=100).splitlines()
    assert said[1].split() == ["1", "acquires", "the", "lock", "of", "conditions.py:85"]
    assert said[2] == "       condition"
    assert said[3].index("acquires") == said[0].index("consume")


def test_who_waits_for_a_signal_waits_for_nobody() -> None:
    rows = [("acquire", 0), ("release", 1), ("acquire", 0)]
    steps = [StoryStep(lane, kind, "turnstile", -1, "", "") for kind, lane in rows]
    assert holders(steps) == {}
    assert holders(steps[:1]) == {"turnstile": [0]}


def test_who_holds_what_is_known_better_by_the_outcome() -> None:
    found = witness_of(crossed(), 0, 1)
    waits: list[Json] = [{"lane": "forth", "holder": ""}, {"lane": "back", "holder": "forth"}]
    said = text(found, ending_of(Outcome("deadlock", detail={"cycle": "", "waits": waits})))
    assert "waits for b  " in said
    assert "waits for a (held by forth)" in said
    assert "a circle" not in said


def test_what_was_raised_is_shown_without_what_does_the_exploring() -> None:
    trace = (
        'Traceback (most recent call last):\n  File "/x/bench/explore/driver/actor_process.py", line 49, in run_actor\n'
        '    method(state)\n    ^^^^^^^\n  File "/p/a.py", line 3, in first\n    self.lock.release()\n'
        '  File "/x/bench/explore/points/locks.py", line 1, in _release\n    give()\nValueError: too many'
    )
    outcome = Outcome("raised", detail={"type": "ValueError", "traceback": trace, "process": "first"})
    (process,) = ending_of(outcome).processes
    assert process["name"] == "first"
    assert process["stack"] == (
        'Traceback (most recent call last):\n  File "/p/a.py", line 3, in first\n    self.lock.release()\n'
        "ValueError: too many"
    )


def test_the_semaphores_of_a_condition_have_words_of_their_own() -> None:
    assert step_text("release", "a wake-up by condition") == "wakes one that waits for condition"
    assert step_text("acquire", "a wake-up by condition") == "is woken by condition"
    assert wait_text("acquire", "a wake-up by condition") == "waits for a wake-up by condition"


def test_many_lanes_fall_back_to_a_list() -> None:
    machine = FakeMachine(Program({f"lane{n}": adds(1) for n in range(9)}))
    said = text(witness_of(machine), Ending("9", "value"), width=140)
    assert "   1  lane0  reads balance  prog.py:10" in said


def test_a_long_schedule_keeps_its_beginning_and_its_end() -> None:
    said = text(witness_of(account(times=50)), Ending("200", "value"), width=100).splitlines()
    assert sum("reads" in row or "writes" in row for row in said) == 60
    assert any("140 steps" in row for row in said)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_words_of_its_own(kind: str) -> None:
    words = step_text(kind, "thing", -1, "seen")
    assert not words.startswith(kind + " ")
    assert "{" not in words + wait_text(kind, "thing")


def test_a_witness_without_steps_has_no_story() -> None:
    assert story({}, LOST) == []
    assert story({"seed": 3}, LOST) == []


names = st.text(min_size=1, max_size=30)
steps = st.tuples(st.integers(0, 3), st.sampled_from(KINDS), names, st.integers(-1, 3), names, names).map(list)


@given(st.lists(steps, min_size=1, max_size=80), st.integers(40, 200), st.booleans(), names)
def test_no_line_is_wider_than_asked_for_nor_moves_the_cursor(
    made: list[Any], width: int, unicode: bool, outcome: str
) -> None:
    found = {
        "lane_names": ["a", "bb", "c" * 12, "d"],
        "steps": [[*one[:4], "x.py:1", one[5]] for one in made],
        "preempted": [len(made) // 2],
        "pending": [[1, "acquire", "lock", -1, "x.py:3"]],
    }
    for line in story(found, Ending(outcome, "value", "interesting", outcome), width=width, unicode=unicode):
        row = "".join(piece for piece, _ in line).rstrip()
        assert len(row) <= max(width, 60)
        assert row.isprintable()
        assert unicode or row.isascii()


@pytest.mark.parametrize("width", [40, 100, 160])
def test_a_place_and_a_reason_are_whole_however_long_they_are(width: int) -> None:
    place = f"{'deep/' * 30}module.py:1234"
    why = " ".join(["reason"] * 60)
    steps = [[0, "read", "x", -1, place, "1"], [1, "write", "x", -1, place, "2"]]
    found = {"lane_names": ["a", "b"], "steps": steps, "pending": [[0, "acquire", "lock", -1, place]]}
    told = "".join(
        "".join(text for text, _ in row) + "\n"
        for row in story(found, Ending(f"at {place}", "value", "forbidden", why), width=width)
    )
    assert told.count("module.py:1234") == 4
    assert told.count("reason") == 60
    assert "…" not in told


def test_a_long_story_shows_each_switch_with_its_neighbours_and_says_how_much_is_left_out() -> None:
    steps = [[0, "write", "mine", -1, "a.py:1", str(number)] for number in range(300)]
    steps[150] = [1, "write", "theirs", -1, "a.py:2", "7"]
    found = {"lane_names": ["one", "other"], "steps": steps, "preempted": [150], "preemptions": 1, "pending": []}
    rows = text(found, LOST).splitlines()
    numbers = [int(row.split()[0]) for row in rows if row[:7].strip().isdecimal()]
    assert set(range(149, 154)) <= set(numbers)
    assert len(numbers) == MOST + 6  # two before the switch, the step itself, the one back, and two after that
    assert sum(row.strip() in ("\u2026 128 steps \u2026", "\u2026 106 steps \u2026") for row in rows) == 2
    assert any("interrupted" in row for row in rows)
    assert any("128 steps" in row for row in text(found, LOST, width=60).splitlines())


def test_a_lost_update_over_a_long_way_shows_what_is_lost_and_what_was_read() -> None:
    steps: list[list[Any]] = [[0, "sleep", "", -1, "a.py:1", ""] for _ in range(300)]
    steps[100] = [0, "read", "count", -1, "a.py:3", "0"]
    steps[140] = [1, "write", "count", -1, "a.py:4", "1"]
    steps[250] = [0, "write", "count", -1, "a.py:5", "1"]
    found = {"lane_names": ["one", "other"], "steps": steps, "preempted": [], "preemptions": 1, "pending": []}
    told = text(found, LOST)
    assert all(f"a.py:{line}" in told for line in (3, 4, 5))
    assert "overwrites what step 141 wrote: it had read before, in step 101" in told


@pytest.mark.parametrize(
    ("kind", "saw", "said"),
    [
        ("change", "creates", "creates log"),
        ("change", "creates: File exists", "creates log: File exists"),
        ("change", "writes to: 5 bytes", "writes to log: 5 bytes"),
        ("move", "renames: to old", "renames log to old"),
        ("move", "renames: Permission denied", "renames log: Permission denied"),
        ("scan", "lists: 3 names", "lists log: 3 names"),
        ("look", "it is there", "looks at log: it is there"),
        ("change", "", "changes log"),
        ("write", "creates: 1", "writes log: creates: 1"),
    ],
)
def test_operations_on_files_have_names_of_their_own(kind: str, saw: str, said: str) -> None:
    assert step_text(kind, "log", -1, saw) == said
