"""Points of queues, whose feeder threads are replaced: what was put waits in its process until its feeder is next.

`put` is a step, and `feed` another one, of a lane of its own: until then `empty()` says that there is nothing, as it
may without a scheduler. As the thread does, the feeder pickles an item when it feeds it, and holds the lock on writing
for as long as an item takes to get through. A `get` waits and takes in one step under its lock, where only other
readers could tell the difference, and they wait for the lock.

The semaphore of a queue without a limit never blocks, and is no step of its own.
"""

from __future__ import annotations

import errno
import functools
import struct
from multiprocessing import queues, util
from multiprocessing.reduction import ForkingPickler
from queue import Empty, Full

from bench.explore.model import ANYTHING
from bench.explore.points import ending, locks, pipes
from bench.explore.runtime import control

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable
    from typing import Any

_UNLIMITED = 1 << 30
"""Any limit from here on is none: a queue without a limit has `SEM_VALUE_MAX`, which is more on each platform."""

_END = object()
"""Put behind the last item of a queue that was closed in this process."""

_named: dict[str, int] = {}
"""By the names of the feeders of this process, the pipes that they feed."""


def install() -> None:
    """Have the queues of this process arrive at points."""
    queue: Any = queues.Queue
    queue.__init__ = _marking(queue.__init__, _mark)
    queue.__setstate__ = _marking(queue.__setstate__, _mark)
    queue.put, queue.get = _controlled(queue.put, _put), _controlled(queue.get, _get)
    queue.close = _closing(queue.close)
    queue.qsize, queue.full = _look(queue.qsize), _look(queue.full)
    joinable: Any = queues.JoinableQueue
    joinable.__init__ = _marking(joinable.__init__, _mark_joinable)
    joinable.__setstate__ = _marking(joinable.__setstate__, _mark_joinable)
    joinable.put = _controlled(joinable.put, _put_joinable)
    simple: Any = queues.SimpleQueue
    simple.get = _controlled(simple.get, _get_simple)


def _marking(original: Callable[..., None], mark: Callable[[Any], None]) -> Callable[..., None]:
    @functools.wraps(original)
    def marked(self: Any, *args: Any, **keywords: Any) -> None:
        original(self, *args, **keywords)
        mark(self)

    return marked


def _mark(queue: Any) -> None:
    if control.active is not None:
        queue._bench_own = True
    if queue._maxsize >= _UNLIMITED:
        _merge(queue._sem)


def _mark_joinable(queue: Any) -> None:
    _merge(queue._unfinished_tasks)  # which only who holds the lock of `_cond` touches


def _merge(semaphore: Any) -> None:
    """Have what is done with a semaphore that cannot block be part of the steps around it."""
    semaphore.acquire = functools.partial(locks._inner_acquire, semaphore)
    semaphore.release = functools.partial(locks._inner_release, semaphore)


def _controlled(original: Callable[..., Any], mine: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def called(self: Any, *args: Any, **keywords: Any) -> Any:
        runtime = control.active
        return original(self, *args, **keywords) if runtime is None else mine(runtime, self, *args, **keywords)

    return called


def _closing(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def close(self: Any) -> None:
        runtime = control.active
        if runtime is not None and not hasattr(self, "_bench_own"):
            ending.spoil(runtime)
        original(self)

    return close


def _look(original: Callable[..., Any]) -> Callable[..., Any]:
    """Make a look at how many items there are a step; what changes it are several objects."""

    @functools.wraps(original)
    def looked(self: Any) -> Any:
        runtime = control.active
        if runtime is None:
            return original(self)
        runtime.point("poll", ANYTHING)
        with runtime.raw():
            found = original(self)
        if runtime.detail:
            runtime.saw(repr(found))
        return found

    return looked


# Putting


def _check_open(queue: Any) -> None:
    if queue._closed:
        raise ValueError(f"Queue {queue!r} is closed")


def _put(runtime: Any, self: Any, obj: object, block: bool = True, timeout: float | None = None) -> None:
    _check_open(self)
    if not self._sem.acquire(block, timeout):
        raise Full
    _append(runtime, self, obj)


def _put_joinable(runtime: Any, self: Any, obj: object, block: bool = True, timeout: float | None = None) -> None:
    _check_open(self)
    if not self._sem.acquire(block, timeout):
        raise Full
    with self._cond:
        _append(runtime, self, obj)
        self._unfinished_tasks.release()


def _append(runtime: Any, queue: Any, item: object) -> None:
    feeder = queue._thread
    if not isinstance(feeder, Feeder):
        feeder = queue._thread = Feeder(queue)
    feeder.take_part(runtime)
    runtime.point("put", feeder.more)
    if runtime.detail:
        runtime.saw(repr(item))
    feeder.append(item)


class Feeder:
    """Stands where a queue has its thread: feeds what was put into the pipe, one item a step."""

    def __init__(self, queue: Any) -> None:
        self._buffer: deque[Any] = queue._buffer
        self._reader, self._writer, self._lock, self._sem = queue._reader, queue._writer, queue._wlock, queue._sem
        self._failed, self._ignore_epipe = queue._on_queue_feeder_error, queue._ignore_epipe
        self._runtime: Any = None
        self._item: object = None
        self._rest = memoryview(b"")
        self._holds = False
        self.channel = self.more = self.done = 0
        if not queue._joincancelled:
            queue._jointhread = util.Finalize(self, _join, args=(self,), exitpriority=-5)
        queue._close = util.Finalize(queue, self.end, exitpriority=10)

    def take_part(self, runtime: Any) -> None:
        """Have a lane in this schedule. What an earlier one left is gone, as its pipe was emptied, too."""
        if self._runtime is None:
            self.channel = runtime.object(pipes.key_of(self._writer.fileno()), "queue")
            name, label = _name(runtime, self.channel), runtime.board.object_label(self.channel)
            self.more = runtime.object(f"{name}: more", label)
            self.done = runtime.object(f"{name}: done", label)
            self._runtime, self._key, self._lane = runtime, name, runtime.registry.lane(name)
        if not runtime.board.feeders >> self._lane & 1:
            self._buffer.clear()
            self._rest, self._holds = memoryview(b""), False
        runtime.feeder(self._key, self.feed, self.channel, self.more)

    def append(self, item: object) -> None:
        """Take an item that was put."""
        self._buffer.append(item)
        self._runtime.set_counter(self.more, 1)

    def end(self) -> None:
        """Let go of the pipe after the items that are there."""
        if control.active is not None:
            self.append(_END)

    def join(self) -> None:
        """Wait until all is fed, as who ends a process does."""
        if (runtime := control.active) is not None:
            runtime.point("join", self.channel, wants=self.done)

    # What the feeder's lane does; called raw.

    def feed(self) -> None:
        """Feed an item, or as much of it as fits."""
        if self._rest or self._next():
            self._write()
        else:
            self._offer_more()

    def _offer_more(self) -> None:
        self._runtime.set_counter(self.more, 1 if self._rest or self._buffer else 0)

    def _next(self) -> bool:
        """Go on to the next item; tell whether there is anything to write."""
        runtime, self._item = self._runtime, self._buffer.popleft()
        if self._item is _END:
            self._end()
            return False
        if runtime.detail:
            runtime.saw(repr(self._item))
        try:
            data = bytes(ForkingPickler.dumps(self._item))
        except Exception as error:  # noqa: BLE001  # whatever it is: the item is dropped, and it is told, as the thread does
            self._drop(error)
            return False
        self._rest = memoryview(struct.pack("!i", len(data)) + data)
        return True

    def _write(self) -> None:
        runtime = self._runtime
        if not self._holds and not self._lock.acquire(False):  # somebody's large item is on its way
            pipes.hold_up(runtime, self.more)
            return
        self._holds = True
        descriptor = self._writer.fileno()
        try:
            if pipes.writable(descriptor):
                self._rest = self._rest[pipes.write_now(descriptor, self._rest) :]
        except OSError as error:
            self._rest = memoryview(b"")
            if self._ignore_epipe and error.errno == errno.EPIPE:
                self._buffer.clear()
            else:
                self._drop(error)
        if not self._rest:
            self._holds = False
            self._lock.release()
        pipes.stirred(runtime, self.channel)
        if self._rest:
            pipes.hold_up(runtime, self.more)
        else:
            self._offer_more()

    def _drop(self, error: Exception) -> None:
        """Do without an item that cannot be fed."""
        self._sem._semlock.release()
        self._runtime.add(locks.facts(self._sem).number, 1)
        if not util.is_exiting():
            self._failed(error, self._item)

    def _end(self) -> None:
        self._reader.close()
        self._writer.close()
        self._runtime.set_counter(self.done, 1)
        pipes.stirred(self._runtime, self.channel)


def _join(feeder: Feeder) -> None:
    feeder.join()


def _name(runtime: Any, channel: int) -> str:
    """Name a feeder, other than those of other queues and processes."""
    name = common = f"{runtime.board.object_label(channel)} fed by {runtime.board.name(runtime.lane)}"
    count = 1
    while _named.setdefault(name, channel) != channel:
        count += 1
        name = f"{common} ({count})"
    return name


# Getting


def _get(runtime: Any, self: Any, block: bool = True, timeout: float | None = None) -> object:
    _check_open(self)
    if block and timeout is None:
        with self._rlock:
            data = _taken(runtime, self._reader)
        self._sem.release()
    else:
        data = _get_in_time(runtime, self, max(timeout or 0, 0) if block else 0)
    return ForkingPickler.loads(data)


def _get_in_time(runtime: Any, self: Any, timeout: float) -> bytes:
    deadline = runtime.now() + timeout
    if not timeout:
        # One step, which changes nothing: to take the lock and find nothing is no more than to find nothing.
        pipes.wait([self._reader], 0)
        if not pipes.readable(self._reader.fileno()):
            raise Empty
    if not self._rlock.acquire(timeout > 0, timeout or None):
        raise Empty
    try:
        data = _taken(runtime, self._reader, max(deadline - runtime.now(), 0) if timeout else 0)
        self._sem.release()
    finally:
        self._rlock.release()
    return data


def _taken(runtime: Any, reader: Any, timeout: float | None = None) -> bytes:
    """Take a message as one step, which can be taken when there is one.

    Args:
        timeout: how long it may take until there is one, in seconds; 0 not to wait at all.

    Raises:
        Empty: if there was none in time.
    """
    descriptor = reader.fileno()
    number = runtime.object(pipes.key_of(descriptor), "queue")
    if timeout is None or timeout > 0:
        if timeout is not None:
            runtime.timeout(runtime.now() + timeout)
        runtime.probe(number, lambda: pipes.readable(descriptor))
        runtime.point("receive", number, wants=pipes.ready(runtime, number))
    else:
        runtime.point("receive", number)
    if not pipes.readable(descriptor):
        raise Empty
    return pipes.receive_now(runtime, reader)


def _get_simple(runtime: Any, self: Any) -> object:
    with self._rlock:
        data = _taken(runtime, self._reader)
    return ForkingPickler.loads(data)
