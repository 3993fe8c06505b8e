"""The steps of a schedule as a story tells them: which made the difference, and which are shown of a long one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench.explore.findings.schedule import KILLED
from bench.explore.findings.words import step_text

MOST = 60
"""Steps that a person follows; of longer schedules most of the middle is left out."""

_ENDING = 40
"""Steps that are shown of the end of a longer schedule, where things go wrong."""

_BESIDE = 2
"""Steps that are shown before and after one that matters, in the middle of a longer schedule."""

MATTERS = "this makes the difference"
"""The note at a switch."""


@dataclass(frozen=True)
class StoryStep:
    """A step of a schedule, as the witness of an outcome holds it."""

    lane: int
    kind: str
    label: str
    part: int
    place: str
    saw: str

    @property
    def text(self) -> str:
        """The step in words, without its lane: "reads balance: 200"."""
        return step_text(self.kind, self.label, self.part, self.saw)


class Difference(NamedTuple):
    """The note at a step that made the difference, and the steps before, counted from 0, that the note is about."""

    note: str
    after: tuple[int, ...] = ()


def difference(steps: Sequence[StoryStep], preempted: Sequence[int]) -> dict[int, Difference]:
    """Return the steps, counted from 0, that made the difference, each with a note.

    Those are the writes over a value that has changed since their lane read it: lost updates. Where there is none, it
    is the last kill, or else the last preemption.
    """
    read: dict[tuple[int, str, int], int] = {}
    written: dict[tuple[str, int], int] = {}
    lost: dict[int, Difference] = {}
    for number, step in enumerate(steps):
        what = (step.label, step.part)
        if step.kind == "read":
            read[(step.lane, *what)] = number
        elif step.kind == "write":
            other = written.get(what, -1)
            if (seen := read.get((step.lane, *what))) is not None and other > seen and steps[other].lane != step.lane:
                note = f"overwrites what step {other + 1} wrote: it had read before, in step {seen + 1}"
                lost[number] = Difference(note, (other, seen))
            written[what] = number
            read.pop((step.lane, *what), None)
    matters = [number for number, step in enumerate(steps) if step.kind == KILLED] or preempted
    return lost or ({matters[-1]: Difference(MATTERS)} if matters else {})


def holders(steps: Sequence[StoryStep]) -> dict[str, list[int]]:
    """Return the lanes that hold each object at the end: they acquired it and have not released it.

    An object that some lane releases without having acquired it is used as a signal; no lane holds it.
    """
    held: dict[str, list[int]] = {}
    signals: set[str] = set()
    for step in steps:
        lanes = held.setdefault(step.label, [])
        if step.kind in ("acquire", "lock") or (step.kind == "try" and step.saw == "taken"):
            lanes.append(step.lane)
        elif step.kind in ("release", "unlock") and step.lane in lanes:
            lanes.remove(step.lane)
        elif step.kind in ("release", "unlock"):
            signals.add(step.label)
    return {label: lanes for label, lanes in held.items() if lanes and label not in signals}


def lane_before(steps: Sequence[StoryStep], number: int) -> int:
    """Return the lane that ran before a step; a lane that is killed in between does not run."""
    ran = (step.lane for step in reversed(steps[:number]) if step.kind != KILLED)
    return next(ran, steps[number].lane)


def steps_to_show(steps: Sequence[StoryStep], preempted: Sequence[int], differs: Mapping[int, Difference]) -> set[int]:
    """Return the numbers of the first steps, of the last, and of all around those that decide how it ends."""
    count = len(steps)
    if count <= MOST:
        return set(range(count))
    shown = {*range(MOST - _ENDING), *range(count - _ENDING, count)}
    for number in _deciding(steps, preempted, differs):
        shown.update(range(max(number - _BESIDE, 0), min(number + _BESIDE + 1, count)))
    return shown


def _deciding(steps: Sequence[StoryStep], preempted: Sequence[int], differs: Mapping[int, Difference]) -> Iterator[int]:
    """Yield the numbers of the steps at switches, of those back, of kills, of lost updates and what these lose."""
    for number in preempted:
        yield number
        away = lane_before(steps, number)
        yield next((at for at in range(number, len(steps)) if steps[at].lane == away), number)
    for number, one in differs.items():
        yield from (number, *one.after)
    yield from (number for number, step in enumerate(steps) if step.kind == KILLED)
