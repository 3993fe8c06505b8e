"""Scenarios for stress mode alone: actors that return what is false, take their time, or die."""

from __future__ import annotations

import os
import time
from typing import Any

from bench import acceptable, actor, crashes, deterministic, interesting, scenario


class Turns:
    """A flag for each of two actors, which each sets."""

    def __init__(self, mp: Any) -> None:
        self.turns = mp.RawArray("i", 2)

    def result(self) -> int:
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


@scenario(deterministic(2), deadline_s=2)
class TakesItsTime(Turns):
    """Longer than half of the deadline, once in a second or two, and never as long as all of it."""

    @actor
    def one(self) -> None:
        self.turns[0] = 1

    @actor
    def two(self) -> None:
        self.turns[1] = 1
        if time.monotonic() % 0.25 < 0.002:
            time.sleep(1.4)

    def result(self) -> int:
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
