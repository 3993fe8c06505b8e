"""The public fakes hold what the interfaces promise that they stand in for."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from bench.cells import parse_cell
from bench.explore.model import Plan, killing
from bench.explore.search import NAMES, make
from bench.matrix.engines.base import Ended, Engine, Job, Limits, Ready, Refused
from bench.record import Judged, from_json
from bench.testing import FakeClock, FakeEngine, FakeMachine, Program, Script, failing, granted, passing
from bench.testing import engine as engines
from bench.testing.machine import Lane, acquire, explore, read, release, sleep, write
from tests.fixtures.machines import account, adds, crossed

CELL = parse_cell("py314-spawn-cpu1")
READY = Ready(CELL.python, "somewhere")


def job(*cpus: int, timeout_s: float = 300.0) -> Job:
    return Job("run", CELL, cpus or (0,), (), Limits(timeout_s=timeout_s))


def run(engine: Engine, one: Job, stop: threading.Event | None = None) -> tuple[Ended, list[bytes], bytes]:
    records, log = list[bytes](), bytearray()
    ended = engine.run(one, READY, records=records.append, log=log.extend, stop=stop or threading.Event())
    return ended, records, bytes(log)


# The clock.


def test_the_clock_stands_still_until_it_is_moved() -> None:
    clock = FakeClock(5.0)
    assert (clock(), clock()) == (5.0, 5.0)
    clock.advance(1.5)
    clock.sleep(0.5)
    assert (clock(), clock.sleeps) == (7.0, [0.5])
    with pytest.raises(ValueError, match="time does not go back"):
        clock.advance(-1)


def test_others_act_while_one_sleeps() -> None:
    seen = list[float]()
    clock = FakeClock(on_sleep=lambda seconds: seen.append(clock() + seconds))
    clock.sleep(2.0)
    assert seen == [4.0]


def test_whoever_waits_for_a_time_is_woken_when_it_comes_or_when_all_is_stopped() -> None:
    clock, stop, came = FakeClock(), threading.Event(), list[bool]()
    waiting = threading.Thread(target=lambda: came.append(clock.wait_until(3.0, stop)))
    waiting.start()
    clock.advance(2.0)
    clock.advance(1.0)
    waiting.join(10)
    stop.set()
    assert [*came, clock.wait_until(9.0, stop)] == [True, False]


# The engine.


@pytest.mark.parametrize(("script", "verdict", "status"), [(passing, "pass", 0), (failing, "fail", 1)])
def test_a_cell_records_what_its_script_says(script: Callable[[Job], Script], verdict: str, status: int) -> None:
    ended, records, log = run(FakeEngine(script), job())
    assert (ended.exit_status, ended.seconds, log) == (status, 1.0, b"hello\n")
    facts, seen = [from_json(json.loads(line)) for line in records]
    assert facts == granted(job())
    assert isinstance(seen, Judged)
    assert seen.verdict == verdict


def test_pythons_are_ready_refused_or_not_to_be_had() -> None:
    engine = FakeEngine(refused={"3.14": "no base"}, left_behind=["a cell"], cpus=(4, 5))
    other = parse_cell("py313-fork-cpu1").python
    assert engine.prepare([CELL.python, other], None, lambda _: None) == {
        CELL.python: Refused(CELL.python, "no base"),
        other: Ready(other, "somewhere"),
    }
    assert (engine.cpus(), engine.clean(), engine.clean()) == ((4, 5), ["a cell"], [])


def test_two_cells_on_one_cpu_are_refused() -> None:
    def beside(one: Job) -> Script:
        with pytest.raises(RuntimeError, match="two cells on CPU 1"):
            run(engine, job(1, 2))
        return passing(one)

    engine = FakeEngine(beside)
    assert run(engine, job(0, 1))[0].exit_status == 0
    assert run(FakeEngine(), job(0, 1))[0].exit_status == 0, "they are free again"


def test_a_cell_that_takes_longer_than_its_limit_has_timed_out() -> None:
    ended, _, _ = run(FakeEngine(lambda one: replace(passing(one), takes_s=9.0)), job(timeout_s=4.0))
    assert (ended.timed_out, ended.seconds, ended.exit_status) == (True, 4.0, None)


def test_a_cell_takes_its_time_on_the_clock_and_a_stop_ends_it() -> None:
    clock, stop = FakeClock(), threading.Event()
    stop.set()
    engine = FakeEngine(lambda one: replace(passing(one), takes_s=9.0, then=lambda: clock.advance(2.0)), clock=clock)
    assert run(engine, job(), stop)[0] == Ended(interrupted=True, seconds=2.0)
    through = FakeEngine(lambda one: replace(passing(one), takes_s=9.0, then=lambda: clock.advance(9.0)), clock=clock)
    assert run(through, job())[0] == Ended(0, seconds=9.0)


def test_a_cell_that_waits_for_a_stop_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "STOP_S", 0.01)
    with pytest.raises(TimeoutError, match="nobody stopped py314-spawn-cpu1"):
        run(FakeEngine(lambda _: Script(until_stopped=True)), job())


def test_trouble_of_an_engine_is_raised_and_its_cpus_are_free_again() -> None:
    engine = FakeEngine(lambda _: Script(raises=RuntimeError("bad luck")))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="bad luck"):
            run(engine, job())
    assert (engine.running, engine.most_running, len(engine.jobs)) == (0, 1, 2)


# The machine.


@pytest.mark.parametrize("name", NAMES)
def test_every_strategy_finds_what_becomes_of_an_account(name: str) -> None:
    traces = explore(make(name, lanes=2, seed=1), account(), most=60)
    assert {trace.outcome for trace in traces} - {""} == {"value 199", "value 200", "value 201"}


def test_a_plan_is_followed_and_then_goes_on_as_it_says() -> None:
    machine = account()
    assert machine.run(Plan((0, 1))).lanes == (0, 1, 1, 0)
    assert machine.run(Plan((0, 1, 0))).outcome == "value 199"
    assert machine.run(Plan((0, 0, 0))).end == "diverged"
    assert (machine.schedules, machine.steps) == (3, 10)


def test_a_deadlock_names_who_waits_for_what() -> None:
    trace = crossed().run(Plan((0, 1)))
    assert (trace.end, trace.outcome) == ("stuck", "deadlock forth waits for b, back waits for a")


def test_a_lane_that_is_killed_holds_its_lock_for_ever() -> None:
    trace = crossed().run(Plan((0, killing(0), 1)))
    assert (trace.end, trace.lanes) == ("stuck", (0, -1, 1))


def test_a_sleep_ends_when_nobody_else_can_go_on() -> None:
    def late() -> Lane:
        yield sleep(3)
        yield write("x", 2)

    machine = FakeMachine(Program({"late": late, "early": adds(1, name="x")}, result=lambda values: values["x"]))
    assert {trace.outcome for trace in explore(make("dfs", lanes=2), machine)} == {"value 2"}


def test_a_lock_that_its_holder_takes_again_is_recursive_or_blocks_it() -> None:
    def twice() -> Lane:
        for _ in range(2):
            yield acquire("lock")
        for _ in range(2):
            yield release("lock")

    lanes = {"a": twice}
    assert FakeMachine(Program(lanes, {"lock": 1})).run(Plan()).end == "stuck"
    assert FakeMachine(Program(lanes, {"lock": 1}, frozenset({"lock"}))).run(Plan()).end == "done"


def test_what_waits_busily_for_ever_is_at_its_limit() -> None:
    def waits() -> Lane:
        while not (yield read("flag", waits=True)):
            pass

    assert FakeMachine(Program({"a": waits})).run(Plan()).end == "limit"


def test_what_is_in_a_trace_has_names() -> None:
    machine = account()
    step = machine.run(Plan()).steps[0]
    assert (machine.lane(0), machine.lane(2), machine.object(step.op.object)) == ("deposit", "", "balance")
    assert machine.place(step.op.place) == "account.py:10"
