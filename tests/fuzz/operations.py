"""What the actors of a random scenario do: each operation as Python, and as the steps that CPython makes of it.

The steps are written down from CPython's sources (`Lib/multiprocessing`, `Modules/_multiprocessing`), for plain state
in one process, and share no code with the bench. Between any two of them any other process may run.

A step is a function of the world and of who takes it. It returns `True` when it is done, `False` while it would block,
or the number of the step to go on with. What an actor observes are digits of a number, `n = n * 10 + digit`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

NONE, RAISED = 8, 9
"""Digits for what an operation found nothing for, and for what it raised."""

END = -1
"""The number of the step after the last."""


@dataclass
class World:
    """The state of a scenario in between two steps."""

    objects: list[dict[str, Any]]
    numbers: list[int]
    saw: list[int]
    at: list[tuple[int, int]] = field(default_factory=list)

    def observe(self, me: int, digit: int) -> None:
        """Append a digit to what an actor has observed."""
        self.numbers[me] = self.numbers[me] * 10 + digit


Step = Callable[[World, int], "bool | int"]


@dataclass(frozen=True)
class Operation:
    """An operation on an object of one kind: its lines in Python, with `{o}` for the object, and its steps."""

    kind: str
    name: str
    lines: tuple[str, ...]
    steps: Callable[[int], Sequence[Step]]


@dataclass(frozen=True)
class Kind:
    """A kind of object: how it is made, its state in the simulator, and what `result` does with it at the end."""

    made: str
    state: Callable[[int], dict[str, Any]]
    final: str = ""
    cleared: str = ""
    methods: tuple[str, ...] = ("fork", "spawn", "forkserver")


def _on(number: int, do: Callable[[World, int, dict[str, Any]], bool | int]) -> Step:
    return lambda world, me: do(world, me, world.objects[number])


def _plain(*steps: Callable[[World, int, dict[str, Any]], bool | int]) -> Callable[[int], Sequence[Step]]:
    return lambda number: [_on(number, step) for step in steps]


# Locks, as steps: a recursive one knows its owner.


def _acquire(name: str) -> Callable[[World, int, dict[str, Any]], bool | int]:
    def step(_: World, me: int, o: dict[str, Any]) -> bool:
        if o[name] not in (None, me):
            return False
        o[name], o[name + "#"] = me, o.get(name + "#", 0) + 1
        return True

    return step


def _release(name: str) -> Callable[[World, int, dict[str, Any]], bool | int]:
    def step(_: World, __: int, o: dict[str, Any]) -> bool:
        o[name + "#"] -= 1
        if not o[name + "#"]:
            o[name] = None
        return True

    return step


def _load(w: World, me: int, o: dict[str, Any]) -> bool:
    w.saw[me] = o["v"]
    return True


def _store(value: int) -> Callable[[World, int, dict[str, Any]], bool | int]:
    def step(_: World, __: int, o: dict[str, Any]) -> bool:
        o["v"] = value
        return True

    return step


def _add(w: World, me: int, o: dict[str, Any]) -> bool:
    o["v"] = w.saw[me] + 1
    return True


def _show(w: World, me: int, _: dict[str, Any]) -> bool:
    w.observe(me, w.saw[me])
    return True


def _told(digit: int) -> Callable[[World, int, dict[str, Any]], bool | int]:
    def step(w: World, me: int, _: dict[str, Any]) -> bool:
        w.observe(me, digit)
        return True

    return step


def _look(of: Callable[[dict[str, Any]], int]) -> Callable[[World, int, dict[str, Any]], bool | int]:
    def step(w: World, me: int, o: dict[str, Any]) -> bool:
        w.observe(me, of(o))
        return True

    return step


def _item(index: int, value: int | None) -> Callable[[World, int, dict[str, Any]], bool | int]:
    def step(w: World, me: int, o: dict[str, Any]) -> bool:
        if value is None:
            w.observe(me, o["items"][index])
        else:
            o["items"][index] = value
        return True

    return step


def _try(name: str, otherwise: int) -> Callable[[World, int, dict[str, Any]], bool | int]:
    """Acquire if that is possible now, else go on elsewhere."""

    def step(w: World, me: int, o: dict[str, Any]) -> bool | int:
        return _acquire(name)(w, me, o) or otherwise

    return step


# Semaphores.


def _down(_: World, __: int, o: dict[str, Any]) -> bool:
    if not o["count"]:
        return False
    o["count"] -= 1
    return True


def _try_down(w: World, me: int, o: dict[str, Any]) -> bool:
    w.observe(me, int(_down(w, me, o)))
    return True


def _up(most: int | None) -> Callable[[World, int, dict[str, Any]], bool | int]:
    def step(w: World, me: int, o: dict[str, Any]) -> bool:
        raised = most is not None and o["count"] >= most
        o["count"] += not raised
        w.observe(me, RAISED if raised else 1)
        return True

    return step


# Events and conditions: who waits is woken by a notification, and then takes the lock again.


def _sleep(_: World, me: int, o: dict[str, Any]) -> bool:
    o["asleep"].append(me)
    o["L"], o["L#"] = None, 0
    return True


def _woken(_: World, me: int, o: dict[str, Any]) -> bool:
    return me not in o["asleep"]


def _wake(every: bool) -> Callable[[World, int, dict[str, Any]], bool | int]:  # of two kinds of steps
    def step(_: World, __: int, o: dict[str, Any]) -> bool:
        # Which of several sleepers a semaphore wakes is not said; scenes have one that can be woken by one.
        o["asleep"] = [] if every else o["asleep"][1:]
        return True

    return step


def _flag_or(then: int, otherwise: int) -> Callable[[World, int, dict[str, Any]], bool | int]:
    return lambda _, __, o: then if o["v"] else otherwise


# Barriers: `wait` counts up under the lock; the last one lets the others out, and each counts down again.


def _enter(w: World, me: int, o: dict[str, Any]) -> bool | int:
    if o["state"]:  # still let out from before: scenes pass a barrier once, so that does not happen
        return False
    w.saw[me] = o["count"]
    o["count"] += 1
    return 2 if w.saw[me] + 1 == o["parties"] else 4


def _let_out(_: World, __: int, o: dict[str, Any]) -> bool:
    o["state"], o["asleep"] = 1, []
    return True


def _leave(w: World, me: int, o: dict[str, Any]) -> bool:
    o["count"] -= 1
    if not o["count"]:
        o["state"] = 0
    w.observe(me, w.saw[me])
    return True


def _state_of(w: World, me: int, o: dict[str, Any]) -> bool | int:
    if o["state"]:
        w.observe(me, 0)
        return END
    return True


# Channels.


def _send(value: int) -> Callable[[World, int, dict[str, Any]], bool | int]:
    def step(_: World, __: int, o: dict[str, Any]) -> bool:
        o["sent"].append(value)
        return True

    return step


def _receive(w: World, me: int, o: dict[str, Any]) -> bool:
    if not o["sent"]:
        return False
    w.saw[me] = o["sent"].pop(0)
    return True


def _none_sent(then: int) -> Callable[[World, int, dict[str, Any]], bool | int]:
    return lambda _, __, o: True if o["sent"] else then


def _buffer(value: int) -> Callable[[World, int, dict[str, Any]], bool | int]:
    def step(_: World, me: int, o: dict[str, Any]) -> bool:
        o["buffers"][me].append(value)
        return True

    return step


def _try_room(w: World, me: int, o: dict[str, Any]) -> bool | int:
    if not o["count"]:
        w.observe(me, NONE)
        return END
    o["count"] -= 1
    return True


def _make_room(_: World, __: int, o: dict[str, Any]) -> bool:
    o["count"] += 1
    return True


# Tasks of a joinable queue: the count of those unfinished goes up with the put, under one lock, and down when done.


def _task(_: World, __: int, o: dict[str, Any]) -> bool:
    o["tasks"] += 1
    return True


def _done(w: World, me: int, o: dict[str, Any]) -> bool:
    w.observe(me, 1 if o["tasks"] else RAISED)
    if o["tasks"]:
        o["tasks"] -= 1
        o["asleep"] = o["asleep"] if o["tasks"] else []
    return True


def _none_left(then: int) -> Callable[[World, int, dict[str, Any]], bool | int]:
    return lambda _, __, o: True if o["tasks"] else then


# Names in a folder.


def _name(do: Callable[[set[str]], bool]) -> Callable[[World, int, dict[str, Any]], bool | int]:
    def step(w: World, me: int, o: dict[str, Any]) -> bool:
        names = set(o["names"])
        w.observe(me, 1 if do(names) else RAISED)
        o["names"] = sorted(names)
        return True

    return step


def _mkdir(names: set[str]) -> bool:
    fresh = "d" not in names
    names.add("d")
    return fresh


def _rmdir(names: set[str]) -> bool:
    able = "d" in names and "d/f" not in names
    names -= {"d"} if able else set()
    return able


def _create(names: set[str]) -> bool:
    able = "d" in names and "d/f" not in names
    names |= {"d/f"} if able else set()
    return able


def _unlink(names: set[str]) -> bool:
    able = "d/f" in names
    names.discard("d/f")
    return able


SHOWN = "n = n * 10 + {}"
"""The line that observes."""


def _lines(*lines: str) -> tuple[str, ...]:
    return lines


def _trying(call: str) -> tuple[str, ...]:
    return ("try:", f"    {call}", "    n = n * 10 + 1", "except (OSError, ValueError):", f"    n = n * 10 + {RAISED}")


_QUEUE_GET = (_acquire("R"), _receive, _release("R"), _make_room, _show)

_JOIN = (_acquire("L"), _none_left(5), _sleep, _woken, _acquire("L"), _release("L"), _told(1))

KINDS: Mapping[str, Kind] = {
    "raw": Kind('mp.RawValue("i", 0)', lambda _: {"v": 0}, "{o}.value"),
    "value": Kind('mp.Value("i", 0)', lambda _: {"v": 0, "G": None, "G#": 0}, "{o}.value"),
    "array": Kind('mp.RawArray("i", 2)', lambda _: {"items": [0, 0]}, "{o}[0] * 10 + {o}[1]"),
    "lock": Kind("mp.Lock()", lambda _: {"L": None, "L#": 0, "v": 0}),
    "rlock": Kind("mp.RLock()", lambda _: {"L": None, "L#": 0}),
    "semaphore": Kind("mp.Semaphore(1)", lambda _: {"count": 1}),
    "bounded": Kind("mp.BoundedSemaphore(1)", lambda _: {"count": 1}),
    "event": Kind("mp.Event()", lambda _: {"v": 0, "L": None, "L#": 0, "asleep": []}),
    "condition": Kind("mp.Condition()", lambda _: {"v": 0, "L": None, "L#": 0, "asleep": []}),
    "barrier": Kind(
        "mp.Barrier({actors})",
        lambda actors: {"L": None, "L#": 0, "count": 0, "state": 0, "asleep": [], "parties": actors},
    ),
    "pipe": Kind("mp.Pipe(duplex=False)", lambda _: {"sent": []}, cleared="while {o}[0].poll(): {o}[0].recv()"),
    "simple": Kind(
        "mp.SimpleQueue()", lambda _: {"sent": [], "R": None, "R#": 0}, cleared="while not {o}.empty(): {o}.get()"
    ),
    "queue": Kind(
        "mp.Queue(2)",
        lambda actors: {"sent": [], "R": None, "R#": 0, "count": 2, "buffers": [[] for _ in range(actors)]},
    ),
    "folder": Kind("tempfile.mkdtemp()", lambda _: {"names": []}),
    "segment": Kind("shared_memory.SharedMemory(create=True, size=8)", lambda _: {"v": 0}, "{o}.buf[0]"),
    "joinable": Kind(
        "mp.JoinableQueue()",
        lambda actors: {
            "sent": [],
            "R": None,
            "R#": 0,
            "count": 99,
            "L": None,
            "L#": 0,
            "asleep": [],
            "tasks": 0,
            "buffers": [[] for _ in range(actors)],
        },
    ),
    "file lock": Kind("tempfile.mkdtemp()", lambda _: {"L": None, "L#": 0, "v": 0}),
    "descriptors": Kind("os.pipe()", lambda _: {"sent": []}, methods=("fork",)),
}
"""Kinds of objects; descriptors mean nothing to processes that are not forked."""

OPERATIONS: Sequence[Operation] = (
    Operation("raw", "get", _lines(SHOWN.format("{o}.value")), _plain(_load, _show)),
    Operation("raw", "set", _lines("{o}.value = 2"), _plain(_store(2))),
    Operation("raw", "add", _lines("{o}.value += 1"), _plain(_load, _add)),
    Operation("value", "get", _lines(SHOWN.format("{o}.value")), _plain(_acquire("G"), _load, _release("G"), _show)),
    Operation("value", "set", _lines("{o}.value = 2"), _plain(_acquire("G"), _store(2), _release("G"))),
    Operation(
        "value",
        "add",
        _lines("{o}.value += 1"),
        _plain(_acquire("G"), _load, _release("G"), _acquire("G"), _add, _release("G")),
    ),
    Operation(
        "value",
        "add under its lock",
        _lines("with {o}.get_lock():", "    {o}.value += 1"),
        _plain(_acquire("G"), _load, _add, _release("G")),
    ),
    Operation(
        "value",
        "try its lock",
        _lines("got = {o}.get_lock().acquire(False)", SHOWN.format("got"), "if got:", "    {o}.get_lock().release()"),
        _plain(_try("G", 3), _told(1), lambda w, me, o: END if _release("G")(w, me, o) else False, _told(0)),
    ),
    Operation("array", "get 0", _lines(SHOWN.format("{o}[0]")), _plain(_item(0, None))),
    Operation("array", "get 1", _lines(SHOWN.format("{o}[1]")), _plain(_item(1, None))),
    Operation("array", "set 0", _lines("{o}[0] = 1"), _plain(_item(0, 1))),
    Operation("array", "set 1", _lines("{o}[1] = 1"), _plain(_item(1, 1))),
    Operation(
        "array", "slice", _lines("a, b = {o}[:]", "n = n * 100 + a * 10 + b"), _plain(_item(0, None), _item(1, None))
    ),
    Operation(
        "lock", "hold", _lines("with {o}:", "    n = n * 10 + 1"), _plain(_acquire("L"), _told(1), _release("L"))
    ),
    Operation(
        "lock",
        "try",
        _lines("got = {o}.acquire(False)", SHOWN.format("got"), "if got:", "    {o}.release()"),
        _plain(_try("L", 3), _told(1), lambda w, me, o: END if _release("L")(w, me, o) else False, _told(0)),
    ),
    Operation(
        "rlock",
        "hold twice",
        _lines("with {o}, {o}:", "    n = n * 10 + 1"),
        _plain(_acquire("L"), _acquire("L"), _told(1), _release("L"), _release("L")),
    ),
    Operation(
        "rlock",
        "try",
        _lines("got = {o}.acquire(False)", SHOWN.format("got"), "if got:", "    {o}.release()"),
        _plain(_try("L", 3), _told(1), lambda w, me, o: END if _release("L")(w, me, o) else False, _told(0)),
    ),
    Operation("semaphore", "acquire", _lines("{o}.acquire()"), _plain(_down)),
    Operation("semaphore", "try", _lines(SHOWN.format("{o}.acquire(False)")), _plain(_try_down)),
    Operation("semaphore", "release", _trying("{o}.release()"), _plain(_up(None))),
    Operation("bounded", "acquire", _lines("{o}.acquire()"), _plain(_down)),
    Operation("bounded", "release", _trying("{o}.release()"), _plain(_up(1))),
    Operation("event", "set", _lines("{o}.set()"), _plain(_acquire("L"), _store(1), _wake(True), _release("L"))),
    Operation("event", "clear", _lines("{o}.clear()"), _plain(_acquire("L"), _store(0), _release("L"))),
    Operation(
        "event", "is_set", _lines(SHOWN.format("{o}.is_set()")), _plain(_acquire("L"), _load, _release("L"), _show)
    ),
    Operation(
        "event",
        "wait",
        _lines(SHOWN.format("{o}.wait()")),
        _plain(_acquire("L"), _flag_or(5, 2), _sleep, _woken, _acquire("L"), _load, _release("L"), _show),
    ),
    Operation(
        "condition",
        "wait for it",
        _lines("with {o}:", "    while not self.flag.value:", "        {o}.wait()", "    n = n * 10 + 1"),
        _plain(
            _acquire("L"),
            _flag_or(5, 2),
            _sleep,
            _woken,
            lambda w, me, o: 1 if _acquire("L")(w, me, o) else False,
            _told(1),
            _release("L"),
        ),
    ),
    Operation(
        "condition",
        "set and notify",
        _lines("with {o}:", "    self.flag.value = 1", "    {o}.notify_all()"),
        _plain(_acquire("L"), _store(1), _wake(True), _release("L")),
    ),
    Operation(
        "barrier",
        "wait",
        _lines(SHOWN.format("{o}.wait()")),
        _plain(
            _acquire("L"),
            _enter,
            _let_out,
            lambda w, me, o: 7,
            _sleep,
            _woken,
            _acquire("L"),
            _leave,
            _release("L"),
        ),
    ),
    Operation(
        "barrier",
        "n_waiting",
        _lines(SHOWN.format("{o}.n_waiting")),
        _plain(_state_of, _look(lambda o: int(o["count"]))),
    ),
    Operation("pipe", "send", _lines("{o}[1].send(3)"), _plain(_send(3))),
    Operation("pipe", "receive", _lines(SHOWN.format("{o}[0].recv()")), _plain(_receive, _show)),
    Operation("pipe", "poll", _lines(SHOWN.format("{o}[0].poll()")), _plain(_look(lambda o: int(bool(o["sent"]))))),
    Operation("simple", "put", _lines("{o}.put(4)"), _plain(_send(4))),
    Operation(
        "simple", "get", _lines(SHOWN.format("{o}.get()")), _plain(_acquire("R"), _receive, _release("R"), _show)
    ),
    Operation("simple", "empty", _lines(SHOWN.format("{o}.empty()")), _plain(_look(lambda o: int(not o["sent"])))),
    Operation("queue", "put", _lines("{o}.put(5)"), _plain(_down, _buffer(5))),
    Operation(
        "queue",
        "put_nowait",
        ("try:", "    {o}.put_nowait(6)", "except queue.Full:", f"    n = n * 10 + {NONE}"),
        _plain(_try_room, _buffer(6)),
    ),
    Operation("queue", "get", _lines(SHOWN.format("{o}.get()")), _plain(*_QUEUE_GET)),
    Operation(
        "queue",
        "get_nowait",
        ("try:", "    n = n * 10 + {o}.get_nowait()", "except queue.Empty:", f"    n = n * 10 + {NONE}"),
        _plain(
            _try("R", 7),
            _none_sent(6),
            _receive,
            _make_room,
            _release("R"),
            lambda w, me, o: END if _show(w, me, o) else False,
            _release("R"),
            _told(NONE),
        ),
    ),
    Operation("queue", "empty", _lines(SHOWN.format("{o}.empty()")), _plain(_look(lambda o: int(not o["sent"])))),
    Operation("queue", "qsize", _lines(SHOWN.format("{o}.qsize()")), _plain(_look(lambda o: 2 - int(o["count"])))),
    Operation("queue", "full", _lines(SHOWN.format("{o}.full()")), _plain(_look(lambda o: int(not o["count"])))),
    Operation("folder", "mkdir", _trying('os.mkdir({o} + "/d")'), _plain(_name(_mkdir))),
    Operation("folder", "rmdir", _trying('os.rmdir({o} + "/d")'), _plain(_name(_rmdir))),
    Operation(
        "folder",
        "create",
        _trying('os.close(os.open({o} + "/d/f", os.O_CREAT | os.O_EXCL | os.O_WRONLY))'),
        _plain(_name(_create)),
    ),
    Operation("folder", "unlink", _trying('os.unlink({o} + "/d/f")'), _plain(_name(_unlink))),
    Operation(
        "folder",
        "exists",
        _lines(SHOWN.format('os.path.exists({o} + "/d/f")')),
        _plain(_look(lambda o: int("d/f" in o["names"]))),
    ),
    Operation("raw", "sleep", _lines("time.sleep(0)"), _plain(lambda w, me, o: True)),
    Operation("segment", "get", _lines(SHOWN.format("{o}.buf[0]")), _plain(_load, _show)),
    Operation("segment", "set", _lines("{o}.buf[0] = 2"), _plain(_store(2))),
    Operation("segment", "add", _lines("{o}.buf[0] += 1"), _plain(_load, _add)),
    Operation("joinable", "put", _lines("{o}.put(7)"), _plain(_down, _acquire("L"), _buffer(7), _task, _release("L"))),
    Operation("joinable", "get", _lines(SHOWN.format("{o}.get()")), _plain(*_QUEUE_GET)),
    Operation("joinable", "task_done", _trying("{o}.task_done()"), _plain(_acquire("L"), _done, _release("L"))),
    Operation(
        "joinable",
        "join",
        _lines("{o}.join()", "n = n * 10 + 1"),
        _plain(*_JOIN),
    ),
    Operation(
        "file lock",
        "hold",
        _lines("with open({o} + '/lock', 'w') as file:", "    fcntl.flock(file, fcntl.LOCK_EX)", "    n = n * 10 + 1"),
        _plain(_acquire("L"), _told(1), _release("L")),
    ),
    Operation(
        "file lock",
        "try",
        (
            "with open({o} + '/lock', 'w') as file:",
            "    try:",
            "        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)",
            "        n = n * 10 + 1",
            "    except BlockingIOError:",
            "        n = n * 10",
        ),
        _plain(_try("L", 3), _told(1), lambda w, me, o: END if _release("L")(w, me, o) else False, _told(0)),
    ),
    Operation("descriptors", "write", _lines("os.write({o}[1], b'x')"), _plain(_send(1))),
    Operation("descriptors", "read", _lines(SHOWN.format("len(os.read({o}[0], 1))")), _plain(_receive, _show)),
)
