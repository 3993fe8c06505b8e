"""Locks, semaphores, conditions, events and barriers, as `multiprocessing.synchronize` and `threading` make them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tests.fuzz.steps import (
    END,
    RAISED,
    Act,
    Kind,
    Operation,
    State,
    Timed,
    World,
    acquire,
    attempt,
    do,
    down,
    free,
    go,
    look,
    note,
    observed,
    operation,
    release,
    show,
    shown,
    store,
    tried,
    tried_for,
    trying,
    up,
    when,
)

TRIED = (shown("got"), "if got:", "    {o}.release()")


_RELEASE = (when("full", lambda o: o["count"] >= 1), up("count"), observed(1), go(END), "full", observed(RAISED))
"""Of a semaphore of at most 1: `Modules/_multiprocessing/semaphore.c` looks at its value before it adds to it."""


def _released_by_owner(w: World, me: int, o: State) -> bool | str:
    w.observe(me, 1 if o["L"] == me else RAISED)
    return release("L")(w, me, o) if o["L"] == me else True


# Conditions: a wait is counted in one semaphore, ended by another, and its end is counted in a third.


def condition() -> State:
    """Return the state of a condition that nobody waits for."""
    return {**free("L"), "sleeping": 0, "woken": 0, "wait": 0}


def waits(name: str, seconds: int | None = 0) -> tuple[Act | str, ...]:
    """Return the steps of a wait, which notes in `got` whether it was woken.

    Args:
        name: one that no other wait of the operation has.
        seconds: the timeout, 0 for none; `None` ends it when `end` says.
    """
    wait = down("wait") if seconds == 0 else Timed(down("wait"), f"{name} late", seconds)
    return (
        up("sleeping"),
        release("L"),
        wait,
        note("got", lambda _: 1),
        go(f"{name} awake"),
        f"{name} late",
        note("got", lambda _: 0),
        f"{name} awake",
        up("woken"),
        acquire("L"),
    )


def _sleepers(change: Callable[[int], int]) -> Act:
    def step(w: World, me: int, _: State) -> bool:
        w.notes[me]["sleepers"] = change(w.notes[me].get("sleepers", 0))
        return True

    return step


def _sleepers_or(most: int, then: str) -> Act:
    return lambda w, me, _: then if w.notes[me]["sleepers"] >= most else True


def notifies(most: int = 99, name: str = "notify") -> tuple[Act | str, ...]:
    """Return the steps of a notification of at most so many."""
    return (
        f"{name} recount",
        attempt(down("woken"), f"{name} counted"),
        down("sleeping"),
        go(f"{name} recount"),
        f"{name} counted",
        _sleepers(lambda _: 0),
        f"{name} more",
        _sleepers_or(most, f"{name} await"),
        attempt(down("sleeping"), f"{name} await"),
        up("wait"),
        _sleepers(lambda count: count + 1),
        go(f"{name} more"),
        f"{name} await",
        lambda w, me, _: f"{name} done" if not w.notes[me]["sleepers"] else True,
        f"{name} next",
        down("woken"),
        _sleepers(lambda count: count - 1),
        lambda w, me, _: f"{name} next" if w.notes[me]["sleepers"] else True,
        f"{name} rezero",
        attempt(down("wait"), f"{name} done"),
        go(f"{name} rezero"),
        f"{name} done",
    )


def _end_after(seconds: int) -> Act:
    def step(w: World, me: int, _: State) -> bool:
        w.notes[me]["end"] = w.now + seconds
        return True

    return step


def _saw_or(then: str) -> Act:
    return lambda w, me, _: then if w.notes[me]["saw"] else True


def _late_or(then: str) -> Act:
    return lambda w, me, _: then if w.now >= w.notes[me]["end"] else True


# Barriers: who enters counts up, the last one lets the others out, and each counts down again.

_FILLING, _DRAINING, _RESETTING, _BROKEN = 0, 1, -1, -2


def _enters(then: str, otherwise: str) -> Act:
    """Count up; go on elsewhere by whether all are there."""

    def step(w: World, me: int, o: State) -> str:
        o["count"] += 1
        return then if w.notes[me]["index"] + 1 == o["parties"] else otherwise

    return step


def _barrier_wait(seconds: int) -> tuple[Act | str, ...]:
    sleep = waits("filling", None if seconds else 0)
    return (
        acquire("L"),
        "enter",
        when("entered", lambda o: o["state"] not in (_RESETTING, _DRAINING)),
        *waits("entering"),
        go("enter"),
        "entered",
        when("refused", lambda o: o["state"] < 0),
        note("index", lambda o: o["count"]),
        _enters("last", "wait"),
        "last",
        store("state", _DRAINING),
        *notifies(name="let out"),
        go("out"),
        "wait",
        _end_after(seconds),
        "look",
        when("let out", lambda o: o["state"] != _FILLING),
        _late_or("too late") if seconds else (lambda w, me, o: True),
        *sleep,
        go("look"),
        "too late",
        store("state", _BROKEN),
        *notifies(name="break"),
        "let out",
        when("broken", lambda o: o["state"] < 0),
        "out",
        note("saw", lambda _: 1),
        go("leave"),
        "broken",
        note("saw", lambda _: 0),
        "leave",
        do(lambda o: o.__setitem__("count", o["count"] - 1)),
        when("left", lambda o: o["count"] > 0 or o["state"] not in (_RESETTING, _DRAINING)),
        store("state", _FILLING),
        *notifies(name="drained"),
        "left",
        release("L"),
        lambda w, me, o: show("index")(w, me, o) if w.notes[me]["saw"] else observed(RAISED)(w, me, o),
        go(END),
        "refused",
        release("L"),
        observed(RAISED),
    )


KINDS: Mapping[str, Kind] = {
    "lock": Kind("mp.Lock()", lambda _: free("L")),
    "open lock": Kind("mp.Lock()", lambda _: {"count": 1}, held=lambda o: not o["count"]),
    "rlock": Kind("mp.RLock()", lambda _: free("L"), held=lambda o: o["L"] is not None),
    "semaphore": Kind("mp.Semaphore(1)", lambda _: {"count": 1}),
    "bounded": Kind("mp.BoundedSemaphore(1)", lambda _: {"count": 1}),
    "event": Kind("mp.Event()", lambda _: {"flag": 0, **condition()}),
    "condition": Kind('(mp.Condition(), mp.RawValue("i", 0))', lambda _: {"v": 0, **condition()}),
    "barrier": Kind(
        "mp.Barrier({actors})", lambda actors: {"count": 0, "state": _FILLING, "parties": actors, **condition()}
    ),
}

OPERATIONS: Sequence[Operation] = (
    operation("lock", "hold", ("with {o}:", "    n = n * 10 + 1"), acquire("L"), observed(1), release("L")),
    operation("lock", "try", ("got = {o}.acquire(False)", *TRIED), *tried("L")),
    operation("lock", "try for 1 s", ("got = {o}.acquire(timeout=1)", *TRIED), *tried_for("L", 1)),
    operation(
        "lock",
        "hold for 1 s",
        ("with {o}:", "    time.sleep(1)"),
        acquire("L"),
        Timed(lambda w, me, o: False, "slept", 1),
        "slept",
        release("L"),
    ),
    operation("open lock", "acquire", "{o}.acquire()", down("count")),
    operation("open lock", "release", trying("{o}.release()"), *_RELEASE),
    operation(
        "rlock",
        "hold twice",
        ("with {o}, {o}:", "    n = n * 10 + 1"),
        acquire("L"),
        acquire("L"),
        observed(1),
        release("L"),
        release("L"),
    ),
    operation("rlock", "try", ("got = {o}.acquire(False)", *TRIED), *tried("L")),
    operation("rlock", "acquire", "{o}.acquire()", acquire("L")),
    operation("rlock", "release", trying("{o}.release()", "AssertionError"), _released_by_owner),
    operation("semaphore", "acquire", "{o}.acquire()", down("count")),
    operation(
        "semaphore",
        "try",
        shown("{o}.acquire(False)"),
        attempt(down("count"), "no"),
        observed(1),
        go(END),
        "no",
        observed(0),
    ),
    operation(
        "semaphore",
        "try for 1 s",
        shown("{o}.acquire(True, 1)"),
        Timed(down("count"), "no"),
        observed(1),
        go(END),
        "no",
        observed(0),
    ),
    operation("semaphore", "release", "{o}.release()", up("count")),
    operation("semaphore", "get_value", shown("{o}.get_value()"), look(lambda o: o["count"])),
    operation("bounded", "acquire", "{o}.acquire()", down("count")),
    operation("bounded", "release", trying("{o}.release()"), *_RELEASE),
    operation(
        "event",
        "set",
        "{o}.set()",
        acquire("L"),
        attempt(down("flag"), "up"),
        "up",
        up("flag"),
        *notifies(),
        release("L"),
    ),
    operation("event", "clear", "{o}.clear()", acquire("L"), attempt(down("flag"), "out"), "out", release("L")),
    operation("event", "is_set", shown("{o}.is_set()"), acquire("L"), look(lambda o: o["flag"]), release("L")),
    operation(
        "event",
        "wait",
        shown("{o}.wait()"),
        acquire("L"),
        when("is set", lambda o: o["flag"] > 0),
        *waits("wait"),
        "is set",
        look(lambda o: o["flag"]),
        release("L"),
    ),
    operation(
        "event",
        "wait 1 s",
        shown("{o}.wait(1)"),
        acquire("L"),
        when("is set", lambda o: o["flag"] > 0),
        *waits("wait", 1),
        "is set",
        look(lambda o: o["flag"]),
        release("L"),
    ),
    operation(
        "condition",
        "wait for it",
        ("with {o}[0]:", "    while not {o}[1].value:", "        {o}[0].wait()", "    n = n * 10 + 1"),
        acquire("L"),
        "look",
        when("there", lambda o: o["v"] > 0),
        *waits("wait"),
        go("look"),
        "there",
        observed(1),
        release("L"),
    ),
    operation(
        "condition",
        "wait_for it 1 s",
        ("with {o}[0]:", "    n = n * 10 + {o}[0].wait_for(lambda: {o}[1].value, 1)"),
        acquire("L"),
        note("saw", lambda o: o["v"]),
        _saw_or("there"),
        _end_after(1),
        "look",
        _late_or("there"),
        *waits("wait", None),
        note("saw", lambda o: o["v"]),
        _saw_or("there"),
        go("look"),
        "there",
        show(),
        release("L"),
    ),
    operation(
        "condition",
        "wait 1 s",
        ("with {o}[0]:", "    n = n * 10 + {o}[0].wait(1)"),
        acquire("L"),
        *waits("wait", 1),
        show("got"),
        release("L"),
    ),
    operation(
        "condition",
        "notify",
        ("with {o}[0]:", "    {o}[0].notify()"),
        acquire("L"),
        *notifies(1),
        release("L"),
    ),
    operation(
        "condition",
        "set and notify one",
        ("with {o}[0]:", "    {o}[1].value = 1", "    {o}[0].notify()"),
        acquire("L"),
        store("v", 1),
        *notifies(1),
        release("L"),
    ),
    operation(
        "condition",
        "set and notify all",
        ("with {o}[0]:", "    {o}[1].value = 1", "    {o}[0].notify_all()"),
        acquire("L"),
        store("v", 1),
        *notifies(),
        release("L"),
    ),
    operation("condition", "set without notice", "{o}[1].value = 1", store("v", 1)),
    operation(
        "condition",
        "notify without its lock",
        trying("{o}[0].notify()", "(AssertionError, RuntimeError)"),
        observed(RAISED),
    ),
    operation(
        "barrier",
        "wait",
        ("try:", "    n = n * 10 + {o}.wait()", "except threading.BrokenBarrierError:", f"    n = n * 10 + {RAISED}"),
        *_barrier_wait(0),
    ),
    operation(
        "barrier",
        "wait 1 s",
        ("try:", "    n = n * 10 + {o}.wait(1)", "except threading.BrokenBarrierError:", f"    n = n * 10 + {RAISED}"),
        *_barrier_wait(1),
    ),
    operation("barrier", "abort", "{o}.abort()", acquire("L"), store("state", _BROKEN), *notifies(), release("L")),
    operation(
        "barrier",
        "reset",
        "{o}.reset()",
        acquire("L"),
        when("empty", lambda o: o["count"] == 0),
        when("told", lambda o: o["state"] not in (_FILLING, _BROKEN)),
        store("state", _RESETTING),
        go("told"),
        "empty",
        store("state", _FILLING),
        "told",
        *notifies(),
        release("L"),
    ),
    operation(
        "barrier",
        "n_waiting",
        shown("{o}.n_waiting"),
        when("other", lambda o: o["state"] != _FILLING),
        look(lambda o: o["count"]),
        go(END),
        "other",
        observed(0),
    ),
    operation("barrier", "broken", shown("{o}.broken"), look(lambda o: o["state"] == _BROKEN)),
)
