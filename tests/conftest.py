"""Which tests are run on one Python, and which are shared out among several."""

from __future__ import annotations

import os
import sys
import zlib
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


SHARED_OUT = frozenset(
    {
        "test_demos",
        "test_engines",
        "test_explore_commands",
        "test_explore_oracle",
        "test_explore_replay",
        "test_kernels",
        "test_plugin",
        "test_repeat",
    }
)
"""Modules that take long, since each test starts many interpreters.

Where `BENCH_TESTS_SHARE` is set, as tox does on all Pythons but one, a third of their tests is run. The thirds of
Pythons that follow each other differ, so that any three of them run all.
"""

SHARES = 3


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is run once, and leave out what is not this Python's share."""
    here = Path(__file__).parent
    for item in items:
        if item.path.parent == here / "unit" and item.path.stem in ONCE:
            item.add_marker(pytest.mark.once)
        if item.path.parent == here / "process" and item.path.stem == "test_documents":
            item.add_marker(pytest.mark.once)
        if item.path.parent == here / "fuzz":
            item.add_marker(pytest.mark.once)
    if os.environ.get("BENCH_TESTS_SHARE"):
        others = [item for item in items if item.path.stem in SHARED_OUT and not is_mine(item.nodeid)]
        config.hook.pytest_deselected(items=others)
        left_out = set(others)
        items[:] = [item for item in items if item not in left_out]


def is_mine(nodeid: str, minor: int = sys.version_info[1]) -> bool:
    """Whether a test is of the share that a Python 3.`minor` runs."""
    return zlib.crc32(nodeid.encode()) % SHARES == minor % SHARES
