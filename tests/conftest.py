"""Which tests give the same on every Python, and are run on one."""

from __future__ import annotations

from pathlib import Path

import pytest

ONCE = frozenset(
    {
        "test_changelog",
        "test_ci",
        "test_compose",
        "test_contributing",
        "test_documents",
        "test_explore_schedule",
        "test_explore_shrinking",
        "test_explore_strategies",
        "test_exports",
        "test_layers",
        "test_placement",
        "test_plan",
        "test_pre_commit",
        "test_recorded",
        "test_report_places",
        "test_report_story",
        "test_schema",
        "test_security",
        "test_tox",
        "test_waivers",
    }
)
"""Modules of `tests/unit` about pure functions of plain data, or about files of the project.

What they test starts nothing, and asks nothing of the interpreter that differs between versions. Half of the time of
the unit tests goes into them.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent / "unit" and item.path.stem in ONCE:
            item.add_marker(pytest.mark.once)
