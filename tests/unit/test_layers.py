"""The rooms of the package, held: what may import what, which processes run it, and that no two import each other.

Three things are declared here, and the code is compared with them. `FLOORS` are the rooms from the lowest to the
highest: a room imports from those below it. `RUNS` says which processes run a room's code: what a controlled process
runs may import only what a controlled process may run. The modules that run in a cell are a closed set, followed from
where cells begin.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

import bench

PACKAGE = Path(bench.__file__).parent

FLOORS: tuple[tuple[str, ...], ...] = (
    ("called", "errors", "fingerprints", "parameters"),
    ("values", "causes", "sampling", "testids"),
    ("outcomes", "figures", "starts"),
    ("declared", "cells", "leases"),
    ("targets",),
    ("observation",),
    ("record",),
    ("verdict", "granted"),
    ("process",),
    ("state",),
    ("explore.model", "explore.messages"),
    ("explore.search", "explore.runtime"),
    ("explore.findings", "explore.audit"),
    ("explore.points",),
    ("explore.driver", "explore.launch"),
    ("explore.observe",),
    ("explore.replay", "repeat", "stress"),
    ("modes", "islands"),
    ("matrix.patterns",),
    ("matrix.rules",),
    ("matrix.discovery", "matrix.config", "matrix.placement"),
    ("matrix.plan", "matrix.install"),
    ("matrix.images",),
    ("matrix.engines",),
    ("matrix.run",),
    ("report", "testing"),
    ("pytest_plugin",),
    ("inside",),
    ("cli",),
    ("__main__",),
)
"""Rooms on one floor do not import from each other."""

FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
USERS = ("demos", "kernels", "__init__")
"""Written in the words that users have: `from bench import ...`."""

FACADES = ("explore", "matrix")
"""Folders of rooms. They hold nothing themselves but a page on what is in them."""

HOST = frozenset({"host"})
"""The command: it plans a matrix, starts cells and reports. No image of a cell holds this code."""

OBSERVER = HOST | {"observer"}
"""The command on its own host, or a cell's main process: it starts samples, groups and explorations."""

EXPLORING = frozenset({"exploring"})
"""The exploring process: it carries out one schedule after another."""

CONTROLLED = frozenset({"controlled"})
"""Processes that run the user's code: samples, actors, and what they start."""

GRADING = OBSERVER | EXPLORING
ANY = OBSERVER | EXPLORING | CONTROLLED

RUNS: Mapping[str, frozenset[str]] = {
    "called": ANY,
    "errors": ANY,
    "fingerprints": ANY,
    "parameters": ANY,
    "values": ANY,
    "causes": GRADING,
    "outcomes": GRADING,
    "declared": OBSERVER,
    "cells": OBSERVER,
    "leases": OBSERVER,
    "targets": OBSERVER,
    "figures": OBSERVER,
    "observation": OBSERVER,
    "record": OBSERVER,
    "granted": OBSERVER,
    "verdict": OBSERVER,
    "modes": OBSERVER,
    "islands": OBSERVER,
    "sampling": OBSERVER,
    "testids": OBSERVER,
    "starts": OBSERVER,
    "process": ANY,
    "process.evidence": GRADING,
    "process.facts": OBSERVER,
    "process.folders": OBSERVER,
    "process.groups": OBSERVER,
    "process.owners": OBSERVER,
    "process.watcher": OBSERVER,
    "state": EXPLORING | CONTROLLED,
    "repeat": ANY,
    "repeat.main": CONTROLLED,
    "repeat.acting": CONTROLLED,
    "repeat.observe": OBSERVER,
    "repeat.sample": OBSERVER,
    "stress": ANY,
    "stress.barrier": CONTROLLED,
    "stress.coordinator": CONTROLLED,
    "stress.counting": CONTROLLED,
    "stress.generation": CONTROLLED,
    "stress.main": CONTROLLED,
    "stress.plan": CONTROLLED,
    "stress.resident": CONTROLLED,
    "stress.states": CONTROLLED,
    "stress.yielding": CONTROLLED,
    "stress.keeping": OBSERVER,
    "stress.observe": OBSERVER,
    "stress.launch": OBSERVER,
    "explore": ANY,
    "explore.model": ANY,
    "explore.search": GRADING,
    "explore.findings": GRADING,
    "explore.findings.files": OBSERVER,
    "explore.audit": EXPLORING | CONTROLLED,
    "explore.audit.numbers": EXPLORING,
    "explore.audit.tracer": EXPLORING,
    "explore.runtime": EXPLORING | CONTROLLED,
    "explore.runtime.board": ANY,
    "explore.runtime.layout": ANY,
    "explore.points": EXPLORING | CONTROLLED,
    "explore.driver": EXPLORING,
    "explore.driver.main": EXPLORING | CONTROLLED,
    "explore.driver.actor_process": EXPLORING | CONTROLLED,
    "explore.driver.program_process": EXPLORING | CONTROLLED,
    "explore.launch": OBSERVER,
    "explore.observe": OBSERVER,
    "explore.replay": OBSERVER,
    "report": HOST,
    "report.histogram": OBSERVER,
    "report.lines": OBSERVER,
    "report.steps": OBSERVER,
    "report.stories": OBSERVER,
    "report.story": OBSERVER,
    "pytest_plugin": OBSERVER,
    "inside": OBSERVER,
    "matrix": HOST,
    "testing": HOST,
    "cli": HOST,
    "__main__": HOST,
}
"""Which processes run a room's code; the longest name that fits a module counts."""

BEGINNINGS = (
    "inside",
    "pytest_plugin",
    "process.main",
    "process.startup",
    "process.stacks",
    "process.words",
    "repeat.main",
    "stress.main",
    "explore.driver.main",
    "explore.replay",
)
"""Where code in a cell begins: the main modules there, the plugin, what the start of each Python imports, and what
takes the place of the user's words in a controlled process. A recorded schedule may be replayed in a container too."""

LATER = {"explore.driver.main": frozenset({"explore.driver.exploration"})}
"""Imports of a main module that children, which import it too, do not come to."""


def name_of(file: Path) -> str:
    """The dotted name of a module below `bench`; of a package's `__init__` that of the package."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


FILES = {name_of(file): file for file in sorted(PACKAGE.rglob("*.py"))}
MODULES = [name for name in FILES if name.partition(".")[0] not in USERS]


@cache
def imports(name: str, *, types: bool) -> frozenset[str]:
    """What a module imports, at the top or in a function; where `types` is set, also for type checkers alone."""
    return frozenset(_imported(ast.parse(FILES[name].read_text(encoding="utf-8")), types=types))


def _imported(node: ast.AST, *, types: bool) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test) and not types:
            continue
        if isinstance(child, ast.ImportFrom) and child.module and not child.level:
            for alias in child.names:
                full = f"{child.module}.{alias.name}"
                yield full if full.removeprefix("bench.") in FILES else child.module
        elif isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        else:
            yield from _imported(child, types=types)


def ours(name: str, *, types: bool = False) -> frozenset[str]:
    """What a module imports of the bench, by the names of `FILES`, but for the package itself."""
    found = {one.removeprefix("bench.") for one in imports(name, types=types) if one.startswith("bench.")}
    assert found <= set(FILES), f"{name} imports {found - set(FILES)}, which is not there"
    return frozenset(found)


def longest(name: str, known: Mapping[str, object]) -> str:
    """The longest name among those `known` that is the module's own or that of a package around it."""
    parts = name.split(".")
    fitting = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return next((one for one in fitting if one in known), "")


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_from_rooms_below_its_own(name: str) -> None:
    if name in FACADES:
        assert not ours(name, types=True)
        return
    here = longest(name, FLOOR)
    for other in ours(name, types=True) - set(FACADES):
        there = longest(other, FLOOR)
        assert there == here or FLOOR[there] < FLOOR[here], f"{here} may not import from {there} ({other})"


@pytest.mark.parametrize("name", MODULES)
def test_code_imports_only_what_the_processes_that_run_it_may_run(name: str) -> None:
    runs = RUNS[longest(name, RUNS)]
    for other in ours(name) - LATER.get(name, frozenset()):
        missing = runs - RUNS[longest(other, RUNS)]
        assert not missing, f"{name} runs in the {sorted(missing)} process, where {other} does not belong"


def test_every_module_has_a_floor_and_a_process() -> None:
    assert {name for name in MODULES if name not in FACADES and not longest(name, FLOOR)} == set()
    assert {name for name in MODULES if not longest(name, RUNS)} == set()
    assert set(RUNS) <= set(FILES), "a room that is no more"
    assert set(FLOOR) <= set(FILES), "a room that is no more"


def test_no_two_modules_import_each_other_directly_or_by_way_of_others() -> None:
    reached = {name: _reached(name) for name in FILES}
    assert {(name, other) for name in FILES for other in reached[name] if name in reached[other]} == set()


def _reached(*names: str) -> frozenset[str]:
    """What modules import, and what that imports, and so on."""
    found: set[str] = set()
    waiting = [other for name in names for other in ours(name)]
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting.extend(ours(name))
    return frozenset(found)


def _in_a_cell() -> frozenset[str]:
    found = _reached(*BEGINNINGS) | set(BEGINNINGS)
    packages = {".".join(name.split(".")[:count]) for name in found for count in range(1, name.count(".") + 1)}
    return frozenset(found | packages)


def test_what_runs_in_a_cell_is_a_closed_set() -> None:
    declared = {name for name in MODULES if RUNS[longest(name, RUNS)] != HOST} - {"explore.search.strategy"}
    # `report` has both: what draws one observation runs in a cell, what reads a whole run does not.
    assert _in_a_cell() - {"report"} == declared


def test_what_runs_in_a_cell_needs_only_the_standard_library_and_pytest() -> None:
    # One test of all modules: which they are takes a second to find, and each start of pytest would.
    allowed = {*sys.stdlib_module_names, "bench", "pytest", "_pytest", "packaging", "pluggy", "xdist"}
    names = _in_a_cell() | {name for name in FILES if name.partition(".")[0] in USERS}
    roots = {name: {one.partition(".")[0] for one in imports(name, types=True)} for name in names}
    roots["process.measuring"].discard("coverage")  # which is in a cell where coverage is asked for, and there alone
    assert {name: found - allowed for name, found in roots.items() if found - allowed} == {}


def test_images_leave_out_what_only_the_host_runs() -> None:
    from bench.matrix.images.context import HOST_ONLY  # imported here: it is no business of most of this file

    assert {name.partition(".")[0] for name in _in_a_cell()} & set(HOST_ONLY) == set()
    whole = {room for room in RUNS if "." not in room and RUNS[room] == HOST}
    assert set(HOST_ONLY) == whole - {"report", "__main__"}
