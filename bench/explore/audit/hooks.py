"""What runs in an audited process: it notes on the board, at each call and return, where the process is.

The tracer reads that when the process makes a system call. Where the process is follows from its stack alone: the
innermost frame decides that is the user's, a point's, or our own. Frames of the standard library are passed over: what
they do the user's code does.

Hooks are installed only in processes that were started to be audited: a hook of `sys.addaudithook` stays for ever.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from bench.explore.audit.calls import IMPORTS, LOOKS, NAMING, TRUSTED, USER
from bench.explore.audit.events import is_reaching
from bench.explore.audit.memory import Memory
from bench.explore.audit.ptrace import REGISTERS
from bench.explore.runtime import control
from bench.explore.runtime import layout as at
from bench.explore.runtime.lane import Runtime
from bench.process.instrument import is_users, short_name

TYPE_CHECKING = False  # as type checkers know it: each audited process imports this

if TYPE_CHECKING:
    from types import CodeType, FrameType
    from typing import Any

MOST_CALLS = 20_000
"""Calls and returns in the user's code and in points, after which a process is audited no more: a third of a second."""

_NOT_THE_USERS = (TRUSTED, IMPORTS)
_IN_IMPORTS = 16
"""How many calls and returns elsewhere, as in an import, count as one of those."""

MOST_CLOSINGS = 64
"""How often the shared memory is closed on each line, which takes some 0.2 ms: a line in a loop is not new any more."""

_ASKING_S = 0.0005
_MOST_ASKING_S = 4.0
"""How often to look whether the tracer has answered, and for how long: the answer is a number, which wakes nobody."""
_SET_TRACER, _ANYBODY = 0x59616D61, -1
"""`PR_SET_PTRACER` of prctl(2), which Yama asks for (its mode 1), and `PR_SET_PTRACER_ANY`."""

_POINTS = "bench.explore.points"
_OURS = (
    "bench.explore",
    "bench.process",
    "bench.state",
    "linecache",
    "multiprocessing.heap",
    "multiprocessing.resource_tracker",
    "multiprocessing.util",
    "tokenize",
    "traceback",
)
"""Beginnings of the names of modules whose own calls are not the user's: our own machinery; what reads the source of
code; what `multiprocessing` keeps for itself. The user's code that they call back has frames of its own."""

_UNDER_A_LOCK = frozenset({("multiprocessing.synchronize", "_state"), ("multiprocessing.synchronize", "_count")})
"""What a `Barrier` keeps in shared memory: it reads and writes that while it holds the lock of its condition."""

_OF_TASKS = frozenset({("multiprocessing.queues", "join"), ("multiprocessing.queues", "task_done")})
"""What looks, under a lock as well, at how many tasks of a `JoinableQueue` are not done."""

_OF_OWNER = frozenset({"_count", "_is_mine"})
"""Functions of a semaphore that look at what only this process knows: how often it holds a recursive lock."""

_TAKES_OVER = frozenset({"sys.setprofile", "sys.settrace"})
"""Events after which these hooks are perhaps no more."""

_HAND_OUT = frozenset({"__buffer__", "hand_out"})
"""Functions of points that hand out the memory itself, to what has called them."""

_IMPORTING = "importlib"

_PASSED, _USERS, _POINT, _OWN, _NAMES, _IMPORT = range(6)


def join(runtime: Runtime) -> None:
    """Be audited from here on, in a process that has just become a lane."""
    with control.Raw():
        if runtime.board.audit > 0:
            _ask_tracer(runtime)
        _Hooks(runtime).install()


def _ask_tracer(runtime: Runtime) -> None:
    """Wait until the tracer traces this process, or says that it cannot."""
    import ctypes

    ctypes.CDLL(None).prctl(_SET_TRACER, ctypes.c_long(_ANYBODY), 0, 0, 0)
    numbers, cell = runtime.numbers, at.TRACED + runtime.lane
    numbers[at.WHERE + runtime.lane] = TRUSTED
    numbers[cell] = at.ASKS
    os.kill(runtime.board.audit, signal.SIGUSR1)
    for _ in range(int(_MOST_ASKING_S / _ASKING_S)):
        if numbers[cell] != at.ASKS or runtime.board.audit < 0:
            return
        time.sleep(_ASKING_S)
    numbers[at.AUDIT_CUT] |= at.NOT_IN_TIME


class _Hooks:
    """The hooks of one process: of its calls, of the user's lines, and of the interpreter's events."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime, self.board, self.numbers = runtime, runtime.board, runtime.numbers
        self.lane, self.cell = runtime.lane, at.WHERE + runtime.lane
        self.traced = self.numbers[at.TRACED + runtime.lane] == at.TRACES
        self.kinds: dict[int, int] = {}
        self.codes: list[CodeType] = []  # kept alive, so that no other code comes to their addresses
        self.places: dict[tuple[int, int], str] = {}
        self.stepped: set[int] = set()
        """The outermost frames of the points that have taken their step, by their addresses."""
        self.stops = {id(Runtime.point.__code__), id(Runtime.arrive.__code__)}
        self.where, self.left = TRUSTED, MOST_CALLS * _IN_IMPORTS
        self.place = self.function = ""
        self.memory = Memory(runtime) if self.traced and os.uname().machine in REGISTERS else None
        self.closed_at: dict[str, int] = {}
        """How often the shared memory was closed on a line."""
        self.installed = False

    def install(self) -> None:
        sys.addaudithook(self.on_event)
        os.register_at_fork(after_in_child=self.remove)
        self.installed = True
        sys.settrace(self.on_line)
        sys.setprofile(self.on_call)

    def remove(self) -> None:
        """Do nothing more: this is a child, which has a place on the board of its own, or none."""
        if self.installed:
            self.installed = False
            sys.setprofile(None)
            sys.settrace(None)
            if self.memory is not None:
                self.memory.open_anyway()

    # Where this process is.

    def kind_of(self, frame: FrameType) -> int:
        code = frame.f_code
        if (known := self.kinds.get(id(code))) is None:
            self.codes.append(code)
            known = self.kinds[id(code)] = _kind(str(frame.f_globals.get("__name__")), code.co_filename, code.co_name)
        return known

    def look(self, frame: FrameType | None, function: Any = None) -> None:
        """Note where this process is, whose innermost frame is `frame`, and which function it is about to call."""
        if control.active is None and not self.is_called_back(frame):
            self.be(TRUSTED)
            return
        where, naming = USER, 0
        while frame is not None:
            kind = self.kind_of(frame)
            if kind == _POINT and control.unpickling:
                kind = _PASSED  # it takes no step
            if kind == _USERS:
                break
            if kind == _OWN or (kind == _POINT and id(frame) in self.stepped):
                where = TRUSTED
                break
            if kind == _POINT:
                if where == IMPORTS:  # a point imports what it needs
                    where = TRUSTED
                    break
                where = LOOKS
            elif kind == _IMPORT:
                where = IMPORTS
            elif kind == _NAMES:
                naming = NAMING
            frame = frame.f_back
        if frame is None or where == TRUSTED:
            self.be(TRUSTED)
            return
        place = self.place_of(frame)
        name = _name(function) if function is not None else ""
        if place != self.place or name != self.function:
            self.place, self.function = place, name
            self.note(name)
        self.be(where | naming)

    def is_called_back(self, frame: FrameType | None) -> bool:
        """Return whether the user's code runs where no points are, as when it is asked how an object is pickled."""
        passed = (_PASSED, _NAMES, _IMPORT, _POINT) if control.unpickling else (_PASSED, _NAMES, _IMPORT)
        while frame is not None and (kind := self.kind_of(frame)) in passed:
            frame = frame.f_back
        return frame is not None and kind == _USERS

    def be(self, where: int) -> None:
        """Note where this process is; open its shared memory in a point, and close it in the user's code."""
        if where == self.where and (where & ~NAMING != USER or self.memory is None):
            return
        if self.memory is not None:
            if where & ~NAMING == USER:
                self.close_memory()
            else:
                self.memory.open()
        self.where = self.numbers[self.cell] = where

    def close_memory(self) -> None:
        """Close the shared memory, unless this line has done without it often enough."""
        assert self.memory is not None
        if not self.memory.is_open() or (times := self.closed_at.get(self.place, 0)) >= MOST_CLOSINGS:
            return
        self.closed_at[self.place] = times + 1
        self.numbers[self.cell] = TRUSTED  # what closing it takes
        self.memory.close()

    def note(self, name: str) -> None:
        text = f"{name[:96]}\n{self.place[-250:]}"
        self.board.set_call(self.lane, text.encode("utf-8", "replace")[: at.CALL_SIZE - 1])

    def place_of(self, frame: FrameType) -> str:
        key = id(frame.f_code), frame.f_lineno
        if (found := self.places.get(key)) is None:
            found = self.places[key] = f"{short_name(frame.f_code.co_filename)}:{frame.f_lineno}"
        return found

    # The hooks.

    def on_call(self, frame: FrameType, event: str, arg: Any) -> None:
        """Look where this process is after a call, or a return from one; called for each of them."""
        self.left -= 1 if self.where in _NOT_THE_USERS else _IN_IMPORTS
        if self.left < 0:
            self.give_up()
        elif event == "return":
            if id(frame.f_code) in self.stops:
                self.step_taken(frame)
            elif id(frame) in self.stepped:
                self.stepped.discard(id(frame))
                if frame.f_code.co_name in _HAND_OUT:
                    return  # the memory is read or written by who called this, before any other call
            self.look(frame.f_back)
        elif event == "call":
            self.look(frame)
        elif event == "c_call":
            self.look(frame, arg)
            if self.where & ~NAMING == USER and _is_of_semaphore(arg, frame):
                self.board.note_uncontrolled(f"a semaphore, reached past its points, {self.place}")
        elif self.where != TRUSTED:  # behind a function of C this process is where it was before
            self.look(frame)

    def give_up(self) -> None:
        """Audit no more of a process that makes too many calls."""
        if self.installed:
            self.remove()
            if self.memory is not None:
                self.memory.free()
            self.where = self.numbers[self.cell] = TRUSTED
            self.numbers[at.AUDIT_CUT] |= at.TOO_MANY_CALLS
            self.numbers[at.TRACED + self.lane] = at.LEAVES

    def step_taken(self, frame: FrameType) -> None:
        """Note that the point which has called `point` or `arrive` may now do what it has announced."""
        at_frame, outermost = frame.f_back, 0
        while at_frame is not None and self.kind_of(at_frame) in (_POINT, _OWN):
            if self.kind_of(at_frame) == _POINT:
                outermost = id(at_frame)
            at_frame = at_frame.f_back
        if outermost:
            self.stepped.add(outermost)

    def on_line(self, frame: FrameType, event: str, arg: Any) -> Any:  # noqa: ARG002  # as trace functions are called
        if not self.installed or self.kind_of(frame) != _USERS:
            return None
        self.look(frame)
        return self.on_line

    def on_event(self, event: str, args: Any) -> None:
        if not self.installed or self.where & ~NAMING != USER:
            return
        if event in _TAKES_OVER:
            self.board.note_uncontrolled(f"{event}, which ends the audit, {self.place}")
        elif is_reaching(event, args):
            if self.traced:
                self.note(self.function if "." in self.function else event)
            else:
                self.board.note_uncontrolled(f"{event}, {self.place}")


def _kind(module: str, filename: str, function: str) -> int:
    if module.startswith(_POINTS):
        return _POINT
    if module.startswith(_OURS) or (module, function) in _UNDER_A_LOCK:
        return _OWN
    if module.startswith(_IMPORTING):
        return _IMPORT
    if is_users(filename):
        return _USERS
    return _NAMES if module == "tempfile" else _PASSED


def _is_of_semaphore(function: Any, frame: FrameType) -> bool:
    """Return whether a function of C reads or changes a semaphore, which it does without a system call."""
    owner = type(getattr(function, "__self__", None))
    if owner.__name__ != "SemLock" or function.__name__ in _OF_OWNER:
        return False
    return (frame.f_globals.get("__name__"), frame.f_code.co_name) not in _OF_TASKS


def _name(function: Any) -> str:
    """Return the name of a function of an extension module, as people know it."""
    owner = getattr(function, "__self__", None)
    module = getattr(function, "__module__", None) or getattr(
        owner if isinstance(owner, type) else type(owner), "__module__", ""
    )
    name = str(getattr(function, "__qualname__", function))
    module = "os" if module == "posix" else str(module).lstrip("_")
    return name if module in ("", "builtins") else f"{module}.{name}"
