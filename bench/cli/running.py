"""Running a plan from a command: signals, the board or plain lines, and reading the records back at the end."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from bench.cli.output import rich_text
from bench.matrix.run import run_matrix
from bench.report import loaded
from bench.report.board import BoardState, board, event_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from rich.console import Console
    from rich.text import Text

    from bench.matrix.engines.base import Engine
    from bench.matrix.images import Project
    from bench.matrix.plan import Plan
    from bench.matrix.run import Begun, Event
    from bench.record import Judged
    from bench.report.loaded import RunRecords

REFRESHES = 4
"""How often a second the board is drawn: often enough to look alive, too seldom to slow the cells down."""


def carry_out(
    plan: Plan,
    engine: Engine,
    folder: Path,
    project: Project | None,
    *,
    earlier: Mapping[str, float] | None = None,
    live: bool = True,
    save_schedules: Callable[[Judged], Judged] | None = None,
    begun: Begun | None = None,
) -> RunRecords:
    """Run a plan to its end or until a signal stops it, display its progress, and return the records.

    Args:
        plan: the cells, and how they run.
        engine: where they run.
        folder: the folder for the records.
        project: the user's project, if cells need it.
        earlier: seconds by cell of an earlier run.
        live: whether a terminal gets the board in place of plain lines.
        save_schedules: writes the schedules of an explored observation; `None` writes none.
        begun: what the run, in this folder, has done before it was cut.
    """
    stop = threading.Event()
    watching = _board if live and _is_terminal() else _plain_lines
    with _signals_set(stop), watching(BoardState.of(plan, len(engine.cpus()), begun), stop) as on_event:
        run_matrix(
            plan,
            engine,
            folder,
            on_event=on_event,
            stop=stop,
            project=project,
            earlier=earlier,
            save_schedules=save_schedules,
            begun=begun,
        )
    return loaded.read(folder)


def _is_terminal() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("CI")


@contextmanager
def _signals_set(stop: threading.Event) -> Iterator[None]:
    """Set `stop` on Ctrl-C and SIGTERM, for the duration of the block."""
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _plain_lines(state: BoardState, _: threading.Event) -> Iterator[Callable[[Event], None]]:
    def on_event(event: Event) -> None:
        nonlocal state
        state = state.apply(event)
        if (text := event_text(event, state)) is not None:
            click.echo(text, err=True, color=False)

    yield on_event


@contextmanager
def _board(state: BoardState, stop: threading.Event) -> Iterator[Callable[[Event], None]]:
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True, highlight=False)
    started_s = time.time()

    def on_event(event: Event) -> None:
        nonlocal state
        state = state.apply(event)

    def now() -> Text:
        return drawn(state, stop, started_s, console)

    with Live(get_renderable=now, console=console, refresh_per_second=REFRESHES, transient=True):
        yield on_event


def drawn(state: BoardState, stop: threading.Event, started_s: float, console: Console) -> Text:
    """Draw the board as it is now, to fit the console."""
    width, height = console.size
    shown = replace(state, stopping=stop.is_set())
    return rich_text(board(shown, time.time(), started_s=started_s, width=width - 1, height=height - 1))
