"""The stories of an observation in mode explore: the interleaving that leads to each finding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.report.lines import Line, Span, line, one_line
from bench.report.story import ending_of, story

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bench.record import Graded, Judged
    from bench.values import Json


def stories(
    judged: Judged, *, width: int = 100, unicode: bool = True, root: str = "", shown: set[str] | None = None
) -> list[Line]:
    """Draw the story of each finding of an observation.

    Every forbidden outcome has one. Of the interesting ones with the same reason, only the easiest to follow has one.

    Args:
        judged: the observation.
        width: characters of a line.
        unicode: whether rules and arrows may be drawn by other than ASCII characters.
        root: the folder that places are shown relative to.
        shown: the findings whose stories were shown already, under another start method: those get the command
            alone. The findings of this observation are added.
    """
    before = set() if shown is None else shown
    lines: list[Line] = []
    for one in _findings(judged):
        name = f"{judged.target} {one.outcome.key}"
        if name in before:
            if replay := one.witness.get("replay"):
                outcome = one_line(one.outcome.text(), width - 24)
                lines += [(), line("    gives ", outcome, ", as shown above")]
                lines.append(line("    again: ", Span(str(replay), "bold")))
            continue
        replay = one.witness.get("replay")
        ending = ending_of(one.outcome, grade=one.grade, why=one_line(one.why), replay=str(replay or ""))
        drawn = story(one.witness, ending, width=width, unicode=unicode, root=root)
        if drawn:
            before.add(name)
            lines += [(), *drawn]
    return lines


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
