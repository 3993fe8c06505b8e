"""Chance of the system (`os.urandom`, `random`, `secrets`, `uuid`), which controlled processes draw from the seed.

What a lane draws depends on the seed, the lane, and how often it has drawn in this schedule: the same choices give the
same bytes, and no two lanes draw the same. The generator that the functions of `random` share begins each schedule
anew. After an exploration some schedules are run with other chance, as it may be that which decides the outcome
(`CHANCE` on the board has its number).

The number of a process cannot be chosen. What is computed or decided by it, other than whether it is some number, is
noted: see `Pid`. Names from `tempfile` stay those of the system, and so does what `multiprocessing` draws for itself.
"""

from __future__ import annotations

import _random
import os
import sys
import zlib
from multiprocessing import process

from bench.explore.points import uncontrolled
from bench.explore.points.later import when_imported
from bench.explore.runtime import control
from bench.explore.runtime import layout as at
from bench.process.instrument import is_users

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from typing import Any

    from bench.explore.runtime.board import Board

_urandom, _getrandom, _getpid = os.urandom, getattr(os, "getrandom", None), os.getpid

_INTERNAL = ("multiprocessing", "tempfile")
"""Modules that draw names and keys, which the program does not see."""

_DEEPEST = 16
"""How many callers up from what draws the user's code is looked for."""

_UUID_EPOCH = 0x01B21DD213814000
"""The Unix epoch in the time of UUIDs, which counts 100 ns from 1582 on (RFC 9562)."""

_ARITHMETIC = (
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "divmod",
    "pow",
    "lshift",
    "rshift",
    "and",
    "or",
    "xor",
)


class _Drawn:
    """How often this process has drawn, in the schedule that it is in; whether it has before it knew a board."""

    schedule = -1
    count = 0
    early = False


def install() -> None:
    """Patch what gives chance of the system, and the number of this process."""
    os.urandom = urandom
    if _getrandom is not None:
        os.getrandom = getrandom
    os.getpid = getpid
    when_imported("random", _patch_random)
    when_imported("uuid", _patch_uuid)


def mark_early(board: Board) -> None:
    """Mark on the board that chance was drawn, if this process did so before it knew the board."""
    if _Drawn.early:
        board.drawn = 1


def urandom(size: int, /) -> bytes:
    """Return bytes as `os.urandom` does; a controlled process draws them from the seed."""
    drawn = _draw(size)
    return _urandom(size) if drawn is None else drawn


def getrandom(size: int, flags: int = 0) -> bytes:
    """Return bytes as `os.getrandom` does; a controlled process draws them from the seed."""
    drawn = _draw(size)
    if drawn is not None:
        return drawn
    real: bytes = _getrandom(size, flags)  # type: ignore[misc]  # it is there where this function is installed
    return real


def _draw(size: int) -> bytes | None:
    """Return bytes for the code that asks for chance; `None` where that has the system's own."""
    runtime, known = control.active, control.registry
    if (runtime is None and control.begun) or not _is_users(otherwise=runtime is not None):
        return None
    schedule = -2 if runtime is None else runtime.schedule
    if _Drawn.schedule != schedule:
        _Drawn.schedule, _Drawn.count = schedule, 0
    _Drawn.count += 1
    # Without a runtime it is the making of a state, or an import, in the exploring process or in one of an actor.
    name = process.current_process().name
    lane = runtime.lane if runtime is not None else at.MOST_LANES + zlib.crc32(name.encode())
    chance = 0
    if known is not None:
        chance, known.board.drawn = known.board.chance, 1
    else:
        _Drawn.early = True
    seed = os.environ.get("PYTHONHASHSEED", "")  # that of the exploration, in each of its processes
    key = (int(seed) if seed.isdecimal() else 0, chance, lane, _Drawn.count)
    return _random.Random(_joined(key)).getrandbits(8 * size or 1).to_bytes(size or 1, "little")[:size]


def _joined(numbers: tuple[int, ...]) -> int:
    found = 1
    for number in numbers:
        found = found << 40 | number
    return found


def _is_users(*, otherwise: bool) -> bool:
    """Return whether it is the user's code that asks, by itself or by way of a library."""
    frame: Any = sys._getframe(2)
    for _ in range(_DEEPEST):
        if frame is None:
            return otherwise
        if is_users(frame.f_code.co_filename):
            return True
        if str(frame.f_globals.get("__name__")).startswith(_INTERNAL):
            return False
        frame = frame.f_back
    return otherwise


# random


def _patch_random(module: Any) -> None:
    """Patch the seeding of generators by the system, and replace the one that the module's functions share."""
    kind: Any = module.Random
    real, module._urandom = kind.seed, urandom

    def seed(self: Any, a: Any = None, version: int = 2) -> None:
        if a is None and (drawn := _draw(32)) is not None:
            a = int.from_bytes(drawn, "big")
        elif isinstance(a, Pid):
            _note_number()
        real(self, a, version)

    seed.__doc__ = real.__doc__
    kind.seed = seed

    class Shared(kind):  # type: ignore[misc]  # of the module, whatever it is
        """The generator behind the functions of `random`: it begins each schedule as its process began."""

        schedule = -1
        seeded = False
        first: Any = None

        def begin(self, *, draws: bool = True) -> None:
            runtime = control.active
            if runtime is None or runtime.schedule == self.schedule:
                return
            self.schedule = runtime.schedule
            if self.first is None:
                self.first = kind.getstate(self) if self.seeded else ()
            if self.first:
                kind.setstate(self, self.first)
            elif draws:
                seed(self)

        def random(self) -> float:
            self.begin()
            found: float = super().random()
            return found

        def getrandbits(self, k: int, /) -> int:
            self.begin()
            found: int = super().getrandbits(k)
            return found

        def seed(self, a: Any = None, version: int = 2) -> None:
            self.begin(draws=False)
            if control.active is None:
                self.seeded = a is not None
            seed(self, a, version)

        def getstate(self) -> Any:
            self.begin()
            return super().getstate()

        def setstate(self, state: Any) -> None:
            self.begin(draws=False)
            self.seeded = self.seeded or control.active is None
            super().setstate(state)

        def forked(self) -> None:
            self.seeded = False
            real(self)

    before: Any = module._inst
    shared: Any = Shared()
    shared.setstate(before.getstate())
    shared.seeded = False
    for name, value in list(vars(module).items()):
        if getattr(value, "__self__", None) is before:
            setattr(module, name, getattr(shared, name))
    module._inst = shared
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=shared.forked)


# uuid


def _patch_uuid(module: Any) -> None:
    """Patch the time and the numbers that UUIDs are made of, where the system's library makes them."""
    real = module._generate_time_safe
    if real is None:
        return

    def generate() -> Any:
        drawn = _draw(8)
        if drawn is None:
            return real()
        runtime = control.active
        since = runtime.now_ns() // 100 if runtime is not None else 0
        time = _UUID_EPOCH + since + _Drawn.count
        fields = (
            time & 0xFFFFFFFF,
            time >> 32 & 0xFFFF,
            time >> 48 & 0x0FFF | 0x1000,
            0x80 | drawn[0] & 0x3F,
            drawn[1],
        )
        node = int.from_bytes(drawn[2:], "big") | 1 << 40  # the bit of a node that is no address
        return module.UUID(fields=(*fields, node)).bytes, 0

    module._generate_time_safe = generate


# The number of a process


class Pid(int):
    """The number of a process as `os.getpid` returns it to the user's code.

    To compute with it, to order by it, or to seed a generator with it is to go by chance of the system, and is noted.
    To print it, to send it, or to compare whether it is some number is not.
    """

    def __reduce__(self) -> Any:
        return int, (int(self),)


def getpid() -> int:
    """Return the number of this process as `os.getpid` does."""
    number = _getpid()
    if control.active is not None and is_users(sys._getframe(1).f_code.co_filename):
        return Pid(number)
    return number


def _note_number() -> None:
    uncontrolled.note("the number of a process, which the system chooses")


def _noting(name: str) -> Any:
    real = getattr(int, name)

    def operation(self: int, *others: Any) -> Any:
        _note_number()
        return real(int(self), *others)

    operation.__name__ = name
    return operation


for _name in (*_ARITHMETIC, *(f"r{one}" for one in _ARITHMETIC), "lt", "le", "gt", "ge"):
    setattr(Pid, f"__{_name}__", _noting(f"__{_name}__"))
