"""Which system calls and events of an audited process are harmless, and their names: by plain data."""

from __future__ import annotations

import os
import sys

import pytest

from bench.explore.audit.calls import IMPORTS, LOOKS, NAMING, TRUSTED, USER, Call, Rules, text
from bench.explore.audit.events import is_reaching
from bench.explore.audit.numbers import name_of

X86_64, AARCH64 = 0xC000003E, 0xC00000B7
READ, WRITE, CREATE = os.O_RDONLY, os.O_RDWR, os.O_CREAT | os.O_WRONLY
RULES = Rules(("/opt/python/",), frozenset({"/run/out"}), lambda path, pid: path == "/tmp/new.py" and pid == 0)


def args(*given: int) -> tuple[int, ...]:
    return (*given, *[0] * (6 - len(given)))


HARMLESS = {
    "memory of its own": Call("mmap", args(0, 4096, 3, 0x22)),
    "a library, mapped": Call("mmap", args(0, 4096, 1, 0x02, 3)),
    "a thread's lock": Call("futex", args(1 << 40, 128)),
    "print": Call("write", args(1), file="/run/out"),
    "a file of Python's": Call("openat", args(0, 0, READ), path="/opt/python/lib/x.py"),
    "reading it": Call("read", args(7), file="/opt/python/lib/x.py"),
    "its own memory's map": Call("open", args(0, READ), path="/proc/self/maps"),
    "whatever a point does in its step": Call("unlink", where=TRUSTED, path="/tmp/x"),
    "what a point looks at": Call("newfstatat", where=LOOKS, path="/tmp/x"),
    "where a point asks whether a lock is free": Call("fcntl", args(3, 5), where=LOOKS, file="/tmp/x"),
    "what waits in a pipe": Call("ioctl", args(3, 0x541B), where=LOOKS, file="pipe:[3]"),
    "what is ready": Call("poll", args(1 << 40, 1, 0), where=LOOKS),
    "the offset of a file of its own": Call("lseek", args(7), file="/tmp/x", own=True),
    "a file that has no name": Call("write", args(7), file="/tmp/#1234 (deleted)", own=True),
    "closing a file": Call("close", args(7), file="/tmp/x"),
    "closing nothing": Call("close", args(99)),
    "whether it is a terminal": Call("ioctl", args(0, 0x5401), file="pipe:[3]"),
    "its own descriptors": Call("fcntl", args(3, 1030), file="pipe:[3]"),
    "a name by chance": Call("getrandom", where=USER | NAMING),
    "a signal to itself": Call("tgkill", args(50, 50, 10), pid=50),
    "its own end": Call("kill", args(50, 9), pid=50),
    "a wait for nothing": Call("poll", args(0, 0, 100)),
    "an import": Call("openat", args(0, 0, READ), where=IMPORTS, path="/tmp/x.py"),
    "what an import keeps": Call("openat", args(0, 0, CREATE), where=IMPORTS, path="/tmp/new.pyc"),
    "the time": Call("clock_gettime", args(1)),
}

NAMED = {
    "a semaphore": Call("futex", args(1 << 40, 0)),
    "shared memory": Call("mmap", args(0, 4096, 3, 0x01, 3)),
    "a file that is looked at": Call("openat", args(0, 0, READ), path="/tmp/x"),
    "a file that is opened to write": Call("openat", args(0, 0, WRITE), path="/opt/python/lib/x.py"),
    "a file that is made": Call("openat", args(0, 0, CREATE), path="/opt/python/lib/x.py"),
    "a relative path": Call("stat", path="x"),
    "a write to a file": Call("write", args(1), file="/tmp/x"),
    "a read of a pipe": Call("read", args(0), file="pipe:[3]"),
    "a write to an eventfd": Call("write", args(5), file="anon_inode:[eventfd]"),
    "an offset that others have too": Call("lseek", args(7), file="/tmp/x"),
    "a file of others that has lost its name": Call("write", args(7), file="/tmp/#1234 (deleted)"),
    "a pipe's end that is closed": Call("close", args(7), file="pipe:[3]"),
    "one that is closed by the number": Call("dup2", args(3, 7), file="pipe:[3]"),
    "a lock on a file": Call("fcntl", args(3, 6), file="/tmp/x"),
    "chance": Call("getrandom"),
    "a signal": Call("kill", args(51, 10), pid=50),
    "a signal to another thread's process": Call("tgkill", args(51, 51, 10), pid=50),
    "an import of what somebody has written": Call("stat", where=IMPORTS, path="/tmp/new.py"),
    "a wait": Call("poll", args(1 << 40, 1)),
    "the time that the CPU took": Call("clock_gettime", args(2)),
    "a change by a point without a step": Call("unlink", where=LOOKS, path="/tmp/x"),
    "a pipe that a point closes without a step": Call("close", args(7), where=LOOKS, file="pipe:[3]"),
    "a lock that a point takes without a step": Call("fcntl", args(3, 6), where=LOOKS, file="/tmp/x"),
    "a wait of a point without a step": Call("poll", args(1 << 40, 1, 100), where=LOOKS),
    "a child": Call("clone"),
    "a call that nobody knows": Call("system call 999"),
    "System V": Call("semop"),
}


@pytest.mark.parametrize("what", HARMLESS)
def test_calls_that_reach_nothing_shared_are_harmless(what: str) -> None:
    assert RULES.is_harmless(HARMLESS[what])


@pytest.mark.parametrize("what", NAMED)
def test_all_other_calls_are_named(what: str) -> None:
    assert not RULES.is_harmless(NAMED[what])


def test_calls_are_known_by_the_numbers_of_their_machine() -> None:
    assert [name_of(X86_64, number) for number in (0, 59, 257, 318, 334)] == [
        "read",
        "execve",
        "openat",
        "getrandom",
        "rseq",
    ]
    assert [name_of(AARCH64, number) for number in (63, 221, 56, 278, 291)] == [
        "read",
        "execve",
        "openat",
        "getrandom",
        "statx",
    ]
    assert name_of(X86_64, 435) == name_of(AARCH64, 435) == "clone3"
    assert [name_of(X86_64, 350), name_of(AARCH64, 250), name_of(X86_64, 9999), name_of(0, 1)] == [
        "system call 350",
        "system call 250",
        "system call 9999",
        "system call 1",
    ]


def test_a_call_is_named_by_the_function_that_makes_it() -> None:
    assert text(Call("fcntl"), "os.lockf", "a.py:1") == "os.lockf (fcntl), a.py:1"
    assert text(Call("kill"), "os.kill", "a.py:1") == "os.kill, a.py:1"
    assert text(Call("openat"), "", "a.py:1") == "openat, a.py:1"
    assert text(Call("openat"), "", "") == "openat"


@pytest.mark.parametrize(
    "event", ["import", "compile", "object.__getattr__", "sys._getframe", "os.walk", "shutil.move"]
)
def test_events_of_the_interpreter_itself_reach_nothing(event: str) -> None:
    assert not is_reaching(event, ())


@pytest.mark.parametrize(
    "event", ["sqlite3.connect", "socket.connect", "os.remove", "fcntl.flock", "mmap.__new__", "new"]
)
def test_all_other_events_may(event: str) -> None:
    assert is_reaching(event, ())


def test_a_file_of_the_system_may_be_read() -> None:
    assert not is_reaching("open", ("/usr/lib/x", "r", 0), ("/usr/",))
    assert is_reaching("open", ("/usr/lib/x", "w", 0), ("/usr/",))
    assert is_reaching("open", ("/tmp/x", "r", 0), ("/usr/",))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="numbers of Linux")
def test_this_machine_is_known() -> None:
    from bench.explore.driver.auditing import MACHINES

    assert os.uname().machine in MACHINES
