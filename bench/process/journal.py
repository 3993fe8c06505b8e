"""The journal of a sample: every process of its tree appends what happens to it, one Python literal a line.

Literals, since `repr` is there in every process at no cost, where importing `json` would make each start 15 ms longer.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as type checkers know it, see above

if TYPE_CHECKING:
    from typing import Any

VARIABLE = "BENCH_SAMPLE"
"""Environment variable that names the folder of the sample a process belongs to; also what marks the process."""

_NAME = "journal"


def append(folder: str, event: str, **fields: object) -> None:
    """Append one event, with fields of Python's own plain types.

    The file is opened anew each time, so that it works after a fork and holds no descriptor.
    """
    # One write to a file opened with O_APPEND: the kernel keeps lines of several processes apart, see write(2).
    line = repr({"event": event, "pid": os.getpid(), **fields}).encode("utf-8", "backslashreplace")
    path = os.path.join(folder, _NAME)  # os.path, as pathlib costs each child 5 ms
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:  # the sample is over and its folder gone, or no descriptor is left
        return
    try:
        os.write(handle, line + b"\n")
    except OSError:  # the disk is full, which the sample itself may well have brought about
        pass
    finally:
        os.close(handle)


def read(folder: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the events of a sample, in the order in which they were written; torn lines are skipped."""
    try:
        with open(os.path.join(folder, _NAME), "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return []
    import ast

    events = []
    for line in lines:
        try:
            found = ast.literal_eval(line.decode("utf-8", "replace"))
        except (ValueError, SyntaxError):
            continue
        if isinstance(found, dict):
            events.append(found)
    return events
