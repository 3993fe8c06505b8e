"""Locks, semaphores, conditions and events as points: real ones, whose counters also stand on the board.

A step that could block is granted only when it cannot, so that the real operation is done without blocking. The
counter of an object on the board is the value of its semaphore.
"""

from __future__ import annotations

import functools
import weakref
from sys import _getframe

from bench.explore.points import grain
from bench.explore.points.uncontrolled import note
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
"""The semaphores of this process: made here, received with its arguments, or inherited by a fork."""

_MANY = 1 << 30

_SHORT_S = 1.0
"""A wait for the lock of a value that is shorter may end while another lane has it for an access; a longer one not."""


class Uncontrolled(RuntimeError):
    """A real operation was not possible although the board says that it is: something is not controlled."""


class SemaphoreObject:
    """What the points of one semaphore need: its number as a shared object, its steps as words, and its kind.

    Attributes:
        recursive: whether it belongs to an owner, which may acquire it again.
        held: whether a lane that has acquired it holds it: its greatest value is 1.
        bounded: whether a release looks first whether it is one too many.
        looked_at: whether it is known that lanes look whether it is free, and go on if it is not.
    """

    __slots__ = ("acquire", "attempt", "bounded", "held", "looked_at", "number", "read", "recursive", "release")

    def __init__(self, number: int, semlock: Any) -> None:
        self.number, self.recursive, self.held = number, semlock.kind == 0, semlock.maxvalue == 1
        self.bounded = not self.recursive and semlock.maxvalue < semlock.SEM_VALUE_MAX
        self.looked_at = False
        self.acquire, self.attempt, self.release, self.read = (
            word(kind, number) for kind in ("acquire", "try", "release", "read")
        )


def object_of(lock: Any) -> SemaphoreObject:
    """Return the shared object of a semaphore; it is looked up once."""
    found: SemaphoreObject | None = lock.__dict__.get("_bench_object")
    if found is None:
        assert control.registry is not None
        semlock = lock._semlock
        number = control.registry.object(_key(semlock), type(lock).__name__, semlock._get_value())
        found = lock._bench_object = SemaphoreObject(number, semlock)
    return found


def _look_at(semaphore: SemaphoreObject) -> None:
    """Note that a lane does what tells whether another one has the lock just now."""
    if not semaphore.looked_at:
        semaphore.looked_at = True
        grain.tell_apart(semaphore.number)


def _may_pass(semaphore: SemaphoreObject, runtime: Runtime, timeout: float) -> bool:
    """Return whether a wait may end for the accesses of others alone, which are not long: it is like a try then."""
    if timeout >= _SHORT_S:
        return False
    _look_at(semaphore)
    return bool(runtime.numbers[at.GRAINS + semaphore.number] & at.COARSE)


def _key(semlock: Any) -> str:
    # Under fork a semaphore has no name any more; children have it at the address at which their parent has it.
    return semlock.name or f"semaphore at {semlock.handle:x}"


def _registering_init(init: Any) -> Any:
    @functools.wraps(init)
    def made(self: Any, kind: int, value: int, maxvalue: int, *, ctx: Any) -> None:
        with control.Raw():  # no other lane knows a semaphore that is just made
            init(self, kind, value, maxvalue, ctx=ctx)
        known.add(self)
        if control.registry is not None:
            number = control.registry.new_object(_key(self._semlock), type(self).__name__, value)
            self._bench_object = SemaphoreObject(number, self._semlock)

    return made


def _registering_setstate(setstate: Any) -> Any:
    @functools.wraps(setstate)
    def come(self: Any, state: Any) -> None:
        with control.Raw():
            setstate(self, state)
        known.add(self)

    return come


# The points of a semaphore or lock.


def _acquire(self: Any, block: bool = True, timeout: float | None = None) -> bool:
    semlock, runtime = self._semlock, control.active
    if runtime is None:
        return semlock.acquire(block, timeout)  # type: ignore[no-any-return]  # without stubs
    semaphore = self.__dict__.get("_bench_object") or object_of(self)
    number = semaphore.number
    if semaphore.recursive and runtime.numbers[OWNERS + number] == runtime.lane:
        return semlock.acquire(False)  # type: ignore[no-any-return]  # once more, which concerns no other lane
    if block and timeout is None:
        runtime.arrive(semaphore.acquire, number, _getframe(1))
    elif block and timeout > 0 and not _may_pass(semaphore, runtime, timeout):  # type: ignore[operator, arg-type]  # it is no None here
        runtime.set_deadline(runtime.now() + timeout)  # type: ignore[operator]  # it is no None here
        if not runtime.point("acquire", number, wants=number):
            return False
    else:
        _look_at(semaphore)
        # While it is not free, an attempt changes nothing: a loop of attempts waits for a step of another lane.
        runtime.arrive(semaphore.attempt | (READ if runtime.numbers[COUNTERS + number] <= 0 else 0), 0, _getframe(1))
    return _take(self, semlock, runtime, semaphore, attempt=not block or timeout is not None)


def _take(
    self: Any,
    semlock: Any,
    runtime: Runtime,
    semaphore: SemaphoreObject,
    *,
    attempt: bool = False,
    looks: bool = False,
) -> bool:
    """Acquire a semaphore for real, once the step is this lane's, and bring the board up to date.

    Args:
        attempt: whether it need not be free.
        looks: whether it is released again with nothing changed, unless there is something behind it.
    """
    got: bool = semlock.acquire(False)
    if got:
        number, numbers, lane = semaphore.number, runtime.numbers, runtime.lane
        if semaphore.held:
            numbers[HOLDERS + number] = lane
            runtime.holding += 1
        if semaphore.recursive:
            numbers[OWNERS + number] = lane
        runtime.set_counter(number, numbers[COUNTERS + number] - 1)
        if attempt and not looks:
            runtime.mark_changed()
    elif runtime.abandoning:
        raise Abandoned
    elif not attempt:
        raise _out_of_control(self, runtime)
    if runtime.detail:
        runtime.note_value("taken" if got else "not free")
    return got


def _out_of_control(self: Any, runtime: Runtime) -> Uncontrolled:
    what = f"{runtime.board.object_label(object_of(self).number)}: taken by something that is not controlled"
    runtime.note_uncontrolled(what)
    return Uncontrolled(what)


def _release(self: Any) -> None:
    semlock, runtime = self._semlock, control.active
    if runtime is None:
        semlock.release()
        return
    semaphore = self.__dict__.get("_bench_object") or object_of(self)
    if semaphore.recursive and semlock._count() != 1:  # not the last of several, or none at all, which raises
        semlock.release()
        return
    looked = semaphore.bounded and bool(runtime.numbers[at.GRAINS + semaphore.number] & at.LOOKED)
    if looked:
        runtime.arrive(semaphore.read, 0, _getframe(1))
        if semlock._get_value() >= semlock.maxvalue:
            semlock.release()  # which raises
    runtime.arrive(semaphore.release, 0, _getframe(1))
    _release_now(semlock, runtime, semaphore, looked=looked)


def _release_now(semlock: Any, runtime: Runtime, semaphore: SemaphoreObject, *, looked: bool = False) -> None:
    """Release a semaphore for real, once the step is this lane's, and bring the board up to date.

    CPython looks at the value, and then adds to it (`Modules/_multiprocessing/semaphore.c`): of two lanes that look at
    once, both add. That is one step as long as no release is one too many, in no order of these steps.

    Args:
        looked: whether this lane has looked, and found it below its greatest value, in a step before.
    """
    number = semaphore.number
    try:
        semlock.release()
    except ValueError:
        if not looked:
            _look_at(semaphore)  # in the middle of another lane's access it would not be free
            grain.look_apart(number)
            raise
        view = _view(semlock)  # another lane has added since
        view.acquire(False)
        semlock.release()
        view.release()
    numbers = runtime.numbers
    if semaphore.held:
        numbers[HOLDERS + number] = -1
        runtime.holding -= 1 if semlock._count() >= 0 else -_MANY  # another lane had acquired it
        if semaphore.recursive:
            numbers[OWNERS + number] = -1
    runtime.set_counter(number, numbers[COUNTERS + number] + 1)


def _enter(self: Any) -> bool:
    runtime = control.active
    if runtime is None:
        return self._semlock.__enter__()  # type: ignore[no-any-return]  # without stubs
    semaphore = self.__dict__.get("_bench_object") or object_of(self)
    if semaphore.recursive and runtime.numbers[OWNERS + semaphore.number] == runtime.lane:
        return self._semlock.acquire(False)  # type: ignore[no-any-return]  # without stubs
    runtime.arrive(semaphore.acquire, semaphore.number, _getframe(1))
    return _take(self, self._semlock, runtime, semaphore)


def _exit(self: Any, *_: object) -> None:
    self.release()


def _look(original: Any) -> Any:
    """Return a method that reads a semaphore's value as a step."""

    @functools.wraps(original)
    def look(self: Any) -> Any:
        runtime = control.active
        if runtime is not None:
            semaphore = object_of(self)
            _look_at(semaphore)
            runtime.arrive(semaphore.read, 0, _getframe(1))
        found = original(self)
        if runtime is not None and runtime.detail:
            runtime.note_value(repr(found))
        return found

    return look


def _noted(original: Any) -> Any:
    """Return the `__repr__` of a condition, which looks at the number of sleepers without the lock."""

    @functools.wraps(original)
    def shown(self: Any) -> Any:
        note("a look at how many wait for a condition")
        return original(self)

    return shown


# Semaphores inside conditions and events: only the lane that holds the condition's lock touches them, so that their
# operations commute with those of all others, and need no steps of their own.


def _inner_acquire(self: Any, block: bool = True, timeout: float | None = None) -> bool:
    runtime = control.active
    if runtime is None:
        return self._semlock.acquire(block, timeout)  # type: ignore[no-any-return]  # without stubs
    got: bool = self._semlock.acquire(False)
    if got:
        runtime.add_to_counter(object_of(self).number, -1)
    return got


def _inner_release(self: Any) -> None:
    self._semlock.release()
    if (runtime := control.active) is not None:
        runtime.add_to_counter(object_of(self).number, 1)


def _acquire_if_blocking(self: Any, woken: Any, block: bool = True, timeout: float | None = None) -> bool:
    """Acquire what counts the woken, or what wakes them, of a condition.

    Args:
        self: the semaphore.
        woken: the one that counts the woken.
        block: whether to wait; a notification also tries, which is a step of its own once a wait has ended by itself.
        timeout: of a wait.
    """
    if not block:
        return _acquire(self, block) if _ends_by_itself(woken) else _inner_acquire(self, block)
    got = _acquire(self, block, timeout)
    if not got and control.active is not None:
        grain.tell_apart(object_of(woken).number)
    return got


def _release_woken(self: Any) -> None:
    if _ends_by_itself(self):
        _release(self)
    else:
        _inner_release(self)


def _ends_by_itself(woken: Any) -> bool:
    return control.active is not None and grain.is_fine(object_of(woken).number)


def _mark_inner(condition: Any) -> None:
    """Make the operations of a condition on its own semaphores parts of its steps.

    The number of sleepers is only read and changed under the lock. A lane that is woken adds to the number of the woken
    in the step in which it wakes, without the lock; but the notifying lane, which holds it, waits for just that. A wait
    that ends by its timeout is not waited for: once there is one, what it meets in a notification are steps.
    """
    sleeping, woken, wait = condition._sleeping_count, condition._woken_count, condition._wait_semaphore
    sleeping.acquire = functools.partial(_inner_acquire, sleeping)
    sleeping.release = functools.partial(_inner_release, sleeping)
    woken.acquire = functools.partial(_acquire_if_blocking, woken, woken)
    woken.release = functools.partial(_release_woken, woken)
    wait.acquire = functools.partial(_acquire_if_blocking, wait, woken)


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


def _flag_step(event: Any, kind: str, runtime: Runtime, frame: Any) -> SemaphoreObject:
    """Take a step on an event's flag, while its condition's lock is free; return that lock's shared object."""
    lock = object_of(event._cond._lock)
    runtime.arrive(word(kind, object_of(event._flag).number), lock.number, frame)
    return lock


def _flag(event: Any, runtime: Runtime) -> bool:
    found: bool = event._flag._semlock._get_value() > 0
    if runtime.detail:
        runtime.note_value("set" if found else "not set")
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
            runtime.note_value("cleared")

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
            runtime.note_value("set")
        self._flag.acquire(False)
        self._flag.release()
        if condition._sleeping_count._semlock._get_value():  # woken step by step, while the lock is held
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
        # To go to sleep is part of the step that finds the flag not set: the real code does both under the lock.
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
    """Patch the semaphores, conditions and events of `multiprocessing.synchronize`."""
    from multiprocessing import synchronize

    lock: Any = synchronize.SemLock
    lock.__init__ = _registering_init(lock.__init__)
    lock.__setstate__ = _registering_setstate(lock.__setstate__)
    lock._make_methods = _no_methods
    lock.acquire, lock.release, lock.__enter__, lock.__exit__ = _acquire, _release, _enter, _exit
    semaphore: Any = synchronize.Semaphore
    semaphore.get_value = _look(semaphore.get_value)
    if hasattr(lock, "locked"):  # from Python 3.14 on
        lock.locked = _look(lock.locked)
    for kind in ("Semaphore", "BoundedSemaphore", "Lock", "RLock"):
        shown: Any = getattr(synchronize, kind)
        shown.__repr__ = _look(shown.__repr__)
    condition: Any = synchronize.Condition
    condition.__repr__ = _noted(condition.__repr__)
    condition.__init__ = _marking(condition.__init__, _mark_inner)
    condition.__setstate__ = _marking(condition.__setstate__, _mark_inner)
    event: Any = synchronize.Event
    event.__init__ = _marking(event.__init__, _mark_flag)
    event.__setstate__ = _restore_event
    event.is_set, event.clear = _event_is_set(event.is_set), _event_clear(event.clear)
    event.set, event.wait = _event_set(event.set), _event_wait(event.wait)


def _no_methods(self: Any) -> None:
    """Leave `acquire` and `release` to the class: methods of the instance would hide the patched ones."""


def forget_holding() -> None:
    """Reset the owner of every lock that this process holds; their values are put back by the driver."""
    for lock in known:
        if lock._semlock._count():
            lock._semlock._after_fork()  # resets the count of the owner, and nothing else


_views: dict[int, Any] = {}


def set_value(lock: Any, wanted: int) -> None:
    """Bring a semaphore to a value, whichever process has acquired it; a recursive lock allows that its owner alone."""
    view = _view(lock._semlock)
    while view._get_value() < wanted:
        view.release()
    while view._get_value() > wanted:
        view.acquire(False)


def _view(semlock: Any) -> Any:
    """Return the same semaphore as one that any process may release, above its greatest value too."""
    if (view := _views.get(semlock.handle)) is None:
        # Never freed: that would close the original one.
        view = _views[semlock.handle] = type(semlock)._rebuild(semlock.handle, 1, semlock.SEM_VALUE_MAX, None)
    return view
