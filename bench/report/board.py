"""The board of a running matrix: a model that events are applied to, and its text; the clock is passed in.

The model is immutable, so that a thread that draws it never sees half a change.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bench.matrix.placement import cpus_needed
from bench.matrix.run import CellEnded, CellLine, CellStarted, Preparing
from bench.record import Judged, Test
from bench.report.findings import FAILED_TEST
from bench.report.grid import STYLES, status_text
from bench.report.lines import Line, Span, duration, line, one_line

if TYPE_CHECKING:
    from bench.cells import Cell
    from bench.matrix.plan import Plan
    from bench.matrix.run import Begun, Event
    from bench.record import CellStatus

SHOWN = 8
"""Cells that ended without a pass get a line on the board, the latest so many."""


@dataclass(frozen=True)
class Running:
    """A cell that runs; `since_s` is in seconds since the epoch, `last` names what it recorded last."""

    cell: Cell
    cpus: tuple[int, ...]
    since_s: float
    last: str = ""
    failed: int = 0


@dataclass(frozen=True)
class Done:
    """A cell that ended."""

    cell: Cell
    status: CellStatus
    why: str
    seconds: float


@dataclass(frozen=True)
class BoardState:
    """The cells that wait, run and are done; `text` names what is being prepared."""

    waiting: tuple[Cell, ...]
    cores: int
    running: tuple[Running, ...] = ()
    done: tuple[Done, ...] = ()
    text: str = ""
    stopping: bool = field(default=False)

    @classmethod
    def of(cls, plan: Plan, cores: int, begun: Begun | None = None) -> BoardState:
        """Return the state at the start of a plan, or of what is left of it in a run that was cut."""
        if begun is None:
            return cls(plan.to_run, cores)
        done = tuple(Done(cell, end.status, end.why, end.seconds) for cell, end in begun.ends.items())
        return cls(begun.left, cores, done=done)

    @property
    def total(self) -> int:
        """The number of cells to run."""
        return len(self.waiting) + len(self.running) + len(self.done)

    def apply(self, event: Event) -> BoardState:
        """Return the state after an event."""
        match event:
            case Preparing(text):
                return replace(self, text=text)
            case CellStarted(cell, cpus, at):
                running = (*self.running, Running(cell, cpus, at))
                return replace(self, waiting=_without(self.waiting, cell), running=running, text="")
            case CellLine(cell, recorded):
                running = tuple(_after_line(one, recorded) if one.cell == cell else one for one in self.running)
                return replace(self, running=running)
            case CellEnded(cell, status, why, seconds):
                return replace(
                    self,
                    waiting=_without(self.waiting, cell),
                    running=tuple(one for one in self.running if one.cell != cell),
                    done=(*self.done, Done(cell, status, why, seconds)),
                )

    def remaining_s(self, now_s: float) -> float | None:
        """Estimate the seconds that are left, from the cells that ended; `None` while none has."""
        if not any(one.seconds for one in self.done):
            return None
        waiting = [(cpus_needed(cell), self._expected_s(cell)) for cell in self.waiting]
        running = [
            (cpus_needed(one.cell), max(0.0, self._expected_s(one.cell) - (now_s - one.since_s)))
            for one in self.running
        ]
        every = [*waiting, *running]
        area = sum(cpus * seconds for cpus, seconds in every) / self.cores
        return max([area, *(seconds for _, seconds in every)])

    def _expected_s(self, cell: Cell) -> float:
        """Return the mean over the most similar cells: of the same method and size, else size, else any."""
        ran = [one for one in self.done if one.seconds]
        alike = [one for one in ran if cpus_needed(one.cell) == cpus_needed(cell)]
        closest = [one for one in alike if one.cell.method == cell.method]
        chosen = closest or alike or ran
        return sum(one.seconds for one in chosen) / len(chosen)


def _without(cells: tuple[Cell, ...], gone: Cell) -> tuple[Cell, ...]:
    return tuple(cell for cell in cells if cell != gone)


def _subject(judged: Judged) -> str:
    """Return the name of the target, with the mode unless that is repeat."""
    return judged.target if judged.mode == "repeat" else f"{judged.target} ({judged.mode})"


def _after_line(one: Running, recorded: object) -> Running:
    match recorded:
        case Judged():
            return replace(one, last=_subject(recorded), failed=one.failed + (recorded.verdict == "fail"))
        case Test():
            return replace(one, last=recorded.id, failed=one.failed + (recorded.status in FAILED_TEST))
        case _:
            return one


def board(state: BoardState, now_s: float, *, started_s: float, width: int, height: int) -> list[Line]:
    """Draw the state: a heading, a line for each running cell, and the latest cells that did not pass.

    Args:
        state: what to draw.
        now_s: the time, in seconds since the epoch.
        started_s: when the run started.
        width: characters of a line.
        height: lines there is room for.
    """
    heading = _heading(state, now_s, started_s)
    running = [_running(one, now_s, width) for one in state.running]
    odd = [one for one in state.done if one.status != "pass"][-SHOWN:]
    text = [line(Span(one_line(f"  {state.text}", width), "dim"))] if state.text else []
    room = max(height - len(running) - len(text) - 2, 0)
    return [heading, *text, *running, *(_done(one, width) for one in odd[len(odd) - min(len(odd), room) :])]


def _heading(state: BoardState, now_s: float, started_s: float) -> Line:
    counts: dict[CellStatus, int] = {}
    for one in state.done:
        counts[one.status] = counts.get(one.status, 0) + 1
    parts: list[str | Span] = [Span(f"{len(state.done)} of {state.total} cells done", "bold")]
    for status in STYLES:
        if status in counts:
            parts += [", ", Span(f"{counts[status]} {status_text(status)}", STYLES[status])]
    parts.append(f" | {len(state.running)} running, {len(state.waiting)} waiting | {duration(now_s - started_s)}")
    if state.stopping:
        parts += [" | ", Span("stopping", "trouble")]
    elif (left := state.remaining_s(now_s)) is not None:
        parts.append(f", about {duration(left)} left")
    return line(*parts)


def _running(one: Running, now_s: float, width: int) -> Line:
    cpus = "CPU " + ",".join(map(str, one.cpus)) if one.cpus else ""
    head = f"  {one.cell.name:<24} {cpus:<10} {duration(max(now_s - one.since_s, 0.0)):>9}  "
    failed = f"{one.failed} failed  " if one.failed else ""
    return line(head, Span(failed, "bad"), Span(one_line(one.last, max(width - len(head) - len(failed), 10)), "dim"))


def _done(one: Done, width: int) -> Line:
    head = f"  {one.cell.name:<24} "
    status = f"{status_text(one.status):<11} "
    return line(head, Span(status, STYLES[one.status]), one_line(one.why, max(width - len(head) - len(status), 10)))


def event_text(event: Event, state: BoardState) -> str | None:
    """Return the line for an event where there is no terminal, or `None`; `state` is that after the event."""
    match event:
        case Preparing(text):
            return one_line(text)
        case CellStarted(cell, cpus, _):
            return f"{cell.name} starts on CPU {','.join(map(str, cpus))}" if cpus else f"{cell.name} starts"
        case CellLine(cell, Judged() as judged):
            bad = judged.verdict != "pass"
            return f"{cell.name} {status_text(judged.verdict)} {_subject(judged)}" if bad else None
        case CellLine(cell, Test() as test):
            return f"{cell.name} {test.status} {test.id}" if test.status in FAILED_TEST else None
        case CellEnded(cell, status, why, seconds):
            because = f": {one_line(why)}" if why else ""
            return (
                f"[{len(state.done)}/{state.total}] {cell.name} {status_text(status)} in {duration(seconds)}{because}"
            )
    return None
