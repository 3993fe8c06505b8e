"""Runs that go on with an earlier one: checks of what is given beside it, and of the project it was of."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import bench
from bench.errors import UsageError
from bench.matrix.placement import cpus_needed
from bench.matrix.plan import failed_again, from_json
from bench.matrix.run import read_begun
from bench.matrix.run.sources import changed_since
from bench.report.findings import failed_alone
from bench.report.loaded import read

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    import click

    from bench.matrix.images import Project
    from bench.matrix.plan import Plan
    from bench.matrix.run import Begun


def refuse_beside(context: click.Context, option: str, free: Collection[str]) -> None:
    """Refuse the options and targets that were given beside `option`, but for the parameters named in `free`.

    Raises:
        UsageError: naming the first.
    """
    from click.core import ParameterSource

    for param in context.command.params:
        name = param.name or ""
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and name not in free and option not in param.opts:
            what = param.opts[0] if param.opts[0].startswith("-") else "the targets"
            raise UsageError(f"{option} goes by the plan of the earlier run; leave out {what}")


def begun_run(folder: Path, command: Sequence[str]) -> Begun:
    """Return a run that was cut, to go on with it.

    Raises:
        UsageError: if it is no such run, or is of another command or another forkbench.
    """
    begun = read_begun(folder)
    _check_command(folder, begun.plan, command)
    if begun.version != bench.__version__:
        raise UsageError(f"{folder} was begun by forkbench {begun.version}, and this is {bench.__version__}; run anew")
    return begun


def check_resumable(folder: Path, begun: Begun, cpus: int, project: Project | None) -> None:
    """Refuse to go on with a run of which no cell would be like those that are finished, or that does not fit here.

    Raises:
        UsageError: if the project has changed, naming the first file, or there are too few CPUs.
    """
    if changed := changed_since(folder, project):
        raise UsageError(f"{changed} since {folder} was begun; run anew, or put it back")
    needed = max(map(cpus_needed, begun.left), default=0)
    if needed > cpus:
        raise UsageError(f"{folder} needs {needed} CPUs, and there are {cpus} here; resume it where it was begun")


def failed_plan(folder: Path, command: Sequence[str], *, run: str) -> tuple[Plan, str]:
    """Return the plan that runs what failed in an earlier run again, and the engine of that run.

    Raises:
        UsageError: if the folder holds no run of a matrix, or one of another command.
        NothingToRun: if nothing failed there.
    """
    records = read(folder)
    if "host_cpus" not in records.run:
        raise UsageError(f"{folder} is no run of a matrix; only of those can the failed tests run again")
    plan = from_json(records.run)
    _check_command(folder, plan, command)
    statuses = {cell.cell: cell.status for cell in records.cells}
    failed = {cell.cell: failed_alone(cell) for cell in records.cells}
    return failed_again(plan, statuses, failed, run=run), str(records.run["engine"])


def _check_command(folder: Path, plan: Plan, command: Sequence[str]) -> None:
    if command and tuple(command) != plan.command:
        ran = shlex.join(plan.command) if plan.command else "targets"
        raise UsageError(f"{folder} ran {ran}; leave out the command, or run it anew")
