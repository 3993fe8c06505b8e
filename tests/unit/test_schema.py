"""The published schemas are valid, described, and say what the code says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import jsonschema
import pytest

import bench
from bench.explore.findings.schedule import KILLED, Anchor, Schedule, dump
from bench.matrix.plan import Axes, Decision, Settings, make_plan, to_json
from bench.outcomes import Grade, Kind
from bench.record import VERSION, CellStatus, TestStatus
from bench.sampling import MODES
from bench.verdict import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(bench.__file__).parent / "schema"
FILES = sorted(path.name for path in FOLDER.glob("*.json"))


def schema(name: str) -> dict[str, Any]:
    found = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


RECORD = schema("record-v1.json")
DEFINED = RECORD["$defs"]

# Those of the design, completed where it has an ellipsis.
EXAMPLES = """
{"v": 1, "type": "facts", "cell": "py314-spawn-cpu2", "python": "3.14.8", "implementation": "cpython", "method": {"asked": "spawn", "granted": "spawn"}, "cpus": {"asked": 2, "affinity": [0, 1], "os": 2, "process": 2, "usable": 2}, "engine": "docker", "seed": 7}
{"v": 1, "type": "observation", "cell": "py314-fork-cpu2", "target": "bench.demos.account:without_lock", "mode": "repeat", "samples": 200, "seconds": 3.1, "outcomes": [{"kind": "value", "value": 219, "detail": {}, "count": 3, "rate": {"median": 0.01, "least": 0.0, "greatest": 0.04}, "grade": "interesting", "why": "", "witness": {}}], "verdict": "pass", "why": "", "warnings": [], "explore": {"strategy": "dpor", "schedules": 4, "steps": 61, "complete": true, "bound": null, "schedule": "schedules/1.json"}}
{"v": 1, "type": "test", "cell": "py314-fork-cpu2", "id": "tests/test_pool.py::test_init", "status": "passed", "seconds": 0.1, "signature": null}
{"v": 1, "type": "end", "cell": "py314-fork-cpu2", "status": "pass", "why": "", "seconds": 4.2}
"""  # noqa: E501 (records are lines)


def described(node: object, path: str = "$") -> Iterator[tuple[str, bool]]:
    if isinstance(node, dict):
        for name, item in node.get("properties", {}).items():
            yield f"{path}.{name}", bool({"description", "$ref", "const", "enum"} & set(item)) or "rate" in path
        for name, item in node.items():
            yield from described(item, f"{path}.{name}")


@pytest.mark.parametrize("name", FILES)
def test_a_schema_is_valid_and_describes_every_field(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(name))
    assert [path for path, has in described(schema(name)) if not has] == []
    assert f"-v{VERSION}" in name


@pytest.mark.parametrize(
    ("where", "type_"),
    [
        (DEFINED["end"]["properties"]["status"], CellStatus),
        (DEFINED["test"]["properties"]["status"], TestStatus),
        (DEFINED["observation"]["properties"]["verdict"], Status),
        (DEFINED["outcome"]["properties"]["kind"], Kind),
    ],
)
def test_choices_are_those_of_the_code(where: dict[str, Any], type_: object) -> None:
    assert tuple(where["enum"]) == get_args(type_)


def test_run_json_names_the_same_statuses() -> None:
    cell = schema("run-v1.json")["properties"]["cells"]["items"]["properties"]
    assert tuple(cell["status"]["enum"]) == get_args(CellStatus)
    assert tuple(cell["decision"]["enum"]) == get_args(Decision)


def test_grades_and_modes_are_those_of_the_code() -> None:
    assert DEFINED["outcome"]["properties"]["grade"]["enum"] == [*get_args(Grade), None]
    assert tuple(DEFINED["observation"]["properties"]["mode"]["enum"]) == MODES


@pytest.mark.parametrize("line", EXAMPLES.strip().splitlines(), ids=["facts", "observation", "test", "end"])
def test_the_lines_of_the_design_are_of_the_form(line: str) -> None:
    jsonschema.validate(json.loads(line), RECORD)


@pytest.mark.parametrize(
    "line",
    [
        {"v": 2, "type": "end", "cell": "c", "status": "pass", "seconds": 1},
        {"v": 1, "type": "end", "cell": "c", "status": "passed", "seconds": 1},
        {"v": 1, "type": "end", "cell": "c", "status": "pass", "seconds": -1},
        {"v": 1, "type": "weather", "cell": "c"},
        {},
    ],
)
def test_other_lines_are_not(line: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(line, RECORD)


def test_a_plan_is_of_the_form_of_run_json() -> None:
    plan = make_plan(Axes(), run="r", host_cpus=2, settings=Settings(command=("pytest",)))
    data = {"v": VERSION, **to_json(plan), "started": "2026-01-01T00:00:00+00:00"}
    jsonschema.validate(json.loads(json.dumps(data)), schema("run-v1.json"))


SCHEDULE = jsonschema.Draft202012Validator(schema("schedule-v1.json"))


def test_a_schedule_is_of_the_published_form() -> None:
    steps = (Anchor("deposit", "read", "balance", -1, "a.py:118", 1, "200"), Anchor("withdraw", KILLED, "", -1, ""))
    outcome = {"key": "value 199", "kind": "value", "text": "199"}
    made = Schedule("account:Account", "account", None, "account.py", "fork", "3.14.8", outcome, steps, bench="0.1.0")
    head, *lines = map(json.loads, dump(made).splitlines())
    for line in (head, *lines):
        SCHEDULE.validate(line)
    assert set(head) == set(schema("schedule-v1.json")["$defs"]["header"]["properties"])
    assert set(lines[0]) == set(schema("schedule-v1.json")["$defs"]["step"]["properties"])


@pytest.mark.parametrize("line", [{"v": 2, "type": "schedule"}, {"lane": 1, "op": "read"}, {"lane": "a"}, {}])
def test_other_lines_are_no_schedule(line: dict[str, Any]) -> None:
    assert not SCHEDULE.is_valid(line)
