"""Following a schedule file: it is carried out again, also where a lane takes a step more or less than it did then.

`resolve` is pure: it runs plans and compares what came with the file, until it knows whom to run at each step.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.explore.findings.schedule import KILLED, Anchor, anchor_of, numbered
from bench.explore.findings.words import deed
from bench.explore.model import Plan, killing

TYPE_CHECKING = False  # as type checkers know it: the exploring process imports this

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from bench.explore.findings.schedule import Names
    from bench.explore.model import Op, Trace

MOST_EXTRA = 32
"""How many steps in a row that the file does not have, or steps of it that do not come, are put up with."""

MOST_LANES = 32


@dataclass(frozen=True)
class Divergence:
    """Where a schedule could not be followed: the step of the file, from 1, what it has there, and what came."""

    step: int
    expected: str
    came: str

    def text(self) -> str:
        """One line for a person."""
        return f"at step {self.step}: expected {self.expected}; {self.came}"


@dataclass(frozen=True)
class Resolved:
    """Whom to run at each step, as far as the file could be followed.

    `notes` say where what came differs from the file and could be followed nevertheless; `trace` is the last that ran.
    """

    lanes: tuple[int, ...]
    trace: Trace
    notes: tuple[str, ...]
    divergence: Divergence | None


def packed(steps: Sequence[Anchor]) -> dict[str, Any]:
    """Give the anchors of a schedule in few words, since orders are an argument: each different one once."""
    kinds: dict[Anchor, int] = {}
    order = [kinds.setdefault(step._replace(nth=1, saw=""), len(kinds)) for step in steps]
    return {"anchors": [tuple(one)[:5] for one in kinds], "steps": order}


def unpacked(wanted: Mapping[str, Any]) -> tuple[Anchor, ...]:
    """Give the anchors again."""
    return numbered([Anchor(*wanted["anchors"][index]) for index in wanted["steps"]])


def follow(orders: Mapping[str, Any], run: Callable[[Plan], Trace], names: Names) -> dict[str, Any]:
    """Follow the schedule that a group is given in its orders, then repeat it; give what there is to tell of it.

    Args:
        orders: the schedule as `packed` gives it, and `times`.
        run: runs a plan.
        names: what the numbers in traces stand for.

    Returns:
        The `lanes` to run, `counts` by key of the outcomes that came, `notes`, and the `divergence` in words or empty.
    """
    found = resolve(unpacked(orders), run, names)
    counts: dict[str, int] = {}
    if found.divergence is None:
        for _ in range(orders["times"]):
            key = run(Plan(found.lanes)).outcome
            counts[key] = counts.get(key, 0) + 1
    said = "" if found.divergence is None else found.divergence.text()
    return {"lanes": list(found.lanes), "counts": counts, "notes": list(found.notes), "divergence": said}


def resolve(anchors: Sequence[Anchor], run: Callable[[Plan], Trace], names: Names) -> Resolved:
    """Find the plan that takes the steps of a schedule in their order.

    Where a lane is about to do something that the file does not have for it, it is let do it; where it has passed a
    step of the file by, that step is left out; where only the line differs, it is taken. Each is noted.

    Args:
        anchors: the steps.
        run: runs a plan.
        names: what the numbers in traces stand for; asked again after each run, since lanes may be new.
    """
    following = _Following(tuple(anchors), run, names)
    while True:
        trace = run(Plan(following.guess()))
        if following.compare(trace):
            return Resolved(tuple(following.lanes), trace, tuple(following.notes), following.divergence)


class _Following:
    """How far a schedule was followed: `lanes` are the choices made, `at` is the anchor that comes next."""

    def __init__(self, anchors: tuple[Anchor, ...], run: Callable[[Plan], Trace], names: Names) -> None:
        self.anchors, self.run, self.names = anchors, run, names
        self.lanes: list[int] = []
        self.at = 0
        self.notes: list[str] = []
        self.divergence: Divergence | None = None
        self.odd = 0
        """Steps more and steps less since the last that came as it should."""
        self.first_odd = ""

    def guess(self) -> tuple[int, ...]:
        """Give the choices made, and after them those of the file as if nothing else came between."""
        choices = list(self.lanes)
        for anchor in self.anchors[self.at :]:
            if (choice := self.choice(anchor)) is None:
                break
            choices.append(choice)
        return tuple(choices)

    def choice(self, anchor: Anchor) -> int | None:
        """Give the choice of a plan that an anchor means; `None` if its lane is not known (yet)."""
        for number in range(MOST_LANES):
            if self.names.lane(number) == anchor.lane:
                return killing(number) if anchor.op == KILLED else number
        return None

    def compare(self, trace: Trace) -> bool:
        """Go along a trace for as long as it is what the file has; tell whether that is the end of it."""
        while self.at < len(self.anchors) and self.divergence is None:
            anchor, choice = self.anchors[self.at], self.choice(self.anchors[self.at])
            here = len(self.lanes)
            step = trace.steps[here] if here < len(trace.steps) else None
            if choice is None:
                return self.diverge(anchor, f"there is no {anchor.lane}")
            if step is None or step.lane != choice:
                return self.missing(anchor, choice, trace)
            came = anchor_of(step.lane, step.op, self.names)
            if came.like != anchor.like and not self.odd_step(anchor, came, choice):
                return self.divergence is not None
            self.take(choice)
        return True

    def take(self, choice: int) -> None:
        self.lanes.append(choice)
        self.at += 1
        self.odd, self.first_odd = 0, ""

    def odd_step(self, anchor: Anchor, came: Anchor, choice: int) -> bool:
        """Deal with a step that is another than the file's; tell whether it may stand for it."""
        if any(came.like == other.like for other in self.anchors[self.at + 1 :]):
            self.pass_by(anchor, f"{said(came)} came instead")
            return False
        if came.like[:-1] == anchor.like[:-1]:
            self.notes.append(f"step {self.at + 1}: {said(came)}, where the file has {anchor.at}")
            return True
        self.extra(anchor, came, choice)
        return False

    def extra(self, anchor: Anchor, came: Anchor, choice: int) -> None:
        if self.too_odd(anchor, f"{said(came)} came"):
            return
        self.notes.append(f"before step {self.at + 1}: {said(came)}, which the file does not have")
        self.lanes.append(choice)

    def pass_by(self, anchor: Anchor, why: str) -> None:
        if self.too_odd(anchor, why):
            return
        self.notes.append(f"step {self.at + 1} left out: {said(anchor)}: {why}")
        self.at += 1

    def too_odd(self, anchor: Anchor, came: str) -> bool:
        self.odd += 1
        self.first_odd = self.first_odd or came
        if self.odd > MOST_EXTRA:
            self.diverge(anchor, self.first_odd)
        return self.odd > MOST_EXTRA

    def missing(self, anchor: Anchor, choice: int, trace: Trace) -> bool:
        """Deal with a lane that did not run: it is through, or waits; or it was not known when the plan was made."""
        if len(trace.steps) > len(self.lanes):  # another ran, after a plan that ended here
            return False
        number = killing(choice) if choice < 0 else choice
        if trace.end not in ("done", "stuck", "diverged"):
            return self.diverge(anchor, f"the schedule ended as {trace.end!r}")
        pending = self.pending()
        if number not in pending:
            self.pass_by(anchor, f"{anchor.lane} has ended")
            return self.divergence is not None
        waits = anchor_of(number, pending[number][0], self.names)
        for other, (op, able) in pending.items():
            came = anchor_of(other, op, self.names)
            if able and other != number and self.unknown(came):
                self.extra(anchor, came, other)
                return self.divergence is not None
        return self.diverge(anchor, f"{said(waits)} has to wait")

    def pending(self) -> dict[int, tuple[Op, bool]]:
        """Give what each lane would do after the choices made, and whether it could: seen by letting them all go on."""
        trace, here = self.run(Plan(tuple(self.lanes))), len(self.lanes)
        enabled = trace.steps[here].enabled if here < len(trace.steps) else 0
        found = {lane: (op, False) for lane, op in trace.pending.items()}
        for step in reversed(trace.steps[here:]):
            if step.lane >= 0:
                found[step.lane] = (step.op, bool(enabled >> step.lane & 1))
        return found

    def unknown(self, came: Anchor) -> bool:
        """Tell whether a step is one that the file does not have from here on, on whatever line."""
        return all(came.like[:-1] != other.like[:-1] for other in self.anchors[self.at :])

    def diverge(self, anchor: Anchor, came: str) -> bool:
        self.divergence = Divergence(self.at + 1, said(anchor), came)
        return True


def said(anchor: Anchor) -> str:
    """Say an anchor: who does what, and where."""
    where = f" at {anchor.at}" if anchor.at else ""
    return f"{anchor.lane} {deed(anchor.op, anchor.object, anchor.part)}{where}"
