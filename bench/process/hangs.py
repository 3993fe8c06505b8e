"""What is known of a sample whose deadline passed: who waits where, and whether it was merely slow.

Processes of the bench that rest, such as actors between two samples, are not told of. A sample counts as slow where one
of its processes was getting on, or asleep until a time: it computed, or other processes woke it. It is none where all
that was awake looked again and again for what another process, which waits without end, did not bring about.
"""

from __future__ import annotations

import linecache
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from bench.process.activity import Doing
from bench.process.instrument import is_own, is_users
from bench.process.stacks import Stack

_FRAME = re.compile(r'File "([^"]+)", line (\d+) in (\S+)')
_SLEEP = re.compile(r"\bsleep\w*\(")
_WRAPPERS = ("main.py", "instrument.py", "children.py")
"""Files of the bench's processes that are below the user's code, or around it, and never rest."""

_THREADS = ("threading.py", os.path.join("concurrent", "futures", ""))
_VERBS: Mapping[str, str] = {"polls": "sleeps and looks again", "is stopped": "is stopped by a signal"}
_HELPERS = ("resource tracker", "forkserver")


class Frame(NamedTuple):
    """A frame of a stack."""

    file: str
    line: int
    function: str


@dataclass(frozen=True)
class Member:
    """One process of a sample, by its name; `target` is what it was started to run, where that is a function of C."""

    name: str
    stack: Stack
    target: str = ""

    @cached_property
    def _threads(self) -> list[list[Frame]]:
        """The frames of each thread, the innermost first; the main thread is the last."""
        parts = re.split(r"hread 0x", self.stack.stack)
        return [[Frame(file, int(line), name) for file, line, name in _FRAME.findall(part)] for part in parts[1:]]

    @cached_property
    def frames(self) -> list[Frame]:
        """The frames of the main thread; of a fork without those that it has from its parent."""
        return self._split[0]

    @cached_property
    def _split(self) -> tuple[list[Frame], list[Frame]]:
        frames = self._threads[-1] if self._threads else []
        begins = next((at for at, one in enumerate(frames) if _is_bootstrap(one)), len(frames))
        return frames[:begins], frames[begins:]

    @property
    def rests(self) -> bool:
        """Whether it is a process of the bench's own that has nothing to do at the moment."""
        return not any(map(_is_users, self.frames)) and any(map(_is_machinery, self.frames))

    @cached_property
    def does(self) -> Doing:
        """What it does: where its main thread waits for other threads, what those do."""
        own = _refined(self.stack.does, self.frames, self.target)
        if own != "waits" or not any(_is_in(one, *_THREADS) for one in self._inner):
            return own
        others = [_refined(self.stack.others_do, frames, "") for frames in self._threads[:-1]]
        return next((one for one in others if one in ("computes", "goes on", "sleeps")), own)

    @cached_property
    def _inner(self) -> list[Frame]:
        """The frames below the user's innermost one, by which it waits."""
        count = next((at for at, one in enumerate(self.frames) if _is_users(one)), len(self.frames))
        return self.frames[:count]

    @cached_property
    def waits_for_end(self) -> bool:
        """Whether it waits until another process ends."""
        return self.does in ("waits", "polls") and any(map(_waits_for_end, self._inner))

    def text(self) -> str:
        """Return what it does and where: the innermost function and the user's innermost line."""
        does = self.does
        verb = _VERBS.get(does, does)
        if not self.stack.stack:
            return f"{self.name} {'gave no stack' if does == 'waits' else f'{verb}, and gave no stack'}"
        shown = [one for one in self.frames if not is_own(one.file)]
        users = next((one for one in shown if _is_users(one)), None)
        if users is not None:
            where = "for a process to end" if self.waits_for_end else f"in {shown[0].function}"
            return f"{self.name} {verb} {where} at {_place(users)}"
        if not shown or _is_run(shown[0]):
            started = next((one for one in self._split[1] if _is_users(one)), None)
            what = f" in {self.target}" if self.target else " in what it was started for"
            return f"{self.name} {verb}{what}" + (f", started at {_place(started)}" if started else "")
        return f"{self.name} {verb} in {shown[0].function}"


def _is_users(frame: Frame) -> bool:
    return is_users(frame.file)


def _is_in(frame: Frame, *ends: str) -> bool:
    return any(end in frame.file if end.endswith(os.sep) else frame.file.endswith(end) for end in ends)


def _is_bootstrap(frame: Frame) -> bool:
    return frame.function == "_bootstrap" and _is_in(frame, os.path.join("multiprocessing", "process.py"))


def _is_run(frame: Frame) -> bool:
    return frame.function == "run" and _is_in(frame, os.path.join("multiprocessing", "process.py"))


def _is_machinery(frame: Frame) -> bool:
    return is_own(frame.file) and not (
        os.path.basename(os.path.dirname(frame.file)) == "process" and os.path.basename(frame.file) in _WRAPPERS
    )


def _waits_for_end(frame: Frame) -> bool:
    if _is_in(frame, "subprocess.py"):
        return True
    folder, name = os.path.split(frame.file)
    if os.path.basename(folder) != "multiprocessing":
        return False
    return name.startswith("popen_") or (name == "process.py" and frame.function in ("join", "is_alive"))


def _refined(does: Doing, frames: Sequence[Frame], target: str) -> Doing:
    """Return what a thread does, by the line that it is on where the kernel does not say."""
    if does not in ("", "goes on"):
        return does
    sleeps = bool(frames) and _SLEEP.search(linecache.getline(frames[0].file, frames[0].line)) is not None
    if sleeps or (target.endswith("sleep") and (not frames or _is_run(frames[0]) or is_own(frames[0].file))):
        return "polls" if does else "sleeps"
    return does or "waits"


def _place(frame: Frame) -> str:
    return f"{frame.file.rpartition('/')[2]}:{frame.line}"


def members(
    stacks: Sequence[Stack], names: Mapping[int, str], targets: Mapping[int, str] | None = None
) -> list[Member]:
    """Return the processes to tell of: neither helpers of `multiprocessing` nor those of the bench that rest.

    Args:
        stacks: of all processes.
        names: of processes, by pid.
        targets: what processes were started to run, by pid, where that is a function of C.
    """
    found = [
        Member(names.get(one.pid, "a process"), one, (targets or {}).get(one.pid, ""))
        for one in stacks
        if one.role not in _HELPERS
    ]
    return [one for one in found if not one.rests]


def is_slow(told: Sequence[Member]) -> bool:
    """Return whether the sample may have gone on by itself: not all that is known of it is that processes wait."""
    if any(one.does in ("computes", "goes on", "sleeps") for one in told):
        return True
    stuck = any(one.does in ("waits", "is stopped") and not one.waits_for_end for one in told)
    return any(one.does == "polls" for one in told) and not stuck


def where(told: Sequence[Member]) -> str:
    """Return in words what processes do, and where; where one only waits for another to end, the other alone."""
    more = [one for one in told if not one.waits_for_end] or told
    order = sorted(more, key=lambda one: one.does in ("waits", "is stopped"))
    return "; ".join(one.text() for one in order)


def summary(
    told: Sequence[Member], waited_s: float, *, phase: str = "program", nobody: str = "nothing was alive"
) -> str:
    """Return in one line what is known: "after 1 s MainProcess waits in ...", or "took longer than 1 s: ..."."""
    if is_slow(told):
        at_exit = " after the program returned" if phase == "exit" else ""
        return f"took longer than {waited_s:g} s{at_exit}: {where(told)}"
    after = "after the program returned, " if phase == "exit" else ""
    texts = "; ".join(one.text() for one in told)
    return f"{after}after {waited_s:g} s {texts or nobody}"
