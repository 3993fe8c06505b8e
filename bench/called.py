"""The name by which the command was called, for every line that tells a person what to type.

`bench` and `forkbench` are one command: whoever has another tool named `bench` types the second, and must not be told
to type the first.
"""

from __future__ import annotations

import contextlib
import os

TYPE_CHECKING = False  # as type checkers know it, without the time that importing typing takes

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMANDS = ("bench", "forkbench")
"""The names of the console command. The first is used where there was no command, as in pytest."""

_name = COMMANDS[0]


def command_name() -> str:
    """Return the name to type: the one that this process was called by, else `bench`."""
    return _name


@contextlib.contextmanager
def called_as(program: str) -> Iterator[str]:
    """Use the name of a program for the duration of the block, and yield it.

    Args:
        program: the first word of the command line, a name or a path; one that is none of the command's names, such as
            that of `python -m bench`, counts as `bench`.
    """
    global _name  # noqa: PLW0603  # a process is called by one name, and lines to type are made in many rooms
    before, name = _name, os.path.splitext(os.path.basename(program))[0]
    _name = name if name in COMMANDS else COMMANDS[0]
    try:
        yield _name
    finally:
        _name = before
