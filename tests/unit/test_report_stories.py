"""What a report tells of an observation in mode explore, and the files that it keeps of it."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from bench.declared import Scenario
from bench.explore.findings.files import MOST, name_schedules, save_schedules
from bench.explore.findings.schedule import read, witness
from bench.explore.model import Plan
from bench.figures import ExploreFigures
from bench.observation import Rate
from bench.outcomes import Grade, Outcome
from bench.record import Graded, Judged, from_json, to_json
from bench.report.histogram import histogram
from bench.report.lines import plain
from bench.report.stories import stories
from bench.targets import Found, Place
from bench.values import Json
from tests.fixtures.figures import figures_of
from tests.fixtures.machines import account

FOUND = Found(Scenario("m", "Account", "/p/m.py", 3, "", (), actors=("deposit", "withdraw")), Place("/p", "m"))
ORDERS = {200: (0, 0, 1, 1), 201: (0, 1, 1, 0), 199: (1, 0, 0, 1)}


def judged(**grades: Grade) -> Judged:
    machine, outcomes = account(), []
    for value, lanes in ORDERS.items():
        seen = witness(machine.run(Plan(lanes)), machine)
        grade = grades.get(f"v{value}", "acceptable")
        outcomes.append(Graded(Outcome("value", value), 2, Rate(1 / 3, 1 / 3, 1 / 3), seen, grade, "because"))
    figures: dict[str, Json] = {
        "strategy": "dfs",
        "schedules": 6,
        "steps": 24,
        "claim": "all 6 interleavings",
        "seed": 3,
        "steps_per_second": 1234.5,
        "schedule": None,
    }
    return Judged(
        "m:Account",
        "explore",
        "local",
        6,
        0.01,
        tuple(outcomes),
        figures=ExploreFigures(figures),
        verdict="fail" if "forbidden" in grades.values() else "pass",
        method="fork",
    )


def keep(one: Judged, run: Path | None, pythonpath: tuple[str, ...] = ()) -> Judged:
    return save_schedules(name_schedules(one, FOUND, python="3.14.8", pythonpath=pythonpath), run)


def story_text(one: Judged, seen: set[str] | None = None) -> str:
    return plain(stories(one, shown=seen))


def test_the_histogram_counts_schedules_and_states_the_claim() -> None:
    text = plain(histogram(judged()))
    assert "[explore, fork, local]  6 schedules in 0.0 s" in text
    assert "    all 6 interleavings\n    1,234 steps/s; by dfs\n" in text


def test_what_is_acceptable_has_no_story() -> None:
    assert story_text(judged()) == ""


def test_each_forbidden_outcome_has_its_story() -> None:
    text = story_text(judged(v201="forbidden", v199="forbidden"))
    assert text.count("gives ") == 2
    assert text.count("overwrites what step 3 wrote") == 2


def test_of_outcomes_that_are_interesting_for_one_reason_one_has_its_story() -> None:
    text = story_text(judged(v201="interesting", v199="interesting"))
    assert text.count("gives ") == 1
    assert "interesting: because" in text


def test_a_story_that_was_shown_under_another_method_leaves_the_command_alone(tmp_path: Path) -> None:
    one = keep(judged(v201="forbidden"), tmp_path)
    seen: set[str] = set()
    assert "overwrites" in story_text(one, seen)
    again = story_text(one, seen)
    assert "overwrites" not in again
    assert "    again: bench replay " in again


def test_the_schedule_of_a_finding_is_saved_and_its_command_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one = keep(judged(v201="forbidden", v199="interesting"), Path("a run"), ("/lib",))
    assert len(list(Path("a run/schedules").iterdir())) == 2
    figures = figures_of(one)
    witness = next(t.witness for t in one.outcomes if t.outcome.value == 201)
    assert figures["schedule"] == witness["schedule"] == f"schedules/{Path(str(witness['schedule'])).name}"
    words = shlex.split(str(witness["replay"]))
    assert words[:2] == ["bench", "replay"]
    schedule = read(Path(words[2]))
    assert (schedule.target, schedule.outcome["text"], schedule.python) == ("m:Account", "201", "3.14.8")
    assert (schedule.pythonpath, schedule.strategy, schedule.seed) == (("/lib",), "dfs", 3)
    assert f"again: {witness['replay']}" in story_text(one)
    assert from_json(to_json(one)) == one


def test_without_a_run_findings_go_to_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for _ in range(2):
        one = keep(judged(v201="forbidden"), None)
    (path,) = (tmp_path / "forkbench" / "schedules").iterdir()
    assert one.outcomes[1].witness["replay"] == f"bench replay {path}"


def test_where_nothing_can_be_written_the_finding_has_its_story_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    one = keep(judged(v201="forbidden"), tmp_path / "file")
    assert "replay" not in one.outcomes[1].witness
    assert "again" not in story_text(one)
    assert "overwrites" in story_text(one)


def test_of_very_many_findings_some_schedules_are_saved(tmp_path: Path) -> None:
    one = judged(v201="forbidden")
    many = tuple(replace(one.outcomes[1], outcome=Outcome("value", n)) for n in range(MOST + 9))
    keep(replace(one, outcomes=many), tmp_path)
    assert len(list((tmp_path / "schedules").iterdir())) == MOST


def test_what_a_cell_recorded_is_saved_where_the_records_are(tmp_path: Path) -> None:
    one = judged(v201="forbidden")
    line = to_json(name_schedules(replace(one, cell="py314-fork-cpu1"), FOUND, python="3.14.8"))
    read_back = from_json(json.loads(json.dumps(line)))
    assert isinstance(read_back, Judged)
    save_schedules(read_back, tmp_path)
    (path,) = (tmp_path / "schedules").iterdir()
    assert path.name.startswith("m.Account-py314-fork-cpu1-")
    schedule = read(path)
    assert (schedule.cell, schedule.root, schedule.file, len(schedule.steps)) == ("py314-fork-cpu1", "/p", "m.py", 4)
    assert read_back.outcomes[1].witness["schedule"] == f"schedules/{path.name}"


def test_an_observation_of_another_mode_does_not_change(tmp_path: Path) -> None:
    one = Judged("m:Account", "stress", "local", 1, 0.1, (), verdict="unknown")
    assert keep(one, tmp_path) == one
    assert not list(tmp_path.iterdir())


def test_a_module_that_is_found_by_its_name_keeps_no_path_of_this_host(tmp_path: Path) -> None:
    program = Scenario("a.b.m", "Account", "/lib/site-packages/a/b/m.py", 3, "", (), actors=("deposit", "withdraw"))
    save_schedules(
        name_schedules(judged(v201="forbidden"), Found(program, Place(None, "a.b.m")), python="3.14.8"), tmp_path
    )
    (path,) = (tmp_path / "schedules").iterdir()
    assert (read(path).root, read(path).file) == (None, "a/b/m.py")
