"""What is told of a sample whose deadline passed: who waits where, who got on, and nothing of the bench itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import bench
from bench.outcomes import Outcome, raises, with_others
from bench.process import hangs
from bench.process.activity import Doing, Look, between
from bench.process.hangs import Member
from bench.process.stacks import Stack

LIB = os.path.dirname(os.__file__)
OURS = os.path.dirname(bench.__file__)
BELOW = f"{LIB}/multiprocessing/process.py:_bootstrap {OURS}/process/instrument.py:bootstrapped /home/me/app.py:start"


def dump(*threads: str) -> str:
    """Return a dump of threads, the main one last, whose frames are `FILE:FUNCTION`, the innermost first."""
    texts = []
    for number, frames in enumerate(threads):
        rows = [f'  File "{one.rpartition(":")[0]}", line 7 in {one.rpartition(":")[2]}' for one in frames.split()]
        texts.append("\n".join([f"Thread 0x{number} (most recent call first):", *rows]))
    return "\n\n".join(texts)


def member(name: str, frames: str, does: Doing = "waits", *, others: Doing = "waits", thread: str = "") -> Member:
    text = dump(thread, frames) if thread else dump(frames)
    return Member(name, Stack(1, 0, "process", "S", "", "python", text, does, others))


JOINS = member(
    "main", f"{LIB}/multiprocessing/popen_fork.py:poll {LIB}/multiprocessing/process.py:join /home/me/app.py:f"
)
GETS = member(
    "reader", f"{LIB}/multiprocessing/connection.py:_recv {LIB}/multiprocessing/queues.py:get /home/me/app.py:r"
)
BUSY = member("worker", f"/home/me/app.py:work {BELOW}", "computes")
POLLS = member("poller", "/home/me/app.py:look", "polls")


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ([JOINS, GETS], "after 3 s main waits for a process to end at app.py:7; reader waits in _recv at app.py:7"),
        ([JOINS, BUSY], "took longer than 3 s: worker computes in work at app.py:7"),
        ([GETS, BUSY], "took longer than 3 s: worker computes in work at app.py:7; reader waits in _recv at app.py:7"),
        ([JOINS, POLLS], "took longer than 3 s: poller sleeps and looks again in look at app.py:7"),
        (
            [GETS, POLLS],
            "after 3 s reader waits in _recv at app.py:7; poller sleeps and looks again in look at app.py:7",
        ),
        ([], "after 3 s nothing was alive"),
    ],
)
def test_a_sample_is_slow_where_one_gets_on_and_hangs_where_all_wait(told: list[Member], text: str) -> None:
    assert hangs.summary(told, 3) == text


def test_who_waits_for_a_thread_does_what_the_thread_does() -> None:
    joining = f"{LIB}/threading.py:join /home/me/app.py:f"
    assert member("main", joining, others="computes", thread="/home/me/app.py:work").does == "computes"
    assert member("main", joining, others="waits", thread="/home/me/app.py:work").does == "waits"
    # A thread beside a main thread that waits for something else is none that anybody waits for.
    assert member("main", "/home/me/app.py:f", others="computes", thread="/home/me/app.py:w").does == "waits"


def test_what_sleeps_is_known_by_its_line_where_the_kernel_does_not_say(tmp_path: Path) -> None:
    source = tmp_path / "app.py"
    source.write_text("\n" * 6 + "    time.sleep(5)\n")
    assert member("one", f"{source}:nap", "").does == "sleeps"
    assert member("one", f"{source}:nap", "goes on").does == "polls"
    assert member("one", "/home/me/app.py:get", "").does == "waits"


def test_a_function_of_c_is_told_by_its_name_and_the_line_that_started_it() -> None:
    frames = f"{LIB}/multiprocessing/process.py:run {OURS}/process/instrument.py:recording {BELOW}"
    stack = Stack(1, 0, "process", "S", "", "python", dump(frames), "")
    (told,) = hangs.members([stack], {1: "P-1"}, {1: "time.sleep"})
    assert told.text() == "P-1 sleeps in time.sleep, started at app.py:7"
    assert hangs.members([stack], {1: "P-1"})[0].text() == "P-1 waits in what it was started for, started at app.py:7"


@pytest.mark.parametrize(
    "frames",
    [
        f"{LIB}/multiprocessing/connection.py:_recv {OURS}/stress/resident.py:reside {BELOW}",
        f"{OURS}/stress/barrier.py:wait_for_all {OURS}/stress/resident.py:reside {BELOW}",
        f"{LIB}/multiprocessing/popen_fork.py:poll {OURS}/process/instrument.py:polled {OURS}/repeat/acting.py:play",
        f"{OURS}/explore/runtime/lane.py:_await {OURS}/explore/driver/actor_process.py:run_actor {BELOW}",
        "/elsewhere/bench/process/instrument.py:polled /elsewhere/bench/repeat/acting.py:play",
    ],
)
def test_processes_of_the_bench_that_rest_are_not_told_of(frames: str) -> None:
    stacks = [Stack(1, 0, "process", "S", "", "python", dump(frames), "goes on"), GETS.stack]
    assert hangs.members([stacks[0]], {1: "idle"}) == []
    assert not hangs.is_slow(hangs.members(stacks, {1: "idle"}))


def test_a_line_of_another_copy_of_the_bench_is_none_of_the_users() -> None:
    frames = f"{LIB}/multiprocessing/popen_fork.py:poll /opt/site/bench/process/instrument.py:polled /home/me/app.py:f"
    assert member("main", frames).text() == "main waits for a process to end at app.py:7"
    assert member("main", "/home/me/bench/process/my_own.py:f").text() == "main waits in f at my_own.py:7"


@pytest.mark.parametrize(
    ("before", "after", "does"),
    [
        (Look("S", 5, 3, None), Look("S", 5, 3, None), ""),
        (Look("S", 5, 3, False), Look("S", 5, 3, False), "waits"),
        (Look("S", 5, 3, True), Look("S", 5, 3, True), "sleeps"),
        (Look("S", 5, 3, True), Look("S", 9, 4, True), "polls"),
        (Look("S", 5, 3, False), Look("S", 9, 4, False), "goes on"),
        (Look("S", 5, 3, None), Look("S", 60_000_000, 4, None), "computes"),
        (Look("S", 5, 3, None), Look("R", 5, 3, None), "computes"),
        (Look("S", 5, 3, None), Look("T", 5, 3, None), "is stopped"),
        (None, Look("S", 5, 3, False), "goes on"),
    ],
)
def test_what_a_thread_does_follows_from_two_looks(before: Look | None, after: Look, does: Doing) -> None:
    assert between(before, after, 0.1) == does


def test_what_had_failed_before_a_hang_is_told_as_what_came_first() -> None:
    raised = Outcome("raised", detail={"type": "KeyError", "message": "'a'", "process": "P-1", "role": "child"})
    left = Outcome("crash", detail={"process": "P-2", "role": "child", "exit": 3})
    slow = Outcome("hang", detail={"phase": "program", "slow": True, "summary": "took longer than 1 s: x"})
    hang = Outcome("hang", detail={"phase": "program", "summary": "after 1 s x waits"})
    told = "first raised KeyError: 'a' (in P-1); also crash: P-2 ended with exit status 3"
    assert with_others(hang, [raised, left]).text() == f"hang: after 1 s x waits; {told}"
    assert slow.text() == "took longer than 1 s: x"
    assert slow.key == hang.key  # so that the load of a machine does not decide which outcome it is
    assert not raises(KeyError).matches(slow)
