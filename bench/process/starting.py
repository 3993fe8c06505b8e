"""Measures what the start of a process takes, in every Python of a cell: the child appends a line to a shared file.

The time is from the parent's call of `start` to the child's `_bootstrap`, which calls the program's own code next. The
clock is the system's, the same in both. The parent's time reaches the child as an attribute of its process object: by
memory under fork, with the pickled object under spawn and forkserver. What such a child imports later, as a worker of a
pool does for its first task, is a line of its own.

Imported by every Python of a cell at its start, and therefore with little.
"""

from __future__ import annotations

import _thread
import os
import sys
import time

TYPE_CHECKING = False  # as type checkers know it: `typing` takes longer than all of this

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

OF_PYTHON = "stdlib"
"""The package that modules of the standard library count as, where no other package asked for them."""

_AT = "_bench_started_at"
_LEAST_S = 0.0005
_MOST_IMPORTS = 50


class _State:
    """What this process has measured.

    `up_at` is when its interpreter was up or, in a forked child, when it was forked. `begun` is set once it runs the
    program's own code; `method` is how it was started. `spent` are seconds by package since its last line.
    """

    def __init__(self) -> None:
        self.up_at = time.monotonic()
        self.begun = False
        self.method = ""
        self.spent: dict[str, float] = {}
        self.counted: set[str] = set()
        self.importing: dict[int, list[str]] = {}


_state = _State()


def install(path: str, *, timing_imports: bool) -> None:
    """Patch this process so that processes which `multiprocessing` starts append what that took to the file `path`.

    Args:
        path: the file.
        timing_imports: whether imports are timed, as in an interpreter that was started for a child.
    """
    from multiprocessing import process

    start = process.BaseProcess.start
    bootstrap = process.BaseProcess._bootstrap  # type: ignore[attr-defined]  # private; tests hold it on each Python

    def started(self: Any) -> None:
        __tracebackhide__ = True  # pytest leaves the frame out of what it shows
        setattr(self, _AT, time.monotonic())
        start(self)

    def bootstrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        now = time.monotonic()
        if (at := self.__dict__.pop(_AT, None)) is not None:
            _state.method, _state.begun = _method_of(self), True
            _append(path, now - at, max(0.0, min(_state.up_at, now) - at))
        return bootstrap(self, *args, **kwargs)

    process.BaseProcess.start = started  # type: ignore[method-assign]  # a patch, as the module says
    process.BaseProcess._bootstrap = bootstrapped  # type: ignore[attr-defined]  # private; tests hold it on each Python
    if timing_imports:
        _time_imports(path)
    os.register_at_fork(after_in_child=_state.__init__)  # type: ignore[misc]  # all that it measured was of its parent


def _method_of(child: Any) -> str:
    from multiprocessing import get_start_method

    return getattr(child, "_start_method", None) or get_start_method()


def _append(path: str, seconds: float, up_s: float) -> None:
    """Append a line: method, seconds, those until the interpreter was up (less than 0: no start), the packages.

    A package that this process has in a line for the first time stands before `=`, and before `+` later.
    """
    most = sorted(_state.spent.items(), key=lambda one: -one[1])[:_MOST_IMPORTS]
    marks = [(package, "+" if package in _state.counted else "=", spent) for package, spent in most if spent > _LEAST_S]
    _state.counted.update(_state.spent)
    _state.spent.clear()
    imports = " ".join(f"{package}{mark}{spent:.6f}" for package, mark, spent in marks)
    line = f"{_state.method}\t{seconds:.6f}\t{up_s:.6f}\t{imports}\n"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        return  # a full disk, or a program that has left its file system: it is not measured then
    try:
        os.write(handle, line.encode())
    except OSError:
        return
    finally:
        os.close(handle)


def _time_imports(path: str) -> None:
    """Time each module that is imported, for the package that asked for it; not on a Python that imports otherwise."""
    library: Any = sys.modules.get("_frozen_importlib")
    find: Callable[..., Any] | None = getattr(library, "_find_and_load", None)
    if find is None:
        return

    def found(name: str, *args: Any) -> Any:
        stack = _state.importing.setdefault(_thread.get_ident(), [])
        package = _package(name, stack)
        if stack and package == stack[-1]:
            return find(name, *args)
        began = time.monotonic()
        stack.append(package)
        try:
            return find(name, *args)
        finally:
            stack.pop()
            took, spent = time.monotonic() - began, _state.spent
            spent[package] = spent.get(package, 0.0) + took
            if stack:  # it is not the time of the package around it
                spent[stack[-1]] = spent.get(stack[-1], 0.0) - took
            elif _state.begun and took > _LEAST_S:
                _append(path, took, -1.0)

    library._find_and_load = found


def _package(name: str, importing: list[str]) -> str:
    package = name.partition(".")[0]
    if package in sys.stdlib_module_names or package == "bench":
        return importing[-1] if importing else OF_PYTHON
    return package


def take(path: str) -> list[str]:
    """Return the lines that were appended to the file until now, and remove them; nobody else gets them."""
    aside = f"{path}.{os.getpid()}"
    try:
        os.rename(path, aside)
        with open(aside, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
        os.unlink(aside)
    except OSError:
        return []
    return lines
