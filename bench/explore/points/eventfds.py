"""Points of event descriptors (eventfd(2)): counters that are added to, and read, by whoever has the descriptor."""

from __future__ import annotations

import os

from bench.explore.points import descriptors, pipes
from bench.explore.runtime import control

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from bench.explore.runtime.lane import Runtime

_readlink, _from_file = os.readlink, open


def install() -> None:
    """Patch the functions of `os` on event descriptors, which Python has from 3.10 on."""
    for name, wrap in (("eventfd", _making), ("eventfd_read", _reading), ("eventfd_write", _writing)):
        if real := getattr(os, name, None):
            wrapped = wrap(real)
            wrapped.__name__, wrapped.__doc__ = name, real.__doc__
            setattr(os, name, wrapped)


def is_one(descriptor: int) -> bool:
    """Return whether a descriptor is one of an event counter."""
    try:
        return _readlink(f"/proc/self/fd/{descriptor}") == "anon_inode:[eventfd]"
    except OSError:
        return False


def _object(runtime: Runtime, descriptor: int) -> int:
    descriptors.note_moved(runtime, descriptor)
    number: int = runtime.object(_key(descriptor), "an event counter")
    return number


def _key(descriptor: int) -> str:
    """Return the key of a counter, which has one number for all that have it open (proc(5): fdinfo)."""
    with _from_file(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as lines:
        return "".join(line for line in lines if line.startswith("eventfd-id:")).strip()


def take(runtime: Runtime, descriptor: int, do: Callable[[], Any]) -> Any:
    """Read a counter as one step, which can be taken when it is above 0, or where the descriptor does not block."""
    return _step(runtime, "receive", descriptor, pipes.readable, do)


def add(runtime: Runtime, descriptor: int, do: Callable[[], Any]) -> Any:
    """Add to a counter as one step, which can be taken while the counter does not overflow."""
    return _step(runtime, "send", descriptor, pipes.writable, do)


def _step(runtime: Runtime, kind: str, descriptor: int, ready: Callable[[int], bool], do: Callable[[], Any]) -> Any:
    number = _object(runtime, descriptor)
    if os.get_blocking(descriptor):
        runtime.probe(number, lambda: ready(descriptor))
        runtime.point(kind, number, wants=number)
    else:
        runtime.point(kind, number)
    try:
        with runtime.raw():
            given = do()
    except BlockingIOError as error:
        if runtime.detail:
            runtime.note_value(str(error.strerror))
        raise
    if runtime.detail:
        runtime.note_value(repr(given))
    runtime.mark_dirty(number)
    return given


def _making(real: Any) -> Any:
    def eventfd(initval: int, flags: int = getattr(os, "EFD_CLOEXEC", 0)) -> int:
        descriptor: int = real(initval, flags)
        if control.active is not None:
            descriptors.opened.add(descriptor)
            descriptors.described.add(descriptor)
        if control.registry is not None:
            control.registry.new_object(_key(descriptor), "an event counter")
        return descriptor

    return eventfd


def _reading(real: Any) -> Any:
    def eventfd_read(fd: int) -> int:
        runtime = control.active if is_one(fd) else None
        given: int = real(fd) if runtime is None else take(runtime, fd, lambda: real(fd))
        return given

    return eventfd_read


def _writing(real: Any) -> Any:
    def eventfd_write(fd: int, value: int) -> None:
        runtime = control.active if is_one(fd) else None
        if runtime is None:
            real(fd, value)
        else:
            add(runtime, fd, lambda: real(fd, value))

    return eventfd_write
