"""Locks, semaphores, conditions and events as points: real ones, whose counters also stand on the board.

A step that could block is granted only when it cannot, so that the real operation is done without blocking. The
counter of an object on the board is the value of its semaphore.
"""

from __future__ import annotations

import functools
import weakref
from sys import _getframe

from bench.explore.runtime import control
from bench.explore.runtime import layout as at
from bench.explore.runtime.control import Abandoned
from bench.explore.runtime.packing import READ, word

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from typing import Any

    from bench.explore.runtime.lane import Runtime

# These are read at each step: `numbers[at.OWNERS]` takes 47 ns more on Python 3.10, and up to 9 from 3.11 on.
COUNTERS, HOLDERS, OWNERS = at.COUNTERS, at.HOLDERS, at.OWNERS

known: weakref.WeakSet[Any] = weakref.WeakSet()
"""The semaphores that this process has: made here, or come with its arguments or by a fork."""


_MANY = 1 << 30


class Gone(RuntimeError):
    """A real operation was not possible although the board says that it is: something is not controlled."""


class Facts:
    """What the points of one semaphore need: its number, its steps as words, and what it is.

    A recursive one belongs to its owner; one is held if there is one to be had.
    """

    __slots__ = ("acquire", "attempt", "held", "number", "read", "recursive", "release")

    def __init__(self, number: int, semlock: Any) -> None:
        self.number, self.recursive, self.held = number, semlock.kind == 0, semlock.maxvalue == 1
        self.acquire, self.attempt, self.release, self.read = (
            word(kind, number) for kind in ("acquire", "try", "release", "read")
        )


def facts(lock: Any) -> Facts:
    """Give the facts of a semaphore, which are looked up once."""
    found: Facts | None = lock.__dict__.get("_bench_facts")
    if found is None:
        assert control.registry is not None
        semlock = lock._semlock
        number = control.registry.object(_key(semlock), type(lock).__name__, semlock._get_value())
        found = lock._bench_facts = Facts(number, semlock)
    return found


def _key(semlock: Any) -> str:
    # Under fork a semaphore has no name any more; children have it at the address at which their parent has it.
    return semlock.name or f"semaphore at {semlock.handle:x}"


def _made(init: Any) -> Any:
    @functools.wraps(init)
    def made(self: Any, kind: int, value: int, maxvalue: int, *, ctx: Any) -> None:
        init(self, kind, value, maxvalue, ctx=ctx)
        known.add(self)
        if control.registry is not None:
            number = control.registry.made(_key(self._semlock), type(self).__name__, value)
            self._bench_facts = Facts(number, self._semlock)

    return made


def _come(setstate: Any) -> Any:
    @functools.wraps(setstate)
    def come(self: Any, state: Any) -> None:
        setstate(self, state)
        known.add(self)

    return come


# The points of a semaphore or lock.


def _acquire(self: Any, block: bool = True, timeout: float | None = None) -> bool:
    semlock, runtime = self._semlock, control.active
    if runtime is None:
        return semlock.acquire(block, timeout)  # type: ignore[no-any-return]  # without stubs
    fact = self.__dict__.get("_bench_facts") or facts(self)
    number = fact.number
    if fact.recursive and runtime.numbers[OWNERS + number] == runtime.lane:
        return semlock.acquire(False)  # type: ignore[no-any-return]  # once more, which concerns nobody else
    if block and timeout is None:
        runtime.arrive(fact.acquire, number, _getframe(1))
    elif block and timeout > 0:  # type: ignore[operator]  # it is no None here
        runtime.timeout(runtime.now() + timeout)  # type: ignore[operator]  # it is no None here
        if not runtime.point("acquire", number, wants=number):
            return False
    else:
        # As long as it is not free, an attempt changes nothing: who tries again and again waits for somebody else.
        runtime.arrive(fact.attempt | (READ if runtime.numbers[COUNTERS + number] <= 0 else 0), 0, _getframe(1))
    return _take(self, semlock, runtime, fact, attempt=not block or timeout is not None)


def _take(self: Any, semlock: Any, runtime: Runtime, fact: Facts, *, attempt: bool = False) -> bool:
    """Take a semaphore for real, once it is this lane's turn."""
    got: bool = semlock.acquire(False)
    if got:
        number, numbers, lane = fact.number, runtime.numbers, runtime.lane
        if fact.held:
            numbers[HOLDERS + number] = lane
            runtime.holding += 1
        if fact.recursive:
            numbers[OWNERS + number] = lane
        runtime.set_counter(number, numbers[COUNTERS + number] - 1)
        if attempt:
            runtime.changed()
    elif runtime.abandoning:
        raise Abandoned
    elif not attempt:
        raise _out_of_control(self, runtime)
    if runtime.detail:
        runtime.saw("taken" if got else "not free")
    return got


def _out_of_control(self: Any, runtime: Runtime) -> Gone:
    what = f"{runtime.board.object_label(facts(self).number)}: taken by something that is not controlled"
    runtime.uncontrolled(what)
    return Gone(what)


def _release(self: Any) -> None:
    semlock, runtime = self._semlock, control.active
    if runtime is None:
        semlock.release()
        return
    fact = self.__dict__.get("_bench_facts") or facts(self)
    if fact.recursive and semlock._count() != 1:  # not the last of several, or none at all, which raises
        semlock.release()
        return
    runtime.arrive(fact.release, 0, _getframe(1))
    _give(semlock, runtime, fact)


def _give(semlock: Any, runtime: Runtime, fact: Facts) -> None:
    semlock.release()
    number, numbers = fact.number, runtime.numbers
    if fact.held:
        numbers[HOLDERS + number] = -1
        runtime.holding -= 1 if semlock._count() >= 0 else -_MANY  # it was another's
        if fact.recursive:
            numbers[OWNERS + number] = -1
    runtime.set_counter(number, numbers[COUNTERS + number] + 1)


def _enter(self: Any) -> bool:
    runtime = control.active
    if runtime is None:
        return self._semlock.__enter__()  # type: ignore[no-any-return]  # without stubs
    fact = self.__dict__.get("_bench_facts") or facts(self)
    if fact.recursive and runtime.numbers[OWNERS + fact.number] == runtime.lane:
        return self._semlock.acquire(False)  # type: ignore[no-any-return]  # without stubs
    runtime.arrive(fact.acquire, fact.number, _getframe(1))
    return _take(self, self._semlock, runtime, fact)


def _exit(self: Any, *_: object) -> None:
    self.release()


def _value(original: Any) -> Any:
    """Make a look at a semaphore a step."""

    @functools.wraps(original)
    def look(self: Any) -> Any:
        runtime = control.active
        if runtime is not None:
            runtime.arrive(facts(self).read, 0, _getframe(1))
        found = original(self)
        if runtime is not None and runtime.detail:
            runtime.saw(repr(found))
        return found

    return look


# Semaphores inside conditions and events, which only who holds the condition's lock touches: no steps of their own.


def _inner_acquire(self: Any, block: bool = True, timeout: float | None = None) -> bool:
    runtime = control.active
    if runtime is None:
        return self._semlock.acquire(block, timeout)  # type: ignore[no-any-return]  # without stubs
    got: bool = self._semlock.acquire(False)
    if got:
        runtime.add(facts(self).number, -1)
    return got


def _inner_release(self: Any) -> None:
    self._semlock.release()
    if (runtime := control.active) is not None:
        runtime.add(facts(self).number, 1)


def _acquire_if_blocking(self: Any, block: bool = True, timeout: float | None = None) -> bool:
    return _acquire(self, block, timeout) if block else _inner_acquire(self, block)


def _mark_inner(condition: Any) -> None:
    """Merge what a condition does with its own semaphores into its steps.

    How many sleep is only looked at under the lock. Who was woken says so in the step in which it wakes: the notifying
    process, which holds the lock, waits for it.
    """
    sleeping, woken, wait = condition._sleeping_count, condition._woken_count, condition._wait_semaphore
    sleeping.acquire = functools.partial(_inner_acquire, sleeping)
    sleeping.release = functools.partial(_inner_release, sleeping)
    woken.acquire = functools.partial(_acquire_if_blocking, woken)
    woken.release = functools.partial(_inner_release, woken)
    wait.acquire = functools.partial(_acquire_if_blocking, wait)


def _marking(original: Any, mark: Any) -> Any:
    @functools.wraps(original)
    def marked(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        mark(self)

    return marked


# Events.


def _mark_flag(event: Any) -> None:
    flag = event._flag
    flag.acquire = functools.partial(_inner_acquire, flag)
    flag.release = functools.partial(_inner_release, flag)


def _restore_event(self: Any, state: dict[str, Any]) -> None:
    self.__dict__.update(state)
    _mark_flag(self)


def _flag_step(event: Any, kind: str, runtime: Runtime, frame: Any) -> Facts:
    """Take a step on an event's flag, while its condition's lock is free; give the facts of that lock."""
    lock = facts(event._cond._lock)
    runtime.arrive(word(kind, facts(event._flag).number), lock.number, frame)
    return lock


def _flag(event: Any, runtime: Runtime) -> bool:
    found: bool = event._flag._semlock._get_value() > 0
    if runtime.detail:
        runtime.saw("set" if found else "not set")
    return found


def _event_is_set(original: Any) -> Any:
    @functools.wraps(original)
    def is_set(self: Any) -> bool:
        runtime = control.active
        if runtime is None:
            return original(self)  # type: ignore[no-any-return]  # a wrapped method
        _flag_step(self, "read", runtime, _getframe(1))
        return _flag(self, runtime)

    return is_set


def _event_clear(original: Any) -> Any:
    @functools.wraps(original)
    def clear(self: Any) -> None:
        runtime = control.active
        if runtime is None:
            original(self)
            return
        _flag_step(self, "write", runtime, _getframe(1))
        self._flag.acquire(False)
        if runtime.detail:
            runtime.saw("cleared")

    return clear


def _event_set(original: Any) -> Any:
    @functools.wraps(original)
    def set_flag(self: Any) -> None:
        runtime = control.active
        if runtime is None:
            original(self)
            return
        condition = self._cond
        lock = _flag_step(self, "write", runtime, _getframe(1))
        if runtime.detail:
            runtime.saw("set")
        self._flag.acquire(False)
        self._flag.release()
        if condition._sleeping_count._semlock._get_value():  # they are woken while the lock is held, step by step
            _take(condition._lock, condition._lock._semlock, runtime, lock)
            try:
                condition.notify_all()
            finally:
                condition._lock.release()

    return set_flag


def _event_wait(original: Any) -> Any:
    @functools.wraps(original)
    def wait(self: Any, timeout: float | None = None) -> bool:
        runtime = control.active
        if runtime is None:
            return original(self, timeout)  # type: ignore[no-any-return]  # a wrapped method
        frame = _getframe(1)
        _flag_step(self, "read", runtime, frame)
        if _flag(self, runtime):
            return True
        # To go to sleep is part of the step that finds the flag not set: it is under the lock, as the look is.
        condition = self._cond
        condition._sleeping_count.release()
        try:
            condition._wait_semaphore.acquire(True, timeout)
        finally:
            condition._woken_count.release()
        _flag_step(self, "read", runtime, frame)
        return _flag(self, runtime)

    return wait


def install() -> None:
    """Hang the points into this process's `multiprocessing.synchronize`."""
    from multiprocessing import synchronize

    lock: Any = synchronize.SemLock
    lock.__init__ = _made(lock.__init__)
    lock.__setstate__ = _come(lock.__setstate__)
    lock._make_methods = _no_methods
    lock.acquire, lock.release, lock.__enter__, lock.__exit__ = _acquire, _release, _enter, _exit
    semaphore: Any = synchronize.Semaphore
    semaphore.get_value = _value(semaphore.get_value)
    if hasattr(lock, "locked"):  # from Python 3.14 on
        lock.locked = _value(lock.locked)
    condition: Any = synchronize.Condition
    condition.__init__ = _marking(condition.__init__, _mark_inner)
    condition.__setstate__ = _marking(condition.__setstate__, _mark_inner)
    event: Any = synchronize.Event
    event.__init__ = _marking(event.__init__, _mark_flag)
    event.__setstate__ = _restore_event
    event.is_set, event.clear = _event_is_set(event.is_set), _event_clear(event.clear)
    event.set, event.wait = _event_set(event.set), _event_wait(event.wait)


def _no_methods(self: Any) -> None:
    """Leave `acquire` and `release` to the class: what an instance has would not be seen."""


def forget_holding() -> None:
    """Have no lock count as held by this process; who puts the semaphores back sees to their values."""
    for lock in known:
        if lock._semlock._count():
            lock._semlock._after_fork()  # which is what it does: it forgets


_views: dict[int, Any] = {}


def set_value(lock: Any, wanted: int) -> None:
    """Bring a semaphore to a value, whoever holds it: what a recursive lock itself allows its owner alone."""
    semlock = lock._semlock
    if (view := _views.get(semlock.handle)) is None:
        # The same semaphore, seen as one that anybody may release. It is never let go of: it would close the other's.
        view = _views[semlock.handle] = type(semlock)._rebuild(semlock.handle, 1, semlock.SEM_VALUE_MAX, None)
    while view._get_value() < wanted:
        view.release()
    while view._get_value() > wanted:
        view.acquire(False)
