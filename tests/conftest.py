"""Which tests are run on one Python, and which are shared out among several."""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import settings

# On a busy machine an example takes as long as it takes. Of CI, which hypothesis knows by itself, all else stays.
settings.register_profile("no deadline", settings(), deadline=None)
settings.load_profile("no deadline")

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
        "test_install_choice",
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
        "test_endings",
        "test_engines",
        "test_engines_local",
        "test_explore_commands",
        "test_explore_oracle",
        "test_explore_outside",
        "test_explore_replay",
        "test_islands",
        "test_kernels",
        "test_leases",
        "test_measuring",
        "test_plugin",
        "test_records",
        "test_repeat",
        "test_resume",
        "test_segments",
        "test_starting",
    }
)
"""Modules that take long, since each test starts many interpreters.

Where `BENCH_TESTS_SHARE` names the Pythons that run the tests, as `toxfile.py` does where a run of tox has several,
each test of these modules is run by one of them. What each runs is always the same, and all of them together run all.
What is marked `each_python` is not shared out, and elsewhere, as in CI's jobs of one Python each, nothing is.
"""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is run once, and leave out what is not this Python's share."""
    here = Path(__file__).parent
    for item in items:
        if item.path.parent == here / "unit" and item.path.stem in ONCE:
            item.add_marker(pytest.mark.once)
        if item.path.parent == here / "fuzz":
            item.add_marker(pytest.mark.once)
    if pythons := os.environ.get("BENCH_TESTS_SHARE", "").split():
        here_is = f"py{sys.version_info[0]}{sys.version_info[1]}"
        if here_is not in pythons:
            raise pytest.UsageError(f"BENCH_TESTS_SHARE is {' '.join(pythons)}, and this is {here_is}")
        shared = [item for item in items if item.path.stem in SHARED_OUT and not item.get_closest_marker("each_python")]
        others = [item for item in shared if not is_of(here_is, pythons, item.nodeid)]
        config.hook.pytest_deselected(items=others)
        left_out = set(others)
        items[:] = [item for item in items if item not in left_out]


def is_of(python: str, pythons: Sequence[str], nodeid: str) -> bool:
    """Whether a test is of the share of one of these Pythons."""
    return zlib.crc32(nodeid.encode()) % len(pythons) == pythons.index(python)
