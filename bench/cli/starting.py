"""Carrying out a plan from a command: where its records go, which project its cells need, and the report at the end."""

from __future__ import annotations

from dataclasses import replace
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
    from bench.matrix.images import Project
    from bench.matrix.plan import Plan
    from bench.matrix.run import Begun
    from bench.report.loaded import RunRecords

COVERAGE = "coverage>=7.10"
"""What pip installs besides where coverage is measured; its patches for forks and for `os._exit` are that new."""


def start(plan: Plan, engine: Engine, config: Config, *, out: str | None, dry_run: bool) -> int:
    """Carry out a plan, or show it, and return the exit status; the records go to a new folder."""
    project = _project(plan, config)
    say_install(project)
    if dry_run:
        show(_plan_lines(plan, engine.name))
        return 0
    folder = records_folder(out, plan.run)
    write_sources(folder, project)
    return _carried_out(plan, engine, config, folder, project)


def go_on(begun: Begun, plan: Plan, engine: Engine, config: Config, folder: Path, *, dry_run: bool) -> int:
    """Carry out what is left of a run that was cut, or show it, and return the exit status of the whole run."""
    say(f"{len(begun.ends)} of {counted(len(plan.to_run), 'cell')} finished before, {len(begun.left)} left")
    if dry_run:
        show(line(f"{cell.name}") for cell in begun.left)
        return 0
    return _carried_out(plan, engine, config, folder, _project(plan, config), begun)


def _carried_out(
    plan: Plan, engine: Engine, config: Config, folder: Path, project: Project | None, begun: Begun | None = None
) -> int:
    """Carry out a plan, or what is left of it where it was begun, show the report, and return the exit status."""
    run = carry_out(
        plan,
        engine,
        folder,
        project,
        earlier=earlier_seconds(folder.parent, plan),
        save_schedules=schedule_saver(plan.targets, config, folder),
        begun=begun,
    )
    return _reported(run, folder, project if plan.coverage else None)


def _project(plan: Plan, config: Config) -> Project | None:
    """Return the project that cells need, with what measures their coverage if that is asked for."""
    project = project_of(plan.targets, plan.command, config)
    if project is None or not plan.coverage:
        return project
    install = project.install
    more = replace(install, requirements=(*install.requirements, COVERAGE), why=f"{install.why}; and coverage.py")
    return replace(project, install=more)


def _reported(run: RunRecords, folder: Path, measured: Project | None) -> int:
    """Show the report of a run, with the coverage of its project if that was measured, and return its exit status."""
    show(report(run, width=width()))
    if measured is not None:
        from bench.report.covered import cover, coverage_lines  # coverage.py takes long to import

        ran = [cell.cell for cell in run.cells if cell.facts is not None]
        show(coverage_lines(cover(folder, measured.root.resolve(), ran), folder))
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
