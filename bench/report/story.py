"""The story of a schedule: a column for each process, a line for each step, and the step that made the difference.

Pure: from what a record keeps of an outcome to lines of pieces, each a text with the style that `bench.report` knows.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.explore.findings.schedule import KILLED
from bench.explore.findings.words import step_text, wait_text

TYPE_CHECKING = False  # as type checkers know it: the exploring process imports this

if TYPE_CHECKING:
    from bench.outcomes import Outcome
    from bench.values import Json

Piece = tuple[str, str]
Line = tuple[Piece, ...]

NARROWEST = 80
"""Characters of a line below which the columns give way to a list."""

COLUMN = 20
"""Characters that a column needs for a deed to be readable in it."""

_LEAST = 16
"""Characters of a column, so that an arrow from one to the next has room for its word."""

MOST = 60
"""Steps that a person follows; of longer schedules the middle is left out."""

_ENDING = 40
"""How many of them come at the end, where things go wrong."""

MATTERS = "this makes the difference"
"""What is said of a switch."""


@dataclass(frozen=True)
class Told:
    """A step of a story."""

    lane: int
    kind: str
    label: str
    part: int
    place: str
    saw: str

    @property
    def deed(self) -> str:
        """What is done, in words."""
        return step_text(self.kind, self.label, self.part, self.saw)


@dataclass(frozen=True)
class Ending:
    """What a story ends with.

    `processes` are those of a deadlock or a livelock, or the one that raised, each with its stack; `holders` says by
    the name of each that waits who holds what it waits for, where that is known better than the steps tell it.
    """

    outcome: str
    kind: str
    grade: str | None = None
    why: str = ""
    replay: str = ""
    processes: Sequence[Mapping[str, Any]] = ()
    holders: Mapping[str, str] | None = None


def ending_of(outcome: Outcome, *, grade: str | None = None, why: str = "", replay: str = "") -> Ending:
    """Give what a story of an outcome ends with."""
    detail = outcome.detail
    processes = [one for one in _list(detail.get("processes")) if isinstance(one, dict)]
    if isinstance(trace := detail.get("traceback"), str):
        processes = [{"name": detail.get("process"), "stack": _of_users(trace)}]
    waits = [one for one in _list(detail.get("waits")) if isinstance(one, dict)]
    holders = {str(one.get("lane")): str(one.get("holder") or "") for one in waits} or None
    return Ending(" ".join(outcome.text().split()), outcome.kind, grade, why, replay, processes, holders)


def _of_users(trace: str) -> str:
    """Leave out of a traceback the lines of what does the exploring."""
    ours, kept = f"{os.sep}{os.path.join('bench', 'explore', '')}", list[str]()
    inside = False
    for row in trace.splitlines():
        if row.startswith('  File "'):
            inside = ours in row
        elif not row.startswith("    "):
            inside = False
        if not inside:
            kept.append(row)
    return "\n".join(kept)


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def story(
    witness: Mapping[str, Any], ending: Ending, *, width: int = 100, unicode: bool = True, root: str = ""
) -> list[Line]:
    """Tell a schedule; empty where the witness has no steps.

    Args:
        witness: as a record keeps it of an outcome.
        ending: the outcome, and what is to be said of it.
        width: characters of a line; below 80, or with many processes, the columns give way to a list.
        unicode: whether rules and arrows may be drawn by other than ASCII characters.
        root: the folder that places are shown relative to.
    """
    steps = [Told(*_typed(step)) for step in witness.get("steps") or ()]
    if not steps:
        return []
    names = [str(name) for name in witness.get("lane_names") or ()]
    acting = sorted({step.lane for step in steps} | {int(one[0]) for one in witness.get("pending") or ()})
    told = _Teller(steps, names, acting, witness, ending, _Drawing(width, unicode, root))
    columns = told.columns()
    body = told.in_columns(columns) if columns else told.in_a_list()
    return [*body, *told.ending()]


def _typed(step: Sequence[Any]) -> tuple[int, str, str, int, str, str]:
    lane, kind, label, part, place, saw = (*step, "")[:6]
    return int(lane), str(kind), str(label), int(part), str(place), str(saw)


def difference(steps: Sequence[Told], preempted: Sequence[int]) -> dict[int, str]:
    """Give the steps, from 0, that made the difference, each with what it did.

    Those are the writes over a value that changed since their lane read it: updates that are lost. Where there is
    none, it is where a lane is killed, or else the last switch away from a lane that could have gone on.
    """
    read: dict[tuple[int, str, int], int] = {}
    written: dict[tuple[str, int], int] = {}
    lost: dict[int, str] = {}
    for number, step in enumerate(steps):
        what = (step.label, step.part)
        if step.kind == "read":
            read[(step.lane, *what)] = number
        elif step.kind == "write":
            other = written.get(what, -1)
            if (seen := read.get((step.lane, *what))) is not None and other > seen and steps[other].lane != step.lane:
                lost[number] = f"overwrites what step {other + 1} wrote: it had read before, in step {seen + 1}"
            written[what] = number
            read.pop((step.lane, *what), None)
    matters = [number for number, step in enumerate(steps) if step.kind == KILLED] or preempted
    return lost or ({matters[-1]: MATTERS} if matters else {})


def holders(steps: Sequence[Told]) -> dict[str, list[int]]:
    """Say who holds what at the end: the lanes that acquired each thing and have not released it.

    What a lane releases that it had not acquired is a signal, and nobody holds it.
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


@dataclass(frozen=True)
class _Drawing:
    """How lines are drawn."""

    width: int
    unicode: bool
    root: str

    @property
    def rule(self) -> str:
        return "─" if self.unicode else "-"

    @property
    def right(self) -> str:
        return "▶" if self.unicode else ">"

    @property
    def left(self) -> str:
        return "◀" if self.unicode else "<"

    @property
    def mark(self) -> str:
        return "▲" if self.unicode else "^"

    @property
    def more(self) -> str:
        return "…" if self.unicode else "..."

    def fit(self, text: str, room: int) -> str:
        """Make a text fit: nothing that moves the cursor, at most `room` characters."""
        shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
        if not self.unicode:
            shown = shown.encode("ascii", "backslashreplace").decode("ascii")
        return shown if len(shown) <= room else shown[: max(room - len(self.more), 0)] + self.more

    def place(self, place: str, *, short: bool = False) -> str:
        """Show a place: file and line, relative to the project, else with the file's own folder alone."""
        place = place.partition(" in ")[0]
        if short:
            return self.fit(place.rpartition("/")[2], 40)
        if self.root and place.startswith(f"{self.root}/"):
            return self.fit(place[len(self.root) + 1 :], self.width)
        place = self.fit(place, 1000)
        return "/".join(place.rsplit("/", 2)[-2:]) if place.startswith("/") else place


@dataclass(frozen=True)
class _Columns:
    """Where things stand in a line: the number of a step, a column for each lane, and then the place."""

    number: int
    each: int
    short: bool


class _Teller:
    def __init__(
        self,
        steps: Sequence[Told],
        names: Sequence[str],
        acting: Sequence[int],
        witness: Mapping[str, Any],
        ending: Ending,
        drawing: _Drawing,
    ) -> None:
        self.steps, self.acting, self.end, self.drawing = steps, acting, ending, drawing
        known = {lane: names[lane] if lane < len(names) else f"lane {lane}" for lane in acting}
        self.names = {lane: drawing.fit(name, 24) for lane, name in known.items()}
        self.preempted = [int(number) for number in witness.get("preempted") or ()]
        self.pending = {int(one[0]): one for one in witness.get("pending") or ()}
        self.preemptions = int(witness.get("preemptions") or 0)
        self.depth = int(witness.get("depth") or 0)
        self.differs = difference(steps, self.preempted)
        self.held = holders(steps)

    def columns(self) -> _Columns | None:
        """Lay out the columns; `None` where there is no room for them."""
        if self.drawing.width < NARROWEST:
            return None
        number = len(str(len(self.steps))) + 2
        widest = max(
            *(len(step.deed) for step in self.steps),
            *(len(self.waits(lane)) for lane in self.acting),
            *map(len, self.names.values()),
            _LEAST - 1,
        )
        for short in (False, True):
            places = max(len(self.drawing.place(step.place, short=short)) for step in self.steps)
            each = (self.drawing.width - number - min(places, 40) - 4) // len(self.acting) - 2
            if each > widest or (short and each >= COLUMN):
                return _Columns(number, min(each, widest + 1), short)
        return None

    def shown(self) -> Iterator[int | None]:
        """Give the steps to be shown; `None` for those in the middle that are left out together."""
        count = len(self.steps)
        if count <= MOST:
            yield from range(count)
            return
        yield from range(MOST - _ENDING)
        yield None
        yield from range(count - _ENDING, count)

    def left_out(self) -> str:
        return f"{self.drawing.more} {len(self.steps) - MOST:,} steps {self.drawing.more}"

    def waits(self, lane: int) -> str:
        """Say what a lane that is not through waits for at the end; empty for one that is."""
        if lane not in self.pending:
            return ""
        _, kind, label, part = self.pending[lane][:4]
        return wait_text(str(kind), str(label), int(part), " and ".join(self.holders(lane)))

    def holders(self, lane: int) -> list[str]:
        """Name who holds what a lane waits for."""
        if self.end.holders is not None:
            return [name] if (name := self.end.holders.get(self.names[lane], "")) else []
        label = str(self.pending[lane][2])
        return list(dict.fromkeys(self.names.get(one, "?") for one in self.held.get(label, ())))

    def in_columns(self, at: _Columns) -> Iterator[Line]:
        heads = "  ".join(f"{self.drawing.fit(self.names[lane], at.each):<{at.each}}" for lane in self.acting)
        yield (("    " + " " * at.number, ""), (heads, "bold"))
        for number in self.shown():
            if number is None:
                yield ((f"{'':{at.number + 4}}{self.left_out()}", "dim"),)
                continue
            if number in self.preempted:
                yield self.arrow(number, at)
            yield from self.row(number, at)
            if number in self.differs and number not in self.preempted:
                yield from self.marked(self.differs[number], self.start(self.steps[number].lane, at))
        for lane in self.pending:
            yield from self.cell(lane, "", self.waits(lane), str(self.pending[lane][4]), "odd", at)

    def start(self, lane: int, at: _Columns) -> int:
        return 4 + at.number + self.acting.index(lane) * (at.each + 2)

    def row(self, number: int, at: _Columns) -> Iterator[Line]:
        step = self.steps[number]
        style = "bad" if number in self.differs or step.kind == KILLED else ""
        return self.cell(step.lane, str(number + 1), step.deed, step.place, style, at)

    def cell(self, lane: int, number: str, text: str, place: str, style: str, at: _Columns) -> Iterator[Line]:
        """Draw what is in a column, over as many lines as it takes."""
        end = self.start(self.acting[-1], at) + at.each + 2
        where = _tail(self.drawing.place(place, short=at.short), self.drawing.width - end)
        for shown in textwrap.wrap(self.drawing.fit(text, 4 * at.each), at.each) or [""]:
            before = f"  {number:>{at.number}}  ".ljust(self.start(lane, at))
            gap = " " * (end - len(before) - len(shown))
            yield ((before, "dim"), (shown, style), (gap, ""), (where, "dim"))
            number = where = ""

    def arrow(self, number: int, at: _Columns) -> Line:
        """Draw the switch away from a lane that could have gone on."""
        away, to = self.before(number), self.steps[number].lane
        drawing, word = self.drawing, " interrupted "
        left, right = sorted((self.start(away, at), self.start(to, at)))
        length = max(right - left - 1, len(word) + 4)
        rule = f"{drawing.rule * 2}{word}".ljust(length - 1, drawing.rule)
        drawn = f"{rule}{drawing.right} " if away < to else f"{drawing.left}{rule}"
        if number not in self.differs:
            return ((" " * left, ""), (drawn, "odd"))
        return ((" " * left, ""), (drawing.fit(f"{drawn}  {self.differs[number]}", drawing.width - left), "bad"))

    def before(self, number: int) -> int:
        """Give the lane that ran before a step; that somebody was killed in between is no run."""
        ran = (step.lane for step in reversed(self.steps[:number]) if step.kind != KILLED)
        return next(ran, self.steps[number].lane)

    def marked(self, text: str, start: int) -> Iterator[Line]:
        """Say under a step what it did, from its own column on as far as there is room."""
        start = max(min(start, self.drawing.width - len(text) - 2), 4)
        rows = textwrap.wrap(text, self.drawing.width - start - 2)
        for sign, row in zip([self.drawing.mark, *" " * len(rows)], rows, strict=False):
            yield ((" " * start, ""), (f"{sign} {row}", "bad"))

    def in_a_list(self) -> Iterator[Line]:
        drawing, wide = self.drawing, max(map(len, self.names.values()))
        for number in self.shown():
            if number is None:
                yield ((f"    {self.left_out()}", "dim"),)
                continue
            step = self.steps[number]
            if number in self.preempted:
                style = "bad" if number in self.differs else "odd"
                matters = f": {self.differs[number]}" if number in self.differs else ""
                text = f"    {drawing.rule * 2} {self.names[self.before(number)]} is interrupted{matters}"
                yield ((drawing.fit(text, drawing.width), style),)
            style = "bad" if number in self.differs or step.kind == KILLED else ""
            yield self.entry(f"{number + 1:>4}", self.names[step.lane], wide, step.deed, step.place, style)
            if number in self.differs and number not in self.preempted:
                yield from self.marked(self.differs[number], 8 + wide)
        for lane, one in self.pending.items():
            yield self.entry(" " * 4, self.names[lane], wide, self.waits(lane), str(one[4]), "odd")

    def entry(self, number: str, name: str, wide: int, text: str, place: str, style: str) -> Line:
        head = f"{number}  {name:<{wide}}  "
        room = self.drawing.width - len(head)
        where = _tail(self.drawing.place(place), max(room - len(text) - 2, room // 2))
        text = self.drawing.fit(text, max(room - len(where) - 2, 0))
        return ((head, "dim"), (text, style), (f"  {where}", "dim"))

    def ending(self) -> Iterator[Line]:
        end, fit = self.end, self.drawing.fit
        yield ()
        style = {"acceptable": "good", "interesting": "odd", "forbidden": "bad"}.get(end.grade or "", "bold")
        graded = ": ".join(filter(None, (end.grade, end.why)))
        yield (("    gives ", ""), (fit(end.outcome, self.drawing.width - 10), style))
        if graded:
            yield (("    ", ""), (fit(graded, self.drawing.width - 4), style))
        yield (("    by ", ""), (self.measure(), ""))
        if circle := self.circle():
            yield (("    a circle:", "bad"),)
            yield from ((("        ", ""), (fit(part, self.drawing.width - 8), "bad")) for part in circle)
        for process in end.processes:
            yield from self.stack(process)
        if end.replay:
            yield (("    again: ", ""), (end.replay, "bold"))

    def measure(self) -> str:
        """Say how hard it is to come by."""
        plural = "" if self.preemptions == 1 else "s"
        text = f"{self.preemptions or 'no'} preemption{plural}"
        killed = sum(step.kind == KILLED for step in self.steps)
        text += f" and {killed} kill{'' if killed == 1 else 's'}" if killed else ""
        return f"{text}, {len(self.steps)} steps (depth {self.depth})"

    def circle(self) -> list[str]:
        """Say who waits for whom, from one lane round to itself; empty where there is no such circle."""
        lanes = {name: lane for lane, name in self.names.items()}
        waits = {
            lane: (str(one[2]), next((lanes[name] for name in self.holders(lane) if name in lanes), None))
            for lane, one in self.pending.items()
        }
        for first in waits:
            path, after = [first], waits[first][1]
            while after is not None and after not in path:
                path.append(after)
                after = waits.get(after, ("", None))[1]
            if after == first:
                round_ = zip(path, [*path[1:], first], strict=True)
                return [
                    f"{self.names[one]} waits for {waits[one][0]}, which {self.names[other]} holds"
                    for one, other in round_
                ]
        return []

    def stack(self, process: Mapping[str, Any]) -> Iterator[Line]:
        name = process.get("name") or process.get("role") or "process"
        yield ((f"    {name}:", ""),)
        rows = str(process.get("stack") or "gave no stack").rstrip().splitlines()
        yield from (((f"        {self.drawing.fit(row, self.drawing.width - 8)}".rstrip(), "dim"),) for row in rows)


def _tail(text: str, room: int) -> str:
    """Cut a place from the left: its line is at the right."""
    return text if len(text) <= room else text[len(text) - room :] if room > 0 else ""
