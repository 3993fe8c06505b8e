"""Stacks of live processes: each Python of a sample or cell dumps its own on a signal, one at a time.

`python -m bench.process.stacks` prints those of every process it can see: how a host asks a container.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.process.activity import Doing, activities
from bench.process.dumping import VARIABLE
from bench.process.tree import Proc, catches, environment, processes, send, waits_in
from bench.values import Json

ANSWER_S = 0.25
"""How long a process has to write its stack; one that is stopped, or deep in the kernel, never does."""

PATIENT_S = 2.0
"""How long it has where its stack is the verdict's cause, and its CPU may be busy with others."""


@dataclass(frozen=True)
class Stack:
    """One process at the time of asking; `stack` is empty if it did not answer.

    `does` and `others_do` say what its main thread and the most active of its other threads do, see
    `bench.process.activity`.
    """

    pid: int
    ppid: int
    role: str
    state: str
    waits_in: str
    command: str
    stack: str
    does: Doing = ""
    others_do: Doing = "waits"

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
        "does": stack.does or None,
        "stack": stack.stack,
    }


def ask(procs: Iterable[Proc], answer_s: float = ANSWER_S, *, active: bool = False) -> list[Stack]:
    """Return the stack of each process, asked one after the other, since dumps at the same time would mix.

    Args:
        procs: the processes.
        answer_s: how long each has to answer.
        active: whether to look at what each does first, which takes `activity.BETWEEN_S`.
    """
    asked = list(procs)
    # Before the dumps, for which each process wakes up.
    doing = activities(proc.pid for proc in asked) if active else {}
    return [
        Stack(p.pid, p.ppid, p.role, p.state, waits_in(p.pid), p.command, _ask_one(p, answer_s), *doing.get(p.pid, ()))
        for p in asked
    ]


def _ask_one(proc: Proc, answer_s: float) -> str:
    path = environment(proc.pid).get(VARIABLE)
    if path is None or not catches(proc.pid, signal.SIGUSR1):
        return ""
    before = _size(path)
    if not send(proc, signal.SIGUSR1):
        return ""
    deadline = time.monotonic() + answer_s
    seen = before
    while time.monotonic() < deadline:
        time.sleep(answer_s / 50)  # a handler that writes its stacks says nowhere that it is through
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


def main() -> None:
    """Print the stacks of every process that is visible, this one left out."""
    me = os.getpid()
    for stack in ask(p for p in processes() if p.pid != me):
        sys.stdout.write(stack.text() + "\n\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
