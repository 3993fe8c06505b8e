from __future__ import annotations

import json

import pytest

from bench.cells import parse_cell
from bench.errors import NothingToRun, UsageError
from bench.matrix.engines.base import Limits
from bench.matrix.plan import Plan, Selection, Settings, from_json, make_plan, parse_axes, to_json
from bench.matrix.rules import Own, Rule, Rules
from bench.matrix.run import make_job
from bench.record import CellStatus, End
from bench.report.loaded import CellRecords, RunRecords
from bench.report.status import exit_status

AXES = parse_axes(["3.13", "3.14"], ["fork", "spawn"], ["1"])


def plan(*rules: Rule, required: str = "", adds: bool = True, select: str = "") -> Plan:
    made = Rules(rules, required, adds)
    settings = Settings(command=("pytest",), timeout_s=100, shm_bytes=5)
    return make_plan(AXES, run="r", host_cpus=2, selection=Selection(select), settings=settings, rules=made)


def why(made: Plan) -> dict[str, str]:
    return {one.cell.name: one.why for one in made.cells if one.decision == "excluded"}


def test_a_rule_leaves_cells_out_with_its_reason_and_a_later_one_takes_some_back() -> None:
    made = plan(Rule("py313-*", False, "gone in May"), Rule("*-spawn-*", True, "but needed"))
    assert why(made) == {"py313-fork-cpu1": "left out in [tool.bench]: gone in May"}


def test_a_rule_adds_cells_that_are_on_no_axis_unless_the_line_gives_the_axes() -> None:
    rule = Rule("pypy311-fork-cpu1 py314-spawn-cpu{1,2} py3*", True, "asked for by users")
    extra = ["pypy311-fork-cpu1", "py314-spawn-cpu2"]
    assert [one.cell.name for one in plan(rule).cells][-2:] == extra
    assert len(plan(rule, adds=False).cells) == 4


def test_rules_that_leave_nothing_or_match_nothing_are_refused() -> None:
    with pytest.raises(NothingToRun, match=r"rules in \[\[tool\.bench\.cells\]\] leave no cell"):
        plan(Rule("*", False, "all"))
    with pytest.raises(
        UsageError, match=r"cells in \[\[tool\.bench\.cells\]\]: py314-spwan-cpu1 matches no cell; did you"
    ):
        plan(Rule("py314-spwan-cpu1", False, "x"))
    with pytest.raises(UsageError, match=r"required in \[tool\.bench\]: py310-\* matches no cell of the matrix"):
        plan(required="py310-*")
    assert plan(required="py310-*", adds=False), "a command line with axes of its own asks for less"


def test_a_cell_named_by_itself_runs_though_a_rule_leaves_it_out_and_has_its_own() -> None:
    rule = Rule("py313-*", False, "no", Own(pids=9))
    made = make_plan([parse_cell("py313-fork-cpu1")], run="r", host_cpus=2, rules=Rules((rule,)))
    assert (made.cells[0].decision, made.cells[0].own.pids) == ("run", 9)


def test_what_cells_have_of_their_own_goes_before_the_runs_settings() -> None:
    rules = [
        Rule("py314-*", own=Own(timeout_s=50, environment={"A": "1", "B": "1"})),
        Rule("*-spawn-*", own=Own(memory_bytes=7, environment={"B": "2"})),
    ]
    made = plan(*rules)
    jobs = {one.name: make_job(made, one, (0,), "fake") for one in made.to_run}
    limits = Limits(50, memory_bytes=7, shm_bytes=5)
    assert jobs["py314-spawn-cpu1"].limits == limits
    assert jobs["py314-spawn-cpu1"].environment == {"A": "1", "B": "2"}
    assert jobs["py313-fork-cpu1"].limits == Limits(100, shm_bytes=5)
    assert jobs["py313-fork-cpu1"].environment == {}
    assert Rules(tuple(rules)).without_times().own("py314-fork-cpu1").timeout_s is None


def test_rules_are_read_back_with_the_plan() -> None:
    made = plan(Rule("py314-*", own=Own(50, 7, 8, 9, {"A": "1"})), required="py314-spawn-*")
    assert from_json(json.loads(json.dumps(to_json(made)))) == made
    assert [one.cell.name for one in made.cells if one.required] == ["py314-spawn-cpu1"]


@pytest.mark.parametrize(
    ("required", "asked", "statuses", "status"),
    [
        ("a", (), {"a": "pass", "b": "unknown"}, 0),
        ("a", (), {"a": "pass", "b": "unavailable", "c": "mismatch"}, 0),
        ("a", (), {"a": "unknown", "b": "pass"}, 5),
        ("a", (), {"a": "unavailable", "b": "pass"}, 5),
        ("a", ("python",), {"a": "unavailable", "b": "pass"}, 5),
        ("a", ("python",), {"a": "pass", "b": "unavailable"}, 4),
        ("a", (), {"a": "mismatch", "b": "pass"}, 5),
        ("a", (), {"a": "pass", "b": "fail"}, 1),
        ("a", (), {"a": "pass", "b": "error"}, 4),
        ("a", (), {"a": "excluded", "b": "unknown", "c": "pass"}, 5),
        ("", (), {"a": "pass", "b": "unknown"}, 5),
    ],
)
def test_required_cells_decide_the_exit_status(
    required: str, asked: tuple[str, ...], statuses: dict[str, CellStatus], status: int
) -> None:
    cells = [{"cell": name, "decision": "run", **({"required": True} if name in required else {})} for name in statuses]
    ends = tuple(CellRecords(name, None, (), (), End(name, one, "", 1.0)) for name, one in statuses.items())
    assert exit_status(RunRecords({"cells": cells, "asked": list(asked)}, ends)) == status
