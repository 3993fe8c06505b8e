"""Whether the global interpreter lock stayed off: what free-threaded Pythons of a cell say at imports and at their end.

An extension module that does not declare that it can do without the lock switches it on, for its whole process, when it
is imported. Python only warns about that, and a warning is easily hidden; here the state is compared at each import.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.machinery
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.process.build import gil_is_on, is_free_threaded

OFF = "off"
_UNKNOWN = "what is not known: no import of an extension did"


def install(path: str, *, is_on: Callable[[], bool] = gil_is_on) -> None:
    """Have this process note in a file what switches the lock on, and at its end that nothing has.

    Does nothing in a build that has the lock.
    """
    if not is_free_threaded():
        return
    watch(path, importlib.machinery.ExtensionFileLoader, is_on)
    atexit.register(note_end, path, is_on)


def watch(path: str, loader: Any, is_on: Callable[[], bool]) -> None:
    """Note in a file the names of modules whose loading switches the lock on."""
    for name in ("create_module", "exec_module"):  # where it happens differs by how a module is initialized
        setattr(loader, name, _noting(getattr(loader, name), path, is_on))


def _noting(real: Callable[..., Any], path: str, is_on: Callable[[], bool]) -> Callable[..., Any]:
    def load(self: Any, about: Any) -> Any:
        before = is_on()
        try:
            return real(self, about)
        finally:
            if not before and is_on():
                _note(path, f"on {getattr(about, 'name', None) or getattr(about, '__name__', '?')}")

    return load


def note_end(path: str, is_on: Callable[[], bool] = gil_is_on) -> None:
    """Note in a file whether the lock is on at the end of this process."""
    _note(path, f"on {_UNKNOWN}" if is_on() else OFF)


def _note(path: str, text: str) -> None:
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            os.write(handle, f"{text}\n".encode())
        finally:
            os.close(handle)


def read(path: str) -> tuple[int, tuple[str, ...]]:
    """Return how many processes ended with the lock off, and the names of the modules that switched it on."""
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0, ()
    names = dict.fromkeys(line.removeprefix("on ") for line in lines if line.startswith("on "))
    known = tuple(name for name in names if name != _UNKNOWN)
    return lines.count(OFF), known or tuple(names)
