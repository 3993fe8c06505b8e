"""`bench cell`: one cell by its name, run as a whole matrix is; tox environments call it."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cells import parse_cell
from bench.cli.engines import engine_of, engine_option
from bench.cli.inputs import records_folder, run_name
from bench.cli.matrix_command import TIMEOUT_S, settings
from bench.cli.options import (
    SECONDS,
    TARGET,
    WithCommand,
    as_sampling,
    modes_option,
    sampling_options,
    seed_option,
    test_options,
)
from bench.cli.output import say, show, width
from bench.cli.projects import project_of, say_install, schedule_saver
from bench.cli.running import carry_out
from bench.matrix.config import load_config
from bench.matrix.plan import make_plan
from bench.report.findings import FAILED_TEST
from bench.report.grid import STYLES, status_text
from bench.report.histogram import histogram
from bench.report.lines import Line, Span, counted, duration, line, one_line
from bench.report.status import exit_status

if TYPE_CHECKING:
    from bench.report.loaded import CellRecords
    from bench.sampling import Sampling

LOG_LINES = 60
"""How many lines of its log are shown of a cell that did not pass."""


@click.command("cell", cls=WithCommand, epilog=TARGET)
@click.argument("name")
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@engine_option
@click.option(
    "--timeout", "timeout_s", type=SECONDS, metavar="S", help=f"Seconds that it may take.  [default: {TIMEOUT_S:g}]"
)
@test_options
@modes_option
@sampling_options
@seed_option
@click.option(
    "--requirement",
    "requirements",
    multiple=True,
    metavar="R",
    help="What pip installs, again for more, in place of what the project says; . is the project, '' nothing.",
)
@click.option("--out", metavar="DIR", help="Folder for the records; without it none are kept.")
@as_sampling
def command(
    name: str,
    targets: tuple[str, ...],
    engine: str | None,
    timeout_s: float | None,
    test_timeout_s: float | None,
    strict_leaks: bool,
    sampling: Sampling,
    requirements: tuple[str, ...],
    out: str | None,
    user_command: tuple[str, ...],
) -> int:
    """Run TARGETs, or the COMMAND after --, in one cell. NAME is for example py314-spawn-cpu2."""
    cell = parse_cell(name)
    config = load_config(Path.cwd())
    if requirements:
        named = tuple(one for one in requirements if one.strip())
        config = replace(config, requirements=named, extras=None, groups=None, install="")
    chosen = settings(
        config,
        targets=targets or (() if user_command else config.targets),
        command=user_command,
        engine=engine,
        sampling=sampling,
        timeout_s=timeout_s,
        test_timeout_s=test_timeout_s,
        strict_leaks=strict_leaks or None,
    )
    where = engine_of(chosen.engine, config.images)
    run = run_name()
    rules = config.rules if timeout_s is None else config.rules.without_times()
    plan = make_plan([cell], run=run, host_cpus=len(where.cpus()), settings=chosen, rules=rules)
    project = project_of(chosen.targets, chosen.command, config)
    say_install(project)
    with ExitStack() as kept:
        folder = (
            records_folder(out, run)
            if out
            else Path(kept.enter_context(tempfile.TemporaryDirectory(prefix="bench-records-")))
        )
        save_schedules = schedule_saver(chosen.targets, config, folder if out else None)
        records = carry_out(plan, where, folder, project, live=False, save_schedules=save_schedules)
        ended = records.cells[0]
        log = folder / "logs" / f"{cell.name}.log"
        _show_log(log, whole=bool(user_command), bad=ended.status not in ("pass", "unavailable"))
        show(_lines(ended, width()))
    if out:
        say(f"records: {folder}")
    return exit_status(records)


def _show_log(path: Path, *, whole: bool, bad: bool) -> None:
    if not (whole or bad) or not path.is_file():
        return
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    shown_lines = lines if whole else lines[-LOG_LINES:]
    if len(shown_lines) < len(lines):
        click.echo(f"... {counted(len(lines) - len(shown_lines), 'line')} of the log before this")
    for text in shown_lines:
        click.echo(text)


def _lines(ended: CellRecords, columns: int) -> list[Line]:
    bad = [test for test in ended.tests if test.status in FAILED_TEST]
    facts = ended.facts
    granted = f" on {facts.implementation} {facts.python}, CPUs {','.join(map(str, facts.affinity))}" if facts else ""
    why = f": {ended.end.why}" if ended.end.why else ""
    tested = f", {counted(len(ended.tests), 'test')}" if ended.tests else ""
    return [
        *(one for judged in ended.judged for one in histogram(judged, width=columns)),
        *(line(Span(f"{test.status:<8}", "bad"), test.id, f"  {one_line(test.signature or '', 60)}") for test in bad),
        *(
            line(
                Span(f"{'left':<8}", "odd"),
                one.id,
                f"  {one_line(', '.join(f'{x.kind} {x.name}' for x in one.left), 60)}",
            )
            for one in ended.notes
            if one.left
        ),
        line(
            Span(f"{status_text(ended.status):<7} ", STYLES[ended.status]),
            Span(ended.cell, "bold"),
            f"{granted}, {duration(ended.end.seconds)}{tested}{why}",
        ),
    ]
