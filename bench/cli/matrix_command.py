"""`bench matrix`: programs, or a command, in every cell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.engines import engine_of, engine_option
from bench.cli.inputs import RUNS, records_folder, run_name
from bench.cli.options import (
    FROM_1,
    SECONDS,
    TARGET,
    WithCommand,
    as_sampling,
    methods_option,
    modes_option,
    pythons_option,
    sampling_options,
    seed_option,
    targets_argument,
)
from bench.cli.output import say, show, width
from bench.cli.projects import checked_targets, project_of, schedule_saver
from bench.cli.running import carry_out
from bench.matrix.config import load_config
from bench.matrix.plan import Plan, Selection, Settings, make_plan, parse_axes, parse_shard
from bench.modes import CELL_MODES
from bench.report.lines import Line, Span, counted, line
from bench.report.status import exit_status
from bench.report.summary import report
from bench.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.matrix.config import Config
    from bench.matrix.plan import Axes

TIMEOUT_S = 600.0


@click.command("matrix", cls=WithCommand, epilog=TARGET)
@targets_argument
@pythons_option
@methods_option
@click.option("--cpus", multiple=True, metavar="L", help="CPUs of a cell, such as 1,2,quota0.5.  [default: 1,2,4]")
@engine_option
@click.option("--select", multiple=True, metavar="G", help="Only cells whose names match, such as 'py31{3,4}-*'.")
@click.option("--skip", multiple=True, metavar="G", help="Leave out cells whose names match.")
@click.option("--shard", metavar="I/N", help="Only part I of N, to divide the cells among machines.")
@click.option("--jobs", type=FROM_1, metavar="N", help="Run at most N cells at once.  [default: as many as fit]")
@click.option(
    "--timeout", "timeout_s", type=SECONDS, metavar="S", help=f"Seconds that a cell may take.  [default: {TIMEOUT_S:g}]"
)
@modes_option
@sampling_options
@seed_option
@click.option("--dry-run", is_flag=True, help="Show the plan, and run nothing.")
@click.option("--out", metavar="DIR", help=f"Folder for the records.  [default: {RUNS}/TIME-ID]")
@as_sampling
def command(
    targets: tuple[str, ...],
    pythons: tuple[str, ...],
    methods: tuple[str, ...],
    cpus: tuple[str, ...],
    engine: str | None,
    select: tuple[str, ...],
    skip: tuple[str, ...],
    shard: str | None,
    jobs: int | None,
    timeout_s: float | None,
    sampling: Sampling,
    dry_run: bool,
    out: str | None,
    user_command: tuple[str, ...],
) -> int:
    """Run TARGETs, or the COMMAND after --, in every cell: Python x start method x CPUs.

    What is not given here comes from [tool.bench] of the project's pyproject.toml.
    """
    config = load_config(Path.cwd())
    axes = parse_axes(pythons or config.python, methods or config.method, cpus or config.cpus)
    selection = Selection(
        " ".join(select) or config.select, " ".join(skip) or config.skip, parse_shard(shard) if shard else None
    )
    given = targets or (() if user_command else config.targets)
    chosen = settings(
        config,
        targets=given,
        command=user_command,
        engine=engine,
        sampling=sampling,
        jobs=jobs,
        timeout_s=timeout_s,
    )
    return _run(axes, selection, chosen, config, out=out or config.out, dry_run=dry_run)


def settings(
    config: Config, *, targets: tuple[str, ...], sampling: Sampling, engine: str | None, **given: object
) -> Settings:
    """Return the settings: the command line's, else the configuration's, else the defaults.

    Raises:
        UsageError: if targets and a command are given, or a target is wrong.
        NothingToRun: if no target can be observed in any of the modes asked for.
    """
    command = given.get("command")
    asked = sampling.with_defaults(config.sampling)
    if targets or not command:  # the pytest that a command starts has modes of its own
        asked = asked.with_defaults(Sampling(CELL_MODES))
    configured: Mapping[str, object] = {
        "jobs": config.jobs,
        "timeout_s": config.timeout or TIMEOUT_S,
        "memory_bytes": config.memory,
        "pids": config.pids,
        "shm_bytes": config.shm,
    }
    merged = {**configured, **{name: item for name, item in given.items() if item is not None}}
    checked = checked_targets(targets, config, asked.modes) if targets or not command else ()
    return Settings(targets=checked, sampling=asked, engine=engine or config.engine or "auto", **merged)  # type: ignore[arg-type]  # Settings checks them again, at run time


def _run(axes: Axes, selection: Selection, chosen: Settings, config: Config, *, out: str | None, dry_run: bool) -> int:
    engine = engine_of(chosen.engine)
    name = run_name()
    plan = make_plan(axes, run=name, host_cpus=len(engine.cpus()), selection=selection, settings=chosen)
    if dry_run:
        show(_plan_lines(plan, engine.name))
        return 0
    folder = records_folder(out, name)
    project = project_of(chosen.targets, chosen.command, config)
    save_schedules = schedule_saver(chosen.targets, config, folder)
    run = carry_out(plan, engine, folder, project, earlier=_earlier(folder, plan), save_schedules=save_schedules)
    show(report(run, width=width()))
    say(f"records: {folder}")
    return exit_status(run)


def _plan_lines(plan: Plan, engine: str) -> list[Line]:
    broad = max(len(one.cell.name) for one in plan.cells)
    lines = [
        line(
            f"{one.cell.name:<{broad}}  ",
            Span(f"{one.decision:<11}", "good" if one.decision == "run" else "dim"),
            f"  {one.why}" if one.why else "",
        )
        for one in plan.cells
    ]
    left_out = len(plan.cells) - len(plan.to_run)
    what = " ".join(plan.command or plan.targets) or "the demos"
    return [*lines, line(f"{counted(len(plan.to_run), 'cell')} of {engine} would run {what}; {left_out} would not")]


def _earlier(folder: Path, plan: Plan) -> dict[str, float]:
    """Return the seconds that cells took in the latest run of the same targets: long cells can then start first."""
    for path in sorted(folder.parent.glob("*/run.json"), reverse=True):
        try:
            run = json.loads(path.read_text(encoding="utf-8"))
            same = all(run[name] == list(getattr(plan, name)) for name in ("targets", "command"))
            asked = plan.sampling
            if same and run["modes"] == list(asked.modes) and run["samples"] == asked.samples:
                return {one["cell"]: float(one["seconds"]) for one in run["cells"] if one.get("seconds")}
        except (OSError, ValueError, KeyError, TypeError):
            continue  # no complete run: the estimates will do
    return {}
