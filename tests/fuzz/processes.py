"""Processes that actors start: each is a lane of its own, which ends before it is joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.fuzz.steps import Kind, Operation, State, World, add, load, observed, operation, show, shown, store


def _start(w: World, me: int, _: State) -> bool:
    w.notes[me]["child"] = child = w.notes[me]["children"].pop(0)
    w.at[child] = (0, 0)
    return True


def _join(w: World, me: int, _: State) -> bool:
    child: int = w.notes[me]["child"]
    return w.at[child] == (1, 0)


def _is_alive(w: World, me: int, o: State) -> bool:
    w.observe(me, int(not _join(w, me, o)))
    return True


def _exit(_: World, __: int, ___: State) -> bool:
    return True


STARTED = ("child = multiprocessing.Process(target=add_one, args=({o},))", "child.start()")
JOINED = ("child.join()", shown("(child.exitcode == 0)"))

KINDS: Mapping[str, Kind] = {"child": Kind('mp.RawValue("i", 0)', lambda _: {"v": 0}, "{o}.value")}

OPERATIONS: Sequence[Operation] = (
    operation("child", "get", shown("{o}.value"), load("v"), show()),
    operation("child", "set", "{o}.value = 2", store("v", 2)),
    Operation(
        "child",
        "add beside it",
        (*STARTED, "{o}.value += 1", *JOINED),
        (_start, load("v"), add("v"), _join, observed(1)),
        (load("v"), add("v"), _exit),
    ),
    Operation(
        "child",
        "is it alive",
        (*STARTED, shown("child.is_alive()"), *JOINED),
        (_start, _is_alive, _join, observed(1)),
        (load("v"), add("v"), _exit),
    ),
)
