"""The runtime in each process of an exploration: one lane runs at a time, and at each point it decides who is next.

For the authors of points (`bench.explore.points`): an instrumented operation looks whether this process is controlled
right now, announces what it is about to do, and then does it for real:

    runtime = baton.active
    if runtime is None:                       # outside an exploration, or inside `raw()`
        return original(self)
    number = runtime.object(key, label)       # cache it on the object, where the object lives as long as its key
    runtime.point("send", number)             # others may run here; when it returns, this lane has the baton
    with runtime.raw():
        return original(self)

`baton.active` is the runtime, or `None`. Everything below is to be called by the lane that has the baton only.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it: each process of an exploration imports this

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Protocol

    class Api(Protocol):
        """What points use of the runtime."""

        lane: int
        """The number of this lane."""

        detail: bool
        """Whether each step shall leave the text of the value it saw."""

        def point(self, kind: str, number: int, part: int = -1, wants: int = 0) -> bool:
            """Announce an operation, let others run, and return when this lane may do it.

            Args:
                kind: one of `steps.KINDS`.
                number: of the object, from `object()` or `made()`; `steps.NOTHING`, `steps.ANYTHING`.
                part: the part of it, at least 0 and below 2**31 - 1, or `steps.WHOLE`.
                wants: the number of an object whose counter must be above zero, or which this lane must own, before
                    the operation can be done; 0 if it can always be done.

            Returns:
                Whether it was granted; `False` when the time of `timeout()` passed instead.

            Raises:
                Abandoned: the schedule is given up; a `BaseException` that the user's code lets through.
            """

        def raw(self) -> AbstractContextManager[None]:
            """Do instrumented operations without points for the duration of the block: the real operation itself."""

        def object(self, key: str, label: str, counter: int = 0) -> int:
            """Give the number of a shared object, which is found, or else registered, by its key.

            Args:
                key: what all processes know it by: the name of a semaphore, inode and offset, a path.
                label: for people. If the object was labelled before, as an attribute of the state, that one stays.
                counter: its counter at the beginning of each schedule; also now, if it is registered now.
            """

        def made(self, key: str, label: str, counter: int = 0) -> int:
            """Give the number of an object that this lane has just made, known to all by `key` from now on.

            The same number in each schedule in which this lane makes its n-th object, whatever its key then is, so
            that schedules can be compared: inodes, descriptors and addresses differ. Its counter is set now.
            """

        def counter(self, number: int) -> int:
            """Give the counter of an object."""

        def set_counter(self, number: int, value: int) -> None:
            """Set it; lanes that want the object can run while it is above zero."""

        def add(self, number: int, by: int) -> int:
            """Add to it, and give what it is then."""

        def owner(self, number: int) -> int:
            """Give the lane that may go on although the counter is zero (a recursive lock), or -1."""

        def set_owner(self, number: int, lane: int) -> None:
            """Set it; -1 for nobody."""

        def held_by(self, number: int, lane: int) -> None:
            """Note who holds an object, or -1: only for the story of a deadlock."""

        def probe(self, number: int, ask: Callable[[], bool]) -> None:
            """Let the next `point(..., wants=number)` of this lane be enabled by asking the real thing.

            `ask` is called in this process, raw, now and whenever `number` is dirty while this lane waits; `True` when
            the operation would not block. The counter of `number` is not looked at. Forgotten after that point.
            """

        def dirty(self, number: int | None) -> None:
            """Say that something happened to an object that others may probe; `None`: to any (a process ended)."""

        def timeout(self, at: float) -> None:
            """Let the next `point()` of this lane also end when the virtual clock is at `at`, as `now()` tells it."""

        def now(self) -> float:
            """Give the virtual time: seconds since the beginning of the schedule, plus a fixed epoch."""

        def sleep(self, seconds: float) -> None:
            """Take a step `sleep`, which can be taken when the virtual time has passed."""

        def feeder(self, key: str, feed: Callable[[], None], number: int, wants: int) -> int:
            """Have a lane for the feeder of a queue, hosted by this process; give its number.

            Whenever the counter of `wants` is above zero it can take a step `feed` on `number`: `feed` is called in
            this process, raw, with `runtime.lane` being the feeder's. Once for each `key` in a process; a second call
            changes nothing. It is no reason for a schedule to go on that a feeder waits for more to feed.
            """

        def new_lane(self, name: str) -> int:
            """Have a lane for a process that is about to be started, with `begin` as what it does next.

            The child calls `baton.enter(lane)` before anything else, which waits for the baton.
            """

        def leave(self) -> None:
            """Be through: hand the baton on for good. What this lane does from now on is not controlled."""

        def ended(self, lane: int) -> bool:
            """Tell whether a lane has left, or its process died."""

        def saw(self, text: str) -> None:
            """Leave the value that the step just taken saw; to be called if `detail` only."""

        def uncontrolled(self, what: str) -> None:
            """Name something that cannot be controlled: the verdict will be `unknown`."""


class Abandoned(BaseException):
    """The schedule is given up here; passes through the user's code, and ends it."""


active: Api | None = None
"""The runtime of this process while it is controlled; `None` in raw blocks and outside an exploration."""
