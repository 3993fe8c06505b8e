"""Scenarios for stress mode alone: actors that return what is false, take their time, or die."""

from __future__ import annotations

import io
import os
import tempfile
import time
from typing import Any

from bench import acceptable, actor, crashes, deterministic, interesting, scenario


class Turns:
    """A flag for each of two actors, which each sets."""

    def __init__(self, mp: Any) -> None:
        self.turns = mp.RawArray("i", 2)

    def result(self) -> object:
        return sum(self.turns)


@scenario(acceptable(2))
class ReturnsZero(Turns):
    """An actor that returns what is false."""

    @actor
    def one(self) -> int:
        self.turns[0] = 1
        return 0

    @actor
    def two(self) -> None:
        self.turns[1] = 1


@scenario(acceptable(2))
class ReturnsNothingMuch(Turns):
    """An actor that returns an empty text where the other was there before it."""

    @actor
    def one(self) -> str | None:
        self.turns[0] = 1
        return "" if self.turns[1] else None

    @actor
    def two(self) -> None:
        self.turns[1] = 1


@scenario(deterministic(2), deadline_s=3)
class TakesItsTime(Turns):
    """Longer than half of the deadline, once in a second or two, and never as long as all of it."""

    @actor
    def one(self) -> None:
        self.turns[0] = 1

    @actor
    def two(self) -> None:
        self.turns[1] = 1
        if time.monotonic() % 0.25 < 0.002:
            time.sleep(1.7)

    def result(self) -> object:
        given = super().result()
        self.turns[0] = self.turns[1] = 0  # whoever asks again is given something else
        return given


@scenario(interesting(crashes("SIGKILL")), acceptable(2))
class DiesAtTimes(Turns):
    """One that dies in one of a thousand samples."""

    @actor
    def one(self) -> None:
        self.turns[0] = 1

    @actor
    def dies(self) -> None:
        self.turns[1] = 1
        if int.from_bytes(os.urandom(3), "big") < (1 << 24) // 1_000:
            os.kill(os.getpid(), 9)


SEEN: list[int] = []


@scenario(deterministic([1, 1]))
class KeepsInGlobals(Turns):
    """Actors that count the samples they have seen, one in a global and one in its class."""

    count = 0

    @actor
    def one(self) -> None:
        SEEN.append(1)
        self.turns[0] = len(SEEN)

    @actor
    def two(self) -> None:
        KeepsInGlobals.count += 1
        self.turns[1] = KeepsInGlobals.count

    def result(self) -> object:
        return list(self.turns)


@scenario(deterministic(2))
class LeavesOpen(Turns):
    """An actor that leaves a file open, with a lock on it that the next sample would wait for."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.path = os.path.join(tempfile.mkdtemp(), "file")

    @actor
    def one(self) -> None:
        import fcntl

        number = os.open(self.path, os.O_CREAT | os.O_RDWR)
        fcntl.flock(number, fcntl.LOCK_EX)
        self.turns[0] = 1

    @actor
    def two(self) -> None:
        self.turns[1] = 1


@scenario(acceptable([1]), acceptable([2]), interesting([1, 2]))
class LeavesBeside(Turns):
    """Actors that leave something beside the folder of their state."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.folder = tempfile.mkdtemp()

    @actor
    def one(self) -> None:
        if not os.path.exists(f"{self.folder}.lock"):
            open(f"{self.folder}.lock", "wb").close()
            self.turns[0] = 1

    @actor
    def two(self) -> None:
        if not os.path.exists(f"{self.folder}.lock"):
            open(f"{self.folder}.lock", "wb").close()
            self.turns[1] = 2

    def result(self) -> object:
        return [one for one in self.turns if one]


@scenario(acceptable(2))
class HasAStream(Turns):
    """Something in its state whose own state is not known."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.stream = io.StringIO()

    @actor
    def one(self) -> None:
        self.turns[0] = 1

    @actor
    def two(self) -> None:
        self.turns[1] = 1
