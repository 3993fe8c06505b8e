"""Dynamic partial-order reduction: of all interleavings that differ in the order of independent steps alone, one.

Flanagan and Godefroid, Dynamic Partial-Order Reduction for Model Checking Software, POPL 2005, with the source sets of
Abdulla, Aronis, Jonsson and Sagonas, Optimal Dynamic Partial Order Reduction, POPL 2014, and the sleep sets of
Godefroid, Partial-Order Methods for the Verification of Concurrent Systems, 1996.

Two interleavings are equivalent if each comes from the other by exchanging neighbouring independent steps. All of a
class end alike, so one of each is enough. The search goes depth first and holds one path of states (`_nodes`). Each has
the lanes that are to be run from it in the end (`backtrack`): at first the lane of one schedule, then also those that
later schedules show to matter:

- A *race* is a pair of dependent steps of two lanes with no other step between that orders them (`_order`). To reverse
  it, a lane is added to the state before the first of the two (`_back`).
- *Source sets* say which: any lane that can be first in a sequence in which the second step comes without the first.
  If one such lane is in `backtrack` already, the reversal is covered. Once the races of all schedules are covered, each
  `backtrack` is a source set, and that suffices to meet every class (Abdulla et al., sections 4 and 5).
- *Sleep sets* keep a class from being met twice: after a lane was run from a state, it sleeps in what follows from the
  other lanes of that state, until a step that depends on its pending one. Before that, running it would only exchange
  independent steps.

What blocks needs care, for the theory has lanes that never disable each other. A race with a step that made it possible
to go on (a release, for a lane that waits for the lock) cannot be reversed; the search looks through such a step for
the one that it undoes (the acquire). Where no lane was seen waiting it is not known whether the release mattered; then
both are taken for races, which costs schedules and misses nothing.
"""

from __future__ import annotations

from bench.explore.model import OWN, Plan, dependent
from bench.explore.search.loops import loops_from

TYPE_CHECKING = False  # as type checkers know it: the exploring process imports this

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.explore.model import Op, Trace


class _Node:
    """A state on the way of the current schedule, and the step taken from it.

    Sets of lanes are bits; operations are numbers in `_Operations`; `clock[lane]` is one more than the index of the
    last step of that lane which happened before this one, or is it.
    """

    __slots__ = ("asleep", "backtrack", "clock", "done", "enabled", "lane", "op", "pending")

    def __init__(self, enabled: int, asleep: int, pending: dict[int, int]) -> None:
        self.enabled = enabled
        self.asleep = asleep  # the sleep set: lanes whose next step was explored from an earlier state
        self.pending = pending  # the next operation of each lane
        self.backtrack = 0  # lanes to run from here, in the end
        self.done = 0  # of these, the lanes that were run
        self.lane = 0
        self.op = 0
        self.clock: list[int] = []


class _Operations:
    """Numbers operations, and holds which of them depend on each other."""

    def __init__(self, depends: Callable[[Op, Op], bool]) -> None:
        self.list: list[Op] = []
        self.dependent: list[int] = []  # for each operation the set of those that depend on it, as bits
        self._depends = depends
        self._numbers: dict[Op, int] = {}

    def number(self, op: Op) -> int:
        """Return the operation's number."""
        number = self._numbers.get(op)
        if number is None:
            number = self._numbers[op] = len(self.list)
            self.list.append(op)
            self.dependent.append(0)
            for other, one in enumerate(self.list):
                if self._depends(op, one):
                    self.dependent[number] |= 1 << other
                    self.dependent[other] |= 1 << number
        return number


class PartialOrder:
    """Plans one interleaving of each equivalence class, and more where a class cannot be told.

    Args:
        depends: returns whether two operations depend on each other.
    """

    name = "dpor"
    reduces = True

    def __init__(self, *, depends: Callable[[Op, Op], bool] = dependent) -> None:
        self.schedules = 0
        self.redundant = 0  # of these, those that ended since all that could follow was run before
        self._operations = _Operations(depends)
        self._nodes: list[_Node] = []
        self._planned: tuple[int, ...] = ()
        self._asleep = 0  # the sleep set after what was planned
        self._started = False
        self._waiting = False  # for the trace of the last plan
        self._trouble = 0
        self._loops = 0

    def next(self) -> Plan | None:
        """Return the plan that takes another choice at the last state that has one left."""
        self._waiting = True
        if not self._started:
            self._started = True
            return Plan()
        while self._nodes:
            node = self._nodes[-1]
            left = node.backtrack & ~node.done & ~node.asleep
            if left:
                return self._choose(node, (left & -left).bit_length() - 1)
            self._nodes.pop()
        self._waiting = False
        return None

    def _choose(self, node: _Node, lane: int) -> Plan:
        """Return the plan that runs `lane` from the last state, where the lanes that ran from it before now sleep."""
        op = node.pending[lane]
        seen = node.asleep | node.done
        node.done |= 1 << lane
        node.lane, node.op = lane, op
        self._asleep = self._still(seen, node.pending, op)
        self._planned = tuple([one.lane for one in self._nodes])
        return Plan(lanes=self._planned, asleep=frozenset(_lanes(self._asleep)))

    def _still(self, asleep: int, pending: dict[int, int], op: int) -> int:
        """Return the lanes that sleep on after an operation: those whose pending one does not depend on it."""
        dependent_ones = self._operations.dependent[op]
        for lane in _lanes(asleep):
            if dependent_ones >> pending[lane] & 1:
                asleep ^= 1 << lane
        return asleep

    def learn(self, trace: Trace) -> None:
        """Add the schedule's new steps, and for each race that they end a lane to the state before it.

        Races are reversed here alone, as soon as their second step is known: in `_order`, for each new step, and at the
        end for the pending operation of each lane that is not through. The latter are steps that were never taken, such
        as an acquire in a deadlock: the order in which the lock was taken races with them all the same.
        """
        self._waiting = False
        planned = len(self._planned)
        if trace.end == "diverged" or trace.lanes[:planned] != self._planned:
            self._trouble += 1
            return
        self.schedules += 1
        self._trouble += trace.end in {"died", "uncontrolled"}
        until = loops_from(trace)
        self._loops += until < len(trace.steps)
        first = len(self._nodes) - (planned > 0)
        upcoming = self._upcoming(trace, first)
        awake = self._add(trace, first, until, upcoming)
        index = len(self._nodes)
        self.redundant += trace.end == "asleep" or (index < until and not awake)
        for lane, op in upcoming[index - first].items():
            self._order(lane, op, index)
        if awake:  # a sleeping lane was run, where others were awake: one of those is to be run from here instead
            node = _Node(trace.steps[index].enabled, self._asleep, upcoming[index - first])
            node.backtrack = awake & -awake
            self._nodes.append(node)

    def _upcoming(self, trace: Trace, first: int) -> list[dict[int, int]]:
        """Return the next operation of each lane before each step from `first` on, and at the end.

        A lane that was killed is like one that waits for ever from then on: its next operation races with the kill.
        """
        number = self._operations.number
        pending = {lane: number(op) for lane, op in (*trace.gone.items(), *trace.pending.items())}
        found = [pending]
        for step in reversed(trace.steps[first:]):
            pending = {**pending, step.lane: number(step.op)}
            found.append(pending)
        return found[::-1]

    def _add(self, trace: Trace, first: int, until: int, upcoming: Sequence[dict[int, int]]) -> int:
        """Add the steps up to `until`, or to where a sleeping lane is run; return the lanes that were awake there."""
        nodes = self._nodes
        for index in range(first, until):
            lane, op, enabled = trace.steps[index]
            number, bit = self._operations.number(op), 1 << lane
            if index < len(nodes):
                node = nodes.pop()  # the state from which another choice was planned
            elif self._asleep & bit:
                return enabled & ~self._asleep
            else:
                node = _Node(enabled, self._asleep, upcoming[index - first])
                node.backtrack = node.done = bit
                self._asleep = self._still(self._asleep, node.pending, number)
            node.lane, node.op, node.clock = lane, number, self._order(lane, number, index)
            node.clock[lane] = index + 1
            nodes.append(node)
        return 0

    def _order(self, lane: int, op: int, index: int) -> list[int]:
        """Return the clock of an operation after the first `index` steps; reverse its races with them."""
        nodes, operation = self._nodes, self._operations.list[op]
        dependent_ones = self._operations.dependent[op]
        own = self._last(lane, index)
        before = list(nodes[own].clock) if own >= 0 else [0] * (lane + 1)
        # The steps are gone through from the last to the first, with two clocks. `before` becomes that of the
        # operation: steps of its lane, steps that it depends on, and all that happens before those. `ordered` has less:
        # only what is behind a step that, once its own race is reversed, shows the earlier race again. A step that
        # cannot be reversed, such as a release, hides nothing: the acquire behind it is in `before`, and still may be a
        # race.
        ordered = list(before)
        enablers = self._enablers(lane, own, index)
        enabler = enablers[0] if enablers and operation.kind in OWN else -1
        for other in range(index - 1, -1, -1):
            node = nodes[other]
            behind = _at(before, node.lane) > other
            if behind and _at(ordered, node.lane) > other:
                continue
            depends = dependent_ones >> node.op & 1
            if depends and _at(ordered, node.lane) <= other:
                if own < other:
                    race, hides = self._race_of_pending(other, lane, enablers)
                else:
                    race, hides = self._race(other, lane, operation)
                if race:
                    self._back(other, lane, index, before)
                if hides:
                    _join(ordered, node.clock)
            if not behind and (depends or other == enabler):
                _join(before, node.clock)
        return before

    def _race_of_pending(self, index: int, lane: int, enablers: Sequence[int]) -> tuple[bool, bool]:
        """Return whether a lane whose operation was pending already can do it before the step at `index` instead.

        It can if it was enabled there, or is enabled by a later step that does not happen after the one at `index`. The
        second answer is whether that hides earlier races: once this one is reversed, its schedule shows them.
        """
        node = self._nodes[index]
        if node.enabled >> lane & 1:
            return True, True
        return any(one > index and _at(self._nodes[one].clock, node.lane) <= index for one in enablers), False

    def _race(self, index: int, lane: int, operation: Op) -> tuple[bool, bool]:
        """Return the same where it is not known whether the operation was possible, since its lane was elsewhere."""
        node, wants = self._nodes[index], operation.wants
        step = self._operations.list[node.op]
        if not wants:
            return True, True
        surely, maybe = self._holds(node.lane, wants, index)
        if step.object == wants:
            if step.kind == "release":
                # It cannot be reversed if a lane waited for it, unless the operation's own lane held the lock. If none
                # waited, the operation may have been possible without it (a semaphore's counter may be above 0). Either
                # way it hides no acquire behind it.
                return not self._somebody_waits(node, wants) or self._holds(lane, wants, index)[1], False
            # Of the steps on a lock a release alone enables who waits. After a `try` that failed they wait as they did
            # before it, and the operation may still come first: its lane may be the one that holds the lock. Of a
            # lock that the lane of the step held already, only the first acquire is the race.
            return True, step.kind == "acquire" and not maybe
        if surely and step.wants == wants:  # an access under the guard, which no other lane can have then
            return False, False
        # While the lane holds the lock, it is its acquire that has to be reversed: so that must not be hidden.
        return True, not maybe

    def _holds(self, lane: int, number: int, index: int) -> tuple[bool, bool]:
        """Return whether the lane surely held the lock before the step at `index`, and whether it may have.

        A trace does not say whether a `try` took the lock: to be sure it is left out, to miss nothing it is counted.
        """
        surely = maybe = 0
        for node in self._nodes[:index]:
            step = self._operations.list[node.op]
            if node.lane == lane and step.object == number:
                taken, given = step.kind == "acquire", step.kind == "release"
                surely += taken - given
                maybe = max(maybe + (taken or step.kind == "try") - given, 0)
        return surely > 0, maybe > 0

    def _somebody_waits(self, node: _Node, number: int) -> bool:
        """Return whether a lane waits for the lock at this state."""
        operations = self._operations.list
        return any(
            operations[op].kind == "acquire" and operations[op].object == number
            for lane, op in node.pending.items()
            if not node.enabled >> lane & 1
        )

    def _back(self, index: int, lane: int, until: int, clock: list[int]) -> None:
        """Reverse the race of the step at `index` with the operation of `lane`: add a lane to `backtrack`, if need be.

        The sequence to be run is that of the steps behind `index` that do not happen after it, up to `until`, and then
        `lane`, whose operation has `clock`. Its initials are the lanes whose first step in it nothing else in it
        happens before: any of them can run first, and the rest still follows (Abdulla et al., section 4).
        """
        node = self._nodes[index]
        first: dict[int, int] = {}
        initials = 0
        for other in range(index + 1, until):
            one = self._nodes[other]
            if _at(one.clock, node.lane) > index or one.lane in first:
                continue
            if all(_at(one.clock, earlier) <= at for earlier, at in first.items()):
                initials |= 1 << one.lane
            first[one.lane] = other
        if lane not in first and all(_at(clock, earlier) <= at for earlier, at in first.items()):
            initials |= 1 << lane
        if initials & (node.backtrack | node.asleep):  # it is, or was, run from here: what it leads to is covered
            return
        possible = initials & node.enabled
        if possible >> lane & 1:
            node.backtrack |= 1 << lane
        elif possible:
            node.backtrack |= possible & -possible
        else:  # none of them can run here, since a lock is held: each lane that can is run (Flanagan and Godefroid)
            node.backtrack |= node.enabled

    def _last(self, lane: int, index: int) -> int:
        """Return the index of the lane's last step before `index`, or -1."""
        for other in range(index - 1, -1, -1):
            if self._nodes[other].lane == lane:
                return other
        return -1

    def _enablers(self, lane: int, own: int, index: int) -> list[int]:
        """Return the steps since the lane's own last one that enabled it: before them it could not go on."""
        masks = [node.enabled >> lane & 1 for node in self._nodes[own + 1 : index]]
        masks.append(1)
        return [own + 1 + at for at in range(len(masks) - 1) if masks[at] < masks[at + 1]]

    @property
    def complete(self) -> bool:
        """Whether there is an interleaving of every class among those run."""
        if not self._started or self._waiting or self._trouble or self._loops:
            return False
        return not any(node.backtrack & ~node.done & ~node.asleep for node in self._nodes)

    def claim(self) -> str:
        """State in how many schedules everything was covered, or how many were run."""
        number = f"{self.schedules:,} schedule{'s' * (self.schedules != 1)}"
        if self.complete:
            return f"all interleavings, up to the order of independent steps, in {number}"
        found = f"{number} that differ{'s' * (self.schedules == 1)} in the order of dependent steps, not all"
        if self._loops:
            found += f"; {self._loops:,} of them reached the limit of steps"
        if self._trouble:
            found += f"; {self._trouble:,} could not be followed to their ends"
        return found


def _lanes(bits: int) -> list[int]:
    """Return the lanes of a set."""
    found = []
    while bits:
        bit = bits & -bits
        found.append(bit.bit_length() - 1)
        bits ^= bit
    return found


def _at(clock: list[int], lane: int) -> int:
    """Return a lane's entry of a clock; 0 for lanes that were started later."""
    return clock[lane] if lane < len(clock) else 0


def _join(clock: list[int], other: list[int]) -> None:
    """Raise each entry of `clock` to that of `other`."""
    if len(clock) < len(other):
        clock += [0] * (len(other) - len(clock))
    for lane, at in enumerate(other):
        clock[lane] = max(clock[lane], at)
