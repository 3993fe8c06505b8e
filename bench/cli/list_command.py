"""`bench list`: the programs and scenarios of targets."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from bench.cli.inputs import programs
from bench.cli.options import TARGET, json_option, targets_argument
from bench.cli.output import show, width, write_text
from bench.declared import actors_of
from bench.report.lines import Line, Span, line, one_line

if TYPE_CHECKING:
    from bench.targets import Found


@click.command("list", epilog=TARGET)
@targets_argument
@json_option
def command(targets: tuple[str, ...], json_to: str | None) -> None:
    """List the programs and scenarios of TARGETs, with one line each."""
    found = programs(targets)
    if json_to is not None:
        write_text(json_to, json.dumps([_object(one) for one in found], indent=1, ensure_ascii=False) + "\n")
    if json_to != "-":
        show(_lines(found, width() if sys.stdout.isatty() else None))


def _object(found: Found) -> dict[str, object]:
    one = found.program
    return {
        "target": one.target,
        "summary": one.summary,
        "file": one.file,
        "line": one.line,
        "racy": one.races,
        "samples": one.samples,
        "deadline_s": one.deadline_s,
        "actors": list(actors_of(one)),
    }


def _lines(found: tuple[Found, ...], columns: int | None) -> list[Line]:
    broad = min(max(len(one.program.target) for one in found), 60)
    return [
        line(
            Span(f"{one.program.target:<{broad}}", "bold"),
            "  ",
            one_line(one.program.summary, None if columns is None else max(columns - broad - 2, 30)),
        )
        for one in found
    ]
