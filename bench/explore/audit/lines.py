"""The user's lines that a process runs for the first time, so that the schedules that come to them are audited too.

They are known from Python 3.12 on, where the interpreter tells of a line once and then no more, so that it costs
nothing. On older Pythons a schedule is new if it takes a step on a line on which none was taken before.
"""

from __future__ import annotations

import os
import sys

from bench.explore.runtime import layout as at
from bench.process.instrument import is_users, short_name

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from types import CodeType
    from typing import Any

    from bench.explore.runtime.board import Board
    from bench.explore.runtime.lane import Runtime

_TOOL = 4
"""A number of `sys.monitoring` that no kind of tool has for itself."""

known: set[str] = set()
"""The lines that this process knows of, or the one that it was forked from."""

_watching = False
_open, _write, _close = os.open, os.write, os.close


def watch(runtime: Runtime) -> None:
    """Audit this process, which has just become a lane, if that is asked for; else note its new lines."""
    global _watching  # noqa: PLW0603  # there is one set of callbacks in a process
    if runtime.board.audit:
        from bench.explore.audit.hooks import join

        join(runtime)
    elif not _watching and sys.version_info >= (3, 12):
        _watching = True
        _watch(runtime.board)


def _watch(board: Board) -> None:
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]  # Python 3.12
    events = monitoring.events
    try:
        monitoring.use_tool_id(_TOOL, "forkbench")
    except ValueError:  # somebody has it: then new lines are those of steps alone
        return

    def started(code: CodeType, offset: int) -> Any:  # noqa: ARG001  # as it is called
        if is_users(code.co_filename):
            monitoring.set_local_events(_TOOL, code, events.LINE)
        return monitoring.DISABLE

    def line(code: CodeType, number: int) -> Any:
        text = f"{short_name(code.co_filename)}:{number}"
        if text not in known:
            known.add(text)
            _note(board, text)
        return monitoring.DISABLE

    monitoring.register_callback(_TOOL, events.PY_START, started)
    monitoring.register_callback(_TOOL, events.LINE, line)
    monitoring.set_events(_TOOL, events.PY_START)


def _path(board: Board) -> str:
    return os.path.join(os.path.dirname(board.path), "lines")


def _note(board: Board, text: str) -> None:
    file = _open(_path(board), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _write(file, f"{text}\n".encode("utf-8", "replace"))
    finally:
        _close(file)
    board.numbers[at.NEW_LINES] += 1


class NewLines:
    """What the exploring process knows of the lines that were run."""

    def __init__(self, board: Board) -> None:
        self._board, self._count, self._read = board, 0, 0

    def came(self) -> bool:
        """Return whether any process has come to a line, since this was last asked, to which none had come before."""
        count = self._board.numbers[at.NEW_LINES]
        if count == self._count:
            return False
        self._count = count
        with open(_path(self._board), "rb") as file:
            file.seek(self._read)
            text = file.read()
        self._read += len(text)
        new = set(text.decode("utf-8", "replace").splitlines()) - known
        known.update(new)
        return bool(new)
