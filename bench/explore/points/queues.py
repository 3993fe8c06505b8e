"""Points of queues, whose feeder threads are replaced: an item waits in its process until the feeder takes a step.

`put` is a step, and `feed` another one, of a lane of its own: in between `empty()` returns true, as it may without a
scheduler. As the thread does, the feeder pickles an item when it feeds it, and holds the lock on writing until the item
is written. A `get` waits and receives in one step under its lock: only other readers could see a difference, and they
wait for the lock.

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
from bench.explore.points import descriptors, locks, pipes
from bench.explore.runtime import control

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable
    from typing import Any

    from bench.explore.runtime.lane import Runtime

_UNLIMITED = 1 << 30
"""A limit from here on counts as none: a queue without one has `SEM_VALUE_MAX`, which is more on each platform."""

_END = object()
"""Stands behind the last item of a queue that was closed in this process."""

_channels: dict[str, int] = {}
"""By name of a feeder of this process, the pipe that it feeds."""


def install() -> None:
    """Patch the queues of `multiprocessing`."""
    queue: Any = queues.Queue
    queue.__init__ = _marking(queue.__init__, _mark)
    queue.__setstate__ = _marking(queue.__setstate__, _mark)
    queue.put, queue.get = _replacing(queue.put, _put), _replacing(queue.get, _get)
    queue.close = _closing(queue.close)
    queue.qsize, queue.full = _look(queue.qsize), _look(queue.full)
    joinable: Any = queues.JoinableQueue
    joinable.__init__ = _marking(joinable.__init__, _mark_joinable)
    joinable.__setstate__ = _marking(joinable.__setstate__, _mark_joinable)
    joinable.put = _replacing(joinable.put, _put_joinable)
    simple: Any = queues.SimpleQueue
    simple.get = _replacing(simple.get, _get_simple)


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
    _merge(queue._unfinished_tasks)  # only touched under the lock of `_cond`


def _merge(semaphore: Any) -> None:
    """Make the operations of a semaphore that cannot block parts of the steps around them."""
    semaphore.acquire = functools.partial(locks._inner_acquire, semaphore)
    semaphore.release = functools.partial(locks._inner_release, semaphore)


def _replacing(original: Callable[..., Any], mine: Callable[..., Any]) -> Callable[..., Any]:
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
            descriptors.mark_spoiled(runtime)
        original(self)

    return close


def _look(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that reads the number of items as a step on anything: several objects change it."""

    @functools.wraps(original)
    def looked(self: Any) -> Any:
        runtime = control.active
        if runtime is None:
            return original(self)
        runtime.point("poll", ANYTHING)
        with runtime.raw():
            found = original(self)
        if runtime.detail:
            runtime.note_value(repr(found))
        return found

    return looked


# Putting


def _check_open(queue: Any) -> None:
    if queue._closed:
        raise ValueError(f"Queue {queue!r} is closed")


def _put(runtime: Runtime, self: Any, obj: object, block: bool = True, timeout: float | None = None) -> None:
    _check_open(self)
    if not self._sem.acquire(block, timeout):
        raise Full
    _append(runtime, self, obj)


def _put_joinable(runtime: Runtime, self: Any, obj: object, block: bool = True, timeout: float | None = None) -> None:
    _check_open(self)
    if not self._sem.acquire(block, timeout):
        raise Full
    with self._cond:
        _append(runtime, self, obj)
        self._unfinished_tasks.release()


def _append(runtime: Runtime, queue: Any, item: object) -> None:
    feeder = queue._thread
    if not isinstance(feeder, Feeder):
        feeder = queue._thread = Feeder(queue)
    feeder.join_schedule(runtime)
    runtime.point("put", feeder.more)
    if runtime.detail:
        runtime.note_value(repr(item))
    feeder.append(item)


class Feeder:
    """Replaces the thread of a queue: writes the items that were put into the pipe, one item a step.

    It is a lane, but has no process of its own: its steps are taken by the process whose items it feeds.
    """

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

    def join_schedule(self, runtime: Runtime) -> None:
        """Get a lane in this schedule; what is left from an earlier one is dropped, as its pipe was emptied too."""
        if self._runtime is None:
            self.channel = runtime.object(pipes.key_of(self._writer.fileno()), "queue")
            name, label = _name(runtime, self.channel), runtime.board.object_label(self.channel)
            self.more = runtime.object(f"{name}: more", label)
            self.done = runtime.object(f"{name}: done", label)
            self._runtime, self._key, self._lane = runtime, name, runtime.registry.lane(name)
        if not runtime.board.feeders >> self._lane & 1:
            self._buffer.clear()
            self._rest, self._holds = memoryview(b""), False
        runtime.add_feeder(self._key, self.feed, self.channel, self.more)

    def append(self, item: object) -> None:
        """Append an item that was put."""
        self._buffer.append(item)
        self._runtime.set_counter(self.more, 1)

    def end(self) -> None:
        """Close the pipe once the items that are there are fed."""
        if control.active is not None:
            self.append(_END)

    def join(self) -> None:
        """Wait until everything is fed, as the end of a process does."""
        if (runtime := control.active) is not None:
            runtime.point("join", self.channel, wants=self.done)

    # Steps of the feeder's lane; called raw.

    def feed(self) -> None:
        """Feed an item, or as much of it as fits."""
        if self._rest or self._next():
            self._write()
        else:
            self._offer_more()

    def _offer_more(self) -> None:
        self._runtime.set_counter(self.more, 1 if self._rest or self._buffer else 0)

    def _next(self) -> bool:
        """Go on to the next item; return whether there is anything to write."""
        runtime, self._item = self._runtime, self._buffer.popleft()
        if self._item is _END:
            self._end()
            return False
        if runtime.detail:
            runtime.note_value(repr(self._item))
        try:
            data = bytes(ForkingPickler.dumps(self._item))
        except Exception as error:  # noqa: BLE001  # whatever it is: the item is dropped, and it is told, as the thread does
            self._drop(error)
            return False
        self._rest = memoryview(struct.pack("!i", len(data)) + data)
        return True

    def _write(self) -> None:
        runtime = self._runtime
        if not self._holds and not self._lock.acquire(False):  # a large item of another process is not written yet
            pipes.block_feeder(runtime, self.more)
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
        pipes.recheck(runtime, self.channel)
        if self._rest:
            pipes.block_feeder(runtime, self.more)
        else:
            self._offer_more()

    def _drop(self, error: Exception) -> None:
        """Drop an item that cannot be fed."""
        self._sem._semlock.release()
        self._runtime.add_to_counter(locks.object_of(self._sem).number, 1)
        if not util.is_exiting():
            self._failed(error, self._item)

    def _end(self) -> None:
        self._reader.close()
        self._writer.close()
        self._runtime.set_counter(self.done, 1)
        pipes.recheck(self._runtime, self.channel)


def _join(feeder: Feeder) -> None:
    feeder.join()


def _name(runtime: Runtime, channel: int) -> str:
    """Return a name for a feeder that no feeder of another queue or process has."""
    name = common = f"{runtime.board.object_label(channel)} fed by {runtime.board.name(runtime.lane)}"
    count = 1
    while _channels.setdefault(name, channel) != channel:
        count += 1
        name = f"{common} ({count})"
    return name


# Getting


def _get(runtime: Runtime, self: Any, block: bool = True, timeout: float | None = None) -> object:
    _check_open(self)
    if block and timeout is None:
        with self._rlock:
            data = _receive(runtime, self._reader)
        self._sem.release()
    else:
        data = _get_in_time(runtime, self, max(timeout or 0, 0) if block else 0)
    return ForkingPickler.loads(data)


def _get_in_time(runtime: Runtime, self: Any, timeout: float) -> bytes:
    deadline = runtime.now() + timeout
    if not timeout:
        # One step, which changes nothing: to acquire the lock and find nothing amounts to finding nothing.
        pipes.wait([self._reader], 0)
        if not pipes.readable(self._reader.fileno()):
            raise Empty
    if not self._rlock.acquire(timeout > 0, timeout or None):
        raise Empty
    try:
        data = _receive(runtime, self._reader, max(deadline - runtime.now(), 0) if timeout else 0)
        self._sem.release()
    finally:
        self._rlock.release()
    return data


def _receive(runtime: Runtime, reader: Any, timeout: float | None = None) -> bytes:
    """Receive a message as one step, which can be taken when there is one.

    Args:
        runtime: of the lane.
        reader: the end to receive from.
        timeout: how long to wait for a message, in virtual seconds; 0 not to wait at all, `None` for ever.

    Raises:
        Empty: if there was none in time.
    """
    descriptor = reader.fileno()
    number = runtime.object(pipes.key_of(descriptor), "queue")
    if timeout is None or timeout > 0:
        if timeout is not None:
            runtime.set_deadline(runtime.now() + timeout)
        runtime.probe(number, lambda: pipes.readable(descriptor))
        runtime.point("receive", number, wants=pipes.ready(runtime, number))
    else:
        runtime.point("receive", number)
    if not pipes.readable(descriptor):
        raise Empty
    return pipes.receive_now(runtime, reader)


def _get_simple(runtime: Runtime, self: Any) -> object:
    with self._rlock:
        data = _receive(runtime, self._reader)
    return ForkingPickler.loads(data)
