"""From evidence to outcome, without a process: every rule of precedence."""

from __future__ import annotations

from typing import Any

import pytest

from bench.outcomes import crashes
from bench.process.evidence import Evidence, decide, warnings_of
from bench.process.stacks import Stack

MAIN, CHILD, OTHER = 10, 11, 12
STARTED = {"event": "started", "pid": MAIN, "child": CHILD, "name": "P-1", "method": "fork"}
OTHER_STARTED = {"event": "started", "pid": MAIN, "child": OTHER, "name": "P-2", "method": "fork"}
RETURNED = {"event": "returned", "pid": MAIN, "value": 200, "threads": [], "descriptors": []}


def reaped(child: int, code: int) -> dict[str, Any]:
    return {"event": "reaped", "pid": MAIN, "child": child, "code": code}


def raised(pid: int, kind: str = "ValueError", **more: Any) -> dict[str, Any]:
    return {
        "event": "raised",
        "pid": pid,
        "name": "P-1",
        "type": kind,
        "bases": [kind],
        "message": "no",
        "where": "p.py:3 in f",
        "traceback": "...",
        **more,
    }


def evidence(*events: dict[str, Any], status: int | None = 0, **more: Any) -> Evidence:
    return Evidence(status, events, MAIN, **more)


def test_a_value_counts_when_every_process_ended_well() -> None:
    outcome = decide(evidence(STARTED, reaped(CHILD, 0), RETURNED))
    assert (outcome.kind, outcome.value) == ("value", 200)


def test_the_right_value_with_a_failed_child_is_no_value() -> None:
    outcome = decide(evidence(STARTED, raised(CHILD), reaped(CHILD, 1), RETURNED))
    assert (outcome.kind, outcome.detail["process"], outcome.detail["role"]) == ("raised", "P-1", "child")


def test_an_exit_status_without_an_exception_is_a_crash() -> None:
    outcome = decide(evidence(STARTED, reaped(CHILD, 3), RETURNED))
    assert (outcome.kind, outcome.detail["exit"]) == ("crash", 3)


def test_a_child_whose_end_nobody_saw_is_no_value() -> None:
    assert decide(evidence(STARTED, RETURNED)).kind == "crash"


def test_a_child_that_told_of_its_own_end_needs_no_parent() -> None:
    assert decide(evidence(STARTED, {"event": "ended", "pid": CHILD, "code": 0}, RETURNED)).kind == "value"


def test_a_signal_comes_before_the_exceptions_that_follow_from_it() -> None:
    eof = raised(MAIN, "EOFError", name="MainProcess")
    outcome = decide(evidence(STARTED, eof, reaped(CHILD, -11), status=1))
    assert (outcome.kind, outcome.detail["signal"]) == ("crash", "SIGSEGV")
    assert [one.text() for one in outcome.parts] == [
        "crash: P-1 ended with SIGSEGV",
        "raised EOFError: no (in MainProcess at p.py:3 in f)",
    ]


def test_of_two_exceptions_the_first_is_the_outcome() -> None:
    outcome = decide(evidence(STARTED, raised(CHILD, "KeyError"), raised(MAIN, "EOFError"), status=1))
    assert outcome.detail["type"] == "KeyError"


def test_which_of_two_failed_first_makes_no_other_outcome() -> None:
    one, other = raised(CHILD, "KeyError"), raised(OTHER, "OSError")
    first, second = decide(evidence(one, other, RETURNED)), decide(evidence(other, one, RETURNED))
    assert first.detail["type"] != second.detail["type"]
    assert first.key == second.key != decide(evidence(one, RETURNED)).key


def test_a_child_that_the_program_ended_itself_is_no_crash() -> None:
    signalled = {"event": "signalled", "pid": MAIN, "child": CHILD, "signal": 15}
    assert decide(evidence(STARTED, signalled, reaped(CHILD, -15), RETURNED)).kind == "value"


def test_a_child_that_ended_otherwise_before_the_program_ended_it_is_a_crash() -> None:
    signalled = {"event": "signalled", "pid": MAIN, "child": CHILD, "signal": 15}
    assert (
        decide(evidence(STARTED, signalled, reaped(CHILD, 5), RETURNED)).text() == "crash: P-1 ended with exit status 5"
    )
    assert decide(evidence(STARTED, signalled, reaped(CHILD, -9), RETURNED)).kind == "crash"
    assert decide(evidence(STARTED, signalled, reaped(CHILD, 143), RETURNED)).kind == "value", "by its handler"


FORKED = {"event": "forked", "pid": MAIN, "child": CHILD, "where": "p.py:7"}
SPAWNED = {"event": "spawned", "pid": MAIN, "child": CHILD, "name": "sleep 9", "where": "p.py:8"}
EXECUTED = {"event": "executed", "pid": CHILD, "done": True}


def ran(code: int) -> dict[str, Any]:
    return {"event": "ran", "pid": MAIN, "name": "sh", "code": code, "where": None}


def adopted(child: int, code: int) -> dict[str, Any]:
    return {"event": "adopted", "pid": 1, "child": child, "code": code}


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ((FORKED, reaped(CHILD, 0)), "200"),
        ((FORKED, reaped(CHILD, 3)), "crash: the process forked at p.py:7 ended with exit status 3"),
        ((FORKED, reaped(CHILD, -9)), "crash: the process forked at p.py:7 ended with SIGKILL"),
        ((FORKED, adopted(CHILD, 0)), "200"),
        ((FORKED, adopted(CHILD, 1)), "crash: the process forked at p.py:7 ended with exit status 1"),
        ((FORKED,), "crash: the process forked at p.py:7 ended with exit status unseen"),
        ((FORKED, EXECUTED, reaped(CHILD, 3)), "200"),
        ((FORKED, EXECUTED, adopted(CHILD, 3)), "crash: the process forked at p.py:7 ended with exit status 3"),
        ((SPAWNED, reaped(CHILD, 3)), "200"),
        ((SPAWNED, reaped(CHILD, -11)), "crash: the program 'sleep 9', started at p.py:8 ended with SIGSEGV"),
        ((SPAWNED, adopted(CHILD, 2)), "crash: the program 'sleep 9', started at p.py:8 ended with exit status 2"),
        ((SPAWNED, adopted(CHILD, 0)), "200"),
        ((SPAWNED,), "200"),
        ((ran(-9),), "crash: the program 'sh' ended with SIGKILL"),
        ((ran(9),), "200"),
        ((adopted(99, -11),), "crash: a process that nobody waited for ended with SIGSEGV"),
        ((adopted(99, 1),), "200"),
    ],
)
def test_processes_started_past_multiprocessing_are_known_too(events: tuple[dict[str, Any], ...], text: str) -> None:
    assert decide(evidence(*events, RETURNED)).text() == text


def test_the_group_of_a_program_may_be_ended_by_a_signal_and_no_fork() -> None:
    sent = {"event": "signalled", "pid": MAIN, "child": CHILD, "signal": 15, "group": True}
    ended = (sent, reaped(CHILD, -15), adopted(99, -15))
    assert decide(evidence(SPAWNED, *ended, RETURNED)).kind == "value"
    assert decide(evidence(SPAWNED, *ended, adopted(98, -11), RETURNED)).kind == "crash"
    assert decide(evidence(FORKED, *ended, RETURNED)).kind == "crash"


def test_a_program_that_is_left_is_a_leak_and_no_crash() -> None:
    outcome = decide(evidence(SPAWNED, RETURNED, left_processes=["sleep 9"], left_pids=[CHILD]))
    assert outcome.kind == "leak"


def test_a_status_that_nobody_collected_is_told_also_where_it_is_good() -> None:
    (unseen,) = warnings_of(evidence(SPAWNED, RETURNED), "fork")
    assert unseen == "nobody saw how the program 'sleep 9', started at p.py:8 ended"
    (warning,) = warnings_of(evidence(SPAWNED, adopted(CHILD, 0), RETURNED), "fork")
    assert warning == "nobody collected the status of the program 'sleep 9', started at p.py:8; it ended well"


def test_the_value_is_that_of_the_main_process_and_not_of_a_fork_that_came_back() -> None:
    outcome = decide(evidence(FORKED, {**RETURNED, "pid": CHILD, "value": 7}, reaped(CHILD, 0), RETURNED))
    assert outcome.value == 200


def test_an_exception_that_python_ignores_is_no_value_and_explains_no_exit_status() -> None:
    ignored = raised(CHILD, ignored=True)
    outcome = decide(evidence(STARTED, ignored, reaped(CHILD, 1), RETURNED))
    assert [one.kind for one in outcome.parts] == ["raised", "crash"]
    assert outcome.detail["process"] == "P-1, ignored by Python"


def test_an_exception_of_a_fork_by_hand_is_that_of_a_child() -> None:
    outcome = decide(evidence(FORKED, raised(CHILD, name="MainProcess"), reaped(CHILD, 1), RETURNED))
    assert (outcome.detail["process"], outcome.detail["role"]) == ("the process forked at p.py:7", "child")


def test_beside_an_end_that_is_meant_the_value_counts() -> None:
    killed = evidence(STARTED, reaped(CHILD, -9), RETURNED)
    assert decide(killed, [crashes("SIGKILL")]).value == decide(killed, [crashes()]).value == 200
    assert decide(killed, [crashes("SIGTERM")]).kind == "crash"


def test_what_is_meant_excuses_nothing_else() -> None:
    meant = [crashes("SIGKILL")]
    killed = (STARTED, reaped(CHILD, -9))
    assert decide(evidence(*killed, raised(OTHER), RETURNED), meant).kind == "raised"
    assert decide(evidence(*killed, RETURNED, left_processes=["sleep 9"]), meant).kind == "leak"
    assert decide(evidence(*killed, status=None), meant).kind == "hang"
    assert decide(evidence(*killed, status=1), meant).kind == "crash", "it has no value"
    assert decide(evidence(RETURNED, status=-9), meant).kind == "crash", "the main process is not meant"


def test_one_that_it_did_not_end_is() -> None:
    signalled = {"event": "signalled", "pid": MAIN, "child": CHILD, "signal": 15}
    outcome = decide(evidence(STARTED, OTHER_STARTED, signalled, reaped(CHILD, -15), reaped(OTHER, -9), RETURNED))
    assert (outcome.kind, outcome.detail["process"], outcome.detail["signal"]) == ("crash", "P-2", "SIGKILL")


@pytest.mark.parametrize(("status", "text"), [(-9, "SIGKILL"), (3, "exit status 3"), (0, "exit status 0")])
def test_a_main_process_that_ends_without_returning_crashed(status: int, text: str) -> None:
    assert decide(evidence(status=status)).text() == f"crash: MainProcess ended with {text}"


def test_a_main_process_that_fails_after_returning_crashed() -> None:
    outcome = decide(evidence(RETURNED, status=120))
    assert (outcome.kind, outcome.detail["why"]) == ("crash", "after the program returned")


def test_a_thread_that_raised_is_no_value() -> None:
    outcome = decide(evidence(raised(MAIN, thread="QueueFeederThread"), RETURNED))
    assert outcome.detail["process"] == "P-1, thread QueueFeederThread"


DUMP = """Thread 0x1 (most recent call first):
  File "/lib/q.py", line 9 in _feed

Current thread 0x2 (most recent call first):
  File "{lib}/multiprocessing/popen_fork.py", line 27 in poll
  File "/home/me/prog.py", line 25 in hang
"""


def stack(pid: int, role: str = "process", text: str = "") -> Stack:
    return Stack(pid, 1, role, "S", "do_wait", "python", text)


def test_a_deadline_that_passed_is_a_hang_that_says_who_waits_where() -> None:
    import os

    dump = DUMP.format(lib=os.path.dirname(os.__file__))
    stacks = [stack(MAIN, text=dump), stack(CHILD), stack(99, "resource tracker")]
    outcome = decide(evidence(STARTED, status=None, stacks=stacks, deadline_s=1.5))
    assert outcome.detail["phase"] == "program"
    assert (
        outcome.detail["summary"]
        == "after 1.5 s MainProcess waits for a process to end at prog.py:25; P-1 gave no stack"
    )
    assert len(outcome.detail["processes"]) == 3  # type: ignore[arg-type]  # a list


def test_a_hang_comes_before_the_exception_that_brought_it_about_and_names_it() -> None:
    outcome = decide(evidence(STARTED, raised(CHILD), status=None, stacks=[stack(MAIN)]))
    assert outcome.kind == "hang"
    assert "ValueError" in outcome.text()


def test_a_hang_after_the_return_is_one_at_exit() -> None:
    outcome = decide(evidence(STARTED, RETURNED, status=None, stacks=[stack(MAIN), stack(CHILD)]))
    assert outcome.detail["phase"] == "exit"


def test_threads_that_keep_it_alive_are_a_leak() -> None:
    outcome = decide(evidence({**RETURNED, "threads": ["poller"]}, status=None, stacks=[stack(MAIN)]))
    assert (outcome.kind, outcome.detail["threads"]) == ("leak", ["poller"])


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"left_processes": ["sleep 9"]}, "processes"),
        ({"left_segments": ["/psm_1"]}, "segments"),
        ({"left_semaphores": ["/mp-1"]}, "semaphores"),
        ({"stderr": "There appear to be 2 leaked semaphore objects to clean up at shutdown: {'/mp-1'}"}, "semaphores"),
        ({"stderr": "There appear to be 1 leaked shared_memory objects to clean up at shutdown"}, "segments"),
    ],
)
def test_what_is_left_behind_is_a_leak(more: dict[str, Any], kind: str) -> None:
    outcome = decide(evidence(RETURNED, **more))
    assert (outcome.kind, bool(outcome.detail[kind])) == ("leak", True)


def test_descriptors_left_open_are_a_leak() -> None:
    outcome = decide(evidence({**RETURNED, "descriptors": [[5, "/dev/null"]]}))
    assert outcome.text() == "leak: 1 descriptor (5 -> /dev/null)"


def test_a_failure_comes_before_a_leak() -> None:
    assert decide(evidence(STARTED, reaped(CHILD, 3), RETURNED, left_segments=["/psm_1"])).kind == "crash"


def test_warnings_are_those_of_python_and_its_tracker_once_each() -> None:
    warned = {"event": "warned", "pid": MAIN, "type": "DeprecationWarning", "message": "process (pid=7) is threaded"}
    stderr = (
        "/lib/resource_tracker.py:1: UserWarning: resource_tracker: 1 leaked: {'/psm_ab12'}\n"
        "  warnings.warn('resource_tracker: %d leaked')\n"
    )
    found = warnings_of(evidence(warned, {**warned, "message": "process (pid=8) is threaded"}, stderr=stderr), "fork")
    assert found == [
        "DeprecationWarning: process (pid=…) is threaded",
        "resource_tracker: 1 leaked: {'/psm-…'}",
    ]


def test_a_start_method_that_the_program_chose_itself_is_said() -> None:
    (found,) = warnings_of(evidence({**STARTED, "method": "fork"}), "spawn")
    assert "under fork by itself" in found
