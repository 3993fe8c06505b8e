"""`bench explore`: every interleaving of the processes of a scenario or a program, one at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from bench.cli.inputs import programs
from bench.cli.options import (
    FROM_0,
    FROM_1,
    SECONDS,
    TARGET,
    as_sampling,
    json_option,
    methods_option,
    seed_option,
    targets_argument,
)
from bench.cli.output import say
from bench.cli.run_command import carry_out
from bench.declared import actors_of
from bench.explore.search import DEFAULT, NAMES
from bench.report.lines import counted

if TYPE_CHECKING:
    from bench.sampling import Sampling
    from bench.targets import Found


@click.command("explore", epilog=TARGET)
@targets_argument
@click.option(
    "--strategy",
    type=click.Choice(NAMES),
    default=DEFAULT,
    help="dfs: every interleaving; dpor: one per equivalence class; pct, random: sampled; "
    "portfolio: all of them in turns (default).",
)
@click.option("--preemptions", type=FROM_0, metavar="N", help="Only interleavings with at most N preemptions.")
@click.option("--schedules", type=FROM_1, metavar="N", help="At most N schedules of each target.")
@click.option("--seconds", type=SECONDS, metavar="S", help="At most S seconds for each target.")
@click.option(
    "--kills", type=FROM_0, default=0, metavar="N", help="Also kill up to N processes in a schedule, before any step."
)
@click.option("--audit/--no-audit", default=True, help="Whether claims are audited; one that is not says so.")
@click.option(
    "--deadline", "deadline_s", type=SECONDS, metavar="S", help="Seconds after which a step counts as a hang."
)
@methods_option
@seed_option
@click.option("--out", metavar="DIR", help="Folder for the records; without it only the schedules of findings stay.")
@json_option
@as_sampling
def command(
    targets: tuple[str, ...],
    strategy: str,
    preemptions: int | None,
    schedules: int | None,
    kills: int,
    audit: bool,
    sampling: Sampling,
    methods: tuple[str, ...],
    out: str | None,
    json_to: str | None,
) -> int:
    """Run TARGETs' processes one at a time, in every order of their steps, and show how each finding comes about.

    Without TARGET, the scenarios among the demos are explored. The JSON is the records, one object a line.
    """
    sampling = replace(sampling, modes=("explore",), samples=schedules)
    further = {"strategy": strategy, "preemptions": preemptions, "kills": kills, "audited": audit}
    found = programs(targets) if targets else _scenarios(programs(targets))
    return carry_out(found, targets, sampling, methods=methods, out=out, json_to=json_to, further=further)


def _scenarios(found: tuple[Found, ...]) -> tuple[Found, ...]:
    """Return the scenarios; a program, which takes long, is explored only where it is named."""
    kept = tuple(one for one in found if actors_of(one.program))
    if left := len(found) - len(kept):
        say(f"{counted(left, 'program')} left out, each schedule of which starts processes; name one to explore it")
    return kept
