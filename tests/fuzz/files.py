"""Files, their offsets and locks, and the names in folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tests.fuzz.steps import (
    END,
    FORK_ALONE,
    RAISED,
    Act,
    Kind,
    Operation,
    State,
    World,
    acquire,
    attempt,
    do,
    free,
    go,
    look,
    note,
    observed,
    operation,
    release,
    shown,
    trying,
    trying_to_show,
)

# Names: of the folder `d` and the file `f` in it; of the files `a` and `b`, which are one inode or two.


def _name(change: Callable[[set[str]], bool]) -> Act:
    def step(w: World, me: int, o: State) -> bool:
        names = set(o["names"])
        w.observe(me, 1 if change(names) else RAISED)
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


def _inode(change: Callable[[dict[str, int]], bool]) -> Act:
    def step(w: World, me: int, o: State) -> bool:
        names = dict(o["inodes"])
        w.observe(me, 1 if change(names) else RAISED)
        o["inodes"] = dict(sorted(names.items()))
        return True

    return step


def _rename(names: dict[str, int]) -> bool:
    if "a" not in names:
        return False
    if names.get("b") != names["a"]:  # two names of one file stay both: rename(2)
        names["b"] = names.pop("a")
    return True


def _link(names: dict[str, int]) -> bool:
    able = "a" in names and "b" not in names
    names.update({"b": names["a"]} if able else {})
    return able


def _made(names: dict[str, int]) -> bool:
    able = "a" not in names
    names.update({"a": 1 - names.get("b", 1)} if able else {})
    return able


def _removed(name: str) -> Callable[[dict[str, int]], bool]:
    return lambda names: names.pop(name, None) is not None


def _links(w: World, me: int, o: State) -> bool:
    names = o["inodes"]
    w.observe(me, list(names.values()).count(names["a"]) if "a" in names else RAISED)
    return True


# Bytes: of a file that is opened by whoever uses it, and of one that is opened before.


def _write_at(position: int) -> Act:
    def step(_: World, __: int, o: State) -> bool:
        o["bytes"] = _written(o["bytes"], position, 2)
        return True

    return step


def _written(there: list[int], position: int, value: int) -> list[int]:
    padded = there + [0] * (position - len(there))
    return [*padded[:position], value, *padded[position + 1 :]]


def _size(o: State) -> int:
    return len(o["bytes"])


def _read_on(w: World, me: int, o: State) -> bool:
    at: int = o["offset"]
    w.observe(me, o["bytes"][at] if at < len(o["bytes"]) else 0)
    o["offset"] = min(at + 1, max(len(o["bytes"]), at))
    return True


def _write_on(_: World, __: int, o: State) -> bool:
    o["bytes"] = _written(o["bytes"], o["offset"], 7)
    o["offset"] += 1
    return True


_OPENED = "file = os.open({o}, os.O_RDWR)"

# Locks on a file, shared by readers or held by one writer.


def _share(_: World, me: int, o: State) -> bool:
    if o["L"] is not None:
        return False
    o["readers"] = [*o["readers"], me]
    return True


def _own(w: World, me: int, o: State) -> bool | str:
    return acquire("L")(w, me, o) if not o["readers"] else False


def _unshare(_: World, me: int, o: State) -> bool:
    o["readers"] = [one for one in o["readers"] if one != me]
    return True


def _lock(call: str) -> tuple[str, ...]:
    return ("with open({o} + '/lock', 'w') as file:", f"    {call}", "    n = n * 10 + 1")


def _try(call: str) -> tuple[str, ...]:
    return (
        "with open({o} + '/lock', 'w') as file:",
        "    try:",
        f"        {call}",
        "        n = n * 10 + 1",
        "    except BlockingIOError:",
        "        n = n * 10",
    )


_FLOCK, _LOCKF = "fcntl.flock(file, fcntl.LOCK_{})", "fcntl.lockf(file, fcntl.LOCK_{})"

KINDS: Mapping[str, Kind] = {
    "folder": Kind("tempfile.mkdtemp()", lambda _: {"names": []}),
    "names": Kind("folder_with('a')", lambda _: {"inodes": {"a": 0}}),
    "file": Kind("file_with(b'')", lambda _: {"bytes": []}),
    "offset": Kind(
        "os.open(file_with(b'123'), os.O_RDWR)", lambda _: {"bytes": [1, 2, 3], "offset": 0}, methods=FORK_ALONE
    ),
    "file lock": Kind("tempfile.mkdtemp()", lambda _: {**free("L"), "readers": []}),
    "record lock": Kind("tempfile.mkdtemp()", lambda _: {**free("L"), "readers": []}),
}

OPERATIONS: Sequence[Operation] = (
    operation("folder", "mkdir", trying('os.mkdir({o} + "/d")'), _name(_mkdir)),
    operation("folder", "rmdir", trying('os.rmdir({o} + "/d")'), _name(_rmdir)),
    operation(
        "folder",
        "create",
        trying('os.close(os.open({o} + "/d/f", os.O_CREAT | os.O_EXCL | os.O_WRONLY))'),
        _name(_create),
    ),
    operation("folder", "unlink", trying('os.unlink({o} + "/d/f")'), _name(_unlink)),
    operation("folder", "exists", shown('os.path.exists({o} + "/d/f")'), look(lambda o: "d/f" in o["names"])),
    operation("folder", "listdir", shown("len(os.listdir({o}))"), look(lambda o: "d" in o["names"])),
    operation("names", "rename", trying('os.rename({o} + "/a", {o} + "/b")'), _inode(_rename)),
    operation("names", "link", trying('os.link({o} + "/a", {o} + "/b")'), _inode(_link)),
    operation(
        "names", "create", trying('os.close(os.open({o} + "/a", os.O_CREAT | os.O_EXCL | os.O_WRONLY))'), _inode(_made)
    ),
    operation("names", "unlink a", trying('os.unlink({o} + "/a")'), _inode(_removed("a"))),
    operation("names", "unlink b", trying('os.unlink({o} + "/b")'), _inode(_removed("b"))),
    operation("names", "exists b", shown('os.path.exists({o} + "/b")'), look(lambda o: "b" in o["inodes"])),
    operation("names", "links", trying_to_show('os.stat({o} + "/a").st_nlink', "OSError"), _links),
    operation(
        "file",
        "append",
        ("file = os.open({o}, os.O_WRONLY | os.O_APPEND)", "os.write(file, b'1')", "os.close(file)"),
        do(lambda o: o["bytes"].append(1)),
    ),
    operation(
        "file",
        "append text",
        ("with open({o}, 'a') as file:", "    file.write('1')"),
        do(lambda o: o["bytes"].append(1)),
    ),
    operation("file", "size", shown("os.stat({o}).st_size"), look(_size)),
    operation("file", "read", ("with open({o}, 'rb') as file:", "    n = n * 10 + len(file.read())"), look(_size)),
    operation("file", "truncate", "os.truncate({o}, 0)", do(lambda o: o.__setitem__("bytes", []))),
    operation(
        "file",
        "rewrite",
        ("with open({o}, 'w') as file:", "    file.write('2')"),
        do(lambda o: o.__setitem__("bytes", [])),
        _write_at(0),
    ),
    operation("file", "pwrite", (_OPENED, "os.pwrite(file, b'2', 1)", "os.close(file)"), _write_at(1)),
    operation(
        "file",
        "append what was read",
        (_OPENED, "os.pwrite(file, b'2', len(os.read(file, 9)))", "os.close(file)"),
        note("saw", _size),
        lambda w, me, o: _write_at(w.notes[me]["saw"])(w, me, o),
    ),
    operation("offset", "read", shown("int(os.read({o}, 1) or 0)"), _read_on),
    operation("offset", "pread", shown("int(os.pread({o}, 1, 0))"), look(lambda o: o["bytes"][0])),
    operation("offset", "rewind", "os.lseek({o}, 0, os.SEEK_SET)", do(lambda o: o.__setitem__("offset", 0))),
    operation("offset", "tell", shown("os.lseek({o}, 0, os.SEEK_CUR)"), look(lambda o: o["offset"])),
    operation("offset", "write", "os.write({o}, b'7')", _write_on),
    operation("file lock", "hold", _lock(_FLOCK.format("EX")), _own, observed(1), release("L")),
    operation(
        "file lock",
        "try",
        _try(_FLOCK.format("EX | fcntl.LOCK_NB")),
        attempt(_own, "no"),
        observed(1),
        release("L"),
        go(END),
        "no",
        observed(0),
    ),
    operation("file lock", "share", _lock(_FLOCK.format("SH")), _share, observed(1), _unshare),
    operation(
        "file lock",
        "try to share",
        _try(_FLOCK.format("SH | fcntl.LOCK_NB")),
        attempt(_share, "no"),
        observed(1),
        _unshare,
        go(END),
        "no",
        observed(0),
    ),
    operation("record lock", "hold", _lock(_LOCKF.format("EX")), _own, observed(1), release("L")),
    operation(
        "record lock",
        "try",
        _try(_LOCKF.format("EX | fcntl.LOCK_NB")),
        attempt(_own, "no"),
        observed(1),
        release("L"),
        go(END),
        "no",
        observed(0),
    ),
)
