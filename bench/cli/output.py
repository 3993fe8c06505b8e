"""What subcommands print: lines in colour on a terminal, plain elsewhere; JSON to a file or to standard output."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.called import command_name
from bench.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bench.record import Judged
    from bench.report.lines import Line, Style

COLOURS: Mapping[Style, Mapping[str, Any]] = {
    "": {},
    "bold": {"bold": True},
    "dim": {"dim": True},
    "good": {"fg": "green"},
    "bad": {"fg": "red", "bold": True},
    "odd": {"fg": "yellow"},
    "trouble": {"fg": "magenta"},
}

WIDEST = 160


def width() -> int:
    """Give the width to lay lines out for: the terminal's, or 100 where there is none."""
    return max(60, min(shutil.get_terminal_size((100, 24)).columns, WIDEST))


def terminal_width() -> int:
    """Give the width as it is, for what has a form of its own where there is little room."""
    return max(40, min(shutil.get_terminal_size((100, 24)).columns, WIDEST))


def show(lines: Iterable[Line], *, err: bool = False) -> None:
    """Print lines; colours go to a terminal alone, and not there if `NO_COLOR` is set."""
    colour = False if os.environ.get("NO_COLOR") else None
    for one in lines:
        text = "".join(click.style(span.text, **COLOURS[span.style]) if span.style else span.text for span in _cut(one))
        click.echo(text, err=err, color=colour)


def _cut(one: Line) -> Line:
    """Leave out the blanks at the end, which only lay out what would come after."""
    if not one:
        return one
    last = one[-1].text.rstrip()
    return (*one[:-1], one[-1]._replace(text=last)) if last else _cut(one[:-1])


def told(judged: Judged, before: set[str], *, err: bool = False) -> list[Line]:
    """Give the stories of an observation as this terminal can show them; `before` are those that were told already."""
    from bench.report.stories import stories

    return stories(judged, width=terminal_width(), unicode=shows_unicode(err=err), root=os.getcwd(), told=before)


def shows_unicode(*, err: bool = False) -> bool:
    """Tell whether the terminal, or whoever reads, can be given more than ASCII."""
    encoding = getattr(sys.stderr if err else sys.stdout, "encoding", None) or "ascii"
    return encoding.lower().replace("-", "").startswith("utf")


def say(text: str) -> None:
    """Tell a person something beside the output: one line on standard error."""
    click.echo(f"{command_name()}: {text}", err=True)


def write_text(to: str, text: str) -> None:
    """Write machine-readable text where `--json` says.

    Raises:
        UsageError: if the file cannot be written.
    """
    if to == "-":
        click.echo(text, nl=False)
        return
    try:
        Path(to).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {to}: {error.strerror}; give another file, or - for standard output") from None
