"""`bench run`: programs and scenarios on this host, under each start method."""

from __future__ import annotations

import functools
import sys
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from bench.cells import parse_method
from bench.cli.inputs import observable, platform_methods, programs, records_folder, run_name
from bench.cli.options import (
    TARGET,
    as_sampling,
    json_option,
    methods_option,
    mode_option,
    sampling_options,
    seed_option,
    split,
    targets_argument,
)
from bench.cli.output import say, show, story_lines, width, write_text
from bench.errors import FAILED, PASSED, Inconclusive, NothingToRun
from bench.modes import observer
from bench.outcomes import Conditions
from bench.record import End, FileSink, Judged, dump, timestamp, write_run
from bench.report.histogram import histogram
from bench.sampling import TIMED
from bench.verdict import merge, to_judged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bench.observation import Observation
    from bench.record import CellStatus, RecordLine
    from bench.sampling import Sampling
    from bench.targets import Found
    from bench.values import Json

CELL = "local"
"""The name of the host itself as a cell."""


@click.command("run", epilog=TARGET)
@targets_argument
@mode_option
@sampling_options
@methods_option
@seed_option
@click.option("--out", metavar="DIR", help="Folder for the records; without it none are kept.")
@json_option
@as_sampling
def command(
    targets: tuple[str, ...],
    sampling: Sampling,
    methods: tuple[str, ...],
    out: str | None,
    json_to: str | None,
) -> int:
    """Run TARGETs on this host, under each start method, and show their outcomes.

    The JSON is the records, one object a line. In mode explore, --samples is the most schedules of each target, and the
    schedules of findings are kept without --out too.
    """
    found = observable(programs(targets), sampling.modes)
    return carry_out(found, targets, sampling, methods=methods, out=out, json_to=json_to)


def carry_out(
    found: Sequence[Found],
    targets: Sequence[str],
    sampling: Sampling,
    *,
    methods: Sequence[str],
    out: str | None,
    json_to: str | None,
    further: Mapping[str, Any] = MappingProxyType({}),
) -> int:
    """Observe each target under each start method, record and show each observation, and return the exit status.

    Args:
        found: the targets to observe.
        targets: what was asked for, for the record.
        sampling: in which one mode, and how, to observe.
        methods: the start methods asked for; none asks for all.
        out: the folder for the records; `None` keeps none.
        json_to: the file for the records as JSON lines, `-` for standard output; `None` writes none.
        further: further arguments of the mode's observer.
    """
    usable, missing = _usable([parse_method(name) for name in split(tuple(methods))])
    recorder = _Recorder(records_folder(out, "") if out is not None else None, json_to)
    recorder.begin(tuple(targets), sampling)
    try:
        for one in found:
            for method in usable:
                seen = _observed(one, method, sampling, **further)
                conditions = Conditions(method, recorder.facts.python, recorder.facts.cpus_usable)
                judged = to_judged(one.program.expectations, seen, conditions)
                recorder.write(_save_schedules(judged, one, recorder))
    except KeyboardInterrupt:
        recorder.end("interrupted", "stopped by a signal")
        raise
    recorder.end(*_ended(recorder, missing))
    return _exit_status(recorder, missing)


def _usable(asked: list[str]) -> tuple[list[str], list[str]]:
    """Split the methods asked for into those this platform has and those it lacks."""
    there = platform_methods()
    missing = [method for method in asked if method not in there]
    for method in missing:
        say(f"this platform has no start method {method}; there are {', '.join(there)}")
    usable = [method for method in there if not asked or method in asked]
    if not usable:
        raise NothingToRun(f"no start method is left; this platform has {', '.join(there)}")
    return usable, missing


class _Recorder:
    """Writes the lines of the run as they come, and shows each observation on the terminal."""

    def __init__(self, folder: Path | None, json_to: str | None) -> None:
        self.folder = folder
        self.json_to = json_to
        self.verdicts: list[Judged] = []
        self._sink = FileSink(folder / "cells" / f"{CELL}.jsonl") if folder is not None else None
        self._run: dict[str, Json] = {}
        self._text = ""
        self._shown: set[str] = set()
        self._begun = time.monotonic()

    def begin(self, targets: tuple[str, ...], sampling: Sampling) -> None:
        """Record what is to be run, and the facts of this host.

        Raises:
            UsageError: if the file of `--json` cannot be written: known now, and not after the run.
        """
        from bench.process.facts import gather

        if self.json_to not in (None, "-"):
            write_text(str(self.json_to), "")
        self._run = {
            "run": run_name(),
            "targets": list(targets),
            "command": [],
            "modes": list(sampling.modes),
            "seed": sampling.seed,
            "engine": CELL,
            "started": timestamp(),
            "ended": None,
            "cells": [{"cell": CELL, "decision": "run", "why": ""}],
        }
        if self.folder is not None:
            write_run(self.folder, self._run)
        self.facts = gather(CELL, method_asked=None, cpus_asked=None, engine=CELL, seed=sampling.seed)
        self.write(self.facts)

    def write(self, line: RecordLine) -> None:
        """Record a line; an observation is shown too, on standard error where JSON goes to standard output."""
        if self._sink is not None:
            self._sink.write(line)
        if self.json_to == "-":
            write_text("-", dump(line).decode("utf-8"))
        elif self.json_to is not None:
            self._text += dump(line).decode("utf-8")
        if isinstance(line, Judged):
            self.verdicts.append(line)
            self._show(line)

    def _show(self, judged: Judged) -> None:
        err = self.json_to == "-"
        show(histogram(judged, width=width()), err=err)
        if judged.mode == "explore":
            show(story_lines(judged, self._shown, err=err), err=err)

    def end(self, status: CellStatus, why: str) -> None:
        """Record how the run ended."""
        self.write(End(CELL, status, why, round(time.monotonic() - self._begun, 6)))
        if self.json_to not in (None, "-"):
            write_text(str(self.json_to), self._text)
        if self.folder is not None:
            write_run(self.folder, {**self._run, "ended": timestamp()})
            say(f"records: {self.folder}")


def _observed(one: Found, method: str, sampling: Sampling, **further: Any) -> Observation:
    """Observe a target; on a terminal the histogram of a mode that is bounded by time is shown as it grows."""
    (mode,) = sampling.modes
    observe = functools.partial(observer(mode), one, method=method, cell=CELL, **sampling.keywords(), **further)
    if mode not in TIMED or not sys.stderr.isatty():
        return observe()
    from bench.cli.live import growing

    with growing(one.program, method, mode) as update:
        return observe(on_progress=update)


def _save_schedules(judged: Judged, one: Found, recorder: _Recorder) -> Judged:
    """Write the schedules of findings, if there are any, and return the observation with their names."""
    if judged.mode != "explore":
        return judged
    from bench.explore.findings.files import name_schedules, save_schedules

    return save_schedules(name_schedules(judged, one, python=recorder.facts.python), recorder.folder)


def _ended(recorder: _Recorder, missing: list[str]) -> tuple[CellStatus, str]:
    merged = merge(one.verdict for one in recorder.verdicts)
    if merged == "pass" and missing:
        return "unknown", f"no start method {', '.join(missing)} on this platform"
    first = next((one for one in recorder.verdicts if one.verdict == merged), None)
    return merged, "" if merged == "pass" or first is None else f"{first.target}: {first.why}"


def _exit_status(recorder: _Recorder, missing: list[str]) -> int:
    merged = merge(one.verdict for one in recorder.verdicts)
    if merged == "pass" and not missing:
        return PASSED
    return FAILED if merged == "fail" else Inconclusive.exit_status
