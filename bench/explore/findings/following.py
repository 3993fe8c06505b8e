"""Following a schedule file: it is carried out again, even where a lane takes a step more or less than it did then.

`resolve` is pure: it runs plans and compares each trace with the file, until it knows the choice for each step.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.explore.findings.schedule import KILLED, Anchor, anchor_of, numbered
from bench.explore.findings.words import step_text
from bench.explore.model import MOST_LANES, Plan, killing

TYPE_CHECKING = False  # as type checkers know it: the exploring process imports this

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from bench.explore.findings.schedule import Names
    from bench.explore.model import Op, Trace

MOST_EXTRA = 32
"""How many extra or missing steps in a row are tolerated before the replay counts as diverged."""


@dataclass(frozen=True)
class Divergence:
    """Where a replay diverged: the step of the file, from 1, what the file has there, and what came instead."""

    step: int
    expected: str
    came: str

    def text(self) -> str:
        """One line for a person."""
        return f"at step {self.step}: expected {self.expected}; {self.came}"


@dataclass(frozen=True)
class Resolved:
    """The choices of a plan, step by step, as far as the file could be followed.

    `notes` say where the steps differ from the file's and could be followed nevertheless; `trace` is of the last run.
    """

    lanes: tuple[int, ...]
    trace: Trace
    notes: tuple[str, ...]
    divergence: Divergence | None


def pack(steps: Sequence[Anchor]) -> dict[str, Any]:
    """Return the anchors of a schedule, each different one once: orders are a command-line argument, which is short."""
    kinds: dict[Anchor, int] = {}
    order = [kinds.setdefault(step._replace(nth=1, saw=""), len(kinds)) for step in steps]
    return {"anchors": [tuple(one)[:5] for one in kinds], "steps": order}


def unpack(packed: Mapping[str, Any]) -> tuple[Anchor, ...]:
    """Return the anchors that `pack` has packed, without what they saw."""
    return numbered([Anchor(*packed["anchors"][index]) for index in packed["steps"]])


def follow(orders: Mapping[str, Any], run: Callable[[Plan], Trace], names: Names) -> dict[str, Any]:
    """Follow a schedule, then repeat it `times` times if it could be followed.

    Args:
        orders: the schedule as `pack` returns it, and `times`.
        run: runs a plan.
        names: what the numbers in traces stand for.

    Returns:
        The `lanes` to run, `counts` by key of the outcomes that came, `notes`, and the `divergence` in words or empty.
    """
    found = resolve(unpack(orders), run, names)
    counts: dict[str, int] = {}
    if found.divergence is None:
        for _ in range(orders["times"]):
            key = run(Plan(found.lanes)).outcome
            counts[key] = counts.get(key, 0) + 1
    divergence = "" if found.divergence is None else found.divergence.text()
    return {"lanes": list(found.lanes), "counts": counts, "notes": list(found.notes), "divergence": divergence}


def resolve(anchors: Sequence[Anchor], run: Callable[[Plan], Trace], names: Names) -> Resolved:
    """Find the plan that takes the steps of a schedule in their order.

    An extra step, which the file does not have for its lane, is inserted; a missing step, which its lane has passed by,
    is left out; a step that differs in the line alone is taken for the file's. Each is noted.

    The search is greedy and needs no backtracking. Its invariant: `lanes` is a prefix that was run and gave, step by
    step, the anchors before `at`, but for what is noted. Each turn runs `lanes` and then the file's remaining choices
    as they stand, so that a schedule that fits costs one run; it is compared from `lanes` on, and at the first step
    that differs one extra step is added to `lanes`, or one anchor passed by (or the run has made a lane known that the
    plan had to end at). There is an end, since `at` only grows, and at most `MOST_EXTRA` steps are added in between.

    Args:
        anchors: the steps.
        run: runs a plan.
        names: what the numbers in traces stand for; asked again after each run, since a run may start new lanes.
    """
    following = _Following(tuple(anchors), run, names)
    while True:
        trace = run(Plan(following.guess()))
        if following.compare(trace):
            return Resolved(tuple(following.lanes), trace, tuple(following.notes), following.divergence)


class _Following:
    """How far a schedule was followed: `lanes` are the choices made, `at` is the index of the next anchor."""

    def __init__(self, anchors: tuple[Anchor, ...], run: Callable[[Plan], Trace], names: Names) -> None:
        self.anchors, self.run, self.names = anchors, run, names
        self.lanes: list[int] = []
        self.at = 0
        self.notes: list[str] = []
        self.divergence: Divergence | None = None
        self.odd = 0
        """Extra and missing steps since the last that came as in the file."""
        self.first_odd = ""

    def guess(self) -> tuple[int, ...]:
        """Return the choices made, followed by those of the file as if no other step came between."""
        choices = list(self.lanes)
        for anchor in self.anchors[self.at :]:
            if (choice := self.choice(anchor)) is None:
                break
            choices.append(choice)
        return tuple(choices)

    def choice(self, anchor: Anchor) -> int | None:
        """Return the choice of a plan that an anchor means; `None` if its lane is not known (yet)."""
        for number in range(MOST_LANES):
            if self.names.lane(number) == anchor.lane:
                return killing(number) if anchor.op == KILLED else number
        return None

    def compare(self, trace: Trace) -> bool:
        """Compare a trace with the file, up to the first difference; return whether the search is over."""
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
        """Note a step that is not the file's; return whether it may stand for it."""
        # A step that the file has later means that its lane passed this one by: to insert it would only shift the rest.
        if any(came.like == other.like for other in self.anchors[self.at + 1 :]):
            self.pass_by(anchor, f"{describe(came)} came instead")
            return False
        if came.like[:-1] == anchor.like[:-1]:
            self.notes.append(f"step {self.at + 1}: {describe(came)}, where the file has {anchor.at}")
            return True
        self.extra(anchor, came, choice)
        return False

    def extra(self, anchor: Anchor, came: Anchor, choice: int) -> None:
        if self.too_odd(anchor, f"{describe(came)} came"):
            return
        self.notes.append(f"before step {self.at + 1}: {describe(came)}, which the file does not have")
        self.lanes.append(choice)

    def pass_by(self, anchor: Anchor, why: str) -> None:
        if self.too_odd(anchor, why):
            return
        self.notes.append(f"step {self.at + 1} left out: {describe(anchor)}: {why}")
        self.at += 1

    def too_odd(self, anchor: Anchor, came: str) -> bool:
        self.odd += 1
        self.first_odd = self.first_odd or came
        if self.odd > MOST_EXTRA:
            self.diverge(anchor, self.first_odd)
        return self.odd > MOST_EXTRA

    def missing(self, anchor: Anchor, choice: int, trace: Trace) -> bool:
        """Note that an anchor's lane did not run: it has ended, or waits, or was not known yet; return as `compare`."""
        if len(trace.steps) > len(self.lanes):  # the plan ended here, and another lane ran on: now its lane is known
            return False
        number = killing(choice) if choice < 0 else choice
        if trace.end not in ("done", "stuck", "diverged"):
            return self.diverge(anchor, f"the schedule ended as {trace.end!r}")
        pending = self.pending()
        if number not in pending:
            self.pass_by(anchor, f"{anchor.lane} has ended")
            return self.divergence is not None
        waits = anchor_of(number, pending[number][0], self.names)
        # It may wait for an extra step of another lane, such as a release that the file does not have.
        for other, (op, able) in pending.items():
            came = anchor_of(other, op, self.names)
            if able and other != number and self.unknown(came):
                self.extra(anchor, came, other)
                return self.divergence is not None
        return self.diverge(anchor, f"{describe(waits)} has to wait")

    def pending(self) -> dict[int, tuple[Op, bool]]:
        """Return each lane's next step after the choices made, and whether it could be taken: all are let go on.

        The first step of each lane after the prefix is the one that it was about to take; a lane that takes none any
        more has its pending one in the trace.
        """
        trace, here = self.run(Plan(tuple(self.lanes))), len(self.lanes)
        enabled = trace.steps[here].enabled if here < len(trace.steps) else 0
        found = {lane: (op, False) for lane, op in trace.pending.items()}
        for step in reversed(trace.steps[here:]):
            if step.lane >= 0:
                found[step.lane] = (step.op, bool(enabled >> step.lane & 1))
        return found

    def unknown(self, came: Anchor) -> bool:
        """Return whether the file does not have a step from here on, on any line."""
        return all(came.like[:-1] != other.like[:-1] for other in self.anchors[self.at :])

    def diverge(self, anchor: Anchor, came: str) -> bool:
        self.divergence = Divergence(self.at + 1, describe(anchor), came)
        return True


def describe(anchor: Anchor) -> str:
    """Return an anchor in words: the lane, what it does, and where."""
    where = f" at {anchor.at}" if anchor.at else ""
    return f"{anchor.lane} {step_text(anchor.op, anchor.object, anchor.part)}{where}"
