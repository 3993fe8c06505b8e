"""`bench replay`: run one recorded interleaving again, and report whether its outcome still happens."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cells import parse_method
from bench.cli.inputs import platform_methods, programs
from bench.cli.options import FROM_1, SECONDS
from bench.cli.output import STORY_NARROWEST, show, shows_unicode, width
from bench.errors import FAILED, PASSED, Inconclusive, UsageError
from bench.explore.findings.schedule import Schedule, read
from bench.explore.replay import Replayed, replay
from bench.report.lines import Line, Span, counted, line, one_line
from bench.report.story import Ending, ending_of, story

if TYPE_CHECKING:
    from bench.targets import Found

TIMES = 20

MOST_NOTES = 8
"""How many differences between file and run are shown; of the others only the number is."""


@click.command("replay")
@click.argument("file", metavar="FILE")
@click.option("--times", type=FROM_1, default=TIMES, show_default=True, metavar="N", help="Replay it N times.")
@click.option("--method", metavar="M", help="Start method.  [default: the one that it was found under]")
@click.option("--target", metavar="TARGET", help="The target, as file.py::Name, if it has moved.")
@click.option(
    "--deadline", "deadline_s", type=SECONDS, metavar="S", help="Seconds after which a step counts as a hang."
)
def command(file: str, times: int, method: str | None, target: str | None, deadline_s: float | None) -> int:
    """Run the interleaving of a schedule FILE again, and report whether its outcome still happens.

    \b
    Exit status:
        0  it no longer happens
        1  it still happens
        5  unknown: the schedule could not be followed
    """  # noqa: D301  # click's mark for lines that are not to be wrapped
    schedule = read(Path(file))
    chosen = parse_method(method or schedule.method)
    if chosen not in platform_methods():
        raise UsageError(f"this platform has no start method {chosen}; give one of {', '.join(platform_methods())}")
    found = _found(schedule, target, file)
    _extend_path(schedule.pythonpath)
    show(_head(schedule, chosen, times))
    came = replay(schedule, found, method=chosen, times=times, deadline_s=deadline_s)
    show(_lines(came))
    ending = Ending("nothing", "") if came.outcome is None else ending_of(came.outcome)
    columns = width(STORY_NARROWEST)
    show(story(came.witness, ending, width=columns, unicode=shows_unicode(), root=os.getcwd()))
    return _exit_status(came)


def _found(schedule: Schedule, target: str | None, file: str) -> Found:
    """Return the target of a schedule, which is where it was or in the current folder."""
    if target is None:
        target = _target_of(schedule, file)
    found = programs([target])
    if len(found) > 1:
        found = tuple(one for one in found if one.program.name == schedule.name) or found
    if len(found) > 1:
        raise UsageError(f"{target} holds {counted(len(found), 'target')}; give one, such as {target}::{schedule.name}")
    return found[0]


def _target_of(schedule: Schedule, file: str) -> str:
    if schedule.root is None:
        return schedule.target
    parts = Path(schedule.root).parts[1:]  # in a container the project was elsewhere, but its folders were the same
    for folder in (schedule.root, *(os.path.join(*parts[start:], "") for start in range(len(parts))), ""):
        path = os.path.join(folder, schedule.file)
        if os.path.isfile(path):
            return f"{path}::{schedule.name}"
    raise UsageError(
        f"{schedule.file} of {file} is neither in {schedule.root} nor here; give its place with --target FILE::NAME"
    )


def _extend_path(folders: tuple[str, ...]) -> None:
    """Extend the import path, of processes started later too, by that of the run that found the schedule."""
    there = [folder for folder in folders if os.path.isdir(folder)]
    if there:
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join([*there, *([before] if before else [])])
        sys.path[:0] = there


def _head(schedule: Schedule, method: str, times: int) -> list[Line]:
    under = f" under {method}" + (f" (found under {schedule.method})" if method != schedule.method else "")
    return [
        line(
            "replaying ",
            Span(schedule.target, "bold"),
            under,
            f", {counted(times, 'time')}: ",
            one_line(schedule.outcome["text"]),
        )
    ]


def _lines(came: Replayed) -> list[Line]:
    """Return the lines of the result, and of the first differences."""
    notes = [line("    note: ", one_line(note)) for note in came.notes[:MOST_NOTES]]
    if more := len(came.notes) - MOST_NOTES:
        notes += [line(f"    note: {counted(more, 'more difference')}")] if more > 0 else []
    return [line(Span(came.text(), "bad" if came.happened else "odd" if came.divergence else "good")), *notes]


def _exit_status(came: Replayed) -> int:
    if came.happened:
        return FAILED
    return Inconclusive.exit_status if came.divergence else PASSED
