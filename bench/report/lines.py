"""Lines of a report: pieces of text with a style each, so that layout does not depend on colours."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Style = Literal["", "bold", "dim", "good", "bad", "odd", "trouble"]
"""The meaning of a piece of text, not its look; a terminal gives each a colour, a file none."""


class Span(NamedTuple):
    """A piece of a line in one style."""

    text: str
    style: Style = ""


Line: TypeAlias = "tuple[Span, ...]"


def line(*parts: str | Span) -> Line:
    """Return a line of plain strings and spans."""
    return tuple(part if isinstance(part, Span) else Span(part) for part in parts)


def plain(lines: Iterable[Line]) -> str:
    """Return the text of lines without styles, each with a newline at its end."""
    return "".join("".join(span.text for span in one).rstrip() + "\n" for one in lines)


def one_line(text: str, width: int | None = None) -> str:
    """Return text that fits into one line of a terminal: nothing in it moves the cursor, at most `width` characters."""
    spaced = " ".join(text.split())
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in spaced)
    return shown if width is None or len(shown) <= width else shown[: max(width - 1, 0)] + "…"


_PLACE = re.compile(r"\w:\d")

LEAST_ROOM = 30
"""Characters of a line that a text gets at least, however far to the right it begins."""


def rows_of(text: str, room: int) -> list[str]:
    """Return a text in rows of at most `room` characters, broken between words.

    A word with a place in it, `file:line`, is never cut, so that it can be copied out of a log: it has a row of its
    own, which may be longer.
    """
    room = max(room, LEAST_ROOM)
    words = " ".join(
        word if _PLACE.search(word) else " ".join(textwrap.wrap(word, room, break_on_hyphens=False))
        for word in one_line(text).split(" ")
    )
    return textwrap.wrap(words, room, break_long_words=False, break_on_hyphens=False) or [""]


def wrapped(head: Iterable[str | Span], text: str, width: int, *, style: Style = "", tail: str = "") -> list[Line]:
    """Return a text behind a head in as many lines as it takes, each of which begins below the first.

    Args:
        head: the parts of the first line before the text.
        text: what is wrapped.
        width: characters of a line; words that are longer exceed it.
        style: of the text.
        tail: what follows the text in its last line, whole.
    """
    first = line(*head)
    start = sum(len(span.text) for span in first)
    rows = rows_of(text, width - start)
    if tail and len(rows[-1]) + len(tail) > max(width - start, LEAST_ROOM) and len(rows) > 1:
        rows = [*rows, ""]
    befores: list[Line] = [first, *([line(" " * start)] * (len(rows) - 1))]
    lines = [(*before, Span(row, style)) for before, row in zip(befores, rows, strict=True)]
    return [*lines[:-1], (*lines[-1], Span(tail))] if tail else lines


def words(items: Sequence[str], last: str = "and") -> str:
    """Join items as a sentence does: `a`, `a and b`, `a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}" if items else ""


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun: `1 cell`, `3 cells`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def percent(share: float) -> str:
    """Return a share as a percentage that is never rounded to none or to all."""
    if 0 < share < 0.001:
        return "<0.1 %"
    if 0.999 < share < 1:
        return ">99.9 %"
    return f"{share * 100:.1f} %"


def duration(seconds: float) -> str:
    """Return a duration in seconds, or from 100 s on in minutes and seconds: `4.2 s`, `3 min 05 s`."""
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"
