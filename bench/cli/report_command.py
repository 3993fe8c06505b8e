"""`bench report`: a run, or the shards of one, as it was reported when it ended."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.output import show, width
from bench.report.loaded import read
from bench.report.merged import merge
from bench.report.status import exit_status
from bench.report.summary import report


@click.command("report")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
def command(runs: tuple[str, ...]) -> int:
    """Report a RUN by its folder, or several that are the shards of one matrix, as one.

    The exit status is that of the run.
    """
    merged = merge({name: read(Path(name)) for name in dict.fromkeys(runs)})
    show(report(merged, width=width()))
    return exit_status(merged)
