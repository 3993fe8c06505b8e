"""The stories of an observation in mode explore: by which interleaving each finding comes about."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from bench.report.lines import Line, Span, line, one_line
from bench.report.story import Ending, ending_of, story

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bench.record import Graded, Judged
    from bench.report.lines import Style
    from bench.values import Json


def stories(
    judged: Judged, *, width: int = 100, unicode: bool = True, root: str = "", told: set[str] | None = None
) -> list[Line]:
    """Tell how each finding of an observation comes about.

    All that is forbidden is told, and of what is interesting for one and the same reason the easiest to follow.

    Args:
        judged: what was observed, with its verdict.
        width: characters of a line.
        unicode: whether rules and arrows may be drawn by other than ASCII characters.
        root: the folder that places are shown relative to.
        told: what was told already, of the same target under another start method: that gets the command alone. What
            is told now is added.
    """
    before = set() if told is None else told
    lines: list[Line] = []
    for one in _findings(judged):
        name = f"{judged.target} {one.outcome.key}"
        if name in before:
            if replay := one.witness.get("replay"):
                said = one_line(one.outcome.text(), width - 24)
                lines += [(), line("    gives ", said, ", as told above")]
                lines.append(line("    again: ", Span(str(replay), "bold")))
            continue
        replay = one.witness.get("replay")
        ending = ending_of(one.outcome, grade=one.grade, why=one_line(one.why), replay=str(replay or ""))
        drawn = story_of(one.witness, ending, width=width, unicode=unicode, root=root)
        if drawn:
            before.add(name)
            lines += [(), *drawn]
    return lines


def story_of(
    witness: Mapping[str, Json], ending: Ending, *, width: int = 100, unicode: bool = True, root: str = ""
) -> list[Line]:
    """Tell one schedule; the arguments are those of `stories`."""
    drawn = story(witness, ending, width=width, unicode=unicode, root=root)
    return [tuple(Span(text, cast("Style", style)) for text, style in row) for row in drawn]


def _findings(judged: Judged) -> Iterator[Graded]:
    yield from (one for one in judged.outcomes if one.grade in ("forbidden", None))
    reasons: set[str] = set()
    for one in sorted(judged.outcomes, key=lambda each: _effort(each.witness)):
        if one.grade == "interesting" and one.why not in reasons and one.witness.get("steps"):
            reasons.add(one.why)
            yield one


def _effort(witness: Mapping[str, Json]) -> tuple[int, int]:
    preemptions, steps = witness.get("preemptions"), witness.get("lanes")
    return preemptions if isinstance(preemptions, int) else 0, len(steps) if isinstance(steps, list) else 0
