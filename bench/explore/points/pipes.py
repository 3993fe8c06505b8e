"""Points of pipes: what is sent, received, asked for and closed, on connections and on the descriptors of `os.pipe`.

Connections run their own code over `write` and `read`, which are points here, so that a message goes out in as many
pieces as it does on each Python, and two readers of one end can mix up head and body, as they really can. Whether an
operation would block is asked of the descriptor itself.

A pipe is known by its inode, the same at both ends and in each process. The two sockets of a duplex pipe get names as
they are made: each end can then tell which pipe it belongs to, however it travelled to its process.
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
from bench.explore.points import ending
from bench.explore.runtime import control

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_read, _write, _close, _pipe, _fstat = os.read, os.write, os.close, os.pipe, os.fstat
_real_poller = select.poll
_real_wait, _real_pipe = connection.wait, connection.Pipe
_real_receive, _real_send = connection.Connection._recv_bytes, connection.Connection._send_bytes  # type: ignore[attr-defined]  # private; tests hold them on each Python
_real_polled, _real_close = connection.Connection._poll, connection.Connection._close  # type: ignore[attr-defined]  # private, as above

ATOMIC = select.PIPE_BUF if hasattr(select, "PIPE_BUF") else 512
"""Bytes that a pipe which can be written to takes as a whole (POSIX, `write`)."""

HEAD, BODY = 0, 1
"""The parts of a one-way pipe. What is sent is put to its end (`HEAD`); once a message's length was read, the rest of
it (`BODY`) can no longer be changed by what is sent behind it; anything else concerns the `WHOLE`."""

_SEVERAL, _HELD_UP = "several descriptors", "feeders that are held up"

_sentinels: dict[int, tuple[int, int]] = {}
"""By descriptor, its inode, and the object that is the process whose end it tells of."""

_NAME = "\0forkbench-pipe-"
_sockets: dict[int, tuple[str, int]] = {}
_named = 0


class Facts(NamedTuple):
    """What is known of a pipe where it was made."""

    number: int


class _Message:
    """What the message that is being received is at; there is one at a time in a process, in its one lane."""

    inside: bool | None = None
    """Whether the next read is a later one of its message, or the first; `None` outside of messages."""

    at_once = False
    """Whether the reads of a message are one step where they do not block: a queue's own lock keeps others out."""

    text = ""
    """What is being sent, for the story."""


def install() -> None:
    """Have connections and pipes of this process arrive at points."""
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
    """Give the key of the object that a pipe or socket is."""
    return _identity(descriptor)[0]


def _identity(descriptor: int) -> tuple[str, int | None]:
    """Give the key of a pipe, and which way this end sends in a duplex one: 0 or 1; `None` for a one-way pipe."""
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


def _channel(runtime: Any, descriptor: int) -> tuple[int, int | None]:
    """Give the number of a pipe's object, and the way that this end sends, as `_identity` does."""
    known, way = _identity(descriptor)
    number = runtime.object(known, "a pipe")
    if way == -1:
        runtime.uncontrolled("a socket to elsewhere")
        return number, 0
    return number, way


def readable(descriptor: int) -> bool:
    """Tell whether a read would not block: there is something, or an end of file, or an error."""
    return _ready(descriptor, select.POLLIN)


def writable(descriptor: int) -> bool:
    """Tell whether a write of `ATOMIC` bytes or fewer would not block, and of more would get somewhere."""
    return _ready(descriptor, select.POLLOUT)


def _ready(descriptor: int, what: int) -> bool:
    poll = _real_poller()
    poll.register(descriptor, what)
    return bool(poll.poll(0))


def ready(runtime: Any, number: int) -> int:
    """Give the number of what somebody wants who waits for a pipe to be ready.

    It is no step's object: whether two steps on a pipe depend on each other, their parts of it say.
    """
    found: int = runtime.object(f"pipe {number} being ready", runtime.board.object_label(number))
    return found


def stirred(runtime: Any, number: int) -> None:
    """Have those asked again who wait for a pipe, or for several, and feeders try again that were held up."""
    runtime.dirty(ready(runtime, number))
    several = runtime.object(_SEVERAL, _SEVERAL)
    if runtime.counter(several):
        runtime.dirty(several)
    held_up = runtime.counter(runtime.object(_HELD_UP, _HELD_UP))
    for lane in range(MOST_LANES) if held_up else ():
        if held_up >> lane & 1:
            runtime.set_counter(runtime.counter(_held_up(runtime, lane)), 1)
            runtime.board.present &= ~(1 << lane)
    if held_up:
        runtime.set_counter(runtime.object(_HELD_UP, _HELD_UP), 0)


def _held_up(runtime: Any, lane: int) -> int:
    """Give the object that says, by its counter, what a feeder waits for."""
    number: int = runtime.object(f"{_HELD_UP}: {lane}", _HELD_UP)
    return number


def hold_up(runtime: Any, wants: int) -> None:
    """Have the feeder whose turn it is wait until a pipe has room or a lock is free: `wants` is 0 until then.

    While it waits, the schedule is not at its end: a process that has put what nobody takes does not end, either.
    """
    runtime.set_counter(wants, 0)
    runtime.set_counter(_held_up(runtime, runtime.lane), wants)
    number = runtime.object(_HELD_UP, _HELD_UP)
    runtime.set_counter(number, runtime.counter(number) | 1 << runtime.lane)
    runtime.board.present |= 1 << runtime.lane


def write(descriptor: int, data: Any) -> int:
    """Write what fits as one step, which can be taken when something does; give how much it was."""
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
        runtime.saw(_Message.text or shown(bytes(data)))
    with runtime.raw():
        written = write_now(descriptor, data)
    stirred(runtime, number)
    return written


def _sending_part(descriptor: int, size: int) -> int:
    """Say what a write concerns: while there is much room, no read has a say in whether it can be done."""
    if size > ATOMIC:
        return WHOLE
    waiting = fcntl.ioctl(descriptor, termios.FIONREAD, b"\0\0\0\0")
    return HEAD if int.from_bytes(waiting, sys.byteorder) < 2 * ATOMIC else WHOLE


def write_now(descriptor: int, data: Any) -> int:
    """Write what fits, without blocking; the descriptor is known to be writable."""
    if len(data) <= ATOMIC or not os.get_blocking(descriptor):
        return _write(descriptor, data)
    os.set_blocking(descriptor, False)  # others that have the same open file do not run in the meantime
    try:
        return _write(descriptor, data)
    finally:
        os.set_blocking(descriptor, True)


def read(descriptor: int, size: int) -> bytes:
    """Read what is there as one step, which can be taken when there is something, or an end of file."""
    runtime = control.active
    if runtime is None:
        return _read(descriptor, size)
    number, way = _channel(runtime, descriptor)
    if _Message.inside and _Message.at_once and readable(descriptor):
        data = _read(descriptor, size)
        stirred(runtime, number)
        return data
    part = (BODY if _Message.inside else WHOLE) if way is None else 1 - way
    if os.get_blocking(descriptor):
        runtime.probe(number, lambda: readable(descriptor))
        runtime.point("receive", number, part, wants=ready(runtime, number))
    else:
        runtime.point("receive", number, part)
    with runtime.raw():
        data = _read(descriptor, size)
    stirred(runtime, number)
    if _Message.inside is False:
        _Message.inside = bool(data)
    return data


def _send_bytes(self: Any, data: Any) -> None:
    runtime = control.active
    if runtime is None or not runtime.detail:
        _real_send(self, data)
        return
    _Message.text = shown(bytes(data))
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
            runtime.saw("end of file")
        raise
    finally:
        _Message.inside = None
    if runtime.detail and received is not None:
        runtime.saw(shown(received.getvalue()))
    return received


def receive_now(runtime: Any, end: Any) -> bytes:
    """Receive a message, or what is there of it, without another step: this lane was given one, and holds a lock."""
    _Message.inside = _Message.at_once = True
    try:
        data: bytes = _real_receive(end).getvalue()
    finally:
        _Message.inside, _Message.at_once = None, False
    if runtime.detail:
        runtime.saw(shown(data))
    return data


def drain(descriptors: Iterable[int]) -> None:
    """Take out of pipes what is left in them."""
    for descriptor in descriptors:
        while readable(descriptor) and _read(descriptor, 1 << 16):
            pass


def _poll(self: Any, timeout: float | None) -> bool:
    if control.active is None:
        return bool(_real_polled(self, timeout))
    return bool(wait([self], timeout))


def wait(object_list: Iterable[Any], timeout: float | None = None) -> list[Any]:
    """Wait as `multiprocessing.connection.wait` does: one step, that can be taken when one of them is ready."""
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
        runtime.timeout(runtime.now() + timeout)
    runtime.probe(wanted, lambda: any(are_ready()))
    if number == ANYTHING:
        runtime.add(wanted, 1)
    try:
        granted = runtime.point("poll", number, part, wants=wanted)
    finally:
        if number == ANYTHING:
            runtime.add(wanted, -1)
    return _ready_ones(runtime, objects, are_ready()) if granted else []


def end_of(descriptor: int, number: int) -> None:
    """Note that a descriptor tells of the end of a process, which is an object whose counter is then above 0."""
    _sentinels[descriptor] = _fstat(descriptor).st_ino, number


def _process_of(descriptor: int) -> int:
    """Give the object that is the process whose end a descriptor tells of; 0 if there is none."""
    inode, number = _sentinels.get(descriptor, (0, 0))
    return number if number and _fstat(descriptor).st_ino == inode else 0


def _is_ready(runtime: Any, descriptor: int) -> bool:
    if number := _process_of(descriptor):
        return bool(runtime.counter(number) > 0)  # who says so by the descriptor may need a moment
    return readable(descriptor)


def _waited(runtime: Any, descriptors: list[int]) -> tuple[int, int]:
    """Give the object, and the part of it, that a wait for descriptors concerns."""
    if len(descriptors) != 1:
        return ANYTHING, WHOLE
    (descriptor,) = descriptors
    if process := _process_of(descriptor):
        return process, WHOLE
    number, way = _channel(runtime, descriptor)
    return number, WHOLE if way is None else 1 - way


def _ready_ones(runtime: Any, objects: list[Any], are: list[bool]) -> list[Any]:
    found = [one for one, is_ready in zip(objects, are) if is_ready]  # noqa: B905  # Python 3.10 has strict, both are equal
    if runtime.detail:
        runtime.saw(f"{len(found)} ready" if len(objects) > 1 else "something" if found else "nothing")
    return found


def _close_connection(self: Any) -> None:
    runtime = control.active
    if runtime is None:
        _real_close(self)
        return
    if not hasattr(self, "_bench_own"):
        ending.spoil(runtime)
    if sys._getframe(1).f_code.co_name == "__del__":
        _forgotten(runtime, self)
    else:
        close(self._handle, lambda: _real_close(self))


def _forgotten(runtime: Any, self: Any) -> None:
    """Close a connection that nobody refers to any more: a step like any other, if it comes at a certain time."""
    number = _channel(runtime, self._handle)[0]
    try:
        if hasattr(sys, "getrefcount") and not gc.isenabled():
            runtime.point("close", number)
    except control.Abandoned:  # would be printed and lost here; whatever comes next raises it again
        pass
    finally:
        _real_close(self)
        stirred(runtime, number)


def close(descriptor: int, really: Callable[[], None] | None = None) -> None:
    """Close an end of a pipe as one step."""
    runtime = control.active
    if runtime is None:
        _close(descriptor)
        return
    number = _channel(runtime, descriptor)[0]
    try:
        runtime.point("close", number)
    finally:  # also where the schedule is given up: it would stay open
        with runtime.raw():
            (really or (lambda: _close(descriptor)))()
    stirred(runtime, number)


def pipe(duplex: bool = True) -> Any:
    """Make a pipe whose ends tell to which pipe they belong."""
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
        _name(one.fileno(), other.fileno())
    if control.registry is not None:
        maker = sys._getframe(1).f_globals.get("__name__")
        number = control.registry.made(
            key_of(one.fileno()), "a queue" if maker == "multiprocessing.queues" else "a pipe"
        )
        one._bench_facts = other._bench_facts = Facts(number)
    return one, other


def _name(one: int, other: int) -> None:
    """Give two connected sockets names; each can be asked for its own wherever it is."""
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
    if control.active is not None and not maker.startswith("multiprocessing."):
        control.active.made(key_of(ends[0]), "a pipe")
        ending.own.update(ends)
    return ends


def shown(data: bytes) -> str:
    """Say what a message is: the value, if it is a pickle of nothing but plain values, else its size or its bytes."""
    import io
    import pickle

    class Plain(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            raise pickle.UnpicklingError(f"{module}.{name}")

    try:
        return repr(Plain(io.BytesIO(data)).load())
    except Exception:  # noqa: BLE001  # not a pickle, or one of more than plain values: whatever that raises
        return repr(data) if len(data) <= 40 else f"{len(data)} bytes"
