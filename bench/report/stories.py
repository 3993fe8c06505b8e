"""The stories of an observation in mode explore: by which interleaving each finding comes about."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from bench.report.lines import Line, Span, line, one_line
from bench.report.story import Ending, ending_of, story

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bench.observation import Tally
    from bench.outcomes import Grade
    from bench.record import Judged
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
    for one, grade, why in _findings(judged):
        name = f"{judged.observation.target} {one.outcome.key}"
        if name in before:
            if replay := one.witness.get("replay"):
                said = one_line(one.outcome.text(), width - 24)
                lines += [(), line("    gives ", said, ", as told above")]
                lines.append(line("    again: ", Span(str(replay), "bold")))
            continue
        replay = one.witness.get("replay")
        ending = ending_of(one.outcome, grade=grade, why=one_line(why), replay=str(replay or ""))
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


def _findings(judged: Judged) -> Iterator[tuple[Tally, Grade | None, str]]:
    every = [
        (one, *(judged.grades[index] if index < len(judged.grades) else (None, "")))
        for index, one in enumerate(judged.observation.outcomes)
    ]
    yield from (found for found in every if found[1] in ("forbidden", None))
    reasons: set[str] = set()
    for found in sorted(every, key=lambda each: _effort(each[0].witness)):
        if found[1] == "interesting" and found[2] not in reasons and found[0].witness.get("steps"):
            reasons.add(found[2])
            yield found


def _effort(witness: Mapping[str, Json]) -> tuple[int, int]:
    preemptions, steps = witness.get("preemptions"), witness.get("lanes")
    return preemptions if isinstance(preemptions, int) else 0, len(steps) if isinstance(steps, list) else 0
