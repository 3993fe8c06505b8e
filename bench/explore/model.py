"""Steps of processes on what they share, the schedules that they make up, and which steps depend on each other.

Pure: the strategies, the shrinking and the stories are built on these alone.
"""

from __future__ import annotations

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
"""The object of an operation that may touch anything: it depends on every other one."""

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
    "scan",
    "move",
)
"""The kinds of operations, by number in shared memory. `try` is an acquire that does not block; `look` and `change` are
those on one file, `scan` and `move` those on any number of names: to list a folder is a `scan`; what makes or removes a
folder or a link, or gives a file another name, is a `move`; `lock` and `unlock` are locks on files; `line` is a step of
code that no object guards."""

READS = frozenset({"read", "poll", "look", "scan", "alive", "join", "begin", "time"})
"""Kinds that change nothing: two of them on one object are independent. A join sees an end, the begin of a process its
start (the `start` has the same object), a reading of the clock the time."""

OF_ENDS = frozenset({"receive", "poll", "send", "feed", "lock"})
"""Kinds that depend on which other lanes have a pipe or a file open: a lane that ends no longer has."""

OF_FILES = frozenset({"look", "change", "scan", "move"})
"""Kinds that concern the names and contents of files."""

OF_NAMES = frozenset({"scan", "move"})
"""Those of them that concern other names than that of their object: all below a folder, or all that a file has."""

OWN = frozenset({"sleep", "time"})
"""Kinds that concern no other lane."""


class Op(NamedTuple):
    """What a lane does, or is about to do.

    `object` is the number of the shared object (`NOTHING`, `ANYTHING`), `part` is the part of it or `WHOLE`, `place` is
    the number of the user's line that does it. `wants` is the number of the object whose counter must be above 0 before
    it can be done, or `NOTHING`: of an `acquire` the lock itself, of an access to a guarded value the guard (which it
    does not change), of a `receive` the channel.
    """

    kind: str
    object: int
    part: int = WHOLE
    place: int = 0
    wants: int = NOTHING


class Step(NamedTuple):
    """A step that was taken: its lane, the operation, and the lanes that could have run (a bit for each).

    Where a lane was killed, `lane` is the choice as in a plan, `killing(lane)`, and the operation is a `kill`.
    """

    lane: int
    op: Op
    enabled: int


End = Literal["done", "stuck", "limit", "asleep", "diverged", "died", "uncontrolled"]
"""How a schedule ended.

`done`: every lane is through. `stuck`: some are not, and none can run. `limit`: too many steps. `asleep`: all that can
follow was run before. `diverged`: the plan could not be followed. `died`: a process ended other than by a step.
`uncontrolled`: a process blocked or ran on where that is not seen.
"""


# Named tuples, not dataclasses: every controlled process imports this module, and to import `dataclasses` and make two
# classes with it takes 12 ms there.

_NO_OPS: Mapping[int, Op] = {}


class Trace(NamedTuple):
    """The schedule that a plan has led to.

    `pending` has the next operation of each lane that is not through, `gone` that of each lane that a step killed;
    `outcome` is the key of the outcome, or empty where there is none (`asleep`, `diverged`).
    """

    steps: tuple[Step, ...]
    end: End
    pending: Mapping[int, Op] = _NO_OPS
    outcome: str = ""
    gone: Mapping[int, Op] = _NO_OPS

    @property
    def lanes(self) -> tuple[int, ...]:
        """The choices that lead to the same schedule again, step by step: the lanes that ran or were killed."""
        return tuple(step.lane for step in self.steps)


class Plan(NamedTuple):
    """The next schedule: the choices of its first steps, and the policy that goes on from there.

    Args:
        lanes: the lane to run at each step; `killing(lane)`, which is below 0, kills that lane instead.
        then: `on` lets a lane run for as long as it can, then the lowest that can; `random` picks one that can, each
            with the same probability; `pct` runs the one of the highest priority (Burckhardt et al., ASPLOS 2010).
        seed: the seed of `random`, and of the priorities of `pct`.
        changes: the steps at which `pct` gives the running lane the lowest priority.
        asleep: the sleep set after `lanes`: lanes that are not run until a step depends on their next one.
    """

    lanes: tuple[int, ...] = ()
    then: Literal["on", "random", "pct"] = "on"
    seed: int = 0
    changes: tuple[int, ...] = ()
    asleep: frozenset[int] = frozenset()


def killing(lane: int) -> int:
    """Return the choice that kills a lane; of such a choice, the lane that it kills."""
    return -1 - lane


def dependent(one: Op, other: Op) -> bool:
    """Return whether the order of two operations of different lanes can matter, or one can enable or disable the other.

    A kill depends on what the killed lane would do, which its operation does not say, and so on everything; an exit on
    each operation of `OF_ENDS`, since it closes what the lane has open; one of `OF_NAMES` on each on files, as a path
    leads through folders and links, and an open file goes by a name that it may lose.

    A release and an acquire of one lock are dependent, although the two are never both possible: a strategy has to look
    at the lanes that were enabled. So are an access that wants a guard and each operation that changes the guard.
    """
    if one.kind in OWN or other.kind in OWN or NOTHING in (one.object, other.object):
        return False
    if ANYTHING in (one.object, other.object) or "kill" in (one.kind, other.kind):
        return True
    if (one.kind == "exit" and other.kind in OF_ENDS) or (other.kind == "exit" and one.kind in OF_ENDS):
        return True
    if (one.kind in OF_NAMES and other.kind in OF_FILES) or (other.kind in OF_NAMES and one.kind in OF_FILES):
        return one.kind not in READS or other.kind not in READS
    if one.object == other.object and (WHOLE in (one.part, other.part) or one.part == other.part):
        return one.kind not in READS or other.kind not in READS
    return _decides(one, other) or _decides(other, one)


def _decides(one: Op, other: Op) -> bool:
    """Return whether one operation may change the counter that the other wants."""
    return one.object == other.wants and one.kind not in READS


def preemptions(steps: tuple[Step, ...]) -> int:
    """Count the switches away from a lane that could have gone on; a kill is none."""
    ran = [step for step in steps if step.lane >= 0]
    return sum(1 for before, after in pairwise(ran) if before.lane != after.lane and after.enabled >> before.lane & 1)
