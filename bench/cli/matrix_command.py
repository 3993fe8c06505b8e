"""`bench matrix`: programs, or a command, in every cell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.again import begun_run, check_resumable, failed_plan, refuse_beside
from bench.cli.earlier import shard_seconds
from bench.cli.engines import engine_of, engine_option
from bench.cli.inputs import RUNS, run_name
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
    test_options,
)
from bench.cli.projects import checked_targets, project_of
from bench.cli.starting import go_on, start
from bench.matrix.config import load_config
from bench.matrix.plan import Selection, Settings, make_plan, parse_axes, parse_shard
from bench.modes import CELL_MODES
from bench.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.matrix.config import Config

TIMEOUT_S = 600.0


@click.command("matrix", cls=WithCommand, epilog=TARGET)
@targets_argument
@pythons_option
@methods_option
@click.option("--cpus", multiple=True, metavar="L", help="CPUs of a cell, such as 1,2,quota0.5.  [default: 1,2,4]")
@click.option(
    "--seen", multiple=True, metavar="L", help="CPUs that Python is made to count, such as real,8.  [default: real]"
)
@engine_option
@click.option("--select", multiple=True, metavar="G", help="Only cells whose names match, such as 'py31{3,4}-*'.")
@click.option("--skip", multiple=True, metavar="G", help="Leave out cells whose names match.")
@click.option("--shard", metavar="I/N", help="Only part I of N, to divide the cells among machines.")
@click.option(
    "--durations",
    metavar="RUN",
    help="Balance shards by the times of this run.  [default: the latest whole run beside --out]",
)
@click.option("--jobs", type=FROM_1, metavar="N", help="Run at most N cells at once.  [default: as many as fit]")
@click.option(
    "--timeout", "timeout_s", type=SECONDS, metavar="S", help=f"Seconds that a cell may take.  [default: {TIMEOUT_S:g}]"
)
@test_options
@modes_option
@sampling_options
@seed_option
@click.option("--coverage", is_flag=True, help="Measure which lines the COMMAND runs, in children too, by cell.")
@click.option("--repeat", type=FROM_1, metavar="N", help="Run the COMMAND N times in each cell: what is flaky?")
@click.option("--resume", metavar="RUN", help="Go on with a run that was cut: the cells that are not finished.")
@click.option("--rerun-failed", metavar="RUN", help="Run the failed tests of a run again, in the cells that failed.")
@click.option("--dry-run", is_flag=True, help="Show the plan, and run nothing.")
@click.option("--out", metavar="DIR", help=f"Folder for the records.  [default: {RUNS}/TIME-ID]")
@as_sampling
def command(
    targets: tuple[str, ...],
    pythons: tuple[str, ...],
    methods: tuple[str, ...],
    cpus: tuple[str, ...],
    seen: tuple[str, ...],
    engine: str | None,
    select: tuple[str, ...],
    skip: tuple[str, ...],
    shard: str | None,
    durations: str | None,
    jobs: int | None,
    timeout_s: float | None,
    test_timeout_s: float | None,
    strict_leaks: bool,
    sampling: Sampling,
    coverage: bool,
    repeat: int | None,
    resume: str | None,
    rerun_failed: str | None,
    dry_run: bool,
    out: str | None,
    user_command: tuple[str, ...],
) -> int:
    """Run TARGETs, or the COMMAND after --, in every cell: Python x start method x CPUs.

    What is not given here comes from [tool.bench] of the project's pyproject.toml.
    """
    config = load_config(Path.cwd())
    if resume is not None:
        refuse_beside(click.get_current_context(), "--resume", ("jobs", "dry_run"))
        return _resumed(Path(resume), config, user_command, jobs, dry_run=dry_run)
    if rerun_failed is not None:
        free = ("jobs", "repeat", "timeout_s", "engine", "out", "dry_run")
        refuse_beside(click.get_current_context(), "--rerun-failed", free)
        name = run_name()
        plan, ran_on = failed_plan(Path(rerun_failed), user_command, run=name)
        changes = {"jobs": jobs, "repeat": repeat, "timeout_s": timeout_s, "engine": engine}
        plan = replace(plan, **{key: item for key, item in changes.items() if item is not None})  # type: ignore[arg-type]  # Settings checks them again, at run time
        return start(plan, engine_of(engine or ran_on, config.images), config, out=out or config.out, dry_run=dry_run)
    axes = parse_axes(pythons or config.python, methods or config.method, cpus or config.cpus, seen or config.seen)
    given = targets or (() if user_command else config.targets)
    chosen = settings(
        config,
        targets=given,
        command=user_command,
        engine=engine,
        sampling=sampling,
        jobs=jobs,
        timeout_s=timeout_s,
        repeat=repeat,
        test_timeout_s=test_timeout_s,
        strict_leaks=strict_leaks or None,
        coverage=coverage or None,
    )
    part = parse_shard(shard) if shard else None
    selection = Selection(
        " ".join(select) or config.select,
        " ".join(skip) or config.skip,
        part,
        shard_seconds(durations, out or config.out, chosen, part),
    )
    where = engine_of(chosen.engine, config.images)
    name = run_name()
    on_the_line = tuple(
        axis for axis, given in zip(("python", "method", "cpus"), (pythons, methods, cpus), strict=True) if given
    )
    rules = replace(config.rules if timeout_s is None else config.rules.without_times(), adds=not (on_the_line or seen))
    if config.rules.required:  # the project says what must be there; a person may ask for more
        axes = replace(axes, asked=on_the_line)
    cores = len(where.cpus())
    plan = make_plan(axes, run=name, host_cpus=cores, selection=selection, settings=chosen, rules=rules)
    return start(plan, where, config, out=out or config.out, dry_run=dry_run)


def _resumed(folder: Path, config: Config, command: tuple[str, ...], jobs: int | None, *, dry_run: bool) -> int:
    begun = begun_run(folder, command)
    engine = engine_of(begun.engine, config.images)
    plan = begun.plan if jobs is None else replace(begun.plan, jobs=jobs)
    check_resumable(folder, begun, len(engine.cpus()), project_of(plan.targets, plan.command, config))
    return go_on(begun, plan, engine, config, folder, dry_run=dry_run)


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
        "test_timeout_s": config.test_timeout,
        "strict_leaks": config.strict_leaks,
        "memory_bytes": config.memory,
        "pids": config.pids,
        "shm_bytes": config.shm,
    }
    merged = {**configured, **{name: item for name, item in given.items() if item is not None}}
    checked = checked_targets(targets, config, asked.modes) if targets or not command else ()
    return Settings(targets=checked, sampling=asked, engine=engine or config.engine or "auto", **merged)  # type: ignore[arg-type]  # Settings checks them again, at run time
