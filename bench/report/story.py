"""The story of a schedule: a column for each process, a line for each step, and the step that made the difference.

Pure: from the witness of an outcome, as its record holds it, to lines.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.explore.findings.schedule import KILLED
from bench.explore.findings.words import wait_text
from bench.report.histogram import STYLES
from bench.report.lines import Line, Span, Style, counted, line, wrapped
from bench.report.steps import StoryStep, difference, holders, lane_before, steps_to_show

if TYPE_CHECKING:
    from bench.outcomes import Grade, Outcome
    from bench.values import Json

NARROWEST = 80
"""Characters of a line below which the columns give way to a list."""

COLUMN = 20
"""Characters that a column needs for a step to be readable in it."""

_LEAST = 16
"""Characters of a column, so that an arrow from one to the next has room for its word."""

MOST_OF_A_TEXT = 2_000
"""Characters of an outcome, a reason or a place that are shown: a message may be of any length."""


@dataclass(frozen=True)
class Ending:
    """The end of a story: the outcome with its grade, and the command that replays the schedule.

    `processes` are those of a deadlock or a livelock, or the one that raised, each with its stack. `holders` maps the
    name of each waiting lane to the holder of what it waits for; `None` where the steps alone show that.
    """

    outcome: str
    kind: str
    grade: Grade | None = None
    why: str = ""
    replay: str = ""
    processes: Sequence[Mapping[str, Any]] = ()
    holders: Mapping[str, str] | None = None


def ending_of(outcome: Outcome, *, grade: Grade | None = None, why: str = "", replay: str = "") -> Ending:
    """Return the end of the story of an outcome."""
    detail = outcome.detail
    processes = [one for one in _list(detail.get("processes")) if isinstance(one, dict)]
    if isinstance(trace := detail.get("traceback"), str):
        processes = [{"name": detail.get("process"), "stack": _without_explorer(trace)}]
    waits = [one for one in _list(detail.get("waits")) if isinstance(one, dict)]
    holders = {str(one.get("lane")): str(one.get("holder") or "") for one in waits} or None
    return Ending(" ".join(outcome.text().split()), outcome.kind, grade, why, replay, processes, holders)


def _without_explorer(trace: str) -> str:
    """Return a traceback without the lines of the explorer itself."""
    ours, rows = f"{os.sep}{os.path.join('bench', 'explore', '')}", list[str]()
    inside = False
    for row in trace.splitlines():
        if row.startswith('  File "'):
            inside = ours in row
        elif not row.startswith("    "):
            inside = False
        if not inside:
            rows.append(row)
    return "\n".join(rows)


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def story(
    witness: Mapping[str, Any], ending: Ending, *, width: int = 100, unicode: bool = True, root: str = ""
) -> list[Line]:
    """Draw the story of a schedule; empty where the witness has no steps.

    Args:
        witness: the witness of an outcome, as its record holds it.
        ending: the end of the story.
        width: characters of a line; below 80, or with many processes, the columns give way to a list.
        unicode: whether rules and arrows may be drawn by other than ASCII characters.
        root: the folder that places are shown relative to.
    """
    steps = [StoryStep(*_typed(step)) for step in witness.get("steps") or ()]
    if not steps:
        return []
    names = [str(name) for name in witness.get("lane_names") or ()]
    acting = sorted({step.lane for step in steps} | {int(one[0]) for one in witness.get("pending") or ()})
    drawn = _Story(steps, names, acting, witness, ending, _Page(width, unicode, root))
    columns = drawn.columns()
    body = drawn.column_lines(columns) if columns else drawn.list_lines()
    return [*body, *drawn.ending_lines()]


def _typed(step: Sequence[Any]) -> tuple[int, str, str, int, str, str]:
    lane, kind, label, part, place, saw = (*step, "")[:6]
    return int(lane), str(kind), str(label), int(part), str(place), str(saw)


@dataclass(frozen=True)
class _Page:
    """The page that a story is drawn on; places are shown relative to `root`."""

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

    def fit(self, text: str, room: int = MOST_OF_A_TEXT) -> str:
        """Return a text that fits: nothing in it moves the cursor, and it has at most `room` characters."""
        shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
        if not self.unicode:
            shown = shown.encode("ascii", "backslashreplace").decode("ascii")
        return shown if len(shown) <= room else shown[: max(room - len(self.more), 0)] + self.more

    def place(self, place: str, *, short: bool = False) -> str:
        """Return a place as it is shown: file and line, relative to the root, else with the file's own folder alone."""
        place = place.partition(" in ")[0]
        if short:
            return self.fit(place.rpartition("/")[2])
        if self.root and place.startswith(f"{self.root}/"):
            return self.fit(place[len(self.root) + 1 :])
        place = self.fit(place)
        return "/".join(place.rsplit("/", 2)[-2:]) if place.startswith("/") else place


@dataclass(frozen=True)
class _Columns:
    """The layout of a line: the number of a step, a column for each lane, and then the place; widths in characters."""

    number: int
    each: int
    short: bool


class _Story:
    def __init__(
        self,
        steps: Sequence[StoryStep],
        names: Sequence[str],
        acting: Sequence[int],
        witness: Mapping[str, Any],
        ending: Ending,
        page: _Page,
    ) -> None:
        self.steps, self.acting, self.end, self.page = steps, acting, ending, page
        known = {lane: names[lane] if lane < len(names) else f"lane {lane}" for lane in acting}
        self.names = {lane: page.fit(name, 24) for lane, name in known.items()}
        self.preempted = [int(number) for number in witness.get("preempted") or ()]
        self.pending = {int(one[0]): one for one in witness.get("pending") or ()}
        self.preemptions = int(witness.get("preemptions") or 0)
        self.depth = int(witness.get("depth") or 0)
        self.differs = difference(steps, self.preempted)
        self.holding = holders(steps)

    def columns(self) -> _Columns | None:
        """Lay out the columns; `None` where there is no room for them."""
        if self.page.width < NARROWEST:
            return None
        number = len(str(len(self.steps))) + 2
        widest = max(
            *(len(step.text) for step in self.steps),
            *(len(self.wait_of(lane)) for lane in self.acting),
            *map(len, self.names.values()),
            _LEAST - 1,
        )
        for short in (False, True):
            places = max(len(self.page.place(step.place, short=short)) for step in self.steps)
            each = (self.page.width - number - min(places, 40) - 4) // len(self.acting) - 2
            if each > widest or (short and each >= COLUMN):
                return _Columns(number, min(each, widest + 1), short)
        return None

    def shown_steps(self) -> Iterator[int | range]:
        """Yield the numbers of the steps that are shown, and a range in the place of those that are left out."""
        left_out = range(0)
        shown = steps_to_show(self.steps, self.preempted, self.differs)
        for number in range(len(self.steps)):
            if number not in shown:
                left_out = range(left_out.start if left_out else number, number + 1)
                continue
            if len(left_out) == 1:  # a line that says so takes as much room
                yield left_out.start
            elif left_out:
                yield left_out
            left_out = range(0)
            yield number

    def omission(self, left_out: range) -> str:
        return f"{self.page.more} {counted(len(left_out), 'step')} {self.page.more}"

    def wait_of(self, lane: int) -> str:
        """Return in words what a lane waits for at the end; empty for a lane that has ended."""
        if lane not in self.pending:
            return ""
        _, kind, label, part = self.pending[lane][:4]
        return wait_text(str(kind), str(label), int(part), " and ".join(self.holders(lane)))

    def holders(self, lane: int) -> list[str]:
        """Return the names of the lanes that hold what a lane waits for."""
        if self.end.holders is not None:
            return [name] if (name := self.end.holders.get(self.names[lane], "")) else []
        label = str(self.pending[lane][2])
        return list(dict.fromkeys(self.names.get(one, "?") for one in self.holding.get(label, ())))

    def column_lines(self, at: _Columns) -> Iterator[Line]:
        heads = "  ".join(f"{self.page.fit(self.names[lane], at.each):<{at.each}}" for lane in self.acting)
        yield line("    " + " " * at.number, Span(heads, "bold"))
        for number in self.shown_steps():
            if isinstance(number, range):
                yield line(Span(f"{'':{at.number + 4}}{self.omission(number)}", "dim"))
                continue
            if number in self.preempted:
                yield from self.switch_lines(number, at)
            yield from self.step_lines(number, at)
            if number in self.differs and number not in self.preempted:
                yield from self.note_lines(self.differs[number].note, self.column_of(self.steps[number].lane, at))
        for lane in self.pending:
            yield from self.cell_lines(lane, "", self.wait_of(lane), str(self.pending[lane][4]), "odd", at)

    def column_of(self, lane: int, at: _Columns) -> int:
        return 4 + at.number + self.acting.index(lane) * (at.each + 2)

    def step_lines(self, number: int, at: _Columns) -> Iterator[Line]:
        step = self.steps[number]
        style: Style = "bad" if number in self.differs or step.kind == KILLED else ""
        return self.cell_lines(step.lane, str(number + 1), step.text, step.place, style, at)

    def cell_lines(self, lane: int, number: str, text: str, place: str, style: Style, at: _Columns) -> Iterator[Line]:
        """Draw a text in the column of a lane, over as many lines as it takes."""
        end = self.column_of(self.acting[-1], at) + at.each + 2
        where = self.page.place(place, short=at.short)
        for shown in textwrap.wrap(self.page.fit(text, 4 * at.each), at.each) or [""]:
            before = f"  {number:>{at.number}}  ".ljust(self.column_of(lane, at))
            gap = " " * (end - len(before) - len(shown))
            yield line(Span(before, "dim"), Span(shown, style), gap, Span(where, "dim"))
            number = where = ""

    def switch_lines(self, number: int, at: _Columns) -> Iterator[Line]:
        """Draw a preemption: an arrow from the lane that could have gone on to the one that ran."""
        away, to = self.lane_before(number), self.steps[number].lane
        page, word = self.page, " interrupted "
        left, right = sorted((self.column_of(away, at), self.column_of(to, at)))
        length = max(right - left - 1, len(word) + 4)
        rule = f"{page.rule * 2}{word}".ljust(length - 1, page.rule)
        drawn = f"{rule}{page.right} " if away < to else f"{page.left}{rule}"
        if number not in self.differs:
            yield line(" " * left, Span(drawn, "odd"))
            return
        note = f"{drawn}  {self.differs[number].note}"
        if left + len(note) <= page.width:
            yield line(" " * left, Span(note, "bad"))
            return
        yield line(" " * left, Span(drawn, "odd"))
        yield from self.note_lines(self.differs[number].note, self.column_of(to, at))

    def lane_before(self, number: int) -> int:
        """Return the lane that ran before a step; a lane that is killed in between does not run."""
        return lane_before(self.steps, number)

    def note_lines(self, text: str, start: int) -> Iterator[Line]:
        """Draw a note under a step, from its own column on as far as there is room."""
        start = max(min(start, self.page.width - len(text) - 2), 4)
        rows = textwrap.wrap(text, self.page.width - start - 2)
        for sign, row in zip([self.page.mark, *" " * len(rows)], rows, strict=False):
            yield line(" " * start, Span(f"{sign} {row}", "bad"))

    def list_lines(self) -> Iterator[Line]:
        page, wide = self.page, max(map(len, self.names.values()))
        for number in self.shown_steps():
            if isinstance(number, range):
                yield line(Span(f"    {self.omission(number)}", "dim"))
                continue
            step = self.steps[number]
            if number in self.preempted:
                how: Style = "bad" if number in self.differs else "odd"
                matters = f": {self.differs[number].note}" if number in self.differs else ""
                text = f"{self.names[self.lane_before(number)]} is interrupted{matters}"
                yield from wrapped([f"    {page.rule * 2} "], page.fit(text), page.width, style=how)
            style: Style = "bad" if number in self.differs or step.kind == KILLED else ""
            yield from self.list_line(f"{number + 1:>4}", self.names[step.lane], wide, step.text, step.place, style)
            if number in self.differs and number not in self.preempted:
                yield from self.note_lines(self.differs[number].note, 8 + wide)
        for lane, one in self.pending.items():
            yield from self.list_line(" " * 4, self.names[lane], wide, self.wait_of(lane), str(one[4]), "odd")

    def list_line(self, number: str, name: str, wide: int, text: str, place: str, style: Style) -> Iterator[Line]:
        head = f"{number}  {name:<{wide}}  "
        where, text = self.page.place(place), self.page.fit(text)
        if len(head) + len(text) + 2 + len(where) <= self.page.width:
            yield line(Span(head, "dim"), Span(text, style), Span(f"  {where}", "dim"))
            return
        yield from wrapped([Span(head, "dim")], text, self.page.width, style=style)
        if where:
            yield line(" " * len(head), Span(where, "dim"))

    def ending_lines(self) -> Iterator[Line]:
        end, fit = self.end, self.page.fit
        yield line()
        style = STYLES.get(end.grade) or "bold"
        graded = ": ".join(filter(None, (end.grade, end.why)))
        yield from wrapped(["    gives "], fit(end.outcome), self.page.width, style=style)
        if graded:
            yield from wrapped(["    "], fit(graded), self.page.width, style=style)
        yield line("    by ", self.measure())
        if circle := self.circle():
            yield line(Span("    a circle:", "bad"))
            for part in circle:
                yield from wrapped(["        "], fit(part), self.page.width, style="bad")
        for process in end.processes:
            yield from self.stack_lines(process)
        if end.replay:
            yield line("    again: ", Span(end.replay, "bold"))

    def measure(self) -> str:
        """Return what the outcome takes: preemptions, kills, steps, and orderings that must hold (the depth)."""
        text = counted(self.preemptions, "preemption") if self.preemptions else "no preemptions"
        killed = sum(step.kind == KILLED for step in self.steps)
        text += f" and {counted(killed, 'kill')}" if killed else ""
        return f"{text}, {counted(len(self.steps), 'step')} (depth {self.depth})"

    def circle(self) -> list[str]:
        """Return the waits that form a circle, each as a sentence; empty where there is none."""
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

    def stack_lines(self, process: Mapping[str, Any]) -> Iterator[Line]:
        name = process.get("name") or process.get("role") or "process"
        yield line(f"    {name}:")
        rows = str(process.get("stack") or "gave no stack").rstrip().splitlines()
        yield from (line(Span(f"        {self.page.fit(row)}".rstrip(), "dim")) for row in rows)
