"""Steps: what processes do to what they share, one at a time; and which of them can change places.

Pure: the strategies, the shrinking and the stories are built on these alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, NamedTuple

TYPE_CHECKING = False  # as type checkers know it: the exploring process imports this

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_LANES = 32
"""How many lanes there can be: processes, and feeders of queues. A set of them is a number with a bit for each."""

WHOLE = -1
"""The part of an operation that concerns all of an object."""

ANYTHING = -1
"""The object of an operation of which it is not known what it touches: it depends on every other one."""

NOTHING = 0
"""The object of an operation that touches nothing shared, such as a sleep."""

KINDS = (
    "read",
    "write",
    "acquire",
    "try",
    "release",
    "send",
    "receive",
    "poll",
    "close",
    "put",
    "feed",
    "begin",
    "start",
    "join",
    "exit",
    "kill",
    "alive",
    "sleep",
    "look",
    "change",
    "lock",
    "unlock",
    "line",
    "time",
)
"""The kinds of operations, by number in shared memory. `try` is an acquire that does not block; `look` and `change` are
those on files; `lock` and `unlock` are locks on files; `line` is a step of code that no object guards."""

READS = frozenset({"read", "poll", "look", "alive", "join", "begin", "time"})
"""Kinds that change nothing: two of them on one object can change places. A join sees an end, a process's begin that it
was started (the `start` has the same object), a look at the clock the time; none of them changes anything."""

OF_ENDS = frozenset({"receive", "poll", "send", "feed", "lock"})
"""Kinds that depend on who else has a pipe or a file open, as whoever ends no longer has."""

OWN = frozenset({"sleep", "time"})
"""Kinds that concern nobody else."""


class Op(NamedTuple):
    """What a lane does, or is about to do.

    `object` numbers the shared object (`NOTHING`, `ANYTHING`), `part` the part of it or `WHOLE`, `place` the line of
    the user's that does it; the names of both are kept apart. `wants` numbers the object whose counter must be above 0
    before it can be done, or is `NOTHING`: of an `acquire` the lock itself, of an access to a guarded value the guard
    (which it does not change), of a `receive` the channel.
    """

    kind: str
    object: int
    part: int = WHOLE
    place: int = 0
    wants: int = NOTHING


class Step(NamedTuple):
    """One step as it was taken: by whom, what, and who could have run instead (a bit for each lane).

    Where a lane was killed, `lane` is the choice as in a plan, `killing(lane)`, and the operation is a `kill`.
    """

    lane: int
    op: Op
    enabled: int


End = Literal["done", "stuck", "limit", "asleep", "diverged", "died", "uncontrolled"]
"""How a schedule ended.

`done`: every lane is through. `stuck`: some are not, and none can run. `limit`: too many steps. `asleep`: what follows
was seen before. `diverged`: the plan could not be followed. `died`: a process ended without saying so. `uncontrolled`:
a process blocked or ran on where nobody sees it.
"""


@dataclass(frozen=True)
class Trace:
    """What became of one plan.

    `pending` is what each lane that is not through would do next; `outcome` the key of the outcome, or empty where
    there is none (`asleep`, `diverged`); `gone` what each lane that a step killed would have done next.
    """

    steps: tuple[Step, ...]
    end: End
    pending: Mapping[int, Op] = field(default_factory=dict)
    outcome: str = ""
    gone: Mapping[int, Op] = field(default_factory=dict)

    @property
    def lanes(self) -> tuple[int, ...]:
        """The choices that lead here again, step by step: who ran, or was killed."""
        return tuple(step.lane for step in self.steps)


@dataclass(frozen=True)
class Plan:
    """What the next schedule shall be: whom to run at each of the first steps, and how to go on from there.

    Args:
        lanes: whom to run, step by step; `killing(lane)`, which is below 0, kills that lane instead.
        then: `on` lets a lane run for as long as it can, then the lowest that can; `random` picks among those that can
            run, each alike; `pct` runs the one of the highest priority (Burckhardt et al., ASPLOS 2010).
        seed: of `random` and of the priorities of `pct`.
        changes: the steps at which `pct` gives the running lane the lowest priority.
        asleep: after `lanes`, lanes that are not run until a step depends on what they are about to do.
    """

    lanes: tuple[int, ...] = ()
    then: Literal["on", "random", "pct"] = "on"
    seed: int = 0
    changes: tuple[int, ...] = ()
    asleep: frozenset[int] = frozenset()


def killing(lane: int) -> int:
    """Give the choice that kills a lane; of such a choice, the lane that it kills."""
    return -1 - lane


def dependent(one: Op, other: Op) -> bool:
    """Tell whether the order of two operations of different lanes can matter, or one decide when the other can be done.

    A kill depends on whatever the one who is killed would do, which its operation does not say, and so on everything;
    an exit on whatever concerns what is closed by it.

    A release and an acquire of one lock are dependent, although one lock's two are never both possible: a strategy has
    to look at who was enabled. So are an access that wants a guard and whatever changes the guard.
    """
    if one.kind in OWN or other.kind in OWN or NOTHING in (one.object, other.object):
        return False
    if ANYTHING in (one.object, other.object) or "kill" in (one.kind, other.kind):
        return True
    if (one.kind == "exit" and other.kind in OF_ENDS) or (other.kind == "exit" and one.kind in OF_ENDS):
        return True
    if one.object == other.object and (WHOLE in (one.part, other.part) or one.part == other.part):
        return one.kind not in READS or other.kind not in READS
    return _decides(one, other) or _decides(other, one)


def _decides(one: Op, other: Op) -> bool:
    """Tell whether one operation may change the counter that the other wants."""
    return one.object == other.wants and one.kind not in READS


def preemptions(steps: tuple[Step, ...]) -> int:
    """Count the switches away from a lane that could have gone on; a kill is none."""
    ran = [step for step in steps if step.lane >= 0]
    return sum(1 for before, after in pairwise(ran) if before.lane != after.lane and after.enabled >> before.lane & 1)
