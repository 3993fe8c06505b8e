"""Carrying out a plan from a command: where its records go, which project its cells need, and the report at the end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.earlier import earlier_seconds
from bench.cli.inputs import records_folder
from bench.cli.output import say, show, width
from bench.cli.projects import project_of, say_install, schedule_saver
from bench.cli.running import carry_out
from bench.matrix.run.sources import write_sources
from bench.report.lines import Line, Span, counted, line
from bench.report.status import exit_status
from bench.report.summary import report

if TYPE_CHECKING:
    from bench.matrix.config import Config
    from bench.matrix.engines.base import Engine
    from bench.matrix.plan import Plan
    from bench.matrix.run import Begun
    from bench.report.loaded import RunRecords


def start(plan: Plan, engine: Engine, config: Config, *, out: str | None, dry_run: bool) -> int:
    """Carry out a plan, or show it, and return the exit status; the records go to a new folder."""
    project = project_of(plan.targets, plan.command, config)
    say_install(project)
    if dry_run:
        show(_plan_lines(plan, engine.name))
        return 0
    folder = records_folder(out, plan.run)
    write_sources(folder, project)
    run = carry_out(
        plan,
        engine,
        folder,
        project,
        earlier=earlier_seconds(folder.parent, plan),
        save_schedules=schedule_saver(plan.targets, config, folder),
    )
    return _reported(run, folder)


def go_on(begun: Begun, plan: Plan, engine: Engine, config: Config, folder: Path, *, dry_run: bool) -> int:
    """Carry out what is left of a run that was cut, or show it, and return the exit status of the whole run."""
    say(f"{len(begun.ends)} of {counted(len(plan.to_run), 'cell')} finished before, {len(begun.left)} left")
    if dry_run:
        show(line(f"{cell.name}") for cell in begun.left)
        return 0
    run = carry_out(
        plan,
        engine,
        folder,
        project_of(plan.targets, plan.command, config),
        earlier=earlier_seconds(folder.parent, plan),
        save_schedules=schedule_saver(plan.targets, config, folder),
        begun=begun,
    )
    return _reported(run, folder)


def _reported(run: RunRecords, folder: Path) -> int:
    show(report(run, width=width()))
    say(f"records: {folder}")
    return exit_status(run)


def _plan_lines(plan: Plan, engine: str) -> list[Line]:
    broad = max(len(one.cell.name) for one in plan.cells)
    lines = [
        line(
            f"{one.cell.name:<{broad}}  ",
            Span(f"{one.decision:<11}", "good" if one.decision == "run" else "dim"),
            f"  {one.why or counted(len(one.only), 'test')}" if one.why or one.only else "",
        )
        for one in plan.cells
    ]
    left_out = len(plan.cells) - len(plan.to_run)
    what = " ".join(plan.command or plan.targets) or "the demos"
    return [*lines, line(f"{counted(len(plan.to_run), 'cell')} of {engine} would run {what}; {left_out} would not")]
