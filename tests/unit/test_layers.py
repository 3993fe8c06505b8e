"""A module imports only from those before it: the layers of the design, held."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bench

PACKAGE = Path(bench.__file__).parent

LAYERS: tuple[tuple[str, ...], ...] = (
    ("called", "errors"),
    ("values", "causes"),
    ("outcomes",),
    ("declared",),
    ("targets",),
    ("observation",),
    ("record",),
    ("verdict",),
    ("process",),
    ("repeat", "stress", "explore"),
    ("modes",),
    ("cells",),
    ("leases", "placement", "config", "discovery"),
    ("plan",),
    ("images",),
    ("engines",),
    ("run",),
    ("report",),
    ("pytest_plugin",),
    ("inside",),
    ("cli",),
    ("__main__",),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
USERS = ("demos", "kernels", "__init__")
"""Written in the words that users have: `from bench import ...`."""

IN_A_CELL = (
    "called",
    "errors",
    "values",
    "causes",
    "outcomes",
    "declared",
    "targets",
    "observation",
    "record",
    "verdict",
    "process",
    "repeat",
    "stress",
    "explore",
    "modes",
    "leases",
    "pytest_plugin",
    "inside",
    "demos",
    "kernels",
)
"""What runs inside a cell, where there is the standard library, pytest and what pytest brings."""


def room(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (
                f"{node.module}.{alias.name}" if node.module == "bench" else node.module for alias in node.names
            )
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_module_imports_only_from_layers_before_it(file: Path) -> None:
    here = room(file)
    for name in imports(file):
        parts = name.split(".")
        if parts[0] != "bench" or len(parts) < 2 or here in USERS:
            continue
        there = parts[1]
        assert there in RANK, f"{name} has no place in the layers"
        assert there == here or RANK[there] < RANK[here], f"{here} may not import from {there}"


@pytest.mark.parametrize("file", [f for f in FILES if room(f) in IN_A_CELL], ids=lambda f: str(f.relative_to(PACKAGE)))
def test_what_runs_in_a_cell_needs_only_the_standard_library_and_pytest(file: Path) -> None:
    allowed = {*sys.stdlib_module_names, "bench", "pytest", "_pytest", "packaging", "pluggy", "xdist"}
    assert {name.partition(".")[0] for name in imports(file)} <= allowed


def test_every_module_has_a_place() -> None:
    assert {room(file) for file in FILES} - {*RANK, *USERS} == set()
