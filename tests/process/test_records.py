"""What is really recorded is of the published form, and all of the form is there to be relied on."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import bench
from bench.explore.findings.files import name_schedules, save_schedules
from bench.modes import observer
from bench.outcomes import Conditions
from bench.record import to_json
from bench.sampling import Mode
from bench.targets import find
from bench.verdict import to_judged
from tests.fixtures import scenarios

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="process trees are read from /proc")

FOLDER = Path(bench.__file__).parent / "schema"
SCHEMA = json.loads((FOLDER / "record-v1.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
SCHEDULES = jsonschema.Draft202012Validator(json.loads((FOLDER / "schedule-v1.json").read_text(encoding="utf-8")))
FORMS = SCHEMA["$defs"]


def line_of(name: str, mode: Mode, run: Path | None = None, **asked: Any) -> dict[str, Any]:
    (found,) = find([f"{scenarios.__name__}:{name}"])
    seen = observer(mode)(found, method="fork", seed=3, **asked)
    judged = to_judged(found.program.expectations, seen, Conditions("fork", "3.14.0", 2))
    if mode == "explore":
        judged = save_schedules(name_schedules(judged, found, python="3.14.0"), run)
    found_line = json.loads(json.dumps(to_json(judged)))
    assert isinstance(found_line, dict)
    return found_line


@pytest.mark.parametrize(
    ("name", "kinds"),
    [("WithoutLock", {"value"}), ("LockHeld", {"leak"}), ("ItemAlwaysLeft", {"leak"}), ("Dies", {"crash"})],
)
def test_of_stress(name: str, kinds: set[str]) -> None:
    line = line_of(name, "stress", seconds=0.5)
    VALIDATOR.validate(line)
    assert {one["kind"] for one in line["outcomes"]} >= kinds
    known = FORMS["stress"]["properties"]
    assert set(line["stress"]) == set(known), "a figure that is not described, or is described and never there"
    assert (line["stress"]["cut_short"] is not None) == (name == "Dies")


def test_of_leaks() -> None:
    leaks = [
        one["detail"]
        for name in ("LockHeld", "ItemAlwaysLeft")
        for one in line_of(name, "stress", seconds=0.5)["outcomes"]
        if one["kind"] == "leak"
    ]
    assert {key for detail in leaks for key in detail} == {"locks", "items", "summary"}


def test_of_explore_and_of_its_schedules(tmp_path: Path) -> None:
    line = line_of("WithoutLock", "explore", seconds=5.0, run=tmp_path)
    VALIDATOR.validate(line)
    assert len(line["outcomes"]) == 3
    assert set(line["explore"]) == set(FORMS["explore"]["properties"])
    described = set(FORMS["outcome"]["properties"]["witness"]["properties"]) - {"seed"}
    found = [one["witness"] for one in line["outcomes"] if one["grade"] != "acceptable"]
    assert [set(one) for one in found] == [described, described]
    for one in found:
        for row in (tmp_path / one["schedule"]).read_text(encoding="utf-8").splitlines():
            SCHEDULES.validate(json.loads(row))


@pytest.mark.parametrize(
    ("place", "instead"), [("groups", 0), ("collision_rate", 2), ("never_seen", {}), ("actors", 2)]
)
def test_other_figures_are_refused(place: str, instead: object) -> None:
    line = line_of("WithoutLock", "stress", seconds=0.2)
    line["stress"][place] = instead
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(line)
