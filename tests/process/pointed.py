"""Scenarios for the points of exploration: one for each primitive, small enough to count its interleavings by hand."""

from __future__ import annotations

import fcntl
import os
import queue
import signal
import socket
import subprocess
import tempfile
import threading
import time
from concurrent import futures
from multiprocessing import connection, shared_memory
from typing import Any

from bench import acceptable, actor, scenario

PATIENCE_S = 3600.0
"""Virtual; nobody waits for it."""


class Noted:
    """A place for what each of two actors saw."""

    def __init__(self, mp: Any) -> None:
        self.seen = mp.Array("i", 3)

    def result(self) -> object:
        return self.seen[:]


# Pipes


@scenario(acceptable(bool))
class Polled(Noted):
    """One sends, the other asks whether there is something."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.receiver, self.sender = mp.Pipe(duplex=False)

    @actor
    def send(self) -> None:
        self.sender.send("something")

    @actor
    def ask(self) -> None:
        self.seen[0] = self.receiver.poll()

    def result(self) -> object:
        self.receiver.recv()
        return self.seen[0]


@scenario(acceptable(bool))
class BothWays(Noted):
    """Each sends over one duplex pipe, and receives what the other sent."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.ends = mp.Pipe()

    def talk(self, me: int) -> None:
        self.ends[me].send(me + 1)
        self.seen[me] = self.ends[me].recv()

    @actor
    def one(self) -> None:
        self.talk(0)

    @actor
    def other(self) -> None:
        self.talk(1)


@scenario(acceptable(bool))
class TwoReceivers(Noted):
    """Two receive from one end without a lock, and may get the length of one message and the rest of another."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.receiver, self.sender = mp.Pipe(duplex=False)

    @actor
    def send(self) -> None:
        self.sender.send_bytes(b"one!")
        self.sender.send_bytes(b"two!")

    @actor
    def receive(self) -> None:
        self.seen[0] = len(self.receiver.recv_bytes())

    @actor
    def receive_too(self) -> None:
        self.seen[1] = len(self.receiver.recv_bytes())


@scenario(acceptable(bool))
class Large(Noted):
    """A message is larger than the pipe, and goes through while it is received."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.receiver, self.sender = mp.Pipe(duplex=False)

    @actor
    def send(self) -> None:
        self.sender.send_bytes(bytes(200_000))

    @actor
    def receive(self) -> None:
        self.seen[0] = len(self.receiver.recv_bytes())


@scenario(acceptable(bool))
class Unread(Noted):
    """A message is larger than the pipe, and nobody receives it."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.receiver, self.sender = mp.Pipe(duplex=False)

    @actor
    def send(self) -> None:
        self.sender.send_bytes(bytes(200_000))

    @actor
    def other(self) -> None:
        self.seen[0] = 1


@scenario(acceptable(bool))
class WaitedFor(Noted):
    """One waits for either of two pipes; two others send on one each."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.pipes = [mp.Pipe(duplex=False) for _ in range(2)]

    @actor
    def wait(self) -> None:
        ready = connection.wait([receiver for receiver, _ in self.pipes], PATIENCE_S)
        self.seen[0] = sum(1 << index for index, (receiver, _) in enumerate(self.pipes) if receiver in ready)

    @actor
    def send(self) -> None:
        self.pipes[0][1].send(1)

    @actor
    def send_too(self) -> None:
        self.pipes[1][1].send(1)

    def result(self) -> object:
        for receiver, _ in self.pipes:
            receiver.recv()
        return self.seen[0]


@scenario(acceptable(bool))
class Closed(Noted):
    """One closes its end after it has sent; what the state has open is there again for the next time."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.receiver, self.sender = mp.Pipe(duplex=False)

    @actor
    def send(self) -> None:
        with self.sender:
            self.sender.send(5)

    @actor
    def receive(self) -> None:
        self.seen[0] = self.receiver.recv()


@scenario(acceptable(bool))
class Descriptors(Noted):
    """An `os.pipe`, made before the fork."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.out, self.into = os.pipe()

    @actor
    def write(self) -> None:
        os.write(self.into, b"ab")

    @actor
    def read(self) -> None:
        self.seen[0] = len(os.read(self.out, 10))


# Queues


@scenario(acceptable(bool))
class Simple(Noted):
    """One puts, the other gets."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.queue = mp.SimpleQueue()

    @actor
    def put(self) -> None:
        self.queue.put(7)

    @actor
    def get(self) -> None:
        self.seen[0] = self.queue.get()


@scenario(acceptable(bool))
class Fed(Noted):
    """One puts, the other finds the queue empty or not, and gets."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.queue = mp.Queue()

    @actor
    def put(self) -> None:
        self.queue.put(7)

    @actor
    def get(self) -> None:
        self.seen[0] = self.queue.empty()
        self.seen[1] = self.queue.get()


@scenario(acceptable(bool))
class Lying(Noted):
    """Who has put something finds the queue empty, until it is fed."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.queue = mp.Queue()

    @actor
    def put(self) -> None:
        self.queue.put(7)
        self.seen[0] = self.queue.empty()
        self.seen[1] = self.queue.qsize()

    @actor
    def other(self) -> None:
        self.seen[2] = 1

    def result(self) -> object:
        self.queue.get()
        return self.seen[:2]


@scenario(acceptable(bool))
class LargeItems(Noted):
    """Items larger than the pipe from two processes, which the third one gets one after the other."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.queue = mp.Queue()

    @actor
    def put(self) -> None:
        self.queue.put(bytes(100_000))

    @actor
    def put_too(self) -> None:
        self.queue.put(bytes(70_000))

    @actor
    def get(self) -> None:
        for index in range(2):
            self.seen[index] = len(self.queue.get())


@scenario(acceptable(bool))
class LargeUnread(Noted):
    """An item larger than the pipe, which nobody gets: its process would not end."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.queue = mp.Queue()

    @actor
    def put(self) -> None:
        self.queue.put(bytes(100_000))

    @actor
    def other(self) -> None:
        self.seen[0] = 1


@scenario(acceptable(bool))
class Bounded(Noted):
    """A queue of one place: the second item waits for the first to be got."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.queue = mp.Queue(1)

    @actor
    def put(self) -> None:
        self.queue.put(3)
        self.queue.put(4)

    @actor
    def get(self) -> None:
        self.seen[0] = self.queue.get()
        self.seen[1] = self.queue.get()


@scenario(acceptable(bool))
class Patient(Noted):
    """Waits in queues that end by time, which passes at once."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.empty, self.full = mp.Queue(), mp.Queue(1)

    @actor
    def get(self) -> None:
        begun = time.monotonic()
        try:
            self.empty.get(timeout=PATIENCE_S)
        except queue.Empty:
            self.seen[0] = round(time.monotonic() - begun)
        try:
            self.empty.get_nowait()
        except queue.Empty:
            self.seen[1] = 1

    @actor
    def put(self) -> None:
        self.full.put(1)
        try:
            self.full.put(2, timeout=PATIENCE_S)
        except queue.Full:
            self.seen[2] = 1

    def result(self) -> object:
        self.full.get()
        return self.seen[:]


@scenario(acceptable(bool))
class Joined(Noted):
    """Who has put waits until all is done."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.queue = mp.JoinableQueue()

    @actor
    def put(self) -> None:
        self.queue.put(3)
        self.queue.put(4)
        self.queue.join()
        self.seen[1] = self.seen[0]

    @actor
    def work(self) -> None:
        for _ in range(2):
            self.seen[0] += self.queue.get()
            self.queue.task_done()


@scenario(acceptable(bool))
class ClosedThere(Noted):
    """Who has put closes its end of the queue, and waits until all of it is fed."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.mp = mp

    @actor
    def put(self) -> None:
        items = self.mp.Queue()
        items.put(1)
        items.close()
        items.join_thread()
        self.seen[0] = 1

    @actor
    def other(self) -> None:
        self.seen[1] = 1


@scenario(acceptable(bool))
class Busy(Noted):
    """A consumer that asks again and again."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.queue = mp.Queue()

    @actor
    def put(self) -> None:
        self.queue.put(5)
        self.queue.put(6)

    @actor
    def get(self) -> None:
        while self.queue.empty():
            pass
        self.seen[0] = self.queue.get()
        while not self.seen[1]:
            try:
                self.seen[1] = self.queue.get_nowait()
            except queue.Empty:
                continue


# Time


@scenario(acceptable(bool))
class Timed(Noted):
    """One sleeps, the other looks at the clock until it is late enough."""

    @actor
    def sleep(self) -> None:
        time.sleep(4)
        self.seen[0] = 3

    @actor
    def look(self) -> None:
        begun = time.monotonic()
        time.sleep(5)
        while time.monotonic() < begun + 9:
            pass
        self.seen[1] = self.seen[0]
        self.seen[2] = 9 <= time.time_ns() / 1e9 - begun < 60


# Files


class InFolder(Noted):
    """Has a folder."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.folder = tempfile.mkdtemp(prefix="bench-points-")

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def result(self) -> object:
        for name in os.listdir(self.folder):
            os.unlink(self.path(name))
        return self.seen[:]


@scenario(acceptable(bool))
class Written(InFolder):
    """A file is written through a buffer, and read before, meanwhile, or afterwards."""

    @actor
    def write(self) -> None:
        with open(self.path("file"), "w") as file:
            file.write("text")

    @actor
    def read(self) -> None:
        try:
            with open(self.path("file")) as file:
                self.seen[0] = 1 + len(file.read())
        except FileNotFoundError:
            self.seen[1] = 1


@scenario(acceptable(bool))
class Replaced(InFolder):
    """A file is made beside its place and moved there, where it is whole whenever it is seen."""

    @actor
    def write(self) -> None:
        with open(self.path("new"), "w") as file:
            file.write("text")
        os.replace(self.path("new"), self.path("file"))

    @actor
    def read(self) -> None:
        if os.path.exists(self.path("file")):
            with open(self.path("file")) as file:
                self.seen[0] = 1 + len(file.read())


@scenario(acceptable(bool))
class Listed(InFolder):
    """A folder is listed while a file is made in it and a link to that."""

    @actor
    def make(self) -> None:
        os.close(os.open(self.path("file"), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        os.link(self.path("file"), self.path("link"))

    @actor
    def look(self) -> None:
        self.seen[0] = len(os.listdir(self.folder))


class Locked(InFolder):
    """Two lock a file, and leave it to the end of their processes to unlock it."""

    def lock(self, descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def work(self) -> None:
        self.lock(os.open(self.path("lock"), os.O_CREAT | os.O_RDWR))
        self.seen[0] += 1

    @actor
    def one(self) -> None:
        self.work()

    @actor
    def other(self) -> None:
        self.work()


@scenario(acceptable(bool))
class Flocked(Locked):
    """By `flock`."""


@scenario(acceptable(bool))
class Lockfed(Locked):
    """By `lockf`."""

    def lock(self, descriptor: int) -> None:
        fcntl.lockf(descriptor, fcntl.LOCK_EX)


# Processes


def write(seen: Any, value: int) -> None:
    seen[1] = value


class Children(Noted):
    """Starts processes, beside an actor of one step."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.mp = mp

    @actor
    def other(self) -> None:
        self.seen[2] = 1


@scenario(acceptable(bool))
class Started(Children):
    """A child writes one value, and is joined."""

    @actor
    def start(self) -> None:
        child = self.mp.Process(target=write, args=(self.seen, 5))
        child.start()
        child.join()
        self.seen[0] = 1 + child.exitcode


def fail() -> None:
    raise SystemExit(3)


@scenario(acceptable(bool))
class Failed(Children):
    """A child ends with a status, which its parent learns of one way or another."""

    @actor
    def start(self) -> None:
        child = self.mp.Process(target=fail)
        child.start()
        while child.is_alive():
            pass
        self.seen[0] = child.exitcode


def wait(lock: Any) -> None:
    with lock:
        pass


@scenario(acceptable(bool))
class Terminated(Children):
    """A child that waits for ever is ended."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.lock = mp.Lock()

    @actor
    def start(self) -> None:
        with self.lock:
            child = self.mp.Process(target=wait, args=(self.lock,))
            child.start()
            child.terminate()
            child.join()
            self.seen[0] = child.exitcode == -signal.SIGTERM


def say(end: Any) -> None:
    end.send(8)


@scenario(acceptable(bool))
class Ended(Children):
    """A child sends something and ends, by which its parent comes to the end of the file."""

    @actor
    def start(self) -> None:
        receiver, sender = self.mp.Pipe(duplex=False)
        child = self.mp.Process(target=say, args=(sender,))
        child.start()
        sender.close()
        self.seen[0] = receiver.recv()
        try:
            receiver.recv()
        except EOFError:
            self.seen[1] = 1
        connection.wait([child.sentinel])
        child.join(0)
        self.seen[1] += child.exitcode == 0
        receiver.close()


def put(items: Any) -> None:
    items.put(6)
    items.put(bytes(100_000))


@scenario(acceptable(bool))
class Putter(Children):
    """A child puts more into a queue than its pipe holds, and ends when all of it is fed."""

    @actor
    def start(self) -> None:
        items = self.mp.Queue()
        child = self.mp.Process(target=put, args=(items,))
        child.start()
        self.seen[0] = items.get(timeout=PATIENCE_S)
        self.seen[1] = len(items.get(timeout=PATIENCE_S))
        child.join()
        items.close()


@scenario(acceptable(bool))
class JoinedFirst(Children):
    """A child puts more into a queue than its pipe holds, and is joined before anything is got."""

    @actor
    def start(self) -> None:
        items = self.mp.Queue()
        child = self.mp.Process(target=put, args=(items,))
        child.start()
        child.join()


# Shared segments


@scenario(acceptable(bool))
class SharedBytes:
    """A byte of a shared segment is added to."""

    def __init__(self, mp: Any) -> None:
        segment: Any = shared_memory.SharedMemory(create=True, size=16)
        segment.buf[0] = 0
        self.segment = segment

    @actor
    def one(self) -> None:
        self.segment.buf[0] += 1

    @actor
    def other(self) -> None:
        self.segment.buf[0] += 1

    def result(self) -> object:
        return self.segment.buf[0]


# What cannot be controlled


@scenario(acceptable(bool))
class WithThread(Noted):
    """Has a thread of its own."""

    @actor
    def one(self) -> None:
        thread = threading.Thread(target=self.seen.__setitem__, args=(0, 1))
        thread.start()
        thread.join()

    @actor
    def other(self) -> None:
        self.seen[1] = 1


@scenario(acceptable(bool))
class WithPool(Children):
    """Has a pool, which is left to itself."""

    @actor
    def one(self) -> None:
        with self.mp.Pool(2) as pool:
            self.seen[0] = sum(pool.map(abs, [1, 2, 3]))


@scenario(acceptable(bool))
class WithExecutor(Children):
    """Has a pool of another kind."""

    @actor
    def one(self) -> None:
        with futures.ProcessPoolExecutor(2, mp_context=self.mp) as pool:
            self.seen[0] = sum(pool.map(abs, [1, 2, 3]))


@scenario(acceptable(bool))
class WithManager(Children):
    """Has a manager."""

    @actor
    def one(self) -> None:
        with self.mp.Manager() as manager:
            self.seen[0] = len(manager.list([1, 2]))


@scenario(acceptable(bool))
class WithProgram(Noted):
    """Runs another program."""

    @actor
    def one(self) -> None:
        self.seen[0] = 1 + subprocess.run(["true"], check=False).returncode

    @actor
    def other(self) -> None:
        self.seen[1] = 1


@scenario(acceptable(bool))
class WithSocket(Noted):
    """Has a socket."""

    @actor
    def one(self) -> None:
        socket.socket(socket.AF_UNIX).close()
        self.seen[0] = 1

    @actor
    def other(self) -> None:
        self.seen[1] = 1
