"""Scenarios on files: one for each way in which what one process does to files shows in another."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pathlib
import socket
import struct
import tempfile
from typing import Any

from bench import acceptable, actor, program, scenario


class InFolder:
    """A folder, and what each of two actors saw."""

    def __init__(self, mp: Any) -> None:
        self.seen = mp.RawArray("i", 2)
        self.folder = tempfile.mkdtemp()
        self.prepare()

    def prepare(self) -> None:
        """Put into the folder what the actors find there."""

    def path(self, *names: str) -> str:
        return os.path.join(self.folder, *names)

    def put(self, name: str, content: str = "") -> str:
        with open(self.path(name), "w") as file:
            file.write(content)
        return self.path(name)

    def result(self) -> object:
        return list(self.seen)


def opens(path: str, mode: str = "r") -> int:
    """Open a file and close it; return whether that could be done."""
    try:
        open(path, mode).close()
    except FileNotFoundError:
        return 0
    return 1


# One open file in two processes


class Inherited(InFolder):
    """Both read one byte through what they have from their parent."""

    def prepare(self) -> None:
        self.inherited = os.open(self.put("digits", "12"), os.O_RDONLY)

    def byte(self) -> bytes:
        return os.read(self.inherited, 1)

    @actor
    def one(self) -> None:
        self.seen[0] = int(self.byte())

    @actor
    def other(self) -> None:
        self.seen[1] = int(self.byte())


@scenario(acceptable(bool))
class OneOffset(Inherited):
    """By its descriptor."""


@scenario(acceptable(bool))
class OneOffsetOfCopies(Inherited):
    """Each by a copy of the descriptor, which has the same offset."""

    def byte(self) -> bytes:
        copy = os.dup(self.inherited)
        os.lseek(copy, 0, os.SEEK_CUR)
        return os.read(copy, 1)


@scenario(acceptable(bool))
class OneOffsetOfAFile(Inherited):
    """By a file object."""

    def prepare(self) -> None:
        self.file = open(self.put("digits", "12"), "rb", buffering=0)  # noqa: SIM115  # it stays open

    def byte(self) -> bytes:
        return self.file.read(1)


@scenario(acceptable(bool))
class OffsetSetAndAsked(Inherited):
    """One sets the offset, the other asks for it."""

    @actor
    def one(self) -> None:
        os.lseek(self.inherited, 2, os.SEEK_SET)

    @actor
    def other(self) -> None:
        self.seen[1] = os.lseek(self.inherited, 0, os.SEEK_CUR)


def _read_byte(descriptor: int, seen: Any, me: int) -> None:
    seen[me] = int(os.read(descriptor, 1))


@program(acceptable(bool))
def one_offset_of_children(mp: Any) -> object:
    """Two children read one byte each through what they have from their parent, who opened it in the same schedule."""
    descriptor, path = tempfile.mkstemp()
    os.write(descriptor, b"12")
    os.lseek(descriptor, 0, os.SEEK_SET)
    seen = mp.RawArray("i", 2)
    children = [mp.Process(target=_read_byte, args=(descriptor, seen, me)) for me in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    os.close(descriptor)
    os.unlink(path)
    return list(seen)


# Folders, links, names


@scenario(acceptable(bool))
class FolderMade(InFolder):
    """A file is made in a folder that may not be there yet."""

    @actor
    def make(self) -> None:
        os.mkdir(self.path("new"))

    @actor
    def use(self) -> None:
        self.seen[1] = opens(self.path("new", "file"), "w")


@scenario(acceptable(bool))
class FolderMoved(InFolder):
    """A file is looked for in a folder that gets another name."""

    def prepare(self) -> None:
        os.mkdir(self.path("old"))
        self.put("old/file")

    @actor
    def move(self) -> None:
        os.rename(self.path("old"), self.path("new"))

    @actor
    def use(self) -> None:
        self.seen[1] = opens(self.path("old", "file"))


@scenario(acceptable(bool))
class FolderRemoved(InFolder):
    """A folder is removed, if it is empty, while a file is made in it."""

    def prepare(self) -> None:
        os.mkdir(self.path("empty"))

    @actor
    def remove(self) -> None:
        with contextlib.suppress(OSError):
            os.rmdir(self.path("empty"))
            self.seen[0] = 1

    @actor
    def use(self) -> None:
        self.seen[1] = opens(self.path("empty", "file"), "w")


@scenario(acceptable(bool))
class FolderAsked(InFolder):
    """A folder has one link more for each folder in it."""

    @actor
    def make(self) -> None:
        os.mkdir(self.path("new"))

    @actor
    def ask(self) -> None:
        self.seen[1] = os.stat(self.folder).st_nlink - 2


@scenario(acceptable(bool))
class LinkTurned(InFolder):
    """A link that leads to a folder is turned to another one."""

    def prepare(self) -> None:
        for number in (1, 2):
            os.mkdir(self.path(f"version{number}"))
            self.put(f"version{number}/file", str(number))
        os.symlink("version1", self.path("current"))

    @actor
    def turn(self) -> None:
        pathlib.Path(self.path("next")).symlink_to("version2")
        os.replace(self.path("next"), self.path("current"))

    @actor
    def use(self) -> None:
        with open(self.path("current", "file")) as file:
            self.seen[1] = int(file.read())


@scenario(acceptable(bool))
class TwoNames(InFolder):
    """A file is written by one of its names and looked at by the other."""

    def prepare(self) -> None:
        os.link(self.put("one"), self.path("other"))

    @actor
    def write(self) -> None:
        os.truncate(self.path("one"), 3)

    @actor
    def look(self) -> None:
        self.seen[1] = os.stat(self.path("other")).st_size


@scenario(acceptable(bool))
class MovedWhileOpen(InFolder):
    """A file gets another name while it is written, and is looked at by that."""

    def prepare(self) -> None:
        self.put("log")

    @actor
    def write(self) -> None:
        with open(self.path("log"), "a") as file:
            file.write("x")

    @actor
    def rotate(self) -> None:
        os.rename(self.path("log"), self.path("log.1"))
        self.seen[1] = os.path.getsize(self.path("log.1"))


@scenario(acceptable(bool))
class ByPathlib(InFolder):
    """A folder and a file in it are made and searched for with `pathlib`."""

    @actor
    def make(self) -> None:
        new = pathlib.Path(self.folder) / "new"
        new.mkdir()
        (new / "file").touch()

    @actor
    def search(self) -> None:
        self.seen[1] = len(list(pathlib.Path(self.folder).glob("*/file")))


@scenario(acceptable(bool))
class Temporary(InFolder):
    """A file is there for a moment; another one has no name at all."""

    @actor
    def use(self) -> None:
        with tempfile.TemporaryFile() as nameless:
            nameless.write(b"x")
        with tempfile.NamedTemporaryFile("w", dir=self.folder) as file:
            file.write("x")

    @actor
    def look(self) -> None:
        self.seen[1] = len(os.listdir(self.folder))


@scenario(acceptable(bool))
class Sent(InFolder):
    """The system copies from file to file."""

    def prepare(self) -> None:
        self.put("from", "xyz")
        self.put("to")

    @actor
    def copy(self) -> None:
        source, target = os.open(self.path("from"), os.O_RDONLY), os.open(self.path("to"), os.O_WRONLY)
        os.sendfile(target, source, None, 3)

    @actor
    def look(self) -> None:
        self.seen[1] = os.stat(self.path("to")).st_size


@scenario(acceptable(bool))
class MadeOnce(InFolder):
    """A file that must not be there is made by `io.FileIO`."""

    def make(self, me: int) -> None:
        with contextlib.suppress(FileExistsError):
            io.FileIO(self.path("file"), "x").close()
            self.seen[me] = 1

    @actor
    def one(self) -> None:
        self.make(0)

    @actor
    def other(self) -> None:
        self.make(1)


@scenario(acceptable(bool))
class PipeAsFile(InFolder):
    """A pipe is used through file objects, and does not block."""

    def prepare(self) -> None:
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)

    @actor
    def send(self) -> None:
        with os.fdopen(os.dup(self.writing), "w") as file:
            file.write("x")

    @actor
    def look(self) -> None:
        with os.fdopen(os.dup(self.reading), "rb", buffering=0) as file:
            self.seen[1] = len(file.read(1) or b"")


# Locks


class Tried(InFolder):
    """Each tries to lock a file, and closes it."""

    def prepare(self) -> None:
        self.put("lock")

    def lock(self, descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def work(self, me: int) -> None:
        descriptor = os.open(self.path("lock"), os.O_RDWR)
        with contextlib.suppress(BlockingIOError):
            self.lock(descriptor)
            self.seen[me] = 1
        os.close(descriptor)

    @actor
    def one(self) -> None:
        self.work(0)

    @actor
    def other(self) -> None:
        self.work(1)


@scenario(acceptable(bool))
class TriedByFlock(Tried):
    """By `flock`."""


@scenario(acceptable(bool))
class TriedByLockf(Tried):
    """By `os.lockf`."""

    def lock(self, descriptor: int) -> None:
        os.lockf(descriptor, os.F_TLOCK, 0)


class ByCommand(Tried):
    """By a command of `fcntl.fcntl`."""

    command = fcntl.F_SETLK

    def lock(self, descriptor: int) -> None:
        fcntl.fcntl(descriptor, self.command, struct.pack("hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))


@scenario(acceptable(bool))
class TriedByCommand(ByCommand):
    """A record lock."""


@scenario(acceptable(bool))
class TriedForOpenFile(ByCommand):
    """A lock of the open file."""

    command = getattr(fcntl, "F_OFD_SETLK", 37)


class Counted(InFolder):
    """Both count under a lock on a file, which each has opened by itself."""

    def prepare(self) -> None:
        self.put("lock")

    def lock(self, descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def count(self) -> None:
        with open(self.path("lock"), "r+") as file:
            self.lock(file.fileno())
            self.seen[0] += 1

    @actor
    def one(self) -> None:
        self.count()

    @actor
    def other(self) -> None:
        self.count()


@scenario(acceptable(bool))
class CountedByFlock(Counted):
    """By `flock`."""


@scenario(acceptable(bool))
class CountedByLockf(Counted):
    """By `lockf`."""

    def lock(self, descriptor: int) -> None:
        fcntl.lockf(descriptor, fcntl.LOCK_EX)


@scenario(acceptable(bool))
class LockedCrosswise(InFolder):
    """Two take record locks on two files, in opposite orders: the system refuses the one who comes last."""

    def prepare(self) -> None:
        self.paths = [self.put("a"), self.put("b")]

    def take(self, first: int, second: int) -> None:
        with open(self.paths[first], "w") as one, open(self.paths[second], "w") as other:
            fcntl.lockf(one, fcntl.LOCK_EX)
            try:
                fcntl.lockf(other, fcntl.LOCK_EX)
                self.seen[first] = 1
            except OSError as error:
                self.seen[first] = error.errno

    @actor
    def one(self) -> None:
        self.take(0, 1)

    @actor
    def other(self) -> None:
        self.take(1, 0)


@scenario(acceptable(bool))
class LockOfOneOpenFile(InFolder):
    """Two lock the same open file, which they have from their parent: that keeps neither of them out."""

    def prepare(self) -> None:
        self.file = open(self.put("lock"), "w")  # noqa: SIM115  # it stays open

    def count(self) -> None:
        fcntl.flock(self.file, fcntl.LOCK_EX)
        self.seen[0] += 1
        fcntl.flock(self.file, fcntl.LOCK_UN)

    @actor
    def one(self) -> None:
        self.count()

    @actor
    def other(self) -> None:
        self.count()


@scenario(acceptable(bool))
class LockOfOneOpenFileKept(LockOfOneOpenFile):
    """A third one, who has opened the file by itself, is kept out as long as either of them holds the lock."""

    def count(self) -> None:
        fcntl.flock(self.file, fcntl.LOCK_EX)

    @actor
    def third(self) -> None:
        with open(self.path("lock"), "w") as file, contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.seen[1] = 1


@scenario(acceptable(bool))
class LockConverted(InFolder):
    """Each has a lock for reading and wants one for writing: that gives the first one up, so neither waits for ever."""

    def prepare(self) -> None:
        self.put("lock")

    def count(self) -> None:
        with open(self.path("lock")) as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            fcntl.flock(file, fcntl.LOCK_EX)
            self.seen[0] += 1

    @actor
    def one(self) -> None:
        self.count()

    @actor
    def other(self) -> None:
        self.count()


# Counters of the system


class EventCounter(InFolder):
    """One adds to a counter, the other reads it."""

    flags = 0

    def prepare(self) -> None:
        self.counter = os.eventfd(0, self.flags)

    @actor
    def add(self) -> None:
        os.eventfd_write(self.counter, 2)

    @actor
    def read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self.seen[1] = os.eventfd_read(self.counter)


@scenario(acceptable(bool))
class CounterWaitedFor(EventCounter):
    """Who reads waits."""


@scenario(acceptable(bool))
class CounterTried(EventCounter):
    """Who reads does not wait."""

    flags = getattr(os, "EFD_NONBLOCK", 0)


# What is named


@scenario(acceptable(bool))
class WithOldSocket(InFolder):
    """Sockets are made before the actors are."""

    def prepare(self) -> None:
        self.ends = socket.socketpair()
        self.ends[0].setblocking(False)

    @actor
    def send(self) -> None:
        self.ends[1].sendall(b"x")

    @actor
    def look(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self.seen[1] = len(self.ends[0].recv(1))


@scenario(acceptable(bool))
class LooksAtItself(InFolder):
    """Each actor looks at what the system says of its own process, whose number differs each time."""

    def look(self, me: int) -> None:
        self.seen[me] = os.path.exists(f"/proc/{os.getpid()}/task/{os.getpid()}/status")

    @actor
    def one(self) -> None:
        self.look(0)

    @actor
    def other(self) -> None:
        self.look(1)
        os._exit(0)
