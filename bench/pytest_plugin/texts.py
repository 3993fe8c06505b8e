"""Texts for a person: the account of a failed observation, and the terminal summary."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.observation import Tally
from bench.pytest_plugin.settings import Settings, platform_methods
from bench.record import Judged
from bench.report.histogram import STYLES, histogram
from bench.report.lines import Line, Span, Style, counted, line, one_line, plain, words
from bench.report.stories import stories
from bench.values import Json

if TYPE_CHECKING:
    import pytest

TOP = 4
"""Outcomes of a program that get a line in the summary; forbidden ones always do."""

_WIDTH = 110
"""Characters of a line where there is no terminal to ask."""


def account(judged: Judged, again: str) -> str:
    """Return the account of an observation that did not pass: why, histogram, evidence, the command to repeat it."""
    explored = judged.mode == "explore"  # there the story of an outcome is its evidence
    forbidden = [one for one in judged.outcomes if one.grade == "forbidden"]
    unexplained = [one for one in forbidden if not (explored and one.witness.get("steps"))]
    return "\n".join(
        [
            judged.why,
            "",
            plain(histogram(replace(judged, why=""), width=_WIDTH)).rstrip("\n"),
            *(text for one in unexplained for text in _evidence(one)),
            *([plain(stories(judged, width=_WIDTH, root=os.getcwd())).rstrip("\n")] if explored else []),
            "",
            f"again: {again}",
        ]
    )


def _evidence(one: Tally) -> Iterator[str]:
    detail, witness = one.outcome.detail, one.witness
    yield ""
    seed = f": first seen with seed {witness['seed']}" if "seed" in witness else ""
    yield f"{one_line(one.outcome.parts[0].text(), _WIDTH)}{seed}"
    if isinstance(trace := detail.get("traceback"), str):
        yield from _indented(f"in process {detail.get('process')}:\n{trace}")
    for process in _objects(detail.get("processes")) or _objects(detail.get("processes_then")):
        yield from _indented(_process(process))
    yield from (f"    also: {one_line(also.text(), _WIDTH)}" for also in one.outcome.parts[1:])
    if isinstance(text := witness.get("stderr"), str) and "traceback" not in detail:
        yield from _indented(f"its standard error:\n{text}")


def _objects(value: Json) -> list[Mapping[str, Json]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _process(process: Mapping[str, Json]) -> str:
    name = process.get("name") or process.get("role") or "process"
    waits = f", waits in {process['waits_in']}" if process.get("waits_in") else ""
    head = f"{name} (pid {process.get('pid')}, parent {process.get('parent')}, state {process.get('state')}{waits}):"
    return f"{head}\n{process.get('stack') or 'gave no stack'}"


def _indented(text: str) -> Iterator[str]:
    return (f"    {row}".rstrip() for row in text.rstrip().splitlines())


def announcement(modes: Sequence[str], methods: Sequence[str], settings: Settings) -> list[str]:
    """Return how many items run in which modes, under which start methods, and which of these the platform lacks.

    Args:
        modes: the mode of each item.
        methods: the start methods, each once.
        settings: the options.
    """
    from bench.outcomes import METHODS

    missing = [name for name in METHODS if name not in platform_methods()]
    lacks = f"; this platform lacks {words(missing)}" if missing else ""
    each = [f"{modes.count(mode)} in {mode}" for mode in dict.fromkeys(modes)]
    how = f" in {modes[0]}" if len(each) == 1 else f": {words(each)}"
    seed = settings.sampling.seed
    return [f"forkbench: {counted(len(modes), 'test')}{how}, under {words(methods)}, seed {seed}{lacks}"]


def show(terminal: pytest.TerminalReporter, judged: Sequence[Judged], settings: Settings) -> None:
    """Write the summary; with `-q` without targets that plainly passed, and nothing with `-qq`."""
    width = max(shutil.get_terminal_size((_WIDTH, 24)).columns, 80)
    lines = summary(judged, seed=settings.sampling.seed, quiet=terminal.verbosity < 0, width=width)
    if terminal.verbosity < -1 or not lines:
        return
    terminal.section("forkbench")
    for one in lines:
        for span in one:
            terminal.write(span.text, **_MARKUP[span.style])
        terminal.line("")


_MARKUP: Mapping[Style, dict[str, bool]] = {
    "": {},
    "bold": {"bold": True},
    "dim": {"light": True},
    "good": {"green": True},
    "bad": {"red": True},
    "odd": {"yellow": True},
    "trouble": {"purple": True},
}


def summary(judged: Sequence[Judged], *, seed: int, quiet: bool = False, width: int = _WIDTH) -> list[Line]:
    """Return the summary: a line for targets with one acceptable outcome alone, a histogram for every other."""
    lines: list[Line] = []
    for same in _grouped(judged):
        if not _is_plain(same[0]):
            lines += [one for each in same for one in histogram(_without_repeats(each), width=width, top=TOP)]
        elif not quiet:
            lines.append(_plain_line(same, width))
    warned = dict.fromkeys(text for one in judged for text in one.warnings)
    if not quiet:
        lines += [line(Span("warning: ", "odd"), one_line(text, width - 9)) for text in warned]
    return [*lines, line(f"seed {seed}")] if lines else []


def _without_repeats(judged: Judged) -> Judged:
    """Return an observation without what stands elsewhere: its warnings, and why it failed."""
    why = "" if judged.verdict == "fail" else judged.why
    return replace(judged, why=why, warnings=())


def _is_plain(judged: Judged) -> bool:
    return judged.verdict == "pass" and [one.grade for one in judged.outcomes] == ["acceptable"]


def _grouped(judged: Sequence[Judged]) -> list[list[Judged]]:
    """Return observations in groups: those with the same one acceptable outcome of a target in a mode, others alone."""
    groups: dict[tuple[object, ...], list[Judged]] = {}
    for index, one in enumerate(judged):
        same = (one.outcomes[0].outcome.key, one.outcomes[0].why) if _is_plain(one) else (index,)
        groups.setdefault((one.target, one.mode, *same), []).append(one)
    return list(groups.values())


def _plain_line(same: Sequence[Judged], width: int) -> Line:
    first, samples = same[0], sum(one.samples for one in same)
    how = [] if first.mode == "repeat" else [first.mode]
    head = f"  [{', '.join([*how, *(one.method or first.mode for one in same)])}]  {samples:,}x "
    only = first.outcomes[0]
    tail = f"  {only.grade}" + (f": {one_line(only.why)}" if only.why else "")
    room = width - 8 - len(first.target) - len(head)
    text = one_line(only.outcome.text(), max(room - len(tail), 40))
    cut = one_line(tail, max(room - len(text) - 2, 20))  # without the spaces before it
    how_graded = Span(cut, STYLES[only.grade])
    return line(Span(f"{'pass':<8}", "good"), Span(first.target, "bold"), head, text, "  ", how_graded)
