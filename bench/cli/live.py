"""A histogram that grows on a terminal while a scenario is under stress, or explored."""

from __future__ import annotations

import platform
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from bench.cli.running import rich_style
from bench.observation import Observation
from bench.outcomes import Conditions
from bench.record import Judged
from bench.report.histogram import histogram
from bench.report.lines import Span, counted, duration, line
from bench.verdict import grade

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.text import Text

    from bench.declared import Target
    from bench.observation import Tally
    from bench.report.lines import Line
    from bench.sampling import Mode

    class Told(Protocol):
        """How far an observation is; `steps` besides, where they are counted."""

        @property
        def seconds(self) -> float:
            """Wall time so far."""

        @property
        def samples(self) -> int:
            """Samples, or schedules, so far."""

        @property
        def outcomes(self) -> tuple[Tally, ...]:
            """The histogram so far."""


_TOP = 12
"""Outcomes that get a bar while it runs."""


@contextmanager
def growing(target: Target, method: str, mode: Mode = "stress") -> Iterator[Callable[[Told], None]]:
    """Show the histogram so far on standard error for the duration of the block; give what is to be told of it."""
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True, highlight=False)
    with Live(console=console, refresh_per_second=5, transient=True) as live:

        def told(progress: Told) -> None:
            live.update(_drawn(lines(target, method, progress, console.size.width - 1, mode)))

        yield told


def lines(target: Target, method: str, progress: Told, width: int, mode: Mode = "stress") -> list[Line]:
    """Draw how far it is: nothing is judged before the end, but each outcome has its grade already."""
    seen = Observation(target.target, mode, "local", progress.samples, progress.seconds, progress.outcomes)
    conditions = Conditions(method, platform.python_version())
    try:
        graded = [grade(one.outcome, target.expectations, conditions) for one in progress.outcomes]
    except Exception:  # noqa: BLE001  # the user's predicate; the verdict will say what it raised
        graded = []
    grades = tuple((one.grade, one.why) for one in graded)
    drawn = histogram(Judged(seen, "unknown", "", grades, method), width=width, top=_TOP)
    head = line(
        Span(f"{'running':<8}", "dim"),
        Span(target.target, "bold"),
        f"  [{mode}, {method}]  ",
        f"{_so_far(progress, mode)} in {duration(progress.seconds)}, {_speed(progress)}",
    )
    return [head, *drawn[1:]]


def _so_far(progress: Told, mode: Mode) -> str:
    return counted(progress.samples, "schedule" if mode == "explore" else "sample")


def _speed(progress: Told) -> str:
    """Say how fast it goes: in steps where steps are counted."""
    steps = getattr(progress, "steps", None)
    per_second = (progress.samples if steps is None else steps) / progress.seconds if progress.seconds else 0.0
    return f"{per_second:,.0f}{'' if steps is None else ' steps'}/s"


def _drawn(shown: list[Line]) -> Text:
    from rich.text import Text

    text = Text(no_wrap=True, overflow="ellipsis")
    for one in shown:
        for span in one:
            text.append(span.text, rich_style(span.style))
        text.append("\n")
    text.rstrip()
    return text
