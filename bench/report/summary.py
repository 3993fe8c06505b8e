"""The report of a run: grid, rates under stress, exploration, each finding once, and a summary in one line."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from bench.called import command_name
from bench.report import findings as found
from bench.report import noted
from bench.report.costs import cost_lines
from bench.report.exploration import exploration_lines
from bench.report.grid import STYLES, grid
from bench.report.lines import Line, Span, Style, counted, duration, line, one_line, percent, words, wrapped
from bench.report.places import HOST, where
from bench.report.rates import rates
from bench.report.repeats import by_tally, tallies
from bench.sampling import TIMED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench.outcomes import Grade
    from bench.record import CellStatus
    from bench.report.findings import Distribution, Finding, Note, Spread
    from bench.report.loaded import RunRecords
    from bench.report.places import Place
    from bench.report.repeats import Tally
    from bench.sampling import Mode

TOP = 5
"""Values of a distribution that are listed; the others are counted."""

STORY: Mapping[Grade, int] = {"acceptable": 0, "interesting": 12, "forbidden": 60}
"""Steps up to which the story of a finding is shown."""

_NAMES: dict[CellStatus, str] = {
    "pass": "passed",
    "fail": "failed",
    "error": "errors",
    "timeout": "timed out",
    "oom": "out of memory",
    "crash": "crashed",
}


def report(run: RunRecords, *, width: int = 100) -> list[Line]:
    """Return the report of a run; lines have at most about `width` characters, but names and commands stay whole."""
    return [
        *grid(run),
        line(),
        *rates(run, width),
        *exploration_lines(run, width),
        *cost_lines(run, width),
        *findings_text(run, width),
        summary_line(run),
    ]


def findings_text(run: RunRecords, width: int = 100) -> list[Line]:
    """Return each finding once: forbidden, failed tests, interesting, warnings, then what has no verdict and why."""
    every = found.findings(run)
    repeated = tallies(run)
    bad = [one for one in every if one.grade == "forbidden"]
    odd = [one for one in every if one.grade == "interesting"]
    warned = [*found.warnings(run), *noted.warnings_of_tests(run)]
    return [
        *_section("Forbidden", "bad", [_finding(one, run, width) for one in bad]),
        *_section("Failed tests", "bad", [_failed_test(one, run, width, repeated) for one in found.failed_tests(run)]),
        *_section("Interesting", "odd", [_finding(one, run, width) for one in odd]),
        *_section("Left behind", "odd", [_note(one, width) for one in noted.left_behind(run)]),
        *_section("Start methods of their own", "odd", [_note(one, width) for one in noted.chosen_methods(run)]),
        *_section("Warnings", "odd", [_note(one, width) for one in warned]),
        *_section("Unknown", "trouble", [_note(one, width) for one in found.unknowns(run)]),
        *_section("Cells without a verdict", "trouble", [_trouble(one, run, width) for one in found.troubles(run)]),
    ]


def _section(title: str, style: Style, entries: Sequence[Sequence[Line]]) -> Iterator[Line]:
    if entries:
        yield line(Span(f"{title} ({len(entries)})", style))
        for entry in entries:
            yield from entry
        yield line()


def _finding(one: Finding, run: RunRecords, width: int) -> list[Line]:
    replay = one.first.tally.witness.get("replay")
    again = str(replay or reproduce(one.first.place, one.target, run, one.first.seed, one.first.mode))
    return [
        line("  ", Span(one.target, "bold")),
        *(_distribution_lines(one, one.distribution, width) if one.distribution else _outcome_lines(one, width)),
        *_spread_lines(one),
        *(story := _story(one, width)),
        *([line("      again: ", Span(again, "bold"))] if one.grade == "forbidden" or replay else []),
        *(
            [line("      witness: ", text)]
            if one.grade == "forbidden" and (text := _witness(one, width)) and not story
            else []
        ),
    ]


def _story(one: Finding, width: int) -> list[Line]:
    """Return the story of a finding, where it has a schedule that is short enough to follow."""
    steps = one.first.tally.witness.get("steps")
    if one.first.mode != "explore" or not isinstance(steps, list) or len(steps) > STORY[one.grade]:
        return []
    from bench.report.story import ending_of, story

    drawn = story(one.first.tally.witness, ending_of(one.first.tally.outcome), width=width - 4, unicode=False)
    return [line(), *(line("    ", *row) for row in drawn), line()] if drawn else []


def _spread_lines(one: Finding) -> Iterator[Line]:
    """Yield, for each mode in which the target was observed, the places and the number of samples."""
    spreads = one.spreads()
    for spread in spreads:
        mode = f"{spread.mode}: " if len(spreads) > 1 or spread.mode != "repeat" else ""
        if spread.places:
            yield line(f"      {mode}{where(spread.places, spread.universe)}: {_how_often(spread)}")
        else:
            yield line(f"      {mode}never, {where(spread.universe, spread.universe)}")


def _how_often(one: Spread) -> str:
    if one.mode == "explore":
        return f"{one.count:,} of {counted(one.samples, 'schedule')}"
    if one.count == one.samples:
        return f"all {counted(one.samples, 'sample')}" if one.samples > 1 else "the only sample"
    return f"{one.count:,} of {counted(one.samples, 'sample')}"


def _outcome_lines(one: Finding, width: int) -> list[Line]:
    others = f" (and {len(one.texts) - 1} of other wording)" if len(one.texts) > 1 else ""
    return [
        *wrapped(["      "], one.texts[0], width, tail=others),
        *(wrapped(["      why: "], one.why, width) if one.why else []),
    ]


def _distribution_lines(one: Finding, spread: Distribution, width: int) -> list[Line]:
    listed = [f"{one_line(text, 30)} ({count:,})" for text, count in spread.top[:TOP]]
    more = [f"{spread.distinct - TOP:,} more"] if spread.distinct > TOP else []
    span = f" from {spread.span[0]} to {spread.span[1]}" if spread.span else ""
    return [
        *wrapped([f"      {spread.distinct:,} different values{span}: "], words([*listed, *more]), width),
        *(wrapped(["      why: "], one.why, width) if one.why else []),
        *(_acceptable(*spread.acceptable) if spread.acceptable else ()),
    ]


def _acceptable(least: float, median: float, greatest: float) -> list[Line]:
    text = f"acceptable in {percent(least)} to {percent(greatest)} of a cell's samples (median {percent(median)})"
    return [line("      ", text)]


def _witness(one: Finding, width: int) -> str:
    pairs = [(key, text) for key, text in one.first.tally.witness.items() if key not in ("schedule", "replay")]
    return one_line(", ".join(f"{key} {text}" for key, text in pairs if isinstance(text, (str, int))), width - 15)


def _failed_test(note: Note, run: RunRecords, width: int, repeated: Mapping[str, Mapping[Place, Tally]]) -> list[Line]:
    first = min(note.places, key=lambda place: place.order)
    counts = by_tally(repeated.get(note.targets[0], {}), note.places)
    spread = {str(tally): places for tally, places in counts.items()} or {"": note.places}
    alike = next(iter(spread)) if len(spread) == 1 else ""
    return [
        line("  ", Span(note.targets[0], "bold"), f"  {note.kind}", f"  {alike}" if alike else ""),
        *wrapped(["      "], note.text, width),
        *(
            line(f"      {f'{tally}: ' if not alike and tally else ''}{where(places, note.universe)}")
            for tally, places in spread.items()
        ),
        line("      again: ", Span(reproduce(first, None, run, run.seed), "bold")),
    ]


def _note(note: Note, width: int) -> list[Line]:
    targets = words([*note.targets[:4], *([f"{len(note.targets) - 4} more"] if len(note.targets) > 4 else [])])
    mode = f"{note.kind}: " if note.kind in TIMED else ""
    return [
        *wrapped(["  ", mode], note.text, width),
        line(f"      {where(note.places, note.universe)}, from {targets}"),
    ]


def _trouble(note: Note, run: RunRecords, width: int) -> list[Line]:
    return [
        *wrapped(["  ", Span(note.kind, "trouble"), ": "], note.text or "no reason was recorded", width),
        line(f"      {where(note.places, note.universe)}"),
        *(line("      | ", Span(one_line(text, width - 8), "dim")) for text in _failed_output(note, run)),
    ]


def _failed_output(note: Note, run: RunRecords) -> list[str]:
    """Return the last lines of an installation that failed, where that is why cells have no verdict."""
    pythons: Mapping[str, Mapping[str, object]] = run.run.get("pythons") or {}
    same = (one.get("output") for one in pythons.values() if one.get("refused") == note.text)
    return str(next(same, "") or "").splitlines()


def reproduce(place: Place, target: str | None, run: RunRecords, seed: int | None, mode: Mode | None = None) -> str:
    """Return the command that runs one target, or the user's own command, in one place again."""
    command = [str(word) for word in run.run.get("command") or ()]
    targets = _arguments(target, [str(one) for one in run.run.get("targets") or ()])
    engine = ["--engine", str(run.run["engine"])] if run.run.get("engine") not in (None, "docker", "auto") else []
    seeded = [] if seed is None else ["--seed", str(seed)]
    in_mode = ["--mode", mode] if mode in TIMED or (mode and run.run.get("modes") == [mode] and not command) else []
    if place.size == HOST:
        return shlex.join([command_name(), "run", *targets, *in_mode, "--method", place.method, *seeded])
    if command:
        return shlex.join([command_name(), "cell", place.cell, *engine, *seeded, "--", *command])
    return shlex.join([command_name(), "cell", place.cell, *targets, *in_mode, *engine, *seeded])


def _arguments(target: str | None, given: Sequence[str]) -> list[str]:
    """Return the arguments that name a recorded target; a target of a file by the file that was given."""
    if target is None:
        return list(given)
    module, _, name = target.partition(":")
    last = module.rpartition(".")[2]
    files = [one.partition("::")[0] for one in given if one.partition("::")[0].endswith(".py")]
    here = [file for file in files if file.rpartition("/")[2] == f"{last}.py"]
    return [f"{here[0]}::{name}"] if here else [target] if not files else list(given)


def summary_line(run: RunRecords) -> Line:
    """Return the number of cells of each status, the time, and the least time that it could have taken."""
    counts = {status: sum(cell.status == status for cell in run.cells) for status in STYLES}
    parts: list[str | Span] = []
    for status, number in counts.items():
        if number:
            parts += [", " if parts else "", Span(f"{number} {_NAMES.get(status, status)}", STYLES[status])]
    return line(*parts, *([f" in {_times(run)}"] if parts and run.makespan_s else []))


def _times(run: RunRecords) -> str:
    makespan, bound = run.makespan_s or 0.0, run.run.get("lower_bound_s")
    if not isinstance(bound, (int, float)) or bound <= 0:
        return duration(makespan)
    return f"{duration(makespan)} ({makespan / bound:.2f} x the lower bound of {duration(bound)})"
