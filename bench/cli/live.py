"""A histogram that grows on a terminal while a scenario is under stress, or explored."""

from __future__ import annotations

import platform
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from bench.cli.output import rich_text
from bench.observation import Observation
from bench.outcomes import Conditions
from bench.report.histogram import histogram
from bench.report.lines import Span, counted, duration, line
from bench.verdict import to_judged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.declared import Target
    from bench.observation import Tally
    from bench.report.lines import Line
    from bench.sampling import Mode

    class Progress(Protocol):
        """The state of an observation that goes on; with `steps` besides, where these are counted."""

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
def growing(target: Target, method: str, mode: Mode = "stress") -> Iterator[Callable[[Progress], None]]:
    """Show the histogram so far on standard error for the duration of the block; yield the function that updates it."""
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True, highlight=False)
    with Live(console=console, refresh_per_second=5, transient=True) as live:

        def update(progress: Progress) -> None:
            live.update(rich_text(lines(target, method, progress, console.size.width - 1, mode)))

        yield update


def lines(target: Target, method: str, progress: Progress, width: int, mode: Mode = "stress") -> list[Line]:
    """Draw the progress: the verdict comes only at the end, but each outcome has its grade already."""
    observed = Observation(target.target, mode, "local", progress.samples, progress.seconds, progress.outcomes)
    conditions = Conditions(method, platform.python_version())
    graded = replace(to_judged(target.expectations, observed, conditions), verdict="unknown", why="")
    drawn = histogram(graded, width=width, top=_TOP)
    head = line(
        Span(f"{'running':<8}", "dim"),
        Span(target.target, "bold"),
        f"  [{mode}, {method}]  ",
        f"{_so_far(progress, mode)} in {duration(progress.seconds)}, {_speed(progress)}",
    )
    return [head, *drawn[1:]]


def _so_far(progress: Progress, mode: Mode) -> str:
    return counted(progress.samples, "schedule" if mode == "explore" else "sample")


def _speed(progress: Progress) -> str:
    """Return the speed, in steps where steps are counted and else in samples."""
    steps = getattr(progress, "steps", None)
    per_second = (progress.samples if steps is None else steps) / progress.seconds if progress.seconds else 0.0
    return f"{per_second:,.0f}{'' if steps is None else ' steps'}/s"
