"""Lines of a report: pieces of text with a style each, so that layout does not depend on colours."""

from __future__ import annotations

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
