from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.cells import PYTHONS, parse_cell
from bench.errors import NothingToRun, UsageError
from bench.matrix.plan import (
    Axes,
    Plan,
    Planned,
    Selection,
    Settings,
    Shard,
    from_json,
    make_plan,
    parse_axes,
    parse_cells,
    parse_shard,
    run_id,
    to_json,
)
from bench.outcomes import METHODS
from bench.sampling import MODES, Sampling

EVERYTHING = parse_axes(PYTHONS, METHODS, ["1,2,4", "quota0.5"])


def plan(
    axes: Axes | None = None, host_cpus: int = 2, select: str = "", skip: str = "", shard: Shard | None = None
) -> Plan:
    return make_plan(axes or Axes(), run="r", host_cpus=host_cpus, selection=Selection(select, skip, shard))


def names(made: Plan, decision: str = "run") -> list[str]:
    return [one.cell.name for one in made.cells if one.decision == decision]


def test_the_default_matrix_has_every_combination_once() -> None:
    made = plan(host_cpus=4)
    assert len(names(made)) == len(set(names(made))) == 6 * 3 * 3
    assert not any(name.startswith("pypy") for name in names(made)), "PyPy runs when it is asked for"


def test_missing_cpus_make_cells_unavailable_with_why() -> None:
    made = plan(host_cpus=2)
    assert len(names(made)) == 36
    missing = [one for one in made.cells if one.decision == "unavailable"]
    assert {one.cell.cpus for one in missing} == {4}
    assert {one.why for one in missing} == {"needs 4 CPUs, and there are 2"}


def test_a_host_that_has_too_little_for_all_still_gives_a_plan() -> None:
    made = plan(parse_axes(cpus=["4"]), host_cpus=2)
    assert (names(made), len(names(made, "unavailable"))) == ([], 18)
    assert made.asked == ("cpus",)


def test_axes_are_read_from_lists_in_any_order_and_once() -> None:
    axes = parse_axes(["pypy3.11, 3.14", "3.10"], ["spawn,fork", "spawn"], ["2 1", "quota1.5,2"])
    assert [str(python) for python in axes.pythons] == ["3.10", "3.14", "pypy3.11"]
    assert (axes.methods, axes.cpus, axes.quotas) == (("fork", "spawn"), (1, 2), (1.5,))
    assert axes.asked == ("python", "method", "cpus")


def test_a_quota_alone_leaves_no_pinned_cells() -> None:
    made = plan(parse_axes(["3.14"], ["fork"], ["quota0.5", "quota3"]))
    assert [(one.cell.name, one.decision) for one in made.cells] == [
        ("py314-fork-quota0.5", "run"),
        ("py314-fork-quota3", "unavailable"),
    ]


@pytest.mark.parametrize(
    ("axis", "text"),
    [
        ("python", "3.9"),
        ("python", "cpython"),
        ("method", "thread"),
        ("cpus", "0"),
        ("cpus", "-1"),
        ("cpus", "abc"),
        ("cpus", "4096"),
        ("cpus", "quota"),
        ("cpus", "quota0"),
        ("cpus", "quota-1"),
        ("cpus", "quota9999"),
    ],
)
def test_unknown_entries_of_an_axis_are_refused(axis: str, text: str) -> None:
    with pytest.raises(UsageError):
        parse_axes(**{axis: [text]})


def test_cells_can_be_named_one_by_one() -> None:
    cells = parse_cells(["pypy311-fork-cpu1 py314-spawn-quota0.5", "py314-spawn-cpu2", "pypy311-fork-cpu1"])
    made = make_plan(cells, run="r", host_cpus=2)
    assert names(made) == ["pypy311-fork-cpu1", "py314-spawn-quota0.5", "py314-spawn-cpu2"]
    assert made.to_run == cells


@pytest.mark.parametrize(
    ("select", "skip", "wanted"),
    [
        ("py314-spawn-cpu2", "", {"py314-spawn-cpu2"}),
        ("py314-*", "*-cpu1 *server*", {"py314-fork-cpu2", "py314-spawn-cpu2"}),
        ("py31{0,5}-fork-cpu1", "", {"py310-fork-cpu1", "py315-fork-cpu1"}),
        ("py31[01]-fork-cpu?", "*1", {"py310-fork-cpu2", "py311-fork-cpu2"}),
        ("py310-{spawn,{fork,forkserver}}-cpu1", "", {f"py310-{method}-cpu1" for method in METHODS}),
        ("  py310-fork-cpu1   py311-fork-cpu1 ", "", {"py310-fork-cpu1", "py311-fork-cpu1"}),
        ("py310-fork-*", "pypy* *-quota*", {"py310-fork-cpu1", "py310-fork-cpu2"}),
    ],
)
def test_globs_choose_cells(select: str, skip: str, wanted: set[str]) -> None:
    made = plan(select=select, skip=skip)
    assert set(names(made)) == wanted
    assert len(made.cells) == 54, "what is left out is planned too"
    assert all(one.why for one in made.cells if one.decision != "run")


def test_an_excluded_cell_names_the_pattern_that_excludes_it() -> None:
    made = plan(select="py310-*", skip="*-spawn-* *-fork-*")
    why = {one.cell.name: one.why for one in made.cells}
    assert why["py310-fork-cpu1"] == "left out by --skip *-fork-*"
    assert why["py311-fork-cpu1"] == "not in --select"


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("py314-spwan-cpu2", "did you mean py314-spawn-cpu2?"),
        ("py316-*", "names look like"),
        ("py31{4,7}-fork-cpu1", "py317-fork-cpu1 matches no cell"),
        ("py31{4,-*", "unbalanced"),
        ("}{", "unbalanced"),
        ("{a,b}" * 20, "more than 1000"),
    ],
)
@pytest.mark.parametrize("option", ["select", "skip"])
def test_a_pattern_that_no_cell_could_match_is_refused(option: str, pattern: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        plan(**{option: pattern})  # type: ignore[arg-type]  # the option varies
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("select", "skip"),
    [("pypy*", ""), ("*-cpu8", ""), ("py314-fork-quota0.25", ""), ("py310-*", "*cpu*"), ("", "py*")],
)
def test_a_valid_selection_may_leave_nothing(select: str, skip: str) -> None:
    with pytest.raises(NothingToRun, match="leave none of the 54 cells"):
        plan(select=select, skip=skip)


def test_a_selection_outside_the_axes_is_refused_with_the_option_that_excludes_it() -> None:
    with pytest.raises(NothingToRun, match=r"pypy311-fork-cpu1 would be one that --python"):
        plan(select="pypy*")


@settings(deadline=None, max_examples=30)  # up to 54 plans each: on a busy machine they take their time
@given(st.integers(1, 60), st.sampled_from(["", "py31[0-3]-*", "*-cpu1 *-cpu4"]))
def test_shards_hold_every_cell_once(count: int, select: str) -> None:
    whole = names(plan(select=select, host_cpus=4))
    some = range(1, min(count, len(whole)) + 1)  # the others would be empty, which is an error of its own
    parts = [names(plan(select=select, host_cpus=4, shard=Shard(index, count))) for index in some]
    assert sorted(name for part in parts for name in part) == sorted(whole)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_shards_do_not_depend_on_the_host_and_share_the_load() -> None:
    for index in (1, 2, 3):
        small, large = (plan(host_cpus=cpus, shard=Shard(index, 3)) for cpus in (2, 64))
        assert set(names(small)) < set(names(large))
        assert len(names(small)) == 12
        assert len({one.split("-")[0] for one in names(large)}) == 2, "a shard needs few images"


@given(
    st.integers(1, 5),
    st.dictionaries(st.sampled_from([cell.name for cell in EVERYTHING.cells()]), st.floats(0, 100)),
)
@settings(max_examples=30, deadline=None)
def test_shards_by_time_hold_every_cell_once_and_the_same_each_time(count: int, durations: dict[str, float]) -> None:
    def part(index: int) -> list[str]:
        selection = Selection(shard=Shard(index, count), durations=durations)
        return names(make_plan(EVERYTHING, run="r", host_cpus=4, selection=selection))

    parts = [part(index) for index in range(1, count + 1)]
    assert sorted(name for one in parts for name in one) == sorted(names(plan(EVERYTHING, host_cpus=4)))
    assert parts == [part(index) for index in range(1, count + 1)]


def test_shards_by_time_take_about_as_long() -> None:
    axes = parse_axes(["3.14"], METHODS, ["1,2"])
    durations = {"py314-fork-cpu1": 90.0, "py314-spawn-cpu1": 30.0, "py314-fork-cpu2": 15.0}
    selections = [Selection(shard=Shard(index, 2), durations=durations) for index in (1, 2)]
    parts = [names(make_plan(axes, run="r", host_cpus=4, selection=one)) for one in selections]
    costs = {"py314-fork-cpu1": 90, "py314-spawn-cpu1": 30, "py314-fork-cpu2": 30}  # of the others, the mean: 50
    assert [sum(costs.get(name, 50) for name in one) for one in parts] == [140, 160]


def test_an_empty_shard_is_nothing_to_run() -> None:
    with pytest.raises(NothingToRun, match="shard 3/3"):
        plan(select="py310-fork-cpu{1,2}", shard=parse_shard("3/3"))


@pytest.mark.parametrize("text", ["", "1", "0/3", "4/3", "-1/3", "1/0", "a/b", "1/3/5", "1.5/3", "9999999/9999999"])
def test_shards_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--shard 1/3"):
        parse_shard(text)


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout_s": float("inf")},
        {"jobs": 0},
        {"targets": ("a",), "command": ("pytest",)},
        {"pids": 0},
        {"memory_bytes": -5},
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Settings(**wrong)


def test_a_plan_is_frozen_and_named_by_time() -> None:
    made = plan()
    with pytest.raises(FrozenInstanceError):
        made.run = "other"  # type: ignore[misc]  # wrong on purpose
    assert run_id(datetime(2025, 3, 9, 7, 5, 1, tzinfo=timezone.utc), "a1b2") == "20250309-070501-a1b2"


planned = st.builds(
    Planned,
    st.sampled_from(EVERYTHING.cells()),
    st.sampled_from(["run", "unavailable", "excluded"]),
    st.text(max_size=9),
)
positive = st.none() | st.floats(0.001, 1e6)
samplings = st.builds(
    Sampling,
    modes=st.lists(st.sampled_from(MODES), unique=True).map(tuple),
    samples=st.none() | st.integers(1, 10**9),
    seconds=positive,
    deadline_s=positive,
    seed=st.integers(0, 2**63),
)
plans = st.builds(
    Plan,
    targets=st.lists(st.text(min_size=1, max_size=9), max_size=3).map(tuple),
    sampling=samplings,
    jobs=st.none() | st.integers(1, 64),
    memory_bytes=st.none() | st.integers(1, 2**40),
    run=st.text(min_size=1, max_size=9),
    cells=st.lists(planned, max_size=5).map(tuple),
    asked=st.sampled_from([(), ("python",), ("method", "cpus")]),
)


@given(plans)
def test_a_plan_is_read_back_from_json(made: Plan) -> None:
    assert from_json(json.loads(json.dumps(to_json(made)))) == made


def test_unknown_fields_of_a_plan_are_ignored() -> None:
    assert from_json({**to_json(plan()), "later": 1}) == plan()


@pytest.mark.parametrize(
    "change", [{"cells": None}, {"cells": [{"cell": "x"}]}, {"cells": [7]}, {"run": ...}, {"samples": "many"}]
)
def test_a_malformed_plan_is_refused(change: dict[str, Any]) -> None:
    data = {**to_json(plan()), **change}
    with pytest.raises(UsageError):
        from_json({key: item for key, item in data.items() if item is not ...})


def test_a_cell_of_a_plan_reads_its_name() -> None:
    assert plan().cells[0].cell == parse_cell("py310-fork-cpu1")
