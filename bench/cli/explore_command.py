"""`bench explore`: every interleaving of the processes of a scenario or a program, one at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from bench.cli.inputs import programs
from bench.cli.options import SECONDS, as_sampling, json_option, methods_option, seed_option, targets_argument
from bench.cli.output import say
from bench.cli.run_command import carry_out
from bench.declared import actors_of
from bench.report.lines import counted

if TYPE_CHECKING:
    from bench.sampling import Sampling
    from bench.targets import Found

STRATEGIES = ("portfolio", "dpor", "dfs", "pct", "random")


@click.command("explore")
@targets_argument
@click.option(
    "--strategy",
    type=click.Choice(STRATEGIES),
    default="portfolio",
    show_default=True,
    help="dpor: all that differ; dfs: all; pct, random: by chance; portfolio: what fits, in turn.",
)
@click.option("--preemptions", type=click.IntRange(0), metavar="N", help="Only interleavings with at most N.")
@click.option("--schedules", type=click.IntRange(1), metavar="N", help="Schedules of each target at most.")
@click.option("--seconds", type=SECONDS, metavar="S", help="How long to go on with each target at most.")
@click.option("--kills", type=click.IntRange(0), default=0, metavar="N", help="Also kill up to N processes, anywhere.")
@click.option("--deadline", "deadline_s", type=SECONDS, metavar="S", help="How long one step may take.")
@methods_option
@seed_option
@click.option("--out", metavar="DIR", help="Where to record; without it the schedules of findings alone are kept.")
@json_option
@as_sampling
def command(
    targets: tuple[str, ...],
    strategy: str,
    preemptions: int | None,
    schedules: int | None,
    kills: int,
    sampling: Sampling,
    methods: tuple[str, ...],
    out: str | None,
    json_to: str | None,
) -> int:
    """Run TARGETs' processes one at a time, in every order of their steps, and tell how each finding comes about.

    The JSON output is the record lines, one object a line.
    """
    sampling = replace(sampling, modes=("explore",), samples=schedules)
    further = {"strategy": strategy, "preemptions": preemptions, "kills": kills}
    found = programs(targets) if targets else _scenarios(programs(targets))
    return carry_out(found, targets, sampling, methods=methods, out=out, json_to=json_to, further=further)


def _scenarios(found: tuple[Found, ...]) -> tuple[Found, ...]:
    """Leave out programs, which take long: they are explored where somebody names them."""
    kept = tuple(one for one in found if actors_of(one.program))
    if left := len(found) - len(kept):
        say(f"{counted(left, 'program')} left out, each schedule of which starts processes; name one to explore it")
    return kept
