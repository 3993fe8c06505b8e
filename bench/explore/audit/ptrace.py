"""ptrace(2), as far as it is needed here: attach, go on to the next system call, and read what that is.

`PTRACE_GET_SYSCALL_INFO` is the same on each machine; Linux has it from 5.3 on.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import NamedTuple

TYPE_CHECKING = False  # as type checkers know it: each exploration imports this

_DETACH, _SYSCALL, _SEIZE, _INTERRUPT, _LISTEN, _GET_SYSCALL_INFO = 17, 24, 0x4206, 0x4207, 0x4208, 0x420E
_GETSIGINFO, _GETREGSET, _SETREGSET, _GENERAL = 0x4202, 0x4204, 0x4205, 1
_TRACESYSGOOD, _TRACEEXEC = 1, 16

ALL = 0x40000000
"""`__WALL` of waitpid(2): threads too."""

EVENT_STOP = 128
"""What a stop by `interrupt`, or by a signal that stops, is marked with."""

_INFO = struct.Struct("=B3xIQQ")
_ENTRY, _EXIT = struct.Struct("=7Q"), struct.Struct("=q")
_SIZE = 88
_ADDRESS = struct.Struct("=Q")

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class _Block(ctypes.Structure):
    """struct iovec: where registers are read to or written from."""

    _fields_ = (("start", ctypes.c_void_p), ("size", ctypes.c_size_t))


class Registers(NamedTuple):
    """Where the registers are that a system call needs, among the 64-bit numbers that `PTRACE_GETREGSET` gives.

    Attributes:
        numbers: how many numbers there are.
        ip: the instruction pointer.
        number: the number of the call.
        args: its first three arguments.
        size: bytes of the instruction that makes a system call.
        mprotect: the number of that call.
        restarts: the register that says at which call it was, as -1 for none; `None` where there is none such.
    """

    numbers: int
    ip: int
    number: int
    args: tuple[int, int, int]
    size: int
    mprotect: int
    restarts: int | None


REGISTERS: Mapping[str, Registers] = {
    # struct user_regs_struct: r15 ... rax (10), rcx, rdx (12), rsi, rdi, orig_rax, rip (16), cs, ...
    "x86_64": Registers(27, 16, 10, (14, 13, 12), 2, 10, 15),
    # struct user_pt_regs: x0 to x30, sp, pc, pstate
    "aarch64": Registers(34, 32, 8, (0, 1, 2), 4, 226, None),
}
"""By machine; on others shared memory is not audited."""


class Info(NamedTuple):
    """A stop at a system call: before it, with its number and arguments, or behind it, with what it returned."""

    machine: int
    number: int
    args: tuple[int, ...]
    result: int | None
    behind: int
    """The address behind the instruction that makes the call."""


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
        self._siginfo = ctypes.create_string_buffer(128)

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

    def leave(self, pid: int) -> None:
        """Trace a process that is stopped no more, and let it run."""
        self._do(_DETACH, pid)

    def listen(self, pid: int) -> None:
        """Leave a process stopped that a signal has stopped, until another one lets it go on."""
        self._do(_LISTEN, pid)

    def info(self, pid: int) -> Info | None:
        """Return at which system call a process is stopped; `None` where it is at none."""
        size = self._do(_GET_SYSCALL_INFO, pid, _SIZE, ctypes.addressof(self._buffer))
        raw = self._buffer.raw[: min(size, _SIZE)]
        kind, machine, behind, _ = _INFO.unpack_from(raw)
        if kind == 1:
            number, *args = _ENTRY.unpack_from(raw, _INFO.size)
            return Info(machine, number, tuple(args), None, behind)
        return Info(machine, -1, (), _EXIT.unpack_from(raw, _INFO.size)[0], behind) if kind == 2 else None

    def address(self, pid: int) -> int:
        """Return the address of a process that is stopped for a fault in its memory."""
        self._do(_GETSIGINFO, pid, None, ctypes.addressof(self._siginfo))
        found: int = _ADDRESS.unpack_from(self._siginfo.raw, 16)[0]
        return found

    def call(self, pid: int, machine: Registers, behind: int, args: tuple[int, int, int]) -> None:
        """Have a process that is stopped call mprotect(2), and leave it stopped as it was.

        Args:
            pid: the process.
            machine: its registers.
            behind: the address behind an instruction of the process that makes a system call.
            args: address, length and protection.
        """
        before = self._registers(_GETREGSET, pid, (ctypes.c_uint64 * machine.numbers)())
        changed = (ctypes.c_uint64 * machine.numbers)(*before)
        changed[machine.ip], changed[machine.number] = behind - machine.size, machine.mprotect
        for register, value in zip(machine.args, args):  # noqa: B905  # Python 3.10 has strict, both are three
            changed[register] = value
        if machine.restarts is not None:
            changed[machine.restarts] = ctypes.c_uint64(-1).value
        self._registers(_SETREGSET, pid, changed)
        for _ in ("before the call", "behind it"):
            self.go_on(pid)
            os.waitpid(pid, ALL)
        self._registers(_SETREGSET, pid, before)

    def _registers(self, request: int, pid: int, numbers: Any) -> Any:
        block = _Block(ctypes.addressof(numbers), ctypes.sizeof(numbers))
        self._do(request, pid, _GENERAL, ctypes.addressof(block))
        return numbers
