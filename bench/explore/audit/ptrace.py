"""ptrace(2), as far as it is needed here: attach, go on to the next system call, and read what that is.

`PTRACE_GET_SYSCALL_INFO` is the same on each machine; Linux has it from 5.3 on.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import NamedTuple

_SYSCALL, _SEIZE, _INTERRUPT, _LISTEN, _GET_SYSCALL_INFO = 24, 0x4206, 0x4207, 0x4208, 0x420E
_TRACESYSGOOD, _TRACEEXEC = 1, 16

ALL = 0x40000000
"""`__WALL` of waitpid(2): threads too."""

EVENT_STOP = 128
"""What a stop by `interrupt`, or by a signal that stops, is marked with."""

_INFO = struct.Struct("=B3xIQQ")
_ENTRY, _EXIT = struct.Struct("=7Q"), struct.Struct("=q")
_SIZE = 88


class Info(NamedTuple):
    """A stop at a system call: before it, with its number and arguments, or behind it, with what it returned."""

    machine: int
    number: int
    args: tuple[int, ...]
    result: int | None


def _function() -> ctypes._NamedFuncPointer:
    function = ctypes.CDLL(None, use_errno=True).ptrace
    function.restype = ctypes.c_long
    function.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    return function


class Ptrace:
    """The calls of ptrace(2). Each raises `OSError` where the kernel refuses."""

    def __init__(self) -> None:
        self._call = _function()
        self._buffer = ctypes.create_string_buffer(_SIZE)

    def _do(self, request: int, pid: int, address: int | None = None, data: int | None = None) -> int:
        found = int(self._call(request, pid, address, data))
        if found < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return found

    def seize(self, pid: int) -> None:
        """Trace a process that runs, and stop it."""
        self._do(_SEIZE, pid, None, _TRACESYSGOOD | _TRACEEXEC)
        self._do(_INTERRUPT, pid)

    def go_on(self, pid: int, signal: int = 0) -> None:
        """Let a process run to its next system call, or the end of the one it is at, with a signal if not 0."""
        self._do(_SYSCALL, pid, None, signal)

    def listen(self, pid: int) -> None:
        """Leave a process stopped that a signal has stopped, until another one lets it go on."""
        self._do(_LISTEN, pid)

    def info(self, pid: int) -> Info | None:
        """Return at which system call a process is stopped; `None` where it is at none."""
        size = self._do(_GET_SYSCALL_INFO, pid, _SIZE, ctypes.addressof(self._buffer))
        raw = self._buffer.raw[: min(size, _SIZE)]
        kind, machine, _, _ = _INFO.unpack_from(raw)
        if kind == 1:
            number, *args = _ENTRY.unpack_from(raw, _INFO.size)
            return Info(machine, number, tuple(args), None)
        return Info(machine, -1, (), _EXIT.unpack_from(raw, _INFO.size)[0]) if kind == 2 else None
