"""What operations of random scenarios are made of: lines of Python, and the steps that CPython makes of them.

The steps are written down from CPython's sources (`Lib/multiprocessing`, `Lib/threading`, `Modules/_multiprocessing`),
for plain state in one process, and share no code with the bench. Between any two of them any other process may run.

A step is a function of the world, of who takes it and of the object's state. It returns `True` when it is done, `False`
while it would block, or the name of the step to go on with: a string among the steps names the one after it, and `END`
is after the last. What an actor observes are digits of a number, `n = n * 10 + digit`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

NONE, RAISED = 8, 9
"""Digits for what an operation found nothing for, and for what it raised."""

END = "end"
"""The name of the step after the last."""

State: TypeAlias = dict[str, Any]


@dataclass
class World:
    """The state of a scenario in between two steps.

    Attributes:
        objects: the state of each object.
        numbers: what each actor has observed.
        notes: what each lane remembers from step to step; lanes are the actors, then the processes that they start.
        at: the operation and the step at which each lane is; `None` before it has been started.
        now: the virtual time in seconds, which moves on where nobody else can.
        until: when the wait of each lane is over, where it has a timeout.
    """

    objects: list[State]
    numbers: list[int]
    notes: list[dict[str, Any]]
    at: list[tuple[int, int] | None]
    now: int = 0
    until: list[int] = field(default_factory=list)

    def observe(self, me: int, digit: int) -> None:
        """Append a digit to what an actor has observed."""
        self.numbers[me] = self.numbers[me] * 10 + digit


Act: TypeAlias = "Callable[[World, int, State], bool | str]"


@dataclass(frozen=True)
class Timed:
    """A step that is given up after some seconds, to go on at the step of a name; `None`: at the end that was noted."""

    act: Act
    otherwise: str
    seconds: int | None = 1

    def __call__(self, world: World, me: int, state: State) -> bool | str:
        """Take the step, or go on elsewhere if it is late."""
        return self.act(world, me, state) or (self.otherwise if world.now >= world.until[me] else False)


@dataclass(frozen=True)
class Operation:
    """An operation on an object of one kind: its lines in Python, with `{o}` for the object, and its steps.

    Attributes:
        child: the steps of a process that it starts, if it does.
    """

    kind: str
    name: str
    lines: tuple[str, ...]
    acts: tuple[Act | str, ...]
    child: tuple[Act | str, ...] = ()

    @property
    def is_timed(self) -> bool:
        """Whether it takes time, or ends after some: in real time that may be too short for the others to get on."""
        return any(isinstance(one, Timed) for one in self.acts)


@dataclass(frozen=True)
class Kind:
    """A kind of object.

    Attributes:
        made: how it is made.
        state: its state in the simulator, for so many lanes.
        final: what `result` observes of it, and `shown` the same of its state; empty where it observes nothing.
        held: whether actors have left it locked, which is the outcome then.
        cleared: a line of `result` that empties it.
        methods: the start methods under which it reaches the actors.
    """

    made: str
    state: Callable[[int], State]
    final: str = ""
    shown: Callable[[State], int] = lambda o: int(o["v"])
    held: Callable[[State], bool] = lambda _: False
    cleared: str = ""
    methods: tuple[str, ...] = ("fork", "spawn", "forkserver")


FORK_ALONE = ("fork",)
"""For descriptors, which mean nothing to processes that are not forked."""


def operation(kind: str, name: str, lines: str | Sequence[str], *acts: Act | str) -> Operation:
    """Return an operation without a child, given one line or several."""
    return Operation(kind, name, (lines,) if isinstance(lines, str) else tuple(lines), acts)


def placed(acts: Sequence[Act | str]) -> tuple[list[Act], Mapping[str, int]]:
    """Return the steps, and by name where to go on."""
    steps = [one for one in acts if not isinstance(one, str)]
    names, count = {END: len(steps)}, 0
    for one in acts:
        if isinstance(one, str):
            names[one] = count
        else:
            count += 1
    return steps, names


# Lines.


def shown(expression: str) -> str:
    """Return the line that observes a value."""
    return f"n = n * 10 + {expression}"


def trying(call: str, errors: str = "(OSError, ValueError)") -> tuple[str, ...]:
    """Return the lines that observe whether a call raises."""
    return ("try:", f"    {call}", "    n = n * 10 + 1", f"except {errors}:", f"    n = n * 10 + {RAISED}")


def trying_to_show(expression: str, errors: str = "(OSError, ValueError)", otherwise: int = RAISED) -> tuple[str, ...]:
    """Return the lines that observe a value, or that there is none."""
    return ("try:", f"    n = n * 10 + {expression}", f"except {errors}:", f"    n = n * 10 + {otherwise}")


# Steps that several kinds of objects have.


def observed(digit: int) -> Act:
    """Return the step that observes a digit."""

    def step(w: World, me: int, _: State) -> bool:
        w.observe(me, digit)
        return True

    return step


def look(of: Callable[[State], int]) -> Act:
    """Return the step that looks, and observes what it saw."""

    def step(w: World, me: int, o: State) -> bool:
        w.observe(me, int(of(o)))
        return True

    return step


def do(change: Callable[[State], None]) -> Act:
    """Return the step that changes an object."""

    def step(_: World, __: int, o: State) -> bool:
        change(o)
        return True

    return step


def note(name: str, of: Callable[[State], int]) -> Act:
    """Return the step that looks, and remembers what it saw under a name."""

    def step(w: World, me: int, o: State) -> bool:
        w.notes[me][name] = of(o)
        return True

    return step


def show(name: str = "saw") -> Act:
    """Return the step that observes what was remembered."""

    def step(w: World, me: int, _: State) -> bool:
        w.observe(me, int(w.notes[me][name]))
        return True

    return step


def when(then: str, condition: Callable[[State], bool]) -> Act:
    """Return the step that goes on elsewhere where a condition holds."""
    return lambda _, __, o: then if condition(o) else True


def go(to: str) -> Act:
    """Return the step that goes on elsewhere."""
    return lambda _, __, ___: to


def load(name: str) -> Act:
    """Return the step that reads a number of the object."""
    return note("saw", lambda o: o[name])


def store(name: str, value: int) -> Act:
    """Return the step that writes a number of the object."""
    return do(lambda o: o.__setitem__(name, value))


def add(name: str) -> Act:
    """Return the step that writes one more than was read."""

    def step(w: World, me: int, o: State) -> bool:
        o[name] = w.notes[me]["saw"] + 1
        return True

    return step


def append(name: str, value: int) -> Act:
    """Return the step that appends to a list of the object."""
    return do(lambda o: o[name].append(value))


def take(name: str = "sent") -> Act:
    """Return the step that takes the first of a list, once there is one, and remembers it."""

    def step(w: World, me: int, o: State) -> bool:
        if not o[name]:
            return False
        w.notes[me]["saw"] = o[name].pop(0)
        return True

    return step


# Semaphores, and locks that know their owner: those of `multiprocessing` that are held for a block.


def down(name: str) -> Act:
    """Return the step that acquires a semaphore."""

    def step(_: World, __: int, o: State) -> bool:
        if not o[name]:
            return False
        o[name] -= 1
        return True

    return step


def up(name: str) -> Act:
    """Return the step that releases a semaphore."""
    return do(lambda o: o.__setitem__(name, o[name] + 1))


def free(name: str) -> State:
    """Return the state of a lock that nobody has."""
    return {name: None, name + "#": 0}


def acquire(name: str) -> Act:
    """Return the step that acquires a lock."""

    def step(_: World, me: int, o: State) -> bool:
        if o[name] not in (None, me):
            return False
        o[name], o[name + "#"] = me, o[name + "#"] + 1
        return True

    return step


def release(name: str) -> Act:
    """Return the step that releases a lock."""

    def step(_: World, __: int, o: State) -> bool:
        o[name + "#"] -= 1
        if not o[name + "#"]:
            o[name] = None
        return True

    return step


def attempt(act: Act, otherwise: str) -> Act:
    """Return the step that tries what may block, else goes on elsewhere."""
    return lambda world, me, o: act(world, me, o) or otherwise


def tried(name: str) -> tuple[Act | str, ...]:
    """Return the steps of a try for a lock, which is then released."""
    return (attempt(acquire(name), "taken"), observed(1), release(name), go(END), "taken", observed(0))


def tried_for(name: str, seconds: int) -> tuple[Act | str, ...]:
    """Return the steps of a try for a lock with a timeout; the lock is then released."""
    return (Timed(acquire(name), "taken", seconds), observed(1), release(name), go(END), "taken", observed(0))
