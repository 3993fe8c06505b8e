"""Shared memory: numbers, arrays, structures, bit fields, segments and lists of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.fuzz.steps import (
    END,
    RAISED,
    Act,
    Kind,
    Operation,
    State,
    World,
    acquire,
    add,
    do,
    free,
    load,
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
    trying_to_show,
    when,
)

TRIED = (shown("got"), "if got:", "    {o}.get_lock().release()")


def _item(index: int) -> Act:
    return look(lambda o: int(o["items"][index]))


def _put(index: int, value: int) -> Act:
    return do(lambda o: o["items"].__setitem__(index, value))


def _tens(o: State) -> int:
    return int(o["items"][0] * 10 + o["items"][1])


def _bits(w: World, me: int, o: State) -> bool:
    o["items"] = [2, w.notes[me]["saw"] % 10]
    return True


def _other_bits(w: World, me: int, o: State) -> bool:
    o["items"] = [w.notes[me]["saw"] // 10, 3]
    return True


# An item of a ShareableList: its format, then the first and the last byte of its value. `struct.pack_into` sets all
# bytes to zero before it writes those that there are: of the format "q" the first, of `True` the last.

_LONG, _BOOL = "q", "xxxxxxx?"


def _first_letter(o: State) -> None:
    o["format"] = _LONG + o["format"][1:]


def _last_byte(o: State) -> None:
    o["items"] = [o["items"][0], 1]


def _whole(name: str, value: object) -> Act:
    return do(lambda o: o.__setitem__(name, value))


_SET = (_whole("format", ""), do(_first_letter), _whole("items", [0, 0]), _whole("items", [2, 0]))

_SET_BOOL = (_whole("format", ""), _whole("format", _BOOL), _whole("items", [0, 0]), do(_last_byte))


def _shown(o: State) -> int:
    first, last = o["items"]
    if o["format"] not in (_LONG, _BOOL):  # of both: two values are read, where one is expected
        return RAISED
    return min(first + last * 2**56, 7) if o["format"] == _LONG else int(bool(last))


def _format(w: World, me: int, o: State) -> bool | str:
    w.notes[me]["format"] = o["format"]
    return True if o["format"] in (_LONG, _BOOL) else "none"


def _read_as(w: World, me: int, o: State) -> bool:
    first, last = o["items"]
    seen: Any = min(first + last * 2**56, 7) if w.notes[me]["format"] == _LONG else int(bool(last))
    w.observe(me, seen)
    return True


KINDS: Mapping[str, Kind] = {
    "raw": Kind('mp.RawValue("i", 0)', lambda _: {"v": 0}, "{o}.value"),
    "value": Kind('mp.Value("i", 0)', lambda _: {"v": 0, **free("G")}, "{o}.value"),
    "array": Kind('mp.RawArray("i", 2)', lambda _: {"items": [0, 0]}, "{o}[0] * 10 + {o}[1]", _tens),
    "guarded array": Kind('mp.Array("i", 2)', lambda _: {"items": [0, 0], **free("G")}, "{o}[0] * 10 + {o}[1]", _tens),
    "structure": Kind("mp.RawValue(Pair)", lambda _: {"items": [0, 0]}, "{o}.a * 10 + {o}.b", _tens),
    "guarded structure": Kind("mp.Value(Pair)", lambda _: {"items": [0, 0], **free("G")}, "{o}.a * 10 + {o}.b", _tens),
    "bits": Kind("mp.RawValue(Bits)", lambda _: {"items": [0, 0]}, "{o}.x * 10 + {o}.y", _tens),
    "segment": Kind(
        "shared_memory.SharedMemory(create=True, size=8)",
        lambda _: {"items": [0, 0]},
        "{o}.buf[0]",
        lambda o: int(o["items"][0]),
    ),
    "list": Kind(
        "shared_memory.ShareableList([0, 0])",
        lambda _: {"items": [0, 0], "format": _LONG},
        "item_of({o})",
        _shown,
    ),
}

OPERATIONS: Sequence[Operation] = (
    operation("raw", "get", shown("{o}.value"), load("v"), show()),
    operation("raw", "set", "{o}.value = 2", store("v", 2)),
    operation("raw", "add", "{o}.value += 1", load("v"), add("v")),
    operation("raw", "give way", "time.sleep(0)", lambda w, me, o: True),
    operation("raw", "await", ("while not {o}.value:", "    pass"), lambda w, me, o: bool(o["v"])),
    operation("value", "get", shown("{o}.value"), acquire("G"), load("v"), release("G"), show()),
    operation("value", "set", "{o}.value = 2", acquire("G"), store("v", 2), release("G")),
    operation(
        "value",
        "add",
        "{o}.value += 1",
        acquire("G"),
        load("v"),
        release("G"),
        acquire("G"),
        add("v"),
        release("G"),
    ),
    operation(
        "value",
        "add under its lock",
        ("with {o}.get_lock():", "    {o}.value += 1"),
        acquire("G"),
        acquire("G"),
        load("v"),
        release("G"),
        acquire("G"),
        add("v"),
        release("G"),
        release("G"),
    ),
    operation("value", "add past its lock", "{o}.get_obj().value += 1", load("v"), add("v")),
    operation("value", "repr", shown('int(repr({o}).split("(")[1].split(")")[0])'), load("v"), show()),
    operation("value", "try its lock", ("got = {o}.get_lock().acquire(False)", *TRIED), *tried("G")),
    operation("value", "try its lock for 2 s", ("got = {o}.acquire(True, 2)", *TRIED), *tried_for("G", 2)),
    operation("array", "get 0", shown("{o}[0]"), _item(0)),
    operation("array", "get 1", shown("{o}[1]"), _item(1)),
    operation("array", "set 0", "{o}[0] = 1", _put(0, 1)),
    operation("array", "set 1", "{o}[1] = 1", _put(1, 1)),
    operation(
        "array",
        "add 0",
        "{o}[0] += 1",
        note("saw", lambda o: o["items"][0]),
        lambda w, me, o: _put(0, w.notes[me]["saw"] + 1)(w, me, o),
    ),
    operation("array", "get slice", ("a, b = {o}[:]", "n = n * 100 + a * 10 + b"), _item(0), _item(1)),
    operation("array", "set slice", "{o}[:] = [2, 2]", _put(0, 2), _put(1, 2)),
    operation("array", "copy", ("a, b = sharedctypes.copy({o})[:]", "n = n * 100 + a * 10 + b"), _item(0), _item(1)),
    operation("guarded array", "get 0", shown("{o}[0]"), acquire("G"), _item(0), release("G")),
    operation("guarded array", "set 1", "{o}[1] = 1", acquire("G"), _put(1, 1), release("G")),
    operation(
        "guarded array",
        "get slice",
        ("a, b = {o}[:]", "n = n * 100 + a * 10 + b"),
        acquire("G"),
        _item(0),
        _item(1),
        release("G"),
    ),
    operation("guarded array", "set slice", "{o}[:] = [2, 2]", acquire("G"), _put(0, 2), _put(1, 2), release("G")),
    operation(
        "guarded array",
        "iterate",
        ("a, b = {o}", "n = n * 100 + a * 10 + b"),
        acquire("G"),
        _item(0),
        release("G"),
        acquire("G"),
        _item(1),
        release("G"),
        acquire("G"),
        release("G"),
    ),
    operation("guarded array", "set past its lock", "{o}.get_obj()[0] = 3", _put(0, 3)),
    operation("guarded array", "try its lock", ("got = {o}.get_lock().acquire(False)", *TRIED), *tried("G")),
    operation("structure", "get a", shown("{o}.a"), _item(0)),
    operation("structure", "set a", "{o}.a = 1", _put(0, 1)),
    operation("structure", "set b", "{o}.b = 1", _put(1, 1)),
    operation("structure", "get both", ("a, b = {o}.a, {o}.b", "n = n * 100 + a * 10 + b"), _item(0), _item(1)),
    operation("guarded structure", "get a", shown("{o}.a"), acquire("G"), _item(0), release("G")),
    operation("guarded structure", "set a", "{o}.a = 1", acquire("G"), _put(0, 1), release("G")),
    operation(
        "guarded structure",
        "set both",
        ("with {o}.get_lock():", "    {o}.a = {o}.b = 2"),
        acquire("G"),
        acquire("G"),
        _put(0, 2),
        release("G"),
        acquire("G"),
        _put(1, 2),
        release("G"),
        release("G"),
    ),
    operation("bits", "get x", shown("{o}.x"), _item(0)),
    operation("bits", "get y", shown("{o}.y"), _item(1)),
    operation("bits", "set x", "{o}.x = 2", note("saw", _tens), _bits),
    operation("bits", "set y", "{o}.y = 3", note("saw", _tens), _other_bits),
    operation("segment", "get 0", shown("{o}.buf[0]"), _item(0)),
    operation("segment", "set 0", "{o}.buf[0] = 2", _put(0, 2)),
    operation("segment", "set 1", "{o}.buf[1] = 3", _put(1, 3)),
    operation(
        "segment",
        "add 0",
        "{o}.buf[0] += 1",
        note("saw", lambda o: o["items"][0]),
        lambda w, me, o: _put(0, w.notes[me]["saw"] + 1)(w, me, o),
    ),
    operation("segment", "iterate", ("a, b = {o}.buf[:2]", "n = n * 100 + a * 10 + b"), _item(0), _item(1)),
    operation("segment", "set slice", '{o}.buf[:2] = b"\\x04\\x04"', do(lambda o: o.__setitem__("items", [4, 4]))),
    operation(
        "segment",
        "by name",
        ("other = shared_memory.SharedMemory(name={o}.name)", shown("other.buf[1]"), "other.close()"),
        _item(1),
    ),
    operation(
        "list",
        "get",
        trying_to_show("int(min({o}[0], 7))", "ValueError"),
        _format,
        _read_as,
        when(END, lambda o: True),
        "none",
        observed(RAISED),
    ),
    operation("list", "set", "{o}[0] = 2", *_SET),
    operation("list", "set another type", "{o}[0] = True", *_SET_BOOL),
)
