"""What the code of a loop can reach and change, as something that can be compared: the other half of `spinning`.

Code changes things by instructions on what it can name: variables, globals, attributes, items. So what is compared are
the values of the names in the loop and in all functions that it can call, and what is in them. Whatever keeps a state
of its own where no name leads to it, such as an iterator, a generator of random numbers or a file, cannot be compared;
nor can what is not known here. Where a loop can reach such a thing, nothing is known of it.
"""

from __future__ import annotations

import builtins
import functools
import os
import types
from bisect import bisect_right

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import CodeType, FrameType
    from typing import Any

_BENCH = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OWN = tuple(os.path.join(_BENCH, room, "") for room in ("explore", "process", "state"))
"""Folders of the bench's own code, whose points keep nothing from one operation to the next."""

_MOST = 2_000
"""Values above which nothing is compared."""

_LONGEST = 64
"""Items of a container above which it is not compared."""

_PLAIN = (type(None), bool, int, float, complex, str, bytes, range, type(Ellipsis), type(NotImplemented), slice)
_OBJECT_SIZE = getattr(object, "__basicsize__", 0) + 16
"""Bytes of an object that has nothing but a dictionary and weak references; one with more has a state of its own."""

_TYPES = frozenset(
    {
        bool,
        int,
        float,
        complex,
        str,
        bytes,
        tuple,
        list,
        dict,
        set,
        frozenset,
        range,
        slice,
        enumerate,
        zip,
        map,
        filter,
    }
    | {reversed}
)
"""Types whose calls make something new, and nothing else."""

_FUNCTIONS = frozenset(
    {abs, all, any, callable, chr, divmod, format, id, isinstance, issubclass, iter, len, max, min, next, ord, pow}
    | {round, sorted, sum, os.getpid, os.fspath, os.cpu_count}
)
"""Functions of C that change nothing but what they are given; what they call themselves is Python, and seen."""

_MODULES = frozenset({"math", "_operator"})
"""Modules of which that holds for all functions."""

_LOOKS = {
    "multiprocessing.process": {"BaseProcess.is_alive", "BaseProcess.exitcode"},
    "multiprocessing.connection": {"_ConnectionBase.poll", "_ConnectionBase.closed"},
    "multiprocessing.queues": {"Queue.empty", "Queue.full", "Queue.qsize", "SimpleQueue.empty"},
    "multiprocessing.synchronize": {"Event.is_set", "Semaphore.get_value", "SemLock.locked"},
    "genericpath": {"exists", "isfile", "isdir", "getsize", "lexists"},
    "posixpath": {"lexists", "join", "islink"},
    "pathlib": {"Path.exists", "Path.is_file", "Path.is_dir"},
    "pathlib._local": {"Path.exists", "Path.is_file", "Path.is_dir"},
}
"""Functions of the standard library that only look at what is shared; what they do inside is not gone through."""

_IDLE = frozenset(
    {"__init__", "__new__", "__repr__", "__str__", "__del__", "__init_subclass__", "__class_getitem__", "__reduce__"}
    | {"__getstate__", "__setstate__", "__reduce_ex__", "__module__", "__doc__", "__dict__", "__weakref__"}
    | {"__qualname__", "__annotations__", "__set_name__", "__dir__", "__sizeof__"}
)
"""Names of classes that no instruction uses but by that name, or only one that makes or sends something."""

_GLOBALS = frozenset({"LOAD_GLOBAL", "STORE_GLOBAL", "LOAD_NAME", "STORE_NAME"})
_ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR"})
_VARIABLES = ("LOAD_FAST", "STORE_FAST", "DELETE_FAST", "LOAD_DEREF", "STORE_DEREF", "LOAD_CLOSURE")
_HARMLESS = frozenset(
    {"NOP", "CACHE", "RESUME", "PRECALL", "PUSH_NULL", "POP_TOP", "COPY", "SWAP", "LOAD_CONST", "LOAD_SMALL_INT"}
    | {"MAKE_CELL", "COPY_FREE_VARS", "TO_BOOL", "COMPARE_OP", "IS_OP", "CONTAINS_OP", "CALL", "KW_NAMES", "CALL_KW"}
    | {"GET_ITER", "FOR_ITER", "END_FOR", "POP_ITER", "MAKE_FUNCTION", "SET_FUNCTION_ATTRIBUTE", "YIELD_VALUE"}
    | {"RETURN_GENERATOR", "GEN_START", "EXTENDED_ARG", "SETUP_FINALLY", "POP_BLOCK", "PUSH_EXC_INFO", "POP_EXCEPT"}
    | {"CHECK_EXC_MATCH", "JUMP_IF_NOT_EXC_MATCH", "RERAISE", "RAISE_VARARGS", "LOAD_ASSERTION_ERROR", "NOT_TAKEN"}
    | {"LOAD_COMMON_CONSTANT", "GET_LEN", "LIST_TO_TUPLE", "CALL_INTRINSIC_1", "STORE_SUBSCR", "GET_YIELD_FROM_ITER"}
    | {"DUP_TOP", "DUP_TOP_TWO", "CONVERT_VALUE", "STORE_SLICE", "SET_ADD", "MAP_ADD", "SET_UPDATE"}
)
_HARMLESS_KINDS = (
    *("BINARY_", "UNARY_", "INPLACE_", "BUILD_", "LIST_", "DICT_", "FORMAT_", "UNPACK_", "POP_JUMP_", "JUMP_", "ROT_"),
    *("RETURN_", "CALL_FUNCTION", "CALL_METHOD", "INTERPRETER_EXIT"),
)
_GENERATES = 0x20 | 0x80 | 0x200
"""Flags of the code of a generator or coroutine."""


class Names:
    """The names that some instructions use."""

    def __init__(self) -> None:
        self.variables: set[str] = set()
        self.globals: set[str] = set()
        self.attributes: set[str] = set()
        self.known = True
        """Whether all of the instructions are known here."""

    def add(self, opname: str, argument: Any) -> None:
        """Add what an instruction uses."""
        if opname in _GLOBALS:
            self.globals.add(argument)
        elif opname in _ATTRIBUTES:
            self.attributes.add(argument)
        elif opname.startswith(_VARIABLES):
            self.variables.update((argument,) if isinstance(argument, str) else argument or ())
        elif opname not in _HARMLESS and not opname.startswith(_HARMLESS_KINDS):
            self.known = False


class Loop:
    """A `while` loop in a code: where it begins and ends, and the names that are used in it."""

    __slots__ = ("codes", "end", "names", "start")

    def __init__(self, start: int, end: int, names: Names, codes: tuple[CodeType, ...]) -> None:
        self.start, self.end, self.names, self.codes = start, end, names, codes


class Layout:
    """Where the instructions of a code begin, and its loops that do not ask an iterator for the next item."""

    def __init__(self, code: CodeType) -> None:
        import dis

        instructions = list(dis.get_instructions(code))
        self.generates = bool(code.co_flags & _GENERATES)
        self.all = _names(instructions)
        self.inner = tuple(one for one in code.co_consts if isinstance(one, types.CodeType))
        steps = [step for step in instructions if step.opname not in ("EXTENDED_ARG", "CACHE")]
        self.begins = [step.offset for step in steps]
        ends: dict[int, int] = {}
        for jump in steps:
            is_jump = jump.opcode in dis.hasjrel or jump.opcode in dis.hasjabs
            if is_jump and jump.argval <= jump.offset:
                first = next(step for step in steps if step.offset >= jump.argval)
                if first.opname not in ("FOR_ITER", "SEND", "GET_ANEXT"):
                    ends[jump.argval] = max(jump.offset, ends.get(jump.argval, 0))
        self.loops = [] if self.generates else [self._loop(steps, start, end) for start, end in ends.items()]

    def _loop(self, steps: list[Any], start: int, end: int) -> Loop:
        inside = [step for step in steps if start <= step.offset <= end]
        codes = tuple(step.argval for step in inside if isinstance(step.argval, types.CodeType))
        names = _names(inside)
        loops = sum(step.opname == "FOR_ITER" for step in inside)
        names.known &= sum(step.opname == "GET_ITER" for step in inside) >= loops
        return Loop(start, end, names, codes)

    def at(self, position: int) -> int:
        """Return where the instruction at a position begins.

        The position (`f_lasti`) of a call that the interpreter inlines is at the end of the instruction's caches.
        """
        return self.begins[max(bisect_right(self.begins, position) - 1, 0)]

    def around(self, position: int) -> list[Loop]:
        """Return the loops around a position of which all instructions are known."""
        at = self.at(position)
        return [loop for loop in self.loops if loop.names.known and loop.start <= at <= loop.end]


def _names(instructions: Iterable[Any]) -> Names:
    found = Names()
    for step in instructions:
        found.add(step.opname, step.argval)
    return found


_layouts: dict[int, tuple[CodeType, Layout]] = {}
"""By address, each with its code: codes that are equal may be of two modules, whose globals differ."""


def layout(code: CodeType) -> Layout:
    """Return the layout of a code."""
    if (found := _layouts.get(id(code))) is None:
        found = _layouts[id(code)] = (code, Layout(code))
    return found[1]


class _Unknown(Exception):
    """Something cannot be compared."""


class Reach:
    """What a loop goes on from, in a frame that is at it: `values`, and the codes that it may run.

    Raises nothing: `known` is `False` where something cannot be compared.
    """

    def __init__(self, frame: FrameType, loop: Loop) -> None:
        self.codes: dict[int, CodeType] = {}
        self._attributes: set[str] = set()
        self.known = True
        size = -1
        try:
            while size != len(self._attributes):  # code that is found may use names of what was gone through before
                size = len(self._attributes)
                self.values: list[object] = []
                self.codes.clear()
                self._seen: dict[int, int] = {}
                self._kept: list[object] = []  # so that nothing new comes to the address of something seen
                self._loop(frame, loop)
        except Exception:  # noqa: BLE001  # `_Unknown`; or one of the user's code, such as a `__hash__`
            self.known = False
        self._seen, self._kept = {}, []

    def _loop(self, frame: FrameType, loop: Loop) -> None:
        local = frame.f_locals
        for name in sorted(loop.names.variables):
            self.values.append(name)
            if name in local:
                self._visit(local[name])
        self._attributes |= loop.names.attributes
        self._globals(loop.names.globals, frame.f_globals, frame.f_builtins)
        for code in loop.codes:
            self._code(code, frame.f_globals, frame.f_builtins)

    def _code(self, code: CodeType, space: dict[str, Any], more: dict[str, Any]) -> None:
        if id(code) in self.codes:
            return
        found = layout(code)
        if not found.all.known:
            raise _Unknown
        self.codes[id(code)] = code
        self._attributes |= found.all.attributes
        self._globals(found.all.globals, space, more)
        for inner in found.inner:
            self._code(inner, space, more)

    def _globals(self, names: set[str], space: dict[str, Any], more: dict[str, Any]) -> None:
        for name in sorted(names):
            self.values.append(name)
            if name in space:
                self._visit(space[name])
            elif name in more:
                self._visit(more[name])

    def _visit(self, value: Any) -> None:  # noqa: PLR0912  # one for each kind of value
        if isinstance(value, _PLAIN) and type(value) in _PLAIN:
            self.values.append((type(value), str(value) if type(value) is slice else value))
            return
        if (seen := self._seen.get(id(value))) is not None:
            self.values.append(("again", seen))
            return
        if len(self._seen) > _MOST:
            raise _Unknown
        self._seen[id(value)] = len(self._seen)
        self._kept.append(value)
        kind = type(value)
        if kind in (list, tuple, dict):
            self._items(value)
        elif kind in (set, frozenset):
            if not all(type(one) in _PLAIN for one in value):
                raise _Unknown
            self.values.append((kind, frozenset(value)))
        elif kind is types.FunctionType:
            self._function(value)
        elif kind is types.MethodType:
            self._visit(value.__func__)
            self._visit(value.__self__)
        elif kind is types.ModuleType:
            self.values.append(id(value))
            self._named(vars(value))
        elif kind is types.BuiltinFunctionType:
            self._builtin(value)
        elif isinstance(value, type):
            self._type(value)
        elif kind in (property, staticmethod, classmethod):
            self._visit(value.fget if kind is property else value.__func__)
        elif kind is functools.partial:
            self._visit(value.func)
            if not _is_own(value.func):
                raise _Unknown
        else:
            self._object(value)

    def _items(self, value: Any) -> None:
        if len(value) > _LONGEST:
            raise _Unknown
        self.values.append((type(value), len(value)))
        for one in value.items() if type(value) is dict else value:
            if type(value) is dict:
                self._visit(one[0])
                self._visit(one[1])
            else:
                self._visit(one)

    def _named(self, space: Any) -> None:
        """Visit the attributes in a dictionary that any of the code uses by name."""
        names = sorted(self._attributes.intersection(space)) if "__dict__" not in self._attributes else sorted(space)
        for name in names:
            if not name.startswith("_bench"):
                self.values.append(name)
                self._visit(space[name])

    def _function(self, function: Any) -> None:
        if _is_own(function) or function.__qualname__ in _LOOKS.get(function.__module__ or "", ()):
            return
        self.values.append(id(function.__code__))
        for one in (function.__defaults__, function.__kwdefaults__):
            self._visit(one)
        for cell in function.__closure__ or ():
            try:
                self._visit(cell.cell_contents)
            except ValueError:
                self.values.append("empty")
        self._named(vars(function))
        self._code(function.__code__, function.__globals__, _builtins_of(function))

    def _builtin(self, function: Any) -> None:
        owner = getattr(function, "__self__", None)
        self.values.append(function.__name__)
        if type(owner) in (list, dict, tuple, set, str, int, bytes, frozenset, float):
            self._visit(owner)
        elif function not in _FUNCTIONS and not (isinstance(owner, types.ModuleType) and owner.__name__ in _MODULES):
            raise _Unknown

    def _type(self, kind: Any) -> None:
        self.values.append(id(kind))
        if kind in _TYPES or (kind.__module__ == "builtins" and issubclass(kind, BaseException)):
            return
        if type(kind) is not type or not (_is_simple(kind) or issubclass(kind, BaseException)):
            raise _Unknown
        self._class(kind)

    def _class(self, kind: Any) -> None:
        """Visit what code by its names, or any instruction, uses of a class."""
        for one in kind.__mro__:
            if one.__module__ == "builtins":
                continue
            library = one.__module__.partition(".")[0] == "multiprocessing"
            for name, value in list(vars(one).items()):
                special = name.startswith("__") and name not in _IDLE and isinstance(value, types.FunctionType)
                special &= not library  # those that are no points take a lock: nothing is known where they are called
                if special or name in self._attributes:
                    self.values.append(name)
                    if type(value) not in _SLOTS:
                        self._visit(value)

    def _object(self, value: Any) -> None:
        kind = type(value)
        self.values.append((id(value), id(kind)))
        inner = getattr(value, "__dict__", None)
        if _is_shared(value):
            if isinstance(inner, dict):
                self._named(inner)
        elif kind.__module__.startswith("pathlib") and isinstance(value, os.PathLike):
            self.values.append(os.fspath(value))
        elif not isinstance(inner, dict) or not _is_simple(kind) or type(kind) is not type:
            raise _Unknown
        else:
            self._named(inner)
        self._class(kind)


_SLOTS = frozenset({types.GetSetDescriptorType, types.MemberDescriptorType})


def _builtins_of(function: Any) -> dict[str, Any]:
    found: Any = function.__globals__.get("__builtins__", builtins)
    return found if isinstance(found, dict) else vars(found)


def _is_own(function: Any) -> bool:
    code = getattr(function, "__code__", None)
    return code is not None and code.co_filename.startswith(OWN)


def _is_simple(kind: Any) -> bool:
    return getattr(kind, "__basicsize__", 0) <= _OBJECT_SIZE


def _is_shared(value: object) -> bool:
    """Return whether a value is shared: its changes are steps; what is kept in its attributes is compared all the same.

    Of its methods those count that are points; what else it has is gone through like any code.
    """
    if type(value).__module__.partition(".")[0] == "multiprocessing":
        return True
    own = getattr(value, "__dict__", ())
    return "_wrapper" in own or "_bench_object" in own


def is_look(code: CodeType) -> bool:
    """Return whether a code is one of those in the standard library that only look at what is shared."""
    name = getattr(code, "co_qualname", code.co_name)  # without the class before Python 3.11
    file = code.co_filename
    frozen = file.startswith("<frozen ")  # as those are of which the interpreter has a copy of its own, from 3.11 on
    stem = "." + file[8:-1] if frozen else os.path.splitext(file)[0].replace(os.sep, ".")
    return any(
        stem.endswith("." + module) and any(one == name or one.endswith("." + name) for one in names)
        for module, names in _LOOKS.items()
    )
