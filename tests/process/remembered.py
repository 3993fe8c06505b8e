"""Scenarios on shared memory: what is seen in the middle of an access, of values, barriers, slices and segments."""

from __future__ import annotations

from typing import Any

from bench import acceptable, actor, scenario

PATIENCE_S = 3600.0
"""Virtual; nobody waits for it."""


class Saw:
    """A place for what an actor saw."""

    def __init__(self, mp: Any) -> None:
        self.saw = mp.RawValue("i", -1)

    def result(self) -> object:
        return self.saw.value


# The lock of a value


class Guarded(Saw):
    """One writes; the other looks at the lock of the value, which is taken meanwhile."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.value = mp.Value("i", 0)

    @actor
    def write(self) -> None:
        self.value.value = 1


@scenario(acceptable(bool))
class Tried(Guarded):
    def attempt(self) -> bool:
        return bool(self.value.get_lock().acquire(False))

    @actor
    def look(self) -> None:
        got = self.attempt()
        self.saw.value = got
        if got:
            self.value.get_lock().release()


@scenario(acceptable(bool))
class TriedForAMoment(Tried):
    def attempt(self) -> bool:
        return bool(self.value.acquire(timeout=0.01))


@scenario(acceptable(bool))
class WaitedForLong(Tried):
    def attempt(self) -> bool:
        return bool(self.value.acquire(timeout=PATIENCE_S))


@scenario(acceptable(bool))
class Shown(Guarded):
    @actor
    def look(self) -> None:
        self.saw.value = "None" in repr(self.value.get_lock())


@scenario(acceptable(int))
class WrittenByTwo(Guarded):
    """Each writes, and holds the lock for that alone."""

    @actor
    def write_too(self) -> None:
        self.value.value = 2

    def result(self) -> object:
        return self.value.value


@scenario(acceptable(bool))
class Released(Saw):
    """One writes; the other releases the lock, which it does not hold."""

    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.value = mp.Value("i", 0, lock=mp.Lock())

    @actor
    def write(self) -> None:
        self.value.value = 1

    @actor
    def release(self) -> None:
        try:
            self.value.get_lock().release()
        except ValueError:
            self.saw.value = 1


# Barriers


@scenario(acceptable(bool))
class Waiting(Saw):
    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.barrier = mp.Barrier(2)

    @actor
    def wait(self) -> None:
        self.barrier.wait()

    @actor
    def look(self) -> None:
        self.saw.value = self.barrier.n_waiting
        self.barrier.wait()


@scenario(acceptable(bool))
class Broken(Saw):
    def __init__(self, mp: Any) -> None:
        super().__init__(mp)
        self.barrier = mp.Barrier(2)

    @actor
    def abort(self) -> None:
        self.barrier.abort()

    @actor
    def look(self) -> None:
        self.saw.value = self.barrier.broken
