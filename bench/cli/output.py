"""The output of subcommands: lines in colour on a terminal, plain elsewhere; JSON to a file or to standard output."""

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

    from rich.text import Text

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
STORY_NARROWEST = 40
"""The least width of a story, which has a form of its own where there is little room."""


def width(narrowest: int = 60) -> int:
    """Return the width to lay out lines for: the terminal's, within bounds, or 100 where there is no terminal."""
    return max(narrowest, min(shutil.get_terminal_size((100, 24)).columns, WIDEST))


def show(lines: Iterable[Line], *, err: bool = False) -> None:
    """Print lines, with colours on a terminal unless `NO_COLOR` is set."""
    colour = False if os.environ.get("NO_COLOR") else None
    for one in lines:
        text = "".join(click.style(span.text, **COLOURS[span.style]) if span.style else span.text for span in _cut(one))
        click.echo(text, err=err, color=colour)


def _cut(one: Line) -> Line:
    """Return a line without the blanks at its end."""
    if not one:
        return one
    last = one[-1].text.rstrip()
    return (*one[:-1], one[-1]._replace(text=last)) if last else _cut(one[:-1])


def rich_text(lines: Iterable[Line]) -> Text:
    """Return lines as the text that rich shows, which draws what changes on a terminal."""
    from rich.text import Text

    text = Text(no_wrap=True, overflow="ellipsis")
    for one in lines:
        for span in one:
            text.append(span.text, rich_style(span.style))
        text.append("\n")
    text.rstrip()
    return text


def rich_style(style: Style) -> str:
    """Return in rich's words what `COLOURS` has in click's."""
    return " ".join(str(item) if name == "fg" else name for name, item in COLOURS[style].items())


def story_lines(judged: Judged, shown: set[str], *, err: bool = False) -> list[Line]:
    """Return the stories of an observation as this terminal can show them; `shown` are those that were shown before."""
    from bench.report.stories import stories

    root = os.getcwd()
    return stories(judged, width=width(STORY_NARROWEST), unicode=shows_unicode(err=err), root=root, shown=shown)


def shows_unicode(*, err: bool = False) -> bool:
    """Return whether the output's encoding has more than ASCII."""
    encoding = getattr(sys.stderr if err else sys.stdout, "encoding", None) or "ascii"
    return encoding.lower().replace("-", "").startswith("utf")


def say(text: str) -> None:
    """Print one line for a person to standard error, beside the output."""
    click.echo(f"{command_name()}: {text}", err=True)


def write_text(to: str, text: str) -> None:
    """Write machine-readable text to the file that `--json` names, or to standard output for `-`.

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
