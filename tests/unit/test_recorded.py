"""What was written before the rooms of the package were moved is read after it, and reported as it was then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.explore.findings.schedule import read as read_schedule
from bench.record import dump, read_lines
from bench.report.lines import plain
from bench.report.loaded import read
from bench.report.summary import report

RECORDED = Path(__file__).parents[1] / "fixtures" / "recorded"
RUNS = ("matrix", "suite", "repeated", "explored")
SCHEDULES = sorted(RECORDED.rglob("schedules/*.jsonl"))


@pytest.mark.parametrize("name", RUNS)
def test_an_old_run_is_reported_as_it_was_then(name: str) -> None:
    assert plain(report(read(RECORDED / name))) == (RECORDED / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(RECORDED.rglob("cells/*.jsonl")), ids=lambda path: path.stem)
def test_an_old_record_is_written_again_as_it_was(path: Path) -> None:
    written = [json.loads(dump(line)) for line in read_lines(path)]
    assert written == [json.loads(line) for line in path.read_bytes().splitlines()]
    assert len(written) >= 3


@pytest.mark.parametrize("path", SCHEDULES, ids=lambda path: path.stem)
def test_an_old_schedule_is_read(path: Path) -> None:
    schedule = read_schedule(path)
    assert schedule.python == "3.11.7"
    assert schedule.steps
    assert all(step.at for step in schedule.steps)
