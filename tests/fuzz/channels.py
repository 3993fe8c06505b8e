"""Pipes and queues of `multiprocessing`, and the pipes and counters of the system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.fuzz.locks import condition, notifies, waits
from tests.fuzz.steps import (
    END,
    FORK_ALONE,
    NONE,
    RAISED,
    Act,
    Kind,
    Operation,
    State,
    Timed,
    World,
    acquire,
    append,
    attempt,
    do,
    down,
    free,
    go,
    look,
    observed,
    operation,
    release,
    show,
    shown,
    take,
    trying,
    trying_to_show,
    up,
    when,
)


def _buffer(value: int) -> Act:
    """Append to the buffer of a process, which its feeder sends."""

    def step(_: World, me: int, o: State) -> bool:
        o["buffers"][me].append(value)
        return True

    return step


def _wait_until(condition: str) -> Act:
    return lambda _, __, o: bool(o[condition])


def _is_sent(o: State) -> bool:
    return bool(o["sent"])


def _task_done(w: World, me: int, o: State) -> bool | str:
    w.observe(me, 1 if o["tasks"] else RAISED)
    if not o["tasks"]:
        return "told"
    o["tasks"] -= 1
    return True


def _moved(w: World, me: int, o: State, most: int) -> bool:
    """Read at most so many bytes, and observe how many came."""
    if not o["sent"]:
        return False
    w.observe(me, min(most, len(o["sent"])))
    del o["sent"][:most]
    return True


def _counter_read(w: World, me: int, o: State) -> bool:
    if not o["v"]:
        return False
    w.observe(me, o["v"])
    o["v"] = 0
    return True


_GET = (acquire("R"), take(), release("R"), up("count"), show())

_GET_NOWAIT = (
    attempt(acquire("R"), "none"),
    when("found", _is_sent),
    release("R"),
    go("none"),
    "found",
    take(),
    up("count"),
    release("R"),
    show(),
    go(END),
    "none",
    observed(NONE),
)

_GET_1S = (
    Timed(acquire("R"), "none"),
    Timed(_wait_until("sent"), "empty", 1),
    take(),
    up("count"),
    release("R"),
    show(),
    go(END),
    "empty",
    release("R"),
    "none",
    observed(NONE),
)


def _queue(room: int, lanes: int) -> State:
    return {"sent": [], **free("R"), "count": room, "buffers": [[] for _ in range(lanes)]}


KINDS: Mapping[str, Kind] = {
    "pipe": Kind("mp.Pipe(duplex=False)", lambda _: {"sent": []}, cleared="while {o}[0].poll(): {o}[0].recv()"),
    "duplex": Kind(
        "mp.Pipe()",
        lambda _: {"sent": [], "back": []},
        cleared="for one in {o}:\n            while one.poll(): one.recv_bytes()",
    ),
    "simple": Kind("mp.SimpleQueue()", lambda _: {"sent": [], **free("R")}, cleared="while not {o}.empty(): {o}.get()"),
    "queue": Kind("mp.Queue(2)", lambda lanes: _queue(2, lanes)),
    "joinable": Kind("mp.JoinableQueue()", lambda lanes: {**_queue(99, lanes), **condition(), "tasks": 0}),
    "descriptors": Kind("os.pipe()", lambda _: {"sent": []}, methods=FORK_ALONE),
    "counter": Kind("os.eventfd(0)", lambda _: {"v": 0}, methods=FORK_ALONE),
    "counting": Kind("os.eventfd(1, os.EFD_SEMAPHORE | os.EFD_NONBLOCK)", lambda _: {"v": 1}, methods=FORK_ALONE),
}

OPERATIONS: Sequence[Operation] = (
    operation("pipe", "send", "{o}[1].send(3)", append("sent", 3)),
    operation("pipe", "receive", shown("{o}[0].recv()"), take(), show()),
    operation("pipe", "poll", shown("{o}[0].poll()"), look(_is_sent)),
    operation(
        "pipe",
        "poll 1 s",
        shown("{o}[0].poll(1)"),
        Timed(_wait_until("sent"), "none"),
        observed(1),
        go(END),
        "none",
        observed(0),
    ),
    operation("duplex", "send", "{o}[1].send_bytes(b'1')", append("sent", 1)),
    operation("duplex", "send back", "{o}[0].send_bytes(b'2')", append("back", 2)),
    operation("duplex", "receive", shown("int({o}[0].recv_bytes())"), take(), show()),
    operation("duplex", "receive back", shown("int({o}[1].recv_bytes())"), take("back"), show()),
    operation("simple", "put", "{o}.put(4)", append("sent", 4)),
    operation("simple", "get", shown("{o}.get()"), acquire("R"), take(), release("R"), show()),
    operation("simple", "empty", shown("{o}.empty()"), look(lambda o: not o["sent"])),
    operation("queue", "put", "{o}.put(5)", down("count"), _buffer(5)),
    operation(
        "queue",
        "put_nowait",
        ("try:", "    {o}.put_nowait(6)", "except queue.Full:", f"    n = n * 10 + {NONE}"),
        attempt(down("count"), "full"),
        _buffer(6),
        go(END),
        "full",
        observed(NONE),
    ),
    operation(
        "queue",
        "put within 1 s",
        ("try:", "    {o}.put(7, timeout=1)", "except queue.Full:", f"    n = n * 10 + {NONE}"),
        Timed(down("count"), "full"),
        _buffer(7),
        go(END),
        "full",
        observed(NONE),
    ),
    operation("queue", "get", shown("{o}.get()"), *_GET),
    operation("queue", "get_nowait", trying_to_show("{o}.get_nowait()", "queue.Empty", NONE), *_GET_NOWAIT),
    operation("queue", "get within 1 s", trying_to_show("{o}.get(timeout=1)", "queue.Empty", NONE), *_GET_1S),
    operation("queue", "empty", shown("{o}.empty()"), look(lambda o: not o["sent"])),
    operation("queue", "qsize", shown("{o}.qsize()"), look(lambda o: 2 - o["count"])),
    operation("queue", "full", shown("{o}.full()"), look(lambda o: not o["count"])),
    operation(
        "joinable",
        "put",
        "{o}.put(7)",
        down("count"),
        acquire("L"),
        _buffer(7),
        up("tasks"),
        release("L"),
    ),
    operation("joinable", "get", shown("{o}.get()"), *_GET),
    operation(
        "joinable",
        "task_done",
        trying("{o}.task_done()"),
        acquire("L"),
        _task_done,
        when("told", lambda o: o["tasks"] > 0),
        *notifies(),
        "told",
        release("L"),
    ),
    operation(
        "joinable",
        "join",
        ("{o}.join()", "n = n * 10 + 1"),
        acquire("L"),
        when("none", lambda o: not o["tasks"]),
        *waits("wait"),
        "none",
        release("L"),
        observed(1),
    ),
    operation("descriptors", "write", "os.write({o}[1], b'x')", append("sent", 1)),
    operation("descriptors", "write 2", "os.write({o}[1], b'xy')", do(lambda o: o["sent"].extend((1, 1)))),
    operation("descriptors", "read", shown("len(os.read({o}[0], 1))"), lambda w, me, o: _moved(w, me, o, 1)),
    operation("descriptors", "read 2", shown("len(os.read({o}[0], 2))"), lambda w, me, o: _moved(w, me, o, 2)),
    operation("counter", "write", "os.eventfd_write({o}, 2)", do(lambda o: o.__setitem__("v", o["v"] + 2))),
    operation("counter", "read", shown("os.eventfd_read({o})"), _counter_read),
    operation("counting", "write", "os.eventfd_write({o}, 1)", up("v")),
    operation(
        "counting",
        "read",
        trying_to_show("os.eventfd_read({o})", "BlockingIOError", NONE),
        attempt(down("v"), "none"),
        observed(1),
        go(END),
        "none",
        observed(NONE),
    ),
)
