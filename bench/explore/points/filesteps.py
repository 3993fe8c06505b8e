"""Steps on files: the user's operations, not those of the bench or of the import system, each as one step."""

from __future__ import annotations

import os
import sys

from bench.explore.runtime import control

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from bench.explore.points.paths import Named
    from bench.explore.runtime.lane import Runtime

_SEVERAL = {"look": "scan", "change": "move"}
"""Kinds of steps, by those of the same operation on a file of one name."""

_INTERNAL = (
    "bench.explore",
    "bench.process",
    "bench.state",
    "importlib",
    "linecache",
    "multiprocessing",
    "tokenize",
    "traceback",
)
"""Names of modules, and of packages, whose own operations on files are not the user's."""

_INSIDE = tuple(f"{name}." for name in _INTERNAL)


def is_internal(frame: Any) -> bool:
    """Return whether a frame is of the bench, or of modules whose own operations are not the user's."""
    name = str(frame.f_globals.get("__name__"))
    return name in _INTERNAL or name.startswith(_INSIDE)


def controlled() -> Any:
    """Return the runtime if the operation is one of the user's code, and this process is controlled; else `None`."""
    runtime = control.active
    return None if runtime is None or is_internal(sys._getframe(2)) else runtime


def take_step(
    runtime: Runtime, kind: str, on: Named, do: Callable[[], Any], deed: str | Callable[[], str] = "", text: str = ""
) -> Any:
    """Take a step, do the operation for real, and return its result.

    Args:
        runtime: of the lane.
        kind: of the step, if the file has one name.
        on: the object of the step.
        do: the real operation.
        deed: what the story calls it, one of `findings.words.FILE_DEEDS`, or what returns that just before it is done;
            empty for what such a step is called.
        text: what the story says of it, if it goes well; empty for its result.
    """
    runtime.point(_SEVERAL.get(kind, kind) if on.several else kind, on.number)
    name = ""
    try:
        with runtime.raw():
            if runtime.detail:
                name = deed if isinstance(deed, str) else deed()
            given = do()
    except OSError as error:
        if runtime.detail:
            runtime.note_value(_told(name, str(error.strerror)))
        raise
    if runtime.detail:
        runtime.note_value(_told(name, text or _result_text(name, given)))
    return given


def _told(deed: str, text: str) -> str:
    """Return what the story gets: the deed before what came of it, see `findings.words.step_text`."""
    return f"{deed}: {text}" if deed and text else deed or text


def _result_text(deed: str, given: Any) -> str:
    if deed in ("opens", "creates", "empties"):
        return ""
    if deed == "writes to":
        return f"{given} byte{'s' * (given != 1)}"
    if isinstance(given, (bytes, int)):
        return repr(given)
    if isinstance(given, list):
        return f"{len(given)} names"
    return "it is there" if isinstance(given, os.stat_result) else ""
