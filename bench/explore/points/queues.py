"""Points of queues, whose feeder threads are replaced: an item waits in its process until the feeder takes a step.

A `put` counts the item, which `qsize` and `full` see from then on, and hands it to the feeder. To `feed` it is a step
of a lane of its own: before it, `empty()` returns true, as it may without a scheduler. As the thread does, the feeder
pickles an item when it feeds it, and holds the lock on writing until the item is written.

A `get` acquires the lock on reading, waits and receives in one step, releases the lock, and counts the item as taken;
one that may not wait counts first and then releases, as CPython has it. The lock is held by one that merely looks, too:
meanwhile a `get_nowait` of another process raises `Empty`, whatever is there.

To count is a step on the semaphore of the queue. That of a queue without a limit never blocks, and what several lanes
do to it commutes: each has a part of its own there, and who asks for the number looks at all of it.
"""

from __future__ import annotations

import collections
import errno
import functools
import os
import struct
import types
import weakref
from multiprocessing import queues, util
from multiprocessing.reduction import ForkingPickler
from queue import Empty, Full
from sys import _getframe

from bench.explore.points import descriptors, locks, pipes
from bench.explore.runtime import control
from bench.explore.runtime import layout as at
from bench.explore.runtime.packing import READ, op_of, placed, word

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Sequence
    from typing import Any

    from bench.explore.runtime.lane import Runtime

_UNLIMITED = 1 << 30
"""A limit from here on counts as none: a queue without one has `SEM_VALUE_MAX`, which is more on each platform."""

_END = object()
"""Stands behind the last item of a queue that was closed in this process."""

_feeders: weakref.WeakSet[Feeder] = weakref.WeakSet()
"""The feeders of this process."""

_cancelled: weakref.WeakSet[Any] = weakref.WeakSet()
"""The queues of this process whose feeders are not waited for, by what the user's code did in this schedule."""

_channels: dict[str, int] = {}
"""By name of a feeder of this process, the pipe that it feeds."""


def install() -> None:
    """Patch the queues of `multiprocessing`."""
    queue: Any = queues.Queue
    queue.__init__ = _marking(queue.__init__, _mark_made)
    queue.__setstate__ = _marking(queue.__setstate__, _mark)
    queue.put, queue.get = _filling(_replacing(queue.put, _put)), _flushing(_replacing(queue.get, _get))
    queue.empty = _flushing(queue.empty)
    queue.close, queue.cancel_join_thread = _flushing(_closing(queue.close)), _cancelling(queue.cancel_join_thread)
    queue.qsize, queue.full = _look(queue.qsize), _look(queue.full)
    joinable: Any = queues.JoinableQueue
    joinable.__init__ = _marking(joinable.__init__, _mark_joinable)
    joinable.__setstate__ = _marking(joinable.__setstate__, _mark_joinable)
    joinable.put = _filling(_replacing(joinable.put, _put_joinable))
    simple: Any = queues.SimpleQueue
    simple.get = _replacing(simple.get, _get_simple)


def _marking(original: Callable[..., None], mark: Callable[[Any], None]) -> Callable[..., None]:
    @functools.wraps(original)
    def marked(self: Any, *args: Any, **keywords: Any) -> None:
        original(self, *args, **keywords)
        mark(self)

    return marked


def _mark_made(queue: Any) -> None:
    """Mark a queue that was made here, and name its parts after it."""
    _mark(queue)
    if control.registry is not None:
        board = control.registry.board
        name = board.object_label(queue._reader._bench_object.number)
        for part, text in _PARTS:
            board.label_object(locks.object_of(part(queue)).number, text.format(name))


_PARTS: tuple[tuple[Callable[[Any], Any], str], ...] = (
    (lambda queue: queue._sem, "the room in {}"),
    (lambda queue: queue._rlock, "the lock on getting from {}"),
    (lambda queue: queue._wlock, "the lock on putting into {}"),
)


def _mark(queue: Any) -> None:
    if control.active is not None:
        queue._bench_own = True


def _mark_joinable(queue: Any) -> None:
    """Make the count of unfinished tasks part of the steps around it: it is only touched under the lock of `_cond`."""
    semaphore = queue._unfinished_tasks
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


def _cancelling(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def cancel_join_thread(self: Any) -> None:
        if control.active is not None and not self._joincancelled:
            _cancelled.add(self)
        original(self)

    return cancel_join_thread


def _look(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that reads the count of a queue as a step."""

    @functools.wraps(original)
    def looked(self: Any) -> Any:
        runtime = control.active
        if runtime is None:
            return original(self)
        runtime.arrive(locks.object_of(self._sem).read, 0, _getframe(1))
        found = original(self)
        if runtime.detail:
            runtime.note_value(repr(found))
        return found

    return looked


# Queues that are filled while the state of a scenario is made. In plain Python the feeder of that process may still be
# at it when the actors begin. So what is put then is fed in each schedule, by a lane in the first actor's process.


class Filled:
    """What was put into queues while a state was made: each queue with an item of it, pickled."""

    def __init__(self) -> None:
        self.items: list[tuple[Any, bytes]] = []
        self._pid = os.getpid()

    def __enter__(self) -> Filled:
        _State.filled = self
        return self

    def __exit__(self, *_: object) -> None:
        _State.filled = None

    def is_here(self) -> bool:
        """Return whether this is the process that makes the state, and not one that it has forked."""
        return os.getpid() == self._pid

    def put(self, queue: Any, data: bytes, block: bool, timeout: float | None) -> None:
        """Count an item that is put, and keep it.

        Raises:
            Full: if there is no room, and none in time.
        """
        if not queue._sem.acquire(block, timeout):
            raise Full
        if hasattr(queue, "_unfinished_tasks"):
            with queue._cond:
                queue._unfinished_tasks.release()
        self.items.append((queue, data))

    def flush(self, queue: Any) -> None:
        """Write what was put into a queue, as somebody looks for it while the state is still being made."""
        mine = [data for one, data in self.items if one is queue]
        self.items = [one for one in self.items if one[0] is not queue]
        for data in mine:
            queue._writer.send_bytes(data)


class _State:
    filled: Filled | None = None
    """The queues of the state that is being made in this process; `None` at other times."""


def _filling(put: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(put)
    def called(self: Any, obj: object, block: bool = True, timeout: float | None = None) -> None:
        filled = _State.filled
        if filled is None or not filled.is_here():
            put(self, obj, block, timeout)
            return
        _check_open(self)
        try:
            data = bytes(ForkingPickler.dumps(obj))
        except Exception:  # noqa: BLE001  # whatever it is: the real feeder meets it too, and tells
            put(self, obj, block, timeout)
        else:
            filled.put(self, data, block, timeout)

    return called


def _flushing(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def called(self: Any, *args: Any, **keywords: Any) -> Any:
        if _State.filled is not None and _State.filled.is_here():
            _State.filled.flush(self)
        return original(self, *args, **keywords)

    return called


class _Pickled(bytes):
    """An item that is pickled already."""

    __slots__ = ()


_fillers: dict[int, Feeder] = {}
"""By the address of a queue of the state, which stays, the feeder of what it was filled with."""


def feed_filled(runtime: Runtime, items: Sequence[tuple[Any, bytes]]) -> None:
    """Have feeders in this process feed what queues were filled with; to be called as the schedule begins."""
    for queue, data in items:
        if (feeder := _fillers.get(id(queue))) is None:
            feeder = _fillers[id(queue)] = Feeder(queue, collections.deque())
        feeder.join_schedule(runtime)
        feeder.append(_Pickled(data))


# Counting


def _count_in(runtime: Runtime, queue: Any, block: bool, timeout: float | None) -> None:
    """Count an item that is put, once there is room for it.

    Raises:
        Full: if there is none, and none in time.
    """
    if queue._maxsize >= _UNLIMITED:
        runtime.point("acquire", locks.object_of(queue._sem).number, runtime.lane)
        locks._inner_acquire(queue._sem)
    elif not queue._sem.acquire(block, timeout):
        raise Full


def _count_out(runtime: Runtime, queue: Any) -> None:
    """Count an item as taken."""
    if queue._maxsize >= _UNLIMITED:
        runtime.point("release", locks.object_of(queue._sem).number, runtime.lane)
        locks._inner_release(queue._sem)
    else:
        queue._sem.release()


# Putting


def _check_open(queue: Any) -> None:
    if queue._closed:
        raise ValueError(f"Queue {queue!r} is closed")


def _put(runtime: Runtime, self: Any, obj: object, block: bool = True, timeout: float | None = None) -> None:
    _check_open(self)
    _count_in(runtime, self, block, timeout)
    _append(runtime, self, obj)


def _put_joinable(runtime: Runtime, self: Any, obj: object, block: bool = True, timeout: float | None = None) -> None:
    _check_open(self)
    _count_in(runtime, self, block, timeout)
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
    feeder.append(item if _is_steady(item, _DEEPEST) else _Changeable(runtime, item))


_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType)
_STEADY = (type(None), bool, int, float, complex, str, bytes, range, type, *_FUNCTIONS)
_DEEPEST = 4


def _is_steady(item: object, depth: int) -> bool:
    """Return whether an item cannot change between its put and the time when its feeder pickles it."""
    if type(item) in (tuple, frozenset):
        return depth > 0 and all(_is_steady(one, depth - 1) for one in item)  # type: ignore[attr-defined]  # either has items
    return isinstance(item, _STEADY)


class _Changeable:
    """An item that may change before it is fed, with its pickle as it was put.

    The feeder pickles what it feeds, so a change by the process that put it comes before that or after it. A change is
    no step, so the order of the two is not one that is explored; but where it came before, that is noticed.
    """

    __slots__ = ("before", "item", "place")

    def __init__(self, runtime: Runtime, item: object) -> None:
        self.item = item
        self.place = op_of(runtime.numbers[at.LOG + 2 * runtime.numbers[at.STEPS] - 2], 0).place
        with runtime.raw():
            self.before = None if _pickles_itself(type(item)) else _pickle(item)

    def has_changed(self, data: bytes) -> bool:
        """Return whether the item was another one when it was put, as far as that is known."""
        return self.before is not None and self.before != data


def _pickles_itself(kind: type) -> bool:
    """Return whether a class is pickled by code in Python, which is not to run more often than it would."""
    names = ("__reduce_ex__", "__reduce__", "__getstate__")
    return any(isinstance(vars(one).get(name), types.FunctionType) for one in kind.__mro__ for name in names)


def _pickle(item: object) -> bytes | None:
    try:
        return bytes(ForkingPickler.dumps(item))
    except Exception:  # noqa: BLE001  # whatever it is: the feeder meets it again
        return None


class Feeder:
    """Replaces the thread of a queue: writes the items that were put into the pipe, one item a step.

    It is a lane, but has no process of its own: its steps are taken by the process whose items it feeds.
    """

    def __init__(self, queue: Any, filling: deque[Any] | None = None) -> None:
        self._fills = filling is not None
        self._buffer: deque[Any] = queue._buffer if filling is None else filling
        self._reader, self._writer, self._lock, self._sem = queue._reader, queue._writer, queue._wlock, queue._sem
        self._failed, self._ignore_epipe = queue._on_queue_feeder_error, queue._ignore_epipe
        self.queue, self.lane = weakref.ref(queue), 0
        _feeders.add(self)
        self._runtime: Any = None
        self._item: object = None
        self._rest = memoryview(b"")
        self._holds = False
        self._dropped: Any = None
        self.ending = False
        self.channel = self.more = self.done = 0
        if self._fills:
            return
        if not queue._joincancelled:
            queue._jointhread = util.Finalize(self, _join, args=(self,), exitpriority=-5)
        queue._close = util.Finalize(queue, self.end, exitpriority=10)

    def join_schedule(self, runtime: Runtime) -> None:
        """Get a lane in this schedule; what is left from an earlier one is dropped, as its pipe was emptied too."""
        if self._runtime is None:
            self.channel = runtime.object(pipes.key_of(self._writer.fileno()), "queue")
            by = "__init__" if self._fills else runtime.board.name(runtime.lane)
            name, label = _name(runtime, self.channel, by), runtime.board.object_label(self.channel)
            self.more = runtime.object(f"{name}: more", label)
            self.done = runtime.object(f"{name}: done", label)
            self._runtime, self._key, self.lane = runtime, name, runtime.registry.lane(name)
        if not runtime.board.feeders >> self.lane & 1:
            self._buffer.clear()
            self._rest, self._holds, self._dropped = memoryview(b""), False, None
        runtime.add_feeder(self._key, self.feed, self.channel, self.more)

    def append(self, item: object) -> None:
        """Append an item that was put."""
        self._buffer.append(item)
        self._runtime.set_counter(self.more, 1)

    def end(self) -> None:
        """Close the pipe once the items that are there are fed."""
        if control.active is not None:
            self.ending = True
            self.append(_END)

    def join(self) -> None:
        """Wait until everything is fed, as the end of a process does."""
        if (runtime := control.active) is not None:
            runtime.point("join", self.channel, wants=self.done)

    # Steps of the feeder's lane; called raw.

    def feed(self) -> None:
        """Feed an item, or as much of it as fits."""
        if self._dropped is not None:
            self._count_dropped()
        elif self._rest or self._next():
            self._write()
        else:
            self._offer_more()

    def _offer_more(self) -> None:
        self._runtime.set_counter(self.more, 1 if self._rest or self._buffer else 0)

    def _next(self) -> bool:
        """Go on to the next item; return whether there is anything to write."""
        runtime, item = self._runtime, self._buffer.popleft()
        put = item if isinstance(item, _Changeable) else None
        self._item = item if put is None else put.item
        if self._item is _END:
            self._end()
            return False
        ready = self._item if isinstance(self._item, _Pickled) else None
        if runtime.detail:
            runtime.note_value(repr(self._item) if ready is None else pipes.message_text(bytes(ready)))
        try:
            data = bytes(ForkingPickler.dumps(self._item)) if ready is None else bytes(ready)
        except Exception as error:  # noqa: BLE001  # whatever it is: the item is dropped, and it is told, as the thread does
            self._drop(error)
            return False
        if put is not None and put.has_changed(data):
            label, place = runtime.board.object_label(self.channel), runtime.board.place(put.place)
            runtime.note_uncontrolled(f"an item that was changed after it was put into {label}, {place}")
        self._rest = memoryview(struct.pack("!i", len(data)) + data)
        return True

    def _write(self) -> None:
        runtime = self._runtime
        if not self._holds and not self._lock.acquire(False):  # a large item of another process is not written yet
            pipes.block_feeder(runtime, self.channel, self.more)
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
            pipes.block_feeder(runtime, self.channel, self.more)
        else:
            self._offer_more()

    def _drop(self, error: Exception) -> None:
        """Drop an item that cannot be fed; in a process that is ending, that is the end of the feeder."""
        # As in the thread, called while the error is handled: whoever patched `is_exiting` learns of it.
        if queues.is_exiting():  # type: ignore[attr-defined]  # a name that the module imports
            self._buffer.clear()
            self._runtime.set_counter(self.done, 1)
            return
        self._dropped = error, self._item
        # That the item is taken off the count is another step, and concerns another object.
        self._set_step("release", locks.object_of(self._sem).number, 0)

    def _set_step(self, kind: str, number: int, wants: int) -> None:
        record = self._runtime.board.lane(self.lane)
        record.word, record.wants = word(kind, number) | placed(0, self.lane), wants

    def _count_dropped(self) -> None:
        """Take a dropped item off the count."""
        (error, item), self._dropped = self._dropped, None
        self._sem._semlock.release()
        self._runtime.add_to_counter(locks.object_of(self._sem).number, 1)
        self._set_step("feed", self.channel, self.more)
        try:
            self._failed(error, item)
        finally:
            self._offer_more()

    def handles(self) -> set[int]:
        """Return the descriptors that it closes when it comes to its end."""
        return set() if self._writer.closed else {self._reader.fileno(), self._writer.fileno()}

    def is_through(self) -> bool:
        """Return whether nothing is left to feed, and none of it is underway."""
        return not self._buffer and not self._rest and self._dropped is None

    def _end(self) -> None:
        self._reader.close()
        self._writer.close()
        self._runtime.set_counter(self.done, 1)
        pipes.recheck(self._runtime, self.channel)


def _join(feeder: Feeder) -> None:
    feeder.join()


def handles_of_ending_feeders() -> set[int]:
    """Return the descriptors that feeders of this process are about to close, as their queues are closed or gone."""
    return {number for feeder in _feeders if feeder.ending for number in feeder.handles()}


def end_feeders(runtime: Runtime, *, cancelled: bool = False) -> None:
    """End feeders that the end of their process does not wait for, and what they still have is lost.

    They may also have fed it just before: so that is a step.

    Args:
        runtime: of the lane of the process.
        cancelled: whether the process goes on, for the next schedule: only those end that would not be joined.
    """
    if cancelled and not _cancelled:  # as mostly: to go through weak sets takes long, at the end of each schedule
        return
    ending = [feeder for feeder in _feeders if not cancelled or feeder.queue() in _cancelled]
    if control.active is not None and any(not feeder.is_through() for feeder in ending):
        name = f"the end of {runtime.board.name(runtime.lane)}"
        runtime.point("exit", runtime.object(name, name))
    runtime.drop_feeders([feeder.lane for feeder in ending] if cancelled else None)
    for queue in _cancelled:
        queue._joincancelled = False
    _cancelled.clear()


def _name(runtime: Runtime, channel: int, by: str) -> str:
    """Return a name for a feeder that no feeder of another queue or process has."""
    name = common = f"{runtime.board.object_label(channel)} fed by {by}"
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
        _count_out(runtime, self)
    elif block and timeout > 0:  # type: ignore[operator]  # it is no None here
        data = _get_in_time(runtime, self, timeout)  # type: ignore[arg-type]  # the same
    else:
        data = _get_now(runtime, self)
    return ForkingPickler.loads(data)


def _get_in_time(runtime: Runtime, self: Any, timeout: float) -> bytes:
    deadline = runtime.now() + timeout
    if not self._rlock.acquire(True, timeout):
        raise Empty
    try:
        data = _receive(runtime, self._reader, max(deadline - runtime.now(), 0))
        _count_out(runtime, self)
    finally:
        self._rlock.release()
    return data


def _get_now(runtime: Runtime, self: Any) -> bytes:
    """Get an item if there is one now and no other lane is about to get one.

    To find nothing changes nothing in the end, so a loop of attempts waits for a step of another lane. It is recognized
    at its first step alone, `READ` there: a lane that yielded at a later one would keep the lock meanwhile.
    """
    lock, descriptor, frame = self._rlock, self._reader.fileno(), _getframe(2)
    semaphore, number = locks.object_of(lock), runtime.object(pipes.key_of(descriptor), "queue")
    futile = runtime.counter(semaphore.number) <= 0 or not pipes.readable(descriptor)
    runtime.arrive(semaphore.attempt | (READ if futile else 0), 0, frame)
    if not locks._take(lock, lock._semlock, runtime, semaphore, attempt=True, looks=True):
        raise Empty
    found = False
    try:
        quiet = 0 if pipes.readable(descriptor) else READ
        if not quiet:
            runtime.mark_changed()
        runtime.announce(word("receive", number) | quiet, frame)
        found = pipes.readable(descriptor)
        if not found:
            if runtime.detail:
                runtime.note_value("nothing")
            raise Empty
        runtime.mark_changed()
        data = pipes.receive_now(runtime, self._reader)
        _count_out(runtime, self)
    finally:
        if found:
            lock.release()
        else:
            runtime.announce(semaphore.release | READ, frame)
            locks._release_now(lock._semlock, runtime, semaphore)
    return data


def _receive(runtime: Runtime, reader: Any, timeout: float | None = None) -> bytes:
    """Receive a message as one step, which can be taken when there is one.

    Args:
        runtime: of the lane.
        reader: the end to receive from.
        timeout: how long to wait for a message, in virtual seconds; `None` for ever.

    Raises:
        Empty: if there was none in time.
    """
    descriptor = reader.fileno()
    number = runtime.object(pipes.key_of(descriptor), "queue")
    if timeout is not None:
        runtime.set_deadline(runtime.now() + timeout)
    runtime.probe(number, lambda: pipes.readable(descriptor))
    runtime.point("receive", number, wants=pipes.ready(runtime, number))
    if not pipes.readable(descriptor):
        raise Empty
    return pipes.receive_now(runtime, reader)


def _get_simple(runtime: Runtime, self: Any) -> object:
    with self._rlock:
        data = _receive(runtime, self._reader)
    return ForkingPickler.loads(data)
