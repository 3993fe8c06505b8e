"""Lines of a report: pieces of text with a style each, so that layout is settled before any colour is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Style = Literal["", "bold", "dim", "good", "bad", "odd", "trouble"]
"""What a piece of text is, not how it looks; a terminal gives each a colour, a file none."""


class Span(NamedTuple):
    """A piece of a line in one style."""

    text: str
    style: Style = ""


Line: TypeAlias = "tuple[Span, ...]"


def line(*parts: str | Span) -> Line:
    """Make a line of plain strings and spans."""
    return tuple(part if isinstance(part, Span) else Span(part) for part in parts)


def plain(lines: Iterable[Line]) -> str:
    """Give the text of lines without styles, each ended by a newline."""
    return "".join("".join(span.text for span in one).rstrip() + "\n" for one in lines)


def one_line(text: str, width: int | None = None) -> str:
    """Make text of a test fit for one line of a terminal: nothing that moves the cursor, at most `width` characters."""
    spaced = " ".join(text.split())
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in spaced)
    return shown if width is None or len(shown) <= width else shown[: max(width - 1, 0)] + "…"


def words(items: Sequence[str], last: str = "and") -> str:
    """Join items as a sentence does: `a`, `a and b`, `a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}" if items else ""


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Give a number with its noun: `1 cell`, `3 cells`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def percent(share: float) -> str:
    """Give a share as a percentage that never rounds something to nothing, nor most to all."""
    if 0 < share < 0.001:
        return "<0.1 %"
    if 0.999 < share < 1:
        return ">99.9 %"
    return f"{share * 100:.1f} %"


def duration(seconds: float) -> str:
    """Give a duration as a person says it: `4.2 s`, `3 min 05 s`."""
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"
