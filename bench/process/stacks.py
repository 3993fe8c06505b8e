"""Stacks of live processes: each Python of a sample or cell dumps its own on a signal, one at a time.

`python -m bench.process.stacks` prints those of every process it can see: how a host asks a container.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.process.dumping import VARIABLE
from bench.process.tree import Proc, catches, environment, processes, send, waits_in
from bench.values import Json

ANSWER_S = 0.25
"""How long a process has to write its stack; one that is stopped, or deep in the kernel, never does."""


@dataclass(frozen=True)
class Stack:
    """One process at the time of asking; `stack` is empty if it did not answer."""

    pid: int
    ppid: int
    role: str
    state: str
    waits_in: str
    command: str
    stack: str

    def text(self) -> str:
        """Return lines for a person."""
        head = f"pid {self.pid} (parent {self.ppid}), {self.role}, state {self.state}"
        head += f", waits in {self.waits_in}" if self.waits_in else ""
        return f"{head}\n  {self.command}\n{self.stack or '  (no stack: it did not answer)'}"


def stack_record(stack: Stack, name: str | None) -> Json:
    """Return a process's stack as it stands in records, with the process's name, if it has one."""
    return {
        "pid": stack.pid,
        "parent": stack.ppid,
        "name": name,
        "role": stack.role,
        "state": stack.state,
        "waits_in": stack.waits_in,
        "stack": stack.stack,
    }


def ask(procs: Iterable[Proc]) -> list[Stack]:
    """Return the stack of each process, asked one after the other, since dumps at the same time would mix."""
    return [Stack(p.pid, p.ppid, p.role, p.state, waits_in(p.pid), p.command, _ask_one(p)) for p in procs]


def _ask_one(proc: Proc) -> str:
    path = environment(proc.pid).get(VARIABLE)
    if path is None or not catches(proc.pid, signal.SIGUSR1):
        return ""
    before = _size(path)
    if not send(proc, signal.SIGUSR1):
        return ""
    deadline = time.monotonic() + ANSWER_S
    seen = before
    while time.monotonic() < deadline:
        time.sleep(0.005)
        now = _size(path)
        if now > before and now == seen:  # it has stopped growing
            break
        seen = now
    with contextlib.suppress(OSError), Path(path).open("rb") as file:
        file.seek(before)
        return file.read().decode("utf-8", "replace").rstrip()
    return ""


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


_FRAME = re.compile(r'File "([^"]+)", line (\d+) in (\S+)')


def waits_at(stack: str) -> str:
    """Return where a main thread waits: its innermost call and the user's innermost line, from a faulthandler dump."""
    from bench.process.instrument import is_users

    main_thread = stack.rpartition("hread 0x")[2]  # the main thread comes last
    frames = _FRAME.findall(main_thread)
    if not frames:
        return "gave no stack"
    users = next(((file, line) for file, line, _ in frames if is_users(file)), None)
    at = f" at {users[0].rpartition('/')[2]}:{users[1]}" if users else ""
    return f"waits in {frames[0][2]}{at}"


def main() -> None:
    """Print the stacks of every process that is visible, this one left out."""
    me = os.getpid()
    for stack in ask(p for p in processes() if p.pid != me):
        sys.stdout.write(stack.text() + "\n\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
