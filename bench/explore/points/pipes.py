"""Points of pipes: sending, receiving, polling and closing, on connections and on the descriptors of `os.pipe`.

Connections run their own code over `write` and `read`, which are points here, so that a message goes out in as many
pieces as it does on each Python, and two readers of one end can mix up head and body, as they really can. Whether an
operation would block is found out by polling the descriptor itself.

A pipe is known by its inode, the same at both ends and in each process. The two sockets of a duplex pipe get names as
they are made, from which the pipe of an end is known, however the end came to its process.
"""

from __future__ import annotations

import _socket
import fcntl
import gc
import os
import select
import stat
import sys
import termios
from multiprocessing import connection
from typing import NamedTuple

from bench.explore.model import ANYTHING, MOST_LANES, WHOLE
from bench.explore.points import descriptors, uncontrolled
from bench.explore.runtime import control

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from bench.explore.runtime.lane import Runtime

_ioctl = fcntl.ioctl
_read, _write, _close, _pipe, _fstat = os.read, os.write, os.close, os.pipe, os.fstat
_real_poller = select.poll
_real_wait, _real_pipe = connection.wait, connection.Pipe
_real_receive, _real_send = connection.Connection._recv_bytes, connection.Connection._send_bytes  # type: ignore[attr-defined]  # private; tests hold them on each Python
_real_polled, _real_close = connection.Connection._poll, connection.Connection._close  # type: ignore[attr-defined]  # private, as above

ATOMIC = select.PIPE_BUF if hasattr(select, "PIPE_BUF") else 512
"""The most bytes that a writable pipe takes as a whole (POSIX, `write`: PIPE_BUF)."""

HEAD, BODY = 0, 1
"""The parts of a one-way pipe. A send appends to it (`HEAD`). Once a message's length was read, the reading of its
rest (`BODY`) commutes with sends, which only append. Any other operation concerns the `WHOLE`."""

_SEVERAL, _BLOCKED = "several descriptors", "feeders that are blocked"

_sentinels: dict[int, tuple[int, int]] = {}
"""By descriptor of a process's sentinel, its inode, and the object of that process."""

_NAME = "\0forkbench-pipe-"
_sockets: dict[int, tuple[str, int]] = {}
_named = 0


class PipeObject(NamedTuple):
    """A pipe as a shared object, noted on both of its connections where it was made."""

    number: int


class _Message:
    """The message that is being sent or received: one at a time in a process, which runs one lane."""

    inside: bool | None = None
    """Whether the next read is a later one of its message; `False` for the first, `None` outside of messages."""

    at_once = False
    """Whether the reads of a message are one step, where they do not block: a queue's own lock keeps others out."""

    text = ""
    """The message that is being sent, as the story shows it."""


def install() -> None:
    """Patch connections, `connection.wait`, `Pipe` and `os.pipe`."""
    kind: Any = connection.Connection
    kind._send.__defaults__ = (write,)
    kind._recv.__defaults__ = (read,)
    kind._recv_bytes = _receive_bytes
    kind._send_bytes = _send_bytes
    kind._poll = _poll
    kind._close = _close_connection
    connection.wait = wait
    connection.Pipe = pipe
    os.pipe = os_pipe


def key_of(descriptor: int) -> str:
    """Return the key of the object that a pipe or socket is."""
    return _identity(descriptor)[0]


def _identity(descriptor: int) -> tuple[str, int | None]:
    """Return the key of a pipe, and the direction in which this end sends: 0 or 1; `None` for a one-way pipe."""
    status = _fstat(descriptor)
    if not stat.S_ISSOCK(status.st_mode):
        return f"pipe:{status.st_dev}:{status.st_ino}", None
    known = _sockets.get(status.st_ino)
    if known is None:
        known = _sockets[status.st_ino] = _by_name(descriptor) or (f"socket:{status.st_ino}", -1)
    return known


def _by_name(descriptor: int) -> tuple[str, int] | None:
    end = _socket.socket(fileno=descriptor)
    try:
        name = end.getsockname()
    finally:
        end.detach()
    if not isinstance(name, bytes) or not name.startswith(_NAME.encode()):
        return None
    return f"pipe:{name[len(_NAME) : -1].decode()}", int(name[-1:])


def _channel(runtime: Runtime, descriptor: int) -> tuple[int, int | None]:
    """Return the object of a pipe, and the direction in which this end sends, as `_identity` does."""
    known, way = _identity(descriptor)
    number = runtime.object(known, "a pipe")
    if way == -1:
        uncontrolled.note(uncontrolled.ELSEWHERE, takes_time=True)
        return number, 0
    return number, way


def readable(descriptor: int) -> bool:
    """Return whether a read would not block: there is data, an end of file, or an error."""
    return _ready(descriptor, select.POLLIN)


def writable(descriptor: int) -> bool:
    """Return whether a write of `ATOMIC` bytes or fewer would not block, and one of more would write some."""
    return _ready(descriptor, select.POLLOUT)


def _ready(descriptor: int, what: int) -> bool:
    poll = _real_poller()
    poll.register(descriptor, what)
    return bool(poll.poll(0))


def ready(runtime: Runtime, number: int) -> int:
    """Return the object that a lane wants which waits for a pipe to be ready.

    It is no step's object, so it makes no two steps dependent: that is up to the pipe and its parts.
    """
    found: int = runtime.object(f"pipe {number} being ready", runtime.board.object_label(number))
    return found


def recheck(runtime: Runtime, number: int) -> None:
    """Have lanes that wait for a pipe, or for several descriptors, probe again, and blocked feeders try again."""
    runtime.mark_dirty(ready(runtime, number))
    several = runtime.object(_SEVERAL, _SEVERAL)
    if runtime.counter(several):
        runtime.mark_dirty(several)
    blocked = runtime.counter(all_blocked := runtime.object(_BLOCKED, _BLOCKED))
    for lane in range(MOST_LANES) if blocked else ():
        if not blocked >> lane & 1:
            continue
        channel, wants = divmod(runtime.counter(_blocked_object(runtime, lane)), _MOST_WANTED)
        if channel == number:  # what happens to another pipe is no matter to it: those steps are independent
            runtime.set_counter(wants, 1)
            runtime.board.present &= ~(1 << lane)
            runtime.set_counter(all_blocked, runtime.counter(all_blocked) & ~(1 << lane))


_MOST_WANTED = 1 << 16
"""More than there are objects."""


def _blocked_object(runtime: Runtime, lane: int) -> int:
    """Return the object whose counter has what a blocked feeder feeds, and the object that it wants: two numbers."""
    number: int = runtime.object(f"{_BLOCKED}: {lane}", _BLOCKED)
    return number


def block_feeder(runtime: Runtime, channel: int, wants: int) -> None:
    """Block the feeder whose step it is until something happens to the pipe that it feeds (`recheck`).

    Until then the counter of `wants` is 0. Which feeders are blocked, and what they want, is shared by all processes:
    it stands in counters of objects made for that, the set of lanes in one and what each wants in one of its own.

    A blocked feeder counts as present, so that a schedule whose lanes have all left is not done: a process that has put
    an item which nobody takes does not end, either.
    """
    runtime.set_counter(wants, 0)
    runtime.set_counter(_blocked_object(runtime, runtime.lane), channel * _MOST_WANTED + wants)
    number = runtime.object(_BLOCKED, _BLOCKED)
    runtime.set_counter(number, runtime.counter(number) | 1 << runtime.lane)
    runtime.board.present |= 1 << runtime.lane


def write(descriptor: int, data: Any) -> int:
    """Write what fits, as one step that can be taken when anything does; return how many bytes that were."""
    runtime = control.active
    if runtime is None:
        return _write(descriptor, data)
    number, way = _channel(runtime, descriptor)
    part = _sending_part(descriptor, len(data)) if way is None else way
    if os.get_blocking(descriptor):
        runtime.probe(number, lambda: writable(descriptor))
        runtime.point("send", number, part, wants=ready(runtime, number))
    else:
        runtime.point("send", number, part)
    if runtime.detail:
        runtime.note_value(_Message.text or message_text(bytes(data)))
    with runtime.raw():
        written = write_now(descriptor, data)
    recheck(runtime, number)
    return written


def _sending_part(descriptor: int, size: int) -> int:
    """Return the part that a write concerns: `HEAD` while it fits whatever is read before it."""
    if size > ATOMIC:
        return WHOLE
    waiting = _ioctl(descriptor, termios.FIONREAD, b"\0\0\0\0")
    return HEAD if int.from_bytes(waiting, sys.byteorder) < 2 * ATOMIC else WHOLE


def write_now(descriptor: int, data: Any) -> int:
    """Write what fits, without blocking; the descriptor is known to be writable."""
    if len(data) <= ATOMIC or not os.get_blocking(descriptor):
        return _write(descriptor, data)
    os.set_blocking(descriptor, False)  # the flag is shared with other processes, but none of them runs now
    try:
        return _write(descriptor, data)
    finally:
        os.set_blocking(descriptor, True)


def read(descriptor: int, size: int) -> bytes:
    """Read what is there, as one step that can be taken when there is data, or an end of file."""
    runtime = control.active
    if runtime is None:
        return _read(descriptor, size)
    number, way = _channel(runtime, descriptor)
    if _Message.inside and _Message.at_once and readable(descriptor):
        data = _read(descriptor, size)
        recheck(runtime, number)
        return data
    part = (BODY if _Message.inside else WHOLE) if way is None else 1 - way
    if os.get_blocking(descriptor):
        runtime.probe(number, lambda: readable(descriptor))
        runtime.point("receive", number, part, wants=ready(runtime, number))
    else:
        runtime.point("receive", number, part)
    with runtime.raw():
        data = _read(descriptor, size)
    recheck(runtime, number)
    if _Message.inside is False:
        _Message.inside = bool(data)
    return data


def _send_bytes(self: Any, data: Any) -> None:
    runtime = control.active
    if runtime is None or not runtime.detail:
        _real_send(self, data)
        return
    _Message.text = message_text(bytes(data))
    try:
        _real_send(self, data)
    finally:
        _Message.text = ""


def _receive_bytes(self: Any, maxsize: int | None = None) -> Any:
    runtime = control.active
    if runtime is None:
        return _real_receive(self, maxsize)
    _Message.inside = False
    try:
        received = _real_receive(self, maxsize)
    except EOFError:
        if runtime.detail:
            runtime.note_value("end of file")
        raise
    finally:
        _Message.inside = None
    if runtime.detail and received is not None:
        runtime.note_value(message_text(received.getvalue()))
    return received


def receive_now(runtime: Runtime, end: Any) -> bytes:
    """Receive a message, or what is there of it, as part of the step just taken; this lane holds the lock."""
    _Message.inside = _Message.at_once = True
    try:
        data: bytes = _real_receive(end).getvalue()
    finally:
        _Message.inside, _Message.at_once = None, False
    if runtime.detail:
        runtime.note_value(message_text(data))
    return data


def drain(descriptors: Iterable[int]) -> None:
    """Read pipes until they are empty."""
    for descriptor in descriptors:
        while readable(descriptor) and _read(descriptor, 1 << 16):
            pass


def _poll(self: Any, timeout: float | None) -> bool:
    if control.active is None:
        return bool(_real_polled(self, timeout))
    return bool(wait([self], timeout))


def wait(object_list: Iterable[Any], timeout: float | None = None) -> list[Any]:
    """Wait as `multiprocessing.connection.wait` does: one step, which can be taken when one of them is ready."""
    runtime = control.active
    if runtime is None:
        return _real_wait(object_list, timeout)
    objects = list(object_list)
    descriptors = [one if isinstance(one, int) else one.fileno() for one in objects]

    def are_ready() -> list[bool]:
        return [_is_ready(runtime, descriptor) for descriptor in descriptors]

    number, part = _waited(runtime, descriptors)
    if timeout is not None and timeout <= 0:
        runtime.point("poll", number, part)
        return _ready_ones(runtime, objects, are_ready())
    wanted = runtime.object(_SEVERAL, _SEVERAL) if number == ANYTHING else ready(runtime, number)
    if timeout is not None:
        runtime.set_deadline(runtime.now() + timeout)
    runtime.probe(wanted, lambda: any(are_ready()))
    if number == ANYTHING:
        runtime.add_to_counter(wanted, 1)
    try:
        granted = runtime.point("poll", number, part, wants=wanted)
    finally:
        if number == ANYTHING:
            runtime.add_to_counter(wanted, -1)
    return _ready_ones(runtime, objects, are_ready()) if granted else []


def note_sentinel(descriptor: int, number: int) -> None:
    """Note the sentinel of a process, whose object has a counter above 0 once it has ended."""
    _sentinels[descriptor] = _fstat(descriptor).st_ino, number


def _process_of(descriptor: int) -> int:
    """Return the object of the process whose sentinel a descriptor is; 0 if it is none."""
    inode, number = _sentinels.get(descriptor, (0, 0))
    return number if number and _fstat(descriptor).st_ino == inode else 0


def _is_ready(runtime: Runtime, descriptor: int) -> bool:
    if number := _process_of(descriptor):
        return bool(runtime.counter(number) > 0)  # the sentinel may become ready a moment later
    return readable(descriptor)


def _waited(runtime: Runtime, descriptors: list[int]) -> tuple[int, int]:
    """Return the object, and the part of it, that a wait for descriptors concerns."""
    if len(descriptors) != 1:
        return ANYTHING, WHOLE
    (descriptor,) = descriptors
    if process := _process_of(descriptor):
        return process, WHOLE
    number, way = _channel(runtime, descriptor)
    return number, WHOLE if way is None else 1 - way


def _ready_ones(runtime: Runtime, objects: list[Any], are: list[bool]) -> list[Any]:
    found = [one for one, is_ready in zip(objects, are) if is_ready]  # noqa: B905  # Python 3.10 has strict, both are equal
    if runtime.detail:
        runtime.note_value(f"{len(found)} ready" if len(objects) > 1 else "something" if found else "nothing")
    return found


def _close_connection(self: Any) -> None:
    runtime = control.active
    if runtime is None:
        _real_close(self)
        return
    if not hasattr(self, "_bench_own"):
        descriptors.mark_spoiled(runtime)
    if sys._getframe(1).f_code.co_name == "__del__":
        _close_collected(runtime, self)
    else:
        close(self._handle, lambda: _real_close(self))


def _close_collected(runtime: Runtime, self: Any) -> None:
    """Close a connection that is no longer referred to: a step, if that happens at a time that is certain.

    With reference counts, and no cyclic collector running, it happens just as the last reference goes.
    """
    number = _channel(runtime, self._handle)[0]
    try:
        if hasattr(sys, "getrefcount") and not gc.isenabled():
            runtime.point("close", number)
    except control.Abandoned:  # in a finalizer it would be printed and lost; the next point raises it again
        pass
    finally:
        _real_close(self)
        recheck(runtime, number)


def close(descriptor: int, really: Callable[[], None] | None = None) -> None:
    """Close an end of a pipe as one step."""
    runtime = control.active
    if runtime is None:
        _close(descriptor)
        return
    number = _channel(runtime, descriptor)[0]
    try:
        runtime.point("close", number)
    finally:  # also where the schedule is given up: it would stay open else
        with runtime.raw():
            (really or (lambda: _close(descriptor)))()
    recheck(runtime, number)


def pipe(duplex: bool = True) -> Any:
    """Make a pipe as `multiprocessing.Pipe` does, whose ends have names."""
    runtime = control.active
    one: Any
    other: Any
    if runtime is None:
        one, other = _real_pipe(duplex)
    else:
        with runtime.raw():
            one, other = _real_pipe(duplex)
        one._bench_own = other._bench_own = True
    if duplex:
        with control.Raw():
            _name(one.fileno(), other.fileno())
    if control.registry is not None:
        maker = sys._getframe(1).f_globals.get("__name__")
        number = control.registry.new_object(
            key_of(one.fileno()), "a queue" if maker == "multiprocessing.queues" else "a pipe"
        )
        one._bench_object = other._bench_object = PipeObject(number)
    return one, other


def _name(one: int, other: int) -> None:
    """Bind two connected sockets to names, which each end can be asked for in any process."""
    global _named  # noqa: PLW0603  # the count of those made in this process
    _named += 1
    common = f"{_NAME}{os.getpid()}-{_fstat(one).st_ino}-{_named}-"
    for way, descriptor in enumerate((one, other)):
        end = _socket.socket(fileno=descriptor)
        try:
            end.bind(f"{common}{way}".encode())
        finally:
            end.detach()


def os_pipe() -> tuple[int, int]:
    """Make a pipe as `os.pipe` does."""
    ends = _pipe()
    maker = str(sys._getframe(1).f_globals.get("__name__"))
    if control.registry is not None and not maker.startswith("multiprocessing."):
        control.registry.new_object(key_of(ends[0]), "a pipe")
        if control.active is not None:
            descriptors.opened.update(ends)
            descriptors.described.update(ends)
    return ends


def message_text(data: bytes) -> str:
    """Return a message as text: its value, if it is a pickle of plain values; else its bytes, or their number."""
    import io
    import pickle

    class Plain(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            raise pickle.UnpicklingError(f"{module}.{name}")

    try:
        return repr(Plain(io.BytesIO(data)).load())
    except Exception:  # noqa: BLE001  # not a pickle, or one of more than plain values: whatever that raises
        return repr(data) if len(data) <= 40 else f"{len(data)} bytes"
